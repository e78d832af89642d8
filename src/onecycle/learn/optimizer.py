"""An optimizer that knows layer groups: a rate for each, one momentum, decoupled weight decay."""

from collections.abc import Callable, Sequence
from functools import partial
from inspect import Parameter, signature
from math import cos, inf, pi
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from onecycle.core.errors import TrainingError, UsageError
from onecycle.models.groups import Groups, norm_parameters

Rate = float | slice | Sequence[float]  # one for all layer groups, a range over them, one each
AdamW = partial(torch.optim.Adam, betas=(0.9, 0.99))
SGD = partial(torch.optim.SGD, momentum=0.9)


class GroupedOptimizer:
    """Wraps any torch optimizer built over the trainable parameters of `groups`.

    With `true_wd` the decay multiplies weights by 1 - lr * wd before the step (Loshchilov &
    Hutter 2019); else it is the optimizer's own L2 term. `bn_wd` False spares normalisation
    layers.
    """

    def __init__(
        self,
        groups: Groups,
        model: nn.Module,
        opt_func: Callable[..., Optimizer],
        wd: float,
        true_wd: bool = True,
        bn_wd: bool = True,
    ) -> None:
        self.made_of = opt_func, true_wd, bn_wd
        spared = set() if bn_wd else norm_parameters(model)
        self.n_groups, self.true_wd = len(groups), true_wd
        parts: list[dict[str, Any]] = []
        for index, group in enumerate(groups):
            trainable = [p for p in group if p.requires_grad]
            for norms in (False, True):
                chosen = [p for p in trainable if (id(p) in spared) is norms]
                if chosen:
                    parts.append({"params": chosen, "group": index, "decays": not norms})
        if not parts:
            raise TrainingError("every parameter is frozen: unfreeze() or freeze_to() first")
        ours = any(opt_func is known for known in (AdamW, SGD))
        fused = ours and all(p.is_cuda for part in parts for p in part["params"])
        self.inner = opt_func(parts, fused=True) if fused else opt_func(parts)
        _refuse_own_settings(self.inner)
        self.set_wd(wd)
        self.inner.register_step_pre_hook(lambda *_: self.decay())  # so it rests with the step

    def serves(self, groups: Groups, *made_of: Any) -> bool:
        """Whether it moves what is trainable in these groups, and no more, and was made so."""
        wanted = {id(p): i for i, group in enumerate(groups) for p in group if p.requires_grad}
        held = {id(p): part["group"] for part in self.param_groups for p in part["params"]}
        return held == wanted and self.made_of == made_of

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The inner optimizer's groups; `group` is the number of the layer group."""
        return self.inner.param_groups

    def set_rates(self, rates: Sequence[float]) -> None:
        """One learning rate per layer group."""
        for part in self.param_groups:
            part["lr"] = rates[part["group"]]

    def rates(self) -> list[float]:
        """The rate of each layer group with anything to train, from the input to the output."""
        found = {part["group"]: float(part["lr"]) for part in self.param_groups}
        return [found[index] for index in sorted(found)]

    @property
    def momentum(self) -> float | None:
        """Adam's first beta, or the momentum; None where the optimizer has neither."""
        part = self.param_groups[0]
        return part["betas"][0] if "betas" in part else part.get("momentum")

    def set_momentum(self, value: float) -> None:
        """The same for all groups."""
        for part in self.param_groups:
            if "betas" in part:
                part["betas"] = (value, *part["betas"][1:])
            elif "momentum" in part:
                part["momentum"] = value

    def set_wd(self, wd: float) -> None:
        """Another weight decay for all parts that decay at all."""
        for part in self.param_groups:
            part["wd"] = wd if part["decays"] else 0.0
            part["weight_decay"] = 0.0 if self.true_wd else part["wd"]

    @torch.no_grad()
    def decay(self) -> None:
        """Shrink the weights that have a gradient by their group's lr * wd."""
        if not self.true_wd:
            return
        # A fused optimizer is stepped in any case, and told that the loss scaler found an overflow.
        found = getattr(self.inner, "found_inf", None)
        rests = 0.0 if found is None else found
        for part in self.param_groups:
            moved = [p for p in part["params"] if p.grad is not None]
            if moved and part["wd"]:
                torch._foreach_mul_(moved, 1 - part["lr"] * part["wd"] * (1 - rests))

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.inner.zero_grad()


def _refuse_own_settings(optimizer: Optimizer) -> None:
    """UsageError for a rate or a decay given with the optimizer, which the learner sets anew."""
    instead = {"weight_decay": "the learner's wd=", "lr": "fit(epochs, lr) and fit_one_cycle"}
    usual = signature(type(optimizer)).parameters
    for name, place in instead.items():
        default = usual[name].default if name in usual else Parameter.empty
        given = optimizer.defaults.get(name, default)
        if default is not Parameter.empty and given != default:
            raise UsageError(
                f"{name}={given} of {type(optimizer).__name__} would have no effect: it is set by "
                f"{place}, so leave it out of opt_func"
            )


# Schedules are pure functions of progress from 0 to 1; a fit's rates follow from its steps.


def cosine(start: float, end: float, progress: float) -> float:
    """Half a cosine wave from `start` to `end`."""
    return end + (start - end) / 2 * (cos(pi * progress) + 1)


def exponential(start: float, end: float, progress: float) -> float:
    """A constant ratio from step to step."""
    return start * (end / start) ** progress


def one_cycle(
    step: int, n_steps: int, ends: tuple[float, float, float], pct_start: float = 0.3
) -> float:
    """The value at `step` of `n_steps`: from ends[0] to ends[1] in `pct_start`, then to ends[2]."""
    first = int(n_steps * pct_start)
    if step < first:
        return cosine(ends[0], ends[1], step / first)
    return cosine(ends[1], ends[2], (step - first) / max(1, n_steps - first))


def rates_by_group(lr: Any, n_groups: int) -> list[float]:
    """One rate per layer group.

    A number: the same for all. `slice(b)`: b for the last group, b/10 for the others.
    `slice(a, b)`: geometric from a (first group) to b (last). A sequence: one per group.
    """
    try:
        rates = _rates(lr, n_groups)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise UsageError(f"learning rates are numbers above 0, not {lr!r}") from error
    if len(rates) != n_groups:
        raise UsageError(f"{len(rates)} learning rates for {n_groups} layer groups")
    if not all(0 < rate < inf for rate in rates):
        raise UsageError(f"learning rates are finite numbers above 0, not {lr}")
    return rates


def _rates(lr: Any, n_groups: int) -> list[float]:
    if not isinstance(lr, slice):
        rates = [float(v) for v in lr] if hasattr(lr, "__len__") else [float(lr)] * n_groups
    elif lr.start is None:
        rates = [float(lr.stop) / 10] * (n_groups - 1) + [float(lr.stop)]
    else:
        ratio = float(lr.stop) / float(lr.start)
        depth = max(1, n_groups - 1)
        rates = [float(lr.start) * ratio ** (i / depth) for i in range(n_groups)]
        rates[-1] = float(lr.stop)
    return rates
