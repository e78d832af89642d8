"""Thousands of fixed features of a series, and one linear layer.

Source: Dempster et al. 2021, MiniRocket: a very fast (almost) deterministic transform for time
series classification.
"""

from itertools import combinations
from math import log2

import numpy as np
import torch
from torch import Tensor, nn

_KERNELS = np.array(
    [[2.0 if i in three else -1.0 for i in range(9)] for three in combinations(range(9), 3)]
)  # (84, 9): each sums to 0, so that the level of a series does not count
_MOST_DILATIONS = 32
_MOST_CHANNELS = 9  # that are added up
_GOLDEN = (5**0.5 + 1) / 2
_RAMP = 0.05


class MiniRocket(nn.Module):
    """Series (n, channels, t) of one length to (n, features) shares of steps, in 0-1.

    84 kernels of nine values are laid over a series at several dilations; of several channels some
    are added up, drawn by `seed`. A feature is the share of steps at which this is above a
    threshold, which is a quantile of the same over one of the `examples` (n, channels, t) from the
    training set. A step that hardly passes counts in part, so that rounding moves no answer.
    Nothing here learns: choices and thresholds are buffers, kept with the weights.
    """

    kernels: Tensor
    chosen: Tensor

    def __init__(self, examples: Tensor, features: int = 9996, seed: int = 0) -> None:
        super().__init__()
        _, channels, t = examples.shape
        rng = np.random.default_rng(seed)
        self.dilations, counts = _dilations(t, max(features // 84, 1))
        self.channels = 84 * sum(counts)
        self.register_buffer("kernels", torch.tensor(_KERNELS, dtype=torch.float32)[:, None])
        chosen = _draw_channels(rng, len(self.dilations), channels)
        self.register_buffer("chosen", torch.from_numpy(chosen))
        places = np.arange(1, self.channels + 1) * _GOLDEN % 1  # spread evenly, however many
        ends = np.cumsum([84 * count for count in counts])[:-1]
        for i, part in enumerate(np.split(places, ends)):
            rows = torch.from_numpy(rng.integers(len(examples), size=84))
            with torch.no_grad():
                waves = self._convolve(examples[rows], i).numpy()
            found = [np.quantile(waves[k, k], p) for k, p in enumerate(part.reshape(84, -1))]
            limits = torch.tensor(np.array(found), dtype=torch.float32)
            self.register_buffer(f"limits{i}", limits)

    def forward(self, x: Tensor) -> Tensor:
        """The shares."""
        return torch.cat([self._shares(x, i) for i in range(len(self.dilations))], 1)

    def halves(self) -> list[list[nn.Parameter]]:
        """There are no parameters."""
        return [[], []]

    def _convolve(self, x: Tensor, i: int) -> Tensor:
        """(n, channels, t) to (n, 84, t) at the i-th dilation, with zeros around a series."""
        weights, step = self.kernels * self.chosen[i], self.dilations[i]
        return nn.functional.conv1d(x, weights, padding=4 * step, dilation=step)

    def _shares(self, x: Tensor, i: int) -> Tensor:
        """Every second kernel counts at all steps, the others where no zero lies under them."""
        waves, limits = self._convolve(x, i), getattr(self, f"limits{i}")[:, None]
        edge = 4 * self.dilations[i]
        parts = []
        for part, cut in ((slice(0, None, 2), 0), (slice(1, None, 2), edge)):
            inner = waves[:, part, cut : waves.shape[2] - cut, None]
            above = ((inner - limits[part]) / _RAMP + 0.5).clamp(0, 1)
            parts.append(above.mean(2).flatten(1))
        return torch.cat(parts, 1)


def _dilations(t: int, each: int) -> tuple[list[int], list[int]]:
    """Steps between the values of a kernel, and how many features it has at each; `each` in all.

    The steps grow exponentially to where a kernel is as long as the series.
    """
    most = min(each, _MOST_DILATIONS)
    steps = np.floor(2 ** np.linspace(0, log2(max((t - 1) / 8, 1)), most)).astype(int)
    found, times = np.unique(steps, return_counts=True)
    counts = times * each // most
    counts[: each - counts.sum()] += 1
    return found.tolist(), counts.tolist()


def _draw_channels(rng: np.random.Generator, dilations: int, channels: int) -> np.ndarray:
    """Which channels each kernel adds up: (dilations, 84, channels, 1) float32 of 0 and 1.

    Their number is drawn so that its logarithm is spread evenly.
    """
    chosen = np.zeros((dilations, 84, channels, 1), np.float32)
    most = log2(min(channels, _MOST_CHANNELS) + 1)
    for row in chosen.reshape(-1, channels):
        row[rng.permutation(channels)[: int(2 ** rng.uniform(0, most))]] = 1
    return chosen


def mini_rocket(examples: Tensor, n_outputs: int, seed: int = 0) -> nn.Sequential:
    """Features of series like `examples` (n, channels, t), and a linear head that begins at 0."""
    body = MiniRocket(examples, seed=seed)
    last = nn.Linear(body.channels, n_outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(body, nn.Sequential(nn.BatchNorm1d(body.channels), last))
