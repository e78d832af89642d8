"""Metrics of masks: outputs (n, classes, h, w), y int64 (n, 1, h, w); each over the whole set.

They add up counts batch by batch, so that no set of masks is too large. Negative numbers and the
`void` class in y count nowhere; a learner knows the void class of its masks by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from onecycle.learn.metric import summed
from onecycle.learn.metrics import is_counted


def confusion(outputs: Tensor, y: Tensor, void: int | None = None) -> Tensor:
    """Pixels as counts (classes, classes), float64: rows are true, columns said."""
    n = outputs.shape[1]
    said, true = outputs.argmax(1).flatten(), y.flatten()
    cells = torch.bincount((true * n + said)[is_counted(true, void)], minlength=n * n)
    return cells.reshape(n, n).double()


def shares(matrix: Tensor, void: int | None = None) -> Tensor:
    """Intersection over union of each class.

    NaN for one that is neither actual nor predicted, and for `void`.
    """
    right = matrix.diagonal()
    return _without_void(right / (matrix.sum(0) + matrix.sum(1) - right), void)


def _without_void(each: Tensor, void: int | None) -> Tensor:
    places = torch.arange(len(each), device=each.device)
    return each if void is None else torch.where(places == void, torch.nan, each)


def _accuracy(matrix: Tensor, **_: object) -> Tensor:
    """The share of pixels that are predicted right."""
    return matrix.diagonal().sum() / matrix.sum()


def _mean_iou(matrix: Tensor, void: int | None = None, only_actual: bool = False) -> Tensor:
    """The mean over classes of intersection over union.

    Classes that are neither actual nor predicted are left out; with `only_actual` also those that
    are predicted, but nowhere actual, and else count 0.
    """
    each = shares(matrix, void)
    return (torch.where(matrix.sum(1) > 0, each, torch.nan) if only_actual else each).nanmean()


def _dice(matrix: Tensor, void: int | None = None) -> Tensor:
    """2 |A and B| / (|A| + |B|): of two classes that of the second, else the mean over classes.

    Classes that are neither actual nor predicted are left out. Two empty masks agree: of two
    classes, a second one that is nowhere gives 1.
    """
    each = _without_void(2 * matrix.diagonal() / (matrix.sum(0) + matrix.sum(1)), void)
    real = [i for i in range(len(each)) if i != void]
    if len(real) != 2:
        return each.nanmean()
    return each[real[1]].nan_to_num(1.0) if matrix.sum() else each[real[1]]


def _confusion_for_iou(
    outputs: Tensor, y: Tensor, void: int | None = None, only_actual: bool = False
) -> Tensor:
    return confusion(outputs, y, void)


def foreground_confusion(
    outputs: Tensor, y: Tensor, void_code: int | None = None, void: int | None = None
) -> Tensor:
    """`confusion` with the course's name of its parameter."""
    return confusion(outputs, y, void if void_code is None else void_code)


_VOID = ("void",)
pixel_accuracy = summed("pixel_accuracy", confusion, _accuracy, True, _VOID)
foreground_acc = summed("foreground_acc", foreground_confusion, _accuracy, True, _VOID)
mean_iou = summed("mean_iou", _confusion_for_iou, _mean_iou, True, _VOID)
dice = summed("dice", confusion, _dice, True, _VOID)
