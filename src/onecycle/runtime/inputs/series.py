"""Series as a model's input, without torch: how they are read, asked and served."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, sqrt
from numbers import Integral
from typing import Any, ClassVar

import numpy as np

from onecycle.core.addresses import open_binary, place_of
from onecycle.core.errors import DataError, UsageError
from onecycle.core.walk import FileKind, with_dots
from onecycle.runtime.http.body import Body, Limits, RequestError
from onecycle.runtime.inputs.series_files import read_series
from onecycle.runtime.kinds import InputSpec, object_schema
from onecycle.runtime.sources import Remarks, content_of

ENCODINGS = ("gasf", "gadf", "mtf", "recurrence")
SCALES = ("minmax", "zscore")
LAYOUTS = ("grid", "planes")


@dataclass(frozen=True)
class SeriesSpec(InputSpec):
    """A series (channels, length) becomes an image (planes, h, w) in [-1, 1].

    With the layout "grid" each encoding is a plane, and the channels lie side by side, `pixels`
    wide and high each; with "planes" each encoding of each channel is a plane of its own. Without
    encodings the series itself, scaled, is what the network takes. `by` says
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
    tensor: ClassVar[str] = "series"
    axes: ClassVar[tuple[Any, ...]] = ("n", "channels", "t")
    files: ClassVar[FileKind] = FileKind(
        "series", with_dots(["csv", "ts", "tsv"]), with_dots(["txt", "arff", "npy", "parquet"])
    )
    columns: ClassVar[tuple[str, ...]] = ("file", "path", "series")

    def __post_init__(self) -> None:
        wrong = [name for name in self.encodings if name not in ENCODINGS]
        several = len(set(self.encodings)) == len(self.encodings)
        if wrong or not several or len(self.encodings) > 3:
            raise UsageError(
                f"encodings are 1 to 3 of {', '.join(ENCODINGS)}, or () for the series itself: "
                f"{self.encodings}"
            )
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
        """Rows and columns of channels in the image."""
        side_by_side = self.channels if self.layout == "grid" else 1
        columns = ceil(sqrt(side_by_side))
        return ceil(side_by_side / columns), columns

    @property
    def planes(self) -> int:
        """Planes of the image: at least the three that networks expect."""
        each = self.channels if self.layout == "planes" else 1
        return max(3, each * len(self.encodings))

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the image, where there is one."""
        if not self.encodings:
            return None
        return self.grid[0] * self.pixels, self.grid[1] * self.pixels

    def array(self, source: Any, remarks: Remarks | None = None) -> np.ndarray:
        """float32 (channels, t) without gaps, of an array, a list or a CSV file."""
        return series_of(source, self.channels, self.by == "series")

    def named_sources(self, path: Any) -> Iterator[tuple[str, Any]]:
        """(name, source) of CSV files, each a series, and of each series in an archive's file."""
        for name, file in super().named_sources(path):
            if file.suffix.lower() in {".ts", ".tsv"}:
                for i, series in enumerate(read_series(file)[0], 1):
                    yield f"{name}, series {i}", series
            else:
                yield name, file

    def bodies(self, max_bytes: int, one: bool = False) -> dict[str, Any]:
        """JSON, or one series as CSV."""
        number = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
        value = {"anyOf": [number, {"type": "null"}]}
        flat = {"type": "array", "items": value, "minItems": 2, "contains": {"type": "number"}}
        count = self.channels
        channels = {"type": "array", "items": flat, "minItems": count, "maxItems": count}
        several = {"type": "array", "items": channels, "minItems": 1, "maxItems": 16}
        shapes = [flat, channels, several] if count == 1 else [channels, several]
        schema = object_schema(series={"anyOf": shapes[:-1] if one else shapes})
        csv = {"schema": {"type": "string", "minLength": 3, "maxLength": max_bytes}}
        return {
            "application/json": {"schema": schema | {"additionalProperties": False}},
            "text/csv": csv,
        }

    def sources(self, body: Body, limits: Limits) -> list[Any]:
        """The series of {"series": [...]}; files and other bodies are CSV.

        The list holds numbers (null is a gap), or a list of them for each channel, or several
        series of channels.
        """
        if body.json is None:
            return super().sources(body, limits)
        found = body.json["series"] if set(body.json) == {"series"} else None
        if not isinstance(found, list) or not _nested_numbers(found):
            raise RequestError(422, 'JSON is {"series": [1.5, 2, null, ...]}')
        if not (
            found and isinstance(found[0], list) and found[0] and isinstance(found[0][0], list)
        ):
            return [found] if found else []
        if len(found) > limits.items:
            raise RequestError(400, f"more than {limits.items} series in one request")
        if not all(isinstance(one, list) for one in found):  # a str would be read as a path
            raise RequestError(422, "some of the series are no lists")
        return found


