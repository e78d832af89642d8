"""What every labelling tool says about images, in one form: things with outlines, and tags."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from onecycle.core.errors import LabelError, OnecycleError
from onecycle.core.paths import Path
from onecycle.vision.annotations.shapes import Region, Runs, fill

_FARTHEST = 1e7  # pixels: no coordinate of an image is beyond
_MISFITS = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)


@dataclass(frozen=True, eq=False)
class Thing:
    """One object of an image, in pixels of it: (y, x), edges at 0 and at the image's size.

    `rings` are polygons (k, 2) whose union it is, `runs` the same as a mask; `box` is (top, left,
    bottom, right), given or around these. `points` (k, 2) hold NaN where one is not marked. What is
    `ignored` is void in masks. Of two things that overlap the one of the higher `level` is on top.
    """

    name: str
    box: tuple[float, ...] | None = None
    rings: tuple[np.ndarray, ...] = ()
    runs: Runs | None = None
    points: np.ndarray | None = None
    ignored: bool = False
    level: float = 0

    @property
    def has_area(self) -> bool:
        """Whether it says which pixels are its own."""
        return bool(self.rings) or self.runs is not None

    def region(self, size: tuple[int, int]) -> Region:
        """Its pixels in an image of `size` (h, w)."""
        return self.runs.region() if self.runs is not None else fill(self.rings, size)

    def around(self) -> tuple[float, ...] | None:
        """(top, left, bottom, right), or None for points alone and for what is empty."""
        if self.box is not None:
            return self.box
        if self.runs is not None:
            return self.runs.region().box
        if not self.rings:
            return None
        corners = np.concatenate(self.rings)
        return (*corners.min(0).tolist(), *corners.max(0).tolist())


@dataclass(frozen=True, eq=False)
class Record:
    """What is said about one image; `size` (h, w) is that of the image the tool had, if it says so.

    `mask` is a file with a class for each pixel, where there is one. `is_looked_at` is false where
    nobody has labelled the image yet.
    """

    file: Path
    size: tuple[int, int] | None = None
    things: tuple[Thing, ...] = ()
    tags: tuple[str, ...] = ()
    mask: Path | None = None
    is_looked_at: bool = True


@dataclass
class Found:
    """What a reader found: records in order, all classes in the tool's order, and what it left."""

    records: list[Record] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    left: dict[str, int] = field(default_factory=dict)  # by reason, for a warning

    def leave(self, reason: str) -> None:
        """Count something that is not taken."""
        self.left[reason] = self.left.get(reason, 0) + 1


class EntryError(ValueError):
    """What is wrong with one entry; `at` says in which file."""


@contextmanager
def at(place: object) -> Iterator[None]:
    """LabelError that names the place, for whatever does not fit what is read there."""
    try:
        yield
    except OnecycleError:
        raise
    except EntryError as error:
        raise LabelError(f"{place}: {error}") from None
    except KeyError as error:
        raise LabelError(f"{place}: has no {str(error)[:60]}") from error
    except _MISFITS as error:
        raise LabelError(f"{place}: is not as it should be ({str(error)[:200]})") from error


def number(value: Any, what: str, low: float = -_FARTHEST, high: float = _FARTHEST) -> float:
    """A finite number, also as text; EntryError for anything else."""
    try:
        found = float(value) if isinstance(value, Real | str) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if isinstance(value, bool) or not low <= found <= high:
        raise EntryError(f"{what} is {value!r:.60}, no number from {low:g} to {high:g}")
    return found


def whole(value: Any, what: str, low: int = 0, high: int = int(_FARTHEST)) -> int:
    """A whole number from `low` to `high`."""
    found = number(value, what, low, high)
    if found != int(found):
        raise EntryError(f"{what} is {value!r:.60}, no whole number")
    return int(found)


def pairs(values: Any, what: str) -> np.ndarray:
    """Rows of (y, x), float64 (k, 2), of a flat list x, y, x, y, ... or of pairs (x, y)."""
    try:
        flat = np.asarray(values, np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        raise EntryError(f"{what} is {values!r:.60}, no list of pairs of numbers") from None
    if not np.isfinite(flat).all() or (np.abs(flat) > _FARTHEST).any():
        raise EntryError(f"{what} holds numbers that are no place in an image")
    return flat[:, ::-1]


def ring(values: Any, what: str = "a polygon") -> np.ndarray:
    """The corners of a polygon, three or more, as `pairs` gives them."""
    corners = pairs(values, what)
    if len(corners) < 3:
        raise EntryError(f"{what} has {len(corners)} corners, of three or more")
    return corners


def text(value: Any, what: str) -> str:
    """A name: text, or a number as text; EntryError for what is neither, or blank."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise EntryError(f"{what} is {value!r:.60}, no name")
    return str(value).strip()


def size_of_image(h: Any, w: Any) -> tuple[int, int] | None:
    """(h, w) as the tool says, or None where it does not (missing or 0)."""
    sides = [0 if side in (None, "") else whole(side, "the size of the image") for side in (h, w)]
    return (sides[0], sides[1]) if all(sides) else None
