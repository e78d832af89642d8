"""Axes and grids."""

import numpy as np
from matplotlib import pyplot as plt

from onecycle.core.draw import add_title, axes, grid, picture, plot_multi, save_figure


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
    assert picture(np.zeros((2, 3, 3)), ax) is ax
    assert ax.images[0].get_array().shape == (2, 3, 3)


def test_plot_multi_calls_with_row_and_column():
    called = []
    plot_multi(lambda i, j, ax: called.append((i, j)), 2, 3, figsize=(4, 2))
    assert called == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_a_saved_figure_is_a_file_and_is_closed(tmp_path):
    path = save_figure(axes(), tmp_path / "new" / "plot.png", dpi=30)
    assert path.stat().st_size > 500
    assert plt.get_fignums() == []
