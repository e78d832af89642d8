"""From arrays, lists and CSV files to series (channels, t), without torch."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from onecycle.core.errors import DataError

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
LARGEST = 1e15  # squares of what lies within are far from float32's end
_GAPS = ("", "?", "na", "nan", "null")


def as_series(source: Any, where: Any = None) -> np.ndarray:
    """Numbers (t,) or (channels, t) as float32; gaps (NaN) are filled by straight lines.

    Raises DataError for a channel without any number, for values beyond 1e15 and other shapes.
    """
    name = "the series" if where is None else f"series {where}"
    try:
        if isinstance(source, np.ma.MaskedArray):  # what is masked is a gap
            source = np.ma.filled(source.astype(np.float64), np.nan)
        if hasattr(source, "detach"):
            source = source.detach()
        x = np.atleast_2d(np.asarray(source, dtype=np.float64))
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name} holds something that is no number: {error}") from error
    if x.ndim != 2 or not len(x) or x.shape[1] < 2:
        raise DataError(f"{name} has shape {x.shape}: (t,) or (channels, t), t > 1, is wanted")
    if (np.abs(x) > LARGEST).any():
        raise DataError(f"{name} holds infinite values, or some beyond {LARGEST:g}: scale them")
    x = x.astype(np.float32)
    gaps = np.isnan(x)
    if gaps.all(1).any():
        raise DataError(f"{name}: channel {int(gaps.all(1).argmax())} holds no number at all")
    if not gaps.any():
        return x
    step = np.arange(x.shape[1])
    filled = [np.interp(step, step[~g], row[~g]) for row, g in zip(x, gaps, strict=True)]
    return np.stack(filled).astype(np.float32)


def series_of(source: Any, channels: int) -> np.ndarray:
    """An array, a list, or a CSV file (path, bytes, open binary file) as float32 (channels, t)."""
    if isinstance(source, str | os.PathLike):
        try:
            source = Path(source).read_bytes()
        except (OSError, ValueError) as error:
            raise DataError(f"{str(source)[:200]}: cannot be read ({error})") from error
    if hasattr(source, "read"):
        source = source.read()
    if isinstance(source, bytes | bytearray | memoryview):
        source = from_csv(bytes(source).decode("utf-8", "replace"), channels)
    x = as_series(source)
    if len(x) != channels:
        raise DataError(f"the series has {len(x)} channels, the model takes {channels}")
    return x


def from_csv(text: str, channels: int) -> np.ndarray:
    """The float64 numbers of a table, a column (or a row) for each channel; empty cells are NaN.

    Cells stand between commas, semicolons or tabs, or else blanks; a first row of names is left
    out. The page reads files by the same rules.
    """
    lines = [line.strip(" \r") for line in text.removeprefix("\ufeff").split("\n")]
    rows = [(i, _cells(line)) for i, line in enumerate(lines, 1) if line.strip()]
    if rows and None in map(_value, rows[0][1]):
        rows = rows[1:]
    if not rows:
        raise DataError("the table holds no numbers")
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


def _cells(line: str) -> list[str]:
    parts = re.split(r"[,;\t]", line) if re.search(r"[,;\t]", line) else line.split()
    return [part.strip(' "') for part in parts]


def _value(cell: str) -> float | None:
    """The number in a cell, NaN for a gap, None for anything else."""
    if cell.lower() in _GAPS:
        return float("nan")
    return float(cell) if _NUMBER.fullmatch(cell) else None
