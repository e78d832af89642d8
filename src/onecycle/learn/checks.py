"""What a learner was made with, against what it has now: layers, weights and labels may change."""

import os
from functools import partial
from math import isfinite
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from onecycle.core.errors import DivergedError, UsageError, warn
from onecycle.data.databunch import DataBunch
from onecycle.learn.callback import Callback, Run
from onecycle.models.groups import Groups, layer_groups

_NO_TABLES = "it belongs to recommendations, which onecycle leaves to others"
_INSTEAD = {
    "TTA": "TTA(learn) is a function here",
    "pred_batch": "learn.get_preds() answers a whole side, learn.predict(item) one item",
    "bias": _NO_TABLES,
    "weight": _NO_TABLES,
    "callback_fns": "callbacks are made first and given as callbacks=[...]",
    "purge": "learn.destroy() lets go of everything",
    "dls": "learn.data is the DataBunch, with train_dl and valid_dl",
}


def instead_of(name: str) -> str:
    """What to use in place of a member that other libraries' learners have, or nothing."""
    return f": {_INSTEAD[name]}" if name in _INSTEAD else ""


def require_bunch(data: Any) -> None:
    """UsageError for data that is no DataBunch."""
    if not isinstance(data, DataBunch):
        raise UsageError(
            f"a Learner trains on a DataBunch, not {type(data)}: the data block makes one "
            "(ImageList and its kind), or from_arrays(x, y)"
        )


class Layers:
    """The layer groups of a model, kept up where its layers were changed behind them.

    Parameters that are in no group when the groups are given stay in none.
    """

    def __init__(self, model: nn.Module, groups: Groups | None) -> None:
        self.groups = groups or layer_groups(model)
        held = self._group_numbers()
        self.left_out = {id(p): p for p in model.parameters() if id(p) not in held}

    def of(self, model: nn.Module) -> Groups:
        """The groups of `model` as it is now; a warning counts what came and went."""
        held = self._group_numbers()
        own = {id(parameter) for parameter in model.parameters()}
        added, gone = own - held.keys() - self.left_out.keys(), held.keys() - own
        if added or gone:
            self.groups = self._renew(model, held)
            message = (
                f"the model's layers were changed after the learner was made: {len(added)} of its "
                f"tensors of weights are new, {len(gone)} that were to be trained are gone. New "
                "ones join the layer groups of their neighbours (learn.split() makes others), and "
                "training begins with a fresh optimizer"
            )
            warn(message, 4)
        return self.groups

    def _group_numbers(self) -> dict[int, int]:
        """The number of the group of each parameter, by its id."""
        return {id(p): number for number, group in enumerate(self.groups) for p in group}

    def _renew(self, model: nn.Module, held: dict[int, int]) -> Groups:
        """Every parameter in its group; new ones in the group that went from their place, or else
        in that of the one before them.
        """
        own = [p for p in model.parameters() if id(p) not in self.left_out]
        known = [held.get(id(p)) for p in own]
        alive = {number for number in known if number is not None}
        groups: Groups = [[] for _ in self.groups]
        for at, (parameter, number) in enumerate(zip(own, known, strict=True)):
            if number is None:
                before = next((n for n in reversed(known[:at]) if n is not None), -1)
                after = next((n for n in known[at:] if n is not None), len(groups))
                emptied = [n for n in range(before + 1, after) if n not in alive]
                number = emptied[0] if emptied else max(before, 0)
            groups[number].append(parameter)
        return groups


def on_device(loss_func: Any, device: torch.device) -> Any:
    """The loss with its own tensors, such as weights of classes, where the outputs are."""
    if isinstance(loss_func, nn.Module):
        return loss_func.to(device)
    if isinstance(loss_func, partial):
        held = {k: v for k, v in loss_func.keywords.items() if isinstance(v, Tensor)}
        if any(tensor.device != device for tensor in held.values()):
            moved = {name: tensor.to(device) for name, tensor in held.items()}
            return partial(loss_func.func, *loss_func.args, **{**loss_func.keywords, **moved})
    return loss_func


def warn_of_seen(before: DataBunch, after: DataBunch) -> None:
    """Say how many files of the new validation set the learner's own training set holds."""
    items = after.valid_ds.items
    if not len(items) or not isinstance(items[0], os.PathLike):
        return
    seen = {os.fspath(item) for item in before.train_ds.items if isinstance(item, os.PathLike)}
    known = [name for item in items if (name := os.fspath(item)) in seen]
    if known:
        message = (
            f"{len(known)} of the {len(items)} validation items of the other data are in this "
            f"learner's training set, such as {known[0]!r}: what is measured on them has been "
            "learned by heart. Split once and make both data of it, or give the split a seed: "
            "split_by_rand_pct(0.2, seed=42)"
        )
        warn(message, 4)


# Guards of every training: the loss is a number, and the network gives what the loss expects.


class FiniteLoss(Callback):
    """Keeps the weights of the last good epoch while training."""

    order = -10

    def state_dict(self) -> dict[str, Any]:
        """Nothing: a fit that goes on has the weights of the checkpoint to go back to."""
        return {}

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
    """Warns of a network whose outputs are probabilities already: loss and answers want logits."""

    def before_fit(self, run: Run) -> None:
        """Look for a sigmoid at the end, whose outputs could be any numbers."""
        self.looked = False
        last = run.model
        while isinstance(last, nn.Sequential) and len(last):
            last = last[-1]
        if isinstance(last, nn.Sigmoid):
            self._warn(run, "a sigmoid")

    def after_loss(self, run: Run) -> None:
        """Look at the first outputs of a fit: rows of a softmax are known by their sums."""
        outputs = None if self.looked else run.outputs
        self.looked = True
        if isinstance(outputs, Tensor) and outputs.ndim > 1 and outputs.shape[1] > 1:
            rows = outputs.detach().float()
            if bool((rows >= 0).all() and ((rows.sum(1) - 1).abs() < 1e-3).all()):
                self._warn(run, "a softmax")

    def _warn(self, run: Run, found: str) -> None:
        activation = run.data.task.target.activation
        if activation == "identity":
            return
        message = (
            f"the network seems to end in {found}, and a {activation} follows in the loss and in "
            "all answers: probabilities would be squeezed twice, and training is slow. Leave that "
            "layer out: a network gives plain numbers (logits)"
        )
        warn(message, 4)


def _cause(run: Run) -> str:
    """The first thing on the way to the loss that is not finite."""
    for name, value in (("inputs", run.x), ("labels", run.y)):
        if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all():
            return f"the {name} of the batch already hold values that are not numbers"
    if isinstance(run.outputs, Tensor) and not run.outputs.isfinite().all():
        return "the model's outputs overflowed, so the rate is probably too high: try a tenth"
    return "the loss function itself does, on finite outputs and labels"
