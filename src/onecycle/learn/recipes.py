"""Schedules and stages by the names that the field gives them."""

from collections.abc import Sequence
from typing import Any

from onecycle.core.errors import UsageError
from onecycle.core.machine import defaults
from onecycle.learn.averaging import ModelEMA
from onecycle.learn.callback import Callback
from onecycle.learn.callbacks import OneCycle, SaveModel
from onecycle.learn.metric import directions_of
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


_BEST = "fine-tune-best"


def fine_tune(
    learner: Any,
    epochs: int,
    base_lr: float,
    freeze_epochs: int | None,
    lr_mult: float,
    resume: str | None,
    from_probe: bool,
) -> None:
    """See `Learner.fine_tune`.

    With `from_probe` the head first trains for `freeze_epochs` (20) on features that the frozen
    body gives once, at rates up to five times `base_lr`: training that goes on from a head that
    fits bends the features less (Kumar et al. 2022, arXiv 2202.10054). Then all layers train; what
    counts is the average of their weights (`ModelEMA`), and the best epoch stays, if it is better
    than the head alone, by the first metric that says whether more is better, or else by the
    validation loss; `model_dir/fine-tune-best` holds it. What was chosen by validation items looks
    better on them than on others: keep a test side.
    """
    rates = slice(base_lr / 2 / lr_mult, base_lr / 2)
    if not from_probe:
        head, whole = (None, None) if resume is None else (f"{resume}-head", f"{resume}-all")
        lasting = 1 if freeze_epochs is None else freeze_epochs
        learner.freeze().fit_one_cycle(lasting, slice(base_lr), pct_start=0.99, resume=head)
        learner.unfreeze().fit_one_cycle(epochs, rates, div_factor=5.0, resume=whole)
        return
    if resume is not None or learner.data.valid_dl is None:
        raise UsageError(
            "from_probe=True trains on features that are kept in memory, and chooses by validation "
            "items: it goes without resume=, and not without a validation side"
        )
    lasting = 20 if freeze_epochs is None else freeze_epochs
    learner.freeze().fit_one_cycle(lasting, slice(5 * base_lr), cache_features=True)
    learner.save(_BEST, with_opt=False)
    known = [name for name, rises in directions_of(learner.metrics).items() if rises is not None]
    best = SaveModel(monitor=[*known, "valid_loss"][0], name=_BEST, reset_on_fit=False)
    learner.unfreeze().fit_one_cycle(epochs, rates, div_factor=5.0, callbacks=[ModelEMA(), best])
