"""Arguments that are looked at before anything is done with them."""

from __future__ import annotations

from math import inf, nan
from numbers import Integral, Real
from typing import Any

from onecycle.core.errors import UsageError


def require_whole(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int; UsageError for what is no whole number from `least` on."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise UsageError(f"{name} is a whole number from {least} on, not {value!r}")
    return int(value)


def require_number(name: str, value: Any, low: float = -inf, high: float = inf) -> float:
    """`value` as a finite float from `low` to `high`; UsageError for anything else."""
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else nan
    if not low <= number <= high or abs(number) == inf:
        limits = f" from {low:g}" * (low > -inf) + f" to {high:g}" * (high < inf)
        raise UsageError(f"{name} is a number{limits}, not {value!r}")
    return number


def require_share(name: str, value: Any, what: str = "") -> float:
    """`value` as a float from 0 to below 1; UsageError for anything else, such as per cents."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) < 1:
        told = f", the share of {what}," if what else ""
        raise UsageError(f"{name}{told} is a number from 0 to below 1, not {value!r}")
    return float(value)
