"""Loss and metrics of a set; metrics look at copies, with random generators of their own."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from onecycle.core.errors import EmptyDataError, UsageError
from onecycle.core.rng import preserve_rng
from onecycle.data.targets import Target, cooled
from onecycle.learn import loop, metric
from onecycle.learn.callback import Run
from onecycle.learn.engine import Engine
from onecycle.learn.losses import loss_of


def evaluate(
    batches: Iterable[tuple[Tensor, Tensor]],
    loss_func: Callable[..., Tensor] | None,
    metrics: Sequence[Any],
    target: Target | None = None,
) -> list[float | None]:
    """[loss, *metrics] over (outputs, y) batches; a collection of metrics gives several values.

    Plain functions are averaged, each batch by its weight (its items, where the target knows no
    better); a `Metric` sees the whole set, objects with `reset`, `update` and `compute`
    (torchmetrics) are driven as they expect, and functions of scikit-learn get what is actual and
    what is predicted of the whole set. `target` says what that is, and what is void. The loss is
    that of training, of the outputs as they are; metrics are of the answers, so that they see
    outputs over the temperature of a calibrated target. UsageError for a metric that is none, or
    gives more than a number.
    """
    states = states_of(loss_func, metrics, target)
    count = 0
    for outputs, y in batches:
        count += len(y)
        for state in states:
            with preserve_rng(torch):
                state.update(outputs.clone(), y.clone())
    if not count:
        raise EmptyDataError("there is nothing to evaluate: the set has no items")
    with preserve_rng(torch):
        values: list[float | None] = [value for state in states for value in state.compute()]
    return [None, *values] if loss_func is None else values


def states_of(
    loss_func: Callable[..., Tensor] | None, metrics: Sequence[Any], target: Target | None
) -> list["State"]:
    """What the loss and each metric keep while the batches go by."""
    weight: Callable[[Tensor], float] = len if target is None else target.weight
    states: list[State] = []
    if loss_func is not None:
        loss = partial(loss_of, loss_func, target=target)
        states.append(Mean(loss, "loss", loop.weight_of(loss_func, weight)))
    with preserve_rng(torch):
        return states + [_state(each, target, weight) for each in metrics]


def validate(
    run: Run, loss_func: Callable[..., Tensor], metrics: Sequence[Any]
) -> dict[str, float | None]:
    """Loss and metrics of the validation set for the row of an epoch, by all processes together."""
    assert run.data.valid_dl is not None
    with loop.each_batch(run.model, run.data.valid_dl, run.engine) as pairs:
        values = evaluate(pairs, loss_func, metrics, run.data.task.target)
    return dict(zip([*run.directions][1:], values, strict=True))


def measure(
    model: nn.Module,
    batches: Any,
    engine: Engine,
    loss_func: Callable[..., Tensor],
    metrics: Sequence[Any],
    target: Target,
) -> list[float | None]:
    """[loss, *metrics] of a loader; a training loader's next pass has the order it would have."""
    counts = hasattr(batches, "restore")
    state = batches.state() if counts else None
    try:
        with loop.each_batch(model, batches, engine) as pairs:
            return evaluate(pairs, loss_func, metrics, target)
    finally:
        if counts:
            batches.restore(state)


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


# What a metric keeps while the batches go by.


class State(Protocol):
    """Takes batches, and gives the values of a metric, one for each of its columns."""

    def update(self, outputs: Tensor, y: Tensor) -> None:
        """Take one batch in."""

    def compute(self) -> list[float]:
        """The values of all batches so far."""


class Mean:
    """The mean of a function's batch values, each with the weight of its batch."""

    def __init__(self, func: Any, name: str, weight: Callable[[Tensor], float]) -> None:
        self.func, self.name, self.weight = func, name, weight
        self.total, self.count = 0.0, 0.0

    def update(self, outputs: Tensor, y: Tensor) -> None:
        value, weight = as_number(self.func(outputs, y), self.name), self.weight(y)
        if weight:  # of a batch in which nothing counts a mean is no number
            self.total += value * weight
        self.count += weight

    def compute(self) -> list[float]:
        return [self.total / self.count if self.count else float("nan")]


