"""What a callback can see (`Run`), and the moments at which it is called (`Callback`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from onecycle.data.databunch import DataBunch
from onecycle.learn.engine import Engine
from onecycle.learn.optimizer import GroupedOptimizer


@dataclass
class Run:
    """The state of one call to `fit`: what callbacks read, and may write.

    `x`, `y`, `loss_func`, `outputs` and `loss` belong to the batch at hand; `row` to the epoch.
    The weights move after every `accumulate` batches, whose gradients are averaged by what counts.
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
    step: int = 0
    x: Any = None
    y: Any = None
    outputs: Any = None
    loss: Tensor | None = None
    loss_value: float = float("nan")
    row: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


class Callback:
    """Subclass it, and override the moments you care about; `order` sorts (small ones first)."""

    order: int = 0

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


class StopFit(Exception):  # noqa: N818 - a signal, as StopIteration is, and not an error
    """Raised by a callback to end training early; `fit` then returns as usual."""
