"""How lists of files grow: seconds and bytes an item, from a thousand to ten million.

    python benchmarks/list_growth.py [--most 10000000]      # names alone, no files
    python benchmarks/list_growth.py --files 1000000        # empty files, drawn once below --to

Each size runs in a process of its own: list, split, label, databunch (check=False), the order of
an epoch. Bytes are what the process holds more than before, without what importing takes; "names"
is the length of a path. Beside --files stands `os.walk` over the same folder (medians of 5).
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

FOLDERS = 1000


def held():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def grow(count):
    import resource

    import torch  # noqa: F401 - before memory is counted

    from onecycle.data import databunch, labels  # noqa: F401
    from onecycle.vision import ImageList

    warnings.simplefilter("ignore")
    classes = min(FOLDERS, max(count // 10, 2))
    names = (f"class{i % classes:04}/image{i:08}.jpg" for i in range(count))
    before, seconds = held(), []

    def step(func):
        begin = time.perf_counter()
        made = func()
        seconds.append(time.perf_counter() - begin)
        return made

    items = step(lambda: ImageList.from_paths(names, "/data/photos"))
    one = held()
    split = step(lambda: items.split_by_rand_pct(0.1, seed=0))
    labelled = step(split.label_from_folder)
    data = step(
        lambda: labelled.transform(None, size=64).databunch(check=False, bs=64, device="cpu")
    )
    order = step(lambda: data.train_dl.begin())
    every = held()
    del order
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    cells = [f"{s:.2f}" for s in seconds]
    cells += [f"{(size - before) / count:,.0f}" for size in (one, every, peak)]
    print(f"| {count:,} | {len(str(items.items[0]))} | {' | '.join(cells)} |", flush=True)


def draw(root, count):
    for c in range(FOLDERS):
        folder = root / f"c{c:04}"
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(count // FOLDERS):
            (folder / f"image{i:07}.jpg").touch()
    (root / "drawn").touch()


def walk(root):
    return sum(len(names) for _, _, names in os.walk(root))


def against_walk(root, count):
    from onecycle.vision import ImageList

    if not (root / "drawn").exists():
        draw(root, count)
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        walk(root)
        middle = time.perf_counter()
        ImageList.from_folder(root)
        times.append((middle - begin, time.perf_counter() - middle))
    walked, listed = (median(column) for column in zip(*times, strict=True))
    ratio = median(b / a for a, b in times)
    print(f"{count:,} files: os.walk {walked:.2f} s, from_folder {listed:.2f} s, {ratio:.2f} times")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=10_000_000)
    parser.add_argument("--files", type=int)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, default=Path(tempfile.gettempdir()) / "list_growth")
    options = parser.parse_args()
    if options.only:
        grow(options.only)
    elif options.files:
        against_walk(options.to / str(options.files), options.files)
    else:
        print("| items | names | list, s | split | label | databunch | order of an epoch "
              "| list, bytes an item | all | peak |\n|" + "---|" * 10, flush=True)  # fmt: skip
        count = 1000
        while count <= options.most:
            subprocess.run([sys.executable, __file__, "--only", str(count)], check=True)
            count *= 10


if __name__ == "__main__":
    main()
