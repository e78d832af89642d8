"""Every metric, over any batches, is scikit-learn's on all items together: hypothesis draws them.

Absent classes, one class alone, ties, empty answers and void are drawn as often as the rest.
"""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from onecycle.learn import metrics
from onecycle.learn import metrics as pixel_metrics
from onecycle.learn.evaluate import evaluate
from onecycle.vision.targets import Mask

law = settings(max_examples=50, deadline=None, derandomize=True)
NAMES = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}
AVERAGES = ["macro", "weighted", "micro", "none", None]


def whole(metric, pair, sizes, target=None):
    """What `evaluate` makes of the pair in batches of these sizes."""
    outputs, y = pair
    batches = zip(outputs.split(sizes), y.split(sizes), strict=True)
    (_, value) = evaluate(batches, None, [metric], target)
    return value


def reference(func, *args, **options):
    """scikit-learn's value, without its warnings of 0/0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return func(*args, **options)


@st.composite
def sizes_of(draw, n):
    """Sizes of batches that together have n items."""
    cuts = sorted(draw(st.sets(st.integers(1, n - 1), max_size=3))) if n > 1 else []
    return np.diff([0, *cuts, n]).tolist()


@st.composite
def classes(draw, least=2):
    """(outputs, y, sizes) of one class an item; ties are frequent, some classes are absent."""
    width = draw(st.integers(least, 5))
    n = draw(st.integers(1, 14))
    present = draw(st.lists(st.integers(0, width - 1), min_size=1, max_size=width, unique=True))
    y = draw(st.lists(st.sampled_from(present), min_size=n, max_size=n))
    values = st.lists(st.integers(-2, 2), min_size=width, max_size=width)
    outputs = torch.tensor(draw(st.lists(values, min_size=n, max_size=n)), dtype=torch.float32)
    return outputs, torch.tensor(y), draw(sizes_of(n))


@st.composite
def tags(draw):
    """(outputs, y, sizes) of several labels; some labels are never, or always true."""
    width, n = draw(st.integers(2, 4)), draw(st.integers(1, 12))
    kinds = draw(st.lists(st.sampled_from(["never", "always", "some"]), min_size=width,
                          max_size=width))  # fmt: skip
    bits = st.lists(st.booleans(), min_size=width, max_size=width)
    y = torch.tensor(draw(st.lists(bits, min_size=n, max_size=n))).float()
    for column, kind in enumerate(kinds):
        if kind != "some":
            y[:, column] = float(kind == "always")
    values = st.lists(st.integers(-3, 3), min_size=width, max_size=width)
    outputs = torch.tensor(draw(st.lists(values, min_size=n, max_size=n))).float()
    return outputs, y, draw(sizes_of(n))


@st.composite
def masks(draw):
    """(outputs, y, sizes, void): some pixels lie outside, some are void, a class may be absent."""
    width, n = draw(st.integers(2, 4)), draw(st.integers(1, 4))
    void = draw(st.sampled_from([None, width - 1, 0]))
    labels = draw(st.lists(st.sampled_from([-100, *range(width)]), min_size=4 * n, max_size=4 * n))
    predicted = draw(st.lists(st.integers(0, width - 1), min_size=4 * n, max_size=4 * n))
    outputs = torch.nn.functional.one_hot(torch.tensor(predicted), width).float()
    outputs = outputs.reshape(n, 2, 2, width).movedim(-1, 1)
    return outputs, torch.tensor(labels).reshape(n, 1, 2, 2), draw(sizes_of(n)), void


# --- precision, recall, F1 ----------------------------------------------------------------------


def compare(wanted_of, pair, sizes, average, columns):
    """Precision, recall and F1 with scikit-learn's; with "none" NaN for what occurs nowhere."""
    for name, theirs in NAMES.items():
        wanted = reference(wanted_of, theirs)
        metric = partial(getattr(metrics, name), average=average)
        if average not in ("none", None):
            assert whole(metric, pair, sizes) == pytest.approx(wanted, abs=1e-9), (name, average)
            continue
        found = metric(*pair).numpy()
        assert found[columns] == pytest.approx(wanted, abs=1e-9), name
        assert np.isnan(np.delete(found, columns)).all()


@given(drawn=classes(), average=st.sampled_from(AVERAGES))
@law
def test_of_one_class_over_the_labels_that_occur(drawn, average):
    outputs, y, sizes = drawn
    predicted = outputs.argmax(1).numpy()
    options = {"average": None if average == "none" else average, "zero_division": 0}
    occurs = np.union1d(y, predicted)
    compare(lambda f: f(y, predicted, **options), (outputs, y), sizes, average, occurs)


@given(drawn=classes())
@law
def test_of_two_classes_that_of_the_second(drawn):
    outputs, y, sizes = drawn[0][:, :2], drawn[1] % 2, drawn[2]
    predicted, options = outputs.argmax(1), {"average": "binary", "zero_division": 0}
    compare(lambda f: f(y, predicted, **options), (outputs, y), sizes, "binary", [])


