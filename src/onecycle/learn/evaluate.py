"""Loss and metrics of a set; metrics look at copies, with luck of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from onecycle.core.errors import EmptyDataError, UsageError
from onecycle.core.rng import untouched
from onecycle.data.targets import Target
from onecycle.learn.loop import weight_of
from onecycle.learn.losses import loss_of
from onecycle.learn.metric import (
    Summed,
    WholeSet,
    given_to_sklearn,
    given_to_torchmetrics,
    keeps_state,
    name_of,
    of_sklearn,
    opened,
    parts_of,
)


def evaluate(
    batches: Iterable[tuple[Tensor, Tensor]],
    loss_func: Callable[..., Tensor] | None,
    metrics: Sequence[Any],
    target: Target | None = None,
) -> list[float | None]:
    """[loss, *metrics] over (outputs, y) batches; a collection of metrics gives several values.

    Plain functions are averaged, each batch by its weight (its items, where the target knows no
    better), those marked `whole_set` see everything at once, objects with `reset`, `update` and
    `compute` (torchmetrics) are driven as they expect, and functions of scikit-learn get what is
    actual and what is predicted of the whole set. `target` says what that is, and what is void.
    UsageError for a metric that is none, or gives more than a number.
    """
    weight: Callable[[Tensor], float] = len if target is None else target.weight
    tallies: list[_Tally] = []
    if loss_func is not None:
        loss = partial(loss_of, loss_func, target=target)
        tallies.append(_Mean(loss, "loss", weight_of(loss_func, weight)))
    with untouched(torch):
        tallies += [_tally(metric, target, weight) for metric in metrics]
    count = 0
    for outputs, y in batches:
        count += len(y)
        for tally in tallies:
            with untouched(torch):
                tally.add(outputs.clone(), y.clone())
    if not count:
        raise EmptyDataError("there is nothing to evaluate: the set has no items")
    with untouched(torch):
        values: list[float | None] = [value for tally in tallies for value in tally.results()]
    return [None, *values] if loss_func is None else values


def as_number(value: Any, name: str) -> float:
    """What a metric gave as a float; UsageError where it is not one number."""
    if isinstance(value, int | float):
        return float(value)
    try:
        found = torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError):
        given = f"{type(value).__name__} {str(value)[:80]}"
        raise UsageError(f"the metric {name!r} gave the {given}, not a number") from None
    if found.numel() != 1:
        raise UsageError(
            f"the metric {name!r} gave {found.numel()} values (shape {tuple(found.shape)}), and a "
            'metric is one number: take their mean (average="macro", .mean()), or write a metric '
            "for the one that you want; figures of every class are in the interpretations"
        )
    return float(found)


class _Tally(Protocol):
    """Takes batches, gives the values of a metric."""

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """One batch."""

    def results(self) -> list[float]:
        """Its values, one for each column."""


class _Mean:
    """The mean of a function's batch values, each with the weight of its batch."""

    def __init__(self, func: Any, name: str, weight: Callable[[Tensor], float]) -> None:
        self.func, self.name, self.weight = func, name, weight
        self.total, self.count = 0.0, 0.0

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """One batch."""
        value, weight = as_number(self.func(outputs, y), self.name), self.weight(y)
        if weight:  # of a batch in which nothing counts a mean is no number
            self.total += value * weight
        self.count += weight

    def results(self) -> list[float]:
        """The mean so far."""
        return [self.total / self.count if self.count else float("nan")]


class _Whole:
    """A function of all outputs and all labels."""

    def __init__(self, func: Any, name: str) -> None:
        self.func, self.name = func, name
        self.outputs: list[Tensor] = []
        self.y: list[Tensor] = []

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """One batch, kept on the CPU."""
        self.outputs.append(outputs.cpu())
        self.y.append(y.cpu())

    def results(self) -> list[float]:
        """The function's value."""
        try:
            whole = torch.cat(self.outputs), torch.cat(self.y)
        except RuntimeError as error:
            raise UsageError(
                f"the metric {self.name!r} wants the whole set at once, but batches differ in "
                f"shape ({error}): give the data one size, or use a metric that is averaged"
            ) from None
        return [as_number(self.func(*whole), self.name)]


class _Sum:
    """The value of counts that are added up."""

    def __init__(self, metric: Any, options: Mapping[str, Any]) -> None:
        self.name = name_of(metric)
        self.counts = partial(metric.counts, **options)
        self.value = partial(metric.value, **options)
        self.total: Tensor | None = None

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """One batch."""
        found = self.counts(outputs, y)
        self.total = found if self.total is None else self.total + found

    def results(self) -> list[float]:
        """The value of the sum."""
        return [as_number(self.value(self.total), self.name)]


class _Stateful:
    """An object that accumulates by itself, or a collection of such."""

    def __init__(self, metric: Any, target: Target | None) -> None:
        self.metric, self.parts = metric, parts_of(metric)
        self.given = given_to_torchmetrics(metric, target)
        metric.reset()

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """One batch."""
        if isinstance(self.metric, torch.nn.Module):
            self.metric.to(outputs.device)
        self.metric.update(*self.given(outputs, y))

    def results(self) -> list[float]:
        """What it computes."""
        found = self.metric.compute()
        if self.parts is None:
            return [as_number(found, name_of(self.metric))]
        if set(found) != set(self.parts):
            raise UsageError(
                f"the collection of {', '.join(self.parts)} computes {', '.join(map(str, found))}: "
                "give metrics of several values one by one, as functions of (outputs, y)"
            )
        return [as_number(found[name], name) for name in self.parts]


def _tally(metric: Any, target: Target | None, weight: Callable[[Tensor], float]) -> _Tally:
    name = name_of(metric)
    plain, options = opened(metric)
    if isinstance(plain, Summed | WholeSet) and target is not None:
        known = target.metric_options
        options = {k: known[k] for k in plain.takes if k in known} | options
    if isinstance(plain, Summed):
        return _Sum(plain, options)
    if keeps_state(metric):
        return _Stateful(metric, target)
    if of_sklearn(metric):
        return _Whole(given_to_sklearn(metric, target), name)
    if isinstance(plain, WholeSet):
        return _Whole(partial(plain, **options), name)
    return _Mean(metric, name, weight)
