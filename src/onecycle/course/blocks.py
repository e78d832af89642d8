"""Parts of networks by the names that the course's programs build with, and looks inside one.

Source of the residual block: He et al. 2015; that it begins as doing nothing: Goyal et al. 2017.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from onecycle.core import plot
from onecycle.core.errors import UsageError
from onecycle.models import unet


class Lambda(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, func: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.func = func

    def forward(self, x: Tensor) -> Tensor:
        """What the function makes of x."""
        return self.func(x)


class MergeLayer(nn.Module):
    """In a `SequentialEx`: adds its input, or with `dense` puts it beside as further channels."""

    def __init__(self, dense: bool = False) -> None:
        super().__init__()
        self.dense = dense

    def forward(self, x: Tensor, first: Tensor) -> Tensor:
        """Join x, of the layers before, with the first one's input."""
        return torch.cat([x, first], 1) if self.dense else x + first


class SequentialEx(nn.Module):
    """As nn.Sequential; a `MergeLayer` in it also sees what the first layer was given."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """One layer after the other."""
        first = x
        for layer in self.layers:
            x = layer(x, first) if isinstance(layer, MergeLayer) else layer(x)
        return x


class BatchNorm1dFlat(nn.BatchNorm1d):
    """Batch norm over the last axis, of any number of axes before it: (n, t, features)."""

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        return super().forward(x.flatten(0, -2)).reshape(x.shape)


def conv_layer(ni: int, nf: int, ks: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution of `ni` planes to `nf`, ReLU and batch norm; stride 2 halves the size."""
    return unet.conv_layer(ni, nf, ks, "batch", stride)


def res_block(nf: int, dense: bool = False) -> SequentialEx:
    """Two `conv_layer`s of `nf` planes, and a way around them; at first they add nothing.

    With `dense` their planes stand beside those of the input, 2 nf in all.
    """
    block = SequentialEx(conv_layer(nf, nf), conv_layer(nf, nf), MergeLayer(dense))
    if not dense:
        nn.init.zeros_(block.layers[1][2].weight)  # type: ignore[index]
    return block


def children(model: nn.Module) -> list[nn.Module]:
    """The parts of a module, one level down."""
    return list(model.children())


def flatten_model(model: nn.Module) -> list[nn.Module]:
    """The parts of a module that have no parts, in their order."""
    return [module for module in model.modules() if not children(module)]


def trainable_params(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [weights for weights in model.parameters() if weights.requires_grad]


def requires_grad(model: nn.Module, wanted: bool | None = None) -> bool | None:
    """Freeze (False) or unfreeze (True) all parameters; without `wanted`, how the first one is."""
    weights: Iterable[nn.Parameter] = list(model.parameters())
    if wanted is None:
        return next((each.requires_grad for each in weights), None)
    for each in weights:
        each.requires_grad_(wanted)
    return None


def show_image(
    img: Any, ax: Any = None, figsize: tuple[float, float] = (3, 3), cmap: str = "binary"
) -> Any:
    """Draw an image, or a tensor (1 or 3, h, w) or (h, w); one plane of any values in `cmap`."""
    values = torch.as_tensor(getattr(img, "data", img)).detach().cpu()
    if values.ndim not in {2, 3} or (values.ndim == 3 and len(values) not in {1, 3}):
        raise UsageError(f"an image is (1 or 3, h, w) or (h, w), not {tuple(values.shape)}")
    flat = values[0] if values.ndim == 3 and len(values) == 1 else values
    shown = flat.movedim(0, -1).clamp(0, 1) if flat.ndim == 3 else flat
    return plot.draw_image(shown.numpy(), ax, figsize, cmap=cmap)
