"""Mixup: train on blends of two items and of their losses (Zhang et al. 2017)."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from onecycle.core.errors import UsageError
from onecycle.learn.callback import Callback, Run
from onecycle.learn.losses import per_item_loss


class MixUp(Callback):
    """Blends each picture with another of its batch; the share comes from Beta(alpha, alpha)."""

    def __init__(self, alpha: float = 0.4) -> None:
        if not 0 < alpha < inf:
            raise UsageError(f"alpha of mixup is a number above 0, not {alpha!r}")
        self.alpha = alpha

    def claims(self) -> tuple[str, ...]:
        """Blends of blends have labels that nobody computes."""
        return (
            "mix the items of a batch (learn.mixup() does it once, however often it is called)",
        )

    def before_batch(self, run: Run) -> None:
        """Blend the inputs, and let the loss look at both labels."""
        n = len(run.x)
        share = torch.distributions.Beta(self.alpha, self.alpha).sample((n,)).to(run.x.device)
        share = torch.maximum(share, 1 - share)  # so that an item and its partner are not doubles
        other = torch.randperm(n, device=run.x.device)
        wide = share.view(n, *[1] * (run.x.ndim - 1))
        run.x = run.x * wide + run.x[other] * (1 - wide)
        plain, partner, target = run.loss_func, run.y[other], run.data.task.target

        def blended(outputs: Tensor, y: Tensor) -> Tensor:
            each = [per_item_loss(plain, outputs, labels, target) for labels in (y, partner)]
            return (each[0] * share + each[1] * (1 - share)).mean()

        run.loss_func = blended
