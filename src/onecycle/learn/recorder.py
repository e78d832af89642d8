"""What happened during the last fit, and its plots."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from onecycle.core.draw import NAME, axes, drawable, grid
from onecycle.core.errors import UsageError
from onecycle.core.progress import Table, clock
from onecycle.learn.callback import Callback, Run
from onecycle.learn.lr_curve import SMOOTHING, RateCurve


class Smooth:
    """An exponential moving average without a start-up bias."""

    def __init__(self, beta: float = SMOOTHING) -> None:
        self.beta, self.count, self.average = beta, 0, 0.0

    def add(self, value: float) -> float:
        """Take `value` in; returns the smoothed value."""
        self.count += 1
        self.average = self.beta * self.average + (1 - self.beta) * value
        return self.average / (1 - self.beta**self.count)


class Recorder(Callback):
    """Rates, momenta, losses and metrics of the last fit, and the curve of the last `lr_find`.

    `lrs` are the last group's; `losses` the smoothed training losses, one per step;
    `val_losses` and `metrics` one per epoch.
    """

    order = -20

    def __init__(self, metric_names: list[str]) -> None:
        self.metric_names = metric_names
        self.curve: RateCurve | None = None
        self._reset()

    def _reset(self) -> None:
        self.lrs: list[float] = []
        self.moms: list[float | None] = []
        self.losses: list[float] = []
        self.val_losses: list[float | None] = []
        self.metrics: list[list[float]] = []
        self.epoch_ends: list[int] = []
        self._smooth = Smooth()
        self._batches: list[float] = []  # the losses of the batches of one step

    def before_fit(self, run: Run) -> None:
        """Forget the fit before."""
        self._reset()
        self.curve = None

    def after_loss(self, run: Run) -> None:
        """Note the batch."""
        self._batches.append(run.loss_value)

    def after_step(self, run: Run) -> None:
        """Note the step that was taken, with the mean of the batches it was accumulated from."""
        self.lrs.append(run.optimizer.rates()[-1])
        self.moms.append(run.optimizer.momentum)
        self.losses.append(self._smooth.add(sum(self._batches) / len(self._batches)))
        self._batches.clear()

    def before_validate(self, run: Run) -> None:
        """The smoothed training loss goes into the row."""
        run.row["train_loss"] = self.losses[-1] if self.losses else float("nan")

    def after_epoch(self, run: Run) -> None:
        """Note the validation."""
        self.val_losses.append(run.row.get("valid_loss"))
        self.metrics.append([run.row.get(name, float("nan")) for name in self.metric_names])
        self.epoch_ends.append(len(self.losses))

    def plot(
        self,
        skip_start: int = 10,
        skip_end: int = 5,
        suggestion: bool = False,
        return_fig: bool | None = None,
        show_grid: bool = False,
    ) -> Any:
        """Loss against learning rate of the last `lr_find` (or fit), with the suggestions marked.

        Fewer points are left out at the ends where the curve is short.
        """
        curve = self.curve or RateCurve(tuple(self.lrs), tuple(self.losses))
        if len(curve.rates) < 2:
            raise UsageError("there is no curve to plot: call lr_find() or fit first")
        figure = curve.plot(skip_start, skip_end, suggestion, show_grid)
        return figure if return_fig else None

    def plot_losses(self, skip_start: int = 0, skip_end: int = 0, ax: Any = None) -> Any:
        """Training loss per batch (smoothed), validation loss per epoch."""
        self._need(self.losses)
        ax = axes(ax)
        end = len(self.losses) - skip_end
        ax.plot(range(skip_start, end), self.losses[skip_start:end], label="training")
        points = [(x, v) for x, v in zip(self.epoch_ends, self.val_losses, strict=True)]
        points = [(x, v) for x, v in points if v is not None]
        if points:
            ax.plot(*zip(*points, strict=True), "o-", label="validation")
        ax.set(xlabel="batches", ylabel="loss")
        ax.legend()
        return ax.figure

    def plot_lr(self, show_moms: bool = False) -> Any:
        """Learning rate per batch, with momentum beside it if asked for."""
        self._need(self.lrs)
        places = grid(2 if show_moms else 1, 2 if show_moms else 1, cell=4)
        places[0].plot(self.lrs)
        places[0].set(xlabel="batches", ylabel="learning rate")
        if show_moms:
            places[1].plot([float("nan") if m is None else m for m in self.moms])
            places[1].set(xlabel="batches", ylabel="momentum")
        return places[0].figure

    def plot_metrics(self) -> Any:
        """One panel per metric, over the epochs."""
        if not self.metrics or not self.metric_names:
            raise UsageError("no metrics were recorded: give the learner metrics and fit")
        places = grid(len(self.metric_names), min(3, len(self.metric_names)), cell=3.5)
        for ax, name, values in zip(
            places, self.metric_names, zip(*self.metrics, strict=True), strict=True
        ):
            ax.plot(values, "o-")
            ax.set(xlabel="epoch", ylabel=drawable(name, NAME))
        return places[0].figure

    def _need(self, values: list[Any]) -> None:
        if not values:
            raise UsageError("nothing is recorded yet: call fit_one_cycle() or fit() first")


class Printer(Callback):
    """The table of epochs: smoothed training loss, validation loss, metrics, time."""

    order = 20

    def __init__(self, metric_names: list[str], show: bool) -> None:
        self.columns = ["epoch", "train_loss", "valid_loss", *metric_names, "time"]
        self.show = show

    def before_fit(self, run: Run) -> None:
        """Print the header."""
        self.table = Table(self.columns, self.show)

    def before_epoch(self, run: Run) -> None:
        """Start the clock."""
        self.start = perf_counter()

    def after_epoch(self, run: Run) -> None:
        """Print the row, and keep its seconds."""
        run.row["seconds"] = perf_counter() - self.start
        cells = [run.row.get(name) for name in self.columns[1:-1]]
        shown = ["#na#" if cell is None else f"{cell:.6f}" for cell in cells]
        self.table.row([str(run.epoch), *shown, clock(run.row["seconds"])])
