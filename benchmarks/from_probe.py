"""Fine-tuning from a linear probe beside the usual one: three seeds, satellite and groceries.

    python benchmarks/from_probe.py DATA satellite groceries > table.md
    python benchmarks/from_probe.py DATA groceries --epochs 5 --rate 5e-4 --ways fine_tune

Body, size and head are those of `recipes.py`, with a linear head (`lin_ftrs=[]`). Rows: the head
alone (20 epochs on cached features), the head and then all layers as `fine_tune` does without more
(one epoch of the head, and the last epoch stays), and `fine_tune(..., from_probe=True)`; the head
by `fit_ridge()`, and then all layers as `from_probe` does.
"""

import argparse
import warnings
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from time import process_time

import numpy as np
import torch
from recipes import groceries, satellite

from onecycle import (
    ModelEMA,
    SaveModel,
    accuracy,
    accuracy_thresh,
    cnn_learner,
    half_stats,
    models,
)
from onecycle import get_transforms as changes

SEEDS, SIZE = (0, 1, 2), 64
WAYS = ("head alone", "fine_tune", "fine_tune, from_probe", "ridge alone", "ridge, then all")


def train(labelled, aerial, way, seed, weights, args):
    data = labelled.transform(changes(flip_vert=aerial), size=SIZE)
    data = data.databunch(bs=32, num_workers=1, seed=seed).normalize(half_stats)
    torch.manual_seed(seed)
    metric = partial(accuracy_thresh, thresh=0.5) if aerial else accuracy
    arch = partial(models.mobilenetv2_100, pad_type="same")
    learn = cnn_learner(
        data, arch, pretrained=weights, metrics=metric, silent=True, lin_ftrs=[], path=mkdtemp()
    )
    if way == "head alone":
        learn.fit_one_cycle(20, slice(1e-2), cache_features=True)
    elif "ridge" in way:
        learn.fit_ridge()
        if "all" in way:  # as from_probe goes on from its head
            learn.save("probe", with_opt=False)
            kept = {"name": "probe", "reset_on_fit": False}
            best = SaveModel(monitor=["accuracy", "accuracy_thresh"][aerial], **kept)
            rates = slice(args.rate / 200, args.rate / 2)
            how = {"div_factor": 5.0, "callbacks": [ModelEMA(), best]}
            learn.unfreeze().fit_one_cycle(args.epochs, rates, **how)
    else:
        learn.fine_tune(args.epochs, args.rate, from_probe="probe" in way)
    return learn.validate()[::-1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("sets", nargs="+", choices=("satellite", "groceries"))
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    args = parser.parse_args()
    root = args.data
    weights = str(root / "weights" / "mobilenet_v2_100.fp16.safetensors")
    print("| set | recipe | metric, mean and spread | by seed | loss | CPU s |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in args.sets:
        labelled, aerial = {"satellite": satellite, "groceries": groceries}[name](root)
        for way in args.ways:
            start = process_time()
            rows = np.array([train(labelled, aerial, way, s, weights, args) for s in SEEDS])
            values, losses = rows.T
            spread = f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"
            each = ", ".join(f"{v:.3f}" for v in values)
            took = (process_time() - start) / len(SEEDS)
            print(
                f"| {name} | {way} | {spread} | {each} | {losses.mean():.3f} | {took:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