@given(drawn=tags(), average=st.sampled_from([*AVERAGES, "samples"]))
@law
def test_of_several_labels_over_those_that_occur(drawn, average):
    outputs, y, sizes = drawn
    predicted, true = outputs.numpy() > 0, y.numpy() > 0
    occurs = np.flatnonzero((predicted | true).any(0))
    options = {} if average in ("samples", "micro") else {"labels": occurs}
    options |= {"average": None if average == "none" else average, "zero_division": 0}

    def wanted(func):
        nothing = [] if average in ("none", None) else 0.0
        return func(true, predicted, **options) if len(occurs) else nothing

    compare(wanted, (outputs, y), sizes, average, occurs)


@given(drawn=tags(), beta=st.sampled_from([0.5, 1, 2]))
@law
def test_fbeta_is_the_mean_over_items(drawn, beta):
    outputs, y, sizes = drawn
    options = {"beta": beta, "average": "samples", "zero_division": 0}
    wanted = reference(sk.fbeta_score, y.numpy() > 0, outputs.numpy() > 0, **options)
    metric = partial(metrics.fbeta, beta=beta, thresh=0.5)
    assert whole(metric, (outputs, y), sizes) == pytest.approx(wanted, abs=1e-6)


def test_perfect_answers_are_perfect_whatever_is_absent():
    """Of ten classes three occur; scikit-learn says 1 as well."""
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    outputs = torch.nn.functional.one_hot(y, 10).float()
    several = torch.zeros(4, 5)
    several[:, :2] = 1
    for metric in (metrics.precision, metrics.recall, metrics.f1):
        for average in ("macro", "weighted", "micro"):
            assert float(metric(outputs, y, average=average)) == 1
            assert float(metric(several * 2 - 1, several, average=average)) == 1


def test_averages_that_a_kind_does_not_have_are_refused():
    y, outputs = torch.tensor([0, 1, 2]), torch.eye(3)
    with pytest.raises(metrics.UsageError, match="several labels per item"):
        metrics.f1(outputs, y, average="samples")
    with pytest.raises(metrics.UsageError, match="two classes, not 3"):
        metrics.f1(outputs, y, average="binary")


# --- shares, areas, errors ----------------------------------------------------------------------


@given(drawn=classes())
@law
def test_accuracy_and_error_rate(drawn):
    outputs, y, sizes = drawn
    wanted = sk.accuracy_score(y, outputs.argmax(1))
    assert whole(metrics.accuracy, (outputs, y), sizes) == pytest.approx(wanted)
    assert whole(metrics.error_rate, (outputs, y), sizes) == pytest.approx(1 - wanted)


@given(drawn=classes(least=3), k=st.integers(1, 2))
@law
def test_top_k_accuracy(drawn, k):
    outputs, y, sizes = drawn
    outputs = outputs + torch.arange(outputs.shape[1]) * 1e-3  # scikit-learn breaks ties otherwise
    labels = list(range(outputs.shape[1]))
    wanted = reference(sk.top_k_accuracy_score, y, outputs.numpy(), k=k, labels=labels)
    assert whole(partial(metrics.top_k_accuracy, k=k), (outputs, y), sizes) == pytest.approx(wanted)


@given(drawn=tags())
@law
def test_areas_of_several_labels_over_those_that_have_one(drawn):
    outputs, y, sizes = drawn
    both = [i for i in range(y.shape[1]) if 0 < y[:, i].sum() < len(y)]
    some = [i for i in range(y.shape[1]) if y[:, i].sum() > 0]
    for ours, theirs, columns in (
        (metrics.auroc, sk.roc_auc_score, both),
        (metrics.average_precision, sk.average_precision_score, some),
    ):
        areas = [theirs(y[:, i], outputs[:, i]) for i in columns]
        found = whole(ours, (outputs, y), sizes)
        assert found == pytest.approx(np.mean(areas) if areas else np.nan, nan_ok=True)


@given(drawn=classes())
@law
def test_areas_of_one_class_against_the_rest(drawn):
    outputs, y, sizes = drawn
    p = outputs.softmax(1).numpy()
    columns = [1] if p.shape[1] == 2 else range(p.shape[1])
    pairs = [(np.asarray(y) == i, p[:, i]) for i in columns]
    for ours, theirs, least in (
        (metrics.auroc, sk.roc_auc_score, lambda t: 0 < t.sum() < len(t)),
        (metrics.average_precision, sk.average_precision_score, lambda t: t.any()),
    ):
        areas = [theirs(t, score) for t, score in pairs if least(t)]
        found = whole(ours, (outputs, y), sizes)
        assert found == pytest.approx(np.mean(areas) if areas else np.nan, nan_ok=True)


@st.composite
def numbers(draw):
    """(outputs, y, sizes); the labels of a column may be all the same."""
    width, n = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    values = st.lists(st.integers(-4, 4), min_size=width, max_size=width)
    outputs, y = (
        torch.tensor(draw(st.lists(values, min_size=n, max_size=n))).float() for _ in range(2)
    )
    if draw(st.booleans()):
        y[:, 0] = 3
    return outputs, y, draw(sizes_of(n))


