"""CamVid: a class for every pixel of a street scene, with a U-Net; the page lays them over a photo.

python examples/camvid.py                     # on drawn streets
python examples/camvid.py --data camvid       # images/*.jpg, labels/*_P.png, codes.txt, valid.txt
"""

import pathlib
from functools import partial

import typer

from onecycle.vision import *


def at(src, size, bs):
    tfms = get_transforms(max_rotate=5.0)
    return src.transform(tfms, size=size, tfm_y=True).databunch(bs=bs).normalize(half_stats)


def main(
    data: pathlib.Path | None = None, out: pathlib.Path = Path("camvid"), quick: bool = False
) -> Path:
    """Train on small images, then on larger ones; export, and write the site into out/site."""
    n, (h, w), epochs = (20, (24, 32), 1) if quick else (240, (120, 160), 6)
    root = Path(data or streets_sample(out / "data", n, (h, w)))
    codes = (root / "codes.txt").read_text().split()
    src = (
        SegmentationItemList.from_folder(root / "images")
        .split_by_fname_file("../valid.txt")
        .label_from_func(lambda file: root / "labels" / f"{file.stem}_P.png", classes=codes)
    )
    void = codes.index("Void")
    scores = [partial(foreground_acc, void_code=void), partial(mean_iou, void=void)]
    learn = unet_learner(
        at(src, (h // 2, w // 2), 8), models.small, pretrained="small", metrics=scores, bottle=True
    )
    learn.fit_one_cycle(epochs, 1e-2)
    learn.unfreeze()
    learn.fit_one_cycle(epochs, slice(1e-3, 1e-2))
    learn.data = at(src, (h, w), 4)
    learn.fit_one_cycle(epochs, slice(5e-4, 5e-3))
    model = learn.export((out / "streets.onnx").absolute())
    return write_site(model, out / "site", title="What is in the street?")


if __name__ == "__main__":
    typer.run(main)
