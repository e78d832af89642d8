"""Which car? Classes that differ in details only, from a folder of images per class.

    python examples/which_car.py                  # breeds of drawn butterflies stand in
    python examples/which_car.py --data cars --arch resnet34    # cars/train/<model>/..., cars/valid

`small` comes with the package; of any other `--arch` the published weights are taken, or those of a
file, `--weights`. Details need pixels: small images first, then the same network on larger ones.
"""

import pathlib

import typer

from onecycle.vision import *


def at(root, size, bs, seed=42):
    valid = "val" if (root / "val").is_dir() else "valid"
    data = ImageDataBunch.from_folder(
        root, valid=valid, ds_tfms=get_transforms(max_warp=0.1), size=size, bs=bs, batch_seed=seed
    )
    return data.normalize(half_stats)


def main(
    data: pathlib.Path | None = None,
    out: pathlib.Path = Path("which-car"),
    quick: bool = False,
    arch: str = "small",
    weights: str = "",
) -> Path:
    """Train, export, and write the site into out/site."""
    n, size, bs, epochs = (40, 32, 8, 1) if quick else (600, 96, 32, 6)
    root = Path(data or butterflies_sample(out / "data", n, size * 2, layout="folders"))
    known = weights or ("small" if arch == "small" else True)
    learn = cnn_learner(at(root, size, bs), arch, pretrained=known, metrics=accuracy)
    most, share = (1e-2, 1.0) if arch == "small" else (5e-3, 0.1)  # a large body is to change less
    learn.fit_one_cycle(epochs, most)
    learn.unfreeze().fit_one_cycle(2 * epochs, slice(1e-3 * share, 5e-3 * share))
    learn.data = at(root, size * 3 // 2, bs)
    learn.fit_one_cycle(epochs, slice(3e-4 * share, 3e-3 * share))
    model = learn.export((out / "which-car.onnx").absolute())
    return write_site(model, out / "site", title="Which one is it?")


if __name__ == "__main__":
    typer.run(main)
