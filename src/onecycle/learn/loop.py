"""The loop: forward, backward, step; validation; and the moments at which callbacks are called."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from onecycle.core.errors import TrainingError
from onecycle.core.progress import bar
from onecycle.learn.accumulation import Accumulation
from onecycle.learn.batch_weight import weight_of
from onecycle.learn.callback import Callback, Run, StopFit
from onecycle.learn.engine import Engine
from onecycle.learn.losses import loss_of
from onecycle.models.modes import modes_kept

Notify = Callable[[str], None]
Validate = Callable[[Run], dict[str, Any]]


class Passes(Protocol):
    """Anything that can be iterated for batches (x, y), and counts them."""

    def __iter__(self) -> Iterator[tuple[Any, Any]]: ...
    def __len__(self) -> int: ...


def fit(run: Run, callbacks: Sequence[Callback], validate: Validate, show: bool = True) -> None:
    """Train for `run.epochs`, with a row of results in `run.history` after each."""
    ordered = sorted(callbacks, key=lambda callback: callback.order)

    def notify(moment: str) -> None:
        """Tell every callback, also where one of them asks to stop."""
        stop = None
        for callback in ordered:
            try:
                getattr(callback, moment)(run)
            except StopFit as asked:
                stop = asked
        if stop is not None:
            raise stop

    first = run.epoch
    try:
        run.engine.begin(run.model, run.optimizer.inner)
        notify("before_fit")
        for epoch in range(first, first + run.epochs):
            run.epoch = epoch
            run.row = {"epoch": run.epoch}
            train_epoch(run, notify, show)
            run.engine.synchronize(run.model)
            notify("before_validate")
            run.row |= validate(run)
            run.history.append(run.row)
            notify("after_epoch")
    except StopFit:
        run.engine.synchronize(run.model)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"out of memory with batches of {run.data.batch_size}: use "
            f"bs={max(1, run.data.batch_size // 2)}, smaller pictures or to_fp16()"
        ) from error
    finally:
        run.engine.end()
        run.optimizer.zero_grad()
        with ExitStack() as ends:  # each has its turn, whatever happens in the ones before
            for callback in reversed(ordered):
                ends.callback(callback.after_fit, run)


def train_epoch(run: Run, notify: Notify, show: bool) -> None:
    """One pass over the training batches."""
    run.model.train()
    _forget(run.model)
    notify("before_epoch")
    loader = run.engine.share(run.data.train_dl)
    total = len(loader)
    weight = weight_of(run.loss_func, run.data.task.target.weight)
    steps = Accumulation(run.engine, weight, run.accumulate, total)
    for i, (x, y) in enumerate(bar(loader, total, f"epoch {run.epoch}", show)):
        run.x, run.y = x, y
        loss_func = run.loss_func
        notify("before_batch")
        run.outputs = _forward(run)
        run.loss = loss_of(run.loss_func, run.outputs, run.y, run.data.task.target)
        run.loss_value = run.engine.mean(run.loss)
        notify("after_loss")
        run.engine.backward(steps.part(run.loss, run.y, i))
        run.loss_func = loss_func
        if not steps.ends(i):
            continue
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
    with modes_kept(model):
        model.eval()
        _forget(model)
        for x, y in bar(batches, len(batches), label, show):
            with torch.no_grad():
                outputs = engine.forward(model, x)
            if hasattr(outputs, "parts"):
                yield from outputs.parts(y, engine.in_parts)
            else:
                yield outputs, y
