"""Schedules are pure functions of progress from 0 to 1; a fit's rates follow from its steps.

1cycle: Smith & Topin 2018 (arXiv 1708.07120), with the cosine shape of the course's library.
"""

from __future__ import annotations

from math import cos, inf, pi
from typing import Any

from onecycle.core.errors import UsageError


def cosine(start: float, end: float, progress: float) -> float:
    """Half a cosine wave from `start` to `end`."""
    return end + (start - end) / 2 * (cos(pi * progress) + 1)


def exponential(start: float, end: float, progress: float) -> float:
    """A constant ratio from step to step."""
    return start * (end / start) ** progress


def one_cycle(
    step: int, n_steps: int, ends: tuple[float, float, float], pct_start: float = 0.3
) -> float:
    """The value at `step` of `n_steps`: from ends[0] to ends[1] in `pct_start`, then to ends[2]."""
    first = int(n_steps * pct_start)
    if step < first:
        return cosine(ends[0], ends[1], step / first)
    return cosine(ends[1], ends[2], (step - first) / max(1, n_steps - first))


def rates_by_group(lr: Any, n_groups: int) -> list[float]:
    """One rate per layer group.

    A number: the same for all. `slice(b)`: b for the last group, b/10 for the others.
    `slice(a, b)`: geometric from a (first group) to b (last). A sequence: one per group.
    """
    try:
        rates = _rates(lr, n_groups)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise UsageError(f"learning rates are numbers above 0, not {lr!r}") from error
    if len(rates) != n_groups:
        raise UsageError(f"{len(rates)} learning rates for {n_groups} layer groups")
    if not all(0 < rate < inf for rate in rates):
        raise UsageError(f"learning rates are finite numbers above 0, not {lr}")
    return rates


def _rates(lr: Any, n_groups: int) -> list[float]:
    if not isinstance(lr, slice):
        rates = [float(v) for v in lr] if hasattr(lr, "__len__") else [float(lr)] * n_groups
    elif lr.start is None:
        rates = [float(lr.stop) / 10] * (n_groups - 1) + [float(lr.stop)]
    else:
        ratio = float(lr.stop) / float(lr.start)
        depth = max(1, n_groups - 1)
        rates = [float(lr.start) * ratio ** (i / depth) for i in range(n_groups)]
        rates[-1] = float(lr.stop)
    return rates
