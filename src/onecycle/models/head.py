"""The new end of a pretrained network: pooling, batch norm, dropout and linear layers."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import pairwise
from numbers import Integral, Real

import torch
from torch import Tensor, nn

from onecycle.core.errors import ModelError, UsageError
from onecycle.models.awd_lstm import text_head
from onecycle.models.groups import Groups


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


# Linear layers with something between them.


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
        layers += [] if activation is None else [_make_activation(activation)]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers)


def _make_activation(activation: Callable[[], nn.Module] | nn.Module) -> nn.Module:
    try:
        made = deepcopy(activation) if isinstance(activation, nn.Module) else activation()
    except TypeError as error:
        raise ModelError(
            f"activation is a class of modules such as nn.ReLU, or a module, not {activation!r}"
        ) from error
    return made


# A transformer's encoder with a head for classes, for modules called as Hugging Face's are.


class TransformerClassifier(nn.Module):
    """Token ids (n, t), filled up with `padding`, to logits (n, classes).

    The head sees the first feature, and maximum and mean over all tokens that are no padding.
    """

    def __init__(
        self,
        body: nn.Module,
        width: int,
        n_outputs: int,
        padding: int,
        lin_ftrs: Sequence[int] = (50,),
        ps: Sequence[float] = (0.1, 0.1),
    ) -> None:
        super().__init__()
        self.body, self.padding = body, padding
        self.head = text_head([3 * width, *lin_ftrs, n_outputs], ps)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of each text."""
        real = ids != self.padding
        real[:, 0] = True  # an empty text is its first token
        x = self.body(input_ids=ids, attention_mask=real.long()).last_hidden_state
        seen = real[..., None]
        top = x.masked_fill(~seen, -torch.inf).amax(1)
        mean = (x * seen).sum(1) / seen.sum(1)
        return self.head(torch.cat([x[:, 0], top, mean], 1))

    def layer_groups(self) -> Groups:
        """Embeddings, lower half and upper half of the layers (and what follows them), head."""
        stacks = [m for m in self.body.modules() if isinstance(m, nn.ModuleList)]
        if not stacks:
            raise ModelError(f"{type(self.body).__name__} has no list of layers to be grouped")
        layers = max(stacks, key=lambda stack: sum(p.numel() for p in stack.parameters()))
        half, within = len(layers) // 2, {id(p) for p in layers.parameters()}
        lower, upper = ([*part.parameters()] for part in (layers[:half], layers[half:]))
        own = list(self.body.parameters())
        first = next(i for i, p in enumerate(own) if id(p) in within)
        after = [p for p in own[first:] if id(p) not in within]
        groups = [own[:first], lower, [*upper, *after], list(self.head.parameters())]
        return [group for group in groups if group]
