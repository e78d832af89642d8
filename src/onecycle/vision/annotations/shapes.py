"""Outlines as pixels: polygons, run lengths of several tools, ellipses and turned rectangles.

Coordinates are (y, x) from edge to edge: pixel (i, j) has its centre at (i + 0.5, j + 0.5), and
belongs to a polygon where that centre lies inside.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onecycle.core.errors import LabelError
from onecycle.runtime.inputs.pixels import MAX_PIXELS

BACKGROUND = ("background", "_background_", "__background__")  # names of what is no object
_MOST_CROSSINGS = 1 << 26  # of the edges of one polygon with rows of pixels


@dataclass(frozen=True, eq=False)
class Region:
    """Pixels of an image: `inside` (h, w) is bool, its first pixel lies at (top, left)."""

    top: int
    left: int
    inside: np.ndarray

    @property
    def area(self) -> int:
        """How many pixels there are."""
        return int(np.count_nonzero(self.inside))

    @property
    def box(self) -> tuple[float, ...] | None:
        """(top, left, bottom, right) around the pixels; None where there are none."""
        rows, columns = (np.flatnonzero(self.inside.any(axis)) for axis in (1, 0))
        if not len(rows):
            return None
        edges = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
        start = (self.top, self.left, self.top, self.left)
        return tuple(float(edge + at) for edge, at in zip(edges, start, strict=True))

    def paint(self, mask: np.ndarray, value: int) -> None:
        """Set the pixels that lie in the mask (h, w)."""
        (h, w), (rows, columns) = mask.shape, self.inside.shape
        y, x = max(-self.top, 0), max(-self.left, 0)
        bottom, right = min(rows, h - self.top), min(columns, w - self.left)
        if bottom > y and right > x:
            part = mask[self.top + y : self.top + bottom, self.left + x : self.left + right]
            part[self.inside[y:bottom, x:right]] = value


@dataclass(frozen=True, eq=False)
class Runs:
    """A mask of `size` (h, w) as lengths of runs, without and with the thing in turn.

    They go down the columns, or along the rows; the first pixel lies at (top, left).
    """

    counts: np.ndarray
    size: tuple[int, int]
    by_columns: bool = False
    top: int = 0
    left: int = 0

    def __post_init__(self) -> None:
        area = self.size[0] * self.size[1]
        if area > MAX_PIXELS:
            raise ValueError(f"a mask of {self.size} is larger than {MAX_PIXELS:,} pixels")
        if self.counts.ndim != 1 or self.counts.dtype.kind != "i":
            raise ValueError("its runs are no list of whole numbers")
        if (self.counts < 0).any() or int(self.counts.sum()) != area:
            raise ValueError(f"its runs do not add up to the {area} pixels of {self.size} (h, w)")

    def region(self) -> Region:
        """The pixels."""
        values = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        inside = values.reshape(self.size[::-1]).T if self.by_columns else values.reshape(self.size)
        return Region(self.top, self.left, inside)

    def turned(self, turn: int, size: tuple[int, int]) -> "Runs":
        """The same in the image that EXIF's mark 5-8 makes of one of `size` (h, w) as stored."""
        whole = np.zeros(size, np.uint8)
        self.region().paint(whole, 1)
        ways = {5: whole.T, 6: np.rot90(whole, -1), 7: np.rot90(whole, 2).T, 8: np.rot90(whole)}
        return runs_of(ways[turn] > 0)


def runs_of(mask: np.ndarray, by_columns: bool = False) -> Runs:
    """The runs of a bool mask (h, w)."""
    flat = mask.ravel("F" if by_columns else "C").astype(bool)
    edges = np.flatnonzero(np.diff(flat, prepend=False, append=not flat[-1] if len(flat) else True))
    counts = np.diff(edges, prepend=0)
    return Runs(counts, (mask.shape[0], mask.shape[1]), by_columns)


def fill(rings: Iterable[np.ndarray], size: tuple[int, int]) -> Region:
    """The union of polygons in an image of `size` (h, w), each by the even-odd rule."""
    parts = [_fill(corners, size) for corners in rings]
    if len(parts) == 1:
        return parts[0]
    top, left = min(p.top for p in parts), min(p.left for p in parts)
    bottom = max(p.top + p.inside.shape[0] for p in parts)
    right = max(p.left + p.inside.shape[1] for p in parts)
    whole = np.zeros((bottom - top, right - left), np.uint8)
    for part in parts:
        Region(part.top - top, part.left - left, part.inside).paint(whole, 1)
    return Region(top, left, whole.astype(bool))


