"""Metrics: plain functions of (outputs, y), as the model gives them and as they are encoded.

A plain function is averaged over the items; one marked by `whole_set` sees all of them at once.
Several labels and other kinds pass through the activation that the docstring names. Over a whole
set each equals scikit-learn's; classes that are neither actual nor predicted are in no mean.
"""

from collections.abc import Sequence
from functools import partial
from numbers import Integral
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from onecycle.core.errors import UsageError, warn
from onecycle.learn.metric import Metric, higher_is_better, lower_is_better, whole_set

AVERAGES = ("macro", "weighted", "micro", "binary", "samples", "none")
_MANY = 100  # outputs that all lie in 0-1: not by accident
Limit = float | Sequence[float]  # a threshold for all labels, or one for each
_of_classes = partial(Metric, takes=("void",), higher_is_better=True)


def _exact(sums: Tensor) -> Tensor:
    """As float64, in which counts add up; on the CPU where the device has none, as Apple's MPS."""
    return (sums.cpu() if sums.device.type == "mps" else sums).double()


def _ratio(total: Tensor, **_: object) -> Tensor:
    return total[0] / total[1]


@partial(_of_classes, value=_ratio)
def accuracy(outputs: Tensor, y: Tensor, void: int | None = None) -> Tensor:
    """The share of items (or pixels, but void ones) whose largest output is the class `y`."""
    classes, counted = _classes(outputs, y, void)
    right = (outputs.argmax(1) == classes) & counted
    return _exact(torch.stack([right.sum(), counted.sum()]))


@partial(_of_classes, value=lambda total, **_: 1 - _ratio(total), higher_is_better=False)
def error_rate(outputs: Tensor, y: Tensor, void: int | None = None) -> Tensor:
    """1 - accuracy."""
    return accuracy.func(outputs, y, void)


@partial(_of_classes, value=_ratio)
def top_k_accuracy(outputs: Tensor, y: Tensor, k: int = 5, void: int | None = None) -> Tensor:
    """The share of items whose class is among the `k` (5) largest outputs.

    UsageError unless `k` is below the number of classes, since all `k` of them are always right.
    """
    classes, counted = _classes(outputs, y, void)
    if not 1 <= k < outputs.shape[1]:
        raise UsageError(
            f"top_k_accuracy with k={k} says nothing of {outputs.shape[1]} classes: give a k from "
            f"1 to {outputs.shape[1] - 1}, partial(top_k_accuracy, k=2), or leave it out"
        )
    best = outputs.topk(k, dim=1).indices
    right = (best == classes.unsqueeze(1)).any(1) & counted
    return _exact(torch.stack([right.sum(), counted.sum()]))


@partial(Metric, value=lambda total: _ratio(total).exp(), higher_is_better=False)
def perplexity(outputs: Tensor, y: Tensor) -> Tensor:
    """e to the mean cross-entropy of all tokens: logits (n, vocab, t) and y int64 (n, t)."""
    loss = functional.cross_entropy(outputs.float(), y, reduction="sum")
    return torch.stack([_exact(loss), _exact(loss.new_tensor(y.numel(), dtype=torch.int64))])


@higher_is_better
def accuracy_thresh(
    y_pred: Tensor, y_true: Tensor, thresh: Limit = 0.5, sigmoid: bool = True
) -> Tensor:
    """The share of right yes-or-no decisions, `> thresh` after a sigmoid."""
    _refuse_one_class(y_pred, y_true)
    return _above(y_pred, thresh, sigmoid).eq(y_true > 0.5).float().mean()


@higher_is_better
def fbeta(
    y_pred: Tensor,
    y_true: Tensor,
    thresh: Limit = 0.2,
    beta: float = 2,
    eps: float = 1e-9,
    sigmoid: bool = True,
) -> Tensor:
    """F-beta of each item's labels (n, classes), then the mean over items (Planet's F2)."""
    _refuse_one_class(y_pred, y_true)
    predicted = _above(y_pred, thresh, sigmoid).float()
    true = (y_true > 0.5).float()
    right = (predicted * true).sum(1)
    precision, recall = right / (predicted.sum(1) + eps), right / (true.sum(1) + eps)
    weight = beta**2
    return ((1 + weight) * precision * recall / (precision * weight + recall + eps)).mean()


