"""A class for every pixel: `unet_learner`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from onecycle.data.databunch import DataBunch
from onecycle.models.body import create_body
from onecycle.models.groups import layer_groups
from onecycle.models.pyramid import Pyramid
from onecycle.models.unet import UNet
from onecycle.vision.learner import ImageLearner, compare_statistics, recipe_of


def create_unet_model(
    arch: Any,
    n_outputs: int,
    pretrained: bool | str = True,
    cut: int | Callable[[nn.Module], nn.Module] | None = None,
    size: tuple[int, int] | None = None,
    **options: Any,
) -> UNet:
    """A U-Net on a body, pictures (n, 3, h, w) to outputs (n, n_outputs, h, w); see `UNet`."""
    body = create_body(arch, pretrained, cut, size)
    return UNet(Pyramid(body, size or (64, 64)), n_outputs, **options)


def unet_learner(
    data: DataBunch,
    arch: Any,
    pretrained: bool | str = True,
    blur_final: bool = True,
    norm_type: str | None = None,
    split_on: Callable[[nn.Module], Iterable[nn.Module]] | Iterable[nn.Module] | None = None,
    blur: bool = False,
    self_attention: bool = False,
    y_range: tuple[float, float] | None = None,
    last_cross: bool = True,
    bottle: bool = False,
    cut: int | Callable[[nn.Module], nn.Module] | None = None,
    checkpoint: bool = False,
    **learner_options: Any,
) -> ImageLearner:
    """A learner on a U-Net around `arch`, frozen to the decoder if the body is pretrained.

    `arch` and `pretrained` as in `cnn_learner`, the other options as in `UNet` (`norm_type` is
    its `norm`); `learner_options` are Learner's: metrics, wd, loss_func, accumulate, ...
    """
    options = {
        "blur": blur,
        "blur_final": blur_final,
        "self_attention": self_attention,
        "y_range": y_range,
        "last_cross": last_cross,
        "bottle": bottle,
        "norm": norm_type,
        "checkpoint": checkpoint,
    }
    size = getattr(data.task.input, "size", None)
    model = create_unet_model(arch, data.c, pretrained, cut, size, **options)
    learner = ImageLearner(data, model, groups=layer_groups(model, split_on), **learner_options)
    if cut is None and not isinstance(arch, nn.Module):
        learner.recipe = recipe_of("unet", arch, size, options)
    if pretrained:
        compare_statistics(data, model.encoder.body)
        learner.freeze()
    return learner
