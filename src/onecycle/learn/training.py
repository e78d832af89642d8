"""What `Learner.fit` does before the loop runs: rates, optimizer, callbacks, what is trained."""

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from onecycle.core.errors import UsageError
from onecycle.core.machine import defaults
from onecycle.learn import fitting
from onecycle.learn.budget import UNDECIDED, Budget
from onecycle.learn.calibration import forget_temperature
from onecycle.learn.callback import Callback
from onecycle.learn.features import require_frozen, train_on_features
from onecycle.learn.optimizer import Rate
from onecycle.learn.recipes import joined
from onecycle.learn.resume import Checkpoint


def train(
    learner: Any,
    epochs: Any,
    lr: Rate | None,
    wd: float | None,
    callbacks: Callback | Sequence[Callback],
    resume: str | Path | None,
    cache_features: bool | int,
) -> None:
    """See `Learner.fit`; `epochs` is a number of them, or a Budget in their place."""
    budget = [epochs] if isinstance(epochs, Budget) else []
    epochs = UNDECIDED if budget else epochs
    if not isinstance(epochs, Integral) or epochs < 1:
        raise UsageError(f"train for a whole number of epochs, at least one, not {epochs!r}")
    if resume is not None and cache_features:
        raise UsageError("resume= keeps fits that take long: leave it out, or cache_features=")
    rates = learner.lr_range(defaults.lr if lr is None else lr)
    given = joined(callbacks, *budget)
    given += [] if resume is None else [Checkpoint(resume)]
    require_frozen(learner, cache_features)
    forget_temperature(learner, "this fit changes the weights", 3)  # once nothing is refused
    with train_on_features(learner, cache_features) as trained:
        how = learner.opt_func, learner.true_wd, learner.bn_wd
        if learner.opt is None or not learner.opt.serves(learner.layer_groups, *how):
            learner.create_opt(rates[-1], wd)
        learner.opt.set_rates(rates)
        learner.opt.set_wd(learner.wd if wd is None else wd)
        fitting.fit(trained, int(epochs), given, learner.data.valid_dl is not None, owner=learner)
