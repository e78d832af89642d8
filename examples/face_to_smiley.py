"""Face to smiley: the camera sees your face, and a drawn smiley makes the same.

    python examples/face_to_smiley.py             # on drawn faces
    python examples/face_to_smiley.py --data me   # me/happy/*.jpg, me/angry/*.jpg, ...

Let the face fill the images, as it will the camera's. The theme `smileys.json` says what is drawn
for each class. On the page, press "Live camera".
"""

import json
import pathlib

import typer

from onecycle.vision import *

THEME = json.loads(Path(__file__).with_name("smileys.json").read_text())


def main(
    data: pathlib.Path | None = None, out: pathlib.Path = Path("smiley"), quick: bool = False
) -> Path:
    """Train, export, and write the site into out/site."""
    n, size, epochs = (60, 32, 1) if quick else (1200, 64, 20)
    root = Path(data or faces_sample(out / "data", n, size * 3 // 2))
    src = ImageList.from_folder(root).split_by_rand_pct(0.2, seed=42).label_from_folder()
    bunch = src.transform(get_transforms(max_lighting=0.4), size=size).databunch(bs=32)
    learn = cnn_learner(bunch.normalize(half_stats), "small", pretrained="small", metrics=accuracy)
    learn.fit_one_cycle(1, 1e-2)
    learn.unfreeze().fit_one_cycle(epochs, slice(3e-3, 1e-2))
    model = learn.export((out / "smiley.onnx").absolute())
    theme = {name: THEME.get(name, "🙂") for name in bunch.classes}
    return write_site(model, out / "site", "Make a face", theme)


if __name__ == "__main__":
    typer.run(main)
