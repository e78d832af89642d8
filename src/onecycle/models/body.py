"""A body: any network up to its last feature map, with its parameters in two groups of layers."""

from collections.abc import Callable
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from onecycle.core.errors import ModelError
from onecycle.models.architectures import SMALL, find, planes_of
from onecycle.models.weights import build_published, load_weights, weights_on_hub

_ENDS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Linear, nn.Flatten)
_AFTER_POOL = ("pre_logits", "conv_head", "norm_head", "head", "fc", "classifier")


class Body(nn.Module):
    """A network from images (n, 3, h, w) to its last features (n, channels, h', w').

    Tokens become a map again where their grid is square, else (n, channels, tokens, 1).
    `stats` are the (mean, std) its weights were trained with, where these are known.
    """

    def __init__(self, net: nn.Module, size: tuple[int, int] = (64, 64)) -> None:
        super().__init__()
        self.net = net
        config = getattr(net, "pretrained_cfg", None) or {}
        mean, std = config.get("mean"), config.get("std")
        self.stats = (tuple(mean), tuple(std)) if mean and std else None
        self.last_first = getattr(net, "output_fmt", "NCHW") == "NHWC"
        self.n_prefix = int(getattr(net, "num_prefix_tokens", 0))
        self.channels = self._probe(size)

    def forward(self, x: Tensor) -> Tensor:
        """The last feature map."""
        run = getattr(self.net, "forward_features", self.net)
        y: Tensor = run(x)
        if y.ndim == 4:
            return y.permute(0, 3, 1, 2) if self.last_first else y
        if y.ndim != 3:
            raise ModelError(
                f"{type(self.net).__name__} gives features of shape {tuple(y.shape)}: give `cut`, "
                "the number of children to keep, or a function that returns the body"
            )
        y = y[:, self.n_prefix :].transpose(1, 2)
        side = round(y.shape[2] ** 0.5)
        grid = (side, side) if side * side == y.shape[2] else (y.shape[2], 1)
        return y.reshape(*y.shape[:2], *grid)

    def _probe(self, size: tuple[int, int]) -> int:
        """Run once on zeros: counts channels, and drops layers that only the classifier used."""
        called: set[str] = set()
        hooks = [
            child.register_forward_hook(lambda *_, name=name: called.add(name))
            for name, child in self.net.named_children()
        ]
        mode = self.net.training
        try:
            with torch.inference_mode():
                channels = self.eval()(torch.zeros(2, planes_of(self.net), *size)).shape[1]
        except (RuntimeError, AssertionError, AttributeError, TypeError, ValueError) as error:
            raise ModelError(
                f"{type(self.net).__name__} does not run on images of {size}: {error}"
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
            self.train(mode)
        for name in _AFTER_POOL:
            if hasattr(self.net, name) and name not in called:
                setattr(self.net, name, nn.Identity())
        return int(channels)

    def halves(self) -> list[list[nn.Parameter]]:
        """The parameters of the early and of the late layers, as timm orders its stages."""
        matcher = getattr(self.net, "group_matcher", None)
        if matcher is None:
            return split_by_children(self.net)
        from timm.models import group_parameters

        groups = group_parameters(self.net, matcher(coarse=True))
        early = {name for key in sorted(groups)[: len(groups) // 2 + 1] for name in groups[key]}
        named = list(self.net.named_parameters())
        return [[p for name, p in named if (name in early) is first] for first in (True, False)]


def create_body(
    arch: Any,
    pretrained: bool | str = True,
    cut: int | Callable[[nn.Module], nn.Module] | None = None,
    size: tuple[int, int] | None = None,
) -> Body:
    """The body of an architecture: a name, a constructor, a partial of one, or a module.

    `pretrained` is True (the published weights; of a module, those it has), False, "small" or the
    path of a file.
    """
    if isinstance(arch, nn.Module):
        net = arch  # with its own weights, unless a file is named
        if pretrained == "small":
            raise ModelError('pretrained="small" are the weights of models.small, not of a module')
        if isinstance(pretrained, str | PathLike):
            load_weights(net, pretrained)
    else:
        architecture = find(arch)
        own = architecture.source == "onecycle"
        fetch = pretrained is True and not own and architecture.repo is None
        options = {} if size is None else {"img_size": size}
        build = build_published if fetch else (lambda build, _: build())
        net = build(lambda: architecture(pretrained=fetch, **options), architecture.name)
        file = SMALL if pretrained in ("small", True) and own else pretrained
        if pretrained == "small" and not own:
            raise ModelError('pretrained="small" are the weights of models.small, not of others')
        if not isinstance(file, bool):
            load_weights(net, file)
            if not own:  # what a file was trained with is not what timm's table says
                net.pretrained_cfg = {}
        elif architecture.repo is not None and pretrained:
            load_weights(net, weights_on_hub(architecture.repo))
            net.pretrained_cfg = architecture.config
    return Body(_cut(net, cut), size or (64, 64))


def _cut(net: nn.Module, cut: int | Callable[[nn.Module], nn.Module] | None) -> nn.Module:
    """The part before the classifier: as `cut` says, or up to the last pooling or linear child."""
    if callable(cut):
        return cut(net)
    if cut is None and hasattr(net, "forward_features"):
        return net
    children = list(net.children())
    if cut is None:
        if len(children) > 1 and isinstance(getattr(net, "features", None), nn.Module):
            return net.features  # type: ignore[return-value]
        cut = next((i for i, m in enumerate(children) if isinstance(m, _ENDS)), len(children))
    return nn.Sequential(*children[:cut])


def split_by_children(net: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of two halves of the innermost row of children with more than one entry."""
    children = [child for child in net.children() if any(True for _ in child.parameters())]
    if len(children) == 1:
        return split_by_children(children[0])
    middle = max(1, len(children) // 2)
    early = [p for child in children[:middle] for p in child.parameters()]
    known = {id(p) for p in early}
    return [early, [p for p in net.parameters() if id(p) not in known]]


# A body as a list of feature maps at falling sizes, the finest first.


class Pyramid(nn.Module):
    """Images (n, 3, h, w) to the last feature map of each size, (n, c, h / r, w / r), r growing.

    They have `planes` bands in place of 3 where the body's first layer takes so many. `channels`
    and `reductions` are those of the maps. Takes timm's networks, and bodies that are a plain
    sequence of layers. What only the classifier needed is dropped.
    """

    def __init__(self, body: Body, size: tuple[int, int] = (64, 64)) -> None:
        super().__init__()
        self.body, self.planes = body, planes_of(body.net)
        self.by_timm = hasattr(body.net, "forward_intermediates")
        if not self.by_timm and not isinstance(body.net, nn.Sequential):
            raise ModelError(
                f"{type(body.net).__name__} has no list of feature maps: take another model of "
                "timm, a newer timm (its VGGs have one since some time after 1.0.24), or "
                "give `cut`, a function that returns the body as an nn.Sequential"
            )
        self.kept: list[int] = []
        maps = [shape[2:] for shape in self._shapes(size)]
        ends = [i for i, m in enumerate(maps) if i + 1 == len(maps) or m != maps[i + 1]]
        if len(ends) < 2:
            raise ModelError(
                f"all feature maps of {type(body.net).__name__} have one size, and falling "
                "ones are needed, as resnet, mobilenet, efficientnet or convnext have them"
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
        maps = [x := layer(x) for layer in self.body.net.children()]
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

    def _shapes(self, size: tuple[int, int]) -> list[torch.Size]:
        mode = self.training
        try:
            with torch.inference_mode():
                return [m.shape for m in self.eval()(torch.zeros(1, self.planes, *size))]
        finally:
            self.train(mode)
