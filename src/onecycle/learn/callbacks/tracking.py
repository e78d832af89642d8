"""Callbacks that watch one figure of each epoch: stop early, keep the best, lower the rate."""

from __future__ import annotations

from math import inf, isnan
from numbers import Integral
from pathlib import Path
from typing import Any
from warnings import warn

from onecycle.core.errors import CheckpointError, OnecycleWarning, UsageError
from onecycle.learn.callback import Callback, Run, StopFit
from onecycle.learn.metric import COLUMNS


class Tracker(Callback):
    """Says after each epoch whether `monitor` got better by more than `min_delta`.

    `mode` is "min", "max", or "auto": as the metric itself says (`higher_is_better`), or else its
    name, where that leaves no doubt. UsageError, before training, where nobody has said.
    """

    order = 10

    def __init__(
        self, monitor: str = "valid_loss", mode: str = "auto", min_delta: float = 0.0
    ) -> None:
        if mode not in {"auto", "min", "max"}:
            raise UsageError(f'mode is "auto", "min" or "max", not {mode!r}')
        if not 0 <= min_delta < inf:
            raise UsageError(f"min_delta is a number from 0 on, not {min_delta!r}")
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self.sign = 0  # 1 where the figure should rise, -1 where it should fall

    def before_fit(self, run: Run) -> None:
        """Nothing is the best yet."""
        self.sign = 1 if self._rises(run) else -1
        self.best, self.waited = -inf, 0

    def _rises(self, run: Run) -> bool:
        """Whether the figure should rise; UsageError where that is not known."""
        known = self.monitor in run.directions
        if not known and (self.mode == "auto" or self.monitor in COLUMNS):
            raise self._not_there(list(run.directions))
        if self.mode != "auto":
            return self.mode == "max"
        rises = run.directions[self.monitor]
        if rises is None:
            raise UsageError(
                f"nobody has said whether more or less {self.monitor!r} is better: give "
                f'{type(self).__name__} mode="max" or mode="min", or mark the metric once by '
                "@higher_is_better or @lower_is_better"
            )
        return rises

    def _not_there(self, known: list[str]) -> UsageError:
        return UsageError(
            f"there is no {self.monitor!r} to watch; there are {known}. For a figure that a "
            'callback of your own writes into run.row, give mode="max" or mode="min"'
        )

    def improved(self, run: Run) -> bool:
        """Compare the row of this epoch with the best one."""
        value = run.row.get(self.monitor)
        if value is None:
            raise self._not_there([name for name, v in run.row.items() if isinstance(v, float)])
        if isnan(value):
            warn(
                f"{self.monitor} is not a number in epoch {run.epoch}, which "
                f"{type(self).__name__} takes for no improvement",
                OnecycleWarning,
                stacklevel=2,
            )
        better = self.sign * value > self.best + self.min_delta
        self.best = self.sign * value if better else self.best
        self.waited = 0 if better else self.waited + 1
        return bool(better)


