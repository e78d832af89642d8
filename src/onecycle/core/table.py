"""A table of texts that reads well in a notebook, in a terminal and as a file."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onecycle.core.errors import UsageError
from onecycle.core.files import write_errors

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
