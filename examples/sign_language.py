"""Sign language: the camera reads the digits that a hand signs, image by image.

    python examples/sign_language.py              # on drawn hands
    python examples/sign_language.py --data sign_digits    # sign_digits/0/*.jpg ... 9/*.jpg

People differ more than images of one person do, so the last fifth of each folder validates, not
a random one: number your files by person. On the page, press "Live camera".
"""

import pathlib

import typer

from onecycle.vision import *


def last_fifth(root):
    """The files that validate: the last of every folder, by name."""
    held = set()
    for folder in (f for f in sorted(root.iterdir()) if f.is_dir()):
        files = get_image_files(folder)
        held |= set(files[-max(1, len(files) // 5) :])
    return held


def main(
    data: pathlib.Path | None = None, out: pathlib.Path = Path("signs"), quick: bool = False
) -> Path:
    """Train, export, and write the site into out/site."""
    n, size, epochs = (60, 32, 1) if quick else (1200, 64, 20)
    root = Path(data or hands_sample(out / "data", n, size * 3 // 2))
    held = last_fifth(root)
    src = ImageList.from_folder(root).split_by_valid_func(held.__contains__).label_from_folder()
    # left hands sign as well; a camera is held askew, nearer or farther, in any light
    tfms = get_transforms(max_rotate=15, max_zoom=1.3, max_lighting=0.4, max_warp=0.2)
    bunch = src.transform(tfms, size=size).databunch(bs=32).normalize(half_stats)
    learn = cnn_learner(bunch, models.small, pretrained="small", metrics=accuracy)
    learn.fit_one_cycle(1, 1e-2)
    learn.unfreeze()
    learn.fit_one_cycle(epochs, slice(3e-3, 1e-2))
    model = learn.export((out / "signs.onnx").absolute())
    return write_site(model, out / "site", title="Which digit is it?")


if __name__ == "__main__":
    typer.run(main)
