"""Metrics: plain functions of (outputs, y), as the model gives them and as they are encoded.

A plain function is averaged over the items; one marked by `whole_set` sees all of them at once.
Several labels and other kinds pass through the activation that the docstring names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from onecycle.core.errors import UsageError

Metric = Callable[[Tensor, Tensor], Any]


@dataclass(frozen=True)
class WholeSet:
    """A metric that is not a mean over items: it is called once, with the whole set."""

    func: Metric

    def __call__(self, outputs: Tensor, y: Tensor, **options: Any) -> Tensor:
        return self.func(outputs, y, **options)

    @property
    def __name__(self) -> str:
        return name_of(self.func)


def whole_set(func: Metric) -> WholeSet:
    """Mark a function of (outputs, y) as one that needs the whole set."""
    return WholeSet(func)


@dataclass(frozen=True)
class Summed:
    """A metric of counts that add up over the batches: `value` of the sum of all `counts`."""

    name: str
    counts: Metric
    value: Callable[[Tensor], Tensor]

    def __call__(self, outputs: Tensor, y: Tensor, **options: Any) -> Tensor:
        return self.value(self.counts(outputs, y, **options))

    @property
    def __name__(self) -> str:
        return self.name


def summed(name: str, counts: Metric, value: Callable[[Tensor], Tensor]) -> Summed:
    """A metric for sets too large to be held: `counts(outputs, y)` are added up, then valued."""
    return Summed(name, counts, value)


def name_of(metric: Any) -> str:
    """The column's name: the function's own, also inside a partial."""
    if isinstance(metric, partial):
        return name_of(metric.func)
    if not callable(metric) and not hasattr(metric, "compute"):
        raise UsageError(f"a metric is a function of (outputs, y), not {metric!r}")
    return str(getattr(metric, "__name__", None) or type(metric).__name__).lower()


def names_of(metrics: Sequence[Any]) -> list[str]:
    """One column name for each metric; a name that is taken is numbered."""
    names: list[str] = []
    for name in map(name_of, metrics):
        taken = sum(other.partition(" ")[0] == name for other in names)
        names.append(f"{name} {taken + 1}" if taken else name)
    return names


def needs_whole_set(metric: Any) -> bool:
    """Whether a metric, or the function inside a partial, is marked by `whole_set`."""
    return isinstance(metric.func if isinstance(metric, partial) else metric, WholeSet)


def accuracy(outputs: Tensor, y: Tensor) -> Tensor:
    """The share of items (or pixels) whose largest output is the class `y`."""
    return (outputs.argmax(1) == _classes(outputs, y)).float().mean()


def error_rate(outputs: Tensor, y: Tensor) -> Tensor:
    """1 - accuracy."""
    return 1 - accuracy(outputs, y)


def top_k_accuracy(outputs: Tensor, y: Tensor, k: int = 5) -> Tensor:
    """The share of items whose class is among the `k` largest outputs.

    UsageError unless `k` is below the number of classes, since all `k` of them are always right.
    """
    wanted = _classes(outputs, y)[:, None]
    if not 1 <= k < outputs.shape[1]:
        raise UsageError(
            f"top_k_accuracy with k={k} says nothing of {outputs.shape[1]} classes: give a k from "
            f"1 to {outputs.shape[1] - 1}, partial(top_k_accuracy, k=2), or leave it out"
        )
    best = outputs.topk(k, dim=1).indices
    return (best == wanted).any(1).float().mean()


def _token_losses(outputs: Tensor, y: Tensor) -> Tensor:
    loss = functional.cross_entropy(outputs.float(), y, reduction="sum")
    return torch.stack([loss.double(), loss.new_tensor(y.numel(), dtype=torch.float64)])


perplexity = summed("perplexity", _token_losses, lambda total: (total[0] / total[1]).exp())
"""e to the mean cross-entropy of all tokens: logits (n, vocab, t) and y int64 (n, t)."""


def accuracy_thresh(
    y_pred: Tensor, y_true: Tensor, thresh: float = 0.5, sigmoid: bool = True
) -> Tensor:
    """The share of right yes-or-no decisions, `> thresh` after a sigmoid."""
    _refuse_one_class(y_pred, y_true)
    return _above(y_pred, thresh, sigmoid).eq(y_true > 0.5).float().mean()


def fbeta(
    y_pred: Tensor,
    y_true: Tensor,
    thresh: float = 0.2,
    beta: float = 2,
    eps: float = 1e-9,
    sigmoid: bool = True,
) -> Tensor:
    """F-beta of each item's labels (n, classes), then the mean over items (Planet's F2)."""
    _refuse_one_class(y_pred, y_true)
    said = _above(y_pred, thresh, sigmoid).float()
    true = (y_true > 0.5).float()
    right = (said * true).sum(1)
    precision, recall = right / (said.sum(1) + eps), right / (true.sum(1) + eps)
    weight = beta**2
    return ((1 + weight) * precision * recall / (precision * weight + recall + eps)).mean()


def _counts(outputs: Tensor, y: Tensor, thresh: float, sigmoid: bool) -> tuple[Tensor, ...]:
    """True positives, predicted and real ones of each class, for one label or several."""
    if y.is_floating_point():
        said, true = _above(outputs, thresh, sigmoid), y > 0.5
    else:
        said = torch.nn.functional.one_hot(outputs.argmax(1), outputs.shape[1]).bool()
        true = torch.nn.functional.one_hot(_classes(outputs, y), outputs.shape[1]).bool()
    return (said & true).sum(0).double(), said.sum(0).double(), true.sum(0).double()


def _averaged(top: Tensor, bottom: Tensor, average: str) -> Tensor:
    """micro: of the sums over classes; macro: mean over classes; none: per class. 0/0 is 0."""
    if average == "micro":
        top, bottom = top.sum(), bottom.sum()
    elif average not in {"macro", "none"}:
        raise UsageError(f'average is "micro", "macro" or "none", not {average!r}')
    share = torch.where(bottom > 0, top / bottom.clamp(min=1e-12), torch.zeros_like(top))
    return share.mean() if average == "macro" else share


@whole_set
def precision(
    outputs: Tensor, y: Tensor, average: str = "macro", thresh: float = 0.5, sigmoid: bool = True
) -> Tensor:
    """Of what was said, the share that is true; over the whole set."""
    right, said, _ = _counts(outputs, y, thresh, sigmoid)
    return _averaged(right, said, average)


@whole_set
def recall(
    outputs: Tensor, y: Tensor, average: str = "macro", thresh: float = 0.5, sigmoid: bool = True
) -> Tensor:
    """Of what is true, the share that was said; over the whole set."""
    right, _, true = _counts(outputs, y, thresh, sigmoid)
    return _averaged(right, true, average)


@whole_set
def f1(
    outputs: Tensor, y: Tensor, average: str = "macro", thresh: float = 0.5, sigmoid: bool = True
) -> Tensor:
    """The harmonic mean of precision and recall; over the whole set."""
    right, said, true = _counts(outputs, y, thresh, sigmoid)
    return _averaged(2 * right, said + true, average)


@whole_set
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
    return torch.stack(areas).mean() if areas else torch.tensor(float("nan"))


@whole_set
def average_precision(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean average precision: the area under precision over recall, mean over the classes."""
    areas = []
    for score, true in _per_class(outputs, y):
        if int(true.sum()):
            values, order = score.sort(descending=True)
            hits = true[order].double().cumsum(0)
            last = torch.cat([values[1:] != values[:-1], torch.ones(1, dtype=torch.bool)])
            hits, said = hits[last], torch.arange(1, len(score) + 1)[last]
            gained = torch.diff(hits, prepend=torch.zeros(1, dtype=torch.float64))
            areas.append((hits / said * gained).sum() / true.sum())
    return torch.stack(areas).mean() if areas else torch.tensor(float("nan"))


