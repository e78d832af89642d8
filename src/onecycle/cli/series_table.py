"""Tables with a series in each row, as `onecycle train series` takes them: read without torch."""

from collections.abc import Iterator, Sequence
from math import nan
from pathlib import Path
from typing import Any

from onecycle.core.errors import TableError, listing
from onecycle.runtime.inputs.series import GAPS

LABELS = ("label", "labels", "class", "category", "tags", "target")
_NO_STEPS = {"index", "id", "split", "fold", "valid", "is_valid"}


def is_series_table(source: Path, names: Sequence[str], count: int, given: Any) -> bool:
    """Whether a file with these names in its first row is one, and no single series itself."""
    single = given.tensor == "series" and given.channels == 1 and source.suffix.lower() == ".csv"
    named = any(_number(name) is None for name in names)
    return single and named and len(names) > 1 and (count > 1 or bool(label_of(names)))


def label_of(names: Sequence[str]) -> list[str]:
    """The columns that are named like labels."""
    return [name for name in names if name.strip().lower() in LABELS]


def series_rows(
    table: Path, rows: Iterator[tuple[int, list[str]]], label_col: str | None, given: Any
) -> Iterator[tuple[str, Any, str | None]]:
    """(name, series, label) of each row, the header before them; the label's column is no step.

    TableError where the steps are another number than those that the model was trained on.
    """
    names = next(rows)[1]
    if label_col is not None and label_col not in names:
        raise TableError(f"{table}: there is no column {label_col!r}, of {listing(names, 12)}")
    labels = [label_col] if label_col is not None else label_of(names)
    odd = {*labels, *(name for name in names if name.strip().lower() in _NO_STEPS)}
    steps = [i for i, name in enumerate(names) if name not in odd]
    if given.length not in (None, len(steps)):
        raise TableError(
            f"{table}: {len(steps)} of its columns may be steps, and the model takes "
            f"{given.length}: say with --label-col which holds the labels, and take out others "
            f"that are no steps, of {listing(names, 12)}"
        )
    at = names.index(labels[0]) if len(labels) == 1 else None
    for number, (line, cells) in enumerate(rows, 1):
        values = [_number(cells[i]) for i in steps]
        if None in values:
            cell = cells[steps[values.index(None)]]
            raise TableError(f"{table}: line {line}: {cell[:40]!r} is no number")
        yield f"{table}, series {number}", values, None if at is None else cells[at]


def _number(cell: str) -> float | None:
    """NaN for a gap, None for what is no number."""
    if cell.strip().lower() in GAPS:
        return nan
    try:
        return float(cell)
    except ValueError:
        return None
