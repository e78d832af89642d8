"""The loop: forward, backward, step; validation; and the moments at which callbacks are called."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import count, takewhile
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from onecycle.core.display import bar
from onecycle.core.errors import TrainingError
from onecycle.learn.callback import Callback, Run, StopFit
from onecycle.learn.engine import Engine, Pairs
from onecycle.learn.losses import PixelLoss, loss_of
from onecycle.learn.optimizer import GroupedOptimizer
from onecycle.models.groups import modes_kept

Notify = Callable[[str], None]
Validate = Callable[[Run], dict[str, Any]]


class Passes(Protocol):
    """Anything that can be iterated for batches (x, y), and counts them."""

    def __iter__(self) -> Iterator[tuple[Any, Any]]: ...
    def __len__(self) -> int: ...


def fit(run: Run, validate: Validate | None, show: bool = True) -> None:
    """Train for `run.epochs`, with a row of results in `run.history` after each.

    Callbacks may change how many there are, and `run.n_steps`, after which the last one ends.
    """
    callbacks = sorted(run.callbacks, key=lambda callback: callback.order)
    notify = partial(_notify, run, callbacks)
    try:
        run.engine.begin(run.model, run.optimizer.inner)
        notify("before_fit")
        for epoch in takewhile(lambda epoch: epoch < run.epochs, count(run.epoch)):
            run.epoch, run.row = epoch, {"epoch": epoch}
            train_epoch(run, notify, show)
            _validate(run, validate, notify)
        run.complete = True
    except StopFit:
        run.complete = True
        run.engine.synchronize(run.model)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"out of memory with batches of {run.data.batch_size}: use "
            f"bs={max(1, run.data.batch_size // 2)}, smaller images or to_fp16()"
        ) from error
    finally:
        run.engine.end()
        run.optimizer.zero_grad()
        with ExitStack() as ends:  # each has its turn, whatever happens in the ones before
            for callback in reversed(callbacks):
                ends.callback(callback.after_fit, run)


def _notify(run: Run, callbacks: Sequence[Callback], moment: str) -> None:
    """Call every callback, also where one of them asks to stop (of several processes, in one)."""
    stop = None
    for callback in callbacks:
        try:
            getattr(callback, moment)(run)
        except StopFit as asked:
            stop = asked
    if stop is None:
        return
    if run.engine.processes == 1 or moment not in _AGREED:
        raise stop
    run.ending = True  # and the others shall know of it


_AGREED = ("after_step", "after_epoch")  # the moments after which processes tell one another


def _validate(run: Run, validate: Validate | None, notify: Notify) -> None:
    """The end of an epoch, with its row."""
    run.validating = True
    run.engine.synchronize(run.model)
    notify("before_validate")
    run.row |= validate(run) if validate else {}
    run.history.append(run.row)
    run.validating, run.batch = False, 0
    notify("after_epoch")
    _stop_where_asked(run)


def _stop_where_asked(run: Run) -> None:
    """Ctrl-C or a callback's StopFit, where any process has seen it."""
    if run.engine.agree(run.stopping or run.ending):
        raise KeyboardInterrupt if run.engine.agree(run.stopping) else StopFit


def train_epoch(run: Run, notify: Notify, show: bool) -> None:
    """One pass over the training batches, from `run.batch` on."""
    run.model.train()
    _forget(run.model)
    notify("before_epoch")
    run.engine.require_shared(run.data)
    loader = run.engine.share(run.data.train_dl)
    total = len(loader)
    weight = weight_of(run.loss_func, run.data.task.target.weight)
    steps = Accumulation(run.engine, weight, run.accumulate, total)
    for x, y in bar(loader, total, f"epoch {run.epoch}", show, run.batch):
        if run.step >= run.n_steps:
            break
        run.x, run.y, loss_func = x, y, run.loss_func
        notify("before_batch")
        with run.engine.gradients(run.model, steps.ends(run.batch)):
            run.outputs = _forward(run)
            run.loss = loss_of(run.loss_func, run.outputs, run.y, run.data.task.target)
            run.loss_value = steps.mean(run.loss, run.y)
            notify("after_loss")
            run.engine.backward(steps.part(run.loss, run.y, run.batch))
        run.loss_func = loss_func
        run.batch += 1
        if steps.ends(run.batch - 1):
            _step(run, steps, notify)
            _stop_where_asked(run)


def _step(run: Run, steps: Accumulation, notify: Notify) -> None:
    """Move the weights by the gradients that are there."""
    run.engine.unscale(run.optimizer.inner)
    steps.level(run.optimizer)
    notify("after_backward")
    run.engine.step(run.optimizer.inner)
    run.optimizer.zero_grad()
    notify("after_step")
    run.step += 1


def _forward(run: Run) -> Any:
    """The outputs of a training batch; TrainingError where batch norm has too little to look at."""
    try:
        return run.engine.forward(run.model, run.x)
    except ValueError as error:
        if "more than 1 value per channel when training" not in str(error):
            raise
        raise TrainingError(
            f"batch norm cannot learn from a batch of {run.engine.one_item} "
            f"(bs={run.data.batch_size}): it needs the spread of several. Use databunch(bs=...) of "
            "2 or more for each process; accumulate= does not help, since each batch is normalised "
            "by itself. Where memory is short: smaller items, to_fp16() or to_bf16(), or a model "
            "without batch norm"
        ) from error


