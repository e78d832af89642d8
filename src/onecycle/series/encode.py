"""Series as images: pure functions on batches (..., t) that also run inside an exported graph.

Sources: Wang & Oates 2015 (Gramian angular and Markov transition fields), Eckmann et al. 1987
(recurrence plots). Every function keeps device and dtype (whole numbers become real ones), and
takes numpy's arrays too; NaNs must be gone before, or come back as NaNs.
"""

from collections.abc import Callable
from math import inf
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import UsageError, require_number, require_whole


def real(x: Any) -> Tensor:
    """`x` (..., t) as a tensor of real numbers; one that is stays itself."""
    try:
        x = x if isinstance(x, Tensor) else torch.as_tensor(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"series are numbers (..., t), not {str(x)[:80]!r}: {error}") from error
    if x.ndim < 1 or x.is_complex():
        raise UsageError(f"series are real numbers (..., t), not {x.dtype} of shape {[*x.shape]}")
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


def segments(t: int, size: int, like: Tensor) -> Tensor:
    """The matrix (size, t) that takes the mean of `size` neighbouring parts of a series.

    Parts differ by one step where t is no multiple of size. Raises UsageError for size > t.
    """
    if not isinstance(size, Integral) or not 1 <= size <= t:
        raise UsageError(f"a series of {t} steps makes images of 1 to {t} pixels, not {size!r}")
    bounds = [part * t // size for part in range(size + 1)]
    step = torch.arange(t, device=like.device)
    start, end = (torch.tensor(b, device=like.device)[:, None] for b in (bounds[:-1], bounds[1:]))
    return ((step >= start) & (step < end)).to(like.dtype) / (end - start)


def aggregate(x: Tensor, size: int | None) -> Tensor:
    """Piecewise means: (..., t) to (..., size); None leaves the series as it is."""
    x = real(x)
    if size is None or size == x.shape[-1]:
        return x
    return x @ segments(x.shape[-1], size, x).T


def to_unit(x: Tensor) -> Tensor:
    """Each series on [-1, 1]; a constant one becomes 0."""
    low, high = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    spread = high - low
    flat = spread <= 0
    scaled = 2 * (x - low) / torch.where(flat, torch.ones_like(spread), spread) - 1
    return torch.where(flat, torch.zeros_like(scaled), scaled)


def gramian(
    x: Tensor, size: int | None = None, difference: bool = False, rescale: bool = True
) -> Tensor:
    """cos(a + b), or with `difference` sin(a - b), of the angles a = arccos(x): (..., size, size).

    Without `rescale` the values count as they are and are cut to [-1, 1].
    """
    x = aggregate(x, size)
    cos = to_unit(x) if rescale else x.clamp(-1, 1)
    sin = (1 - cos * cos).clamp(min=0).sqrt()
    first, second = (sin, cos) if difference else (cos, sin)
    field = first[..., :, None] * cos[..., None, :]
    # in place: these fields are limited by the memory that is written
    return field.addcmul_(second[..., :, None], sin[..., None, :], value=-1)


def gasf(x: Tensor, size: int | None = None, rescale: bool = True) -> Tensor:
    """The Gramian angular summation field, in [-1, 1]."""
    return gramian(x, size, False, rescale)


def gadf(x: Tensor, size: int | None = None, rescale: bool = True) -> Tensor:
    """The Gramian angular difference field, in [-1, 1]."""
    return gramian(x, size, True, rescale)


def mtf(x: Tensor, size: int | None = None, bins: int = 5) -> Tensor:
    """The Markov transition field, in [0, 1], averaged to (..., size, size).

    Pixel (i, j) is how often the quantile bin of part i is followed by that of part j. The mean
    over a block is C W C^T (C: shares of the bins in each part), so no t x t field is made.
    """
    x = real(x)
    t = x.shape[-1]
    require_whole("bins", bins, 2)
    if t < 2:
        raise UsageError(f"transitions need 2 steps, not {t} steps")
    inside = (x[..., None] > _quantiles(x, bins)[..., None, :]).sum(-1)
    one_hot = (inside[..., None] == torch.arange(bins, device=x.device)).to(x.dtype)
    counts = one_hot[..., :-1, :].transpose(-1, -2) @ one_hot[..., 1:, :]
    gap = 0 * x.mean(-1)[..., None, None]  # NaN for a series with a NaN, which has no rank
    chances = counts / counts.sum(-1, keepdim=True).clamp(min=1) + gap
    shares = one_hot if size is None or size == t else segments(t, size, x) @ one_hot
    return shares @ chances @ shares.transpose(-1, -2)


def _quantiles(x: Tensor, bins: int) -> Tensor:
    """The inner borders (..., bins - 1) of equally filled bins, linear between neighbours."""
    ordered = x.sort(-1).values
    last = x.shape[-1] - 1
    places = [last * i / bins for i in range(1, bins)]
    below = [int(p) for p in places]
    above = [min(i + 1, last) for i in below]
    share = torch.tensor([p - i for p, i in zip(places, below, strict=True)], device=x.device)
    low, high = ordered[..., below], ordered[..., above]
    return low + (high - low) * share.to(x.dtype)


def recurrence(
    x: Tensor,
    size: int | None = None,
    dimension: int = 1,
    delay: int = 1,
    threshold: float | None = None,
) -> Tensor:
    """Distances between all pairs of states (x[i], x[i + delay], ...), `dimension` values each.

    With `threshold` 1 where two states are at most that far apart, else 0.
    """
    x = aggregate(x, size)
    require_whole("dimension", dimension)
    require_whole("delay", delay)
    if threshold is not None:
        require_number("threshold", threshold, 0)
    count = x.shape[-1] - (dimension - 1) * delay
    if count < 1:
        raise UsageError(
            f"a series of {x.shape[-1]} steps has no states of {dimension} values, {delay} apart"
        )
    parts = [x[..., k * delay : k * delay + count] for k in range(dimension)]
    apart = [part[..., :, None] - part[..., None, :] for part in parts]
    far = apart[0].abs_() if dimension == 1 else torch.stack(apart).square_().sum(0).sqrt_()
    return far if threshold is None else (far <= threshold).to(x.dtype)


# Changes that leave a series what it is; each maps (channels, t) and a generator to (channels, t).
#
# Source: Um et al. 2017, Data augmentation of wearable sensor data.

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def jitter(share: float = 0.03) -> Change:
    """Noise of `share` times each channel's standard deviation."""
    _check_share(share)

    def change(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return x + rng.normal(size=x.shape) * share * x.std(1, keepdims=True)

    return change


def scaling(share: float = 0.1) -> Change:
    """Each channel times a factor around 1.

    It shows where `by="train"`: a series that is scaled by itself gets the same image.
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
