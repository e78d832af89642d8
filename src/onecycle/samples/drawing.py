"""What the sample sets are drawn with: noise, strokes, blending, and folders that are whole."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from onecycle.core.errors import DataError
from onecycle.core.machine import defaults

Rng = np.random.Generator
MARK = "sample.json"


def noise(rng: Rng, size: int, cells: int, octaves: int = 4, gain: float = 0.5) -> np.ndarray:
    """Fractal noise float32 (size, size), mean 0 and deviation 1; `cells` waves at the coarsest."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        count = min(size, cells * 2**octave) + 3
        grid = rng.standard_normal((count, count), dtype=np.float32)
        large = cv2.resize(grid, (size + 8, size + 8), interpolation=cv2.INTER_CUBIC)
        total += gain**octave * large[4:-4, 4:-4]
    return (total - total.mean()) / (total.std() + 1e-6)


def curve(rng: Rng, size: int, bend: float) -> np.ndarray:
    """Points (40, 2) as (x, y) of a line across the image that bends by about `bend` of it."""
    angle = rng.uniform(0, np.pi)
    along = np.linspace(-0.8, 0.8, 40)
    waves = rng.normal(0, bend, 3) @ np.sin(
        np.outer([2, 4.5, 8], along) + rng.uniform(0, 6, (3, 1))
    )
    side = waves + rng.uniform(-0.3, 0.3)
    c, s = np.cos(angle), np.sin(angle)
    points = np.stack([along * c - side * s, along * s + side * c], 1) + 0.5
    return points * size


def stroke(size: int, points: np.ndarray, width: float) -> np.ndarray:
    """A soft-edged line as float32 (size, size) in 0-1."""
    drawn = np.zeros((size * 2, size * 2), np.uint8)
    whole = np.rint(points * 2).astype(np.int32)
    cv2.polylines(drawn, [whole], False, 255, max(1, round(width * 2)), cv2.LINE_AA)
    return cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def blend(below: np.ndarray, above: Any, share: np.ndarray) -> np.ndarray:
    """`above` over `below` (h, w, 3), by `share` (h, w) in 0-1."""
    return below + (above - below) * share[:, :, None]


class Pen:
    """Draws on an image, floats in 0-1 (side, side, 3), in a frame of its own.

    The frame's middle is at `middle` and its unit is `unit`, both as parts of the side; x goes
    right and y down, turned by `angle`.
    """

    def __init__(self, ground: np.ndarray, middle: Any, unit: float, angle: float = 0.0) -> None:
        self.pixels = (ground.clip(0, 1) * 255).astype(np.uint8)
        side, c, s = len(ground), np.cos(angle), np.sin(angle)
        self.turn = unit * side * np.array([[c, s], [-s, c]])
        self.middle, self.unit = np.asarray(middle) * side, unit * side

    def shape(self, points: Any, colour: np.ndarray) -> None:
        """Fill the inside of `points`, pairs (x, y)."""
        cv2.fillPoly(self.pixels, [self._whole(points)], _bytes(colour), cv2.LINE_AA, 4)

    def line(self, points: Any, colour: np.ndarray, width: float) -> None:
        """A line along `points`, `width` units wide."""
        thick = max(1, round(width * self.unit))
        whole = [self._whole(points)]
        cv2.polylines(self.pixels, whole, False, _bytes(colour), thick, cv2.LINE_AA, 4)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: np.ndarray) -> None:
        """A filled ellipse about (x, y)."""
        self.shape(_around(x, y, rx, ry), colour)

    def ring(
        self, x: float, y: float, rx: float, ry: float, colour: np.ndarray, width: float
    ) -> None:
        """The outline of an ellipse."""
        self.line(_around(x, y, rx, ry), colour, width)

    def floats(self) -> np.ndarray:
        """What has been drawn, float32 in 0-1 (side, side, 3)."""
        return self.pixels.astype(np.float32) / 255

    def _whole(self, points: Any) -> np.ndarray:
        at = np.asarray(points, np.float64) @ self.turn + self.middle
        return np.rint(at * 16).clip(-(2**20), 2**20).astype(np.int32)


def _around(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 33)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], 1)


def _bytes(colour: np.ndarray) -> Any:
    return (np.asarray(colour).clip(0, 1) * 255).tolist()


def write_image(path: Path, values: np.ndarray, quality: int = 92) -> None:
    """Floats in 0-1 (h, w, 3), RGB, as a JPEG file."""
    pixels = (values.clip(0, 1) * 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise DataError(f"{path}: the image could not be encoded")
    path.write_bytes(data.tobytes())


def whole_folder(dest: Path | str, about: dict[str, Any], fill: Callable[[Path], None]) -> Path:
    """Let `fill` write into a temporary folder, then put it at `dest` in one step.

    A complete set made with the same `about` is kept; anything else at `dest` is an error.
    """
    dest = Path(dest)
    if dest.exists():
        mark = dest / MARK
        if mark.is_file() and json.loads(mark.read_text("utf-8")) == about:
            return dest
        if not dest.is_dir() or any(dest.iterdir()):
            raise DataError(
                f"{dest} holds something else already: give another folder, or remove it yourself"
            )
        dest.rmdir()
    dest.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{dest.name}-", dir=dest.parent))
    try:
        fill(temporary)
        (temporary / MARK).write_text(json.dumps(about), "utf-8")
        temporary.chmod(0o755)
        temporary.rename(dest)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return dest


def class_folders(
    dest: Path | str,
    about: dict[str, Any],
    names: Iterable[str],
    draw: Callable[[Rng, int, str], np.ndarray],
) -> Path:
    """`about["n"]` images of the classes in turn, `name/12.jpg`; image i depends on seed and i.

    `draw(rng, size, name)` gives floats in 0-1 (size, size, 3).
    """
    names = list(names)

    def fill(root: Path) -> None:
        for name in names:
            (root / name).mkdir()

        def one(i: int) -> None:
            name, rng = names[i % len(names)], np.random.default_rng([about["seed"], i])
            write_image(root / name / f"{i}.jpg", draw(rng, about["size"], name))

        in_threads(one, range(about["n"]))

    return whole_folder(dest, about, fill)


def in_threads(work: Callable[[int], Any], numbers: Iterable[int]) -> list[Any]:
    """`work(i)` for each number, on all cores, in order."""
    with ThreadPoolExecutor(defaults.cpus) as pool:
        return list(pool.map(work, numbers))
