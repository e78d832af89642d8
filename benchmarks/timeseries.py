"""Accuracy of series as images on UCR / UEA sets, against 1-NN, on the sets' given test sides.

python benchmarks/timeseries.py FOLDER --log FILE [--seeds 3] [--steps 300]

Every finished training is a line of the log, and a second call goes on from there. The recipe (a
pretrained small body, steps, rate, changes) was chosen by three-fold cross-validation inside the
training sides of the four UCR sets; no step of a training sees a test series.
"""

import argparse
import contextlib
import io
import json
import time
from pathlib import Path

import numpy as np
import torch
from nearest import dtw, euclid

from onecycle import models
from onecycle.learn.metrics import accuracy
from onecycle.series.encode import series_transforms
from onecycle.series.learner import series_learner
from onecycle.series.lists import SeriesList

SETS = ("Coffee", "GunPoint", "ItalyPowerDemand", "ArrowHead", "BasicMotions")
WAYS = {"GASF": ("gasf",), "GADF": ("gadf",), "MTF": ("mtf",), "all": ("gasf", "gadf", "mtf")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="*", default=SETS)
    args = parser.parse_args()
    done = {}
    if args.log.exists():
        rows = [json.loads(line) for line in args.log.read_text().splitlines()]
        done = {(row["set"], row["way"], row["seed"]): row for row in rows}
    jobs = [(name, far.__name__, 0) for name in args.sets for far in (euclid, dtw)]
    jobs += [(name, way, s) for s in range(args.seeds) for name in args.sets for way in WAYS]
    for name, way, seed in jobs:
        if (name, way, seed) in done:
            continue
        start = time.process_time()
        files = sorted((args.folder / name).glob(f"{name}_*"), reverse=True)  # TRAIN, then TEST
        if way in WAYS:
            figure = network(files, WAYS[way], seed, args.steps)
        else:
            figure = nearest(files, {"euclid": euclid, "dtw": dtw}[way])
        row = {"set": name, "way": way, "seed": seed, "accuracy": figure}
        done[name, way, seed] = row | {"seconds": round(time.process_time() - start, 1)}
        with args.log.open("a") as log:
            log.write(json.dumps(done[name, way, seed]) + "\n")
    report(done, args)


def report(done, args):
    """The table, as Markdown."""
    print("| set | 1-NN Euclid | 1-NN DTW | " + " | ".join(WAYS) + " |")
    print("|" + "---|" * (3 + len(WAYS)))
    for name in args.sets:
        cells = [f"{done[name, way, 0]['accuracy']:.3f}" for way in ("euclid", "dtw")]
        for way in WAYS:
            found = [done[name, way, seed]["accuracy"] for seed in range(args.seeds)]
            cells.append(f"{np.mean(found):.3f} ± {np.std(found):.3f}")
        print(f"| {name} | " + " | ".join(cells) + " |")
    seconds = sum(row["seconds"] for row in done.values())
    print(f"\n{args.seeds} seeds, mean ± standard deviation; {args.steps} steps of 8 series;")
    print(f"{seconds / 60:.0f} minutes of one core for the whole table.")


def network(files, ways, seed, steps):
    """The accuracy on the test side of a network trained on the training side."""
    torch.manual_seed(seed)
    items = SeriesList.from_ts(*files, encodings=ways).split_by_file().label_from_df("label")
    given = items.train.task.input
    pixels = min(64 if given.channels == 1 else 32, given.length)
    options = {"bs": 8, "val_bs": 256, "num_workers": 0, "seed": seed}
    whole = items.transform(series_transforms(), size=pixels).databunch(**options)
    alone = SeriesList.from_ts(files[0], encodings=ways).split_none().label_from_df("label")
    data = alone.transform(series_transforms(), size=pixels).databunch(**options)
    learn = series_learner(data, models.small, pretrained="small", metrics=accuracy)
    learn.unfreeze()
    with contextlib.redirect_stdout(io.StringIO()):
        learn.fit_one_cycle(round(steps / len(data.train_dl)), 3e-3)
    learn.data = whole
    return float(learn.validate()[1])


def nearest(files, far):
    """The share of test series whose nearest training series has their label."""
    sides = SeriesList.from_ts(*files).split_by_file()
    x, test = (np.stack(side.items).astype(float) for side in (sides.train, sides.valid))
    y, true = (np.array(side.frame["label"].tolist()) for side in (sides.train, sides.valid))
    predicted = np.array([y[far(x, one).argmin()] for one in test])
    return float((predicted == true).mean())


if __name__ == "__main__":
    main()
