"""What a model predicts of a set or an item: the hand-over from learning to interpretation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from onecycle.core.display import Shown, Table, refuse_figsize
from onecycle.core.errors import EmptyDataError, UsageError
from onecycle.data.databunch import DataBunch, DatasetType
from onecycle.data.label_list import LabelList
from onecycle.data.targets import LINE
from onecycle.data.task import Batches, Task
from onecycle.learn import evaluate, loop
from onecycle.learn.engine import Engine
from onecycle.learn.losses import loss_of, per_item_loss
from onecycle.learn.metric import names_of
from onecycle.runtime.kinds import Answer


class Trained(Protocol):
    """What these functions need of a learner, and no more."""

    model: nn.Module
    data: DataBunch
    engine: Engine

    @property
    def loss_func(self) -> Callable[..., Tensor]: ...


@dataclass(frozen=True, eq=False)
class Predictions:
    """Outputs, labels and losses in the order of `items`, all on the CPU.

    `probabilities` (n, ...) are activated, and calibrated where the answers are; `losses` (n,) are
    those of training, of the outputs as they are, zeros where there are no labels.
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
        require_labels(self.items, what)

    def predicted(self, index: int) -> Answer:
        """The model's answer for one item."""
        return self.task.target.decode(self.probabilities[index].numpy())

    def actual(self, index: int) -> Answer:
        """The item's label."""
        return self.items.target.answer(self.targets[index].numpy())


def require_labels(items: Any, what: str) -> None:
    """The same of the items of a loader; one of the user's own may have any."""
    if isinstance(items, LabelList) and items.labels is None:
        raise UsageError(
            f"these {len(items)} items have no labels, so there are no {what} of them: such a test "
            "set is for get_preds(DatasetType.Test). To measure on a labelled one, split with "
            "test_pct= or test=, or with_test() before label_*; or make data whose validation set "
            "the items are, and learn.validate(data.valid_dl)"
        )


def of_set(learner: Trained, batches: Batches, alone: bool = False) -> Predictions:
    """Run the model over a loader that keeps the set's order.

    Of several processes each computes its share; or this one all, `alone`.
    """
    target, labelled = learner.data.task.target, batches.dataset.labels is not None
    rows = []
    with loop.each_batch(learner.model, batches, learner.engine, alone) as pairs:
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
    return Predictions(probabilities, targets, losses, batches.dataset, learner.data.task)


def item_losses(learner: Trained, outputs: Tensor, y: Tensor) -> Tensor:
    """The learner's own loss of each item (n,), of its outputs as they are: that of training.

    One that knows no `reduction` sees them singly.
    """
    func, target = learner.loss_func, learner.data.task.target
    try:
        return per_item_loss(func, outputs, y, target)
    except UsageError:
        pairs = zip(outputs.split(1), y.split(1), strict=True)
        return torch.stack([loss_of(func, *pair, target).reshape(()) for pair in pairs])


def validate(learner: Trained, dl: Any, metrics: Any) -> list[float | None]:
    """[loss of training, *metrics of the answers] of a loader, or else of the validation set."""
    wanted = list(metrics) if isinstance(metrics, list | tuple) else [metrics]
    names_of(wanted)  # before any batch is computed
    batches = learner.data.dl(DatasetType.Valid) if dl is None else dl
    require_labels(getattr(batches, "dataset", None), "loss and metrics")
    how = learner.model, batches, learner.engine, learner.loss_func
    return evaluate.measure(*how, wanted, learner.data.task.target)


def of_item(learner: Trained, item: Any, thresh: float | None, return_x: bool) -> Any:
    """(answer, encoded answer, probabilities) of one item, and the image itself if asked for."""
    (x, _) = next(iter(learner.data.single([item])))
    outputs, _ = next(iter(loop.predict(learner.model, OneBatch(x), learner.engine)))
    data = learner.data if thresh is None else learner.data.with_threshold(thresh)
    target = data.task.target
    probabilities = target.activate(outputs)[0].cpu()
    answer = target.decode(probabilities.numpy())
    found = answer, torch.as_tensor(answer.data), probabilities
    return (learner.data.task.input.as_item(x[0]), *found) if return_x else found