@given(drawn=numbers())
@law
def test_errors_of_numbers(drawn):
    outputs, y, sizes = drawn
    found = {m: whole(getattr(metrics, m), (outputs, y), sizes) for m in ("mse", "mae", "rmse")}
    wanted = sk.mean_squared_error(y, outputs)
    assert found["mse"] == pytest.approx(wanted)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, outputs))
    assert found["rmse"] == pytest.approx(wanted**0.5)
    wanted = reference(sk.r2_score, y, outputs)
    assert whole(metrics.r2, (outputs, y), sizes) == pytest.approx(wanted, nan_ok=True)


# --- masks --------------------------------------------------------------------------------------


def counted(y, void):
    flat = y.flatten().numpy()
    return flat, (flat >= 0) & (flat != (-1 if void is None else void))


@given(drawn=masks(), given_void=st.booleans())
@law
def test_metrics_of_masks_leave_void_out_be_it_given_or_the_targets(drawn, given_void):
    outputs, y, sizes, void = drawn
    flat, seen = counted(y, void)
    true, outputs_said = flat[seen], outputs.argmax(1).flatten().numpy()[seen]
    target = Mask(classes=tuple("abcd"[: outputs.shape[1]]), void=void)

    def value(metric):
        name = "void_code" if metric is pixel_metrics.foreground_acc else "void"
        metric = partial(metric, **{name: void}) if given_void else metric
        return whole(metric, (outputs, y), sizes, None if given_void else target)

    labels = [i for i in np.union1d(true, outputs_said) if i != void]
    wanted = {
        "iou": reference(sk.jaccard_score, true, outputs_said, labels=labels, average="macro")
        if labels
        else np.nan,
        "accuracy": sk.accuracy_score(true, outputs_said) if len(true) else np.nan,
        "f1": reference(sk.f1_score, true, outputs_said, average="macro", zero_division=0)
        if len(true)
        else 0,
    }
    assert value(pixel_metrics.mean_iou) == pytest.approx(wanted["iou"], nan_ok=True)
    for metric in (pixel_metrics.pixel_accuracy, pixel_metrics.foreground_acc, metrics.accuracy):
        assert value(metric) == pytest.approx(wanted["accuracy"], nan_ok=True)
    assert value(metrics.f1) == pytest.approx(wanted["f1"])


@given(drawn=masks())
@law
def test_dice_is_scikit_learns_f1_of_the_foreground_or_the_mean_over_classes(drawn):
    outputs, y, sizes, void = drawn
    flat, seen = counted(y, void)
    true, outputs_said = flat[seen], outputs.argmax(1).flatten().numpy()[seen]
    real = [i for i in range(outputs.shape[1]) if i != void]
    occurring = [i for i in real if i in true or i in outputs_said]
    if len(real) == 2:
        one = real[1] in occurring
        score = (
            sk.f1_score(true == real[1], outputs_said == real[1], zero_division=0) if one else 1.0
        )
        wanted = score if len(true) else np.nan
    else:
        options = {"labels": occurring, "average": "macro", "zero_division": 0}
        wanted = reference(sk.f1_score, true, outputs_said, **options) if occurring else np.nan
    found = whole(partial(pixel_metrics.dice, void=void), (outputs, y), sizes)
    assert found == pytest.approx(wanted, nan_ok=True)


def test_only_actual_classes_are_those_of_the_masks_and_not_of_the_predictions():
    true, outputs_said = torch.tensor([[[0, 0, 1, 1]]]), torch.tensor([[[0, 2, 1, 1]]])
    outputs = torch.nn.functional.one_hot(outputs_said, 3).movedim(-1, 1).float()
    matrix = pixel_metrics.confusion(outputs, true)
    assert matrix.tolist() == [[1, 0, 1], [0, 2, 0], [0, 0, 0]]
    assert float(pixel_metrics.mean_iou(outputs, true, only_actual=True)) == (1 / 2 + 1) / 2
    assert float(pixel_metrics.mean_iou(outputs, true)) == (1 / 2 + 1 + 0) / 3


def test_two_empty_masks_agree():
    y = torch.zeros(2, 1, 4, 4, dtype=torch.long)
    outputs = torch.nn.functional.one_hot(y[:, 0], 2).movedim(-1, 1).float()
    assert float(pixel_metrics.dice(outputs, y)) == 1
    assert float(pixel_metrics.mean_iou(outputs, y)) == 1
    outputs[0, 1, 0, 0] = 2  # one pixel of foreground that is not there
    assert float(pixel_metrics.dice(outputs, y)) == 0


def test_void_by_name_is_refused():
    y = torch.zeros(1, 1, 2, 2, dtype=torch.long)
    for metric in (pixel_metrics.mean_iou, pixel_metrics.dice, metrics.accuracy, metrics.f1):
        with pytest.raises(metrics.UsageError, match="number of a class, not 'Void'"):
            metric(torch.zeros(1, 2, 2, 2), y, void="Void")
