"""Test-time augmentation: the mean of several looks at each image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from warnings import warn

import torch
from torch import Tensor

from onecycle.core.errors import OnecycleWarning, UsageError, listing
from onecycle.data.databunch import DatasetType
from onecycle.data.loader import Loader, to_device
from onecycle.data.task import Task
from onecycle.learn import predictions
from onecycle.learn.learner import Learner
from onecycle.vision import augment
from onecycle.vision.transform import Crop, Foreign, Transform
from onecycle.vision.warp import Plan

LOOKS = 8  # four corners, and the four mirrored


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
    if not learn.task.input.augmented:
        raise UsageError("test-time augmentation looks at images: these are none")
    if beta is None and with_loss:
        raise UsageError("with beta=None two answers come back unmixed: there is no one loss")
    if beta is not None and not 0 <= beta <= 1:
        raise UsageError(f"beta is the share of the plain look, from 0 to 1, not {beta}")
    learn.task.target.require_mergeable()
    if not learn.task.target.on_image:
        return _mixed_as_they_are(learn, beta, scale, ds_type, with_loss)
    plain, mean = _mapped_back(learn, scale, ds_type)
    if beta is None:
        return [plain.probabilities, mean, plain.targets]
    mixed = plain.probabilities * beta + mean * (1 - beta)
    found = [mixed, plain.targets]
    return [*found, _losses(learn, mixed, plain)] if with_loss else found


def _losses(learn: Learner, answers: Tensor, plain: predictions.Predictions) -> Tensor:
    """The learner's loss (n,) of activated answers; zeros where there are no labels."""
    if plain.items.labels is None:
        return torch.zeros(len(answers))
    size, device = learn.data.options["val_bs"], learn.data.device
    pairs = zip(answers.split(size), plain.targets.split(size), strict=True)
    outputs = ((learn.task.target.outputs_for(part.to(device)), y.to(device)) for part, y in pairs)
    return torch.cat([predictions.item_losses(learn, *pair).cpu() for pair in outputs])


def _mixed_as_they_are(
    learn: Learner, beta: float | None, scale: float, ds_type: DatasetType, with_loss: bool
) -> list[Tensor]:
    """Of answers that have no place on the image: classes, tags, numbers."""
    plain = learn.predictions(ds_type)
    looks = [
        predictions.of_set(learn, _look(learn, ds_type, number, scale)) for number in range(LOOKS)
    ]
    mean = torch.stack([look.probabilities for look in looks]).mean(0)
    if beta is None:
        return [plain.probabilities, mean, plain.targets]
    mixed = plain.probabilities * beta + mean * (1 - beta)
    if not with_loss:
        return [mixed, plain.targets]
    losses = torch.stack([look.losses for look in looks]).mean(0)
    return [mixed, plain.targets, plain.losses * beta + losses * (1 - beta)]


def _mapped_back(
    learn: Learner, scale: float, ds_type: DatasetType
) -> tuple[predictions.Predictions, Tensor]:
    """The plain look, and the mean (n, ...) of the others, each answer put back into its place."""
    target: Any = learn.task.target
    plain, kept = _with_plans(learn, learn.data.ordered(ds_type))
    _refuse_foreign(kept)
    _warn_of_foreign(learn.task.input.train_tfms)  # type: ignore[attr-defined]
    total = torch.zeros_like(plain.probabilities)
    count = torch.zeros_like(plain.probabilities)
    for number in range(LOOKS):
        look, plans = _with_plans(learn, _look(learn, ds_type, number, scale))
        for i, (seen, before) in enumerate(zip(plans, kept, strict=True)):
            values = look.probabilities[i], plain.probabilities[i]
            answer, covered = target.map_back(*values, seen.back_to(before))
            total[i] += torch.where(covered, answer, 0)
            count[i] += covered
    return plain, torch.where(count > 0, total / count.clamp(min=1), plain.probabilities)


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


def _with_plans(learn: Learner, loader: Any) -> tuple[predictions.Predictions, list[Plan]]:
    planned = _Planned(loader)
    return predictions.of_set(learn, planned), planned.plans  # type: ignore[arg-type]


def _look(learn: Learner, ds_type: DatasetType, number: int, scale: float) -> Any:
    """A loader of one enlarged corner of every image."""
    given: Any = learn.task.input
    row, col = float(number & 1), float(number >> 1 & 1)
    on_image = learn.task.target.on_image
    kept = [tfm for tfm in given.train_tfms if _stays(tfm) and not (on_image and _is_foreign(tfm))]
    flips = any(t.name in {"flip_lr", "dihedral"} for t in given.train_tfms)
    tfms = [*kept, augment.zoom(scale, row, col), _window(given.train_tfms, row, col)]
    tfms += [augment.flip_lr()] if flips and number & 4 else []
    look = replace(given, train_tfms=tuple(tfms))
    side = learn.data.ordered(ds_type).dataset
    dataset = replace(side, task=Task(look, side.task.target), augment=True)
    options = {k: learn.data.options[k] for k in ("num_workers", "device")}
    return look.loader(dataset, batch_size=learn.data.options["val_bs"], seed=number, **options)


def _window(tfms: Sequence[Transform], row: float, col: float) -> Transform:
    """The corner, in a window of the size and padding that the training transforms name."""
    crops = [tfm for tfm in tfms if isinstance(tfm, Crop)]
    size = next((tfm.size for tfm in reversed(crops) if tfm.size), None)
    mode = next((tfm.padding_mode for tfm in reversed(crops) if tfm.padding_mode), None)
    return augment.crop_pad(size, mode, row, col)


def _stays(tfm: Transform) -> bool:
    return not isinstance(tfm, Crop) and tfm.name not in {"flip_lr", "dihedral", "zoom"}


def _is_foreign(tfm: Transform) -> bool:
    return isinstance(tfm, Foreign)


def _refuse_foreign(kept: Sequence[Plan]) -> None:
    """Raise where other libraries move the plain look in a way that no matrix tells."""
    names = sorted({tfm.name for plan in kept for tfm, _ in plan.foreign})
    if names:
        raise UsageError(
            f"the validation transforms {listing(names)} are of another library, and where they "
            "put a pixel is not known: masks and points of several looks cannot be merged"
        )


def _warn_of_foreign(tfms: Sequence[Transform]) -> None:
    names = [tfm.name for tfm in tfms if _is_foreign(tfm)]
    if names:
        warn(
            f"{len(names)} training transforms of another library ({listing(names)}) are left out "
            "of the looks: where they put a pixel is not known, so that masks and points could not "
            "be mapped back",
            OnecycleWarning,
            stacklevel=5,
        )
