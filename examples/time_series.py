"""Time series: measurements become images (Gramian angular fields), and a network for images
tells their classes.

    python examples/time_series.py                # on drawn heartbeats
    python examples/time_series.py --data GunPoint_TRAIN.tsv --valid GunPoint_TEST.tsv
"""

import pathlib

import numpy as np
import typer

from onecycle import Path, SeriesList, accuracy, models, series_learner, write_site


def heartbeats(n, t=120, seed=0):
    """Beats of three kinds at random speeds and times: regular, early, and without their wave."""
    rng = np.random.default_rng(seed)
    kinds = np.array(["regular", "early beat", "missing wave"])[np.arange(n) % 3]
    rows = np.zeros((n, t))
    for row, kind in zip(rows, kinds, strict=True):
        gap, start = rng.uniform(26, 34), rng.uniform(4, 20)
        beats = start + gap * np.arange(5)
        if kind == "early beat":
            beats[2] -= 0.4 * gap
        for beat in beats:
            wave = 0.0 if kind == "missing wave" else 0.35
            for height, at, wide in ((1, 0, 1.2), (-0.25, 3, 1.5), (wave, 9, 3)):
                row += height * np.exp(-(((np.arange(t) - beat - at) / wide) ** 2))
    return rows + rng.normal(0, 0.05, rows.shape), kinds


def main(
    data: pathlib.Path | None = None,
    valid: pathlib.Path | None = None,
    out: pathlib.Path = Path("series"),
    quick: bool = False,
) -> Path:
    """Train, export, and write the site into out/site."""
    n, size, epochs = (36, 16, 1) if quick else (600, 48, 10)
    if data and valid:
        src = SeriesList.from_ts(data, valid, encodings=("gasf", "gadf")).split_by_file()
    else:
        listed = SeriesList.from_ts(data) if data else SeriesList.from_array(*heartbeats(n))
        src = listed.split_by_rand_pct(0.2, seed=42)
    bunch = src.label_from_df("label").transform(size=size).databunch(bs=16)
    learn = series_learner(bunch, models.small, pretrained="small", metrics=accuracy)
    learn.fit_one_cycle(epochs, 1e-2)
    learn.unfreeze()
    learn.fit_one_cycle(epochs, slice(1e-3, 1e-2))
    model = learn.export((out / "series.onnx").absolute())
    return write_site(model, out / "site", title="How does the heart beat?")


if __name__ == "__main__":
    typer.run(main)