def _counts(
    outputs: Tensor, y: Tensor, axis: int, thresh: Limit, sigmoid: bool, void: int | None
) -> list[Tensor]:
    """Right, predicted and actual ones: of each class (axis 0), or of each item's labels (1)."""
    if y.is_floating_point():
        _refuse_one_class(outputs, y)
        predicted, actual = _above(outputs, thresh, sigmoid), y > 0.5
        counts = [v.sum(axis) for v in (predicted & actual, predicted, actual)]
    else:
        classes, counted = _classes(outputs, y, void)
        chosen, classes = outputs.argmax(1)[counted], classes[counted]
        each = (classes[chosen == classes], chosen, classes)
        counts = [torch.bincount(v, minlength=outputs.shape[1]) for v in each]
    return [_exact(v) for v in counts]


def _average(
    outputs: Tensor,
    y: Tensor,
    weights: tuple[float, float],
    average: str | None,
    thresh: Limit,
    sigmoid: bool,
    void: int | None,
) -> Tensor:
    """right / (weights[0] * predicted + weights[1] * actual) in one of the ways of `AVERAGES`."""
    average = average or "none"
    if average not in AVERAGES:
        raise UsageError(f"average is one of {', '.join(AVERAGES)}, not {average!r}")
    if average == "samples" and not y.is_floating_point():
        raise UsageError('average="samples" is for several labels per item: use "macro" or "micro"')
    if average == "binary" and outputs.shape[1] != 2:
        raise UsageError(
            f'average="binary" is for two classes, not {outputs.shape[1]}: use "macro"'
        )
    axis = 1 if average == "samples" else 0
    right, predicted, true = _counts(outputs, y, axis, thresh, sigmoid, void)
    occurs = (predicted + true) > 0
    if average == "micro":
        right, predicted, true = right.sum(), predicted.sum(), true.sum()
    bottom = weights[0] * predicted + weights[1] * true
    share = torch.where(bottom > 0, right / bottom.clamp(min=1e-12), torch.zeros_like(right))
    if average == "binary":
        return share[1]
    if average == "weighted":
        return (share * true).sum() / true.sum().clamp(min=1)
    if average == "macro":
        return share[occurs].sum() / occurs.sum().clamp(min=1)
    return torch.where(occurs, share, torch.nan) if average == "none" else share.mean()


@_of_classes
def precision(
    outputs: Tensor,
    y: Tensor,
    average: str | None = "macro",
    thresh: Limit = 0.5,
    sigmoid: bool = True,
    void: int | None = None,
) -> Tensor:
    """Of what is predicted, the share that is true; over the whole set.

    `average`: "macro" (the mean over the classes that are actual or predicted), "weighted" (by how
    often each is actual), "micro" (of the counts of all), "binary" (of two classes the second),
    "samples" (the mean over items with several labels), "none" (one for each class). Where nothing
    is predicted it is 0; with "none" it is NaN for a class that is neither actual nor predicted.
    """
    return _average(outputs, y, (1, 0), average, thresh, sigmoid, void)


@_of_classes
def recall(
    outputs: Tensor,
    y: Tensor,
    average: str | None = "macro",
    thresh: Limit = 0.5,
    sigmoid: bool = True,
    void: int | None = None,
) -> Tensor:
    """Of what is true, the share that is predicted; over the whole set. `average` as above."""
    return _average(outputs, y, (0, 1), average, thresh, sigmoid, void)


@_of_classes
def f1(
    outputs: Tensor,
    y: Tensor,
    average: str | None = "macro",
    thresh: Limit = 0.5,
    sigmoid: bool = True,
    void: int | None = None,
) -> Tensor:
    """The harmonic mean of precision and recall; over the whole set. `average` as above."""
    return _average(outputs, y, (0.5, 0.5), average, thresh, sigmoid, void)


