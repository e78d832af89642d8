"""Butterflies of five made-up breeds, told by the pattern on their wings, not by colour."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from onecycle.core.errors import UsageError
from onecycle.samples.drawing import Rng, blend, in_threads, noise, whole_folder, write_image

VERSION = 1


def butterflies_sample(
    dest: Path | str, n: int = 400, size: int = 128, seed: int = 0, layout: str = "files"
) -> Path:
    """Draw `n` images of `size` pixels into `dest`.

    layout "files": `images/Breed_Name_12.jpg`, the label is in the name; "folders":
    `train/Breed_Name/12.jpg` and `valid/…`, every fifth image validates.
    """
    if layout not in {"files", "folders"}:
        raise UsageError(f'layout is "files" or "folders", not {layout!r}')
    about = {"set": "butterflies", "version": VERSION, "n": n, "size": size, "seed": seed}
    about["layout"] = layout
    names = list(BREEDS)

    def fill(root: Path) -> None:
        def one(i: int) -> None:
            name = names[i % len(names)]
            place = root / "images" / f"{name}_{i}.jpg"
            if layout == "folders":
                side = "valid" if (i // len(names)) % 5 == 4 else "train"
                place = root / side / name / f"{i}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_image(place, draw(np.random.default_rng([seed, i]), size, name))

        in_threads(one, range(n))

    return whole_folder(dest, about, fill)


def draw(rng: Rng, size: int, breed: str) -> np.ndarray:
    """One butterfly on leaves: floats in 0-1 (size, size, 3), RGB."""
    side = size * 2
    ground, first, second = (rng.uniform(0.15, 0.9, 3).astype(np.float32) for _ in range(3))
    while np.abs(first - second).mean() < 0.2:
        second = rng.uniform(0.1, 0.95, 3).astype(np.float32)
    leaves = 1 + 0.25 * noise(rng, side, 6)
    image = ground * leaves[:, :, None]
    x, y = _wing_coordinates(rng, side)
    wings = _wings(x, y)
    marks = BREEDS[breed](rng, x, y)
    colour = blend(np.broadcast_to(first, (side, side, 3)), second, marks)
    image = blend(image, colour * (1 + 0.06 * noise(rng, side, 12)[:, :, None]), wings)
    body = ((np.abs(x) < 0.05) & (np.abs(y) < 0.55)).astype(np.float32)
    image = blend(image, np.float32(0.12), body)
    small = cv2.resize(image.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return small * rng.uniform(0.75, 1.2) + rng.normal(0, 0.015, small.shape)


def _wing_coordinates(rng: Rng, side: int) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of every pixel in the butterfly's own frame: wings reach to about 1."""
    angle, scale = rng.uniform(-0.7, 0.7), rng.uniform(0.34, 0.46) * side
    cx, cy = (0.5 + rng.uniform(-0.06, 0.06, 2)) * side
    v, u = np.mgrid[:side, :side].astype(np.float32)
    u, v = (u - cx) / scale, (v - cy) / scale
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return (u * c + v * s) * np.float32(rng.uniform(0.9, 1.2)), v * c - u * s


def _wings(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Four wings, each an ellipse, as 0-1."""
    x = np.abs(x)
    upper = ((x - 0.5) / 0.52) ** 2 + ((y + 0.32 + 0.25 * (x - 0.5)) / 0.42) ** 2
    lower = ((x - 0.38) / 0.38) ** 2 + ((y - 0.42) / 0.4) ** 2
    return ((upper < 1) | (lower < 1)).astype(np.float32)


def _stripes(rng: Rng, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bands that run outwards."""
    return _step(np.sin(rng.uniform(14, 18) * y + rng.uniform(0, 6)))


def _bars(rng: Rng, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bands that run along the body."""
    return _step(np.sin(rng.uniform(14, 18) * np.abs(x) + rng.uniform(0, 6)))


def _dots(rng: Rng, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Round dots on a lattice."""
    k = rng.uniform(14, 18)
    return _step(np.cos(k * np.abs(x)) + np.cos(k * y + rng.uniform(0, 6)) - 0.45)


def _rings(rng: Rng, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rings around an eye on each upper wing."""
    far = np.hypot(np.abs(x) - 0.5, y + 0.3)
    return _step(np.sin(rng.uniform(16, 20) * far + rng.uniform(0, 6)))


def _clouds(rng: Rng, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Patches without order, the same on both sides."""
    patches = noise(rng, len(x), 9, 2)
    place = ((np.abs(x) * 0.4 + 0.1) * len(x)).clip(0, len(x) - 1).astype(np.int32)
    level = ((y * 0.4 + 0.5) * len(x)).clip(0, len(x) - 1).astype(np.int32)
    return _step(patches[level, place])


def _step(values: np.ndarray) -> np.ndarray:
    return (0.5 + 0.5 * np.tanh(6 * values)).astype(np.float32)


BREEDS: dict[str, Callable[[Rng, np.ndarray, np.ndarray], np.ndarray]] = {
    "Banded_Glider": _stripes,
    "Barred_Monk": _bars,
    "Dotted_Admiral": _dots,
    "Eyed_Satyr": _rings,
    "Mottled_Duke": _clouds,
}
