"""Time and memory of the first steps on many files: list, label, databunch, check, show_batch.

    python benchmarks/many_files.py 100000 10000     # files, classes; drawn once below --to

The files are JPEGs of 160 x 120, 8 KB each, all different. Prints a Markdown table; the cache is a
new one, so that "first" is what a user waits for once, and "again" what every later run costs.
"""

import argparse
import os
import resource
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np


def draw(root, count, classes):
    """`count` images in `classes` folders, unless they are there."""
    import cv2
    import simplejpeg

    mark = root / f"{count}-{classes}.done"
    if mark.exists():
        return
    rng = np.random.default_rng(0)
    for c in range(classes):
        (root / f"c{c:05}").mkdir(parents=True, exist_ok=True)
    for i in range(count):
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
        image = cv2.add(image, rng.integers(0, 12, image.shape, dtype=np.uint8))
        file = root / f"c{i % classes:05}" / f"{i:07}.jpg"
        file.write_bytes(simplejpeg.encode_jpeg(image, 75))
    mark.touch()
    time.sleep(3)  # files that were written just now are not kept in the cache


@contextmanager
def timed(step):
    begin, worked = time.perf_counter(), time.process_time()
    yield
    seconds, work = time.perf_counter() - begin, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {step} | {seconds:.2f} | {work:.2f} | {peak:,.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    parser.add_argument("classes", type=int, nargs="?", default=10_000)
    parser.add_argument("--to", type=Path, default=Path(tempfile.gettempdir()) / "many_files")
    options = parser.parse_args()
    root = options.to / f"{options.count}-{options.classes}"
    draw(root, options.count, options.classes)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ONECYCLE_CACHE"] = cache
        print("| step | seconds | of processors | peak memory, MB |\n|---|---|---|---|")
        measure(root)
        size = sum(file.stat().st_size for file in Path(cache).iterdir())
        print(f"\nThe cache holds {size / 1e6:.0f} MB.")


def measure(root):
    with timed("import"):
        from onecycle.vision import ImageList, get_transforms
    with timed("from_folder"):
        items = ImageList.from_folder(root)
    with timed("split, label_from_folder"):
        labelled = items.split_by_rand_pct(0.1, seed=0).label_from_folder()
    labelled = labelled.transform(get_transforms(), size=64)
    how = {"bs": 64, "device": "cpu"}
    with timed('databunch(check="all"), first'):
        labelled.databunch(check="all", **how)
    with timed("again"):
        labelled.databunch(check="all", **how)
    with timed('databunch(check="sample")'):
        labelled.databunch(check="sample", **how)
    with timed("databunch(check=False)"):
        data = labelled.databunch(check=False, **how)
    with timed("one_batch"):
        data.one_batch()
    with timed("show_batch"):
        data.show_batch(3)
    with timed("check(), first"):
        data.check()
    with timed("again"):
        report = data.check()
    with timed("print the report"):
        str(report)


if __name__ == "__main__":
    main()
