"""What a cache of decoded images gives: images a second of the loader, and seconds an epoch.

    python benchmarks/cached_images.py FOLDER [--size 224] [--arch resnet18] [--epochs 3]

FOLDER holds images in folders of classes. In one run, in turn: without a cache, with one that is
filled (the first epoch), and with one that is full; medians of `--rounds`. Beside them stands the
disk that the cache takes.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

from onecycle import PixelCache
from onecycle.vision import ImageList, cnn_learner, get_transforms


def data_of(folder, size, cache):
    items = ImageList.from_folder(folder).split_by_rand_pct(0.2, seed=0).label_from_folder()
    items = items.transform(get_transforms(), size=size)
    return items.databunch(bs=32, device="cpu", check=False, find_copies=False, cache=cache)


def pass_over(loader):
    begin, count = time.perf_counter(), 0
    for x, _ in loader:
        count += len(x)
    return count / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--arch", default="resnet18")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rates = {name: ([], []) for name in ("without", "being filled", "full")}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            cache = PixelCache(folder)
            for name, given in (("without", None), ("being filled", cache), ("full", cache)):
                data = data_of(options.folder, options.size, given)
                for side, found in zip((data.train_dl, data.valid_dl), rates[name], strict=True):
                    found.append(pass_over(side))
            held = sum(file.stat().st_size for file in Path(folder).glob("*.pixels"))
    print(f"| cache | training images a second at {options.size} px | validation |\n|---|---|---|")
    for name, sides in rates.items():
        cells = [f"{median(s):.0f} ({min(s):.0f}-{max(s):.0f})" for s in sides]
        print(f"| {name} | {' | '.join(cells)} |")
    count = len(data.train_ds) + len(data.valid_ds)
    print(f"\n{held / 1e6:.0f} MB for {count} images, {held / count / 1e3:.0f} KB each")
    with tempfile.TemporaryDirectory() as folder:
        for name, cache in (("without", None), ("with", PixelCache(folder))):
            data = data_of(options.folder, options.size, cache)
            learn = cnn_learner(data, options.arch, pretrained=False)
            seconds = []
            for _ in range(3):
                begin = time.perf_counter()
                learn.fit(1, 1e-3)
                seconds.append(time.perf_counter() - begin)
            print(f"{name} a cache, {options.arch} frozen, epochs in s:",
                  " ".join(f"{s:.1f}" for s in seconds))  # fmt: skip


if __name__ == "__main__":
    main()
