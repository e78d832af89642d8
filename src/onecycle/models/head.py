"""The new end of a pretrained network: pooling, batch norm, dropout and linear layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from onecycle.core.errors import UsageError


class AdaptiveConcatPool2d(nn.Module):
    """Global max and mean of each channel, in that order: (n, c, h, w) to (n, 2c, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        return torch.cat([x.amax((2, 3), keepdim=True), x.mean((2, 3), keepdim=True)], 1)


def create_head(
    n_features: int,
    n_outputs: int,
    lin_ftrs: Sequence[int] | None = None,
    ps: float | Sequence[float] = 0.5,
    concat_pool: bool = True,
    bn_final: bool = False,
) -> nn.Sequential:
    """Pool, then batch norm, dropout and a linear layer for every step of the widths.

    `n_features` are the body's channels; `lin_ftrs` the hidden widths, 512 by default. One `ps`
    is the last layer's dropout, the layers before get half of it.
    """
    pooled = 2 * n_features if concat_pool else n_features
    widths = [pooled, *([512] if lin_ftrs is None else lin_ftrs), n_outputs]
    steps = len(widths) - 1
    drops = [ps / 2] * (steps - 1) + [ps] if isinstance(ps, int | float) else list(ps)
    if len(drops) != steps:
        raise UsageError(f"ps has {len(drops)} values for {steps} linear layers")
    pool = AdaptiveConcatPool2d() if concat_pool else nn.AdaptiveAvgPool2d(1)
    layers: list[nn.Module] = [pool, nn.Flatten()]
    for i, drop in enumerate(drops):
        layers += [nn.BatchNorm1d(widths[i])] + ([nn.Dropout(drop)] if drop else [])
        layers.append(nn.Linear(widths[i], widths[i + 1]))
        if i < steps - 1:
            layers.append(nn.ReLU(inplace=True))
    if bn_final:
        layers.append(nn.BatchNorm1d(n_outputs, momentum=0.01))
    return init_layers(nn.Sequential(*layers))


def init_layers(module: nn.Sequential) -> nn.Sequential:
    """Kaiming-normal weights and zero biases for linear and convolution layers, in place."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
