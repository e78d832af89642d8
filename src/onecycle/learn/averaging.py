"""An average of the weights, which is often better than the last of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from onecycle.core.errors import UsageError, require_share
from onecycle.learn.calibration import forget_temperature
from onecycle.learn.callback import Callback, Run
from onecycle.learn.sharding import refuse_shards


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

        refuse_shards(run.model, "ModelEMA")
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


# Of several trainings: model soups.

State = Mapping[str, Tensor]


def soup(learner: Any, files: Sequence[str | Path], greedy: bool = True) -> list[str | Path]:
    """Give `learner` the mean of the weights that `save` wrote to `files`; returns those in it.

    With `greedy` the file of the lowest validation loss comes first, and each other one, from the
    better to the worse, is left out where the loss would rise by it: so the soup is no worse than
    the best of them on the validation side (Wortsman et al. 2022, arXiv 2203.05482). Statistics of
    batch norm are renewed by a pass over the training side, by torch's `update_bn`. For trainings
    that went on from the same pretrained weights: means of others answer nothing. Raises
    CheckpointError for files of other models; the learner is then as it was.
    """
    refuse_shards(learner.model, "soup()")
    names = [files] if isinstance(files, str | Path) else list(files)
    if len(names) < 2:
        raise UsageError(f"a soup is made of two saved models or more, not of {len(names)}")
    with learner.preserve_state():
        read = [(*_read(learner, name), name) for name in names]
        order = sorted(read, key=lambda one: one[0]) if greedy else read
        chosen, (best, found, _) = order[:1], order[0]
        for more in [[one] for one in order[1:]] if greedy else [order[1:]]:
            mixed = _mixed(learner, [state for _, state, _ in (*chosen, *more)])
            loss = learner.validate()[0]
            if loss <= best or not greedy:
                chosen, best, found = [*chosen, *more], loss, mixed
    forget_temperature(learner, "the soup has weights of its own", 2)
    learner.model.load_state_dict(found)
    learner.opt = None
    return [name for _, _, name in chosen]


def _read(learner: Any, name: str | Path) -> tuple[float, State]:
    """The validation loss and the weights of a file, which the learner has for that time."""
    learner.load(name, with_opt=False)
    return learner.validate()[0], {k: v.clone() for k, v in learner.model.state_dict().items()}


def _mixed(learner: Any, states: Sequence[State]) -> State:
    """The mean of the weights, in the learner's model, and its renewed state."""
    from torch.optim.swa_utils import update_bn

    mean = {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }
    learner.model.load_state_dict(mean)
    update_bn(learner.data.train_dl, learner.model)
    return {name: value.clone() for name, value in learner.model.state_dict().items()}