def mse(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean squared error."""
    return ((outputs.reshape(y.shape) - y) ** 2).mean()


def mae(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean absolute error."""
    return (outputs.reshape(y.shape) - y).abs().mean()


@whole_set
def rmse(outputs: Tensor, y: Tensor) -> Tensor:
    """The root of the mean squared error of the whole set."""
    return mse(outputs, y).sqrt()


@whole_set
def r2(outputs: Tensor, y: Tensor) -> Tensor:
    """1 - squared error / variance, mean over the numbers (coefficient of determination)."""
    wanted, given = y.double().flatten(1), outputs.double().reshape(len(y), -1)
    error = ((given - wanted) ** 2).sum(0)
    spread = ((wanted - wanted.mean(0)) ** 2).sum(0)
    return (1 - error / spread.clamp(min=1e-12)).mean()


def _classes(outputs: Tensor, y: Tensor) -> Tensor:
    """y without a channel axis that outputs (n, c, h, w) do not have."""
    if y.is_floating_point():
        raise UsageError(
            "this metric is for one class per item; for several labels there are accuracy_thresh, "
            "fbeta, f1 and average_precision, for numbers rmse and r2"
        )
    return y[:, 0] if y.ndim == outputs.ndim else y


def _refuse_one_class(outputs: Tensor, y: Tensor) -> None:
    if outputs.shape != y.shape:
        raise UsageError(
            "this metric is for several labels per item; for one class per item there are "
            "accuracy, error_rate, top_k_accuracy and f1"
        )


def _above(outputs: Tensor, thresh: float, sigmoid: bool) -> Tensor:
    """Yes or no; UsageError for a threshold that no probability, or every one, exceeds."""
    if sigmoid and not 0 <= thresh <= 1:
        raise UsageError(f"thresh is a probability from 0 to 1, not {thresh!r}")
    return (outputs.sigmoid() if sigmoid else outputs) > thresh


def _per_class(outputs: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    """(score, is true) of every item, class by class; of two exclusive classes the second."""
    if y.is_floating_point():
        return [(outputs[:, i], y[:, i] > 0.5) for i in range(outputs.shape[1])]
    probabilities = outputs.softmax(1)
    classes = [1] if outputs.shape[1] == 2 else range(outputs.shape[1])
    return [(probabilities[:, i], y == i) for i in classes]


mean_squared_error, mean_absolute_error = mse, mae
root_mean_squared_error, r2_score = rmse, r2
