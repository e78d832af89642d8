"""Callbacks that watch one figure of each epoch: stop early, keep the best, lower the rate."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

from onecycle.core.errors import UsageError
from onecycle.learn.callback import Callback, Run, StopFit

_GROWS = ("accuracy", "acc", "fbeta", "f1", "precision", "recall", "auroc", "r2", "dice", "iou")


class Tracker(Callback):
    """Says after each epoch whether `monitor` got better by more than `min_delta`.

    `mode` is "min", "max", or "auto": by the name, where a loss or an error should fall.
    """

    order = 10

    def __init__(
        self, monitor: str = "valid_loss", mode: str = "auto", min_delta: float = 0.0
    ) -> None:
        if mode not in {"auto", "min", "max"}:
            raise UsageError(f'mode is "auto", "min" or "max", not {mode!r}')
        falls = "loss" in monitor or "error" in monitor
        rises = any(word in monitor for word in _GROWS) and not falls
        grows = rises if mode == "auto" else mode == "max"
        self.monitor, self.sign, self.min_delta = monitor, 1 if grows else -1, min_delta

    def before_fit(self, run: Run) -> None:
        """Nothing is the best yet."""
        self.best, self.waited = -inf, 0

    def improved(self, run: Run) -> bool:
        """Compare the row of this epoch with the best one."""
        value = run.row.get(self.monitor)
        if value is None:
            known = [name for name, v in run.row.items() if isinstance(v, float)]
            raise UsageError(f"there is no {self.monitor!r} to watch; there are {known}")
        better = self.sign * value > self.best + self.min_delta
        self.best = self.sign * value if better else self.best
        self.waited = 0 if better else self.waited + 1
        return better


class EarlyStopping(Tracker):
    """Stops after `patience` epochs without an improvement."""

    def __init__(
        self,
        monitor: str = "valid_loss",
        mode: str = "auto",
        min_delta: float = 0.0,
        patience: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience

    def after_epoch(self, run: Run) -> None:
        """Stop where it has waited too long."""
        if not self.improved(run) and self.waited > self.patience:
            print(f"epoch {run.epoch}: stopping early, {self.monitor} improves no more")
            raise StopFit


class SaveModel(Tracker):
    """Saves the learner at each improvement, and loads the best one at the end of the fit."""

    order = 9

    def __init__(
        self,
        learner: Any,
        monitor: str = "valid_loss",
        mode: str = "auto",
        name: str | Path = "bestmodel",
    ) -> None:
        super().__init__(monitor, mode)
        self.learner, self.name, self.saved = learner, name, False

    def before_fit(self, run: Run) -> None:
        super().before_fit(run)
        self.saved = False

    def after_epoch(self, run: Run) -> None:
        """Save where it is better than before."""
        if self.improved(run):
            self.learner.save(self.name)
            self.saved = True

    def after_fit(self, run: Run) -> None:
        """The best weights come back."""
        if self.saved:
            self.learner.load(self.name, with_opt=False)


class ReduceLROnPlateau(Tracker):
    """Multiplies all rates by `factor` after `patience` epochs without an improvement."""

    def __init__(
        self,
        monitor: str = "valid_loss",
        mode: str = "auto",
        min_delta: float = 0.0,
        patience: int = 0,
        factor: float = 0.2,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.factor = patience, factor

    def after_epoch(self, run: Run) -> None:
        """Lower the rates where it has waited too long."""
        if not self.improved(run) and self.waited > self.patience:
            for part in run.optimizer.param_groups:
                part["lr"] *= self.factor
            self.waited = 0
            print(f"epoch {run.epoch}: learning rate lowered to {run.optimizer.rates()[-1]:.2e}")
