"""Draw small data sets in the layouts of the course's archives, for the notebooks beside this file.

python examples/notebooks/draw_data.py FOLDER
ONECYCLE_HOME=FOLDER python scripts/run_notebook.py examples/notebooks/pets.ipynb
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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
    draw_digits(data, count // 2)
    write_numbers(data / "human_numbers", 20 * count)
    return home


def draw_digits(data: Path, count: int) -> None:
    """`count` of each digit to train on, a quarter as many to test, as PNG and as arrays."""
    pixels: dict[str, list[np.ndarray]] = {"training": [], "testing": []}
    for digit in range(10):
        for number in range(count + count // 4):
            side = "training" if number < count else "testing"
            image = digit_image(digit, np.random.default_rng([digit, number]))
            folder = data / "mnist_png" / side / str(digit)
            folder.mkdir(parents=True, exist_ok=True)
            image.save(folder / f"{number}.png")
            pixels[side].append(np.asarray(image, np.float32).ravel() / 255)
    (data / "mnist").mkdir(exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    for name, side in (("train", "training"), ("valid", "testing")):
        arrays[f"x_{name}"] = np.stack(pixels[side])
        arrays[f"y_{name}"] = np.repeat(np.arange(10), len(pixels[side]) // 10)
    np.savez(data / "mnist/digits.npz", **arrays)


def digit_image(digit: int, rng: np.random.Generator) -> Image.Image:
    """A digit in white on black, 28 x 28, of its own size, place, slant and noise."""
    image = Image.new("L", (28, 28))
    font = ImageFont.load_default(int(rng.integers(18, 25)))
    place = (14 + rng.uniform(-2, 2), 14 + rng.uniform(-2, 2))
    ImageDraw.Draw(image).text(place, str(digit), 255, font, "mm")
    turned = image.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR)
    noisy = np.asarray(turned) + rng.normal(0, 12, (28, 28))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
ONES += " sixteen seventeen eighteen nineteen"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def in_words(n: int) -> str:
    """A whole number from 1 to 9,999 in English words."""
    ones, tens = ONES.split(), TENS.split()
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if n >= size:
            rest = f" {in_words(n % size)}" if n % size else ""
            return f"{in_words(n // size)} {name}{rest}"
    if n < 20:
        return ones[n - 1]
    return " ".join([tens[n // 10 - 2], *([ones[n % 10 - 1]] if n % 10 else [])])


def write_numbers(root: Path, count: int) -> None:
    """The numbers from 1 on, one a line; the last fifth validates."""
    root.mkdir(parents=True, exist_ok=True)
    lines = [f"{in_words(n)} \n" for n in range(1, count + 1)]
    (root / "train.txt").write_text("".join(lines[: -count // 5]), "utf-8")
    (root / "valid.txt").write_text("".join(lines[-count // 5 :]), "utf-8")


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
