"""The curve of a learning-rate range test, and three ways to read a rate from it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any, Protocol

import numpy as np

from onecycle.core.display import bar
from onecycle.core.errors import UsageError
from onecycle.core.machine import defaults
from onecycle.core.plot import axes
from onecycle.data.databunch import DataBunch
from onecycle.learn.callback import Callback, Run, StopFit
from onecycle.learn.finite import loss_cause
from onecycle.learn.optimizer import exponential, rates_by_group

FLAT = 0.05  # a curve that varies less than this before it rises is flat
RISE = 1.1  # a loss this many times the minimum shoots up
SMOOTHING = 0.98  # of the running average that the losses are


class Smooth:
    """An exponential moving average without a start-up bias."""

    def __init__(self, beta: float = SMOOTHING) -> None:
        self.beta, self.count, self.average = beta, 0, 0.0

    def add(self, value: float) -> float:
        """Take `value` in; returns the smoothed value."""
        self.count += 1
        self.average = self.beta * self.average + (1 - self.beta) * value
        return self.average / (1 - self.beta**self.count)


class StepLosses(Callback):
    """Smoothed losses, one for each step: the mean of the batches that it was accumulated from."""

    def _reset(self) -> None:
        self.losses: list[float] = []
        self._smooth, self._batches = Smooth(), list[float]()

    def state_dict(self) -> dict[str, Any]:
        """The running average too."""
        return {**super().state_dict(), "smooth": vars(self._smooth)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with all of it."""
        others = dict(state)
        vars(self._smooth).update(others.pop("smooth"))
        super().load_state_dict(others)

    def after_loss(self, run: Run) -> None:
        """Note the batch."""
        self._batches.append(run.loss_value)

    def after_step(self, run: Run) -> None:
        """Note the step that was taken."""
        self.losses.append(self._smooth.add(sum(self._batches) / len(self._batches)))
        self._batches.clear()


