"""Drawn faces, told by what they do and not by who they are: skin, hair and light are chance."""

from pathlib import Path

import cv2
import numpy as np

from onecycle.samples.drawing import Pen, Rng, class_folders, noise

VERSION = 1
EXPRESSIONS: dict[str, dict[str, float]] = {  # the rest is 0, eyes .55
    "angry": {"mouth": -0.6, "open": 0.1, "brows": -0.5, "frown": 0.9, "eyes": 0.5},
    "calm": {},
    "happy": {"mouth": 0.9, "open": 0.45, "brows": 0.2},
    "sad": {"mouth": -0.8, "brows": 0.2, "frown": -0.9, "eyes": 0.4},
    "surprised": {"open": 0.9, "brows": 0.9, "eyes": 1.0},
    "winking": {"mouth": 0.7, "wink": 1.0},
}
_SPREAD = {"mouth": 0.12, "open": 0.12, "brows": 0.15, "frown": 0.15, "eyes": 0.08, "wink": 0.0}


def faces_sample(dest: Path | str, n: int = 600, size: int = 96, seed: int = 0) -> Path:
    """Draw `n` faces of `size` pixels: `happy/12.jpg`, a folder for each of `EXPRESSIONS`.

    Face i depends on `seed` and i alone.
    """
    about = {"set": "faces", "version": VERSION, "n": n, "size": size, "seed": seed}
    return class_folders(dest, about, EXPRESSIONS, draw)


def draw(rng: Rng, size: int, expression: str) -> np.ndarray:
    """One face: floats in 0-1 (size, size, 3), RGB."""
    wanted = {"eyes": 0.55, **EXPRESSIONS[expression]}
    look = {key: wanted.get(key, 0.0) + rng.normal(0, s) for key, s in _SPREAD.items()}
    side = 2 * size
    wall = rng.uniform(0.2, 0.9) + rng.normal(0, 0.1, 3)
    ground = wall * (1 + 0.12 * noise(rng, side, 3, 3)[:, :, None])
    pen = Pen(ground, rng.uniform(0.43, 0.57, 2), rng.uniform(0.26, 0.33), rng.normal(0, 0.12))
    skin = np.array([1.0, 0.78, 0.63]) * rng.uniform(0.4, 1.0) * rng.normal(1, 0.03, 3)
    hair = np.array([0.8, 0.6, 0.35]) * rng.uniform(0.1, 1.1) * rng.normal(1, 0.08, 3)
    _head(rng, pen, skin, hair)
    for which in (-1, 1):
        _eye(pen, which, skin, look, float(rng.uniform(0.13, 0.17)), hair * 0.6)
    pen.line([(-0.03, 0.0), (-0.1, 0.28), (0.08, 0.3)], skin * 0.75, 0.045)
    _mouth(pen, skin, look)
    if rng.random() < 0.2:
        for which in (-1, 1):
            pen.ring(0.4 * which, -0.08, 0.29, 0.25, np.full(3, 0.12), 0.04)
        pen.line([(-0.12, -0.1), (0.12, -0.1)], np.full(3, 0.12), 0.04)
    light = 1 + rng.uniform(-0.3, 0.3) * np.linspace(-1, 1, side)[None, :, None]
    small = cv2.resize(pen.floats() * light, (size, size), interpolation=cv2.INTER_AREA)
    return small * rng.uniform(0.7, 1.15) + rng.normal(0, 0.02, small.shape)


def _head(rng: Rng, pen: Pen, skin: np.ndarray, hair: np.ndarray) -> None:
    """Neck, ears, head, and hair of some length."""
    shirt, long, top = rng.uniform(0.1, 0.9, 3), rng.random() < 0.5, rng.uniform(-0.85, -0.6)
    if long:
        pen.oval(0, 0.1, 1.15, rng.uniform(1.3, 1.6), hair)
    pen.oval(0, 2.3, 1.4, 1.0, shirt)
    pen.oval(0, 1.2, 0.38, 0.5, skin * 0.85)
    for which in (-1, 1):
        pen.oval(0.97 * which, 0.02, 0.14, 0.24, skin * 0.92)
    pen.oval(0, -0.35, 1.06, 1.1, hair)
    pen.oval(0, 0.08, 0.95, 1.15, skin)
    parting = rng.uniform(-0.5, 0.5)
    pen.shape(
        [(-0.98, -0.2), (-0.8, -0.9), (0, -1.25), (0.8, -0.9), (0.98, -0.2), (parting, top)], hair
    )


def _eye(
    pen: Pen, which: int, skin: np.ndarray, look: dict[str, float], iris: float, dark: np.ndarray
) -> None:
    """One eye (-1 left, 1 right) and its brow."""
    x, wide = 0.4 * which, max(0.0, look["eyes"] - (look["wink"] if which > 0 else 0.0))
    ink = skin * 0.3
    if wide < 0.1:
        pen.line([(x - 0.2, -0.06), (x, -0.01), (x + 0.2, -0.06)], ink, 0.06)
    else:
        tall = 0.04 + 0.19 * wide
        pen.oval(x, -0.08, 0.21, tall, np.full(3, 0.95))
        pen.oval(x, -0.08, iris * 0.8, min(iris, tall), ink)
        pen.ring(x, -0.08, 0.21, tall, ink, 0.035)
    level = -0.38 - 0.16 * look["brows"]
    inner, outer = level + 0.17 * look["frown"], level - 0.06 * look["frown"]
    middle = (inner + outer) / 2 - 0.06
    pen.line([(x - 0.24 * which, inner), (x, middle), (x + 0.24 * which, outer)], dark, 0.085)


def _mouth(pen: Pen, skin: np.ndarray, look: dict[str, float]) -> None:
    """Lips that bend by `mouth`, apart by `open`."""
    bend, apart = look["mouth"], max(0.0, look["open"])
    flat = max(0.0, 1 - abs(bend))
    x = np.linspace(-1, 1, 17)
    wide, arch = 0.42 - 0.2 * apart * flat, 1 - x**2
    corner = 0.68 - 0.11 * bend
    above = corner + 0.24 * bend * arch * (1 - 0.6 * apart) - 0.2 * apart * flat * arch
    below = corner + (0.24 * bend + 0.3 * apart) * arch
    edge = [*zip(x * wide, above, strict=True), *zip(x[::-1] * wide, below[::-1], strict=True)]
    lip = skin * np.array([0.75, 0.42, 0.42])
    if apart > 0.12:
        pen.shape(edge, np.array([0.28, 0.08, 0.08]))
    pen.line([*edge, edge[0]] if apart > 0.12 else edge[:17], lip, 0.07)
