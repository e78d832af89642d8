"""Schedules and stages by the names that the field gives them."""

from collections.abc import Sequence
from typing import Any

from onecycle.core.errors import UsageError
from onecycle.core.machine import defaults
from onecycle.learn.callback import Callback
from onecycle.learn.callbacks import OneCycle
from onecycle.learn.optimizer import Rate


def cycle(
    learner: Any,
    max_lr: Rate | None,
    lr: Rate | None,
    moms: tuple[float, float] | None,
    div_factor: float,
    pct_start: float,
    final_div: float | None,
) -> OneCycle:
    """The schedule of `Learner.fit_one_cycle`; `lr` is another name of `max_lr`."""
    if max_lr is not None and lr is not None:
        raise UsageError("max_lr and lr are the same rate: give one of them")
    rate = next((rate for rate in (max_lr, lr) if rate is not None), defaults.lr)
    final = final_div or div_factor * 1e4
    return OneCycle(learner.lr_range(rate), moms, div_factor, pct_start, final)


def joined(callbacks: Callback | Sequence[Callback], *more: Callback) -> list[Callback]:
    """Those that were given, one or several, and more."""
    given = [callbacks] if isinstance(callbacks, Callback) else callbacks
    return [*given, *more]


def fine_tune(
    learner: Any,
    epochs: int,
    base_lr: float,
    freeze_epochs: int,
    lr_mult: float,
    resume: str | None,
) -> None:
    """See `Learner.fine_tune`."""
    head, whole = (None, None) if resume is None else (f"{resume}-head", f"{resume}-all")
    learner.freeze().fit_one_cycle(freeze_epochs, slice(base_lr), pct_start=0.99, resume=head)
    rates = slice(base_lr / 2 / lr_mult, base_lr / 2)
    learner.unfreeze().fit_one_cycle(epochs, rates, div_factor=5.0, resume=whole)