def _nested_numbers(found: list[Any], depth: int = 3) -> bool:
    """Lists, at most `depth` in each other, of numbers and nulls; true and false are no numbers."""
    return depth > 0 and all(
        _nested_numbers(one, depth - 1)
        if isinstance(one, list)
        else one is None or type(one) in (int, float)
        for one in found
    )


# From arrays, lists and CSV files to series (channels, t), without torch.

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
LARGEST = 1e15  # squares of what lies within are far from float32's end
_SMALL = 1e-3  # what varies less is brought to about 1 where the unit does not count
_NO_NUMBERS = "cmM"  # numpy's kinds of complex numbers and of times
GAPS = ("", "?", "na", "nan", "null")


def as_series(source: Any, where: Any = None, shift: bool = False) -> np.ndarray:
    """Numbers (t,) or (channels, t) as float32; gaps (NaN) are filled by straight lines.

    With `shift` a channel that varies too little on its level for float32 begins at 0, and one that
    varies by less than 1e-3 lies on [0, 1]: for series that are scaled by themselves, whose level
    and unit do not count. Raises DataError as `numbers` does.
    """
    x = numbers(source, where)
    x = (_shift(x) if shift else x).astype(np.float32)
    gaps = np.isnan(x)
    if not gaps.any():
        return x
    step = np.arange(x.shape[1])
    filled = [np.interp(step, step[~g], row[~g]) for row, g in zip(x, gaps, strict=True)]
    return np.stack(filled).astype(np.float32)


def _shift(x: np.ndarray) -> np.ndarray:
    low, high = np.nanmin(x, 1, keepdims=True), np.nanmax(x, 1, keepdims=True)
    small = varies(low, high) & (high - low < _SMALL)
    first = np.where(small | blurs(low, high, _SMALL), low, 0)
    return (x - first) / np.where(small, high - low, 1)


