"""Axes and grids for every plot; matplotlib is loaded when the first one is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from onecycle.core.files import write_errors


def axes(ax: Any = None, figsize: tuple[float, float] = (6, 4)) -> Any:
    """`ax`, or the axes of a new figure of `figsize` inches."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=figsize)[1]


def grid(
    count: int,
    columns: int,
    figsize: tuple[float, float] | None = None,
    cell: float = 3.0,
    title: str | None = None,
) -> list[Any]:
    """`count` axes in rows of `columns`; axes left over in the last row are hidden."""
    from matplotlib import pyplot as plt

    rows = max(1, ceil(count / columns))
    size = figsize or (columns * cell, rows * cell)
    figure, places = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    if title:
        figure.suptitle(title)
    flat = list(places.flat)
    for unused in flat[count:]:
        unused.axis("off")
    return flat[:count]


def picture(
    pixels: Any, ax: Any = None, figsize: tuple[float, float] = (3, 3), **options: Any
) -> Any:
    """Draw an (h, w) or (h, w, 3) array without ticks; `options` go to `imshow`."""
    ax = axes(ax, figsize)
    ax.imshow(pixels, **options)
    ax.axis("off")
    return ax


def add_title(ax: Any, text: str, **options: Any) -> None:
    """Put `text` over what the axes already say; `$` stays a dollar sign, not mathematics."""
    before = ax.get_title()
    ax.set_title("\n".join(filter(None, [before, text.replace("$", r"\$")])), **options)


def add_legend(figure: Any, names: Sequence[Any], cmap: str) -> None:
    """Names and their colours, spread over a colour map, below the figure."""
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    colours = colormaps[cmap]
    top = max(len(names) - 1, 1)
    marks = [Patch(color=colours(i / top), label=str(name)) for i, name in enumerate(names)]
    columns = max(1, min(len(marks), int(figure.get_figwidth() / 1.2)))
    figure.legend(handles=marks, loc="outside lower center", ncols=columns, fontsize=8)


def folded(text: str, width: int = 40) -> str:
    """Long lines in several, broken after blanks and semicolons."""
    from textwrap import fill

    return "\n".join(fill(line.replace(";", "; "), width) for line in text.splitlines())


def plot_multi(
    draw: Callable[[int, int, Any], None],
    rows: int = 1,
    columns: int = 1,
    figsize: tuple[float, float] = (12, 6),
) -> None:
    """Call `draw(i, j, ax)` on each of `rows` x `columns` axes."""
    for index, ax in enumerate(grid(rows * columns, columns, figsize)):
        draw(index // columns, index % columns, ax)


def save_figure(figure_or_ax: Any, path: str | Path, dpi: int = 90) -> Path:
    """Write the figure as a picture file, and close it."""
    from matplotlib import pyplot as plt

    figure = getattr(figure_or_ax, "figure", None) or figure_or_ax
    path = Path(path)
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=dpi)
    plt.close(figure)
    return path
