"""Hummingbirds: from lists of addresses to a model in one file.

    python examples/hummingbirds.py data/birds

The folder holds one list per class, such as `rufous.csv` and `calliope.csv`, with the address of a
picture in each line, as an image search gives them.
"""

import sys

from onecycle import Path, download_images, verify_images
from onecycle.vision import *


def main(root: Path, arch=models.small, pretrained="small", epochs=4, size=128) -> Path:
    for listed in sorted(root.glob("*.csv")):
        if not (root / listed.stem).is_dir():
            download_images(listed, root / listed.stem, max_pics=200)
        verify_images(root / listed.stem, delete=True, max_size=500)
    data = ImageDataBunch.from_folder(
        root, train=".", valid_pct=0.2, seed=42, ds_tfms=get_transforms(), size=size, bs=16
    ).normalize(half_stats)
    learn = cnn_learner(data, arch, pretrained=pretrained, metrics=error_rate)
    learn.fit_one_cycle(epochs)
    return learn.export("birds.onnx")


if __name__ == "__main__":
    print(f"now: onecycle site {main(Path(sys.argv[1]))} page")
