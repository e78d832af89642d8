"""Drawn by rule: grey textures and white silhouettes for `pretrain_vision.py` to compose."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Random = np.random.Generator
Grey = NDArray[np.float32]
Bytes = NDArray[np.uint8]
STAMP, CANVAS, TILE, VARIANTS = 96, 112, 160, 24


def _stretch(field: NDArray[np.floating]) -> Grey:
    low, high = np.percentile(field, (1, 99))
    return np.clip((field - low) / (high - low + 1e-6), 0, 1).astype(np.float32)


def noise(rng: Random, size: int, power: float, stretch: float = 1, fold: bool = False) -> Grey:
    """Noise that falls with the frequency to the `power`, stretched, or folded into ridges."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None] * stretch, np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * frequency**-power
    field = _stretch(np.fft.irfft2(spectrum, s=(size, size)))
    return (1 - np.abs(2 * field - 1)) ** 3 if fold else field


def band(rng: Random, size: int, scale: float, level: float, hard: float = 8) -> Grey:
    """Spots, mazes or grain of one `scale`: band-passed noise cut at a `level`."""
    white = rng.standard_normal((size, size)).astype(np.float32)
    field = cv2.GaussianBlur(white, (0, 0), scale) - cv2.GaussianBlur(white, (0, 0), 2 * scale)
    field = (field - field.mean()) / field.std()
    return (1 / (1 + np.exp(-hard * (field - level)))).astype(np.float32)


def wave(rng: Random, size: int, period: float, hard: bool, bend: float, form: str) -> Grey:
    """Stripes, rings, chevrons or plaid, bent by noise."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    period *= rng.uniform(0.85, 1.2)
    bent = bend * period * noise(rng, size, 2.2)
    centre = rng.uniform(-0.3, 1.3, 2) * size
    zigzag = np.abs((rows / (2 * period)) % 2 - 1) * 2 * period
    round_it = np.hypot(rows - centre[0], columns - centre[1])
    along = {"rings": round_it, "zigzag": columns + zigzag}.get(form, columns) + bent
    result = np.sin(2 * np.pi * along / period)
    if form == "plaid":
        result = (result + np.sin(2 * np.pi * (rows + bent) / period)) / 2
    if form == "checks":
        result = result * np.sin(2 * np.pi * (rows + bent) / period)
    return (np.clip(result * (8 if hard else 1), -1, 1) / 2 + 0.5).astype(np.float32)


def cells(rng: Random, size: int, count: int, form: str) -> Grey:
    """Cells round scattered seeds: flat, domed or only their borders."""
    seeds = np.full((size, size), 255, np.uint8)
    count = int(count * rng.uniform(0.8, 1.25))
    seeds[rng.integers(size, size=count), rng.integers(size, size=count)] = 0
    distance, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5)
    if form == "domes":
        return _stretch(-distance)
    if form == "flat":
        return rng.random(labels.max() + 1).astype(np.float32)[labels]
    edge = cv2.morphologyEx(labels.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    return cv2.GaussianBlur(edge.astype(np.float32), (0, 0), 0.7)


def leaves(rng: Random, size: int, radius: float, sides: int) -> Grey:
    """Opaque shapes fallen on one another: discs, or polygons of so many `sides`."""
    canvas = np.zeros((size, size), np.float32)
    for _ in range(int(min(900, 6 * (size / radius) ** 2 / 3))):
        x, y = (rng.random(2) * size).tolist()
        reach, grey = min(radius * (rng.random() + 0.15) ** -0.7, 4 * radius), rng.random()
        turn = rng.random() * 7 + np.arange(max(sides, 3)) * 2 * np.pi / max(sides, 3)
        corners = np.stack([x + reach * np.cos(turn), y + reach * np.sin(turn)], 1)
        if sides:
            cv2.fillPoly(canvas, [corners.astype(np.int32)], grey)
        else:
            cv2.circle(canvas, (int(x), int(y)), int(reach), grey, -1)
    return canvas


def lattice(rng: Random, size: int, pitch: float, fill: float, form: str) -> Grey:
    """Dots, scales, window panes or grid lines in rows and columns."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    pitch *= rng.uniform(0.85, 1.2)
    shifted = columns + pitch / 2 * (np.floor(rows / pitch) % 2) * (form in ("scales", "offset"))
    across, down = (shifted / pitch) % 1 - 0.5, (rows / pitch) % 1 - 0.5
    if form in ("dots", "offset"):
        return (np.hypot(across, down) < fill / 2).astype(np.float32)
    if form == "scales":
        return np.clip(1.4 * np.hypot(across, down + 0.5), 0, 1).astype(np.float32)
    inside = (np.abs(across) < fill / 2) & (np.abs(down) < fill / 2)
    grey = rng.random((size, size))[(rows / pitch).astype(int), (shifted / pitch).astype(int)]
    return (inside * (1 if form == "grid" else 0.3 + 0.7 * grey)).astype(np.float32)


