"""`onecycle predict`: what a trained model says about files or a table, as a table."""

import csv
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import file_digest
from itertools import islice, tee
from pathlib import Path
from typing import Any

import numpy as np

from onecycle.cli.answers import Answers, Row, require_known_ending, write_csv
from onecycle.cli.parts import Parts
from onecycle.cli.series_table import is_series_table, series_rows
from onecycle.core.addresses import Stored, is_address, local_file, place_of, without_secrets
from onecycle.core.display import bar, exact_text
from onecycle.core.errors import DataError, TableError, UsageError, listing
from onecycle.core.files import encoding_of
from onecycle.core.machine import usable_processors

_TABLES = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Where:
    """Where a table has what is asked: its column, and the folder and suffix of files."""

    column: str | None = None
    folder: str = "."
    suffix: str = ""
    label_col: str | None = None  # of a table of series: no step

    def refuse(self, what: str, *names: str) -> None:
        """UsageError for options that were given and would have no effect."""
        for field in fields(self):
            if field.name in names and getattr(self, field.name) != field.default:
                option = field.name.replace("_", "-")
                raise UsageError(f"--{option} has no effect on {what}: leave it out")


@dataclass(frozen=True)
class Running:
    """How a command answers: threads that read, what computes, and whether it goes on."""

    workers: int | None = None  # one for each processor
    providers: str | None = None
    resume: bool = True


def predict(
    model: Path,
    sources: Sequence[Path],
    thresh: float | None,
    out: Path | None,
    where: Where,
    top: int | None = None,
    shard: str | None = None,
    running: Running | None = None,
    as_json: bool = False,
) -> Any:
    """One row per file or row of a table: its name, the answer, and each class's probability.

    For masks the mean probability over all pixels; with `top` the likeliest classes in their
    order instead. What cannot be read gets an empty answer and its fault on standard error. Rows
    are read and answered in batches. With `out` each answer is kept in `out`.part as it comes, and
    the same call, after a crash, goes on behind them; see `Answers`, and `Parts` for a folder.
    With `shard` "i/n" every n-th row alone, from the i-th on: n calls answer all, each row once.
    Returns how many were answered, or could not be; `as_json` without `out` the rows themselves.
    """
    running = running or Running()
    if out is not None:
        require_known_ending(out)
    answers, given, target = open_model(model, thresh, running)
    columns = _Columns(target, top)
    heading, total, asked = _find_items(sources, given, where)
    if not total:
        raise UsageError("there is nothing to look at: no file or row was found")
    about = {"rows": total, "sources": str(sources[0]), "where": asdict(where)}
    shard, total, asked = _part(shard, total, asked)
    taken = (heading, "answer")
    names = (f"{name} (class)" if name in taken else name for name in columns.names)
    header = [*taken, *names]
    failed = list[str]()
    if out is None:
        rows = _rows(bar(asked, total, "predicting"), answers, columns, failed)
        if as_json:
            return _lines_of_json(header, rows, failed)
        with exact_text(sys.stdout, "write to a file with --out"):
            write_csv(sys.stdout, header, rows, "\n")  # the system makes its own line ends of it
        return _counts(total, failed)
    about |= {"model": _digest(model), "thresh": thresh, "top": top, "shard": shard}
    how = (header, about, columns.are_numbers, running.resume)
    return _write_to(out, how, total, asked, answers, columns)


def _write_to(
    out: Path,
    how: tuple[Any, ...],
    total: int,
    asked: Iterator[tuple[str, Any]],
    answers: Callable[..., Iterator[Any]],
    columns: "_Columns",
) -> dict[str, Any]:
    """Into a table, or a folder of parts; `how` is what both take beside the name."""
    kind = Parts if out.is_dir() or not out.suffix else Answers
    with kind(out, *how) as kept:
        asked, failed = kept.skip(asked)
        kept.add(_rows(bar(asked, total, "predicting", done=kept.count), answers, columns, failed))
        kept.finish()
    print(f"{total - len(failed)} of {total} answers written to {out}")
    return {"out": str(out), **_counts(total, failed)}


def _counts(total: int, failed: Sequence[str]) -> dict[str, Any]:
    return {"items": total, "failed": len(failed), "exit_code": int(bool(failed))}


