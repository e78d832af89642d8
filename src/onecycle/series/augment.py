"""Changes that leave a series what it is; each maps (channels, t) and a generator to (channels, t).

Source: Um et al. 2017, Data augmentation of wearable sensor data.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from numbers import Real

import numpy as np

from onecycle.core.errors import UsageError

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def jitter(share: float = 0.03) -> Change:
    """Noise of `share` times each channel's standard deviation."""
    _check_share(share)

    def change(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return x + rng.normal(size=x.shape) * share * x.std(1, keepdims=True)

    return change


def scaling(share: float = 0.1) -> Change:
    """Each channel times a factor around 1.

    It shows where `by="train"`: a series that is scaled by itself gets the same picture.
    """
    _check_share(share)
    return lambda x, rng: x * rng.normal(1, share, (len(x), 1))


def window_warp(share: float = 0.1, stretch: float = 2.0) -> Change:
    """A window of `share` of the series runs `stretch` times slower or faster; the length stays."""
    _check_share(share, 1)
    if not isinstance(stretch, Real) or not 0 < stretch < inf:
        raise UsageError(f"stretch is a factor above 0, not {stretch!r}")

    def change(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        t = x.shape[1]
        if not share:
            return x
        width = max(1, round(share * t))
        start = int(rng.integers(0, max(1, t - width)))
        pace = np.ones(t - 1)
        pace[start : start + width] = stretch if rng.random() < 0.5 else 1 / stretch
        places = np.concatenate([[0.0], pace.cumsum()])
        places *= (t - 1) / places[-1]
        return np.stack([np.interp(places, np.arange(t), row) for row in x])

    return change


def _check_share(share: float, most: float = inf) -> None:
    if not isinstance(share, Real) or not 0 <= share <= most:
        raise UsageError(f"share is a number from 0 on{', to 1' * (most == 1)}, not {share!r}")


def series_transforms(
    max_jitter: float = 0.03, max_scale: float = 0.1, max_warp: float = 0.1
) -> tuple[list[Change], list[Change]]:
    """(train, valid) changes for `transform`: the shares of `jitter`, `scaling`, `window_warp`.

    A share of 0 leaves that change out; `scaling` shows with `by="train"` only.
    """
    makers = ((jitter, max_jitter), (scaling, max_scale), (window_warp, max_warp))
    return [make(share) for make, share in makers if share], []
