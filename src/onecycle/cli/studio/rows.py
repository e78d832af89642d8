"""Tables of names, labels and sides, as the studio writes them and spreadsheets leave them."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from onecycle.core.errors import TableError

TRAIN, VALID, TEST = "train", "valid", "test"
_YES, _NO = {"true", "1", "1.0", "yes"}, {"", "false", "0", "0.0", "no"}


def side_of_cell(table: Path, row: int, cell: Any) -> str:
    """The side that a cell of is_valid says; "" of an empty one. TableError of what says none."""
    text = "" if cell is None or cell != cell else str(cell).strip()
    return text and (VALID if _validates(table, row, text) else TRAIN)


def label_of_cell(cell: Any) -> str | None:
    """The label in a table's cell; Parquet and JSON say otherwise than CSV that there is none."""
    return None if cell is None or cell != cell else str(cell).strip() or None


def _validates(table: Path, row: int, text: str) -> bool:
    """What `is_valid` says, also as spreadsheets write it; TableError where it is neither."""
    found = text.strip().lower()
    if found not in _YES | _NO:
        raise TableError(f"{table}, row {row}: is_valid is True or False, not {text[:100]!r}")
    return found in _YES


def read_rows(file: Path) -> list[tuple[str, str, str]]:
    """Name, label and is_valid, "True" or "False", of a table's rows; none where there is none."""
    if not file.exists():
        return []
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = [(n, row) for n, row in enumerate(csv.reader(text), 1) if row]
        named = [(n, row[0], row[1], (row[2:] or [""])[0]) for n, row in rows[1:]]
        return [(name, label, str(_validates(file, n, valid))) for n, name, label, valid in named]
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise TableError(f"{file} cannot be read as a table ({error}): move it away") from error


def table_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table's text, whose cells come back as they are."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # with which a lone \r in a name is quoted
    writer.writerows([head, *rows])
    return text.getvalue()
