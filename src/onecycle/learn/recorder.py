"""What happened during the last fit, and its plots."""

import csv
from collections.abc import Mapping
from os import SEEK_END
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO

from onecycle.core.display import EpochTable, clock
from onecycle.core.errors import UsageError, listing, warn
from onecycle.core.files import require_writable
from onecycle.core.plot import NAME, axes, drawable, grid
from onecycle.learn.callback import Callback, Run
from onecycle.learn.lr_find import RateCurve, StepLosses
from onecycle.learn.metric import names_of


class Recorder(StepLosses):
    """Rates, momenta, losses and metrics of the last fit, and the curve of the last `lr_find`.

    `lrs` are the last group's; `losses` the smoothed training losses, one per step;
    `val_losses` and `metrics` one per epoch.
    """

    order = -20

    def __init__(self, metric_names: list[str]) -> None:
        self.metric_names = metric_names
        self._reset()

    def _reset(self) -> None:
        super()._reset()
        self.curve: RateCurve | None = None
        self.lrs: list[float] = []
        self.moms: list[float | None] = []
        self.val_losses: list[float | None] = []
        self.metrics: list[list[float]] = []
        self.epoch_ends: list[int] = []

    def bind(self, learner: Any) -> None:
        """The columns are those of the learner's metrics at the time of the fit."""
        self.metric_names = names_of(learner.metrics)

    def before_fit(self, run: Run) -> None:
        """Forget the fit before."""
        self._reset()

    def after_step(self, run: Run) -> None:
        """Note the step that was taken."""
        super().after_step(run)
        self.lrs.append(run.optimizer.rates()[-1])
        self.moms.append(run.optimizer.momentum)

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
        pairs = zip(self.epoch_ends, self.val_losses, strict=True)
        points = [(end, loss) for end, loss in pairs if loss is not None]
        if points:
            ax.plot(*zip(*points, strict=True), "o-", label="validation")
        ax.set(xlabel="batches", ylabel="loss")
        ax.legend()
        return ax.figure

    def plot_lr(self, show_moms: bool = False) -> Any:
        """Learning rate per batch, with momentum beside it if asked for."""
        self._need(self.lrs)
        count = 2 if show_moms else 1
        places = grid(count, count, cell=4)
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
        columns = zip(*self.metrics, strict=True)
        for ax, name, values in zip(places, self.metric_names, columns, strict=True):
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
        self.start = perf_counter()
        self.table = EpochTable(self.columns, self.show)

    def state_dict(self) -> dict[str, Any]:
        """The seconds that the epoch has taken so far."""
        return {"seconds": perf_counter() - self.start}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin the epoch as long ago."""
        self.start = perf_counter() - state["seconds"]

    def before_epoch(self, run: Run) -> None:
        """Start the clock."""
        self.start = perf_counter()

    def after_epoch(self, run: Run) -> None:
        """Print the row, and keep its seconds."""
        run.row["seconds"] = perf_counter() - self.start
        cells = [run.row.get(name) for name in self.columns[1:-1]]
        shown = ["#na#" if cell is None else f"{cell:.6f}" for cell in cells]
        self.table.row([str(run.epoch), *shown, clock(run.row["seconds"])])


# Logs of training: a CSV file, and TensorBoard.


class CSVLogger(Callback):
    """One row per epoch in a CSV file, written as it happens; `append` goes on in an old file.

    UsageError where the old file has other columns than this fit.
    """

    order = 30

    def __init__(self, filename: str | Path = "history.csv", append: bool = False) -> None:
        self.path, self.append = Path(filename), append
        self.file: TextIO | None = None
        self.columns: list[str] | None = None

    def claims(self) -> tuple[str, ...]:
        """Two would write into one another's rows."""
        return (f"write to {str(self.path)!r}",)

    def state_dict(self) -> dict[str, Any]:
        """How much of the file there is."""
        return {"columns": self.columns, "bytes": self.file.tell() if self.file else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Rows that came after the checkpoint come again: cut them off."""
        if self.file is None:
            return
        there = self.path.stat().st_size
        if there < (state["bytes"] or 0):
            message = (
                f"{self.path} has {there} of the {state['bytes']} bytes that it had when the fit "
                "was cut off: earlier epochs are missing in it; learn.history has all of them"
            )
            warn(message, 3)
            return
        self.columns = state["columns"]
        self.file.truncate(state["bytes"])
        self.file.seek(0, SEEK_END)

    def before_fit(self, run: Run) -> None:
        """Open the file; compare the columns that are known by now."""
        run.engine.by_first(lambda: self._open(run))

    def _open(self, run: Run) -> None:
        require_writable(self.path, in_place=True)
        goes_on = self.append or run.resumed
        self.columns, ends = _old_columns(self.path) if goes_on else (None, True)
        if self.columns is not None:
            ours, there = ["epoch", *run.directions, "seconds"], set(self.columns)
            own = any(not type(c).__module__.startswith("onecycle.") for c in run.callbacks)
            fits = there >= {*ours[:-1]} if own else there == {*ours}  # own ones may write more
            if not fits:
                raise self._other_columns(ours)
        self.file = self.path.open("a" if goes_on else "w", newline="", encoding="utf-8")
        if not ends:
            self.file.write("\r\n")

    def after_epoch(self, run: Run) -> None:
        """Write the row, in the order of the columns that are there."""
        if self.file is None:
            return
        headed, self.columns = self.columns is not None, self.columns or list(run.row)
        if set(self.columns) != set(run.row):
            raise self._other_columns(list(run.row))
        writer = csv.DictWriter(self.file, self.columns)
        if not headed:
            writer.writeheader()
        writer.writerow(run.row)
        self.file.flush()

    def _other_columns(self, ours: list[str]) -> UsageError:
        there = self.columns or []
        return UsageError(
            f"{self.path} has the columns {', '.join(there)}, and this fit has {', '.join(ours)} "
            f"(only there: {listing(c for c in there if c not in ours) or 'none'}; only here: "
            f"{listing(c for c in ours if c not in there) or 'none'}): use another file, or "
            "append=False to begin it anew"
        )

    def after_fit(self, run: Run) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()
            self.file = None


def _old_columns(path: Path) -> tuple[list[str] | None, bool]:
    """The header of a file with anything in it, and whether its last line is ended."""
    if not path.is_file() or not path.stat().st_size:
        return None, True
    with path.open("rb") as file:
        file.seek(-1, SEEK_END)
        ends = file.read() in (b"\n", b"\r")
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        return next(csv.reader(file), []), ends


class TensorBoardLogger(Callback):
    """Loss and rate per batch, losses and metrics per epoch, under `log_dir`."""

    order = 30

    def __init__(self, log_dir: str | Path = "runs/onecycle") -> None:
        self.log_dir, self.seen = Path(log_dir), 0
        self.writer: Any = None

    def state_dict(self) -> dict[str, Any]:
        """How many batches it has seen."""
        return {"seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Batches that came after the checkpoint come again: they take the place of the old."""
        self.seen = state["seen"]
        if self.writer is not None:
            self.writer.close()
            self.writer = type(self.writer)(self.log_dir, purge_step=self.seen)

    def claims(self) -> tuple[str, ...]:
        """Two would write everything twice."""
        return (f"write to {str(self.log_dir)!r}",)

    def before_fit(self, run: Run) -> None:
        """Open the log."""
        run.engine.by_first(self._open)

    def _open(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "TensorBoard is not installed: pip install 'onecycle[tensorboard]'"
            ) from error
        self.writer = SummaryWriter(self.log_dir)

    def after_loss(self, run: Run) -> None:
        """The batch's figures."""
        if self.writer is None:
            return
        self.writer.add_scalar("batch/loss", run.loss_value, self.seen)
        self.writer.add_scalar("batch/lr", run.optimizer.rates()[-1], self.seen)
        self.seen += 1

    def after_epoch(self, run: Run) -> None:
        """The epoch's figures, at the number of batches seen."""
        if self.writer is None:
            return
        for name, value in run.row.items():
            if name != "epoch" and isinstance(value, int | float):
                self.writer.add_scalar(f"epoch/{name}", value, self.seen)

    def after_fit(self, run: Run) -> None:
        """Close the log."""
        if self.writer is not None:
            self.writer.close()
