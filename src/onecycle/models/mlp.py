"""Linear layers with something between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from onecycle.core.errors import ModelError


def mlp(
    sizes: Sequence[int],
    activation: Callable[[], nn.Module] | None = nn.ReLU,
    batch_norm: bool = False,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Layers of `sizes` (input, hidden ..., outputs): (n, ...) flattened to (n, outputs).

    `activation` makes the module after each hidden layer; None puts nothing there.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ModelError(f"sizes are at least two positive widths, input to output: {list(sizes)}")
    layers: list[nn.Module] = [nn.Flatten()]
    for i, (wide, out) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(wide, out))
        if i == len(sizes) - 2:
            break
        layers += [nn.BatchNorm1d(out)] if batch_norm else []
        layers += [] if activation is None else [activation()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers)
