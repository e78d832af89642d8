"""Drawn hands that sign the digits 0 to 9 of American Sign Language, told by their fingers."""

from pathlib import Path

import cv2
import numpy as np

from onecycle.samples.drawing import Pen, Rng, class_folders, noise

VERSION = 1
SIGNS = {  # what is stretched: thumb, index, middle, ring, little finger
    "0": "",
    "1": "i",
    "2": "im",
    "3": "tim",
    "4": "imrl",
    "5": "timrl",
    "6": "imr",
    "7": "iml",
    "8": "irl",
    "9": "mrl",
}
_FINGERS = {"i": (-0.66, 1.35), "m": (-0.23, 1.55), "r": (0.21, 1.4), "l": (0.62, 1.05)}


def hands_sample(dest: Path | str, n: int = 800, size: int = 96, seed: int = 0) -> Path:
    """Draw `n` hands, left and right, of `size` pixels: `7/12.jpg`, a folder for each digit.

    Hand i depends on `seed` and i alone.
    """
    about = {"set": "hands", "version": VERSION, "n": n, "size": size, "seed": seed}
    return class_folders(dest, about, SIGNS, draw)


def draw(rng: Rng, size: int, digit: str) -> np.ndarray:
    """One hand: floats in 0-1 (size, size, 3), RGB."""
    side, up = 2 * size, SIGNS[digit]
    wall = rng.uniform(0.2, 0.9) + rng.normal(0, 0.1, 3)
    ground = wall * (1 + 0.15 * noise(rng, side, 3, 3)[:, :, None])
    middle = np.array([0.5, 0.62]) + rng.uniform(-0.05, 0.05, 2)
    pen = Pen(ground, middle, rng.uniform(0.15, 0.19), rng.normal(0, 0.16))
    skin = np.array([1.0, 0.79, 0.66]) * rng.uniform(0.4, 1.0) * rng.normal(1, 0.03, 3)
    pen.line([(0, 0.9), (0.05, 4)], rng.uniform(0.1, 0.9, 3), 1.7)
    pen.line([(0, 0.5), (0, 1.5)], skin, 1.15)
    palm = [(-0.9, -0.7), (0.86, -0.66), (0.84, 0.5), (0.5, 1.0), (-0.55, 1.0), (-0.9, 0.5)]
    pen.shape(palm, skin)
    folded = []
    for letter, (x, long) in _FINGERS.items():
        lean = 0.4 * x + rng.normal(0, 0.05)
        if letter in up:
            tip = (x + long * np.sin(lean), -0.75 - long * np.cos(lean) * rng.uniform(0.92, 1.05))
            _finger(pen, [(x, -0.5), tip], skin, 0.4)
        else:
            folded.append((x, -0.28))
            _finger(pen, [(x, -0.72), (x, -0.25)], skin * 0.94, 0.43)
    _thumb(rng, pen, skin, folded, "t" in up)
    light = 1 + rng.uniform(-0.3, 0.3) * np.linspace(-1, 1, side)[None, :, None]
    small = cv2.resize(pen.floats() * light, (size, size), interpolation=cv2.INTER_AREA)
    small = small[:, :: rng.choice([-1, 1])]
    return small * rng.uniform(0.75, 1.15) + rng.normal(0, 0.02, small.shape)


def _thumb(
    rng: Rng, pen: Pen, skin: np.ndarray, folded: list[tuple[float, float]], out: bool
) -> None:
    """Stretched to the side, or over the palm to the folded finger that it touches."""
    if out:
        tip = (-1.55 + rng.normal(0, 0.06), -0.5 + rng.normal(0, 0.08))
        _finger(pen, [(-0.6, 0.45), (-1.15, 0.05), tip], skin, 0.42)
        return
    tip = folded[0] if len(folded) == 1 else (-0.05, 0.05)
    _finger(pen, [(-0.68, 0.5), (-0.55, 0.12), (tip[0], tip[1] + 0.12)], skin, 0.4)


def _finger(pen: Pen, joints: list[tuple[float, float]], skin: np.ndarray, width: float) -> None:
    """A rounded finger with a darker edge."""
    pen.line(joints, skin * 0.62, width + 0.09)
    pen.line(joints, skin, width)
