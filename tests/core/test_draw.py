"""Axes and grids."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from onecycle.core.errors import OnecycleWarning
from onecycle.core.plot import (
    add_legend,
    add_title,
    axes,
    draw_image,
    drawable,
    drawables,
    grid,
    plot_multi,
    save_figure,
)


def test_a_grid_hides_the_places_left_over():
    places = grid(5, 3, title="five")
    figure = places[0].figure
    assert len(places) == 5
    assert [ax.axison for ax in figure.axes] == [True] * 5 + [False]
    assert figure.get_suptitle() == "five"


def test_a_title_is_added_under_the_one_before_and_dollars_stay_dollars():
    ax = axes()
    add_title(ax, "red")
    add_title(ax, "5$ and 6$")
    assert ax.get_title() == "red\n5\\$ and 6\\$"


def test_given_axes_are_drawn_on():
    ax = plt.subplots()[1]
    assert draw_image(np.zeros((2, 3, 3)), ax) is ax
    assert ax.images[0].get_array().shape == (2, 3, 3)


def test_plot_multi_calls_with_row_and_column():
    called = []
    plot_multi(lambda i, j, ax: called.append((i, j)), 2, 3, figsize=(4, 2))
    assert called == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_a_saved_figure_is_a_file_and_is_closed(tmp_path):
    path = save_figure(axes(), tmp_path / "new" / "plot.png", dpi=30)
    assert path.stat().st_size > 500
    assert plt.get_fignums() == []


# --- names in plots


def texts_of(figure):
    """Every text that a figure shows, as matplotlib is about to draw it."""
    figure.canvas.draw()  # where mathematics would be parsed, and missing glyphs are warned of
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


PRICES = ["$5_to_$10", "10$^2$", "a_{b}^c", r"\$7", "100 % & #1", "$", "<b>$x$</b>"]


@pytest.mark.parametrize("name", PRICES)
def test_a_name_is_drawn_letter_by_letter_and_not_as_mathematics(name):
    figure = plt.figure()
    text = figure.text(0.5, 0.5, drawable(name))
    figure.canvas.draw()
    shown, is_maths = text._preprocess_math(text.get_text())
    assert (shown, is_maths) == (name, False)


def test_what_steers_a_printer_becomes_a_blank_and_lines_stay_lines():
    assert drawable("a\tb\x00c\x7fd\ne") == "a b c d\ne"
    assert drawable("caf\udce9") == "caf\ufffd"
    figure = plt.figure()
    figure.text(0, 0, drawable("a\tb\ud800"))
    figure.canvas.draw()  # warnings are errors


def test_characters_that_the_font_lacks_are_counted_once_and_shown_as_such():
    with pytest.warns(OnecycleWarning, match="lacks 2 characters") as reported:
        found = drawables(["\u732b", "caf\xe9", "\u72ac \u732b"])
    assert len(reported) == 1
    assert "'\u72ac', '\u732b'" in str(reported[0].message)
    assert found == ["\ufffd", "caf\xe9", "\ufffd \ufffd"]
    figure = plt.figure()
    figure.text(0, 0, "".join(found))
    figure.canvas.draw()


def test_long_names_lose_their_middle():
    name = "the_same_beginning_of_all_the_names_here_" + "and_an_end_of_its_own"
    short = drawable(name, 20)
    assert len(short) == 20
    assert short == "the_same_begi\u2026ts_own"
    assert drawable(name) == name
    assert drawable("x" * 20, 20) == "x" * 20
    assert drawable("$" * 30, 12).count(r"\$") == 11


@pytest.mark.parametrize(("count", "length"), [(3, 10), (90, 10), (30, 80)])
def test_a_legend_has_room_for_its_names(count, length):
    names = [f"${'w' * length}$_{i}" for i in range(count)]
    figure = grid(2, 2)[0].figure
    before = figure.get_figheight()
    add_legend(figure, names, "tab20")
    shown = texts_of(figure)  # a layout that collapses is a warning
    assert sum(r"\$" in text for text in shown) == count
    assert (figure.get_figheight() > before) == (count > 3)


def test_titles_of_grids_and_of_images_are_no_mathematics_either():
    places = grid(1, 1, title="$a$ and $b$")
    add_title(places[0], "$1_0$")
    assert {r"\$a\$ and \$b\$", r"\$1_0\$"} <= set(texts_of(places[0].figure))
