"""Losses beyond those that the targets bring along."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


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
