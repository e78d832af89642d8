"""What a callback can see (`Run`), and the moments at which it is called (`Callback`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from onecycle.core.errors import UsageError, warn
from onecycle.data.databunch import DataBunch
from onecycle.learn.engine import Engine
from onecycle.learn.optimizer import GroupedOptimizer
from onecycle.learn.packing import can_pack


@dataclass(repr=False)
class Run:
    """The state of one call to `fit`: what callbacks read, and may write.

    `x`, `y`, `loss_func`, `outputs` and `loss` belong to the batch at hand; `row` to the epoch.
    The weights move after every `accumulate` batches, whose gradients are averaged by what counts.
    `directions` are the columns that the row will have: True where more is better, False where
    less is, None where nobody has said. `callbacks` are all that take part.

    `batch` counts those of the epoch that went backward, `step` the steps of the fit. Where
    `stopping` is set, the fit ends after the step, or after validation; `complete` says that it
    ended by itself; `resumed` that it goes on from a checkpoint.
    """

    model: nn.Module
    data: DataBunch
    optimizer: GroupedOptimizer
    engine: Engine
    loss_func: Callable[..., Tensor]
    epochs: int
    n_steps: int
    accumulate: int = 1
    epoch: int = 0
    batch: int = 0
    step: int = 0
    resumed: bool = False
    validating: bool = False
    stopping: bool = False
    ending: bool = False
    complete: bool = False
    x: Any = None
    y: Any = None
    outputs: Any = None
    loss: Tensor | None = None
    loss_value: float = float("nan")
    row: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    directions: Mapping[str, bool | None] = field(default_factory=dict)
    callbacks: Sequence[Callback] = ()

    def __repr__(self) -> str:
        place = f"epoch {self.epoch} of {self.epochs}, step {self.step} of {self.n_steps}"
        return f"Run: {place}, loss {self.loss_value:.4g}, row {self.row}"


class Callback:
    """Subclass it, and override the moments you care about; `order` sorts (small ones first).

    `schedules` is True for one that sets rates and momentum before every batch, so that what
    others set does not last.
    """

    order: int = 0
    schedules: bool = False

    def claims(self) -> tuple[str, ...]:
        """What only one callback of a fit may do, as what both would do: "mix the items"."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint of the fit keeps of it; see `packing.pack` for what that may be.

        Without another answer: all its attributes of such kinds.
        """
        return {name: value for name, value in vars(self).items() if can_pack(value)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become what `state_dict` told of; called after `before_fit`."""
        vars(self).update(state)

    def bind(self, learner: Any) -> None:
        """Before each fit, with the learner that trains: for what a `Run` does not show."""

    def before_fit(self, run: Run) -> None:
        """Before the first epoch."""

    def before_epoch(self, run: Run) -> None:
        """Before the first training batch of an epoch."""

    def before_batch(self, run: Run) -> None:
        """Before a training batch (`run.x`, `run.y`) goes through the model."""

    def after_loss(self, run: Run) -> None:
        """`run.outputs` and `run.loss` are there; what is added to `run.loss` is trained too."""

    def after_backward(self, run: Run) -> None:
        """The gradients are there, the optimizer has not used them yet."""

    def after_step(self, run: Run) -> None:
        """The weights have moved; `run.loss_value` is the loss of this batch."""

    def before_validate(self, run: Run) -> None:
        """The training batches of the epoch are done; `run.row` holds their smoothed loss."""

    def after_epoch(self, run: Run) -> None:
        """After validation; `run.row` holds the losses and the metrics."""

    def after_fit(self, run: Run) -> None:
        """After the last epoch, and also after an error: put back what `before_fit` changed."""


MOMENTS = tuple(name for name in vars(Callback) if name.startswith(("before_", "after_")))
_LIKE_MOMENTS = re.compile(r"(before|after|begin)_\w+|on_\w+_(begin|start|end)")


def check_callbacks(callbacks: Sequence[Callback]) -> None:
    """UsageError for what is no callback, is there twice, or does what only one may do.

    Warns of methods that are named like a moment of another library, and would never be called.
    """
    owners: dict[Any, Callback] = {}
    for callback in callbacks:
        if not isinstance(callback, Callback):
            name = callback.__name__ if isinstance(callback, type) else repr(callback)
            raise UsageError(
                f"a callback is an object of a subclass of Callback, as EarlyStopping(), not {name}"
            )
        unheard = [n for n in dir(callback) if _LIKE_MOMENTS.fullmatch(n) and n not in MOMENTS]
        if unheard:
            message = (
                f"{type(callback).__name__} has {', '.join(unheard)}, which nothing calls: the "
                f"moments are {', '.join(MOMENTS)}. Rename what is a helper of its own"
            )
            warn(message, 4)
        if id(callback) in owners:
            raise UsageError(
                f"the same {type(callback).__name__} is there twice: in learn.callbacks, or there "
                "and in callbacks=. Leave one out: learn.callbacks.remove(...)"
            )
        owners[id(callback)] = callback
        for claim in callback.claims():
            other = owners.setdefault(claim, callback)
            if other is not callback:
                names = " and ".join(dict.fromkeys(type(c).__name__ for c in (other, callback)))
                both = "both" if " and " in names else "is there twice, and both"
                raise UsageError(
                    f"{names} {both} {claim}: leave one out. Those that stay with the learner are "
                    f"in learn.callbacks; learn.callbacks.clear() takes them out"
                )


class StopFit(Exception):  # noqa: N818 - a signal, as StopIteration is, and not an error
    """Raised by a callback to end training early; `fit` then returns as usual."""
