"""Every plot that names classes, with names that a price list, a shell or a language gives."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from onecycle.core.errors import OnecycleWarning
from onecycle.data.targets import Category, MultiCategory
from onecycle.interpret.classification import (
    ClassificationInterpretation,
    MultiLabelInterpretation,
    SegmentationInterpretation,
)
from onecycle.learn.predictions import Predictions
from onecycle.learn.recorder import Recorder
from onecycle.text.input import Text
from onecycle.vision.boxes import Boxes
from onecycle.vision.image import Image
from onecycle.vision.targets import Mask

NAMES = {
    "prices": ("$5_to_$10", "$10_to_$20"),
    "formulas": ("x^2_{i}$", "$\\frac{1}$"),
    "long": ("w" * 90 + "1", "w" * 90 + "2"),
    "lines": ("a\tb", "c\x00d"),
}
SQUARE = np.zeros((20, 30, 3), np.uint8)


def confusion(names):
    return small_confusion(names, figsize=(6, 6), title=names[0])


def small_confusion(names, **options):
    task = SimpleNamespace(target=Category(names))
    found = Predictions(torch.eye(2), torch.tensor([0, 1]), torch.zeros(2), None, task)
    return ClassificationInterpretation(None, found).plot_confusion_matrix(
        **{"figsize": (3, 3), **options}
    )


def per_label(names):
    task = SimpleNamespace(target=MultiCategory(names))
    p, y = torch.tensor([[0.9, 0.2], [0.1, 0.8]]), torch.eye(2)
    found = Predictions(p, y, torch.zeros(2), None, task)
    return MultiLabelInterpretation(None, found).plot_per_label()


def per_class(names):
    learn = SimpleNamespace(task=SimpleNamespace(target=Mask(classes=names)))
    return SegmentationInterpretation(
        learn, None, torch.tensor([[3.0, 1], [1, 2]]).double(), None
    ).plot_per_class()


def legend(names):
    figure = Image.of_pixels(SQUARE).show(figsize=(6, 6)).figure
    figure.set_layout_engine("constrained")
    Mask(classes=names).legend(figure)
    return figure


def boxes(names):
    target = Boxes(classes=names, count=2)
    ax = Image.of_pixels(SQUARE).show()
    y = target.encode((np.array([[-0.5, -0.5, 0, 0], [0, 0, 0.5, 0.5]]), list(names)))
    target.show(target.answer(y), ax)
    return ax.figure


def titles(names):
    ax = Image.of_pixels(SQUARE).show(title=names[0], y=names[1])
    Category(names).show(Category(names).answer(np.array(0)), ax)
    return ax.figure


def metrics(names):
    recorder = Recorder(list(names))
    recorder.metrics = [[0.1, 0.2], [0.3, 0.4]]
    return recorder.plot_metrics()


def text(names):
    return Text(" and ".join(names)).show(figsize=(8, 3)).figure


PLOTS = [confusion, small_confusion, per_label, per_class, legend, boxes, titles, metrics, text]


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("plot", PLOTS)
def test_every_plot_is_drawn_with_every_name(plot, kind):
    figure = plot(NAMES[kind])
    figure.canvas.draw()  # mathematics and missing letters are errors and warnings here
    shown = "".join(t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")))
    if kind == "prices":
        assert r"\$5_to_\$10" in shown
    if kind == "long" and plot not in (titles, text):
        assert "\u2026" in shown
        assert "w1" in shown
        assert "w2" in shown


@pytest.mark.parametrize("plot", PLOTS)
def test_letters_that_the_font_lacks_are_said_in_our_words(plot):
    with pytest.warns(OnecycleWarning, match=r"lacks \d characters .*rcParams"):
        figure = plot(("\u732b", "\u72ac"))
    figure.canvas.draw()
