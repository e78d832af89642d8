"""An average of the weights, which is often better than the last of them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from onecycle.core.errors import require_share
from onecycle.learn.callback import Callback, Run


class ModelEMA(Callback):
    """Keeps the exponential moving average of weights and statistics, by timm's ModelEmaV3.

    After each step n the average moves towards the weights by 1 - `decay`, or where that is more by
    n^(-2/3), so that the first steps are soon forgotten. It is what each epoch validates, what
    `SaveModel` saves, and what the model has at the end of the fit; training goes on from its own
    weights. Costs two copies of them.
    """

    order = 1000  # after all that look at the weights, before a Checkpoint keeps those of training

    def __init__(self, decay: float = 0.99) -> None:
        self.decay = require_share("decay", decay)
        self.trained: dict[str, Tensor] = {}  # there also where a fit ends before it begins
        self.validating = False

    def claims(self) -> tuple[str, ...]:
        """Two would put their own averages in each other's place."""
        return ("validate an average of the weights",)

    def before_fit(self, run: Run) -> None:
        """The average begins as the weights are."""
        from timm.utils import ModelEmaV3  # type: ignore[attr-defined]

        self.average: Any = ModelEmaV3(run.model, self.decay, use_warmup=True)
        self.trained, self.validating = {}, False

    def state_dict(self) -> dict[str, Any]:
        """The average by the names of its tensors."""
        return {"average": dict(self.average.module.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the average of a checkpoint."""
        self.average.module.load_state_dict(state["average"])

    def after_step(self, run: Run) -> None:
        """Move the average."""
        self.average.update(run.model, run.step + 1)

    def before_validate(self, run: Run) -> None:
        """The average takes the place of the weights."""
        run.engine.synchronize(self.average.module)
        self.trained = {name: value.clone() for name, value in run.model.state_dict().items()}
        run.model.load_state_dict(self.average.module.state_dict())
        self.validating = True

    def after_epoch(self, run: Run) -> None:
        """The weights of training come back."""
        run.model.load_state_dict(self.trained)
        self.validating = False

    def after_fit(self, run: Run) -> None:
        """The average stays, unless a better one was loaded, or the fit was cut off."""
        if self.validating:
            self.after_epoch(run)
        now = run.model.state_dict()
        kept = self.trained and all(torch.equal(now[k], v) for k, v in self.trained.items())
        if run.complete and kept:
            run.model.load_state_dict(self.average.module.state_dict())
        self.trained = {}
