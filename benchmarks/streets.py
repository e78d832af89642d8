"""How far colour alone goes on the drawn street scenes, against the stages of `demo camvid`.

    python benchmarks/streets.py [--scenes 240] [--out benchmarks/results/streets.md]

Mean IoU without void on the demo's own validation side.
"""

import argparse
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import cv2
import numpy as np
import torch

from onecycle.cli.demo_camvid import camvid
from onecycle.samples.streets import CODES, VOID, streets_sample

BINS = 16


def read(root, names):
    """The colour bin and the class of every pixel of the named images, void left out."""
    bins, classes = [], []
    for name in names:
        pixels = cv2.imread(str(root / "images" / name)).astype(int) * BINS // 256
        mask = cv2.imread(str(root / "labels" / f"{Path(name).stem}_P.png"), -1)
        bins.append((pixels @ [BINS * BINS, BINS, 1])[mask != VOID])
        classes.append(mask[mask != VOID])
    return np.concatenate(bins), np.concatenate(classes)


def by_colour(root):
    """IoU of each class when a pixel gets the class most often seen with its colour.

    Counts are divided by the class's share to a power, so that rare classes are predicted as well;
    the power with the best mean IoU on the validation side itself is taken.
    """
    held = (root / "valid.txt").read_text().split()
    names = sorted({path.name for path in (root / "images").iterdir()} - set(held))
    n = len(CODES)
    seen = np.zeros((BINS**3, n))
    np.add.at(seen, read(root, names), 1)
    bins, true = read(root, held)
    scores = []
    for power in (0, 0.25, 0.5, 0.75, 1):
        predicted = (seen / np.maximum(seen.sum(0), 1) ** power).argmax(1)[bins]
        pairs = np.bincount(true * n + predicted, minlength=n * n).reshape(n, n)
        hits = pairs.diagonal()
        scores.append((hits / np.maximum(pairs.sum(0) + pairs.sum(1) - hits, 1))[:VOID])
    return max(scores, key=np.mean)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=240)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as folder:
        root = streets_sample(Path(folder) / "s", n=args.scenes)
        each = by_colour(root)
        print(dict(zip(CODES, each.round(3), strict=False)), flush=True)
        start = perf_counter()
        stages = camvid(Path(folder) / "out", args.scenes, 0)
        spent = perf_counter() - start
    rows = {"colour alone (a class for each of 16³ colours)": float(each.mean())}
    rows |= {f"demo, {name}": row["mean_iou"] for name, row in stages.items()}
    lines = ["| model | mean IoU |", "|---|---|", *(f"| {k} | {v:.3f} |" for k, v in rows.items())]
    lines.append(f"\nColour alone finds poles with IoU {each[CODES.index('Pole')]:.3f}.")
    text = "\n".join(lines)
    print(text)
    if args.out:
        args.out.write_text(
            f"# Drawn street scenes: colour alone and the demo\n\n{text}\n\n"
            f"`python benchmarks/streets.py --scenes {args.scenes}`; the demo took {spent:.0f} s; "
            f"torch {torch.__version__}, CPU\n"
        )


if __name__ == "__main__":
    main()
