"""What a learner was made with, against what it has now: layers, weights and labels may change."""

import os
from functools import partial
from math import isfinite
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from onecycle.core.errors import DivergedError, UsageError, listing, warn
from onecycle.core.path_list import plain_items
from onecycle.data.databunch import DataBunch
from onecycle.learn import finite
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


def require_bunch(data: Any, callback_fns: Any) -> None:
    """UsageError for data that is no DataBunch, and for functions that make callbacks."""
    if callback_fns:
        raise UsageError("callback_fns are made first: callbacks=[...], here or in fit()")
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


def describe(learner: Any, model: str) -> str:
    """One line: model, data, and the figures of the last epoch."""
    numbers = [parameter.numel() for parameter in learner.model.parameters()]
    trained = sum(p.numel() for p in learner.model.parameters() if p.requires_grad)
    parts = [f"{model}, {sum(numbers):,} parameters ({trained:,} trained)", repr(learner.data)]
    if learner.history:
        row = {k: v for k, v in learner.history[-1].items() if k not in {"epoch", "seconds"}}
        shown = [f"{k} {v:.4g}" for k, v in row.items() if isinstance(v, float)]
        parts.append(f"after {len(learner.history)} epochs {', '.join(shown)}")
    return f"{type(learner).__name__}: {'; '.join(parts)}; summary() shows the layers"


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


def listed(given: Any) -> list[Any]:
    """Metrics as a list: one, several or none were given."""
    every = given if isinstance(given, list | tuple) else [given]
    return [metric for metric in every if metric is not None]


def warn_of_seen(before: DataBunch, after: DataBunch) -> None:
    """Say how many files of the new validation set the learner's own training set holds."""
    items = after.valid_ds.items
    if not len(items) or not isinstance(items[0], os.PathLike):
        return
    seen = {str(item) for item in plain_items(before.train_ds.items)}
    known = [name for item in plain_items(items) if (name := str(item)) in seen]
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
    """Ends training at the first number that is not finite, with where it came from.

    Keeps the weights of the last good epoch while training. Besides each loss it looks at one small
    gradient of each step: that of the first layer, which has come through all the others.
    """

    order = -10
    largest_looked_at = 2**16  # numbers of that gradient

    def state_dict(self) -> dict[str, Any]:
        """Nothing: a fit that goes on has the weights of the checkpoint to go back to."""
        return {}

    def before_epoch(self, run: Run) -> None:
        """Remember the weights, and where the scale of the loss stands."""
        self.kept = {k: v.detach().clone() for k, v in run.model.state_dict().items()}
        layers = [m for m in run.model.modules() if not [*m.children()]]
        trained = (p for m in (*layers, run.model) for p in m.parameters() if p.requires_grad)
        self.first = next((p for p in trained if p.numel() <= self.largest_looked_at), None)
        self.began, self.scale = run.step, run.engine.scaler.get_scale()

    def after_loss(self, run: Run) -> None:
        """Raise DivergedError at the first loss that is not a number, weights put back."""
        self.loss_func = run.loss_func
        if not isfinite(run.loss_value):
            why = finite.loss_cause(run)
            self._give_up(run, f"the loss became {run.loss_value}", run.step, why)

    def after_backward(self, run: Run) -> None:
        """Raise as well where gradients are not numbers, before the weights are moved by them.

        With a scale of the loss it is usual that some steps overflow, and are left out.
        """
        grad = None if self.first is None else self.first.grad
        if grad is None or run.engine.scaler.is_enabled() or isfinite(float(grad.sum())):
            return
        what = f"the gradients are no longer numbers, with a loss of {run.loss_value:.4g},"
        self._give_up(run, what, run.step, finite.gradient_cause(run, self.loss_func))

    def before_validate(self, run: Run) -> None:
        """Raise as well where the weights are not numbers, or every step was left out."""
        last, scale = run.step - 1, run.engine.scaler.get_scale()
        if bad := finite.spoilt(run.model, self.kept):
            why = "gradients overflowed, so the rate is probably too high: try a tenth"
            what = f"the weights {listing(bad, 3)} are no longer numbers"
            self._give_up(run, what, f"{last} or before", why)
        if scale < 1 and scale <= self.scale * 0.5 ** (run.step - self.began):
            what = f"no step was taken, since all overflowed down to a loss scale of {scale:g},"
            self._give_up(run, what, last, finite.gradient_cause(run, self.loss_func))

    def _give_up(self, run: Run, what: str, step: object, why: str) -> NoReturn:
        """Put the weights back, forget the optimizer's averages of broken steps, and raise."""
        run.model.load_state_dict(self.kept)
        run.optimizer.inner.state.clear()
        raise DivergedError(
            f"{what} in epoch {run.epoch}, step {step}, at learning rate "
            f"{run.optimizer.rates()[-1]:.2e}: {why}. The weights are those before the epoch"
        )

    def after_fit(self, run: Run) -> None:
        """Let the copies go."""
        vars(self).clear()


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
