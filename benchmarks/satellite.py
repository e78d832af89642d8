"""Real satellite tiles with several tags each: figures by stage, pretrained against scratch.

    python benchmarks/satellite.py DATA --log runs.jsonl [--kinds pretrained,scratch] [--seeds 3]
        (kinds also: pretrained-fp16, pretrained-bf16)
    python benchmarks/satellite.py DATA --log runs.jsonl --out benchmarks/results/satellite.md

DATA holds `satellite/` (tiles.csv: file, tags, is_valid) and `weights/` (MobileNetV2). Stages: 128
frozen, 128 unfrozen, 160 frozen, 160 unfrozen; validation by area. The first form trains and adds
its figures to the log, the second makes the table. Batch norm of the body keeps the statistics
that came with the weights: those of these few areas do not hold for others.
"""

import argparse
import json
import warnings
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter

import numpy as np
import torch

from onecycle import (
    ImageList,
    accuracy_thresh,
    average_precision,
    cnn_learner,
    f1,
    fbeta,
    get_transforms,
    models,
)
from onecycle.vision.input import half_stats

STAGES = (
    ("128 frozen", 128, True, 4, slice(5e-3)),
    ("128 unfrozen", 128, False, 6, slice(1e-4, 1e-3)),
    ("160 frozen", 160, True, 2, slice(1e-3)),
    ("160 unfrozen", 160, False, 5, slice(5e-5, 5e-4)),
)
SCRATCH = tuple((name, size, False, n, 3e-3) for name, size, _, n, _ in STAGES)
FIGURES = ("accuracy", "F2", "macro F1", "mAP")


def data_at(source, size, seed):
    tfms = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    data = source.transform(tfms, size=size).databunch(bs=32, val_bs=64, seed=seed)
    return data.normalize(half_stats)


def run(source, kind, weights, seed, log):
    """One line of figures per stage, also into the log."""
    torch.manual_seed(seed)
    arch = partial(models.mobilenetv2_100, pad_type="same")
    metrics = [accuracy_thresh, partial(fbeta, thresh=0.2), f1, average_precision]
    learn = cnn_learner(
        data_at(source, 128, seed),
        arch,
        pretrained=weights,
        metrics=metrics,
        silent=True,
        train_bn=False,
        lin_ftrs=[],
        concat_pool=False,
        ps=0.2,
    )
    _, _, precision = kind.partition("-")
    learn = getattr(learn, f"to_{precision}")() if precision else learn
    for name, size, frozen, epochs, rate in STAGES if weights else SCRATCH:
        start = perf_counter()
        learn.data = data_at(source, size, seed)
        learn.freeze() if frozen else learn.unfreeze()
        if weights:
            for module in learn.model[0].modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.requires_grad_(False)
        learn.fit_one_cycle(epochs, rate)
        _, *values = learn.validate()
        row = {"kind": kind, "seed": seed, "stage": name, "figures": values}
        row["seconds"] = round(perf_counter() - start)
        with log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        text = "  ".join(f"{k} {v:.3f}" for k, v in zip(FIGURES, values, strict=True))
        print(f"{kind} seed {seed} {name}: {text}  ({row['seconds']} s)", flush=True)


def constant(source):
    """The best that one answer for all tiles reaches (for mAP: the share of each tag)."""
    y = torch.from_numpy(source.valid.y.items)
    train = torch.from_numpy(source.train.y.items)
    p = train.mean(0).expand(len(y), -1)
    majority = (p > 0.5).float()
    options = [
        torch.tensor([float(b) for b in np.binary_repr(i, y.shape[1])])
        for i in range(1, 2 ** y.shape[1])
    ]
    best = max(float(fbeta(o.expand(len(y), -1), y, thresh=0.5, sigmoid=False)) for o in options)
    macro = max(float(f1(o.expand(len(y), -1), y, sigmoid=False)) for o in options)
    return [float(majority.eq(y).float().mean()), best, macro, float(y.mean())]


def table(rows, floor):
    lines = ["| stage | " + " | ".join(FIGURES) + " |", "|---|" + "---|" * len(FIGURES)]
    lines.append("| best constant answer | " + " | ".join(f"{v:.3f}" for v in floor) + " |")
    lines.append("| linear probe on frozen features (floor) | .845 | .870 | | |")
    groups = dict.fromkeys((row["kind"], row["stage"]) for row in rows)
    for kind, stage in sorted(groups, key=lambda g: g[0]):
        runs = [r["figures"] for r in rows if (r["kind"], r["stage"]) == (kind, stage)]
        cells = [f"{mean(v):.3f} ± {stdev(v):.3f}" for v in zip(*runs, strict=True)]
        lines.append(f"| {kind}, {stage} ({len(runs)} seeds) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", default="pretrained,scratch")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    labelled = (
        ImageList.from_csv(args.data / "satellite", "tiles.csv", folder="tiles")
        .split_from_df("is_valid")
        .label_from_df("tags", label_delim=" ")
    )
    if args.out:
        rows = [json.loads(line) for line in args.log.read_text().splitlines()]
        text = table(rows, constant(labelled))
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        args.out.write_text(
            f"# Satellite tiles, mean ± deviation over seeds\n\n{text}\n\n"
            "`python benchmarks/satellite.py DATA --log runs.jsonl`, then with `--out`; torch "
            f"{torch.__version__}, {device}; accuracy at threshold .5, F2 per tile at .2\n"
        )
        return print(text)
    weights = str(args.data / "weights" / "mobilenet_v2_100.fp16.safetensors")
    for kind in args.kinds.split(","):
        for seed in range(args.seeds):
            run(labelled, kind, weights if kind.startswith("pretrained") else False, seed, args.log)
    return None


if __name__ == "__main__":
    main()
