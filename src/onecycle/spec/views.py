"""Which part of an image validation looks at, in whole pixels: Python and exported files agree."""

from __future__ import annotations

from math import ceil, floor
from typing import NamedTuple

import numpy as np

Size = tuple[int, int]  # (h, w)


class View(NamedTuple):
    """A window that need not be the middle: where it lies, and what part of it is looked at.

    The window lies at (row, col), 0 to 1, of the room that resizing leaves beside it. Of its height
    and width the shares `high` and `wide` are looked at (more than 1: also what lies around it),
    `down` and `right` of its middle, in shares of it, too.
    """

    row: float = 0.5
    col: float = 0.5
    high: float = 1.0
    wide: float = 1.0
    down: float = 0.0
    right: float = 0.0

    def rectangle(self, source: Size, base: Size) -> tuple[int, int, int, int]:
        """(top, left, h, w) in an image of size `source` with a window of size `base`.

        The rectangle may reach beyond the image. Every operation is one that an exported graph
        repeats on float64, in this order, so that both find the same pixels.
        """
        (top, h), (left, w) = (
            _interval(*parts)
            for parts in (
                (source[0], base[0], self.row, self.high, self.down),
                (source[1], base[1], self.col, self.wide, self.right),
            )
        )
        return top, left, h, w


def _interval(source: int, base: int, place: float, share: float, off: float) -> tuple[int, int]:
    """Where the looked-at part of one axis begins, and how long it is."""
    length = max(1, floor(share * base + 0.5))
    middle = place * (source - base) + (0.5 + off) * base
    return ceil(middle - length * 0.5 - 0.5), length


def fit(shape: Size, room: Size) -> Size:
    """The largest (h, w) of the proportions of `shape` within `room`."""
    (h, w), (rows, cols) = shape, room
    if rows * w <= cols * h:  # whole numbers only, so that an exported file finds the same
        return rows, min(cols, max(1, (2 * w * rows + h) // (2 * h)))
    return min(rows, max(1, (2 * h * cols + w) // (2 * w))), cols


def cover(shape: Size, held: Size) -> Size:
    """The smallest (h, w) of the proportions of `shape` around an image of size `held`."""
    (h, w), (rows, cols) = shape, held
    if cols * h <= rows * w:
        return rows, (2 * w * rows + h) // (2 * h)
    return (2 * h * cols + w) // (2 * w), cols


def places(first: int, count: int, length: int, mode: str) -> np.ndarray:
    """Indexes first, first + 1, ... of an axis of `length` pixels; beyond its ends as `mode` says.

    "reflection" repeats the last pixel, as cv2 and np.pad's "symmetric" do; "zeros" gives the
    nearest pixel, which the caller blackens.
    """
    index = np.arange(first, first + count)
    if mode == "reflection":
        index = index % (2 * length)
        return np.where(index < length, index, 2 * length - 1 - index)
    return index.clip(0, length - 1)


def seen_part(pixels: np.ndarray, rectangle: tuple[int, int, int, int], mode: str) -> np.ndarray:
    """The rectangle (top, left, h, w) of (h, w, ...) pixels, filled as `mode` says beyond them."""
    top, left, h, w = rectangle
    rows, cols = pixels.shape[:2]
    if top >= 0 and left >= 0 and top + h <= rows and left + w <= cols:
        return pixels[top : top + h, left : left + w]
    part = pixels[places(top, h, rows, mode)][:, places(left, w, cols, mode)]
    if mode == "zeros":
        y, x = np.arange(top, top + h), np.arange(left, left + w)
        part[(y < 0) | (y >= rows)] = 0
        part[:, (x < 0) | (x >= cols)] = 0
    return part
