"""The options that every function which makes a learner passes on, so that editors know them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

from torch import Tensor
from torch.optim import Optimizer

from onecycle.learn.callback import Callback


class LearnerOptions(TypedDict, total=False):
    """What each function that makes a learner passes on; `Learner` says what they mean."""

    opt_func: Callable[..., Optimizer]
    loss_func: Callable[..., Tensor] | None
    metrics: Any
    wd: float | None
    true_wd: bool
    bn_wd: bool
    train_bn: bool
    path: str | Path | None
    model_dir: str | Path
    callbacks: Sequence[Callback]
    silent: bool
    accumulate: int
    callback_fns: Any


class FitOptions(TypedDict, total=False):
    """What the recipes pass on to `Learner.fit`, which says what they mean."""

    wd: float | None
    callbacks: Sequence[Callback]
    resume: str | Path | None
    cache_features: bool | int
    minutes: float | None
