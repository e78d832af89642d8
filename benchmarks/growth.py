"""How costs grow: one picture of items, image size, workers, vocabulary, classes and batch size.

    python benchmarks/growth.py FOLDER [--log FILE] [--out docs/growth.png] [--most 10000000]

FOLDER holds images/*.jpg and labels.csv, as `bench.py` lays them out. Each point is a process of
its own; points that the log holds are not measured again. Lists are of names alone, 40 characters
long; steps are of a small network, so that what grows is seen.
"""

import argparse
import json
import subprocess
import sys
import warnings
from pathlib import Path
from statistics import median
from time import perf_counter

PANELS = {
    "items": ("items of a list", "seconds to list, split, label and batch"),
    "size": ("side of an image, px", "augmented images a second"),
    "workers": ("threads that load", "augmented images a second, 128 px"),
    "vocab": ("words of the vocabulary", "tokens a second of a language model"),
    "classes": ("classes", "milliseconds to validate 1,000 items"),
    "batch": ("images of a batch", "images a second in training, 64 px"),
}


def points(most):
    """{panel: its x values}."""
    items = [count for count in (10**n for n in range(3, 8)) if count <= most]
    return {
        "items": items,
        "size": [32, 64, 128, 224, 384],
        "workers": [0, 1, 2, 4, 8],
        "vocab": [1_000, 5_000, 20_000, 60_000],
        "classes": [2, 10, 100, 1_000, 10_000],
        "batch": [1, 4, 16, 64, 256],
    }


def of_items(folder, count):
    from onecycle.vision import ImageList

    classes = min(1000, max(count // 10, 2))
    names = (f"class{i % classes:04}/image{i:08}.jpg" for i in range(count))
    start = perf_counter()
    items = ImageList.from_paths(names, "/data/photos").split_by_rand_pct(0.1, seed=0)
    labelled = items.label_from_folder().transform(None, size=64)
    labelled.databunch(check=False, bs=64, device="cpu").train_dl.begin()
    return perf_counter() - start


def loader(folder, size, workers=2):
    from onecycle.vision import ImageList, get_transforms, imagenet_stats

    items = ImageList.from_csv(folder, "labels.csv", folder="images", suffix=".jpg")
    sides = items.split_by_rand_pct(0.2, seed=42).label_from_df(label_delim=" ")
    data = sides.transform(get_transforms(flip_vert=True, max_warp=0.0), size=size)
    batches = data.databunch(bs=64, num_workers=workers).normalize(imagenet_stats).train_dl
    rates = []
    for _ in range(4):
        start = perf_counter()
        count = sum(len(x) for x, _ in batches)
        rates.append(count / (perf_counter() - start))
    return median(rates[1:])


def of_size(folder, size):
    return loader(folder, size)


def of_workers(folder, workers):
    return loader(folder, 128, workers)


def of_vocab(folder, words):
    import torch

    from onecycle.models.awd_lstm import AWD_LSTM, LanguageModel

    model = LanguageModel(AWD_LSTM(words, 400, 400, 1), chunked=True)
    optimizer = torch.optim.Adam(model.parameters())
    ids = torch.randint(words, (16, 70))
    seconds = []
    for _ in range(5):
        start = perf_counter()
        model(ids).cross_entropy(ids).backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(perf_counter() - start)
    return ids.numel() / median(seconds[1:])


def of_classes(folder, classes):
    import numpy as np
    import torch
    from torch import nn

    from onecycle import Learner, accuracy
    from onecycle.data.arrays import from_arrays

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12_000, 32)).astype(np.float32), np.arange(12_000) % classes
    sides = x[:11_000], y[:11_000].astype(str), x[11_000:], y[11_000:].astype(str)
    data = from_arrays(*sides, bs=500, num_workers=0, check=False)
    learn = Learner(data, nn.Linear(32, classes), metrics=accuracy, silent=True)
    seconds = []
    for _ in range(5):
        start = perf_counter()
        learn.validate()
        seconds.append(perf_counter() - start)
    assert torch.is_grad_enabled()
    return 1000 * median(seconds[1:])


def of_batch(folder, size):
    import torch

    from onecycle.models import small

    model = torch.nn.Sequential(small(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    x, optimizer = torch.randn(size, 3, 64, 64), torch.optim.Adam(model.parameters())
    seconds = []
    for _ in range(max(4, 64 // size)):
        start = perf_counter()
        model(x).pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(perf_counter() - start)
    return size / median(seconds[1:])


def draw(found, out):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(12, 6.4), layout="constrained")
    for axis, (name, (x, y)) in zip(axes.flat, PANELS.items(), strict=True):
        held = sorted((float(key), value) for key, value in found[name].items())
        axis.plot(*zip(*held, strict=True), "o-", color="#0b6e4f")
        axis.set_xlabel(x)
        axis.set_title(y, fontsize=10)
        axis.grid(alpha=0.3)
        if held[-1][0] > 20 * max(1, held[0][0]):
            axis.set_xscale("log")
        if name == "items":
            axis.set_yscale("log")
        else:
            axis.set_ylim(0, 1.15 * max(value for _, value in held))
    figure.savefig(out, dpi=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--log", type=Path, default=Path("growth.json"))
    parser.add_argument("--out", type=Path, default=Path("growth.png"))
    parser.add_argument("--most", type=int, default=10**7)
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.point:
        name, x = args.point
        print(json.dumps(globals()[f"of_{name}"](args.folder, int(x))))
        return
    found = json.loads(args.log.read_text()) if args.log.exists() else {}
    for name, values in points(args.most).items():
        for x in values:
            if str(x) in found.setdefault(name, {}):
                continue
            command = [sys.executable, __file__, str(args.folder), "--point", name, str(x)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name][str(x)] = json.loads(done.stdout.splitlines()[-1])
            print(name, x, found[name][str(x)], flush=True)
            args.log.write_text(json.dumps(found))
    draw(found, args.out)


if __name__ == "__main__":
    main()
