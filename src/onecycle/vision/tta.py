"""Test-time augmentation: the mean of several looks at each picture."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from onecycle.core.errors import UsageError
from onecycle.data.databunch import DatasetType
from onecycle.data.task import Task
from onecycle.learn import predictions
from onecycle.learn.learner import Learner
from onecycle.vision import augment
from onecycle.vision.transform import Crop, Transform


def TTA(  # noqa: N802 - the course's name
    learn: Learner,
    beta: float | None = 0.4,
    scale: float = 1.35,
    ds_type: DatasetType = DatasetType.Valid,
    with_loss: bool = False,
) -> list[Tensor]:
    """[probabilities, y]: beta * the plain look + (1 - beta) * the mean of 8 augmented ones.

    The 8 are the four corners, `scale` times enlarged, each also mirrored if the training
    transforms mirror; the other training transforms stay. With beta None both are returned.
    """
    if not hasattr(learn.task.input, "train_tfms"):
        raise UsageError("test-time augmentation looks at pictures: these are none")
    plain = learn.predictions(ds_type)
    looks = [_look(learn, ds_type, number, scale) for number in range(8)]
    mean = torch.stack([look.probabilities for look in looks]).mean(0)
    if beta is None:
        return [plain.probabilities, mean, plain.targets]
    mixed = plain.probabilities * beta + mean * (1 - beta)
    if not with_loss:
        return [mixed, plain.targets]
    losses = torch.stack([look.losses for look in looks]).mean(0)
    return [mixed, plain.targets, plain.losses * beta + losses * (1 - beta)]


def _look(
    learn: Learner, ds_type: DatasetType, number: int, scale: float
) -> predictions.Predictions:
    """Predictions on one enlarged corner of every picture."""
    given = learn.task.input
    row, col = float(number & 1), float(number >> 1 & 1)
    kept = [tfm for tfm in given.train_tfms if _stays(tfm)]  # type: ignore[attr-defined]
    flips = any(t.name in {"flip_lr", "dihedral"} for t in given.train_tfms)  # type: ignore[attr-defined]
    tfms = [*kept, augment.zoom(scale, row, col), augment.crop(None, row, col)]
    tfms += [augment.flip_lr()] if flips and number & 4 else []
    look = replace(given, train_tfms=tuple(tfms))  # type: ignore[type-var]
    side = learn.data.ordered(ds_type).dataset
    dataset = replace(side, task=Task(look, side.task.target), augment=True)
    options = {k: learn.data.options[k] for k in ("num_workers", "device")}
    loader = look.loader(dataset, batch_size=learn.data.options["val_bs"], seed=number, **options)
    return predictions.of_set(learn, loader)


def _stays(tfm: Transform) -> bool:
    return not isinstance(tfm, Crop) and tfm.name not in {"flip_lr", "dihedral", "zoom"}
