"""Any pretrained body with a new head on data that becomes images (n, 3, h, w)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, Unpack

from torch import nn

from onecycle.core.errors import ModelError, UsageError, warn
from onecycle.data.databunch import DataBunch
from onecycle.learn.learner import Learner
from onecycle.learn.options import LearnerOptions
from onecycle.models.architectures import find
from onecycle.models.body import Body, create_body
from onecycle.models.groups import layer_groups
from onecycle.models.head import create_head, init_layers

Kind = TypeVar("Kind", bound=Learner)
SplitOn = Callable[[nn.Module], Iterable[nn.Module]] | Iterable[nn.Module]


def create_cnn_model(
    arch: Any,
    n_outputs: int,
    pretrained: bool | str = True,
    cut: int | Callable[[nn.Module], nn.Module] | None = None,
    lin_ftrs: Sequence[int] | None = None,
    ps: float | Sequence[float] = 0.5,
    custom_head: nn.Module | None = None,
    bn_final: bool = False,
    concat_pool: bool = True,
    size: tuple[int, int] | None = None,
) -> nn.Sequential:
    """Body and head as one model, images (n, 3, h, w) to outputs (n, n_outputs)."""
    usual = (lin_ftrs, ps, bn_final, concat_pool) == (None, 0.5, False, True)
    if custom_head is not None and not usual:
        raise UsageError(
            "lin_ftrs, ps, bn_final and concat_pool build a head: with a custom_head leave them out"
        )
    body = create_body(arch, pretrained, cut, size)
    if custom_head is None:
        head = create_head(body.channels, n_outputs, lin_ftrs, ps, concat_pool, bn_final)
    else:
        head = init_layers(nn.Sequential(custom_head))
    return nn.Sequential(body, head)


def build_cnn(
    kind: type[Kind],
    data: DataBunch,
    base_arch: Any,
    cut: int | Callable[[nn.Module], nn.Module] | None = None,
    pretrained: bool | str = True,
    lin_ftrs: Sequence[int] | None = None,
    ps: float | Sequence[float] = 0.5,
    custom_head: nn.Module | None = None,
    split_on: SplitOn | None = None,
    bn_final: bool = False,
    concat_pool: bool = True,
    **learner_options: Unpack[LearnerOptions],
) -> Kind:
    """A learner of class `kind`: `base_arch` and a new head, frozen to the head if pretrained.

    `base_arch` is any timm name ("resnet34"), a constructor (`models.resnet34`), a partial of one,
    or a module. `pretrained`: True (published weights), False, "small" (with models.small), or
    the path of a file. `learner_options` are Learner's: metrics, wd, loss_func, callbacks, ...
    Arrays are images (planes, h, w); ModelError for those of another shape.
    """
    planes, size = data.task.input.image_shape()
    base_arch = widened(base_arch, planes)
    more: Any = {"lin_ftrs": lin_ftrs, "ps": ps, "bn_final": bn_final, "concat_pool": concat_pool}
    model = create_cnn_model(
        base_arch, data.c, pretrained, cut, custom_head=custom_head, size=size, **more
    )
    data = normalize_for(data, model[0]) if pretrained else data
    learner = kind(data, model, groups=layer_groups(model, split_on), **learner_options)
    if custom_head is None and cut is None and not isinstance(base_arch, nn.Module):
        learner.recipe = recipe_of("cnn", base_arch, size, more)
    return learner.freeze() if pretrained else learner


def widened(arch: Any, planes: int) -> Any:
    """The architecture for images of so many planes; a module is taken as it is."""
    if planes == 3 or isinstance(arch, nn.Module):
        return arch
    found = find(arch)
    if found.source == "torchvision":
        raise ModelError(
            f"{found.name} takes three planes, the data has {planes}: use a network of timm, three "
            'bands, or a SeriesList with layout="grid"'
        )
    return replace(found, options={**found.options, "in_chans": planes})


def recipe_of(
    model: str, arch: Any, size: tuple[int, int] | None, more: dict[str, Any]
) -> dict[str, Any]:
    """What `load_cnn` needs to build the same model again, as plain data."""
    found = find(arch)
    named = {"arch": found.name, "source": found.source, "options": found.options}
    return {"model": model, **named, "size": size, "more": more}


def normalize_for(data: DataBunch, body: nn.Module) -> DataBunch:
    """The data as the body's weights expect it; `data` itself stays as it is.

    Images that nobody has normalised are, with a warning; a warning where others are normalised
    otherwise than the weights expect.
    """
    given, mean, std = data.task.input, data.task.input.mean, data.task.input.std
    wanted = body.stats if isinstance(body, Body) and given.has_channels else None
    advice = f"normalize({wanted})" if wanted else "normalize(...) with the weights' statistics"
    advice = advice if given.has_channels else "normalize(), which measures them"
    message = ""
    if mean is None and wanted and given.suits_stats_of_weights:
        message = (
            f"the data is not normalised: this learner's is, as its pretrained weights expect, by "
            f"{advice}. To decide otherwise normalize() it before: data.normalize(([0.0] * 3, "
            "[1.0] * 3)) leaves the values in 0-1"
        )
        data = data.normalize(wanted)
    elif mean is None or std is None:
        message = f"the data is not normalised, but pretrained weights expect it: data.{advice}"
    elif wanted:
        pairs = zip((*mean, *std), (*wanted[0], *wanted[1]), strict=True)
        if any(abs(a - b) > 0.02 for a, b in pairs):
            message = f"the data is normalised with {(mean, std)}, the weights expect data.{advice}"
    if message:
        warn(message, 3)
    return data
