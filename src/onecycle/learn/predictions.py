"""What a model says about a set or an item: the hand-over from learning to interpretation."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from onecycle.core.errors import EmptyDataError
from onecycle.data.databunch import DatasetType
from onecycle.data.labelled import LabelList
from onecycle.data.task import Batches, Task
from onecycle.learn import loop
from onecycle.spec.answers import Answer

if TYPE_CHECKING:
    from onecycle.learn.learner import Learner


@dataclass(frozen=True, eq=False)
class Predictions:
    """Outputs, labels and losses in the order of `items`, all on the CPU.

    `probabilities` (n, ...) are activated; `losses` (n,) are zeros where there are no labels.
    """

    probabilities: Tensor
    targets: Tensor
    losses: Tensor
    items: LabelList
    task: Task

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def classes(self) -> list[Any]:
        """The names of the classes."""
        return list(getattr(self.task.target, "classes", ()))

    def said(self, index: int) -> Answer:
        """The model's answer for one item."""
        return self.task.target.decode(self.probabilities[index].numpy())

    def true(self, index: int) -> Answer:
        """The item's label."""
        return self.items.target.answer(self.targets[index].numpy())


def of_set(learner: Learner, batches: Batches) -> Predictions:
    """Run the model over a loader that keeps the set's order."""
    target, labelled = learner.task.target, batches.dataset.labels is not None
    rows = []
    with closing(loop.predict(learner.model, batches, learner.engine)) as pairs:
        for outputs, y in pairs:
            losses = target.loss(outputs, y, "none") if labelled else torch.zeros(len(outputs))
            rows.append((target.activate(outputs).cpu(), y.cpu(), losses.cpu()))
    if not rows:
        raise EmptyDataError("there is nothing to predict: the set has no items")
    probabilities, targets, losses = (torch.cat(column) for column in zip(*rows, strict=True))
    return Predictions(probabilities, targets, losses, batches.dataset, learner.task)


def of_item(learner: Learner, item: Any, thresh: float | None, return_x: bool) -> Any:
    """(answer, encoded answer, probabilities) of one item, and the picture itself if asked for."""
    batches = learner.data.single([item])
    (x, _) = next(iter(batches))
    outputs, _ = next(iter(loop.predict(learner.model, OneBatch(x), learner.engine)))
    target = learner.task.target
    if thresh is not None:
        target = learner.data.with_threshold(thresh).task.target
    probabilities = target.activate(outputs)[0].cpu()
    answer = target.decode(probabilities.numpy())
    found = answer, torch.as_tensor(answer.data), probabilities
    return (learner.task.input.as_item(x[0]), *found) if return_x else found


class OneBatch:
    """A loader of the one batch that is already there."""

    def __init__(self, x: Tensor) -> None:
        self.batch = (x, torch.zeros(len(x)))

    def __iter__(self) -> Any:
        return iter([self.batch])

    def __len__(self) -> int:
        return 1


def show(
    learner: Learner, ds_type: DatasetType, rows: int, figsize: tuple[float, float] | None
) -> Any:
    """Up to rows x rows items of one side, the true answer over the model's."""
    from onecycle.core.draw import add_title, grid

    side = learner.data.ordered(ds_type).dataset
    count = min(rows * rows, len(side))
    part = replace(
        side,
        x=side.x.take(range(count)),
        labels=None if side.labels is None else side.labels[:count],
    )
    batches = learner.task.input.loader(
        part, batch_size=count, num_workers=0, device=learner.data.device
    )
    found = of_set(learner, batches)
    target = learner.task.target
    places = grid(count, min(rows, count), figsize, cell=2.6)
    for i, ax in enumerate(places):
        item, _ = part[i]
        item.show(ax=ax)
        add_title(ax, "true / said", fontsize=8)
        part.target.show(found.true(i), ax)
        target.show(found.said(i), ax)
    return places[0].figure
