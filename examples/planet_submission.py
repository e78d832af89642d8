"""Planet on Kaggle: train, write submission.csv, and a page that tags a satellite tile.

python examples/planet_submission.py                      # on drawn tiles
python examples/planet_submission.py --data data --fetch  # needs Kaggle credentials
"""

import pathlib
from functools import partial

import typer

from onecycle.fetch.kaggle import fetch_competition
from onecycle.vision import *

NAME = "planet-understanding-the-amazon-from-space"


def main(
    data: pathlib.Path | None = None,
    out: pathlib.Path = Path("planet"),
    quick: bool = False,
    fetch: bool = False,
) -> Path:
    """Train in two stages; write out/submission.csv and out/site."""
    n, size, epochs = (40, 32, 1) if quick else (1000, 128, 4)
    if data is None:
        path = planet_sample(out / "data", n, n_test=n // 5, size=size)
    else:
        path = Path(fetch_competition(NAME, data) if fetch else data)
    src = (
        ImageList.from_csv(path, "train_v2.csv", folder="train-jpg", suffix=".jpg")
        .split_by_rand_pct(0.2, seed=42)
        .label_from_df(label_delim=" ")
        .add_test(ImageList.from_folder(path / "test-jpg"))
    )
    tfms = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    bunch = src.transform(tfms, size=size).databunch(bs=32).normalize(half_stats)
    bunch = bunch.with_threshold(0.2)
    f2 = partial(fbeta, thresh=0.2)
    learn = cnn_learner(bunch, models.small, pretrained="small", metrics=f2)
    learn.fit_one_cycle(epochs, slice(1e-2))
    learn.unfreeze()
    learn.fit_one_cycle(epochs, slice(1e-3, 5e-3))
    chances, _ = learn.get_preds(DatasetType.Test)
    rows = ["image_name,tags"]
    for file, row in zip(bunch.test_ds.items, chances, strict=True):
        tags = [c for c, chance in zip(bunch.classes, row, strict=True) if chance > 0.2]
        rows.append(f"{file.stem},{' '.join(tags)}")
    (out / "submission.csv").write_text("\n".join(rows) + "\n")
    print(f"onecycle kaggle {NAME} --submit {out / 'submission.csv'}")
    model = learn.export((out / "planet.onnx").absolute())
    return write_site(model, out / "site", title="The Amazon from space")


if __name__ == "__main__":
    typer.run(main)