@whole_set
@higher_is_better
def auroc(outputs: Tensor, y: Tensor) -> Tensor:
    """Area under the ROC curve, mean over the classes that have both kinds of items.

    By ranks, ties counted half (Mann & Whitney 1947).
    """
    areas = []
    for score, true in _per_class(outputs, y):
        n_true, n_false = int(true.sum()), int((~true).sum())
        if n_true and n_false:
            _, where, counts = score.unique(sorted=True, return_inverse=True, return_counts=True)
            ends = counts.cumsum(0).double()
            ranks = (ends - (counts - 1) / 2)[where]
            above = ranks[true].sum() - n_true * (n_true + 1) / 2
            areas.append(above / (n_true * n_false))
    return torch.stack(areas).mean() if areas else torch.tensor(torch.nan)


@whole_set
@higher_is_better
def average_precision(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean average precision: the area under precision over recall, mean over the classes."""
    areas = []
    for score, true in _per_class(outputs, y):
        if int(true.sum()):
            values, order = score.sort(descending=True)
            hits = true[order].double().cumsum(0)
            last = torch.cat([values[1:] != values[:-1], torch.ones(1, dtype=torch.bool)])
            hits, predicted = hits[last], torch.arange(1, len(score) + 1)[last]
            gained = torch.diff(hits, prepend=torch.zeros(1, dtype=torch.float64))
            areas.append((hits / predicted * gained).sum() / true.sum())
    return torch.stack(areas).mean() if areas else torch.tensor(torch.nan)


@lower_is_better
def mse(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean squared error."""
    return ((outputs.reshape(y.shape) - y) ** 2).mean()


@lower_is_better
def mae(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean absolute error."""
    return (outputs.reshape(y.shape) - y).abs().mean()


@whole_set
@lower_is_better
def rmse(outputs: Tensor, y: Tensor) -> Tensor:
    """The root of the mean squared error of the whole set."""
    return mse(outputs.double(), y.double()).sqrt()


@whole_set
@higher_is_better
def r2(outputs: Tensor, y: Tensor) -> Tensor:
    """1 - squared error / variance, mean over the numbers (coefficient of determination).

    Where the labels are all the same: 1 for perfect answers, else 0; of one item alone NaN.
    """
    wanted, given = y.double().flatten(1), outputs.double().reshape(len(y), -1)
    if len(wanted) < 2:
        return torch.tensor(torch.nan)
    error = ((given - wanted) ** 2).sum(0)
    spread = ((wanted - wanted.mean(0)) ** 2).sum(0)
    constant = (error == 0).double()
    return torch.where(spread > 0, 1 - error / spread.clamp(min=1e-300), constant).mean()


def _classes(outputs: Tensor, y: Tensor, void: int | None) -> tuple[Tensor, Tensor]:
    """Classes without a channel axis that outputs (n, c, h, w) do not have, and which count."""
    if y.is_floating_point():
        raise UsageError(
            "this metric is for one class per item; for several labels there are accuracy_thresh, "
            "fbeta, f1 and average_precision, for numbers rmse and r2"
        )
    classes = y[:, 0] if y.ndim == outputs.ndim else y
    return classes, is_counted(classes, void)


def is_counted(classes: Tensor, void: int | None) -> Tensor:
    """Which are neither outside (negative) nor `void`, the number of a class."""
    if void is None:
        return classes >= 0
    if isinstance(void, bool) or not isinstance(void, Integral):
        raise UsageError(f"void is the number of a class, not {void!r}")
    return (classes >= 0) & (classes != void)


def _refuse_one_class(outputs: Tensor, y: Tensor) -> None:
    if outputs.shape != y.shape:
        raise UsageError(
            "this metric is for several labels per item; for one class per item there are "
            "accuracy, error_rate, top_k_accuracy and f1"
        )


def _above(outputs: Tensor, thresh: Any, sigmoid: bool) -> Tensor:
    """Yes or no; UsageError for a threshold that no probability, or every one, exceeds.

    `thresh` is one for all labels, or a sequence of one for each, as `target.thresh` may be.
    Warns where the sigmoid is taken of many values that lie in 0-1 themselves, as get_preds and
    TTA give them (on the CPU: a look at a GPU's values would hold the training back).
    """
    one = not isinstance(thresh, Sequence) and not getattr(thresh, "ndim", 0)
    if sigmoid and not all(0 <= limit <= 1 for limit in ([thresh] if one else thresh)):
        raise UsageError(f"thresh is a probability from 0 to 1, not {thresh!r}")
    if sigmoid and outputs.device.type == "cpu" and outputs.numel() >= _MANY:
        low, high = outputs.aminmax()
        if 0 <= low < high <= 1:
            warn(
                f"all {outputs.numel()} outputs lie in 0-1, as probabilities do, and a sigmoid is "
                "taken of them: give sigmoid=False with what get_preds() and TTA() return",
                3,
            )
    limits = thresh if one else torch.as_tensor(thresh, device=outputs.device)
    return (outputs.sigmoid() if sigmoid else outputs) > limits


def _per_class(outputs: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    """(score, is true) of every item, class by class; of two exclusive classes the second."""
    if y.is_floating_point():
        return [(outputs[:, i], y[:, i] > 0.5) for i in range(outputs.shape[1])]
    probabilities = outputs.softmax(1)
    classes = [1] if outputs.shape[1] == 2 else range(outputs.shape[1])
    return [(probabilities[:, i], y == i) for i in classes]


mean_squared_error, mean_absolute_error = mse, mae
root_mean_squared_error, r2_score = rmse, r2


# Metrics of masks: outputs (n, classes, h, w), y int64 (n, 1, h, w); each over the whole set.
#
# They add up counts batch by batch, so that no set of masks is too large. Negative numbers and the
# `void` class in y count nowhere; a learner knows the void class of its masks by itself.


def confusion(outputs: Tensor, y: Tensor, void: int | None = None) -> Tensor:
    """Pixels as counts (classes, classes), float64: rows are actual, columns predicted."""
    n = outputs.shape[1]
    predicted, true = outputs.argmax(1).flatten(), y.flatten()
    cells = torch.bincount((true * n + predicted)[is_counted(true, void)], minlength=n * n)
    return _exact(cells.reshape(n, n))


def shares(matrix: Tensor, void: int | None = None) -> Tensor:
    """Intersection over union of each class.

    NaN for one that is neither actual nor predicted, and for `void`.
    """
    right = matrix.diagonal()
    return _without_void(right / (matrix.sum(0) + matrix.sum(1) - right), void)


def _without_void(each: Tensor, void: int | None) -> Tensor:
    places = torch.arange(len(each), device=each.device)
    return each if void is None else torch.where(places == void, torch.nan, each)


def _share_right(matrix: Tensor, **_: object) -> Tensor:
    return matrix.diagonal().sum() / matrix.sum()


def _mean_iou(matrix: Tensor, void: int | None = None, only_actual: bool = False) -> Tensor:
    each = shares(matrix, void)
    return (torch.where(matrix.sum(1) > 0, each, torch.nan) if only_actual else each).nanmean()


def _dice(matrix: Tensor, void: int | None = None) -> Tensor:
    each = _without_void(2 * matrix.diagonal() / (matrix.sum(0) + matrix.sum(1)), void)
    real = [i for i in range(len(each)) if i != void]
    if len(real) != 2:
        return each.nanmean()
    return each[real[1]].nan_to_num(1.0) if matrix.sum() else each[real[1]]


@partial(_of_classes, value=_share_right)
def pixel_accuracy(outputs: Tensor, y: Tensor, void: int | None = None) -> Tensor:
    """The share of pixels that are predicted right."""
    return confusion(outputs, y, void)


@partial(_of_classes, value=_share_right)
def foreground_acc(
    outputs: Tensor, y: Tensor, void_code: int | None = None, void: int | None = None
) -> Tensor:
    """`pixel_accuracy` with the course's name of its parameter."""
    return confusion(outputs, y, void if void_code is None else void_code)


@partial(_of_classes, value=_mean_iou)
def mean_iou(
    outputs: Tensor, y: Tensor, void: int | None = None, only_actual: bool = False
) -> Tensor:
    """The mean over classes of intersection over union.

    Classes that are neither actual nor predicted are left out; with `only_actual` also those that
    are predicted, but nowhere actual, and else count 0.
    """
    return confusion(outputs, y, void)


@partial(_of_classes, value=_dice)
def dice(outputs: Tensor, y: Tensor, void: int | None = None) -> Tensor:
    """2 |A and B| / (|A| + |B|): of two classes that of the second, else the mean over classes.

    Classes that are neither actual nor predicted are left out. Two empty masks agree: of two
    classes, a second one that is nowhere gives 1.
    """
    return confusion(outputs, y, void)
