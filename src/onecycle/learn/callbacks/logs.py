"""Logs of training: a CSV file, and TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TextIO

from onecycle.core.errors import UsageError
from onecycle.core.files import require_writable
from onecycle.learn.callback import Callback, Run


class CSVLogger(Callback):
    """One row per epoch in a CSV file, written as it happens; `append` goes on in an old file."""

    order = 30

    def __init__(self, filename: str | Path = "history.csv", append: bool = False) -> None:
        self.path, self.append = Path(filename), append
        self.file: TextIO | None = None

    def before_fit(self, run: Run) -> None:
        """Open the file."""
        if not run.engine.main:
            return
        require_writable(self.path)
        self.headed = self.append and self.path.is_file() and self.path.stat().st_size > 0
        self.file = self.path.open("a" if self.append else "w", newline="", encoding="utf-8")

    def after_epoch(self, run: Run) -> None:
        """Write the row."""
        if self.file is None:
            return
        writer = csv.DictWriter(self.file, run.row)
        if not self.headed:
            writer.writeheader()
            self.headed = True
        writer.writerow(run.row)
        self.file.flush()

    def after_fit(self, run: Run) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()


class TensorBoardLogger(Callback):
    """Loss and rate per batch, losses and metrics per epoch, under `log_dir`."""

    order = 30

    def __init__(self, log_dir: str | Path = "runs/onecycle") -> None:
        self.log_dir, self.seen = Path(log_dir), 0
        self.writer: Any = None

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

    def after_step(self, run: Run) -> None:
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
