"""Face keypoints on MobileNetV2: error in pixels by stage, against the mean face.

python benchmarks/faces.py DATA [--out benchmarks/results/faces.md]
"""

import argparse
import csv
import warnings
from functools import partial
from pathlib import Path
from time import perf_counter

import torch

from onecycle import Points, PointsItemList, cnn_learner, get_transforms, models
from onecycle.vision.image import FlowField, ImagePoints
from onecycle.vision.input import half_stats

STAGES = (
    ("frozen", True, 3, slice(1e-2)),
    ("unfrozen", False, 12, slice(1e-3, 1e-2)),
)
# the 68 landmarks of iBUG: which change places in a mirror
PAIRS = (
    [(i, 16 - i) for i in range(8)]
    + [(17 + i, 26 - i) for i in range(5)]
    + [(31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    + [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]
)


def labelled(root):
    with (root / "points.csv").open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}

    def points(file):
        row = rows[Path(file).name]
        flow = [[float(row[f"y{i}"]), float(row[f"x{i}"])] for i in range(68)]
        return ImagePoints(FlowField((int(row["height"]), int(row["width"])), torch.tensor(flow)))

    names = list(rows)
    held = {name for name, row in rows.items() if row["is_valid"] in {"1", "True", "true"}}
    items = PointsItemList.from_paths(names, root / "images")
    split = items.split_by_valid_func(lambda file: Path(file).name in held)
    return split.label_from_func(points, label_cls=Points(flip_pairs=tuple(PAIRS)))


def errors(predicted, true, size):
    """Mean squared error in [-1, 1] units, and the mean distance of a point in input pixels."""
    apart = (predicted - true).square()
    return float(apart.mean()), float(apart.sum(-1).sqrt().mean()) * size / 2


def begin_at(last, mean):
    """A last linear layer that says `mean` whatever it sees."""
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(mean)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--from-zero", action="store_true", help="do not begin as the mean face")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    src = labelled(args.data / "face_keypoints")
    tfms = get_transforms(max_rotate=15, max_zoom=1.1, max_warp=0.1, max_lighting=0.3)
    data = src.transform(tfms, size=(args.size, args.size)).databunch(bs=32)
    learn = cnn_learner(
        data.normalize(half_stats),
        partial(models.mobilenetv2_100, pad_type="same"),
        pretrained=str(args.data / "weights" / "mobilenet_v2_100.fp16.safetensors"),
        silent=True,
        ps=0.1,
    )
    train = torch.from_numpy(src.train.y.items)
    valid = torch.from_numpy(src.valid.y.items)
    average = train.mean(0, keepdim=True).expand_as(valid)
    if not args.from_zero:
        begin_at(learn.model[1][-1], train.mean(0).flatten())
    rows = [("mean face", *errors(average, valid, args.size), 0)]
    for name, frozen, epochs, rates in STAGES:
        start = perf_counter()
        learn.freeze() if frozen else learn.unfreeze()
        learn.fit_one_cycle(epochs, rates)
        predicted, true = learn.get_preds()
        spent = perf_counter() - start
        rows.append((name, *errors(predicted, true, args.size), spent))
        print(rows[-1], flush=True)
    lines = ["| stage | MSE in [-1, 1] | pixels | s |", "|---|---|---|---|"]
    lines += [f"| {n} | {e:.5f} | {p:.2f} | {s:.0f} |" for n, e, p, s in rows]
    text = "\n".join(lines)
    print(text)
    if args.out:
        args.out.write_text(
            f"# 68 points of a face, validation by person, {args.size} px\n\n{text}\n\n"
            "Pixels are those of the input. 3 epochs frozen at 1e-2, 12 unfrozen at slice(1e-3, "
            "1e-2), dropout .1, one seed.\n\n"
            f"`python benchmarks/faces.py DATA --size {args.size}"
            f"{' --from-zero' if args.from_zero else ''} --out FILE`; a ridge regression on pixels "
            f"reaches MSE .0087; torch {torch.__version__}, CPU, one thread of a busy machine\n"
        )


if __name__ == "__main__":
    main()