def bricks(rng: Random, size: int, width: float, height: float, shift: float) -> Grey:
    """Bricks or planks of uneven grey with mortar between, each row shifted."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    scale = rng.uniform(0.85, 1.2)
    row = np.floor(rows / (height * scale))
    column = columns / (width * scale) + row * shift + 5
    joint = ((column % 1) * width < 1.5) | ((rows / scale) % height < 1.5)
    grey = rng.uniform(0.45, 1, (size, 4 * size))[row.astype(int), column.astype(int)]
    return (grey * ~joint * (0.8 + 0.2 * noise(rng, size, 1))).astype(np.float32)


def strokes(rng: Random, size: int, length: float, spread: float, width: int) -> Grey:
    """Hair, grass or scratches: many short lines whose directions differ by `spread`."""
    canvas = np.full((size, size), 0.3, np.float32)
    for _ in range(int(5 * size * size / (length * width * 6))):
        x, y = rng.random(2) * size
        turn, reach = rng.normal() * spread, length * rng.uniform(0.5, 1.2)
        bend, part = rng.normal() * 0.4, np.linspace(0, 1, 5)
        turns = turn + bend * part
        line = np.stack([x + reach * part * np.cos(turns), y + reach * part * np.sin(turns)], 1)
        cv2.polylines(canvas, [(line * 8).astype(np.int32)], False, rng.random(), width, 16, 3)
    return canvas


def materials() -> list[Callable[[Random, int], Grey]]:
    """Every texture kind, in the order of its label."""
    waves = [(p, hard, bend, form) for form in ("stripes", "rings", "zigzag", "plaid", "checks")
             for p, hard, bend in ((6, False, 0.0), (14, True, 0.5), (12, False, 3.0))]  # fmt: skip
    lattices = [(p, f, form) for form in ("dots", "offset", "scales", "grid", "panes")
                for p, f in ((8, 0.6), (18, 0.75))]  # fmt: skip
    every: list[Iterable[partial[Grey]]] = [
        (partial(noise, power=p, stretch=s) for p in (0.4, 1, 1.6, 2.4) for s in (1, 8)),
        (partial(noise, power=p, stretch=s, fold=True) for p in (1.4, 2.2) for s in (1, 5)),
        (partial(band, scale=s, level=t) for s in (1.2, 2.5, 5) for t in (-1.0, 0.0, 1.0)),
        (partial(wave, period=p, hard=h, bend=b, form=f) for p, h, b, f in waves),
        (partial(cells, count=c, form=f) for c in (40, 250) for f in ("flat", "domes", "edges")),
        (partial(leaves, radius=r, sides=s) for r in (3, 9) for s in (0, 3, 4)),
        (partial(lattice, pitch=p, fill=f, form=form) for p, f, form in lattices),
        (partial(bricks, width=w, height=h, shift=s)
         for w, h, s in ((16, 8, 0.5), (28, 14, 0.5), (70, 9, 0.37), (16, 16, 0))),
        (partial(strokes, length=n, spread=s, width=w)
         for n, w in ((10, 1), (26, 2)) for s in (0.15, 3.0)),
    ]  # fmt: skip
    return [kind for group in every for kind in group]


def star(rng: Random, sides: int, inset: float) -> Bytes:
    """A polygon of so many `sides`, or a star when the `inset` is below one."""
    turn = np.arange(2 * sides) * np.pi / sides + 0.2
    reach = np.where(np.arange(2 * sides) % 2, inset * np.cos(np.pi / sides), 1)
    reach = reach * 45 * rng.uniform(0.9, 1.05, 2 * sides)
    corners = np.stack([48 + reach * np.cos(turn), 48 + reach * np.sin(turn)], 1)
    return cv2.fillPoly(np.zeros((STAMP, STAMP), np.uint8), [corners.astype(np.int32)], 255)


def flower(rng: Random, petals: int, depth: float) -> Bytes:
    """A closed smooth curve with so many `petals`; many small ones make a gear."""
    turn = np.linspace(0, 2 * np.pi, 120)
    reach = 45 * (1 - depth * rng.uniform(0.8, 1.2) * (0.5 + 0.5 * np.cos(petals * turn)))
    corners = np.stack([48 + reach * np.cos(turn), 48 + reach * np.sin(turn)], 1)
    return cv2.fillPoly(np.zeros((STAMP, STAMP), np.uint8), [corners.astype(np.int32)], 255)


def oval(rng: Random, ratio: float, hole: float, shift: int) -> Bytes:
    """A disc or ellipse; with a `hole` a ring, with a shifted hole a crescent."""
    canvas = np.zeros((STAMP, STAMP), np.uint8)
    ratio *= rng.uniform(0.9, 1.1)
    cv2.ellipse(canvas, (48, 48), (44, int(44 * ratio)), 0, 0, 360, 255, -1)
    if hole:
        axes = (int(44 * hole), int(44 * hole * ratio))
        cv2.ellipse(canvas, (48 + shift, 48), axes, 0, 0, 360, 0, -1)
    return canvas


def limbs(rng: Random, count: int, body: float) -> Bytes:
    """A body with so many limbs to one side, like a hand, a bush or an animal."""
    canvas = np.zeros((STAMP, STAMP), np.uint8)
    cv2.ellipse(canvas, (48, 62), (int(24 * body), 22), 0, 0, 360, 255, -1)
    cv2.line(canvas, (48, 62), (48, 95), 255, 22)
    spread = np.linspace(-0.9, 0.9, count) if count > 1 else np.zeros(count)
    for turn in spread + rng.normal(size=count) * 0.08:
        reach = rng.uniform(42, 54)
        tip = (int(48 + reach * np.sin(turn)), int(62 - reach * np.cos(turn)))
        cv2.line(canvas, (48, 62), tip, 255, 9)
    return canvas


def fractal(rng: Random, code: int) -> Bytes:
    """The attractor of a few random contractions fixed by the `code`, slightly shaken."""
    fixed = np.random.default_rng(code)
    count = int(fixed.integers(2, 5))
    maps = fixed.uniform(-0.75, 0.75, (count, 2, 2)) + rng.normal(size=(count, 2, 2)) * 0.015
    maps *= np.minimum(1, 0.85 / np.linalg.norm(maps, 2, axis=(1, 2)))[:, None, None]
    shifts = fixed.uniform(-1, 1, (count, 2))
    points = rng.uniform(-1, 1, (2500, 2))
    for _ in range(25):
        choice = rng.integers(count, size=len(points))
        points = np.einsum("nij,nj->ni", maps[choice], points) + shifts[choice]
    low, high = points.min(0), points.max(0)
    column, row = ((points - low) / (high - low).max() * 88 + 4).astype(int).T
    canvas = np.zeros((STAMP, STAMP), np.uint8)
    canvas[row, column] = 255
    return cv2.dilate(canvas, np.ones((3, 3), np.uint8))


def glyph(rng: Random, letter: str) -> Bytes:
    """One letter or digit in a random stroke font."""
    canvas = np.zeros((STAMP, STAMP), np.uint8)
    font, width = int(rng.choice([0, 2, 3, 4])), int(rng.integers(5, 13))
    cv2.putText(canvas, letter, (16, 80), font, 3, 255, width, cv2.LINE_AA)
    return canvas


def silhouettes() -> list[Callable[[Random], Bytes]]:
    """Every shape kind, in the order of its label."""
    ovals = [(1, 0, 0), (0.45, 0, 0), (1, 0.7, 0), (0.5, 0.6, 0), (1, 0.85, 18)]
    every: list[Iterable[partial[Bytes]]] = [
        (partial(star, sides=n, inset=i) for n in (3, 4, 5, 6, 8) for i in (1.0, 0.5)),
        (partial(flower, petals=n, depth=d) for n, d in ((2, 0.6), (3, 0.5), (5, 0.5), (14, 0.25))),
        (partial(oval, ratio=r, hole=h, shift=s) for r, h, s in ovals),
        (partial(limbs, count=n, body=b) for n, b in ((0, 1), (1, 1), (2, 1), (3, 1), (5, 1))),
        (partial(fractal, code=code) for code in range(24)),
        (partial(glyph, letter=letter) for letter in "ABEFGHKPRSTX23458"),
    ]
    return [kind for group in every for kind in group]


def palette(rng: Random) -> Bytes:
    """Colours for the 256 grey levels: greys, one hue from dark to light, or several hues."""
    stops = int(rng.integers(2, 5))
    hue = rng.random() + rng.normal(size=stops) * rng.choice([0.03, 0.03, 0.1, 0.5])
    saturation = np.clip(rng.beta(1.3, 1.8) + rng.normal(size=stops) * 0.12, 0, 1)
    saturation = saturation * (rng.random() > 0.12)
    middle, reach = rng.uniform(0.2, 0.8), rng.uniform(0.05, 0.5)
    value = np.clip(middle + reach * np.linspace(-1, 1, stops), 0.02, 1)
    order = rng.permutation(stops) if rng.random() < 0.3 else np.arange(stops)
    hsv = np.stack([hue % 1 * 360, saturation, value[order]], 1).astype(np.float32)
    colours = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)
    row = cv2.resize(colours, (256, 1), interpolation=cv2.INTER_LINEAR)[0]
    return (row * 255).astype(np.uint8)


def place(img: Bytes, rng: Random, scale: float, spread: float, fill: int) -> Bytes:
    """Lay a drawing on the canvas, turned, scaled, skewed and shifted at random."""
    size, turn = img.shape[0], rng.uniform(0, 7)
    skew = np.array([[1, rng.normal() * 0.15], [0, rng.uniform(0.8, 1.25)]])
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    matrix = scale * rotation @ skew
    shift = CANVAS / 2 + rng.uniform(-spread, spread, 2) * CANVAS - matrix @ [size / 2, size / 2]
    whole = np.concatenate([matrix, shift[:, None]], 1)
    return cv2.warpAffine(img, whole, (CANVAS, CANVAS), borderMode=fill)


class Bank(NamedTuple):
    """Ready-drawn textures and silhouettes: a list of variants for each kind."""

    textures: list[list[Bytes]]
    shapes: list[list[Bytes]]


def draw_bank(seed: int) -> Bank:
    """Draw the variants of every kind, each from its own random numbers."""
    textures, shapes = [], []
    for kind, texture in enumerate(materials()):
        rng = np.random.default_rng([seed, 0, kind])
        textures.append([np.uint8(texture(rng, TILE).clip(0, 1) * 255) for _ in range(VARIANTS)])
    for kind, shape in enumerate(silhouettes()):
        rng = np.random.default_rng([seed, 1, kind])
        shapes.append([shape(rng) for _ in range(VARIANTS)])
    return Bank(textures, shapes)


def surface(rng: Random, bank: Bank, kind: int) -> Bytes:
    """A canvas covered with one texture in random colours, sometimes lit from the side."""
    tile = bank.textures[kind][rng.integers(VARIANTS)]
    grey = place(tile, rng, math.exp(rng.uniform(-0.35, 0.5)), 0.1, cv2.BORDER_REFLECT_101)
    colours = palette(rng)[grey]
    if rng.random() < 0.3:
        across, down = 0.1 * rng.normal(size=2)
        kernel = np.outer([across, 0, -across], [1, 1, 1]) + np.outer([1, 1, 1], [down, 0, -down])
        relief = cv2.filter2D(cv2.GaussianBlur(grey, (0, 0), 1), cv2.CV_32F, kernel)
        colours = np.clip(colours + relief[..., None], 0, 255).astype(np.uint8)
    return colours


def spoil(rng: Random, image: Bytes) -> Bytes:
    """Uneven light, blur, noise and JPEG, each by chance."""
    if rng.random() < 0.5:
        light = cv2.resize(rng.uniform(0.55, 1.25, (3, 3)).astype(np.float32), (CANVAS, CANVAS))
        image = np.clip(image * light[..., None], 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.3:
        grain = rng.standard_normal(image.shape, np.float32) * rng.uniform(2, 12)
        image = np.clip(image + grain, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        image = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
    return image
