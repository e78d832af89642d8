"""The learning-rate range test: try rates on a growing scale, and put everything back.

Source: Smith 2015 (arXiv 1506.01186).
"""

from __future__ import annotations

from math import ceil, isfinite
from typing import TYPE_CHECKING

from onecycle.core.errors import UsageError
from onecycle.learn.callback import Callback, Run, StopFit
from onecycle.learn.lr_curve import RateCurve
from onecycle.learn.recorder import Smooth
from onecycle.learn.schedule import exponential, rates_by_group

if TYPE_CHECKING:
    from onecycle.learn.trainer import Trainer


class _RangeTest(Callback):
    """Raise the rate step by step, until the loss is four times its best or not a number."""

    def __init__(
        self, start: float | slice, end: float | slice, n_steps: int, stop_div: bool
    ) -> None:
        self.start, self.end, self.n_steps, self.stop_div = start, end, n_steps, stop_div
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.smooth, self.rate = Smooth(), 0.0
        self.batches: list[float] = []  # the losses of the batches that one step is made of

    def before_batch(self, run: Run) -> None:
        count = run.optimizer.n_groups
        ends = zip(rates_by_group(self.start, count), rates_by_group(self.end, count), strict=True)
        rates = [exponential(a, b, run.step / self.n_steps) for a, b in ends]
        run.optimizer.set_rates(rates)
        self.rate = rates[-1]

    def after_loss(self, run: Run) -> None:
        """A loss that is no number ends the test, and is not on the curve."""
        if not isfinite(run.loss_value):
            raise StopFit
        self.batches.append(run.loss_value)

    def after_step(self, run: Run) -> None:
        """A point for every step, of all the batches that it was accumulated from."""
        self.rates.append(self.rate)
        self.losses.append(self.smooth.add(sum(self.batches) / len(self.batches)))
        self.batches.clear()
        wild = self.losses[-1] > 4 * min(self.losses)
        if (self.stop_div and wild) or run.step + 1 >= self.n_steps:
            raise StopFit


def find_lr(
    learner: Trainer,
    start_lr: float | slice = 1e-7,
    end_lr: float | slice = 10,
    num_it: int = 100,
    stop_div: bool = True,
    wd: float | None = None,
) -> RateCurve:
    """Measure the loss at `num_it` rates from `start_lr` to `end_lr`.

    The learner, the order of its data and the random state come out as they went in, also after
    an error or Ctrl-C. Without validation; the optimizer starts afresh.
    """
    if num_it < 2:
        raise UsageError(f"num_it is at least 2, not {num_it}")
    test = _RangeTest(start_lr, end_lr, num_it, stop_div)
    with learner.restored():
        learner.create_opt(start_lr, learner.wd if wd is None else wd)
        steps = ceil(len(learner.data.train_dl) / learner.accumulate)
        epochs = ceil(num_it / steps)
        learner.run_fit(epochs, [test], validate=False, bare=True)
    if not test.losses:
        raise UsageError("the loss is not a number at the first step: look at data and labels")
    return RateCurve(tuple(test.rates), tuple(test.losses))
