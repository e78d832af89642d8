"""A learner for predicting from the one file that `learn.save` wrote."""

from __future__ import annotations

from pathlib import Path as PurePath
from typing import Any

from onecycle.core.errors import CheckpointError
from onecycle.core.paths import Path
from onecycle.data.databunch import DataBunch
from onecycle.data.labelled import LabelledItems, LabelList
from onecycle.data.targets import Category, MultiCategory, Numbers
from onecycle.data.task import Task
from onecycle.learn.checkpoint import read
from onecycle.models.architectures import Architecture
from onecycle.vision.input import ImageInput
from onecycle.vision.learner import ImageLearner, create_cnn_model
from onecycle.vision.lists import ImageList
from onecycle.vision.targets import Mask, Points
from onecycle.vision.unet import create_unet_model

TARGETS: dict[str, Any] = {t.kind: t for t in (Category, MultiCategory, Numbers, Mask, Points)}
MODELS: dict[str, Any] = {"cnn": create_cnn_model, "unet": create_unet_model}


def load_cnn(path: str | PurePath) -> ImageLearner:
    """A learner for predicting, from a file that `learn.save` wrote, without its data.

    It prepares pictures as the saved learner's validation did. Raises CheckpointError for a file
    that is damaged, or whose model or validation had parts that no file holds.
    """
    path = PurePath(path)
    about, tensors = read(path)
    try:
        recipe = about["recipe"]
        arch = Architecture(recipe["arch"], recipe["source"], recipe["options"])
        size = tuple(recipe["size"]) if recipe["size"] else None
        target = TARGETS[about["task"]["target"]["kind"]].from_json(about["task"]["target"])
        given = ImageInput.from_json(about["task"]["input"])
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