@dataclass(frozen=True, repr=False)
class RateCurve:
    """Smoothed loss against learning rate, in the order of growing rates."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    def __repr__(self) -> str:
        ends = f"from {self.rates[0]:.3g} to {self.rates[-1]:.3g}"
        return f"RateCurve: {len(self.rates)} rates {ends}, suggestion {self.suggestion:.3g}"

    @property
    def steepest(self) -> float:
        """The rate where the loss falls fastest per step of the logarithm.

        Measured on means of a tenth of the curve, and weighted by the batches that a value
        averages: the first few are so noisy that their steps would win.
        """
        start, stop = self._window(10, 5)
        losses = np.array(self._finite()[start:stop], dtype=np.float64)
        if len(losses) < 2:
            return self.rates[0]
        width = max(1, len(losses) // 10)
        means = np.convolve(losses, np.ones(width) / width, "valid")
        first = start + width // 2
        seen = 1 - SMOOTHING ** np.arange(first + 1, first + len(means) + 1)
        return self.rates[first + int(np.argmin(np.gradient(means) * seen))]

    @property
    def minimum(self) -> float:
        """A tenth of the rate of the smallest loss."""
        return self.rates[self._lowest()] / 10

    @property
    def shoots_up(self) -> float | None:
        """The rate after the minimum at which the loss first exceeds 1.1 times it."""
        lowest = self._lowest()
        limit = RISE * self.losses[lowest]
        later = zip(self.rates[lowest:], self.losses[lowest:], strict=True)
        return next((rate for rate, loss in later if not loss <= limit), None)

    @property
    def is_flat(self) -> bool:
        """Whether the loss varies less than 5 % before it shoots up."""
        lowest = self._lowest()
        # the climb from the minimum belongs to the rise, not to the flat part
        before = self.losses[self._first_trusted() : lowest + 1]
        return max(before) - min(before) < FLAT * max(before)

    @property
    def suggestion(self) -> float:
        """The rate to use.

        For a flat curve ten times below where the loss shoots up; else the steepest point.
        """
        if self.is_flat and self.shoots_up:
            return self.shoots_up / 10
        return self.steepest

    def suggestions(self) -> dict[str, float | None]:
        """All readings by name."""
        rise = self.shoots_up
        return {
            "suggestion": self.suggestion,
            "steepest": self.steepest,
            "minimum/10": self.minimum,
            "rise/10": rise / 10 if rise else None,
        }

    def plot(
        self, skip_start: int = 10, skip_end: int = 5, suggestion: bool = False, grid: bool = False
    ) -> Any:
        """Draw the curve on a logarithmic axis, with the readings marked if asked for."""
        start, stop = self._window(skip_start, skip_end)
        ax = axes()
        ax.plot(self.rates[start:stop], self.losses[start:stop])
        ax.set(xlabel="learning rate", ylabel="loss (smoothed)", xscale="log")
        ax.grid(grid)
        if suggestion:
            colours = ("red", "tab:green", "tab:orange", "tab:purple")
            for (name, rate), colour in zip(self.suggestions().items(), colours, strict=True):
                if rate is not None:
                    print(f"{name}: {rate:.2e}")
                    ax.axvline(rate, color=colour, ls=":", label=f"{name} {rate:.1e}")
            ax.legend()
        return ax.figure

    def _window(self, skip_start: int, skip_end: int) -> tuple[int, int]:
        """The part of the curve to look at; of a short curve all of it."""
        short = len(self.rates) < 2 * (skip_start + skip_end)
        return (0, len(self.rates)) if short else (skip_start, len(self.rates) - skip_end)

    def _first_trusted(self) -> int:
        """The first place to trust: the values before it average too few batches."""
        return min(10, len(self._finite()) // 4)

    def _lowest(self) -> int:
        """Where the smallest loss is."""
        start = self._first_trusted()
        return start + int(np.argmin(self._finite()[start:]))

    def _finite(self) -> Sequence[float]:
        """The losses up to the first that is not a number."""
        bad = [i for i, loss in enumerate(self.losses) if not isfinite(loss)]
        return self.losses[: bad[0]] if bad and bad[0] > 0 else self.losses


# The learning-rate range test: try rates on a growing scale, and put everything back.
#
# Source: Smith 2015 (arXiv 1506.01186).


class _RangeTest(StepLosses):
    """Raise the rate step by step, until the loss is four times its best or not a number."""

    def __init__(
        self, start: float | slice, end: float | slice, n_steps: int, stop_div: bool
    ) -> None:
        self.start, self.end, self.n_steps, self.stop_div = start, end, n_steps, stop_div
        self.rates: list[float] = []
        self.cause = ""
        self._reset()

    def bind(self, learner: Any) -> None:
        """One bar over all steps, however many epochs these are."""
        shown = defaults.progress and not learner.silent and learner.engine.main
        self.bar = bar(range(self.n_steps), self.n_steps, "lr_find", shown)

    def before_batch(self, run: Run) -> None:
        count = run.optimizer.n_groups
        ends = zip(rates_by_group(self.start, count), rates_by_group(self.end, count), strict=True)
        rates = [exponential(a, b, run.step / self.n_steps) for a, b in ends]
        run.optimizer.set_rates(rates)
        self.rate = rates[-1]

    def after_loss(self, run: Run) -> None:
        """A loss that is no number ends the test, and is not on the curve."""
        if not isfinite(run.loss_value):
            self.cause = "" if self.losses else loss_cause(run)
            raise StopFit
        super().after_loss(run)

    def after_step(self, run: Run) -> None:
        """A point for every step."""
        super().after_step(run)
        next(self.bar, None)
        self.rates.append(self.rate)
        wild = self.losses[-1] > 4 * min(self.losses)
        if (self.stop_div and wild) or run.step + 1 >= self.n_steps:
            raise StopFit

    def after_fit(self, run: Run) -> None:
        """The bar goes."""
        self.bar.close()


class Trainable(Protocol):
    """What the test needs of a learner."""

    @property
    def data(self) -> DataBunch: ...
    @property
    def accumulate(self) -> int: ...
    def preserve_state(self) -> AbstractContextManager[None]: ...
    def create_opt(self, lr: float | slice, wd: float | None) -> Any: ...
    def run_fit(
        self, epochs: int, callbacks: Sequence[Callback], validate: bool, bare: bool
    ) -> None: ...


def find_lr(
    learner: Trainable,
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
    with learner.preserve_state():
        learner.create_opt(start_lr, wd)
        steps = ceil(len(learner.data.train_dl) / learner.accumulate)
        epochs = ceil(num_it / steps)
        learner.run_fit(epochs, [test], validate=False, bare=True)
    if not test.losses:
        raise UsageError(f"the loss is not a number at the first step: {test.cause}")
    return RateCurve(tuple(test.rates), tuple(test.losses))


def lr_find(learn: Any, **options: Any) -> RateCurve:
    """`learn.lr_find()` as a function."""
    return learn.lr_find(**options)