class OneBatch:
    """A loader of the one batch that is already there."""

    def __init__(self, x: Tensor) -> None:
        self.batch = (x, torch.zeros(len(x)))

    def __iter__(self) -> Any:
        return iter([self.batch])

    def __len__(self) -> int:
        return 1


def part_of(side: LabelList, positions: Sequence[int]) -> LabelList:
    """Some items of a side, with their labels."""
    labels = None if side.labels is None else tuple(side.labels[i] for i in positions)
    return replace(side, x=side.x.take(positions), labels=labels)


def of_part(learner: Trained, side: LabelList, positions: Sequence[int]) -> Predictions:
    """What the model predicts of some items of a side, in one batch."""
    part, device = part_of(side, positions), learner.data.device
    make = learner.data.task.input.loader
    loader = make(part, batch_size=len(part), num_workers=0, device=device)
    return of_set(learner, loader, alone=True)


def show(
    learner: Trained, ds_type: DatasetType, rows: int, figsize: tuple[float, float] | None
) -> Any:
    """Up to rows x rows items of one side (rows of pairs of images, for masks and points)."""
    side = learner.data.in_order(ds_type).dataset
    count = min(rows if learner.data.task.target.drawn_over else rows * rows, len(side))
    return draw(of_part(learner, side, range(count)), range(count), min(rows, count), figsize)


def draw(
    found: Predictions,
    indexes: Sequence[int],
    columns: int,
    figsize: tuple[float, float] | None = None,
    captions: Sequence[str] | None = None,
) -> Any:
    """Items with what is actual and predicted: two images each where answers lie over them."""
    from onecycle.core.plot import add_title, grid

    target = found.task.target
    if found.task.input.in_tables:
        refuse_figsize(figsize)
        table = {
            "text": [str(found.items[i][0]) for i in indexes],
            "actual": [str(found.actual(i)) for i in indexes],
            "predicted": [str(found.predicted(i)) for i in indexes],
        }
        return Table(table | ({"note": list(captions)} if captions else {}))
    headings = ("actual", "predicted") if target.drawn_over else ("actual / predicted",)
    each = len(headings)
    places = grid(each * len(indexes), each if each == 2 else columns, figsize, cell=2.6)
    answers = [found.actual(i).text for i in indexes] + [found.predicted(i).text for i in indexes]
    apart = each == 1 and any(len(text) > LINE for text in answers)  # two long texts would run on
    for n, index in enumerate(indexes):
        pair = places[each * n :][:each]
        item, _ = found.items[index]
        for ax, heading in zip(pair, headings, strict=True):
            item.show(ax=ax)
            add_title(ax, "actual:" if apart else heading, fontsize=8)
        found.items.target.show(found.actual(index), pair[0])
        add_title(pair[-1], "predicted:" if apart else None, fontsize=8)
        target.show(found.predicted(index), pair[-1])
        if captions:
            add_title(pair[-1], captions[n], fontsize=8)
    target.legend(places[0].figure)
    return places[0].figure


# The table of a model's layers.


def summary(learner: Trained, groups: int) -> str:
    """Kind, output shape, parameters and trainability of every layer, for a batch of one.

    Runs it in evaluation mode, and leaves the model as it was; `groups` are its layer groups.
    """
    model, engine, loss_func = learner.model, learner.engine, learner.loss_func
    x = learner.data.one_batch(DatasetType.Train)[0][:1].to(learner.data.device)
    rows = [("layer", "output", "parameters", "trained")]

    def note(module: nn.Module, _: Any, output: Any) -> None:
        own = list(module.parameters())
        shape = "x".join(map(str, output.shape[1:])) if isinstance(output, Tensor) else "-"
        trained = "yes" if any(p.requires_grad for p in own) else "no" if own else ""
        count = f"{sum(p.numel() for p in own):,}"
        rows.append((type(module).__name__, shape, count, trained))

    leaves = [m for m in model.modules() if not list(m.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    try:
        list(loop.predict(model, OneBatch(x), engine))
    finally:
        for hook in hooks:
            hook.remove()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    loss = getattr(loss_func, "__qualname__", type(loss_func).__name__)
    about = [
        "",
        f"parameters: {total:,} in all, {trained:,} trained, {total - trained:,} frozen",
        f"layer groups: {groups}, loss: {loss}",
        f"device: {engine.device}, precision: {engine.precision}",
    ]
    return Shown("\n".join([type(model).__name__, *lines, *about]))
