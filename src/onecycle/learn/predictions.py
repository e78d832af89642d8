"""What a model says about a set or an item: the hand-over from learning to interpretation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from onecycle.core.display import Table, refuse_figsize
from onecycle.core.errors import EmptyDataError, UsageError
from onecycle.data.databunch import DatasetType, LabelList
from onecycle.data.task import Batches, Task
from onecycle.learn import loop
from onecycle.learn.losses import loss_of, per_item_loss
from onecycle.runtime.kinds import Answer

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
        return list(self.task.target.classes)

    def require_labels(self, what: str) -> None:
        """UsageError where the items have none: then there is nothing to compare with."""
        _require(self.items, what)

    def said(self, index: int) -> Answer:
        """The model's answer for one item."""
        return self.task.target.decode(self.probabilities[index].numpy())

    def true(self, index: int) -> Answer:
        """The item's label."""
        return self.items.target.answer(self.targets[index].numpy())


def require_labels(batches: Any, what: str) -> None:
    """The same of a loader; one of the user's own may be anything."""
    if isinstance(getattr(batches, "dataset", None), LabelList):
        _require(batches.dataset, what)


def _require(items: LabelList, what: str) -> None:
    if items.labels is None:
        raise UsageError(
            f"these {len(items)} items have no labels, so there are no {what} of them: a test set "
            "is for get_preds(DatasetType.Test). To measure on other labelled items, make data "
            "whose validation set they are, and learn.validate(data.valid_dl)"
        )


def of_set(learner: Learner, batches: Batches) -> Predictions:
    """Run the model over a loader that keeps the set's order."""
    target, labelled = learner.task.target, batches.dataset.labels is not None
    rows = []
    with closing(loop.predict(learner.model, batches, learner.engine)) as pairs:
        for outputs, y in pairs:
            losses = item_losses(learner, outputs, y) if labelled else torch.zeros(len(outputs))
            rows.append((target.activate(outputs).cpu(), y.cpu(), losses.cpu()))
    if not rows:
        raise EmptyDataError("there is nothing to predict: the set has no items")
    columns = [torch.cat(column) for column in zip(*rows, strict=True)]
    order = getattr(batches, "order", None)
    if order is not None:  # texts come by length
        back = torch.as_tensor(order).argsort()
        columns = [column[back] for column in columns]
    probabilities, targets, losses = columns
    return Predictions(probabilities, targets, losses, batches.dataset, learner.task)


def item_losses(learner: Learner, outputs: Tensor, y: Tensor) -> Tensor:
    """The learner's own loss of each item (n,); one that knows no `reduction` sees them singly."""
    func, target = learner.loss_func, learner.task.target
    try:
        return per_item_loss(func, outputs, y, target)
    except UsageError:
        pairs = zip(outputs.split(1), y.split(1), strict=True)
        return torch.stack([loss_of(func, *pair, target).reshape(()) for pair in pairs])


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


_HEADINGS = {1: ("true / said",), 2: ("true", "said")}


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
    """Up to rows x rows items of one side (rows of pairs of pictures, for masks and points)."""
    side = learner.data.ordered(ds_type).dataset
    count = min(rows if learner.task.target.drawn_over else rows * rows, len(side))
    found = of_part(learner, side, range(count))
    return draw(found, range(count), min(rows, count), figsize)


def of_part(learner: Learner, side: LabelList, positions: Sequence[int]) -> Predictions:
    """What the model says about some items of a side, in one batch."""
    labels = None if side.labels is None else tuple(side.labels[i] for i in positions)
    part = replace(side, x=side.x.take(positions), labels=labels)
    make = learner.task.input.loader
    device = learner.data.device
    return of_set(learner, make(part, batch_size=len(positions), num_workers=0, device=device))


def _table(found: Predictions, indexes: Sequence[int], captions: Sequence[str] | None) -> Table:
    """Texts with what is true and what was said, one a row."""
    columns = {
        "text": [str(found.items[i][0]) for i in indexes],
        "true": [str(found.true(i)) for i in indexes],
        "said": [str(found.said(i)) for i in indexes],
    }
    return Table(columns | ({"note": list(captions)} if captions else {}))


def draw(
    found: Predictions,
    indexes: Sequence[int],
    columns: int,
    figsize: tuple[float, float] | None = None,
    captions: Sequence[str] | None = None,
) -> Any:
    """Items with what is true and what was said: two pictures each where answers lie over them."""
    from onecycle.core.plot import add_title, grid

    target = found.task.target
    if found.task.input.in_tables:
        refuse_figsize(figsize)
        return _table(found, indexes, captions)
    each = 2 if target.drawn_over else 1
    places = grid(each * len(indexes), each if each == 2 else columns, figsize, cell=2.6)
    for n, index in enumerate(indexes):
        first, last = places[each * n], places[each * n + each - 1]
        item, _ = found.items[index]
        for ax, heading in zip(places[each * n :][:each], _HEADINGS[each], strict=True):
            item.show(ax=ax)
            add_title(ax, heading, fontsize=8)
        found.items.target.show(found.true(index), first)
        target.show(found.said(index), last)
        if captions:
            add_title(last, captions[n], fontsize=8)
    target.legend(places[0].figure)
    return places[0].figure
