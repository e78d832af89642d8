"""Confusion, worst items, thresholds and heat maps, on predictions made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from onecycle import ImageList
from onecycle.core.errors import UsageError
from onecycle.data.targets import Category, MultiCategory
from onecycle.interpret.classification import (
    ClassificationInterpretation,
    MultiLabelInterpretation,
    best_threshold,
    grad_cam,
)
from onecycle.learn.learner import Learner
from onecycle.learn.predictions import Predictions


def single(predicted, true, losses=None):
    task = SimpleNamespace(target=Category(("a", "b", "c")))
    y = torch.tensor(true)
    losses = torch.zeros(len(y)) if losses is None else torch.tensor(losses)
    found = Predictions(torch.eye(3)[predicted], y, losses, None, task)
    return ClassificationInterpretation(None, found)


def test_rows_of_the_confusion_matrix_are_the_true_classes():
    interp = single(predicted=[0, 1, 1, 1, 2], true=[0, 0, 0, 1, 1])
    assert interp.confusion_matrix().tolist() == [[1, 2, 0], [0, 1, 1], [0, 0, 0]]


def test_most_confused_names_true_said_and_count_largest_first():
    interp = single(predicted=[0, 1, 1, 1, 2], true=[0, 0, 0, 1, 1])
    assert interp.most_confused() == [("a", "b", 2), ("b", "c", 1)]
    assert interp.most_confused(min_val=2) == [("a", "b", 2)]


def test_top_losses_come_worst_first():
    interp = single([0, 0, 0], [0, 1, 2], losses=[0.1, 3.0, 2.0])
    values, positions = interp.top_losses(2)
    assert positions.tolist() == [1, 2]
    assert values.tolist() == [3, 2]
    assert interp.top_losses(1, largest=False)[1].tolist() == [0]


def test_the_drawn_matrix_holds_the_counts():
    figure = single([0, 1, 1], [0, 0, 2]).plot_confusion_matrix()
    texts = [t.get_text() for t in figure.axes[0].texts]
    assert texts == ["1", "1", "0", "0", "0", "0", "0", "1", "0"]


def several():
    task = SimpleNamespace(target=MultiCategory(("x", "y"), 0.5))
    p = torch.tensor([[0.9, 0.6], [0.8, 0.1], [0.3, 0.7], [0.2, 0.2]])
    y = torch.tensor([[1.0, 0], [1, 0], [1, 1], [0, 0]])
    return MultiLabelInterpretation(None, Predictions(p, y, torch.zeros(4), None, task))


def test_figures_per_label_by_hand():
    table = several().per_label()
    assert table.loc["x", ["actual", "predicted"]].tolist() == [3, 2]
    assert table.loc["x", "precision"] == pytest.approx(1)
    assert table.loc["x", "recall"] == pytest.approx(2 / 3)
    assert table.loc["y", "precision"] == pytest.approx(1 / 2)
    assert table.loc["y", "f1"] == pytest.approx(2 / 3)
    assert table.loc["y", "average_precision"] == pytest.approx(1)


def test_the_best_threshold_is_found_by_trying_all():
    interp = several()
    p, y = interp.predictions.probabilities.numpy(), interp.predictions.targets.numpy()

    def f2(t):
        predicted = p > t
        right = (predicted & (y > 0)).sum(1)
        precision = right / (predicted.sum(1) + 1e-9)
        recall = right / (y.sum(1) + 1e-9)
        return (5 * precision * recall / (4 * precision + recall + 1e-9)).mean()

    best = max(f2(t / 100) for t in range(1, 100))
    assert f2(best_threshold(interp.predictions.probabilities, interp.predictions.targets)) == (
        pytest.approx(best)
    )


def test_the_wrong_kind_of_interpretation_says_which_is_right():
    with pytest.raises(UsageError, match="MultiLabelInterpretation"):
        ClassificationInterpretation(None, several().predictions)
    with pytest.raises(UsageError, match="ClassificationInterpretation"):
        MultiLabelInterpretation(None, single([0], [0]).predictions)


def test_the_heat_map_lights_up_where_the_bright_square_is(tmp_path):
    from PIL import Image

    for i, label in enumerate(("dark", "bright") * 3):
        pixels = np.full((32, 32, 3), 20, np.uint8)
        if label == "bright":
            pixels[4:12, 18:28] = 250
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / label / f"{i}.png")
    items = ImageList.from_folder(tmp_path)
    data = items.split_by_rand_pct(0.5, seed=1).label_from_folder().transform(size=32)
    data = data.databunch(bs=2, num_workers=0)
    body = nn.Conv2d(3, 2, 4, stride=4, bias=False)
    nn.init.constant_(body.weight[0], 1.0)
    nn.init.constant_(body.weight[1], -1.0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        head[2].weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    learn = Learner(data, nn.Sequential(body, head), silent=True)
    learn.model.train()
    interp = ClassificationInterpretation.from_learner(learn)
    index = next(i for i, p in enumerate(interp.predictions.items.items) if "bright" in str(p))
    looked = grad_cam(learn, interp.predictions, index)
    assert looked.shape == (8, 8)
    assert looked.max() == 1
    row, column = np.unravel_index(looked.argmax(), looked.shape)
    assert 1 <= row <= 2
    assert 4 <= column <= 6
    assert learn.model.training
    figure = interp.plot_top_losses(2, heatmap=True)
    assert len(figure.axes) == 2
    assert all("loss" in ax.get_title() for ax in figure.axes)
