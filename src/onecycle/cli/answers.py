"""The file of answers: a CSV or Parquet table, whole or not there, whose rows outlive a crash."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from onecycle.core.display import as_text, is_formula
from onecycle.core.errors import UsageError, listing, warn
from onecycle.core.files import hold_alone, write_atomically, write_errors

_WRITTEN = (".csv", ".parquet")
GROUP = 1024  # rows that are written together
Row = tuple[str, str | None, list[Any]]  # name, answer (None: it could not be read), values


def require_known_ending(out: Path) -> None:
    """UsageError for a table of another kind; a name without an ending is a folder of parts."""
    if out.suffix.lower() not in ("", *_WRITTEN) and not out.is_dir():
        raise UsageError(
            f"{out}: answers are written as {' or '.join(_WRITTEN)}, by that ending, or into a "
            "folder of Parquet parts, whose name has none"
        )


class Answers:
    """The rows of one table, kept one by one in `out`.part until it is whole.

    A JSON line each, after one of what they are answers to (`about`). Rows that are there from a
    call that was cut off are gone on behind; UsageError where they are answers to something else,
    or where another process is at work on them.
    """

    def __init__(
        self,
        out: Path,
        header: Sequence[str],
        about: dict[str, Any],
        are_numbers: Sequence[bool] = (),
        resume: bool = True,
    ) -> None:
        self.out, self.header, self.are_numbers = out, [*header], are_numbers
        self.resume = resume
        self.part = out.with_name(f"{out.name}.part")
        self.about = json.loads(json.dumps({**about, "header": self.header}))
        self.count, self._open = 0, ExitStack()

    def __enter__(self) -> Self:
        what = f"another process writes {self.out}"
        with write_errors(self.part), self._open as opened:
            opened.enter_context(hold_alone(self.part, what, remove=False))
            self.file = opened.enter_context(self.part.open("r+b"))
            if not self.resume:
                self.file.truncate(0)
            self._look()
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with write_errors(self.part):
            self._open.close()

    def _look(self) -> None:
        """Count the whole rows that are there; half a row at the end is cut off."""
        first = self.file.readline()
        if not first.endswith(b"\n"):
            self.file.truncate(0)
            self.file.seek(0)
            self.file.write(json.dumps(self.about).encode() + b"\n")
            self.file.flush()
            return
        require_same(self.part, first, self.about)
        end = self.file.tell()
        for line in self.file:
            if not line.endswith(b"\n"):
                break
            self.count, end = self.count + 1, end + len(line)
        self.file.truncate(end)
        self.file.seek(end)

    def rows(self) -> Iterator[Row]:
        """Those that are there."""
        with self.part.open("rb") as file:
            for line in islice(file, 1, None):
                name, answer, values = json.loads(line)
                yield name, answer, values

    def skip(self, asked: Iterator[tuple[str, Any]]) -> tuple[Iterator[tuple[str, Any]], list[str]]:
        """What is asked and not there yet, and the names of what could not be read."""
        return asked, compare(self.part, asked, (row[:2] for row in self.rows()))

    def add(self, rows: Iterable[Row]) -> None:
        """Keep each row as it comes."""
        for row in rows:
            line = json.dumps(row, default=float).encode() + b"\n"
            with write_errors(self.part):
                self.file.write(line)
                self.file.flush()

    def finish(self) -> None:
        """Write the table, and drop the rows that were kept for it."""
        if self.out.suffix.lower() == ".parquet":
            write_atomically(self.out, self._write_parquet)
        else:
            write_atomically(self.out, self._write_csv)
        self._open.close()  # Windows removes no file that is open
        self.part.unlink()

    def _write_csv(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            write_csv(file, self.header, self.rows())

    def _write_parquet(self, path: Path) -> None:
        write_parquet(path, self.header, self.are_numbers, self.rows())


def require_same(
    kept: Path, text: bytes, about: dict[str, Any], ways: str = ", or begin anew with --no-resume"
) -> None:
    """UsageError where what was kept is the answers to something else than `about`."""
    old = told_in(text)
    differ = [name for name in {**old, **about} if old.get(name) != about.get(name)]
    if differ:
        raise UsageError(
            f"{kept} tells of answers to something else ({differ[0]} was {old.get(differ[0])}, "
            f"here it is {about.get(differ[0])}): go on with the same model and options, or give "
            f"another --out{ways}"
        )


def told_in(text: bytes) -> dict[str, Any]:
    """What kept answers say of themselves; nothing where that is damaged."""
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        return {}


def compare(
    kept: Path, asked: Iterator[tuple[str, Any]], rows: Iterable[tuple[str, str | None]]
) -> list[str]:
    """Take what was answered from what is asked; the names of those that could not be read."""
    failed, count = [], 0
    for count, (name, answer) in enumerate(rows, 1):
        wanted = next(asked, ("nothing", None))[0]
        if name != wanted:
            raise UsageError(
                f"{kept} holds answers that were cut off, to something else: row {count} is "
                f"{name!r}, here it is {wanted!r}. Give another --out, or begin anew with "
                "--no-resume"
            )
        failed += [name] if answer is None else []
    if count:
        print(f"{kept}: going on behind {count} answers that are there")
    return failed


def parquet() -> Any:
    """The module `pyarrow.parquet`; UsageError where it is not installed."""
    try:
        from pyarrow import parquet as found
    except ImportError as error:
        raise UsageError("Parquet files need pyarrow: pip install 'onecycle[parquet]'") from error
    return found


def write_parquet(
    path: Path, header: Sequence[str], are_numbers: Sequence[bool], rows: Iterable[Row]
) -> None:
    """Text columns and float32 columns; what could not be read is null."""
    writer_of = parquet().ParquetWriter
    import pyarrow as pa

    text, left = pa.string(), iter(rows)
    kinds = [text, text, *(pa.float32() if number else text for number in are_numbers)]
    schema = pa.schema(list(zip(header, kinds, strict=True)))
    with writer_of(path, schema) as writer:
        while group := list(islice(left, GROUP)):
            flat = zip(*((name, answer, *values) for name, answer, values in group), strict=True)
            arrays = [pa.array(c, kind) for c, kind in zip(flat, kinds, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def write_csv(
    file: IO[str], header: Sequence[str], rows: Iterable[Row], line_end: str = "\r\n"
) -> None:
    """Rows whose texts no spreadsheet computes; a warning counts those that it would."""
    writer, formulas = csv.writer(file, lineterminator=line_end), list[str]()

    def write(texts: Sequence[Any]) -> None:
        formulas.extend(text for text in texts if isinstance(text, str) and is_formula(text))
        writer.writerow([as_text(text) if isinstance(text, str) else text for text in texts])

    write(header)
    for name, answer, values in rows:
        numbers = (str(np.float32(v)) if isinstance(v, float) else v for v in values)  # and no less
        write([name, answer or "", *numbers])
    if formulas:
        warn(
            f"{len(formulas)} cells ({listing(formulas, 3)}) begin as formulas do, which a "
            "spreadsheet would compute: they have an apostrophe before them. --out answers.parquet "
            "keeps them as they are",
            3,
        )
