"""Axes and grids for every plot; matplotlib is loaded when the first one is drawn."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from onecycle.core.errors import listing, warn
from onecycle.core.files import write_atomically

NAME = 40  # characters of a name in a legend or beside an axis
_UNDRAWN = re.compile("[\x00-\x09\x0b-\x1f\x7f]")  # all that steers, but the line's end
_SURROGATES = re.compile("[\ud800-\udfff]")  # what stands for bytes that are no text


@cache
def _figure_class() -> Any:
    """Figures that a notebook shows once: as its cell's value or at the cell's end, not twice."""
    from matplotlib import pyplot as plt
    from matplotlib.figure import Figure

    class ShownOnce(Figure):
        def _ipython_display_(self) -> None:
            from IPython import get_ipython
            from IPython.display import display

            data: dict[str, Any] = {}
            about: dict[str, Any] = {}
            for kind, form in get_ipython().display_formatter.formatters.items():
                found = form(self)
                found, about[kind] = found if isinstance(found, tuple) else (found, {})
                data |= {} if found is None else {kind: found}
            display(data, raw=True, metadata=about)
            plt.close(self)  # else it would be shown once more

    return ShownOnce


def axes(ax: Any = None, figsize: tuple[float, float] = (6, 4)) -> Any:
    """`ax`, or the axes of a new figure of `figsize` inches."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=figsize, FigureClass=_figure_class())[1]


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
    how = {"figsize": size, "layout": "constrained", "FigureClass": _figure_class()}
    figure, places = plt.subplots(rows, columns, squeeze=False, **how)
    if title:
        figure.suptitle(drawable(title))
    flat = list(places.flat)
    for unused in flat[count:]:
        unused.axis("off")
    return flat[:count]


def draw_image(
    pixels: Any, ax: Any = None, figsize: tuple[float, float] = (3, 3), **options: Any
) -> Any:
    """Draw an (h, w) or (h, w, 3) array without ticks; `options` go to `imshow`."""
    ax = axes(ax, figsize)
    ax.imshow(pixels, **options)
    ax.axis("off")
    return ax


def add_title(ax: Any, text: str | None, **options: Any) -> None:
    """Put `text`, where there is any, below the title that is there, letter by letter."""
    if text is not None:
        lines = ax.get_title(), drawable(text)
        ax.set_title("\n".join(filter(None, lines)), **options)


def drawable(text: object, most: int | None = None) -> str:
    """`text` as matplotlib draws it letter by letter: for one name; see `drawables`."""
    return drawables([text], most)[0]


def drawables(texts: Iterable[object], most: int | None = None) -> list[str]:
    """Names and other texts for a plot: `$` is a dollar sign, not mathematics.

    Characters that cannot be drawn become blanks (tabs and the like) or U+FFFD, with an
    OnecycleWarning for those that the font lacks. Beyond `most` characters the middle is left out.
    """
    plain = [_UNDRAWN.sub(" ", _SURROGATES.sub("\ufffd", str(text))) for text in texts]
    lacking = _lacking("".join(plain))
    if lacking:
        from matplotlib import rcParams

        warn(
            f"the font {listing(rcParams['font.family'])} lacks {len(lacking)} characters of the "
            f"texts in a plot ({listing(sorted(lacking))}): they are shown as \ufffd. Choose one "
            "that has them: matplotlib.rcParams['font.family'] = [...]",
            3,
        )
        table = str.maketrans(dict.fromkeys(lacking, "\ufffd"))
        plain = [text.translate(table) for text in plain]
    return [_cut(text, most).replace("$", r"\$") for text in plain]


def _lacking(text: str) -> set[str]:
    """The characters for which the fonts in force have no glyph."""
    foreign = {c for c in text if ord(c) > 126 and c != "\ufffd"}
    if not foreign:
        return foreign
    from matplotlib import font_manager

    families = font_manager.FontProperties().get_family()
    found = [font_manager.findfont(font_manager.FontProperties(family=[f])) for f in families]
    fonts = [font_manager.get_font(path) for path in found]
    return {c for c in foreign if not any(font.get_char_index(ord(c)) for font in fonts)}


def _cut(text: str, most: int | None) -> str:
    """A long text without its middle: names often differ at their end."""
    if most is None or len(text) <= most:
        return text
    tail = (most - 1) // 3
    return f"{text[: most - 1 - tail]}\u2026{text[len(text) - tail :]}"


def add_legend(figure: Any, names: Sequence[Any], cmap: str) -> None:
    """Names and their colours, spread over a colour map, below the figure, which grows for them."""
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    colours, labels = colormaps[cmap], drawables(names, NAME)
    top = max(len(names) - 1, 1)
    marks = [Patch(color=colours(i / top), label=name) for i, name in enumerate(labels)]
    each = max(1.2, 0.4 + 0.08 * max(map(len, labels), default=0))  # inches
    columns = max(1, min(len(marks), int(figure.get_figwidth() / each)))
    height = 0.18 * ceil(len(marks) / columns)
    if height > figure.get_figheight() / 4:
        figure.set_figheight(figure.get_figheight() + height)
    figure.legend(handles=marks, loc="outside lower center", ncols=columns, fontsize=8)


def fold_lines(text: str, width: int = 40) -> str:
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
    """Write the figure as an image file, and close it."""
    from matplotlib import pyplot as plt

    figure = getattr(figure_or_ax, "figure", None) or figure_or_ax
    path = Path(path)
    write_atomically(path, lambda to: figure.savefig(to, dpi=dpi, format=path.suffix[1:] or "png"))
    plt.close(figure)
    return path
