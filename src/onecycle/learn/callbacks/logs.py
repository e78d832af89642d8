"""Logs of training: a CSV file, and TensorBoard."""

from __future__ import annotations

import csv
from os import SEEK_END
from pathlib import Path
from typing import Any, TextIO

from onecycle.core.errors import UsageError, listing
from onecycle.core.files import require_writable
from onecycle.learn.callback import Callback, Run


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

    def before_fit(self, run: Run) -> None:
        """Open the file; compare the columns that are known by now."""
        if not run.engine.main:
            return
        require_writable(self.path, in_place=True)
        self.columns, ends = _old_columns(self.path) if self.append else (None, True)
        if self.columns is not None:
            ours, there = ["epoch", *run.directions, "seconds"], set(self.columns)
            own = any(not type(c).__module__.startswith("onecycle.") for c in run.callbacks)
            fits = there >= {*ours[:-1]} if own else there == {*ours}  # own ones may write more
            if not fits:
                raise self._other_columns(ours)
        self.file = self.path.open("a" if self.append else "w", newline="", encoding="utf-8")
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

    def claims(self) -> tuple[str, ...]:
        """Two would write everything twice."""
        return (f"write to {str(self.log_dir)!r}",)

    def before_fit(self, run: Run) -> None:
        """Open the log."""
        if not run.engine.main:
            return
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
