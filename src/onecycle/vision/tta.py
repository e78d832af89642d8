"""Test-time augmentation: the mean of several looks at each image."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from onecycle.core.errors import UsageError, listing, warn
from onecycle.data.databunch import DatasetType
from onecycle.data.loader import Loader, to_device
from onecycle.data.task import Task
from onecycle.learn.learner import Learner
from onecycle.learn.predictions import Predictions, item_losses, of_set
from onecycle.vision import augment
from onecycle.vision.transform import Crop, Foreign
from onecycle.vision.warp import Plan

LOOKS = 8  # four corners, and the four mirrored
_MIRRORS = {"flip_lr", "dihedral"}


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

    Masks and points are mapped back to the plain look by the matrix of each look, and only what a
    look covers counts: where none does, the plain look alone answers. With `with_loss` there is
    also a loss for each item: of masks and points that of the answer, else the mixed losses.
    Boxes raise UsageError.
    """
    target = learn.task.target
    if not learn.task.input.augmented:
        raise UsageError("test-time augmentation looks at images: these are none")
    if beta is None and with_loss:
        raise UsageError("with beta=None two answers come back unmixed: there is no one loss")
    if beta is not None and not 0 <= beta <= 1:
        raise UsageError(f"beta is the share of the plain look, from 0 to 1, not {beta}")
    target.require_mergeable()
    looks = _mapped_back if target.on_image else _as_they_are
    plain, mean, mean_losses = looks(learn, scale, ds_type)
    if beta is None:
        return [plain.probabilities, mean, plain.targets]
    mixed = plain.probabilities * beta + mean * (1 - beta)
    if not with_loss:
        return [mixed, plain.targets]
    if mean_losses is None:
        return [mixed, plain.targets, _losses(learn, mixed, plain)]
    return [mixed, plain.targets, plain.losses * beta + mean_losses * (1 - beta)]


Looks = tuple[Predictions, Tensor, Tensor | None]  # plain, means of the others: answers, losses


def _losses(learn: Learner, answers: Tensor, plain: Predictions) -> Tensor:
    """The learner's loss (n,) of activated answers; zeros where there are no labels."""
    if plain.items.labels is None:
        return torch.zeros(len(answers))
    size, device = learn.data.options["val_bs"], learn.data.device
    pairs = zip(answers.split(size), plain.targets.split(size), strict=True)
    outputs = ((learn.task.target.outputs_for(part.to(device)), y.to(device)) for part, y in pairs)
    return torch.cat([item_losses(learn, *pair).cpu() for pair in outputs])


def _as_they_are(learn: Learner, scale: float, ds_type: DatasetType) -> Looks:
    """Of answers that have no place on the image: classes, tags, numbers."""
    plain = learn.predictions(ds_type)
    looks = [of_set(learn, _look(learn, ds_type, number, scale)) for number in range(LOOKS)]
    mean, losses = (
        torch.stack(column).mean(0)
        for column in zip(*((look.probabilities, look.losses) for look in looks), strict=True)
    )
    return plain, mean, losses


def _mapped_back(learn: Learner, scale: float, ds_type: DatasetType) -> Looks:
    """Each answer (n, ...) is put back into its place on the plain look."""
    plain, kept = _with_plans(learn, learn.data.in_order(ds_type))
    if names := sorted({tfm.name for plan in kept for tfm, _ in plan.foreign}):
        raise UsageError(
            f"the validation transforms {listing(names)} are of another library, and where they "
            "put a pixel is not known: masks and points of several looks cannot be merged"
        )
    given: Any = learn.task.input
    if names := [tfm.name for tfm in given.train_tfms if isinstance(tfm, Foreign)]:
        warn(
            f"{len(names)} training transforms of another library ({listing(names)}) are left out "
            "of the looks: where they put a pixel is not known, so that masks and points could not "
            "be mapped back",
            4,
        )
    total = torch.zeros_like(plain.probabilities)
    count = torch.zeros_like(plain.probabilities)
    for number in range(LOOKS):
        look, plans = _with_plans(learn, _look(learn, ds_type, number, scale))
        for i, (seen, before) in enumerate(zip(plans, kept, strict=True)):
            values = look.probabilities[i], plain.probabilities[i]
            answer, covered = learn.task.target.map_back(*values, seen.back_to(before))
            total[i] += torch.where(covered, answer, 0)
            count[i] += covered
    mean = torch.where(count > 0, total / count.clamp(min=1), plain.probabilities)
    return plain, mean, None


class _Planned:
    """A loader that keeps the plan of every sample it has handed out, in order."""

    def __init__(self, loader: Any) -> None:
        self.loader: Loader = loader
        self.dataset = loader.dataset
        self.plans: list[Plan] = []

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        given: Any = self.dataset.task.input
        for samples in self.loader.samples():
            self.plans += [sample.plan for sample in samples]
            x, y = given.collate(samples)
            yield given.prepare(to_device(x, self.loader.device)), to_device(y, self.loader.device)


def _with_plans(learn: Learner, loader: Any) -> tuple[Predictions, list[Plan]]:
    planned: Any = _Planned(loader)
    return of_set(learn, planned), planned.plans


def _look(learn: Learner, ds_type: DatasetType, number: int, scale: float) -> Any:
    """A loader of one enlarged corner of every image."""
    given: Any = learn.task.input
    row, col = float(number & 1), float(number >> 1 & 1)
    crops = [tfm for tfm in given.train_tfms if isinstance(tfm, Crop)]
    size = next((tfm.size for tfm in reversed(crops) if tfm.size), None)
    mode = next((tfm.padding_mode for tfm in reversed(crops) if tfm.padding_mode), None)
    replaced = Crop | Foreign if learn.task.target.on_image else Crop
    kept = [
        tfm
        for tfm in given.train_tfms
        if not isinstance(tfm, replaced) and tfm.name not in {*_MIRRORS, "zoom"}
    ]
    tfms = [*kept, augment.zoom(scale, row, col), augment.crop_pad(size, mode, row, col)]
    flips = any(tfm.name in _MIRRORS for tfm in given.train_tfms)
    tfms += [augment.flip_lr()] if flips and number & 4 else []
    look = replace(given, train_tfms=tuple(tfms))
    side = learn.data.in_order(ds_type).dataset
    dataset = replace(side, task=Task(look, side.task.target), augment=True)
    options = {k: learn.data.options[k] for k in ("num_workers", "device")}
    return look.loader(dataset, batch_size=learn.data.options["val_bs"], seed=number, **options)
