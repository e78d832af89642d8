"""The time series archives' files: UCR `.tsv`, `.txt` and `.csv`, UEA / sktime `.ts`."""

from collections.abc import Iterable, Sequence
from pathlib import Path as PurePath

import numpy as np

from onecycle.core.errors import EmptyDataError, TableError

_GAPS = ("?", "")


def read_series(path: PurePath) -> tuple[list[np.ndarray], list[str], list[str]]:
    """Series (channels, t) float64, NaN for gaps; their labels, text; their places, "file, line 3".

    Labels are "" where a file says that it has none. Raises TableError with the line at fault.
    """
    lines = _lines(path)
    rows = [(i, row.strip("\r\n ")) for i, row in enumerate(lines, 1) if row.strip()]
    archive = path.suffix.lower() == ".ts"
    found = _archive(path, rows) if archive else [_row(r, f"{path}, line {i}") for i, r in rows]
    if not found:
        raise EmptyDataError(f"{path}: holds no series")
    if not archive:
        _refuse_other_tables(path, found)
    series, labels, places = zip(*found, strict=True)
    return list(series), list(labels), list(places)


def _lines(path: PurePath) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read ({error})") from error


def _archive(path: PurePath, rows: list[tuple[int, str]]) -> list[tuple[np.ndarray, str, str]]:
    """A `.ts` file: comments with # or %, a header with @, then a series a line."""
    rows = [(i, row) for i, row in rows if not row.startswith(("#", "%"))]
    start = next((n for n, (_, row) in enumerate(rows) if row.lower() == "@data"), None)
    if start is None:
        raise TableError(f"{path}: has no line @data, which a .ts file needs")
    header = _header(row for _, row in rows[:start])
    if _says(header.get("@timestamps"), "true"):
        raise TableError(f"{path}: series with time stamps are not read: write values alone")
    label = header.get("@classlabel", header.get("@targetlabel"))
    names = header.get("@classlabel", [])[1:]
    dimensions = header.get("@dimensions", header.get("@dimension"))

    def read_row(row: str, where: str) -> tuple[np.ndarray, str, str]:
        *parts, last = map(str.strip, row.split(":"))
        if _says(label, "false"):
            parts, last = [*parts, last], ""
        elif label is None and "," in last:
            raise TableError(
                f"{where}: {last[:40]!r} comes last and looks like values, not like a label: write "
                "@classLabel false above @data if there are none"
            )
        x = _values([part.split(",") for part in parts], where, _GAPS[:1])
        if dimensions and dimensions != [str(len(x))]:
            raise TableError(f"{where}: {len(x)} channels, not {dimensions[0]} as its header says")
        if names and last not in names:
            raise TableError(f"{where}: the label {last!r} is none of the header's: {names}")
        return x, last, where

    return [read_row(row, f"{path}, line {i}") for i, row in rows[start + 1 :]]


def _header(rows: Iterable[str]) -> dict[str, list[str]]:
    lines = [row.replace(",", " ").split() or [""] for row in rows]
    return {name.lower(): values for name, *values in lines}


def labels_are(path: PurePath) -> str:
    """What a file says of its labels: "class" or "target" (a number); "" where it says nothing."""
    if path.suffix.lower() != ".ts":
        return ""
    header = _header(row for row in _lines(path) if row.startswith("@"))
    if _says(header.get("@targetlabel"), "true"):
        return "target"
    return "class" if _says(header.get("@classlabel"), "true") else ""


def _says(words: Sequence[str] | None, word: str) -> bool:
    return bool(words) and words[0].lower() == word  # type: ignore[index]


def _row(row: str, where: str) -> tuple[np.ndarray, str, str]:
    """The label, then the values: between tabs, or commas, or else blanks."""
    mark = next((mark for mark in "\t," if mark in row), None)
    label, *values = row.split(mark)
    return _values([values], where, _GAPS), label.strip(), where


def _refuse_other_tables(path: PurePath, found: Sequence[tuple[np.ndarray, str, str]]) -> None:
    """TableError for a row of names above the series, and for labels at the end of the rows."""
    (first, label, where), *rest = found
    counted = [np.arange(first.shape[1]) + begin for begin in (0, 1)]
    if any(np.array_equal(first[0], row) for row in counted) and label not in {r[1] for r in rest}:
        raise TableError(f"{where}: this seems to be a row of names: take it out")
    firsts = [_number(label) for _, label, _ in found]
    lasts = [float(x[0, -1]) for x, _, _ in found]
    others = np.concatenate([x[0, :-1] for x, _, _ in found])
    real, few = not all(map(_is_whole, firsts)), 2 * len(set(lasts)) <= len(lasts)
    if real and few and all(map(_is_whole, lasts)) and not all(map(_is_whole, others)):
        raise TableError(
            f"{path}: lines begin with real numbers ({found[0][1]}) and end with few whole ones "
            f"({lasts[0]:g}), so that the labels seem to come last: they are wanted first, as in "
            "UCR's files; or read it with SeriesList.from_csv"
        )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0  # a name: labels


def _is_whole(value: float) -> bool:
    return float(value).is_integer()


def _values(channels: list[list[str]], where: str, gaps: Sequence[str]) -> np.ndarray:
    """float64 (channels, t)."""
    if not channels or not channels[0]:
        raise TableError(f"{where}: holds no values")
    try:
        rows = [[np.nan if v.strip() in gaps else float(v) for v in c] for c in channels]
    except ValueError as error:
        raise TableError(f"{where}: {error}") from error
    if len({len(row) for row in rows}) > 1:
        raise TableError(f"{where}: its channels have {[len(r) for r in rows]} values")
    return np.array(rows, np.float64)