class Whole:
    """A function of all outputs and all labels, which are kept on the CPU."""

    def __init__(self, func: Any, name: str, keep: Any = None) -> None:
        self.func, self.name, self.keep = func, name, keep
        self.batches: list[tuple[Tensor, Tensor]] = []

    def update(self, outputs: Tensor, y: Tensor) -> None:
        outputs, y = (outputs, y) if self.keep is None else self.keep(outputs, y)
        self.batches.append((outputs.cpu(), y.cpu()))

    def compute(self) -> list[float]:
        try:
            outputs, y = map(torch.cat, zip(*self.batches, strict=True))
        except RuntimeError as error:
            raise UsageError(
                f"the metric {self.name!r} wants the whole set at once, but batches differ in "
                f"shape ({error}): give the data one size, or use a metric that is averaged"
            ) from None
        return [as_number(self.func(outputs, y), self.name)]


class Sum:
    """The value of counts that are added up."""

    def __init__(self, counts: Any, value: Any, name: str) -> None:
        self.counts, self.value, self.name = counts, value, name
        self.total: Any = 0

    def update(self, outputs: Tensor, y: Tensor) -> None:
        self.total = self.total + self.counts(outputs, y)

    def compute(self) -> list[float]:
        return [as_number(self.value(self.total), self.name)]


class Foreign:
    """An object that keeps a state by itself, as torchmetrics' do, or a collection of such."""

    def __init__(self, given: Any, target: Target | None) -> None:
        self.metric, self.parts = given, metric.parts_of(given)
        self.given = metric.for_torchmetrics(given, target)
        parts: Iterable[Any] = given.modules() if isinstance(given, nn.Module) else ()
        for part in parts:
            if hasattr(part, "distributed_available_fn"):  # each process sees the whole set
                part.distributed_available_fn = bool  # bool() is False
        given.reset()

    def update(self, outputs: Tensor, y: Tensor) -> None:
        if isinstance(self.metric, nn.Module):
            self.metric.to(outputs.device)
        self.metric.update(*self.given(outputs, y))

    def compute(self) -> list[float]:
        found = self.metric.compute()
        if self.parts is None:
            return [as_number(found, metric.name_of(self.metric))]
        if set(found) != set(self.parts):
            raise UsageError(
                f"the collection of {', '.join(self.parts)} computes {', '.join(map(str, found))}: "
                "give metrics of several values one by one, as functions of (outputs, y)"
            )
        return [as_number(found[name], name) for name in self.parts]


def _state(given: Any, target: Target | None, weight: Callable[[Tensor], float]) -> State:
    name = metric.name_of(given)
    plain, options = metric.unwrap(given)
    if isinstance(plain, metric.Metric):
        known = {} if target is None else target.metric_options
        options = {k: known[k] for k in plain.takes if k in known} | options
        if plain.value is not None:
            counts = _of_answers(partial(plain.func, **options), target)
            return Sum(counts, partial(plain.value, **options), name)
    if metric.keeps_state(given):
        return Foreign(given, target)
    if metric.of_sklearn(given):
        return Whole(metric.for_sklearn(given, target), name)
    if isinstance(plain, metric.Metric):
        of_kept = plain if plain.keep is None else plain.func
        return Whole(_of_answers(partial(of_kept, **options), target), name, plain.keep)
    return Mean(_of_answers(given, target), name, weight)


def _of_answers(func: Callable[..., Any], target: Target | None) -> Callable[..., Any]:
    """A function of the outputs by which a calibrated target answers, not of the network's own."""
    temperature = (target and target.temperature) or 1.0
    if temperature == 1:
        return func
    return lambda outputs, y: func(cooled(outputs, temperature), y)
