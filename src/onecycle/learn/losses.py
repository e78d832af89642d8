"""Losses beyond those that the targets bring along."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

from torch import Tensor, nn
from torch.nn import functional as F

from onecycle.core.errors import UsageError


def per_item_loss(func: Callable[..., Tensor], outputs: Tensor, y: Tensor) -> Tensor:
    """The loss of each item (n,), of any loss that knows `reduction` as torch's own do."""
    if isinstance(func, nn.Module) and hasattr(func, "reduction"):
        func = copy(func)
        func.reduction = "none"  # type: ignore[assignment]
        losses = func(outputs, y)
    else:
        try:
            losses = func(outputs, y, reduction="none")
        except TypeError as error:
            raise UsageError(
                "the loss gives no loss per item: let it take reduction='none', as torch's do"
            ) from error
    return losses.reshape(len(outputs), -1).mean(1)


class LabelSmoothingCrossEntropy(nn.Module):
    """Cross-entropy against targets of 1 - eps, with eps spread over all classes.

    Source: Szegedy et al. 2015 (arXiv 1512.00567), section 7.
    """

    def __init__(self, eps: float = 0.1) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """The loss of logits (n, classes) and int64 classes (n,)."""
        return F.cross_entropy(outputs, y, reduction=reduction, label_smoothing=self.eps)
