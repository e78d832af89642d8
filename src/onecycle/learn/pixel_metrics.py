"""Metrics of masks: outputs (n, classes, h, w), y int64 (n, 1, h, w); each over the whole set.

They add up counts batch by batch, so that no set of masks is too large. Negative numbers and the
`void` class in y count nowhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from onecycle.learn.metrics import summed


def confusion(outputs: Tensor, y: Tensor, void: int | None = None) -> Tensor:
    """Pixels as counts (classes, classes), float64: rows are true, columns said."""
    n = outputs.shape[1]
    said, true = outputs.argmax(1).flatten(), y.flatten()
    counted = true >= 0 if void is None else (true >= 0) & (true != void)
    cells = torch.bincount((true * n + said)[counted], minlength=n * n)
    return cells.reshape(n, n).double()


def shares(matrix: Tensor) -> Tensor:
    """Intersection over union of each class; NaN for one that is nowhere in y, as void is."""
    right, true = matrix.diagonal(), matrix.sum(1)
    union = matrix.sum(0) + true - right
    return torch.where(true > 0, right / union, torch.nan)


def _accuracy(matrix: Tensor) -> Tensor:
    return matrix.diagonal().sum() / matrix.sum()


def _dice(matrix: Tensor) -> Tensor:
    """Of two classes that of the second, else the mean over classes that occur."""
    each = 2 * matrix.diagonal() / (matrix.sum(0) + matrix.sum(1))
    return each[1] if len(each) == 2 else each.nanmean()


def foreground_confusion(outputs: Tensor, y: Tensor, void_code: int = -1) -> Tensor:
    """`confusion` with the course's name of its parameter."""
    return confusion(outputs, y, void_code)


pixel_accuracy = summed("pixel_accuracy", confusion, _accuracy)
foreground_acc = summed("foreground_acc", foreground_confusion, _accuracy)
mean_iou = summed("mean_iou", confusion, lambda matrix: shares(matrix).nanmean())
dice = summed("dice", confusion, _dice)
