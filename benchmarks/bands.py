"""What a near-infrared band gives: satellite tiles as 4-band 16-bit GeoTIFF, with it and without.

    python benchmarks/bands.py DATA --log runs.jsonl [--seeds 3]
    python benchmarks/bands.py DATA --log runs.jsonl --out benchmarks/results/bands.md

DATA holds `satellite/` (tiles.csv: file, tags, is_valid). Each tile becomes a TIFF as Planet's are:
blue, green, red, near-infrared, 16 bits that are used in part. The fourth band is synthetic and
carries signal: in a tile with vegetation its greenest fifth is bright there, in one with water its
bluest fifth is dark; elsewhere, and in other tiles, it is noise about the grey. It stands for what
a sensor sees and a photo does not. "as bytes" are the same three colours as a list of photos takes
them, without `with_bands`: 16 bits become 8 over the whole range.
"""

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter

import numpy as np
import pandas as pd
import tifffile
import torch
from PIL import Image

from onecycle import (
    ImageList,
    accuracy_thresh,
    average_precision,
    cnn_learner,
    get_transforms,
    models,
)

SIZE, STAGES = 96, ((2, slice(1e-2)), (4, slice(1e-3, 5e-3)))
KINDS = {  # bands in the order of the pretrained filters: red, green, blue
    "three bands, as bytes": None,
    "three bands": (3, 2, 1),
    "four bands": (3, 2, 1, 4),
}
FIGURES = ("accuracy", "mAP", "AP of vegetation", "AP of water")


def as_bands(rgb, tags, rng):
    """uint16 (h, w, 4) of a photo (h, w, 3) and its tags."""
    light = rgb.astype(np.float64) / 255
    grey, red, green, blue = light.mean(2), *np.moveaxis(light, 2, 0)
    infrared = 0.35 + 0.3 * grey + rng.normal(0, 0.05, grey.shape)
    for tag, hue, value in (("vegetation", green - red, 0.9), ("water", blue - red, 0.08)):
        if tag in tags:
            found = hue >= np.quantile(hue, 0.8)
            infrared[found] = value + rng.normal(0, 0.05, int(found.sum()))
    shares = np.stack([blue * 0.7, green * 0.8, red, infrared * 2.2], 2).clip(0)
    return (300 + 3500 * shares + rng.normal(0, 15, shares.shape)).clip(1, 65535).astype(np.uint16)


def written(source, folder):
    """The set as TIFF files in `folder`, three bands of bytes beside them, and its table."""
    frame, rng = pd.read_csv(source / "tiles.csv"), np.random.default_rng(0)
    (folder / "bands").mkdir(), (folder / "bytes").mkdir()
    for i, (file, tags) in enumerate(zip(frame["file"], frame["tags"], strict=True)):
        rgb = np.asarray(Image.open(source / "tiles" / file).convert("RGB"))
        values = as_bands(rgb, tags.split(), rng)
        options = {"photometric": "minisblack", "planarconfig": "contig", "compression": "deflate"}
        tifffile.imwrite(folder / "bands" / f"{i}.tif", values, **options)
        Image.fromarray((values[:, :, 2::-1] // 257).astype(np.uint8)).save(
            folder / "bytes" / f"{i}.png"
        )
    return frame.assign(file=[str(i) for i in range(len(frame))])


def run(folder, frame, kind, seed, log):
    """Train one kind; its figures into the log."""
    torch.manual_seed(seed)
    of, suffix = ("bands", ".tif") if KINDS[kind] else ("bytes", ".png")
    items = ImageList.from_df(frame, folder, folder=of, suffix=suffix)
    items = items.with_bands(KINDS[kind]) if KINDS[kind] else items
    src = items.split_from_df("is_valid").label_from_df("tags", label_delim=" ")
    tfms = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    data = src.transform(tfms, size=SIZE).databunch(bs=32, seed=seed, find_copies=False)
    metrics = [accuracy_thresh, average_precision]
    learn = cnn_learner(
        data.normalize(), models.small, pretrained="small", metrics=metrics, silent=True
    )
    start = perf_counter()
    for epochs, rate in STAGES:
        learn.fit_one_cycle(epochs, rate)
        learn.unfreeze()
    _, *values = learn.validate()
    found = learn.predictions()
    y, shares = found.targets.numpy(), found.probabilities.numpy()
    for name in ("vegetation", "water"):
        column = learn.data.classes.index(name)
        values.append(_average_precision(shares[:, column], y[:, column]))
    row = {"kind": kind, "seed": seed, "figures": values, "seconds": perf_counter() - start}
    with log.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(row, flush=True)


def _average_precision(shares, y):
    right = y[np.argsort(-shares, kind="stable")] > 0.5
    return float((right.cumsum() / np.arange(1, len(y) + 1))[right].mean())


def table(rows):
    lines = ["| | " + " | ".join(FIGURES) + " |", "|---|" + "---|" * len(FIGURES)]
    for kind in KINDS:
        runs = [row["figures"] for row in rows if row["kind"] == kind]
        cells = [f"{mean(v):.3f} ± {stdev(v):.3f}" for v in zip(*runs, strict=True)]
        lines.append(f"| {kind} ({len(runs)} seeds) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.out:
        rows = [json.loads(line) for line in args.log.read_text().splitlines()]
        args.out.write_text(
            f"# A near-infrared band\n\n{table(rows)}\n\n`python benchmarks/bands.py DATA --log "
            f"runs.jsonl`, then with `--out`; torch {torch.__version__}, one CPU core, "
            f"{mean(row['seconds'] for row in rows):.0f} s a run\n"
        )
        return
    with tempfile.TemporaryDirectory() as name:
        frame = written(args.data / "satellite", Path(name))
        for seed in range(args.seeds):
            for kind in KINDS:
                run(Path(name), frame, kind, seed, args.log)


if __name__ == "__main__":
    main()
