"""Satellite tiles with weather and land-cover tags, in the layout of Kaggle's Planet set.

Land covers differ in texture and shape; their colours are drawn from one common palette, and
every tile has a light of its own, so that colour alone tells little.
"""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from onecycle.samples.drawing import (
    Rng,
    blend,
    curve,
    in_threads,
    noise,
    stroke,
    whole_folder,
    write_image,
)

WEATHER = {"clear": 0.6, "partly_cloudy": 0.2, "haze": 0.12, "cloudy": 0.08}
GROUND = {"primary": 0.75, "agriculture": 0.38, "cultivation": 0.24, "bare_ground": 0.2}
OVER = {"water": 0.3, "road": 0.42, "habitation": 0.3}
VERSION = 1
_LEAST = 0.1  # the share of a tile that a ground cover needs to be tagged


def planet_sample(
    dest: Path | str, n: int = 1000, n_test: int = 100, size: int = 256, seed: int = 0
) -> Path:
    """Draw `n` training and `n_test` test tiles of `size` pixels into `dest`.

    Writes `train_v2.csv` (image_name, tags apart by blanks), `train-jpg/`, `test-jpg/` and
    `test_truth.csv`. Tile i depends on `seed` and i alone.
    """
    about = {"set": "planet", "version": VERSION, "n": n, "n_test": n_test, "size": size}
    about["seed"] = seed

    def fill(root: Path) -> None:
        for part, table, count in (("train", "train_v2", n), ("test", "test_truth", n_test)):
            folder = root / f"{part}-jpg"
            folder.mkdir()
            key = [seed, 0 if part == "train" else 1]

            def one(i: int, folder: Path = folder, part: str = part, key: list[int] = key) -> str:
                pixels, tags = draw_tile(np.random.default_rng([*key, i]), size)
                write_image(folder / f"{part}_{i}.jpg", pixels)
                return " ".join(tags)

            rows = enumerate(in_threads(one, range(count)))
            with (root / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["image_name", "tags"])
                writer.writerows([f"{part}_{i}", tags] for i, tags in rows)

    return whole_folder(dest, about, fill)


def draw_tile(rng: Rng, size: int) -> tuple[np.ndarray, list[str]]:
    """One tile: floats in 0-1 (size, size, 3), RGB, and its tags."""
    weather = str(rng.choice(list(WEATHER), p=list(WEATHER.values())))
    ground, tags = _grounds(rng, size)
    tile = ground
    for name, chance in OVER.items():
        if rng.random() < chance:
            tile = _OVER[name](rng, tile)
            tags.append(name)
    tile = _lit(rng, tile)
    tile = _WEATHER[weather](rng, tile)
    grain = 0.012 * rng.standard_normal(tile.shape, dtype=np.float32)
    return (tile + grain).clip(0, 1), [weather, *([] if weather == "cloudy" else sorted(tags))]


def _colour(rng: Rng) -> np.ndarray:
    """One colour of the common palette: between green, olive, brown, grey and blue-grey."""
    palette = np.array(
        [
            [0.2, 0.32, 0.16],
            [0.38, 0.38, 0.2],
            [0.45, 0.35, 0.24],
            [0.4, 0.4, 0.38],
            [0.24, 0.32, 0.36],
        ],
        np.float32,
    )
    weights = rng.dirichlet([0.6] * len(palette)).astype(np.float32)
    return (weights @ palette * rng.uniform(0.75, 1.3)).astype(np.float32)


def _grounds(rng: Rng, size: int) -> tuple[np.ndarray, list[str]]:
    """One to three ground covers, each where its own slow noise is the highest."""
    names = [name for name, chance in GROUND.items() if rng.random() < chance] or ["primary"]
    fields = np.stack([noise(rng, size, 2, 3, 0.45) + rng.normal(0, 0.25) for _ in names])
    owner = fields.argmax(0)
    tile = np.zeros((size, size, 3), np.float32)
    tags = []
    for index, name in enumerate(names):
        mask = (owner == index).astype(np.float32)
        if mask.mean() >= _LEAST:
            tags.append(name)
            soft = cv2.GaussianBlur(mask, (0, 0), 1.2)
            tile = (
                blend(tile, _GROUND[name](rng, size), soft)
                if tags[1:]
                else _GROUND[name](rng, size)
            )
    return tile, tags


