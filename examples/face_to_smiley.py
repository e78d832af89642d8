"""Face to smiley: the camera sees your face, and a drawn smiley makes the same.

    python examples/face_to_smiley.py             # on drawn faces
    python examples/face_to_smiley.py --data me   # me/happy/*.jpg, me/angry/*.jpg, ...
    python examples/face_to_smiley.py --data faces --points points.csv

With `--points` (file, x0, y0, ... y67, is_valid) the mouth's landmarks say the class; the theme
`smileys.json` says what is drawn for each. On the page, press "Live camera".
"""

import json
import pathlib

import numpy as np
import typer

from onecycle.data.frames import read_table
from onecycle.vision import *

THEME = json.loads(Path(__file__).with_name("smileys.json").read_text())


def by_mouth(row):
    """The class of a face from its 68 landmarks."""
    x, y = (np.array([float(row[f"{axis}{i}"]) for i in range(68)]) for axis in "xy")
    wide = np.hypot(x[54] - x[48], y[54] - y[48])
    gap = np.hypot(x[66] - x[62], y[66] - y[62]) / wide  # between the lips
    smile = wide / np.hypot(x[45] - x[36], y[45] - y[36])  # against the eyes' outer corners
    return "happy" if smile > 0.63 else "surprised" if gap > 0.2 else "calm"


def labelled(root, points):
    if not points:
        return ImageList.from_folder(root).split_by_rand_pct(0.2, seed=42).label_from_folder()
    table = read_table(root / points)
    table["class"] = [by_mouth(row) for _, row in table.iterrows()]
    split = ImageList.from_df(table, root, "file", folder="images").split_from_df("is_valid")
    return split.label_from_df("class")


def main(
    data: pathlib.Path | None = None,
    points: str = "",
    out: pathlib.Path = Path("smiley"),
    quick: bool = False,
) -> Path:
    """Train, export, and write the site into out/site."""
    n, size, epochs = (60, 32, 1) if quick else (1200, 64, 20)
    src = labelled(Path(data or faces_sample(out / "data", n, size * 3 // 2)), points)
    bunch = src.transform(get_transforms(max_lighting=0.4), size=size).databunch(bs=32)
    learn = cnn_learner(bunch.normalize(half_stats), "small", pretrained="small", metrics=accuracy)
    learn.fit_one_cycle(1, 1e-2)
    learn.unfreeze().fit_one_cycle(epochs, slice(3e-3, 1e-2))
    model = learn.export((out / "smiley.onnx").absolute())
    theme = {name: THEME.get(name, "🙂") for name in bunch.classes}
    return write_site(model, out / "site", "Make a face", theme)


if __name__ == "__main__":
    typer.run(main)