def _lines_of_json(
    header: Sequence[str], rows: Iterable[Row], failed: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Each row under the names of the table's columns, then the exit code."""
    for name, answer, values in rows:
        yield dict(zip(header, [name, answer, *values], strict=True))
    yield {"exit_code": int(bool(failed))}


def _part(
    shard: str | None, total: int, asked: Iterator[tuple[str, Any]]
) -> tuple[str | None, int, Iterator[tuple[str, Any]]]:
    """A shard as it is always written, how many rows it has, and which; all without one."""
    if shard is None:
        return None, total, asked
    first, slash, count = shard.partition("/")
    if not (slash and first.isdecimal() and count.isdecimal() and 0 < int(first) <= int(count)):
        raise UsageError(f"--shard is i/n, as 1/4 to 4/4, not {shard!r}")
    start, step = int(first) - 1, int(count)
    named = f"{start + 1}/{step}"
    return named, len(range(start, total, step)), islice(asked, start, None, step)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()


def open_model(
    model: Path, thresh: float | None, running: Running
) -> tuple[Callable[..., Iterator[Any]], Any, Any]:
    """What answers a stream of sources, and the kinds of input and of answer."""
    if model.suffix == ".onnx":
        from onecycle.runtime.predictor import Predictor

        names = [name.strip().lower() for name in (running.providers or "cpu").split(",")]
        predictor = Predictor(model, providers=names)
        if running.providers:
            print(f"computed by: {', '.join(predictor.providers)}", file=sys.stderr)
        answers, (given, target) = predictor.stream_with_faults, predictor.task
        workers = running.workers or usable_processors()
        return lambda sources: answers(sources, thresh, workers=workers), given, target
    for name in ("workers", "providers"):
        if getattr(running, name) is not None:
            raise UsageError(f"--{name} is for exported files: onecycle export {model} makes one")
    from onecycle.vision.learner import load_cnn

    learn = load_cnn(model)
    given, target = learn.task.input, learn.task.target

    def one_by_one(sources: Iterable[Any]) -> Iterator[Any]:
        for source in sources:
            try:
                answer, data, shares = learn.predict(source, thresh)
                yield answer, target.in_pixels(np.asarray(data), source, given), shares
            except DataError as error:
                yield error

    return one_by_one, given, target


class _Columns:
    """What a row holds of one answer beside itself: its numbers, or its `top` classes."""

    def __init__(self, target: Any, top: int | None) -> None:
        self.target, self.top = target, top
        self.classes = [str(c) for c in target.classes]
        if top is None:
            self.names = target.columns
            return
        if not target.whole_classes:
            raise UsageError(
                f"--top is for answers of one or several classes, not for a {target.kind}"
            )
        if not 0 < top <= len(self.classes):
            raise UsageError(
                f"--top is a number of classes, 1 to {len(self.classes)} for this model, not {top}"
            )
        self.names = [f"{what} {i + 1}" for i in range(top) for what in ("class", "probability")]

    @property
    def are_numbers(self) -> list[bool]:
        """Which of the names stand for numbers; the others are texts."""
        return [self.top is None or i % 2 > 0 for i in range(len(self.names))]

    def of(self, data: Any, given: Any) -> list[Any]:
        """The values of one answer: of its encoded form, or of its probabilities."""
        if self.top is None:
            return self.target.cells(data, given)
        order = np.argsort(-np.asarray(given), kind="stable")[: self.top]
        return [value for i in order for value in (self.classes[i], float(given[i]))]


def _find_items(
    sources: Sequence[Path], given: Any, where: Where
) -> tuple[str, int, Iterator[tuple[str, Any]]]:
    """The first column's heading, how many rows there will be, and (name, source) of each."""
    if rows := table_of_series(sources, given, where.label_col):
        where.refuse("a table of series", "column", "folder", "suffix")
        return "file", len(rows), ((name, series) for name, series, _ in rows)
    where.refuse("other than a table of series", "label_col")
    tables = [path for path in sources if path.suffix.lower() in _TABLES]
    if not tables or given.files.suffixes & set(_TABLES):  # a CSV file may be an item itself
        where.refuse("files", "column", "folder", "suffix")
        found = [pair for path in sources for pair in given.named_sources(path)]
        return "file", len(found), iter(found)
    if len(sources) > 1:
        raise UsageError("a table of names or texts is given alone")
    if not given.by_file:
        where.refuse(f"a table of {given.files.what}s", "folder", "suffix")
    return _of_table(sources[0], given, where)


def table_of_series(
    sources: Sequence[Path], given: Any, label_col: str | None
) -> list[tuple[str, Any, str | None]]:
    """(name, series, label) of each row of a table with a series in each; nothing of others."""
    if given.tensor != "series" or len(sources) != 1 or sources[0].suffix.lower() != ".csv":
        return []
    table = sources[0]
    is_file = isinstance(table, Stored) or table.is_file()
    lines = [*_lines(table, encoding_of(_here(table), table))] if is_file else []
    if not lines or not is_series_table(table, lines[0][1], len(lines) - 1, given):
        return []
    _looked_through(table, iter(lines))
    return [*series_rows(table, iter(lines), label_col, given)]


def _of_table(table: Path, given: Any, where: Where) -> tuple[str, int, Iterator[tuple[str, Any]]]:
    encoding = encoding_of(_here(table), table)
    total, names = _looked_through(table, _lines(table, encoding))
    columns = given.columns if where.column is None else (where.column,)
    fitting = [name for name in columns if name in names] or (
        names if len(names) == 1 and where.column is None else []
    )
    if not fitting:
        raise TableError(f"{table}: say which --column it is, of {listing(names, 12)}")
    heading = fitting[0]
    at = names.index(heading)

    def source(line: tuple[int, list[str]]) -> tuple[str, Any]:
        name = line[1][at]
        if not given.by_file:
            return name, name
        full = f"{name}{where.suffix}"
        return name, place_of(full) if is_address(full) else table.parent / where.folder / full

    return heading, total, map(source, islice(_lines(table, encoding), 1, None))


def _looked_through(table: Path, lines: Iterator[tuple[int, list[str]]]) -> tuple[int, list[str]]:
    """How many rows there are below the header, and its names; TableError for what is misread."""
    _, names = next(lines, (0, list[str]()))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise TableError(f"{table}: the header names {listing(twice)} twice: rename or drop one")
    own = _TABLES[table.suffix.lower()]
    if len(names) == 1 and (mark := next((m for m in ",;\t|" if m in names[0] and m != own), None)):
        raise TableError(
            f"{table}: {mark!r} stands between the names of the header {names[0]!r}: in .csv it is "
            "a comma, in .tsv a tab"
        )
    total, uneven = 0, list[int]()
    for line, cells in lines:
        total += 1
        if len(cells) != len(names):
            uneven.append(line)
    if uneven:
        raise TableError(
            f"{table}: {len(uneven)} of {total} rows have more cells than the header has names "
            f"({len(names)}), or fewer: line {listing(uneven)}. A text with {own!r} or a line's "
            "end in it stands in quotes"
        )
    return total, names


def _lines(table: Path, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """(number of its last line, cells) of the header and each row of a table, one at a time."""
    try:
        with _here(table).open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=_TABLES[table.suffix.lower()])
            while (cells := _next_row(reader)) is not None:
                if cells:
                    yield reader.line_num, cells
    except (OSError, csv.Error) as error:
        raise TableError(f"{table}: cannot be read ({error})") from error


def _here(table: Any) -> Path:
    """A table, or the copy of one from elsewhere."""
    try:
        return local_file(table)
    except OSError as error:
        raise TableError(f"{table}: cannot be read ({error})") from error


def _next_row(reader: Any) -> list[str] | None:
    """The next cells, however long; Python has one limit for all readers, which is put back."""
    before = csv.field_size_limit(1 << 30)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)


def _rows(
    asked: Iterable[tuple[str, Any]],
    answers: Callable[..., Iterator[Any]],
    columns: _Columns,
    failed: list[str],
) -> Iterator[Row]:
    """(name, answer, values) of each; what cannot be read is reported, and put into `failed`."""
    first, second = tee(asked)
    found = answers(source for _, source in first)
    for (given, _), answer in zip(second, found, strict=True):
        name = given.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if isinstance(answer, DataError):
            failed.append(name)
            shown, said = without_secrets(name), str(answer)
            print(said if shown in said else f"{shown}: {said}", file=sys.stderr)
            yield name, None, [None] * len(columns.names)
        else:
            decoded, data, given = answer
            yield name, str(decoded), columns.of(data, given)