def _fill(corners: np.ndarray, size: tuple[int, int]) -> Region:
    """Each edge toggles, in the rows whose centres it passes, all pixels to its right."""
    # Of the window around the polygon: rows and columns whose centres may lie inside.
    low, high = (np.ceil(f(corners, 0) - 0.5).clip(0, size).astype(int) for f in (np.min, np.max))
    top, left, (h, w) = int(low[0]), int(low[1]), (high - low).tolist()
    (y0, x0), (y1, x1) = (corners - low).T, (np.roll(corners, -1, 0) - low).T
    first = np.ceil(np.minimum(y0, y1) - 0.5).clip(0, h).astype(int)
    counts = np.ceil(np.maximum(y0, y1) - 0.5).clip(0, h).astype(int) - first
    if counts.sum() > _MOST_CROSSINGS:
        raise LabelError(f"a polygon of {len(corners):,} corners crosses too many rows")
    edge = np.repeat(np.arange(len(corners)), counts)
    row = np.arange(len(edge)) - np.repeat(counts.cumsum() - counts, counts) + first[edge]
    x = x0[edge] + (row + 0.5 - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
    column = np.ceil(x - 0.5).clip(0, w).astype(int)
    toggles = np.bincount(row * (w + 1) + column, minlength=h * (w + 1)).reshape(h, w + 1)
    return Region(top, left, (toggles.cumsum(1)[:, :w] & 1).astype(bool))


def rectangle(top: float, left: float, bottom: float, right: float) -> np.ndarray:
    """The corners (4, 2) in turn."""
    return np.array([(top, left), (top, right), (bottom, right), (bottom, left)], np.float64)


def turned(corners: np.ndarray, degrees: float, about: Sequence[float]) -> np.ndarray:
    """Corners (k, 2), turned clockwise (as an image is seen) about a place (y, x)."""
    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return (corners - about) @ np.array([[cos, -sin], [sin, cos]]) + about


def ellipse(centre: Sequence[float], height: float, width: float) -> np.ndarray:
    """72 corners of an ellipse about a place (y, x) with these half axes."""
    angles = np.arange(72) * np.pi / 36
    y, x = centre
    return np.stack([y + height * np.sin(angles), x + width * np.cos(angles)], 1)


# Run lengths as COCO writes them in text: differences to the run before the last one, in pieces of
# five bits, the sixth saying that more follow, above "0".


def decode_counts(coded: str | bytes) -> np.ndarray:
    """Lengths of runs, int64."""
    given = coded.encode("ascii") if isinstance(coded, str) else coded
    found: list[int] = []
    value = shift = 0
    for byte in given:
        piece = byte - 48
        if not 0 <= piece < 64 or shift > 55:
            raise ValueError("its counts are no compressed run lengths")
        value |= (piece & 31) << shift
        shift += 5
        if not piece & 32:
            value -= (piece & 16) << (shift - 4) if piece & 16 else 0
            found.append(value + (found[-2] if len(found) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("its compressed run lengths are cut off")
    return np.array(found, np.int64)


def encode_counts(counts: Sequence[int] | np.ndarray) -> str:
    """The same lengths as text."""
    lengths, coded = [int(count) for count in counts], bytearray()
    for i, length in enumerate(lengths):
        value = length - (lengths[i - 2] if i > 2 else 0)
        more = True
        while more:
            piece, value = value & 31, value >> 5
            more = value != (-1 if piece & 16 else 0)
            coded.append((piece | 32 * more) + 48)
    return coded.decode("ascii")


def decode_brush(packed: Sequence[int], size: tuple[int, int]) -> np.ndarray:  # long: one stream
    """Label Studio's brush as a bool mask (h, w): where the fourth of its channels is not 0.

    Its run lengths are bits: how many values there are (32), bits of a value less one (5), four
    widths of lengths less one (4 each); then pieces: whether a run follows (1), which width (2),
    the length less one, and the value once or, without a run, as often as the length says.
    """
    data = np.asarray(packed)
    if data.ndim != 1 or data.dtype.kind not in "iu" or (data < 0).any() or (data > 255).any():
        raise ValueError("its rle is no list of bytes")
    bits, place = np.unpackbits(data.astype(np.uint8)), 0
    text = (bits + 48).tobytes().decode("ascii")

    def take(count: int) -> int:
        nonlocal place
        place += count
        if place > len(text):
            raise ValueError("its rle is cut off")
        return int(text[place - count : place], 2)

    total, width = take(32), take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    if width != 8 or total != 4 * size[0] * size[1] or total > 4 * MAX_PIXELS:
        raise ValueError(f"its rle holds {total} values of {width} bits, not 4 bytes for {size}")
    values, filled = np.zeros(total, np.uint8), 0
    while filled < total:
        is_run = take(1)
        count = take(lengths[take(2)]) + 1
        if filled + count > total:
            raise ValueError("its rle holds more values than it says")
        if is_run:
            values[filled : filled + count] = take(8)
        else:
            place += 8 * count
            if place > len(bits):
                raise ValueError("its rle is cut off")
            values[filled : filled + count] = np.packbits(bits[place - 8 * count : place])
        filled += count
    return values.reshape(*size, 4)[:, :, 3] > 0


# Rows of a COCO file.


def coco_region(mask: np.ndarray) -> dict[str, Any]:
    """The pixels of a bool mask (h, w), one or more."""
    (top, left, bottom, right), runs = Region(0, 0, mask).box or (0.0,) * 4, runs_of(mask, True)
    return {
        "segmentation": {"size": list(mask.shape), "counts": encode_counts(runs.counts)},
        "bbox": [left, top, right - left, bottom - top],
        "area": int(mask.sum()),
    }


def coco_box(edges: Sequence[float], category: Any) -> dict[str, Any]:
    """A box, by its edges (top, left, bottom, right) in pixels."""
    top, left, bottom, right = edges
    h, w = bottom - top, right - left
    return {"category": category, "bbox": [left, top, w, h], "area": h * w}


def coco_points(places: np.ndarray) -> list[float]:
    """Points (k, 2) of (y, x) as x, y, 2 of each."""
    return np.c_[places[:, ::-1], np.full(len(places), 2.0)].ravel().tolist()
