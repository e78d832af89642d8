"""The curve of a learning-rate range test, and three ways to read a rate from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from onecycle.core.draw import axes

FLAT = 0.05  # a curve that varies less than this before it rises is flat
RISE = 1.1  # a loss this many times the minimum shoots up


@dataclass(frozen=True)
class RateCurve:
    """Smoothed loss against learning rate, in the order of growing rates."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def steepest(self) -> float:
        """The rate where the loss falls fastest per step of the logarithm."""
        start, stop = self._window(10, 5)
        losses = np.array(self.losses[start:stop], dtype=np.float64)
        if len(losses) < 2:
            return self.rates[0]
        return self.rates[start + int(np.argmin(np.gradient(losses)))]

    @property
    def minimum(self) -> float:
        """A tenth of the rate of the smallest loss."""
        losses = self._finite()
        return self.rates[int(np.argmin(losses))] / 10

    @property
    def shoots_up(self) -> float | None:
        """The rate after the minimum so far at which the loss first exceeds 1.1 times it."""
        lowest = float("inf")
        for rate, loss in zip(self.rates, self.losses, strict=True):
            if not isfinite(loss) or loss > RISE * lowest:
                return rate
            lowest = min(lowest, loss)
        return None

    @property
    def is_flat(self) -> bool:
        """Whether the loss varies less than 5 % before it shoots up."""
        end = self.rates.index(self.shoots_up) if self.shoots_up else len(self.rates)
        before = self.losses[: max(1, end)]
        # the climb towards the rise belongs to the rise, not to the flat part
        before = before[: int(np.argmin(before)) + 1]
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
            for (name, rate), colour in zip(
                self.suggestions().items(),
                ("red", "tab:green", "tab:orange", "tab:purple"),
                strict=True,
            ):
                if rate is not None:
                    print(f"{name}: {rate:.2e}")
                    ax.axvline(rate, color=colour, ls=":", label=f"{name} {rate:.1e}")
            ax.legend()
        return ax.figure

    def _window(self, skip_start: int, skip_end: int) -> tuple[int, int]:
        """The part of the curve to look at; of a short curve all of it."""
        short = len(self.rates) < 2 * (skip_start + skip_end)
        return (0, len(self.rates)) if short else (skip_start, len(self.rates) - skip_end)

    def _finite(self) -> Sequence[float]:
        """The losses up to the first that is not a number."""
        bad = [i for i, loss in enumerate(self.losses) if not isfinite(loss)]
        return self.losses[: bad[0]] if bad and bad[0] > 0 else self.losses
