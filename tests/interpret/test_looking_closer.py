"""Heat maps follow the model's answer, figures hold what they should, thresholds are exact."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics as sk
from torch import nn

from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.data.databunch import DatasetType
from onecycle.interpret.classification import (
    ClassificationInterpretation,
    MultiLabelInterpretation,
    best_threshold,
    fbeta_curve,
    grad_cam,
)
from onecycle.learn.learner import Learner
from onecycle.learn.predictions import Predictions
from onecycle.vision.lists import ImageList

CORNERS = {"blue": (slice(20, 28), slice(4, 12)), "red": (slice(4, 12), slice(20, 28))}
CHANNEL = {"blue": 2, "red": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six images: both squares are in each, the red one above right, the blue one below left."""
    root = tmp_path_factory.mktemp("squares")
    for i, kind in enumerate(("blue", "red", "red", "blue", "blue", "red")):
        pixels = np.zeros((32, 32, 3), np.uint8)
        for colour, corner in CORNERS.items():
            pixels[(*corner, CHANNEL[colour])] = 250 if colour == kind else 200
        Image.fromarray(pixels).save(root / f"{i}_{kind}.png")
    return root


def net(bias=0.0):
    """Channel 0 is red, channel 1 blue; the outputs are (blue, red), each its channel's mean."""
    body = nn.Conv2d(3, 2, 4, stride=4, bias=False)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(2, 2))
    with torch.no_grad():
        body.weight.zero_()
        body.weight[0, 0] = body.weight[1, 2] = 1.0
        head[3].weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        head[3].bias.fill_(bias)
    return nn.Sequential(body, head)


def bunch(folder, several):
    src = ImageList.from_folder(folder).split_by_idx([2, 3, 4, 5])
    if several:
        labelled = src.label_from_func(lambda path: [path.stem.split("_")[1]])
    else:
        labelled = src.label_from_re(r"_(\w+)\.png")
    return labelled.transform(None, size=32).databunch(bs=2, num_workers=0, device="cpu")


@pytest.fixture
def one(folder):
    learn = Learner(bunch(folder, False), net(), silent=True)
    return ClassificationInterpretation.from_learner(learn)


@pytest.fixture
def many(folder):
    learn = Learner(bunch(folder, True), net(bias=-0.8), silent=True)
    return MultiLabelInterpretation.from_learner(learn)


def lit(looked):
    """The names of the corners with at least half of the strongest light."""
    bright = np.kron(looked, np.ones((4, 4))) >= 0.5
    return {name for name, corner in CORNERS.items() if bright[corner].mean() > 0.5}


@pytest.mark.parametrize("index", range(4))
def test_for_one_class_the_map_shows_the_answer_alone(one, index):
    """Both outputs are above zero, and only one of them is the answer."""
    predicted = str(one.predictions.predicted(index))
    assert lit(grad_cam(one.learn, one.predictions, index)) == {predicted}
    assert predicted == ["red", "blue", "blue", "red"][index]


@pytest.mark.parametrize(
    ("thresh", "wanted"), [(0.5, {"red"}), (0.1, {"red", "blue"}), (0.999, {"red"})]
)
def test_for_several_labels_the_map_shows_all_that_was_said(folder, thresh, wanted):
    """Above .999 nothing is said, and the likeliest label is shown."""
    learn = Learner(bunch(folder, True), net(bias=-0.8), silent=True).with_threshold(thresh)
    learn.model[1][3].bias.data[0] = -0.9  # blue: a logit below zero, red above
    found = learn.predictions()
    assert lit(grad_cam(learn, found, 0)) == wanted


def test_the_map_is_between_zero_and_one_and_the_learner_as_before(one):
    one.learn.model.train()
    one.learn.model[0].eval()
    modes = [m.training for m in one.learn.model.modules()]
    before, state = one.learn.model[0].weight.clone(), torch.get_rng_state()
    looked = grad_cam(one.learn, one.predictions, 1)
    assert looked.shape == (8, 8)
    assert (looked.min(), looked.max()) == (0, 1)
    assert [m.training for m in one.learn.model.modules()] == modes
    assert all(p.grad is None for p in one.learn.model.parameters())
    assert torch.equal(before, one.learn.model[0].weight)
    assert torch.equal(state, torch.get_rng_state())


def test_a_head_in_several_parts_is_run_whole(one):
    body, head = one.learn.model
    one.learn.model = nn.Sequential(body, head[:2], head[2:])
    assert lit(grad_cam(one.learn, one.predictions, 0)) == {"red"}


def test_a_model_that_is_no_body_and_head_has_no_map(one):
    one.learn.model = nn.Flatten()
    with pytest.raises(UsageError, match="body and a head"):
        grad_cam(one.learn, one.predictions, 0)


# --- figures --------------------------------------------------------------------------------------


def test_the_worst_items_are_drawn_with_said_true_share_and_loss(one):
    losses, positions = one.top_losses(3)
    figure = one.plot_top_losses(3)
    shown = [ax for ax in figure.axes if ax.get_title()]
    assert len(shown) == 3
    for ax, loss, position in zip(shown, losses, positions, strict=True):
        i = int(position)
        share = float(one.predictions.probabilities[i, one.y_true[i]])
        found = one.predictions
        wanted = f"predicted {found.predicted(i)}\nactual {found.actual(i)} ({share:.2f})"
        assert ax.get_title() == f"{wanted}\nloss {float(loss):.2f}"
        assert np.array_equal(ax.images[0].get_array(), one.predictions.items[i][0].pixels)
        assert len(ax.images) == 1


