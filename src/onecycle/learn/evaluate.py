"""Loss and metrics of a set; metrics look at copies, with luck of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from onecycle.core.chance import untouched
from onecycle.core.errors import EmptyDataError
from onecycle.learn.batch_weight import weight_of
from onecycle.learn.metrics import Summed, needs_whole_set


def evaluate(
    batches: Iterable[tuple[Tensor, Tensor]],
    loss_func: Callable[..., Tensor] | None,
    metrics: Sequence[Any],
    weight: Callable[[Tensor], float] = len,
) -> list[float | None]:
    """[loss, *metrics] over (outputs, y) batches.

    Plain functions are averaged, each batch by its `weight(y)`: its items, where the target knows
    no better. Those marked `whole_set` see everything at once, and objects with `reset`, `update`
    and `compute` (torchmetrics) are driven as they expect.
    """
    tallies: list[_Mean | _Whole | _Sum | _Stateful] = []
    tallies += [_Mean(loss_func, weight_of(loss_func, weight))] if loss_func else []
    with untouched(torch):
        tallies += [_tally(metric, weight) for metric in metrics]
    count = 0
    for outputs, y in batches:
        count += len(y)
        for tally in tallies:
            with untouched(torch):
                tally.add(outputs.clone(), y.clone())
    if not count:
        raise EmptyDataError("there is nothing to evaluate: the set has no items")
    with untouched(torch):
        values: list[float | None] = [tally.result() for tally in tallies]
    return values if loss_func else [None, *values]


class _Mean:
    """The mean of a function's batch values, each with the weight of its batch."""

    def __init__(self, func: Any, weight: Callable[[Tensor], float]) -> None:
        self.func, self.weight, self.total, self.count = func, weight, 0.0, 0.0

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """One batch."""
        weight = self.weight(y)
        if weight:  # of a batch in which nothing counts a mean is no number
            self.total += float(self.func(outputs, y)) * weight
        self.count += weight

    def result(self) -> float:
        """The mean so far."""
        return self.total / self.count if self.count else float("nan")


class _Whole:
    """A function of all outputs and all labels."""

    def __init__(self, func: Any) -> None:
        self.func = func
        self.outputs: list[Tensor] = []
        self.y: list[Tensor] = []

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """One batch, kept on the CPU."""
        self.outputs.append(outputs.cpu())
        self.y.append(y.cpu())

    def result(self) -> float:
        """The function's value."""
        return float(self.func(torch.cat(self.outputs), torch.cat(self.y)))


class _Sum:
    """The value of counts that are added up."""

    def __init__(self, metric: Any) -> None:
        options = metric.keywords if isinstance(metric, partial) else {}
        metric = metric.func if isinstance(metric, partial) else metric
        self.counts, self.value = partial(metric.counts, **options), metric.value
        self.total: Tensor | None = None

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """One batch."""
        found = self.counts(outputs, y)
        self.total = found if self.total is None else self.total + found

    def result(self) -> float:
        """The value of the sum."""
        assert self.total is not None
        return float(self.value(self.total))


class _Stateful:
    """An object that accumulates by itself."""

    def __init__(self, metric: Any) -> None:
        self.metric = metric
        metric.reset()

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """One batch."""
        self.metric.update(outputs, y)

    def result(self) -> float:
        """What it computes."""
        return float(self.metric.compute())


def _tally(metric: Any, weight: Callable[[Tensor], float]) -> _Mean | _Whole | _Sum | _Stateful:
    if isinstance(metric.func if isinstance(metric, partial) else metric, Summed):
        return _Sum(metric)
    if all(hasattr(metric, name) for name in ("reset", "update", "compute")):
        return _Stateful(metric)
    return _Whole(metric) if needs_whole_set(metric) else _Mean(metric, weight)
