"""Draw small data sets in the layouts of the course's archives, for the notebooks beside this file.

python examples/notebooks/draw_data.py FOLDER
ONECYCLE_HOME=FOLDER python scripts/run_notebook.py examples/notebooks/pets.ipynb
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from onecycle import butterflies_sample, planet_sample, reviews_sample
from onecycle.samples.reviews import review
from onecycle.samples.streets import streets_sample


def draw_all(home: Path, scale: float = 1.0) -> Path:
    """Everything below `home/data`; `scale` 1 are some hundred images of each kind."""
    data = home / "data"
    count = max(40, int(300 * scale))
    butterflies_sample(data / "oxford-iiit-pet", n=count, size=64)
    (data / "oxford-iiit-pet/annotations").mkdir(exist_ok=True)
    planet_sample(data / "planet", n=count, n_test=10, size=64)
    streets_sample(data / "camvid", n=count // 2, size=(48, 64))
    draw_heads(data / "biwi_head_pose", max(8, count // 4))
    reviews_sample(data / "imdb_sample", n=count)
    write_reviews(data / "imdb", count // 2)
    return home


def write_reviews(root: Path, count: int) -> None:
    """`count` reviews of each class on both sides, and as many without a class, as text files."""
    places = [f"{side}/{name}" for side in ("train", "test") for name in ("neg", "pos")]
    for number, place in enumerate([*places, "unsup"]):
        (root / place).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            rng = np.random.default_rng([number, i])
            good = i % 2 == 0 if place == "unsup" else place.endswith("pos")
            (root / place / f"{i}_0.txt").write_text(review(rng, good), "utf-8")


def draw_heads(root: Path, frames: int) -> None:
    """Skin-coloured ovals before a wall; their centre in 3-D, and the camera, as text files."""
    rng = np.random.default_rng(0)
    focus, middle = 60.0, (40.0, 30.0)
    for person in ("01", "09", "13"):
        folder = root / person
        folder.mkdir(parents=True, exist_ok=True)
        matrix = [[focus, 0, middle[0]], [0, focus, middle[1]], [0, 0, 1]]
        rows = matrix + [[0, 0, 0]] * 6
        (folder / "rgb.cal").write_text("\n".join(" ".join(map(str, row)) for row in rows) + "\n")
        for number in range(frames):
            x, y, depth = rng.uniform(-25, 25), rng.uniform(-16, 16), rng.uniform(800, 1100)
            image = Image.new("RGB", (80, 60), tuple(int(v) for v in rng.integers(60, 140, 3)))
            cx, cy, r = middle[0] + x, middle[1] + y, 7000 / depth
            skin = (225, 180, 150)
            ImageDraw.Draw(image).ellipse([cx - r, cy - r * 1.3, cx + r, cy + r * 1.3], skin)
            image.save(folder / f"frame_{number:05d}_rgb.jpg", quality=92)
            centre = f"{x * depth / focus} {y * depth / focus} {depth}"
            turn = "1 0 0\n0 1 0\n0 0 1\n"
            (folder / f"frame_{number:05d}_pose.txt").write_text(f"{turn}\n{centre}\n")


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]))
