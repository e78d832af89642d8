"""Images of series against networks for series, on sets drawn by seeds, where images may lose.

    python benchmarks/series.py --log FILE [--seeds 3] [--sets long] [--ways fields]
    python benchmarks/series.py --arrays FOLDER    (the drawn sets, for --peer)
    python benchmarks/series.py --peer FOLDER      (aeon's MiniRocket on them; needs aeon alone)

`short`: cylinders, bells and funnels (Saito 1994), 128 steps, 30 to train. `long`: ten appliances
by the period, length and shape of what they draw, 1,460 steps at any phase, 100 to train.
`channels`: nine classes of twelve channels of 60 steps, of other levels and courses, 90 to train. A
finished training is a line of the log, and a second call goes on from there. Test sides are looked
at once, at the end of each. CPU seconds of one core.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np


def short(rng):
    """(x, y): train and test, 30 and 300 series."""
    n, t = 330, np.arange(128)
    y = np.arange(n) % 3
    start, width = rng.uniform(16, 32, n)[:, None], rng.uniform(32, 96, n)[:, None]
    inside = (t >= start) & (t <= start + width)
    share = np.clip((t - start) / width, 0, 1)
    shape = np.stack([np.ones_like(share), share, 1 - share])[y, np.arange(n)]
    height = 6 + rng.normal(size=(n, 1))
    return (height * inside * shape + rng.normal(size=(n, 128)))[:, None], y, 30


def long(rng):
    """100 and 200 series."""
    n, t = 300, np.arange(1460)
    y = np.arange(n) % 10
    period = np.array([60, 60, 90, 90, 140, 140, 220, 220, 330, 330])[y] * rng.uniform(0.9, 1.1, n)
    on = np.where(y % 2, 0.3, 0.5)[:, None] * rng.uniform(0.9, 1.1, (n, 1))
    place = ((t + rng.uniform(0, 400, (n, 1))) / period[:, None]) % 1
    fall = np.where(y % 4 < 2, 0.0, 6.0)[:, None]
    power = (place < on) * np.exp(-fall * place) * rng.uniform(0.8, 1.2, (n, 1))
    spikes = (rng.random((n, 1460)) < 0.004) * rng.uniform(0, 3, (n, 1460))
    return (power + spikes + rng.normal(0, 0.15, (n, 1460)))[:, None], y, 100


def channels(rng):
    """90 and 180 series."""
    n, t = 270, np.linspace(0, 1, 60)
    y = np.arange(n) % 9
    level, turn = rng.normal(0, 0.5, (9, 12, 1)), rng.normal(0, 0.4, (9, 12, 3))
    waves = np.stack([np.sin(np.pi * k * t) for k in (1, 2, 3)])
    own = rng.normal(0, 0.7, (n, 12, 1)) + rng.normal(0, 0.7, (n, 12, 3)) @ waves
    return level[y] + turn[y] @ waves + own + rng.normal(0, 0.3, (n, 12, 60)), y, 90


SETS = {"short": short, "long": long, "channels": channels}
FIELDS = {"pixels": 64, "steps": 300, "bs": 8, "lr": 3e-3}
ITSELF = {"encodings": (), "steps": 300, "bs": 16, "lr": 2e-3, "arch": "inception_time"}
ROCKET = {
    "encodings": (),
    "steps": 300,
    "bs": 16,
    "lr": 1e-3,
    "arch": "mini_rocket",
    "cached": True,
}
WAYS = {
    "1-NN": None,
    "fields": FIELDS,
    "fields, 128 px": FIELDS | {"pixels": 128},
    "fields, 900 steps": FIELDS | {"steps": 900},
    "gasf alone": FIELDS | {"encodings": ("gasf",)},
    "mtf alone": FIELDS | {"encodings": ("mtf",)},
    "planes": FIELDS | {"layout": "planes"},
    "by train": FIELDS | {"by": "train"},
    "planes, by train": FIELDS | {"layout": "planes", "by": "train"},
    "inception_time": ITSELF,
    "mini_rocket": ROCKET,
    "mini_rocket, by train": ROCKET | {"by": "train"},
    "mini_rocket, ridge": ROCKET | {"ridge": True},
    "mini_rocket, ridge, by train": ROCKET | {"ridge": True, "by": "train"},
    "inception_time, by train": ITSELF | {"by": "train"},
    "inception_time, length 365": ITSELF | {"length": 365},
}


def drawn(name, seed):
    x, y, train = SETS[name](np.random.default_rng([len(name), seed]))
    return x.astype(np.float32), y, train


def nearest(x, y, train):
    """The share of test series whose nearest training series (Euclid) has their class."""
    flat = x.reshape(len(x), -1).astype(float)
    if x.shape[1] == 1:
        flat = (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)
    far = ((flat[train:, None] - flat[None, :train]) ** 2).sum(2)
    return float((y[:train][far.argmin(1)] == y[train:]).mean())


def network(x, y, train, seed, options):
    import torch

    from onecycle.learn.metrics import accuracy
    from onecycle.models import small
    from onecycle.series.encode import series_transforms
    from onecycle.series.learner import series_learner
    from onecycle.series.lists import SeriesList

    how = dict(options)
    steps, lr, bs, arch = (how.pop(k, None) for k in ("steps", "lr", "bs", "arch"))
    pixels, cached, ridge = (how.pop(k, None) for k in ("pixels", "cached", "ridge"))
    pixels = pixels and min(pixels // (2 if x.shape[1] > 1 else 1), x.shape[2])
    torch.manual_seed(seed)
    items = SeriesList.from_array(x, y, **how).split_by_idx(list(range(train, len(x))))
    changes = None if cached else series_transforms()
    data = items.label_from_df("label").transform(changes, size=pixels)
    data = data.databunch(bs=bs, val_bs=100, num_workers=0, seed=seed, device="cpu", check=False)
    options = {"metrics": accuracy, "silent": True}
    if arch:
        learn = series_learner(data, arch=arch, **options)
    else:
        learn = series_learner(data, small, pretrained="small", **options).unfreeze()
    if ridge:
        learn.fit_ridge()
    else:
        epochs = round(steps / len(data.train_dl))
        learn.fit_one_cycle(epochs, lr, cache_features=bool(cached))
    return float(learn.validate()[1])


def peer(folder, seed=0):
    from aeon.classification.convolution_based import MiniRocketClassifier

    for name in SETS:
        for file in sorted(folder.glob(f"{name}*.npz")):
            held = np.load(file, allow_pickle=False)
            x, y, train = held["x"], held["y"], int(held["train"])
            start = time.process_time()
            model = MiniRocketClassifier(random_state=seed).fit(x[:train], y[:train])
            found = float((model.predict(x[train:]) == y[train:]).mean())
            print(file.stem, f"{found:.3f}", f"{time.process_time() - start:.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path)
    parser.add_argument("--arrays", type=Path)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--ways", nargs="*", default=WAYS)
    args = parser.parse_args()
    if args.peer:
        peer(args.peer)
    elif args.arrays:
        args.arrays.mkdir(exist_ok=True)
        for name in args.sets:
            for seed in range(args.seeds):
                x, y, train = drawn(name, seed)
                np.savez(args.arrays / f"{name}{seed}.npz", x=x, y=y, train=train)
    else:
        measure(args)


def measure(args):
    rows = []
    if args.log.exists():
        rows = [json.loads(line) for line in args.log.read_text().splitlines()]
    done = {(row["set"], row["way"], row["seed"]): row for row in rows}
    for seed in range(args.seeds):
        for name in args.sets:
            for way in args.ways:
                if (name, way, seed) in done:
                    continue
                start = time.process_time()
                x, y, train = drawn(name, seed)
                options = WAYS[way]
                found = (
                    nearest(x, y, train) if options is None else network(x, y, train, seed, options)
                )
                row = {"set": name, "way": way, "seed": seed, "accuracy": round(found, 4)}
                row["seconds"] = round(time.process_time() - start, 1)
                done[name, way, seed] = row
                with args.log.open("a") as log:
                    log.write(json.dumps(row) + "\n")
    report(done, args)


def report(done, args):
    """The table, as Markdown."""
    print("| way | " + " | ".join(args.sets) + " |")
    print("|" + "---|" * (1 + len(args.sets)))
    for way in args.ways:
        cells = []
        for name in args.sets:
            held = [row for (n, w, _), row in done.items() if (n, w) == (name, way)]
            values = [row["accuracy"] for row in held]
            spread = f" ± {np.std(values):.3f}" if len(held) > 1 else ""
            seconds = np.mean([row["seconds"] for row in held]) if held else 0
            cells.append(f"{np.mean(values):.3f}{spread}, {seconds:.0f} s" if held else "")
        print(f"| {way} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
