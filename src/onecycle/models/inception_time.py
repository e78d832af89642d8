"""A network for series: parallel convolutions of three lengths, again and again.

Source: Fawaz et al. 2020, InceptionTime: Finding AlexNet for time series classification. It is one
of the five networks whose probabilities the paper averages; the kernels have odd lengths.
"""

import torch
from torch import Tensor, nn

_KERNELS = (39, 19, 9)


def _conv(planes: int, filters: int, size: int = 1) -> nn.Conv1d:
    return nn.Conv1d(planes, filters, size, padding=size // 2, bias=False)


class _Inception(nn.Module):
    """(n, c, t) to (n, 4 filters, t): three convolutions behind a narrow one, and a pooling."""

    def __init__(self, planes: int, filters: int) -> None:
        super().__init__()
        narrow = filters if planes > 1 else 1
        self.bottleneck = _conv(planes, filters) if planes > 1 else nn.Identity()
        self.convolutions = nn.ModuleList(_conv(narrow, filters, size) for size in _KERNELS)
        self.pooled = nn.Sequential(nn.MaxPool1d(3, 1, 1), _conv(planes, filters))
        self.norm = nn.BatchNorm1d(4 * filters)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.bottleneck(x)
        parts = [*(convolve(narrow) for convolve in self.convolutions), self.pooled(x)]
        return self.norm(torch.cat(parts, 1)).relu()


class _Block(nn.Module):
    """Three modules, and a way round them."""

    def __init__(self, planes: int, filters: int) -> None:
        super().__init__()
        wide = 4 * filters
        self.inner = nn.Sequential(*(_Inception(given, filters) for given in (planes, wide, wide)))
        self.around = nn.Sequential(_conv(planes, wide), nn.BatchNorm1d(wide))

    def forward(self, x: Tensor) -> Tensor:
        return (self.inner(x) + self.around(x)).relu()


class InceptionTime(nn.Module):
    """The body: series (n, channels, t), any t, to features (n, 4 filters, t)."""

    def __init__(self, channels: int, filters: int = 32) -> None:
        super().__init__()
        self.early, self.late = _Block(channels, filters), _Block(4 * filters, filters)
        self.channels = 4 * filters

    def forward(self, x: Tensor) -> Tensor:
        """The features of every step."""
        return self.late(self.early(x))

    def halves(self) -> list[list[nn.Parameter]]:
        """The parameters of the early and of the late modules."""
        return [list(block.parameters()) for block in (self.early, self.late)]


def inception_time(channels: int, n_outputs: int, filters: int = 32) -> nn.Sequential:
    """Body and head: series (n, channels, t) to outputs (n, n_outputs)."""
    body = InceptionTime(channels, filters)
    head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(body.channels, n_outputs))
    return nn.Sequential(body, head)
