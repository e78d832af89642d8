"""Real satellite tiles with several tags each: figures by stage, pretrained against scratch.

    python benchmarks/satellite.py DATA [--seeds 3] [--out benchmarks/results/satellite.md]

DATA holds `satellite/` (tiles.csv: file, tags, is_valid) and `weights/` (MobileNetV2). Stages: 128
frozen, 128 unfrozen, 160 frozen, 160 unfrozen; validation by area.
"""

import argparse
import sys
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
from onecycle.vision.stats import half_stats

STAGES = (
    ("128 frozen", 128, True, 4, slice(3e-3)),
    ("128 unfrozen", 128, False, 6, slice(1e-4, 1e-3)),
    ("160 frozen", 160, True, 2, slice(1e-3)),
    ("160 unfrozen", 160, False, 5, slice(3e-5, 5e-4)),
)
SCRATCH = tuple((name, size, False, n, 3e-3) for name, size, _, n, _ in STAGES)
FIGURES = ("accuracy", "F2", "macro F1", "mAP")


def data_at(source, size, seed):
    tfms = get_transforms(flip_vert=True, max_rotate=20, max_zoom=1.2, max_lighting=0.3, max_warp=0.1)
    data = source.transform(tfms, size=size).databunch(bs=32, val_bs=64, seed=seed)
    return data.normalize(half_stats)


def run(source, weights, seed):
    """One line of figures per stage."""
    torch.manual_seed(seed)
    arch = partial(models.mobilenetv2_100, pad_type="same")
    metrics = [accuracy_thresh, partial(fbeta, thresh=0.2), f1, average_precision]
    learn = cnn_learner(
        data_at(source, 128, seed),
        arch,
        pretrained=weights,
        metrics=metrics,
        silent=True,
        wd=1e-2,
    )
    rows = {}
    for name, size, frozen, epochs, rate in STAGES if weights else SCRATCH:
        start = perf_counter()
        learn.data = data_at(source, size, seed)
        learn.freeze() if frozen else learn.unfreeze()
        learn.fit_one_cycle(epochs, rate)
        _, *values = learn.validate()
        rows[name] = values
        text = "  ".join(f"{k} {v:.3f}" for k, v in zip(FIGURES, values, strict=True))
        kind = "pretrained" if weights else "scratch"
        print(f"{kind} seed {seed} {name}: {text}  ({perf_counter() - start:.0f} s)", flush=True)
    return rows


def constant(source):
    """The best that one answer for all tiles reaches (for mAP: the share of each tag)."""
    y = torch.from_numpy(source.valid.y.items)
    train = torch.from_numpy(source.train.y.items)
    p = train.mean(0).expand(len(y), -1)
    majority = (p > 0.5).float()
    options = [torch.tensor([float(b) for b in np.binary_repr(i, y.shape[1])]) for i in range(1, 2 ** y.shape[1])]
    best = max(float(fbeta(o.expand(len(y), -1), y, thresh=0.5, sigmoid=False)) for o in options)
    macro = max(float(f1(o.expand(len(y), -1), y, sigmoid=False)) for o in options)
    return [float(majority.eq(y).float().mean()), best, macro, float(y.mean())]


def table(results, floor):
    lines = ["| stage | " + " | ".join(FIGURES) + " |", "|---|" + "---|" * len(FIGURES)]
    lines.append("| best constant answer | " + " | ".join(f"{v:.3f}" for v in floor) + " |")
    lines.append("| linear probe on frozen features (floor) | .845 | .870 | | |")
    for kind, runs in results.items():
        for stage in runs[0]:
            cells = []
            for i in range(len(FIGURES)):
                values = [r[stage][i] for r in runs]
                spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
                cells.append(f"{mean(values):.3f}{spread}")
            lines.append(f"| {kind}, {stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", default="pretrained,scratch")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    labelled = (
        ImageList.from_csv(args.data / "satellite", "tiles.csv", folder="tiles")
        .split_from_df("is_valid")
        .label_from_df("tags", label_delim=" ")
    )
    weights = str(args.data / "weights" / "mobilenet_v2_100.fp16.safetensors")
    files = {"pretrained": weights, "scratch": False}
    results = {
        kind: [run(labelled, files[kind], seed) for seed in range(args.seeds)]
        for kind in args.kinds.split(",")
    }
    text = table(results, constant(labelled))
    print(text)
    if args.out:
        command = "python benchmarks/satellite.py " + " ".join(sys.argv[1:])
        args.out.write_text(
            f"# Satellite tiles, mean ± deviation of {args.seeds} seeds\n\n{text}\n\n"
            f"`{command.replace(str(args.data), 'DATA')}`; torch {torch.__version__}, "
            f"{torch.get_num_threads()} CPU threads; accuracy at threshold .5, F2 per tile at .2\n"
        )


if __name__ == "__main__":
    main()
