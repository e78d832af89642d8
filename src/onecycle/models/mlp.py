"""Linear layers with something between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import pairwise
from numbers import Integral, Real

from torch import Tensor, nn

from onecycle.core.errors import ModelError


class _Flat(nn.Flatten):
    """Items (n, ...) as rows (n, width); ModelError for those of another width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1) if x.ndim > 1 else x[:, None]
        if x.shape[1] != self.width:
            raise ModelError(
                f"the network takes {self.width} values an item, the items have {x.shape[1]}"
            )
        return x


def mlp(
    sizes: Sequence[int],
    activation: Callable[[], nn.Module] | nn.Module | None = nn.ReLU,
    batch_norm: bool = False,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Layers of `sizes` (input, hidden ..., outputs): (n, ...) flattened to (n, outputs).

    `activation` makes the module after each hidden layer, or is one that is copied; None puts
    nothing there.
    """
    sizes = sizes.tolist() if hasattr(sizes, "tolist") else sizes
    widths = isinstance(sizes, Sequence) and all(
        isinstance(n, Integral) and not isinstance(n, bool) for n in sizes
    )
    if not widths or len(sizes) < 2 or min(sizes) < 1:
        raise ModelError(f"sizes are at least two positive widths, input to output: {sizes!r}")
    if not isinstance(dropout, Real) or not 0 <= dropout < 1:
        raise ModelError(f"dropout is a share from 0 to below 1, not {dropout!r}")
    layers: list[nn.Module] = [_Flat(sizes[0])]
    for i, (wide, out) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(wide, out))
        if i == len(sizes) - 2:
            break
        layers += [nn.BatchNorm1d(out)] if batch_norm else []
        layers += [] if activation is None else [_made(activation)]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers)


def _made(activation: Callable[[], nn.Module] | nn.Module) -> nn.Module:
    try:
        made = deepcopy(activation) if isinstance(activation, nn.Module) else activation()
    except TypeError as error:
        raise ModelError(
            f"activation is a class of modules such as nn.ReLU, or a module, not {activation!r}"
        ) from error
    return made
