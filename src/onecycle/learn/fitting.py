"""One run of the loop for a learner: its callbacks, its row of results, and how it is stopped."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from onecycle.core.machine import defaults
from onecycle.core.rng import preserve_rng
from onecycle.data.databunch import DataBunch
from onecycle.learn import checks, evaluate, loop
from onecycle.learn.calibration import set_temperature
from onecycle.learn.callback import Callback, Run, check_callbacks
from onecycle.learn.callbacks import FrozenNorm
from onecycle.learn.engine import Engine
from onecycle.learn.interrupt import stop_on_signals
from onecycle.learn.metric import directions_of, names_of
from onecycle.learn.optimizer import GroupedOptimizer
from onecycle.learn.recorder import Printer, Recorder
from onecycle.learn.resume import Checkpoint
from onecycle.models.groups import modes_kept


class Trainable(Protocol):
    """What this needs of a learner."""

    model: nn.Module
    engine: Engine
    opt: GroupedOptimizer | None
    recorder: Recorder
    history: list[dict[str, Any]]
    callbacks: list[Callback]
    metrics: list[Any]
    accumulate: int
    silent: bool
    train_bn: bool

    @property
    def data(self) -> DataBunch: ...
    @property
    def loss_func(self) -> Callable[..., Tensor]: ...


def fit(
    learner: Trainable,
    epochs: int,
    callbacks: Sequence[Callback],
    validate: bool,
    bare: bool = False,
    owner: Any = None,
) -> None:
    """One run of the loop with the optimizer as it stands; `bare` without the usual callbacks.

    Callbacks are bound to the `owner`, where what is trained is a part of it. Ctrl-C ends it after
    the current step, a second one at once, with the weights kept.
    """
    assert learner.opt is not None
    metrics, engine, data = learner.metrics, learner.engine, learner.data
    shown = defaults.progress and not learner.silent and engine.main
    columns: dict[str, bool | None] = {"train_loss": False}
    if validate:
        columns |= {"valid_loss": False} | directions_of(metrics)
    everyone = _callbacks(learner, callbacks, bare, shown, owner or learner)
    what = learner.model, data, learner.opt, engine, learner.loss_func
    steps = epochs * ceil(len(data.train_dl) / learner.accumulate)
    run = Run(*what, epochs, steps, learner.accumulate, directions=columns, callbacks=everyone)
    run.history = learner.history
    kept = [callback for callback in everyone if isinstance(callback, Checkpoint)]
    run.resumed = any(callback.source for callback in kept)
    if learner.accumulate > 1 and shown and not bare:
        each, bs = run.n_steps // epochs, data.batch_size
        print(
            f"accumulate={learner.accumulate}: a step after as many batches of {bs}, as with "
            f"bs={learner.accumulate * bs}; {each} steps an epoch"
        )
    found = lambda run: evaluate.validate(run, learner.loss_func, metrics)  # noqa: E731
    if bare:
        loop.fit(run, found if validate else None, show=False)
        return
    with stop_on_signals(run, terminate=bool(kept)):
        try:
            loop.fit(run, found if validate else None, shown)
        except KeyboardInterrupt:
            engine.say(
                f"stopped by hand in epoch {run.epoch}, after {run.step} steps of the fit; the "
                "weights are kept"
            )


def _callbacks(
    learner: Trainable, given: Sequence[Callback], bare: bool, shown: bool, owner: Any
) -> list[Callback]:
    """All that take part, checked, each with its learner."""
    everyone: list[Callback] = [] if learner.train_bn else [FrozenNorm()]
    if not bare:
        printer = Printer(names_of(learner.metrics), shown)
        everyone += [learner.recorder, printer, checks.FiniteLoss(), checks.PlainOutputs()]
        everyone += learner.callbacks
    everyone += given
    check_callbacks(everyone)
    for callback in everyone:
        callback.bind(owner)
    return everyone


@contextmanager
def preserve_state(learner: Trainable) -> Iterator[None]:
    """Whatever happens inside: the learner comes out as it went in; see its method."""
    weights = {k: v.clone() for k, v in learner.model.state_dict().items()}
    order, opt, history = learner.data.train_dl.state(), learner.opt, list(learner.history)
    scaler = learner.engine.scaler.state_dict()
    trained = [(p, p.requires_grad) for p in learner.model.parameters()]
    temperature = learner.data.task.target.temperature
    learner.opt = None
    try:
        with preserve_rng(torch), modes_kept(learner.model):
            yield
    finally:
        learner.model.load_state_dict(weights)
        for parameter, learns in trained:
            parameter.grad = None
            parameter.requires_grad_(learns)
        set_temperature(learner, temperature)
        learner.data.train_dl.restore(order)
        learner.opt, learner.history[:] = opt, history
        learner.engine.scaler.load_state_dict(scaler)
