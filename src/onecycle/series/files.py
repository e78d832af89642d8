"""The time series archives' files: UCR `.tsv` and UEA / sktime `.ts`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from onecycle.core.errors import EmptyDataError, TableError


def read_series(path: Path) -> tuple[list[np.ndarray], list[str]]:
    """Series (channels, t) float32, NaN for gaps, and their labels (text).

    Raises TableError with the line at fault.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read ({error})") from error
    start = next((i + 1 for i, row in enumerate(lines) if row.strip().lower() == "@data"), None)
    tabs = path.suffix != ".ts"
    if not tabs and start is None:
        raise TableError(f"{path}: has no line @data, which a .ts file needs")
    if "@timestamps true" in {row.strip().lower() for row in lines[: start or 0]}:
        raise TableError(f"{path}: series with time stamps are not read: write values alone")
    rows = [(i + 1, r) for i, r in enumerate(lines) if i >= (start or 0) and r.strip()]
    pairs = [_row(text, tabs, f"{path}, line {number}") for number, text in rows]
    if not pairs:
        raise EmptyDataError(f"{path}: holds no series")
    return [x for x, _ in pairs], [label for _, label in pairs]


def _row(text: str, tabs: bool, where: str) -> tuple[np.ndarray, str]:
    if tabs:
        label, *values = text.split()
        channels = [values]
    else:
        *parts, label = text.strip().split(":")
        channels = [part.split(",") for part in parts]
    if not channels or not channels[0]:
        raise TableError(f"{where}: holds no values")
    try:
        rows = [[np.nan if v.strip() == "?" else float(v) for v in c] for c in channels]
    except ValueError as error:
        raise TableError(f"{where}: {error}") from error
    if len({len(row) for row in rows}) > 1:
        raise TableError(f"{where}: its channels have {[len(r) for r in rows]} values")
    x = np.array(rows, np.float32)
    if tabs:  # UCR pads shorter series with NaN at their end
        held = np.flatnonzero(~np.isnan(x[0]))
        x = x[:, : held[-1] + 1] if len(held) else x
    return x, label