def test_the_heat_map_lies_over_the_whole_image(one):
    figure = one.plot_top_losses(2, heatmap=True)
    for ax in figure.axes[:2]:
        image, looked = ax.images
        assert looked.get_extent() == [-0.5, 31.5, 31.5, -0.5]
        assert image.get_array().shape == (32, 32, 3)
        assert looked.get_array().shape == (8, 8)


@pytest.mark.parametrize("draws", [True, False])
def test_more_items_than_there_are_is_all_of_them_and_said(one, many, draws):
    for interp in (one, many):
        with pytest.warns(OnecycleWarning, match="4 items, fewer than k=99") as messages:
            found = interp.plot_top_losses(99) if draws else interp.top_losses(99)
        assert len(messages) == 1
        shown = [ax for ax in found.axes if ax.get_title()] if draws else found[1].tolist()
        assert len(shown) == 4


@pytest.mark.parametrize("k", [0, -1, 2.5, "3", True])
def test_a_number_of_items_that_is_none_is_refused(one, k):
    for top in (one.top_losses, one.plot_top_losses):
        with pytest.raises(UsageError, match="k is a number of items"):
            top(k)


def test_by_default_a_plot_takes_what_there_is_without_a_word(one, many):
    for interp in (one, many):
        assert sum(bool(ax.get_title()) for ax in interp.plot_top_losses().axes) == 4


def test_the_other_side_can_be_looked_at(one):
    interp = ClassificationInterpretation.from_learner(one.learn, DatasetType.Train)
    assert [str(interp.predictions.actual(i)) for i in range(2)] == ["blue", "red"]


def lopsided():
    """True a, a, a, b and said a, b, b, b."""
    task = type("Task", (), {"target": type("Target", (), {"classes": ("a", "b")})})
    p = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.1, 0.9]])
    found = Predictions(p, torch.tensor([0, 0, 0, 1]), torch.zeros(4), None, task)
    return ClassificationInterpretation(None, found)


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({}, ["1", "2", "0", "1"]),
        ({"normalize": True}, ["0.33", "0.67", "0.00", "1.00"]),
        ({"normalize": True, "norm_dec": 1}, ["0.3", "0.7", "0.0", "1.0"]),
        ({"plot_txt": False}, []),
    ],
)
def test_the_confusion_matrix_is_drawn_with_the_true_classes_down_the_side(options, texts):
    figure = lopsided().plot_confusion_matrix(title="By hand", figsize=(4, 3), dpi=60, **options)
    (ax,) = figure.axes
    assert (ax.get_ylabel(), ax.get_xlabel(), ax.get_title()) == ("actual", "predicted", "By hand")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in ax.texts] == texts
    assert (figure.get_size_inches().tolist(), figure.dpi) == ([4, 3], 60)
    assert np.asarray(ax.images[0].get_array())[0].tolist() == pytest.approx(
        [1 / 3, 2 / 3] if "normalize" in options else [1, 2]
    )


def test_per_label_bars_start_with_the_rarest_label(many):
    (ax,) = many.plot_per_label().axes
    table = many.per_label()
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [f"{n} ({c})" for n, c in table["actual"].sort_values().items()]
    assert ax.get_xlim() == (0, 1)


def test_the_threshold_plot_marks_the_best_and_the_one_in_force(many):
    many.learn.with_threshold(0.3)
    interp = MultiLabelInterpretation.from_learner(many.learn)
    lines = {line.get_label(): line for line in interp.plot_thresholds(1.0).axes[0].get_lines()}
    assert set(lines) == {"F1 per item", "precision (micro)", "recall (micro)", "best", "in force"}
    assert lines["best"].get_xdata()[0] == interp.best_threshold(1.0)
    assert lines["in force"].get_xdata()[0] == 0.3
    p, y = interp.predictions.probabilities, interp.predictions.targets
    wanted = [sk.recall_score(y, p > t / 100, average="micro") for t in range(1, 100)]
    assert lines["recall (micro)"].get_ydata() == pytest.approx(wanted, abs=1e-6)


# --- thresholds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_the_best_threshold_is_the_first_of_the_best_hundredths(beta):
    rng = torch.Generator().manual_seed(int(beta * 2))
    y = (torch.rand(60, 4, generator=rng) < torch.tensor([0.8, 0.4, 0.2, 0.1])).float()
    p = (y * 0.8 + torch.randn(60, 4, generator=rng)).sigmoid() * 0.6
    scores = [
        sk.fbeta_score(y, p > t / 100, beta=beta, average="samples", zero_division=0)
        for t in range(1, 100)
    ]
    assert fbeta_curve(p, y, beta) == pytest.approx(scores, abs=1e-6)
    assert best_threshold(p, y, beta) == (1 + int(np.argmax(scores))) / 100


def test_the_table_per_label_equals_scikit_learns(many):
    p, y = many.predictions.probabilities, many.predictions.targets
    table = many.per_label(thresh=0.35)
    assert list(table.index) == ["blue", "red"]
    for name in ("precision", "recall", "f1"):
        wanted = getattr(sk, f"{name}_score")(y, p > 0.35, average=None, zero_division=0)
        assert table[name].tolist() == pytest.approx(wanted.tolist())
    wanted = sk.average_precision_score(y, p, average=None)
    assert table["average_precision"].tolist() == pytest.approx(wanted.tolist())
    assert table["actual"].tolist() == [2, 2]
