"""A body as a list of feature maps at falling sizes, the finest first."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from onecycle.core.errors import ModelError
from onecycle.models.body import Body


class Pyramid(nn.Module):
    """Pictures (n, 3, h, w) to the last feature map of each size, (n, c, h / r, w / r), r growing.

    `channels` and `reductions` are those of the maps. Takes timm's networks, and bodies that are
    a plain sequence of layers. What only the classifier needed is dropped.
    """

    def __init__(self, body: Body, size: tuple[int, int] = (64, 64)) -> None:
        super().__init__()
        self.body = body
        self.by_timm = hasattr(body.net, "forward_intermediates")
        if not self.by_timm and not isinstance(body.net, nn.Sequential):
            raise ModelError(
                f"{type(body.net).__name__} has no list of feature maps: take a model of timm, or "
                "give `cut`, a function that returns the body as an nn.Sequential"
            )
        self.kept: list[int] = []
        maps = self._probe(size)
        ends = [i for i, m in enumerate(maps) if i + 1 == len(maps) or m != maps[i + 1]]
        if len(ends) < 2:
            raise ModelError(
                f"all feature maps of {type(body.net).__name__} have one size: a U-Net needs "
                "falling sizes, as resnet, mobilenet, efficientnet or convnext have them"
            )
        self.kept = ends
        shapes = self._shapes(size)
        self._drop_unused(size)
        self.channels = [shape[1] for shape in shapes]
        self.reductions = [round(size[0] / shape[2]) for shape in shapes]

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps, finest first."""
        if self.by_timm:
            return self.body.net.forward_intermediates(  # type: ignore[operator]
                x, indices=self.kept or None, intermediates_only=True, output_fmt="NCHW"
            )
        maps = []
        for layer in self.body.net.children():
            x = layer(x)
            maps.append(x)
        return [maps[i] for i in self.kept] if self.kept else maps

    def _drop_unused(self, size: tuple[int, int]) -> None:
        """Layers that no map needs (the classifier's) become identities."""
        used: set[nn.Module] = set()
        hooks = [m.register_forward_hook(lambda m, *_: used.add(m)) for m in self.modules()]
        self._shapes(size)
        for hook in hooks:
            hook.remove()
        for name, child in self.body.net.named_children():
            if not used.intersection(child.modules()):
                setattr(self.body.net, name, nn.Identity())

    def _probe(self, size: tuple[int, int]) -> list[tuple[int, ...]]:
        return [shape[2:] for shape in self._shapes(size)]

    def _shapes(self, size: tuple[int, int]) -> list[torch.Size]:
        mode = self.training
        try:
            with torch.inference_mode():
                return [m.shape for m in self.eval()(torch.zeros(1, 3, *size))]
        finally:
            self.train(mode)
