"""The course's callbacks under their names and with their arguments: the learner comes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onecycle.core.errors import UsageError
from onecycle.learn.callbacks import EarlyStopping, MixUp, ReduceLROnPlateau, SaveModel


def SaveModelCallback(  # noqa: N802 - the course's name, as are those below
    learn: Any,
    monitor: str = "valid_loss",
    mode: str = "auto",
    every: str = "improvement",
    name: str | Path = "bestmodel",
) -> SaveModel:
    """Save at each improvement of `monitor`, and load the best at the end."""
    if every != "improvement":
        raise UsageError(f'SaveModelCallback saves every="improvement", not {every!r}')
    return SaveModel(learn, _known(monitor), mode, name)


def EarlyStoppingCallback(  # noqa: N802
    learn: Any,
    monitor: str = "valid_loss",
    mode: str = "auto",
    min_delta: float = 0.0,
    patience: int = 0,
) -> EarlyStopping:
    """Stop after `patience` epochs without an improvement."""
    return EarlyStopping(_known(monitor), mode, min_delta, patience)


def ReduceLROnPlateauCallback(  # noqa: N802
    learn: Any,
    monitor: str = "valid_loss",
    mode: str = "auto",
    patience: int = 0,
    factor: float = 0.2,
    min_delta: float = 0.0,
) -> ReduceLROnPlateau:
    """Lower the rates after `patience` epochs without an improvement."""
    return ReduceLROnPlateau(_known(monitor), mode, min_delta, patience, factor)


def MixUpCallback(learn: Any, alpha: float = 0.4) -> MixUp:  # noqa: N802
    """Train on blends of two images."""
    return MixUp(alpha)


def _known(monitor: str) -> str:
    return "valid_loss" if monitor == "val_loss" else monitor
