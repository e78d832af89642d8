"""The columns of a table that hold the texts: joined row by row, and looked at before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any
from warnings import warn

from onecycle.core.errors import OnecycleWarning, TableError, listing
from onecycle.data.frames import Column, column, listed
from onecycle.spec.targets import is_blank

_MOST_ROWS = 5  # that a warning names
TEXTS, LABELS = ("text", "texts"), ("label", "labels")


def refuse_other_column(
    frame: Any, cols: Column | Sequence[Column], names: Sequence[str], option: str
) -> None:
    """TableError where columns are counted, and another one is named after what they should hold.

    The course counts: labels in the first column, texts in the second. A table in another order
    would be read without a sound.
    """
    chosen = listed(cols)
    if not all(isinstance(c, Integral) and c not in frame.columns for c in chosen):
        return
    taken = [frame.columns[int(c)] for c in chosen if -frame.shape[1] <= int(c) < frame.shape[1]]
    named = [c for c in frame.columns if isinstance(c, str) and c.strip().lower() in names]
    if named and not {*named} & {*taken}:
        raise TableError(
            f"{option}={cols} is the column {listing(taken)}, and there is one named {named[0]!r}: "
            f"say {option}={named[0]!r}, or the name of the other"
        )


def refuse_joined(frame: Any, file: object) -> None:
    """TableError for a table of one column that seems to be several, apart by another delimiter."""
    if frame.shape[1] > 1:
        return
    name, cells = str(frame.columns[0]), frame.iloc[:, 0]
    marks = [mark for mark in "\t;|" if mark in name] or ["\t"] * all("\t" in c for c in cells)
    if marks:
        raise TableError(
            f"{file}: the table has one column, {name!r}, which holds {marks[0]!r}: is that the "
            f"delimiter? Say delimiter={marks[0]!r}, or delimiter=',' if it is not"
        )


def texts_of(frame: Any, cols: Column | Sequence[Column]) -> list[str]:
    """The text of each row; of several columns each after `xxfld` and its number."""
    columns = [column(frame, name) for name in listed(cols)]
    blank = [i for i, row in enumerate(zip(*columns, strict=True)) if all(map(is_blank, row))]
    if blank:
        rows = [frame.index[i] for i in blank]
        raise TableError(f"{len(blank)} texts are blank, in row(s) {listing(rows)}")
    for i, row in enumerate(zip(*columns, strict=True)):
        for cell in row:
            if isinstance(cell, bytes | list | tuple | dict | set):
                raise TableError(
                    f"row {frame.index[i]}: a {type(cell).__name__} where a text is wanted: "
                    f"{listing([cell])}"
                )
    return [
        str(row[0])
        if len(row) == 1
        else " ".join(f"xxfld {i + 1} {'' if is_blank(c) else c}" for i, c in enumerate(row))
        for row in zip(*columns, strict=True)
    ]


@dataclass
class NumberCells:
    """Cells of a column of texts that are no text but numbers, piece by piece of a table."""

    name: Column
    cells: int = 0
    odd: int = 0
    first: Any = None
    rows: list[Any] = field(default_factory=list)

    def add(self, frame: Any) -> None:
        """Count those of another piece."""
        cells = column(frame, self.name)
        odd = [i for i, cell in enumerate(cells) if _is_number(cell)]
        if odd and not self.odd:
            self.first = cells[odd[0]]
        self.rows += [frame.index[i] for i in odd[: _MOST_ROWS - len(self.rows)]]
        self.cells, self.odd = self.cells + len(cells), self.odd + len(odd)

    def warn(self, stacklevel: int) -> None:
        """A column of numbers is hardly one of texts."""
        if self.odd:
            more = f" and {self.odd - len(self.rows)} more" if self.odd > len(self.rows) else ""
            warn(
                f"{self.odd} of {self.cells} texts in column {self.name!r} are numbers, such as "
                f"{self.first} (in row(s) {listing(self.rows)}{more}), and are read as they are "
                "written: is it the right column? It is named by cols= (text_cols=)",
                OnecycleWarning,
                stacklevel=stacklevel + 1,
            )


def _is_number(cell: Any) -> bool:
    """A number, or a text that is one and nothing else; blank cells are none."""
    if not isinstance(cell, str):
        return not is_blank(cell)
    return cell.strip().removeprefix("-").replace(".", "", 1).isdecimal()
