"""Bars and tables that say how far a long job is, in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any


def bar(work: Iterable[Any], total: int, label: str = "", show: bool = True) -> Iterator[Any]:
    """Iterate over `work` behind a progress bar; silent where the output is not a screen."""
    if not show:
        yield from work
        return
    with _bar_class()(work, total=total, desc=label, leave=False, disable=_disabled()) as shown:
        yield from shown


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


def _disabled() -> bool | None:
    """In a notebook always shown; elsewhere tqdm's None: only where stderr is a terminal."""
    return False if _in_notebook() else None


class Table:
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
