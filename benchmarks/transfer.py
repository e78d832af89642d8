"""Single-label sets, pretrained MobileNetV2: cat breeds (pattern), groceries, hand signs (folders).

python benchmarks/transfer.py DATA [--sets cat_breeds,grocery20,sign_digits] [--out FILE]
"""

import argparse
import re
import warnings
from functools import partial
from pathlib import Path
from statistics import mean
from time import perf_counter

import torch

from onecycle import ImageList, accuracy, cnn_learner, get_transforms, models
from onecycle.vision.input import half_stats


def cat_breeds(root):
    items = ImageList.from_folder(root / "cat_breeds")
    return items.split_by_rand_pct(0.2, seed=42).label_from_re(r"([^/]+)_\d+\.jpg$")


def grocery20(root):
    split = ImageList.from_csv(root / "grocery20", "labels.csv").split_by_valid_func(
        lambda path: Path(path).relative_to(root / "grocery20").parts[0] != "train"
    )
    return split.label_from_folder()


def sign_digits(root):
    """The last fifth by file number validates: other people's hands."""
    items = ImageList.from_folder(root / "sign_digits")
    number = {p: int(re.findall(r"\d+", Path(p).stem)[-1]) for p in items}
    limit = sorted(number.values())[int(0.8 * len(number))]
    return items.split_by_valid_func(lambda p: number[p] >= limit).label_from_folder()


SETS = {"cat_breeds": cat_breeds, "grocery20": grocery20, "sign_digits": sign_digits}
YARDSTICKS = {"cat_breeds": 0.604, "grocery20": 0.765, "sign_digits": 0.902}


def run(source, weights, flip, seed):
    torch.manual_seed(seed)
    tfms = get_transforms(do_flip=flip)
    data = (
        source.transform(tfms, size=128)
        .databunch(bs=32, val_bs=64, seed=seed)
        .normalize(half_stats)
    )
    arch = partial(models.mobilenetv2_100, pad_type="same")
    learn = cnn_learner(data, arch, pretrained=weights, metrics=accuracy, silent=True)
    learn.train_bn = False  # few images: statistics stay those of the weights
    learn.freeze().fit_one_cycle(5, slice(5e-3))
    frozen = learn.validate()[1]
    learn.unfreeze()
    for module in learn.model[0].modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.requires_grad_(False)
    learn.fit_one_cycle(5, slice(1e-5, 3e-4))
    return frozen, learn.validate()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    weights = str(args.data / "weights" / "mobilenet_v2_100.fp16.safetensors")
    rows = ["| set | train, valid | linear probe | frozen | unfrozen | seconds |"]
    rows.append("|---|---|---|---|---|---|")
    for name in args.sets.split(","):
        source, start = SETS[name](args.data), perf_counter()
        flip = name != "sign_digits"
        runs = [run(source, weights, flip, seed) for seed in range(args.seeds)]
        frozen, unfrozen = map(mean, zip(*runs, strict=True))
        counts = f"{len(source.train)}, {len(source.valid)}"
        cells = f"{YARDSTICKS[name]:.3f} | {frozen:.3f} | {unfrozen:.3f}"
        rows.append(f"| {name} | {counts} | {cells} | {perf_counter() - start:.0f} |")
        print(rows[-1], flush=True)
    if args.out:
        text = "\n".join(rows)
        args.out.write_text(
            "# Accuracy on single-label sets, 128 px, 5 epochs frozen and 5 unfrozen\n\n"
            f"{text}\n\nMean of {args.seeds} seeds. The linear probe is on frozen features of the "
            "same weights.\n\n"
            f"`python benchmarks/transfer.py DATA`; torch {torch.__version__}, CPU\n"
        )


if __name__ == "__main__":
    main()
