"""CamVid with a U-Net on MobileNetV2: figures by stage, pretrained against scratch.

    python benchmarks/camvid.py DATA --log runs.jsonl [--kinds pretrained,scratch] [--seeds 3]
    python benchmarks/camvid.py DATA --log runs.jsonl --out benchmarks/results/camvid.md

DATA holds `camvid/` (images, labels, codes.txt, valid.txt) and `weights/`. 10 epochs at 120 x 160
and 10 at 180 x 240, of which the first 3 with a frozen body; the official split. The first form
trains and adds its figures to the log, the second makes the table; runs in the log are kept.
"""

import argparse
import json
import resource
import warnings
from functools import partial
from pathlib import Path
from statistics import mean
from time import perf_counter

import torch
from torch import nn

from onecycle import (
    SegmentationInterpretation,
    SegmentationItemList,
    foreground_acc,
    get_transforms,
    mean_iou,
    models,
    unet_learner,
)
from onecycle.vision.stats import half_stats

STAGES = (
    ("120 frozen", (120, 160), True, 3, slice(3e-3)),
    ("120 unfrozen", (120, 160), False, 7, slice(1e-4, 3e-3)),
    ("180 unfrozen", (180, 240), False, 10, slice(1e-4, 2e-3)),
)


def data_at(source, size, seed):
    changed = source.transform(get_transforms(max_warp=0.1), size=size, tfm_y=True)
    return changed.databunch(bs=8, seed=seed).normalize(half_stats)


def source_of(root):
    codes = (root / "codes.txt").read_text().split()
    return (
        SegmentationItemList.from_folder(root / "images")
        .split_by_fname_file("../valid.txt")
        .label_from_func(lambda file: root / "labels" / f"{file.stem}_P.png", classes=codes)
    )


def run(source, kind, weights, seed, log, done):
    """One line of figures per stage, into the log."""
    torch.manual_seed(seed)
    void = list(source.classes).index("Void")
    metrics = [partial(foreground_acc, void_code=void), partial(mean_iou, void=void)]
    arch = partial(models.mobilenetv2_100, pad_type="same")
    data = data_at(source, STAGES[0][1], seed)
    learn = unet_learner(
        data, arch, pretrained=weights, metrics=metrics, bottle=True, silent=True, train_bn=False
    )
    for name, size, frozen, epochs, rates in STAGES:
        start = perf_counter()
        learn.data = data_at(source, size, seed)
        learn.freeze() if frozen and weights else learn.unfreeze()
        for module in learn.model.encoder.modules() if weights else ():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        learn.fit_one_cycle(epochs, rates if weights else 3e-3)
        found = SegmentationInterpretation.from_learner(learn).per_class()["IoU"]
        _, accuracy, iou = learn.validate()
        row = {
            "kind": kind,
            "seed": seed,
            "stage": name,
            "accuracy": accuracy,
            "mean IoU": iou,
            "IoU": {k: round(float(v), 4) for k, v in found.items() if k != "Void"},
            "seconds": round(perf_counter() - start),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
        with log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def table(rows):
    """Means over the seeds."""
    classes = list(rows[0]["IoU"])
    head = ["stage", "accuracy", "mean IoU", *classes, "s", "peak MB"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for kind, stage in dict.fromkeys((r["kind"], r["stage"]) for r in rows):
        runs = [r for r in rows if (r["kind"], r["stage"]) == (kind, stage)]
        figures = [mean(r[k] for r in runs) for k in ("accuracy", "mean IoU")]
        figures += [mean(r["IoU"][c] for r in runs) for c in classes]
        cells = [f"{v:.3f}" for v in figures]
        cells += [f"{mean(r[k] for r in runs):.0f}" for k in ("seconds", "peak_mb")]
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
    rows = [json.loads(r) for r in args.log.read_text().splitlines()] if args.log.exists() else []
    if args.out:
        text = table(rows)
        args.out.write_text(
            f"# CamVid (11 classes, void left out), by stage\n\n{text}\n\n"
            "`python benchmarks/camvid.py DATA --log runs.jsonl`, then with `--out`; torch "
            f"{torch.__version__}, CPU; the commonest class covers .295 of the pixels\n"
        )
        return print(text)
    source = source_of(args.data / "camvid")
    weights = str(args.data / "weights" / "mobilenet_v2_100.fp16.safetensors")
    finished = {(r["kind"], r["seed"]) for r in rows if r["stage"] == STAGES[-1][0]}
    for seed in range(args.seeds):
        for kind in args.kinds.split(","):
            if (kind, seed) not in finished:
                run(source, kind, weights if kind == "pretrained" else False, seed, args.log, rows)
    return None


if __name__ == "__main__":
    main()
