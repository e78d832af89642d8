"""Bars and tables that say how far a long job is, in a terminal and in a notebook."""

import html
import io
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from onecycle.core.errors import UsageError
from onecycle.core.files import write_errors
from onecycle.core.machine import defaults


def bar(work: Iterable[Any], total: int, label: str = "", show: bool = True) -> Iterator[Any]:
    """Iterate over `work` behind a progress bar; silent where the output is not a screen."""
    if not show:
        yield from work
        return
    with _bar_class()(work, total=total, desc=label, leave=False, disable=_is_disabled()) as shown:
        yield from shown


def in_threads(
    function: Callable[..., Any],
    *columns: Sequence[Any],
    label: str = "",
    show_from: int = 0,
    workers: int | None = None,
) -> list[Any]:
    """What `function` gives for each row of the columns, in order; by one thread per processor.

    With a `label` there is a progress bar, from `show_from` rows on.
    """
    count = len(columns[0])
    if count < 2:
        return list(map(function, *columns))
    with ThreadPoolExecutor(workers or defaults.cpus) as pool:
        found = pool.map(function, *columns)
        return list(bar(found, count, label, bool(label) and count >= show_from))


def _in_notebook() -> bool:
    if find_spec("IPython") is None:
        return False
    from IPython import get_ipython

    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


def _bar_class() -> Any:
    if _in_notebook() and find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm as notebook_tqdm

        return notebook_tqdm
    from tqdm import tqdm

    return tqdm


def _is_disabled() -> bool | None:
    """In a notebook always shown; elsewhere tqdm's None: only where stderr is a terminal."""
    return False if _in_notebook() else None


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
        path = Path(path)
        with write_errors(path):
            path.write_text(f'<!doctype html><meta charset="utf-8">{self._repr_html_()}\n', "utf-8")
        return path


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