def _forget(model: nn.Module) -> None:
    """A model that carries a state from batch to batch begins every pass without one."""
    if hasattr(model, "reset"):
        model.reset()  # type: ignore[operator]


def predict(
    model: nn.Module, batches: Passes, engine: Engine, show: bool = False, label: str = ""
) -> Generator[tuple[Tensor, Tensor]]:
    """(outputs, y) of each batch, float32, in evaluation mode; large outputs come in parts.

    The model's mode is put back at the end, or when the generator is closed.
    """
    with modes_kept(model), ExitStack() as ends:
        model.eval()
        _forget(model)
        ends.callback(engine.rest, model)
        for x, y in bar(batches, len(batches), label, show):
            with torch.no_grad():
                outputs = engine.forward(model, x)
            if hasattr(outputs, "parts"):
                yield from outputs.parts(y, engine.in_parts)
            else:
                yield outputs, y


@contextmanager
def each_batch(
    model: nn.Module, batches: Passes, engine: Engine, alone: bool = False
) -> Iterator[Pairs]:
    """`predict`, of whose batches each process computes its share and gets the whole.

    To be entered in all processes, or `alone`, where this one computes all; the model's mode comes
    back at the end, however that is reached.
    """
    share = batches if alone else engine.share(batches)
    with closing(predict(model, share, engine)) as pairs:
        yield pairs if alone else engine.whole(pairs, share)


# Several batches before one step: each counts by its weight, as it would in one large batch.


class Accumulation:
    """Shares of the `total` batches of a pass in the steps that `accumulate` of them make each.

    The gradients of a step are sum(w * g) / sum(w) over its batches, also where the last ones are
    fewer, and over the shares of all processes, whose gradients are averaged on the way back.
    Losses go backward relative to the first batch of their step, so that 16-bit floats are as wide
    as without accumulation.
    """

    def __init__(self, engine: Engine, weight: Weight, accumulate: int, total: int) -> None:
        self.engine, self.weight = engine, weight
        self.accumulate, self.total = accumulate, total
        self.whole = accumulate * engine.processes == 1  # nothing has to be put together
        self.weights: list[float] = []

    def part(self, loss: Tensor, y: Tensor, number: int) -> Tensor:
        """What goes backward for batch `number` of the pass."""
        if self.whole:
            return loss
        if not number % self.accumulate:
            self.weights = []
        first = number - number % self.accumulate
        count = min(first + self.accumulate, self.total) - first
        mine = float(self.weight(y))
        self.weights.append(self.engine.total(mine))
        return loss * (mine * self.engine.processes / (count * self._first()))

    def mean(self, loss: Tensor, y: Tensor) -> float:
        """The loss of a batch, of those of its shares."""
        return self.engine.mean(loss, self.weight(y) if self.engine.processes > 1 else 1.0)

    def ends(self, number: int) -> bool:
        """Whether batch `number` is the last one of its step."""
        return number + 1 >= self.total or not (number + 1) % self.accumulate

    def level(self, optimizer: GroupedOptimizer) -> None:
        """Before the step: gradients divided by the weight of all its batches."""
        whole = sum(self.weights)
        factor = len(self.weights) * self._first() / whole if whole > 0 else 1.0
        if factor != 1:
            for part in optimizer.param_groups:
                for parameter in part["params"]:
                    if parameter.grad is not None:
                        parameter.grad.mul_(factor)

    def _first(self) -> float:
        """The weight of the step's first batch, by which the others are measured."""
        return self.weights[0] if self.weights and self.weights[0] > 0 else 1.0


# How much the mean that a loss gives of one batch counts beside those of other batches.

Weight = Callable[[Tensor], float]
_BY_CLASS = (nn.CrossEntropyLoss, nn.NLLLoss)
_BY_CLASS_FUNCTIONS = (F.cross_entropy, F.nll_loss)
_IGNORED = -100  # torch's own default


def weight_of(loss_func: Any, otherwise: Weight) -> Weight:
    """What a loss divides by in a batch with labels y: a function of y.

    Losses with class weights divide by the sum of the weights, those of pixels by the pixels that
    count; of all others `otherwise` (the target's own) is taken. With these weights means of
    batches make the mean of all, whatever the batches are.
    """
    if isinstance(loss_func, PixelLoss):
        return loss_func.batch_weight
    if isinstance(loss_func, _BY_CLASS):
        names = ("weight", "ignore_index", "reduction")
        options = {name: getattr(loss_func, name) for name in names}
    elif loss_func in _BY_CLASS_FUNCTIONS:
        options = {}
    elif isinstance(loss_func, partial) and loss_func.func in _BY_CLASS_FUNCTIONS:
        options = loss_func.keywords
    else:
        return otherwise
    if options.get("reduction", "mean") != "mean":
        return otherwise
    return partial(_by_class, options.get("weight"), options.get("ignore_index", _IGNORED))


def _by_class(weight: Tensor | None, ignored: int, y: Tensor) -> float:
    """The sum of the weights of the labels; where these are shares of classes, their number."""
    if y.is_floating_point():
        return len(y)
    counted = y[y != ignored]
    return counted.numel() if weight is None else float(weight.to(y.device)[counted].sum())
