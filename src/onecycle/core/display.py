"""Bars and tables that say how far a long job is, in a terminal and in a notebook."""

import html
import io
import textwrap
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

from onecycle.core.errors import UsageError
from onecycle.core.files import write_atomically
from onecycle.core.machine import defaults

_REDRAW = 0.2  # seconds


def bar(
    work: Iterable[Any],
    total: int | None,
    label: str = "",
    show: bool = True,
    done: int = 0,
    size: Callable[[Any], int] | None = None,
) -> Generator[Any]:
    """Iterate over `work` behind a progress bar; silent where the output is not a screen.

    `done` of the `total` (None: unknown) were done before, and are not in `work`. With `size` they
    are bytes, and a piece of the work counts by its size.
    """
    if not show:
        yield from work
        return
    if _in_notebook():
        yield from _notebook_bar(work, total, label, done, size)
        return
    from tqdm import tqdm

    unit: dict[str, Any] = {"unit": "B", "unit_scale": True} if size else {}
    how: dict[str, Any] = {"total": total, "initial": done, "desc": label, "leave": False, **unit}
    with tqdm(**how, disable=None) as shown:  # None: only where stderr is a terminal
        for each in work:
            yield each
            shown.update(1 if size is None else size(each))


_ROWS_OF_A_TASK = 64


def threaded(
    function: Callable[..., Any], *columns: Sequence[Any], workers: int | None = None
) -> Iterator[Any]:
    """What `function` gives for each row of the columns, in order; by one thread per processor."""
    count, threads = len(columns[0]), workers or defaults.cpus
    if count < 2:
        yield from map(function, *columns)
        return
    # Several rows a task: to hand one over takes longer than to look at a file's first bytes.
    step = max(1, min(_ROWS_OF_A_TASK, count // (8 * threads)))

    def run(start: int) -> list[Any]:
        return list(map(function, *(column[start : start + step] for column in columns)))

    with ThreadPoolExecutor(threads) as pool:  # an interrupt cancels what is not begun: see map()
        yield from chain.from_iterable(pool.map(run, range(0, count, step)))


def in_threads(
    function: Callable[..., Any],
    *columns: Sequence[Any],
    label: str = "",
    show_from: int = 0,
    workers: int | None = None,
) -> list[Any]:
    """All that `threaded` gives; with a `label` behind a progress bar, from `show_from` rows on."""
    count = len(columns[0])
    show = bool(label) and count >= show_from
    return list(bar(threaded(function, *columns, workers=workers), count, label, show))


def _in_notebook() -> bool:
    if find_spec("IPython") is None:
        return False
    from IPython import get_ipython

    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


def _notebook_bar(
    work: Iterable[Any],
    total: int | None,
    label: str,
    done: int,
    size: Callable[[Any], int] | None,
) -> Iterator[Any]:
    """A bar that needs no widgets, is drawn a few times a second, and is gone at the end."""
    from IPython.display import HTML, display

    def draw(count: int, seconds: float) -> Any:
        known = total is not None and count > done
        left = clock(seconds / (count - done) * (total - count)) if known else "?"  # type: ignore[operator]
        value = "" if total is None else f" value={count} max={total}"
        amount = f"{count / 1e6:.1f} MB" if size else f"{count}/{total}"
        after = f"{amount} {clock(seconds)} / {left} left"
        return HTML(f"{html.escape(label)} <progress{value}></progress> {after}")

    begin = last = perf_counter()
    count, handle = done, display(draw(done, 0.0), display_id=True)
    try:
        for each in work:
            yield each
            count, now = count + (1 if size is None else size(each)), perf_counter()
            if now - last > _REDRAW:
                handle.update(draw(count, now - begin))
                last = now
    finally:
        handle.update(HTML(""))


class EpochTable:
    """Rows under a header, printed as they come."""

    def __init__(self, columns: Sequence[str], show: bool = True) -> None:
        self.widths = [max(len(name), 10) for name in columns]
        self.show = show
        self.row(columns)

    def row(self, cells: Sequence[str]) -> None:
        """Print one row, each cell padded to its column."""
        if self.show:
            pairs = zip(cells, self.widths, strict=True)
            print("  ".join(cell.ljust(width) for cell, width in pairs).rstrip(), flush=True)


def clock(seconds: float) -> str:
    """Seconds as minutes:seconds, with hours in front where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


# A table of texts that reads well in a notebook, in a terminal and as a file.

_LONGEST = 600  # characters of a cell that are shown
_WIDTH = 96


@dataclass(frozen=True)
class Table:
    """Columns of equal length by name. `frame()` is a DataFrame of the whole texts."""

    columns: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def frame(self) -> object:
        """The columns as a pandas DataFrame, nothing cut."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns))

    def __repr__(self) -> str:
        blocks = []
        for row in zip(*self.columns.values(), strict=True):
            lines = [f"{name}: {_cut(cell)}" for name, cell in zip(self.columns, row, strict=True)]
            blocks.append(
                "\n".join(textwrap.fill(x, _WIDTH, subsequent_indent="  ") for x in lines)
            )
        return "\n\n".join(blocks)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cut(cell))}</td>" for cell in row) + "</tr>"
            for row in zip(*self.columns.values(), strict=True)
        )
        return f'<table style="text-align:left"><tr>{head}</tr>{body}</table>'

    def save(self, path: str | Path) -> Path:
        """Write the table as an HTML page."""
        return write_html(path, self._repr_html_())


def refuse_figsize(figsize: tuple[float, float] | None) -> None:
    """UsageError where the size of a figure is given for what comes as a table."""
    if figsize is not None:
        raise UsageError("texts come as a table, which has no figsize: leave it out")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\u2026"


# A spreadsheet computes cells of a CSV file that begin with one of these, whoever named them.

_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the last four are wide forms of the first


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet would compute the cell instead of showing it.

    Numbers are shown, also several with semicolons between them.
    """
    if not cell.startswith(_FORMULA):
        return False
    try:
        return not [float(number) for number in cell.split(";")]
    except ValueError:
        return True


def as_text(cell: str) -> str:
    """The cell as spreadsheets show it: what they would compute stands behind an apostrophe."""
    return f"'{cell}" if is_formula(cell) else cell


# What is printed where the output knows some letters only, as Windows' code pages do.


def print_any_text(output: Any) -> None:
    """From now on letters that an output has not are printed as escapes, such as \\u732b."""
    if isinstance(output, io.TextIOWrapper) and output.errors == "strict":
        output.reconfigure(errors="backslashreplace")


@contextmanager
def exact_text(output: Any, instead: str) -> Iterator[None]:
    """Inside, letters that an output has not are a UsageError that says what to do `instead`."""
    if not isinstance(output, io.TextIOWrapper):
        yield
        return
    before = output.errors
    output.reconfigure(errors="strict")
    try:
        yield
        output.flush()
    except UnicodeEncodeError as error:
        lost = error.object[error.start : error.end][:20]
        raise UsageError(
            f"this output ({output.encoding}) has no {lost!r}, and the rest was not written: "
            f"{instead}, or set PYTHONUTF8=1"
        ) from error
    finally:
        output.reconfigure(errors=before)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def write_html(path: str | Path, body: str) -> Path:
    """Write a page of its own with that body; returns its path."""
    path, page = Path(path), f'<!doctype html><meta charset="utf-8">{body}\n'
    write_atomically(path, lambda to: _write(to, page))
    return path


class Shown(str):
    """A text that a notebook shows as it is, without quotes and escapes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
