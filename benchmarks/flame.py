"""What loads batches when py-spy looks at it: passes over augmented training images.

    py-spy record --rate 250 --duration 20 --output docs/loader.svg -- \\
        python benchmarks/flame.py FOLDER --size 224

FOLDER holds images/*.jpg and labels.csv, as `bench.py` lays them out. One thread loads, so that
nobody waits for Python's lock and every sample is work.
"""

import argparse
from pathlib import Path
from time import perf_counter

from onecycle.vision import ImageList, get_transforms, imagenet_stats


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seconds", type=float, default=25)
    args = parser.parse_args()
    tfms = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    items = ImageList.from_csv(args.folder, "labels.csv", folder="images", suffix=".jpg")
    sides = items.split_by_rand_pct(0.2, seed=42).label_from_df(label_delim=" ")
    data = sides.transform(tfms, size=args.size).databunch(bs=64, num_workers=0)
    loader = data.normalize(imagenet_stats).train_dl
    images, start = 0, perf_counter()
    while perf_counter() - start < args.seconds:
        images += sum(len(x) for x, _ in loader)
    print(f"{images / (perf_counter() - start):,.0f} images/s")


if __name__ == "__main__":
    main()
