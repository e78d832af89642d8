"""Guitars: a folder of images per class, as you save them from an image search.

    python examples/guitars.py                    # on drawn guitars
    python examples/guitars.py --data guitars     # guitars/acoustic/*.jpg, guitars/electric/...

Broken files are removed first (from your folder), a fifth of the images validates.
"""

import pathlib

import typer

from onecycle.vision import *


def main(
    data: pathlib.Path | None = None, out: pathlib.Path = Path("guitars"), quick: bool = False
) -> Path:
    """Train, export, and write the site into out/site."""
    n, size, epochs = (40, 32, 1) if quick else (400, 96, 5)
    root = Path(data or guitars_sample(out / "data", n, size * 4 // 3))
    for folder in (f for f in root.iterdir() if f.is_dir()):
        verify_images(folder, delete=True, max_size=500)
    bunch = ImageDataBunch.from_folder(
        root, train=".", valid_pct=0.2, seed=42, ds_tfms=get_transforms(), size=size, bs=16
    ).normalize(half_stats)
    learn = cnn_learner(bunch, models.small, pretrained="small", metrics=error_rate)
    learn.fit_one_cycle(epochs, 1e-2)
    learn.unfreeze()
    learn.fit_one_cycle(epochs, slice(1e-3, 5e-3))
    model = learn.export((out / "guitars.onnx").absolute())
    return write_site(model, out / "site", title="Which guitar is it?")


if __name__ == "__main__":
    typer.run(main)