class Patient(Tracker):
    """A tracker that does something once `patience` epochs in a row brought no improvement.

    0 is as 1: the first such epoch is enough.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float, patience: int) -> None:
        super().__init__(monitor, mode, min_delta)
        if not isinstance(patience, Integral) or patience < 0:
            raise UsageError(f"patience is a whole number of epochs from 0 on, not {patience!r}")
        self.patience: int = int(patience)

    def waited_enough(self, run: Run) -> bool:
        """Compare the row of this epoch, and count."""
        return not self.improved(run) and self.waited >= self.patience


class EarlyStopping(Patient):
    """Stops once `patience` epochs in a row brought no improvement (0 is as 1)."""

    def __init__(
        self,
        monitor: str = "valid_loss",
        mode: str = "auto",
        min_delta: float = 0.0,
        patience: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta, patience)

    def after_epoch(self, run: Run) -> None:
        """Stop where it has waited long enough."""
        if self.waited_enough(run):
            print(f"epoch {run.epoch}: stopping early, {self.monitor} improves no more")
            raise StopFit


class ReduceLROnPlateau(Patient):
    """Multiplies all rates by `factor` once `patience` epochs in a row brought no improvement.

    With a schedule such as 1cycle, which sets the rate before every batch, it does nothing but
    warn: use it in `learn.fit`.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        mode: str = "auto",
        min_delta: float = 0.0,
        patience: int = 0,
        factor: float = 0.2,
    ) -> None:
        super().__init__(monitor, mode, min_delta, patience)
        if not 0 < factor < 1:
            raise UsageError(f"factor lowers the rate: a number between 0 and 1, not {factor!r}")
        self.factor, self.idle = factor, False

    def claims(self) -> tuple[str, ...]:
        """Twice would lower twice."""
        return (f"lower the rate when {self.monitor!r} stands still",)

    def before_fit(self, run: Run) -> None:
        """Look for a schedule, under which no other rate lasts."""
        super().before_fit(run)
        schedules = [type(c).__name__ for c in run.callbacks if c.schedules]
        self.idle = bool(schedules)
        if self.idle:
            warn(
                f"{schedules[0]} (as in fit_one_cycle) sets the learning rate before every batch, "
                f"so {type(self).__name__} would change nothing and is left out of this fit: use "
                "learn.fit(epochs, rate) with it",
                OnecycleWarning,
                stacklevel=2,
            )

    def after_epoch(self, run: Run) -> None:
        """Lower the rates where it has waited long enough."""
        if not self.idle and self.waited_enough(run):
            for part in run.optimizer.param_groups:
                part["lr"] *= self.factor
            self.waited = 0
            print(f"epoch {run.epoch}: learning rate lowered to {run.optimizer.rates()[-1]:.2e}")


class SaveModel(Tracker):
    """Saves the learner at each improvement, and loads the best one at the end of the fit.

    Each fit begins afresh, and its best replaces the file of an earlier fit, with a warning where
    that was better. With `reset_on_fit=False` the file keeps the best of all fits, also of
    earlier programs, and it is this one that is loaded at the end.
    """

    order = 9

    def __init__(
        self,
        learner: Any,
        monitor: str = "valid_loss",
        mode: str = "auto",
        name: str | Path = "bestmodel",
        reset_on_fit: bool = True,
    ) -> None:
        super().__init__(monitor, mode)
        self.learner, self.name, self.reset_on_fit = learner, name, reset_on_fit
        self.saved = False
        self.earlier: float | None = None  # what the file of an earlier fit had
        self.foreign: str | None = None  # why it is none of this learner

    def claims(self) -> tuple[str, ...]:
        """Two would overwrite each other's file."""
        return (f"save to {str(self.name)!r} (give each a name= of its own)",)

    def before_fit(self, run: Run) -> None:
        """Begin afresh, or with what the file there has."""
        from onecycle.learn.checkpoint import checkpoint_path, stored_row

        super().before_fit(run)
        path = checkpoint_path(self.learner, self.name)
        row, self.foreign = stored_row(self.learner, path)
        value = row.get(self.monitor)
        self.earlier = float(value) if isinstance(value, int | float) else None
        if self.reset_on_fit:
            return
        if self.foreign:
            raise CheckpointError(
                f"{path} is {self.foreign}, so it cannot be kept as the best of all fits: give "
                "SaveModel another name="
            )
        if self.earlier is not None:
            self.best = self.sign * self.earlier

    def after_epoch(self, run: Run) -> None:
        """Save where it is better than before."""
        if self.improved(run):
            self.learner.save(self.name)
            self.saved = True

    def after_fit(self, run: Run) -> None:
        """The best weights come back."""
        saved, earlier, foreign = self.saved, self.earlier, self.foreign
        self.saved, self.earlier, self.foreign = False, None, None
        if saved or (not self.reset_on_fit and earlier is not None):
            self.learner.load(self.name, with_opt=False)
        if not saved and not self.reset_on_fit and earlier is not None:
            print(
                f"{self.name}: the best {self.monitor}, {earlier:.6g}, is still that of an earlier "
                "fit; its weights are back"
            )
        worse = earlier is not None and self.best < self.sign * earlier
        if saved and (worse or foreign):
            was = f"of an earlier fit, with {self.monitor} {earlier:.6g}" if worse else foreign
            warn(
                f"{self.name}: the file that was there, {was}, is replaced by the best of this "
                f"fit, with {self.sign * self.best:.6g}. SaveModel(..., reset_on_fit=False) keeps "
                "the best of all fits; name= gives each fit a file of its own",
                OnecycleWarning,
                stacklevel=2,
            )
