"""How a series, or a plain array, becomes a model's input, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from numbers import Integral
from typing import ClassVar

from onecycle.core.errors import UsageError
from onecycle.spec.plain import Plain

ENCODINGS = ("gasf", "gadf", "mtf", "recurrence")
SCALES = ("minmax", "zscore")
LAYOUTS = ("grid", "planes")


@dataclass(frozen=True)
class SeriesSpec(Plain):
    """A series (channels, length) becomes a picture (planes, h, w) in [-1, 1].

    With the layout "grid" each encoding is a plane, and the channels lie side by side, `pixels`
    wide and high each; with "planes" each encoding of each channel is a plane of its own. `by` says
    whether a series is scaled by itself or by the `low`, `high`, `mean` and `std` that the channels
    of the training set have. Series of other lengths are stretched to `length`.
    """

    encodings: tuple[str, ...] = ("gasf", "gadf", "mtf")
    pixels: int = 32
    bins: int = 8
    scale: str = "minmax"
    by: str = "series"
    length: int | None = None
    channels: int = 1
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    centre: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    layout: str = "grid"
    kind: ClassVar[str] = "series"

    def __post_init__(self) -> None:
        wrong = [name for name in self.encodings if name not in ENCODINGS]
        several = len(set(self.encodings)) == len(self.encodings)
        if wrong or not several or not 1 <= len(self.encodings) <= 3:
            raise UsageError(f"encodings are 1 to 3 of {', '.join(ENCODINGS)}: {self.encodings}")
        if self.scale not in SCALES or self.by not in ("series", "train"):
            raise UsageError(
                f'scale is "minmax" or "zscore", by is "series" or "train": '
                f"{self.scale!r}, {self.by!r}"
            )
        if not isinstance(self.bins, Integral) or self.bins < 2:
            raise UsageError(f"bins is a whole number from 2 on, not {self.bins!r}")
        if self.length is not None and (not isinstance(self.length, Integral) or self.length < 2):
            raise UsageError(f"length is None or a number of steps from 2 on, not {self.length!r}")
        if self.layout not in LAYOUTS:
            raise UsageError(f'layout is "grid" or "planes", not {self.layout!r}')

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of channels in the picture."""
        side_by_side = self.channels if self.layout == "grid" else 1
        columns = ceil(sqrt(side_by_side))
        return ceil(side_by_side / columns), columns

    @property
    def planes(self) -> int:
        """Planes of the picture: at least the three that networks expect."""
        each = self.channels if self.layout == "planes" else 1
        return max(3, each * len(self.encodings))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return self.grid[0] * self.pixels, self.grid[1] * self.pixels


@dataclass(frozen=True)
class ArraySpec(Plain):
    """Arrays of one `shape`, float32, minus `mean`, over `std` where these are given."""

    shape: tuple[int, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    kind: ClassVar[str] = "array"
