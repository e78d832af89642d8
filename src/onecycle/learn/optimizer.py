"""An optimizer that knows layer groups: a rate for each, one momentum, decoupled weight decay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from onecycle.core.errors import TrainingError
from onecycle.models.groups import Groups, norm_parameters

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
        self.set_wd(wd)

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
        for part in self.param_groups:
            moved = [p for p in part["params"] if p.grad is not None]
            if moved and part["wd"]:
                torch._foreach_mul_(moved, 1 - part["lr"] * part["wd"])

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.inner.zero_grad()
