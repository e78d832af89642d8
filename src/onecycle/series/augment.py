"""Changes that leave a series what it is; each maps (channels, t) and a generator to (channels, t).

Source: Um et al. 2017, Data augmentation of wearable sensor data.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def jitter(share: float = 0.03) -> Change:
    """Noise of `share` times each channel's standard deviation."""

    def change(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return x + rng.normal(size=x.shape) * share * x.std(1, keepdims=True)

    return change


def scaling(share: float = 0.1) -> Change:
    """Each channel times a factor around 1."""
    return lambda x, rng: x * rng.normal(1, share, (len(x), 1))


def window_warp(share: float = 0.1, stretch: float = 2.0) -> Change:
    """A window of `share` of the series runs `stretch` times slower or faster; the length stays."""

    def change(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        t = x.shape[1]
        width = max(1, round(share * t))
        start = int(rng.integers(0, max(1, t - width)))
        pace = np.ones(t - 1)
        pace[start : start + width] = stretch if rng.random() < 0.5 else 1 / stretch
        places = np.concatenate([[0.0], pace.cumsum()])
        places *= (t - 1) / places[-1]
        return np.stack([np.interp(places, np.arange(t), row) for row in x])

    return change


def series_transforms(
    max_jitter: float = 0.03, max_scale: float = 0.1, max_warp: float = 0.1
) -> tuple[list[Change], list[Change]]:
    """(train, valid) changes for `transform`: the shares of `jitter`, `scaling`, `window_warp`.

    A share of 0 leaves that change out.
    """
    makers = ((jitter, max_jitter), (scaling, max_scale), (window_warp, max_warp))
    return [make(share) for make, share in makers if share], []