def _primary(rng: Rng, size: int) -> np.ndarray:
    """Forest: crowns of a few pixels, lit from one side."""
    crowns = noise(rng, size, size // 7, 2, 0.6)
    dx, dy = rng.choice([-1, 1], 2)
    lit = crowns - np.roll(crowns, (int(dx), int(dy)), (0, 1))
    shade = 1 + 0.22 * np.tanh(crowns) + 0.35 * np.tanh(lit) + 0.08 * noise(rng, size, 3)
    return _colour(rng) * shade[:, :, None]


def _agriculture(rng: Rng, size: int) -> np.ndarray:
    """Parcels on a turned grid, each with its own tone and rows."""
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    wide, high = rng.uniform(30, 60, 2) * size / 256
    col, row = np.floor(u / wide).astype(int), np.floor(v / high).astype(int)
    parcel = (col * 31 + row * 17) % 64
    tone = rng.uniform(0.75, 1.25, 64)[parcel]
    period = rng.uniform(4.5, 6.5, 64)[parcel] * size / 256
    along = np.where(rng.random(64)[parcel] < 0.5, u, v)
    rows = np.sin(2 * np.pi * along / period) * rng.uniform(0.1, 0.2, 64)[parcel]
    edge = np.minimum(u % wide, v % high) < 1.5 * size / 256
    shade = tone + rows - 0.3 * edge + 0.05 * noise(rng, size, 12)
    return (_colour(rng) * shade[:, :, None]).astype(np.float32)


def _cultivation(rng: Rng, size: int) -> np.ndarray:
    """Orchards: a lattice of single trees on plain ground."""
    angle, step = rng.uniform(0, np.pi), rng.uniform(8, 12) * size / 256
    y, x = np.mgrid[:size, :size].astype(np.float32)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    round_trees = np.cos(2 * np.pi * u / step) + np.cos(2 * np.pi * v / step)
    trees = 1 / (1 + np.exp(-6 * (round_trees - 0.7)))
    shade = 1 - rng.uniform(0.35, 0.55) * trees + 0.07 * noise(rng, size, 8)
    return (_colour(rng) * shade[:, :, None]).astype(np.float32)


def _bare(rng: Rng, size: int) -> np.ndarray:
    """Bare ground: smooth, with slow mottles."""
    shade = 1 + 0.1 * noise(rng, size, 3, 3) + 0.02 * noise(rng, size, size // 4, 1)
    return _colour(rng) * shade[:, :, None]


def _water(rng: Rng, tile: np.ndarray) -> np.ndarray:
    """A river or a lake: even, with a pale bank."""
    size = len(tile)
    if rng.random() < 0.65:
        points = curve(rng, size, 0.09)
        width = rng.uniform(9, 26) * size / 256
        body, bank = stroke(size, points, width), stroke(size, points, width + 5 * size / 256)
    else:
        field = noise(rng, size, 2, 4, 0.4)
        field += 1.5 - 6 * _distance(rng, size)
        body, bank = (0.5 + 0.5 * np.tanh(7 * s) for s in (field - 1, field - 0.85))
    tile = blend(tile, tile * 0.4 + 0.33, bank * 0.7)
    ripple = 1 + 0.02 * noise(rng, size, 6, 2)
    return blend(tile, _colour(rng) * 0.85 * ripple[:, :, None], body)


def _distance(rng: Rng, size: int) -> np.ndarray:
    """Squared distance from a random place, in units of the tile."""
    cx, cy = rng.uniform(0.2, 0.8, 2)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    return (x - cx) ** 2 + (y - cy) ** 2


def _road(rng: Rng, tile: np.ndarray) -> np.ndarray:
    """One to three narrow roads, lighter or darker than the land."""
    size = len(tile)
    level = rng.choice([0.15, 0.62, 0.75])
    for _ in range(rng.integers(1, 4)):
        points = curve(rng, size, rng.choice([0.0, 0.0, 0.05]))
        width = rng.uniform(1.8, 3.4) * size / 256
        tile = blend(tile, np.float32(level), 0.9 * stroke(size, points, width))
    return tile


def _habitation(rng: Rng, tile: np.ndarray) -> np.ndarray:
    """A village: a cluster of turned roofs with shadows."""
    size = len(tile)
    scale, angle = size / 256, rng.uniform(0, 90)
    centre, spread = rng.uniform(0.2, 0.8, 2) * size, rng.uniform(14, 34) * scale
    for _ in range(rng.integers(25, 70)):
        place = centre + rng.normal(0, spread, 2)
        sides = rng.uniform(3.5, 8.0, 2) * scale
        turn = angle + rng.choice([0, 90]) + rng.normal(0, 5)
        roof = rng.choice([0.3, 0.55, 0.7, 0.85]) * rng.uniform(0.85, 1.1, 3)
        for shift, colour in ((1.6 * scale, np.full(3, 0.1)), (0.0, roof)):
            corners = cv2.boxPoints(((place[0] + shift, place[1] + shift), tuple(sides), turn))
            cv2.fillConvexPoly(
                tile, np.rint(corners * 16).astype(np.int32), colour.tolist(), cv2.LINE_AA, 4
            )
    return tile


def _lit(rng: Rng, tile: np.ndarray) -> np.ndarray:
    """White balance, exposure and gamma of the tile."""
    balance = rng.normal(1, 0.08, 3).astype(np.float32)
    bright = tile * balance * rng.uniform(0.8, 1.45)
    return bright.clip(0.001, 1) ** rng.uniform(0.85, 1.2)


def _clear(rng: Rng, tile: np.ndarray) -> np.ndarray:
    return tile


def _hazy(rng: Rng, tile: np.ndarray) -> np.ndarray:
    """A veil that takes contrast and sharpness."""
    share = rng.uniform(0.4, 0.6) + 0.06 * noise(rng, len(tile), 2, 2)
    veil = rng.uniform(0.45, 0.75) * rng.normal(1, 0.04, 3).astype(np.float32)
    return blend(cv2.GaussianBlur(tile, (0, 0), 0.7 * len(tile) / 256), veil, share.clip(0, 1))


def _partly(rng: Rng, tile: np.ndarray) -> np.ndarray:
    """Single clouds, and their shadows beside them."""
    field = noise(rng, len(tile), int(rng.integers(3, 6)), 5, 0.55)
    cloud = 1 / (1 + np.exp(-5 * (field - rng.uniform(1.0, 1.5))))
    offset = tuple(int(v) for v in rng.choice([-1, 1], 2) * rng.integers(8, 18, 2))
    shadow = np.roll(cloud, offset, (0, 1))
    return blend(tile * (1 - 0.5 * shadow[:, :, None]), np.float32(rng.uniform(0.8, 0.97)), cloud)


def _cloudy(rng: Rng, tile: np.ndarray) -> np.ndarray:
    """A closed cover of cloud."""
    field = noise(rng, len(tile), 3, 5, 0.55)
    cover = rng.uniform(0.5, 0.85) + rng.uniform(0.04, 0.1) * field
    tint = rng.normal(1, 0.03, 3).astype(np.float32)
    return blend(tile, cover[:, :, None] * tint, (0.93 + 0.05 * field).clip(0.8, 1))


_GROUND: dict[str, Callable[[Rng, int], np.ndarray]] = {
    "primary": _primary,
    "agriculture": _agriculture,
    "cultivation": _cultivation,
    "bare_ground": _bare,
}
_OVER: dict[str, Callable[[Rng, np.ndarray], np.ndarray]] = {
    "water": _water,
    "road": _road,
    "habitation": _habitation,
}
_WEATHER: dict[str, Callable[[Rng, np.ndarray], np.ndarray]] = {
    "clear": _clear,
    "partly_cloudy": _partly,
    "haze": _hazy,
    "cloudy": _cloudy,
}
