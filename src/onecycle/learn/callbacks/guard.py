"""Guards of every training: the loss is a number, and the network gives what the loss expects."""

from __future__ import annotations

from math import isfinite
from typing import NoReturn

from torch import Tensor

from onecycle.core.errors import DivergedError
from onecycle.learn.callback import Callback, Run
from onecycle.learn.upkeep import warn_of_activated, warn_of_last_layer


class FiniteLoss(Callback):
    """Keeps the weights of the last good epoch while training."""

    order = -10

    def before_epoch(self, run: Run) -> None:
        """Remember the weights."""
        self.kept = {k: v.detach().clone() for k, v in run.model.state_dict().items()}

    def after_loss(self, run: Run) -> None:
        """Raise DivergedError at the first loss that is not a number, weights put back."""
        if isfinite(run.loss_value):
            return
        where = f"in epoch {run.epoch}, step {run.step}"
        self._give_up(run, f"the loss became {run.loss_value} {where}", _cause(run))

    def before_validate(self, run: Run) -> None:
        """Raise as well where the last steps left weights that are not numbers."""
        if all(bool(p.isfinite().all()) for p in run.model.parameters()):
            return
        where = f"in epoch {run.epoch}, step {run.step - 1} or before"
        cause = "gradients overflowed, so the rate is probably too high: try a tenth"
        self._give_up(run, f"the weights are no longer numbers {where}", cause)

    def _give_up(self, run: Run, what: str, cause: str) -> NoReturn:
        """Put the weights back, forget the optimizer's averages of broken steps, and raise."""
        run.model.load_state_dict(self.kept)
        run.optimizer.inner.state.clear()
        raise DivergedError(
            f"{what}, at learning rate {run.optimizer.rates()[-1]:.2e}: {cause}. The weights are "
            "those before the epoch"
        )

    def after_fit(self, run: Run) -> None:
        """Let the copy go."""
        self.kept = {}


class PlainOutputs(Callback):
    """Warns, once a fit, of a network whose outputs are probabilities already."""

    def before_fit(self, run: Run) -> None:
        """Look at its last layer."""
        self.looked = False
        warn_of_last_layer(run.model, run.data.task.target.activation)

    def after_loss(self, run: Run) -> None:
        """Look at the first outputs."""
        if not self.looked:
            self.looked = True
            warn_of_activated(run.outputs, run.data.task.target.activation)


def _cause(run: Run) -> str:
    """The first thing on the way to the loss that is not finite."""
    for name, value in (("inputs", run.x), ("labels", run.y)):
        if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
            return f"the {name} of the batch already hold values that are not numbers"
    if isinstance(run.outputs, Tensor) and not run.outputs.isfinite().all():
        return "the model's outputs overflowed, so the rate is probably too high: try a tenth"
    return "the loss function itself does, on finite outputs and labels"
