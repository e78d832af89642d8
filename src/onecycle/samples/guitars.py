"""Drawn guitars of four kinds, told by their shape and fittings; woods and paints are chance."""

from pathlib import Path

import cv2
import numpy as np

from onecycle.samples.drawing import Pen, Rng, class_folders, noise

VERSION = 1
KINDS = ("acoustic", "archtop", "electric", "resonator")


def guitars_sample(dest: Path | str, n: int = 400, size: int = 128, seed: int = 0) -> Path:
    """Draw `n` guitars on walls, `size` pixels: `acoustic/12.jpg`, a folder for each of `KINDS`.

    Guitar i depends on `seed` and i alone.
    """
    about = {"set": "guitars", "version": VERSION, "n": n, "size": size, "seed": seed}
    return class_folders(dest, about, KINDS, draw)


def draw(rng: Rng, size: int, kind: str) -> np.ndarray:
    """One guitar: floats in 0-1 (size, size, 3), RGB."""
    side = 2 * size
    wall = rng.uniform(0.2, 0.9) + rng.normal(0, 0.1, 3)
    ground = wall * (1 + 0.12 * noise(rng, side, 4, 3)[:, :, None])
    turn = rng.choice([0, np.pi / 2, -np.pi / 2], p=[0.6, 0.2, 0.2]) + rng.normal(0, 0.3)
    along = np.array([-np.sin(turn), np.cos(turn)])  # from head to body
    pen = Pen(ground, 0.5 + 0.13 * along + rng.normal(0, 0.02, 2), rng.uniform(0.17, 0.2), turn)
    wood = rng.uniform(0.1, 0.95, 3) if rng.random() < 0.5 else np.array([0.8, 0.5, 0.22])
    wood = wood * rng.uniform(0.6, 1.15)
    dark = np.full(3, rng.uniform(0.05, 0.25))
    body = _horned_body(rng) if kind == "electric" else _waisted_body(rng, kind == "archtop")
    pen.shape(body * 1.05, wood * 0.55)
    pen.shape(body, wood)
    _FITTINGS[kind](rng, pen, dark)
    pen.line([(0, -0.45), (0, -2.5)], dark * 1.3, 0.22)
    for fret in np.linspace(-0.7, -2.3, 9):
        pen.line([(-0.1, fret), (0.1, fret)], np.full(3, 0.7), 0.02)
    pen.shape([(-0.11, -2.45), (-0.2, -3.0), (0.2, -3.0), (0.11, -2.45)], wood * 0.8)
    for x in (-0.06, 0.0, 0.06):
        pen.line([(x, -2.5), (x, 0.95)], np.full(3, 0.85), 0.015)
    small = cv2.resize(pen.floats(), (size, size), interpolation=cv2.INTER_AREA)
    return small * rng.uniform(0.75, 1.15) + rng.normal(0, 0.02, small.shape)


def _waisted_body(rng: Rng, cut: bool) -> np.ndarray:
    """An outline (n, 2) with a waist; `cut` away at one shoulder."""
    y = np.linspace(-0.75, 1.45, 45)
    v = (y + 0.75) / 2.2
    half = np.sqrt(np.clip(np.sin(np.pi * v), 0, 1)) * (0.72 + 0.32 * v)
    half -= rng.uniform(0.14, 0.22) * np.exp(-(((v - 0.42) / 0.12) ** 2))
    right = np.where(cut & (v < 0.22), np.minimum(half, 0.12 + 1.2 * v), half)
    return np.concatenate([np.stack([-half, y], 1), np.stack([right, y], 1)[::-1]])


def _horned_body(rng: Rng) -> np.ndarray:
    """The outline of a solid body with two horns."""
    left, right = -1.05 * rng.uniform(0.85, 1.1), -0.85 * rng.uniform(0.8, 1.1)
    corners = [(0.12, -0.35), (0.3, -0.35), (0.5, right), (0.74, right), (0.66, 0.1), (0.92, 0.8)]
    corners += [(0.7, 1.3), (0, 1.42), (-0.75, 1.25), (-0.92, 0.7), (-0.62, 0.1), (-0.8, left)]
    corners += [(-0.5, left), (-0.3, -0.4), (-0.12, -0.35)]
    points = np.array(corners)
    for _ in range(3):  # corners are cut until they are round
        after = np.roll(points, -1, 0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], 1)
        points = points.reshape(-1, 2)
    return points


def _acoustic(rng: Rng, pen: Pen, dark: np.ndarray) -> None:
    """A round hole with its rosette, and a bridge."""
    pen.oval(0, 0.1, 0.38, 0.38, dark + 0.4)
    pen.oval(0, 0.1, 0.32, 0.32, dark * 0.5)
    pen.shape([(-0.35, 0.9), (0.35, 0.9), (0.35, 1.02), (-0.35, 1.02)], dark)


def _archtop(rng: Rng, pen: Pen, dark: np.ndarray) -> None:
    """Two f-holes, and a tailpiece."""
    for which in (-1, 1):
        f = [(0.36, 0.12), (0.48, 0.22), (0.48, 0.5), (0.54, 0.78), (0.66, 0.86)]
        pen.line([(which * x, y) for x, y in f], dark * 0.5, 0.09)
    pen.line([(-0.25, 0.55), (0.25, 0.55)], dark, 0.08)
    pen.shape([(-0.14, 0.9), (0.14, 0.9), (0.08, 1.4), (-0.08, 1.4)], np.full(3, 0.75))


def _electric(rng: Rng, pen: Pen, dark: np.ndarray) -> None:
    """Two or three pickups, a bridge, and knobs."""
    for y in np.linspace(-0.1, 0.55, rng.integers(2, 4)):
        pen.line([(-0.22, y), (0.22, y)], dark, 0.14)
    pen.line([(-0.25, 0.85), (0.25, 0.85)], np.full(3, 0.75), 0.14)
    for x, y in ((0.5, 0.75), (0.6, 0.95)):
        pen.oval(x, y, 0.08, 0.08, np.full(3, 0.85))


def _resonator(rng: Rng, pen: Pen, dark: np.ndarray) -> None:
    """A large metal cone with a ring of holes, and two small sound holes."""
    pen.oval(0, 0.68, 0.55, 0.55, np.full(3, 0.8))
    for angle in np.linspace(0, 2 * np.pi, 11)[:-1]:
        pen.oval(0.4 * np.cos(angle), 0.68 + 0.4 * np.sin(angle), 0.07, 0.07, dark)
    pen.oval(0, 0.68, 0.2, 0.2, np.full(3, 0.6))
    for which in (-1, 1):
        pen.oval(0.42 * which, -0.25, 0.13, 0.13, dark * 0.5)


_FITTINGS = {
    "acoustic": _acoustic,
    "archtop": _archtop,
    "electric": _electric,
    "resonator": _resonator,
}