def varies(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether values from `low` to `high` vary by more than float64's own rounding."""
    return high - low > 1e-12 * np.maximum(-low, high)


def blurs(low: np.ndarray, high: np.ndarray, share: float) -> np.ndarray:
    """Whether values from `low` to `high` vary, by less than `share` of themselves."""
    return varies(low, high) & (high - low < share * np.maximum(-low, high))


def numbers(source: Any, where: Any = None) -> np.ndarray:
    """Numbers (t,) or (channels, t) as float64 (channels, t), NaN for gaps.

    Gaps of all channels at the end are padding, and left out. Raises DataError for a
    channel without any number, for values beyond 1e15 and other shapes.
    """
    name = "the series" if where is None else f"series {where}"
    try:
        if isinstance(source, np.ma.MaskedArray):  # what is masked is a gap
            source = np.ma.filled(source.astype(np.float64), np.nan)
        if hasattr(source, "detach"):
            source = source.detach().cpu().resolve_conj()
            source = source.double() if source.is_floating_point() else source
        given = np.asarray(source)
        if given.dtype.kind not in _NO_NUMBERS:
            given = np.asarray(source, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name} holds something that is no number: {error}") from error
    refuse_kinds(given, name)
    x = np.atleast_2d(given)
    if x.ndim != 2 or not len(x) or x.shape[1] < 2:
        raise DataError(f"{name} has shape {x.shape}: (t,) or (channels, t), t > 1, is wanted")
    if (np.abs(x) > LARGEST).any():
        raise DataError(f"{name} holds infinite values, or some beyond {LARGEST:g}: scale them")
    gaps = np.isnan(x)
    if gaps.all(1).any():
        raise DataError(f"{name}: channel {int(gaps.all(1).argmax())} holds no number at all")
    x = x[:, : np.flatnonzero(~gaps.all(0))[-1] + 1]
    if x.shape[1] < 2:
        raise DataError(f"{name} has one step, and gaps at its end: two steps are wanted")
    return x


def refuse_kinds(x: np.ndarray, name: str) -> None:
    """DataError for complex numbers, whose half would be dropped, and for times."""
    if x.dtype.kind in _NO_NUMBERS:
        what = "complex numbers" if x.dtype.kind == "c" else "times"
        raise DataError(f"{name} holds {what} ({x.dtype}): make real numbers of them")


def series_of(source: Any, channels: int, shift: bool = False) -> np.ndarray:
    """An array, a list, or a CSV file (path, bytes, open binary file) as `as_series`."""
    if isinstance(source, str | os.PathLike):
        source = place_of(source)
        try:
            with open_binary(source) as file:
                source = file.read()
        except (OSError, ValueError) as error:
            raise DataError(f"{str(source)[:200]}: cannot be read ({error})") from error
    if hasattr(source, "read"):
        source = content_of(source)
    if isinstance(source, bytes | bytearray | memoryview):
        source = from_csv(bytes(source).decode("utf-8", "replace"), channels)
    x = as_series(source, shift=shift)
    if len(x) != channels:
        raise DataError(f"the series has {len(x)} channels, the model takes {channels}")
    return x


def from_csv(text: str, channels: int) -> np.ndarray:
    """The float64 numbers of a table, a column (or a row) for each channel; empty cells are NaN.

    Cells stand between commas, semicolons or tabs, or else blanks; a first row of names is left
    out; a blank line inside a single column is a gap. The page reads files by the same rules.
    """
    lines = [line.strip(" \r") for line in text.removeprefix("\ufeff").split("\n")]
    held = [i for i, line in enumerate(lines) if line] or [0]
    named = None in map(_value, _cells(lines[held[0]]))
    rows = [(i + 1, _cells(lines[i])) for i in range(held[0] + named, held[-1] + 1)]
    if not rows or not any(lines):
        raise DataError("the table holds no numbers")
    if any(len(cells) > 1 for _, cells in rows):
        rows = [(i, cells) for i, cells in rows if lines[i - 1]]
    _only_one_way(rows, lines)
    width = len(rows[0][1])
    for i, cells in rows:
        wrong = [cell for cell in cells if _value(cell) is None]
        if wrong or len(cells) != width:
            found = f"{wrong[0][:40]!r} is no number" if wrong else f"{len(cells)} cells"
            raise DataError(f"line {i} of the table: {found}; {width} numbers are wanted")
    x = np.array([[_value(cell) for cell in cells] for _, cells in rows], np.float64)
    if width == channels:
        return x.T
    if len(x) == channels:
        return x
    raise DataError(
        f"the table has {len(x)} rows and {width} columns; the model takes {channels} channel(s), "
        "one a column or one a row: take out what is no channel"
    )


def _only_one_way(rows: list[tuple[int, list[str]]], lines: list[str]) -> None:
    """DataError for decimal commas, and for numbers of columns in place of names."""
    for i, _ in rows:
        if "," in lines[i - 1] and re.search(r"[;\t]", lines[i - 1]):
            raise DataError(
                f"line {i} of the table: commas beside semicolons or tabs: write 1.5, not 1,5"
            )
    (first, names), *rest = rows
    skip = int(not names[0])  # pandas writes no name above the index
    below = [cell for _, cells in rest for cell in cells[skip:] if _value(cell) == _value(cell)]
    numbered = names[skip:] == [str(i) for i in range(len(names) - skip)]
    if numbered and below and all(re.search("[.e]", cell.lower()) for cell in below):
        raise DataError(
            f"line {first} of the table: {names[skip]!r} is a column's number, as pandas writes "
            "it, or a value: write it with header=False, or values as 0.0"
        )


def _cells(line: str) -> list[str]:
    parts = re.split(r"[,;\t]", line) if re.search(r"[,;\t]", line) else line.split() or [""]
    return [part.strip(' "') for part in parts]


def _value(cell: str) -> float | None:
    """The number in a cell, NaN for a gap, None for anything else."""
    if cell.lower() in GAPS:
        return float("nan")
    return float(cell) if _NUMBER.fullmatch(cell) else None
