"""A pretrained body with a new head, ready to be trained: `cnn_learner`."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path as PurePath
from typing import Any, Unpack, cast

import numpy as np
from torch import Tensor, nn

from onecycle.core.errors import CheckpointError, UsageError, listing
from onecycle.core.paths import Path
from onecycle.data.databunch import DataBunch, DatasetType, LabelledItems
from onecycle.data.label_list import LabelList
from onecycle.data.task import Task
from onecycle.learn.checkpoint import read
from onecycle.learn.cnn import (
    SplitOn,
    build_cnn,
    create_cnn_model,
    normalize_for,
    recipe_of,
    widened,
)
from onecycle.learn.learner import Learner
from onecycle.learn.options import LearnerOptions
from onecycle.models.architectures import Architecture
from onecycle.models.body import Pyramid, create_body
from onecycle.models.detector import Detector, create_detector
from onecycle.models.groups import is_segmenter, layer_groups
from onecycle.models.segmenters import require_fit
from onecycle.models.unet import UNet
from onecycle.runtime.task import task_from_json
from onecycle.runtime.tiles import predict_tiled
from onecycle.vision.boxes import warn_of_lost
from onecycle.vision.input import ImageInput
from onecycle.vision.lists import ImageList
from onecycle.vision.tiles import look_at_tiles
from onecycle.vision.tta import TTA

__all__ = [
    "ImageLearner",
    "cnn_learner",
    "create_cnn",
    "create_cnn_model",
    "normalize_for",
    "recipe_of",
]


class ImageLearner(Learner):
    """A learner on images."""

    def TTA(  # noqa: N802 - the course's name
        self,
        beta: float | None = 0.4,
        scale: float = 1.35,
        ds_type: DatasetType = DatasetType.Valid,
        with_loss: bool = False,
    ) -> list[Tensor]:
        """Probabilities from several looks at each image; see `vision.tta.TTA`."""
        return TTA(self, beta, scale, ds_type, with_loss)

    def predict_tiled(
        self, source: Any, tile: Any, overlap: int | None = None, out: str | PurePath | None = None
    ) -> np.ndarray:
        """The mask (h, w) of an image of any size, from tiles; see `Predictor.predict_tiled`."""
        given: Any = self.task.input
        how = given.file_spec, self.task.target, source, tile, overlap, out
        return predict_tiled(partial(look_at_tiles, self), *how)


def cnn_learner(
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
) -> ImageLearner:
    """A learner on `base_arch` with a new head, frozen to the head if pretrained.

    `base_arch` is any timm name ("resnet34"), one of the hub ("hf-hub:user/name"), a constructor
    (`models.resnet34`), a partial of one, or a module. `pretrained`: True (published weights),
    False, "small" (with models.small), or the path of a file; data that is not normalised then is,
    as those weights expect. `cut` says where the body ends, `lin_ftrs` and `ps` the widths and
    dropouts inside the head, `concat_pool` whether it looks at the mean and the largest of each
    channel or at the mean alone, `bn_final` whether it ends in a batch norm; `custom_head` takes
    its place.
    `split_on` are the modules at which a layer group begins. `learner_options` are Learner's.
    """
    how = cut, pretrained, lin_ftrs, ps, custom_head, split_on, bn_final, concat_pool
    return build_cnn(ImageLearner, data, base_arch, *how, **learner_options)


create_cnn = cnn_learner


# A class for every pixel: `unet_learner`.


def create_unet_model(
    arch: Any,
    n_outputs: int,
    pretrained: bool | str = True,
    cut: int | Callable[[nn.Module], nn.Module] | None = None,
    size: tuple[int, int] | None = None,
    **options: Any,
) -> UNet:
    """A U-Net on a body, images (n, 3, h, w) to outputs (n, n_outputs, h, w); see `UNet`."""
    body = create_body(arch, pretrained, cut, size)
    return UNet(Pyramid(body, size or (64, 64)), n_outputs, **options)


def unet_learner(
    data: DataBunch,
    arch: Any,
    pretrained: bool | str = True,
    blur_final: bool = True,
    norm_type: str | None = None,
    split_on: SplitOn | None = None,
    blur: bool = False,
    self_attention: bool = False,
    y_range: tuple[float, float] | None = None,
    last_cross: bool = True,
    bottle: bool = False,
    cut: int | Callable[[nn.Module], nn.Module] | None = None,
    checkpoint: bool = False,
    **learner_options: Unpack[LearnerOptions],
) -> ImageLearner:
    """A learner on a U-Net around `arch`, frozen to the decoder if the body is pretrained.

    `arch` and `pretrained` as in `cnn_learner`, the other options as in `UNet` (`norm_type` is
    its `norm`); `learner_options` are Learner's: metrics, wd, loss_func, accumulate, ...
    `arch` may also be a whole network of segmentation_models_pytorch, such as
    `smp.FPN("resnet34", classes=data.c)`: options of `UNet` have no effect on it and are refused,
    and `pretrained` says whether its encoder is.
    """
    options: dict[str, Any] = {
        "blur": blur,
        "blur_final": blur_final,
        "self_attention": self_attention,
        "y_range": y_range,
        "last_cross": last_cross,
        "bottle": bottle,
        "norm": norm_type,
        "checkpoint": checkpoint,
    }
    planes, size = data.task.input.image_shape()
    if is_segmenter(arch):
        given = {**options, "cut": cut}
        return _on_segmenter(data, arch, pretrained, split_on, given, learner_options)
    arch = widened(arch, planes)
    model = create_unet_model(arch, data.c, pretrained, cut, size, **options)
    data = normalize_for(data, model.encoder.body) if pretrained else data
    learner = ImageLearner(data, model, groups=layer_groups(model, split_on), **learner_options)
    if cut is None and not isinstance(arch, nn.Module):
        learner.recipe = recipe_of("unet", arch, size, options)
    return learner.freeze() if pretrained else learner


def _on_segmenter(
    data: DataBunch,
    model: nn.Module,
    pretrained: bool | str,
    split_on: SplitOn | None,
    options: dict[str, Any],
    learner_options: Any,
) -> ImageLearner:
    """A learner on a whole network, frozen to the decoder if its encoder is pretrained."""
    usual = {"blur_final": True, "last_cross": True}
    given = [name for name, value in options.items() if value not in (usual.get(name, False), None)]
    if given or not isinstance(pretrained, bool):
        what = listing(given or [f"pretrained={pretrained}"])
        raise UsageError(f"{what} has no effect on a whole network such as this: leave it out")
    require_fit(model, data.c, data.task.input.size)
    data = normalize_for(data, cast(nn.Module, model.encoder)) if pretrained else data
    learner = ImageLearner(data, model, groups=layer_groups(model, split_on), **learner_options)
    return learner.freeze() if pretrained else learner


# Boxes: `detection_learner`.


def create_detector_model(
    arch: Any,
    n_outputs: int,
    pretrained: bool | str = True,
    size: tuple[int, int] | None = None,
    width: int = 128,
) -> Detector:
    """A detector on a body, for 4 + classes outputs; see `models.detector.Detector`."""
    shape = size or (64, 64)
    return create_detector(create_body(arch, pretrained, size=size), n_outputs - 4, shape, width)


def detection_learner(
    data: DataBunch,
    arch: Any,
    pretrained: bool | str = True,
    width: int = 128,
    split_on: SplitOn | None = None,
    **learner_options: Unpack[LearnerOptions],
) -> ImageLearner:
    """A learner that finds boxes (`ObjectItemList`), frozen to what is new if pretrained.

    `arch`, any network with feature maps of falling sizes, and `pretrained` as in `cnn_learner`.
    On it come a feature pyramid and torchvision's head of FCOS with `width` channels, a multiple
    of 32. Its metrics are `mean_ap` and `mean_ap50`. Boxes that leave their image as it is cut are
    dropped, with a warning that counts them. `learner_options` are Learner's.
    """
    planes, size = data.task.input.image_shape()
    arch = widened(arch, planes)
    model = create_detector_model(arch, data.c, pretrained, size, width)
    data = normalize_for(data, model.body.body) if pretrained else data
    learner = ImageLearner(data, model, groups=layer_groups(model, split_on), **learner_options)
    if not isinstance(arch, nn.Module):
        learner.recipe = recipe_of("detector", arch, size, {"width": width})
    warn_of_lost(data)
    return learner.freeze() if pretrained else learner


# A learner for predicting from the one file that `learn.save` wrote.

MODELS: dict[str, Any] = {
    "cnn": create_cnn_model,
    "unet": create_unet_model,
    "detector": create_detector_model,
}


def load_cnn(path: str | PurePath) -> ImageLearner:
    """A learner for predicting, from a file that `learn.save` wrote, without its data.

    It prepares images as the saved learner's validation did. Raises CheckpointError for a file
    that is damaged, or whose model or validation had parts that no file holds.
    """
    path = PurePath(path)
    about, tensors = read(path)
    try:
        recipe = about["recipe"]
        arch = Architecture(recipe["arch"], recipe["source"], recipe["options"])
        size = tuple(recipe["size"]) if recipe["size"] else None
        given, target = task_from_json(about["task"], torch=True)
        _refuse_python(given, path)
        build = MODELS[recipe["model"]]
        model = build(arch, target.n_outputs, False, size=size, **recipe["more"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: holds no recipe for its model (it had a head or a body of its own): build "
            "the learner as before and use learn.load"
        ) from error
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    model.load_state_dict(weights)
    nothing = ImageList((), Path("."), given)
    side = LabelList(nothing, None, Task(given, target))
    learner = ImageLearner(DataBunch.for_prediction(LabelledItems(side, side, None)), model)
    model.eval()
    return learner


def _refuse_python(given: ImageInput, path: PurePath) -> None:
    """CheckpointError where the learner validated with transforms that only its program knows."""
    if given.in_python:
        raise CheckpointError(
            f"{path}: its learner validated with {'; '.join(given.in_python)}, which a file cannot "
            "hold: without them it would answer otherwise. Build the learner as before and use "
            "learn.load"
        )
