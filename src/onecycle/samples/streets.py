"""Street scenes with a mask for every image, laid out like CamVid; colours tell little.

Walls, roads, pavements and skies share their greys, cars and houses their paints, trees and green
cars their greens: shape and place tell them apart.
"""

from pathlib import Path

import cv2
import numpy as np

from onecycle.samples.drawing import Rng, blend, in_threads, noise, whole_folder, write_image

VERSION = 1
CODES = ("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "Car", "Void")
SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, CAR, VOID = range(8)
PAINTS = ((0.55, 0.2, 0.17), (0.2, 0.3, 0.5), (0.75, 0.72, 0.65), (0.3, 0.4, 0.25), (0.35,) * 3)


def streets_sample(
    dest: Path | str, n: int = 240, size: tuple[int, int] = (120, 160), seed: int = 0
) -> Path:
    """Draw `n` scenes of `size` (h, w) into `dest`.

    `images/street_00012.jpg`, `labels/street_00012_P.png` (class numbers; object borders are
    Void), `codes.txt` with the names of the classes, `valid.txt` with every fifth image.
    """
    about = {"set": "streets", "version": VERSION, "n": n, "size": list(size), "seed": seed}

    def fill(root: Path) -> None:
        for folder in ("images", "labels"):
            (root / folder).mkdir()

        def one(i: int) -> None:
            image, mask = draw(np.random.default_rng([seed, i]), size)
            write_image(root / "images" / f"street_{i:05d}.jpg", image)
            cv2.imwrite(str(root / "labels" / f"street_{i:05d}_P.png"), mask)

        in_threads(one, range(n))
        (root / "codes.txt").write_text("\n".join(CODES) + "\n", "utf-8")
        held = [f"street_{i:05d}.jpg" for i in range(4, n, 5)]
        (root / "valid.txt").write_text("\n".join(held) + "\n", "utf-8")

    return whole_folder(dest, about, fill)


def draw(rng: Rng, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """One scene: floats (h, w, 3) and its mask uint8 (h, w)."""
    scene = Scene(rng, 2 * size[0], 2 * size[1])
    scene.ground()
    for side in (-1, 1):
        scene.houses(side)
    for side in (-1, 1):
        for depth in np.sort(rng.uniform(0.1, 0.9, rng.integers(1, 4))):
            scene.tree(side, depth) if rng.random() < 0.6 else scene.pole(side, depth)
    for depth in np.sort(rng.uniform(0.15, 0.9, rng.integers(1, 4))):
        scene.car(depth)
    image = cv2.resize(scene.image, size[::-1], interpolation=cv2.INTER_AREA)
    mask = cv2.resize(scene.mask, size[::-1], interpolation=cv2.INTER_NEAREST)
    image = image * rng.uniform(0.7, 1.2) + rng.normal(0, 0.02, image.shape)
    return image.clip(0, 1), with_borders(mask)


def with_borders(mask: np.ndarray) -> np.ndarray:
    """A pixel whose right and lower neighbours are of other classes is Void."""
    right, below = np.roll(mask, -1, 1) != mask, np.roll(mask, -1, 0) != mask
    right[:, -1], below[-1] = False, False
    return np.where(right & below, np.uint8(VOID), mask)


class Scene:
    """A street seen along its middle: things are painted from far to near."""

    def __init__(self, rng: Rng, h: int, w: int) -> None:
        self.rng, self.h, self.w = rng, h, w
        self.image = np.zeros((h, w, 3), np.float32)
        self.mask = np.full((h, w), SKY, np.uint8)
        self.horizon = h * rng.uniform(0.36, 0.5)
        self.middle = w * rng.uniform(0.4, 0.6)
        self.road = w * rng.uniform(0.25, 0.36)
        self.kerb = self.road * rng.uniform(1.25, 1.5)
        side = max(h, w)
        self.grain = noise(rng, side, 24)[:h, :w]
        self.clouds = noise(rng, side, 3)[:h, :w]

    def grey(self) -> np.ndarray:
        """A grey with a tint: skies, roads, pavements and walls draw from the same."""
        return self.rng.uniform(0.35, 0.75) + self.rng.normal(0, 0.03, 3).astype(np.float32)

    def paint(self, code: int, share: np.ndarray, colour: np.ndarray, rough: float) -> None:
        """Lay a colour with its roughness over the pixels of `share` (h, w) in 0-1."""
        texture = np.asarray(colour, np.float32) * (1 + rough * self.grain[:, :, None])
        self.image = blend(self.image, texture, share.astype(np.float32))
        self.mask[share > 0.5] = code

    def polygon(self, corners: object) -> np.ndarray:
        """The inside of corners (x, y) as 0-1 (h, w)."""
        drawn = np.zeros((self.h, self.w), np.uint8)
        points = np.rint(np.asarray(corners, np.float64)).clip(-4000, 4000).astype(np.int32)
        cv2.fillPoly(drawn, [points], 255, cv2.LINE_AA)
        return drawn.astype(np.float32) / 255

    def at(self, depth: float) -> tuple[float, float]:
        """(y, scale) of the ground at a depth from 0 (far) to 1 (near)."""
        scale = 0.04 + 0.96 * depth**1.6
        return self.horizon + (self.h - self.horizon) * scale, scale

    def ground(self) -> None:
        """Sky, pavements and the road with its line, in perspective."""
        sky = self.grey() * (1 + 0.12 * self.clouds[:, :, None])
        self.image[:] = sky + self.rng.uniform(0, 0.12) * np.array([-1, 0, 1], np.float32)
        below = (np.arange(self.h)[:, None] >= self.horizon).astype(np.float32)
        self.paint(PAVEMENT, np.broadcast_to(below, self.mask.shape), self.grey(), 0.05)
        self.paint(ROAD, self.polygon(self.strip(self.road)), self.grey(), 0.07)
        if self.rng.random() < 0.7:
            line = self.polygon(self.strip(self.road * 0.03))
            stripes = np.sin(np.arange(self.h)[:, None] / self.h * 60) > 0
            share = line * stripes
            self.image = blend(self.image, np.float32(0.85), share)

    def strip(self, half: float) -> list[tuple[float, float]]:
        """A band around the middle, `half` wide below and nearly nothing at the horizon."""
        far = half * 0.04
        return [
            (self.middle - far, self.horizon),
            (self.middle + far, self.horizon),
            (self.middle + 2 * half, self.h * 1.6),
            (self.middle - 2 * half, self.h * 1.6),
        ]

    def edge(self, side: int, depth: float, beyond: float = 1.0) -> tuple[float, float, float]:
        """(x, y, scale) of the outer edge of the pavement on one side."""
        y, scale = self.at(depth)
        wide = 2 * self.kerb * (y - self.horizon) / (1.6 * self.h - self.horizon)
        return self.middle + side * beyond * (wide + 2), y, scale

    def houses(self, side: int) -> None:
        """A row of fronts along one side, with windows, and gaps here and there."""
        ends = np.linspace(0.02, 1.25, self.rng.integers(3, 6))
        for near, far in zip(ends[1:], ends[:-1], strict=True):
            if self.rng.random() < 0.2:
                continue
            x0, y0, s0 = self.edge(side, far)
            x1, y1, s1 = self.edge(side, near)
            tall = self.h * self.rng.uniform(0.5, 1.1)
            top0, top1 = self.horizon - tall * s0, self.horizon - tall * s1
            painted = self.rng.random() < 0.5
            colour = self.paint_of() if painted else self.grey()
            front = self.polygon([(x0, y0), (x1, y1), (x1, top1), (x0, top0)])
            self.paint(BUILDING, front, colour, 0.05)
            self.windows((x0, y0, top0), (x1, y1, top1))

    def windows(self, far: tuple[float, float, float], near: tuple[float, float, float]) -> None:
        """Rows of dark panes on the front between two upright edges."""
        shade = self.rng.uniform(0.1, 0.25)
        for a in np.arange(0.15, 0.95, 0.25):
            for b in np.arange(0.2, 0.9, 0.25):
                corners = []
                for u, v in ((a, b), (a + 0.12, b), (a + 0.12, b + 0.14), (a, b + 0.14)):
                    x = far[0] + (near[0] - far[0]) * u
                    low = far[1] + (near[1] - far[1]) * u
                    high = far[2] + (near[2] - far[2]) * u
                    corners.append((x, low + (high - low) * v))
                inside = self.polygon(corners) * (self.mask == BUILDING)
                self.image = blend(self.image, np.float32(shade), inside)

    def paint_of(self) -> np.ndarray:
        """One of the paints that houses and cars share, lighter or darker."""
        chosen = PAINTS[self.rng.integers(len(PAINTS))]
        return np.array(chosen, np.float32) * self.rng.uniform(0.8, 1.3)

    def tree(self, side: int, depth: float) -> None:
        """A trunk and a ragged crown."""
        x, y, scale = self.edge(side, depth, self.rng.uniform(0.8, 0.98))
        tall = self.h * scale * self.rng.uniform(0.45, 0.7)
        trunk = tall * 0.05
        wood = np.array([0.3, 0.24, 0.18], np.float32)
        stem = [(x - trunk, y), (x + trunk, y), (x + trunk, y - tall), (x - trunk, y - tall)]
        self.paint(TREE, self.polygon(stem), wood, 0.15)
        angles = np.linspace(0, 2 * np.pi, 26)[:-1]
        reach = tall * 0.36 * self.rng.uniform(0.75, 1.15, 25)
        crown = np.stack([x + reach * np.cos(angles), y - tall + reach * np.sin(angles)], 1)
        green = np.array([0.3, 0.4, 0.25], np.float32) * self.rng.uniform(0.8, 1.3)
        self.paint(TREE, self.polygon(crown), green, 0.3)

    def pole(self, side: int, depth: float) -> None:
        """A lamp post with an arm over the road."""
        x, y, scale = self.edge(side, depth, self.rng.uniform(0.72, 0.85))
        tall, wide = self.h * scale * self.rng.uniform(0.6, 0.8), max(1.5, self.w * scale * 0.012)
        arm = -side * tall * 0.2
        post = [(x - wide, y), (x + wide, y), (x + wide, y - tall), (x - wide, y - tall)]
        lamp = [
            (x, y - tall),
            (x + arm, y - tall),
            (x + arm, y - tall + 2 * wide),
            (x, y - tall + 2 * wide),
        ]
        self.paint(
            POLE, np.maximum(self.polygon(post), self.polygon(lamp)), self.grey() * 0.7, 0.03
        )

    def car(self, depth: float) -> None:
        """A car from behind or before: body, cabin, windows, wheels."""
        y, scale = self.at(depth)
        half = self.w * 0.13 * scale
        lane = self.road * 2 * (y - self.horizon) / (1.6 * self.h - self.horizon)
        x = self.middle + self.rng.choice([-1, 1]) * lane * self.rng.uniform(0.35, 0.75)
        tall = half * self.rng.uniform(0.55, 0.75)
        body = [(x - half, y), (x + half, y), (x + half, y - tall), (x - half, y - tall)]
        roof = y - tall * self.rng.uniform(1.7, 2.1)
        cabin = [
            (x - half * 0.85, y - tall),
            (x + half * 0.85, y - tall),
            (x + half * 0.6, roof),
            (x - half * 0.6, roof),
        ]
        colour = self.paint_of() if self.rng.random() < 0.7 else self.grey()
        self.paint(CAR, np.maximum(self.polygon(body), self.polygon(cabin)), colour, 0.02)
        glass = [
            (x - half * 0.65, y - tall),
            (x + half * 0.65, y - tall),
            (x + half * 0.5, roof + tall * 0.15),
            (x - half * 0.5, roof + tall * 0.15),
        ]
        self.image = blend(self.image, np.float32(0.15), self.polygon(glass))
        for wheel in (-0.7, 0.7):
            low = [
                (x + half * (wheel + d), y + dy * tall)
                for d, dy in ((-0.17, -0.1), (0.17, -0.1), (0.17, 0.15), (-0.17, 0.15))
            ]
            self.paint(CAR, self.polygon(low), np.full(3, 0.08, np.float32), 0.02)
