"""Accuracy of series as pictures on UCR / UEA sets, against 1-NN, on the sets' given test sides.

python benchmarks/timeseries.py FOLDER [--epochs 30] [--seeds 3] > benchmarks/results/timeseries.md
"""

import argparse
import contextlib
import io
import time
from pathlib import Path

import numpy as np
import torch

from onecycle import models
from onecycle.learn.metrics import accuracy
from onecycle.series.augment import series_transforms
from onecycle.series.learner import series_learner
from onecycle.series.lists import SeriesList

SETS = ("GunPoint", "Coffee", "ArrowHead", "ItalyPowerDemand", "BasicMotions")
WAYS = {"GASF": ("gasf",), "GADF": ("gadf",), "MTF": ("mtf",), "all": ("gasf", "gadf", "mtf")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="*", default=SETS)
    args = parser.parse_args()
    start = time.time()
    print("| set | 1-NN Euclid | 1-NN DTW | " + " | ".join(WAYS) + " |")
    print("|" + "---|" * (3 + len(WAYS)))
    for name in args.sets:
        files = sorted((args.folder / name).glob(f"{name}_*"), reverse=True)  # TRAIN, then TEST
        near = [f"{nearest(files, far):.3f}" for far in (euclid, dtw)]
        nets = [network(files, ways, args) for ways in WAYS.values()]
        print(f"| {name} | " + " | ".join(near + nets) + " |", flush=True)
    print(f"\n{args.epochs} epochs, {args.seeds} seeds (mean ± standard deviation), ", end="")
    print(f"{time.time() - start:.0f} s, {torch.get_num_threads()} thread(s)")


def network(files, ways, args):
    found = []
    for seed in range(args.seeds):
        torch.manual_seed(seed)
        labelled = SeriesList.from_ts(*files, encodings=ways).split_by_file().label_from_df("label")
        size = min(32, labelled.train.task.input.length)
        changed = labelled.transform(series_transforms(), size=size)
        data = changed.databunch(bs=8, val_bs=256, num_workers=0, seed=seed)
        learn = series_learner(data, models.small, metrics=accuracy)
        learn.unfreeze()
        with contextlib.redirect_stdout(io.StringIO()):
            learn.fit_one_cycle(args.epochs, 3e-3)
        found.append(learn.validate()[1])
    return f"{np.mean(found):.3f} ± {np.std(found):.3f}"


def nearest(files, far):
    """The share of test series whose nearest training series has their label."""
    sides = SeriesList.from_ts(*files).split_by_file()
    x, test = (np.stack(side.items).astype(float) for side in (sides.train, sides.valid))
    y, true = (np.array(side.frame["label"].tolist()) for side in (sides.train, sides.valid))
    said = np.array([y[far(x, one).argmin()] for one in test])
    return float((said == true).mean())


def euclid(x, one):
    return ((x - one) ** 2).sum((1, 2))


def dtw(x, one):
    """Distances (n,) of series (n, c, t) to `one` (c, t) without a window, by anti-diagonals."""
    cost = ((x[:, :, :, None] - one[None, :, None, :]) ** 2).sum(1)
    n, a, b = cost.shape
    total = np.full((n, a + 1, b + 1), np.inf)
    total[:, 0, 0] = 0
    for d in range(a + b - 1):
        i = np.arange(max(0, d - b + 1), min(a, d + 1))
        j = d - i
        best = np.minimum(total[:, i, j + 1], np.minimum(total[:, i + 1, j], total[:, i, j]))
        total[:, i + 1, j + 1] = cost[:, i, j] + best
    return total[:, a, b]


if __name__ == "__main__":
    main()
