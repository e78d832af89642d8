"""Calibration error before and after `learn.calibrate()`, on items that it was not fitted to.

    python benchmarks/calibration.py DATA --log runs.jsonl [--sets satellite,...] [--seeds 0,1,2]
    python benchmarks/calibration.py DATA --log runs.jsonl --out benchmarks/results/calibration.md

DATA holds `satellite/`, `cat_breeds/`, `sign_digits/` and `weights/` (MobileNetV2). Each model is
trained as its set is in transfer.py (4 epochs frozen, 4 unfrozen, 128 px). The validation items are
dealt out into two halves: the temperature is fitted on one and judged on the other, and the other
way round. The first form trains and adds its figures to the log, the second makes the table.
"""

import argparse
import json
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter

import torch
from torch.nn.functional import binary_cross_entropy, nll_loss
from transfer import cat_breeds, grocery20, sign_digits

from onecycle import ImageList, calibration_error, cnn_learner, get_transforms, models
from onecycle.vision.input import half_stats


def satellite(root):
    items = ImageList.from_csv(root / "satellite", "tiles.csv", folder="tiles")
    return items.split_from_df("is_valid").label_from_df("tags", label_delim=" ")


SETS = {f.__name__: f for f in (satellite, cat_breeds, sign_digits, grocery20)}
FIGURES = ("error before", "error after", "log loss before", "log loss after", "temperature")


def figures(learn):
    """Calibration error and log loss of the validation side."""
    shares, y = learn.get_preds()
    log_loss = nll_loss(shares.log(), y) if y.ndim == 1 else binary_cross_entropy(shares, y)
    return learn.validate(metrics=calibration_error)[1], float(log_loss)


def run(source, weights, flips, seed):
    torch.manual_seed(seed)
    tfms = get_transforms(**flips)

    def data_of(src):
        made = src.transform(tfms, size=128).databunch(bs=32, val_bs=64, seed=seed, no_check=True)
        return made.normalize(half_stats)

    arch = partial(models.mobilenetv2_100, pad_type="same")
    learn = cnn_learner(data_of(source), arch, pretrained=weights, silent=True, train_bn=False)
    learn.freeze().fit_one_cycle(4, slice(5e-3))
    learn.unfreeze()
    for module in learn.model[0].modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.requires_grad_(False)
    learn.fit_one_cycle(4, slice(1e-5, 3e-4))
    count = len(source.valid)
    deal = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    halves = [sorted(deal[i::2]) for i in range(2)]
    sides = [data_of(replace(source, valid=source.valid.take(half))) for half in halves]
    before = []
    for side in sides:
        learn.data = side
        before.append(figures(learn))
    rows = []
    for fitted, judged, plain in ((*sides, before[1]), (*sides[::-1], before[0])):
        learn.data = fitted
        temperature = learn.calibrate().temperature
        learn.data = judged
        error, log_loss = figures(learn)
        rows.append([plain[0], error, plain[1], log_loss, temperature])
    return [mean(column) for column in zip(*rows, strict=True)]


def table(rows):
    """One line of the table for each set, the mean of its seeds and their spread."""
    lines = ["| set | items fitted, judged | " + " | ".join(FIGURES) + " |"]
    lines.append("|---" * (len(FIGURES) + 2) + "|")
    for name in dict.fromkeys(row["set"] for row in rows):
        mine = [row for row in rows if row["set"] == name]
        cells = []
        for values in zip(*(row["figures"] for row in mine), strict=True):
            spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.3f}{spread}")
        half = mine[0]["items"] // 2
        lines.append(f"| {name} | {half}, {half} | {' | '.join(cells)} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--sets", default="satellite,cat_breeds,sign_digits")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.out:
        rows = [json.loads(line) for line in args.log.read_text().splitlines()]
        text = "\n".join(table(rows))
        args.out.write_text(f"# Calibration error before and after\n\n{text}\n")
        return
    warnings.simplefilter("ignore")
    weights = str(args.data / "weights" / "mobilenet_v2_100.fp16.safetensors")
    for seed in map(int, args.seeds.split(",")):
        for name in args.sets.split(","):
            source, start = SETS[name](args.data), perf_counter()
            flips = {"do_flip": name != "sign_digits", "flip_vert": name == "satellite"}
            found = run(source, weights, flips, seed)
            row = {"set": name, "seed": seed, "items": len(source.valid), "figures": found}
            with args.log.open("a") as log:
                log.write(json.dumps(row) + "\n")
            print(row, f"{perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
