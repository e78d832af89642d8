"""Losses of masks: outputs (n, classes, h, w) against y int64 (n, 1, h, w) or (n, h, w)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_NONE = -100


class PixelLoss(nn.Module):
    """Base: void pixels (`ignore_index`) and negative ones do not count.

    `weight` (classes,) multiplies the loss of each class's pixels. With reduction "none" one loss
    per item (n,).
    """

    def __init__(
        self, ignore_index: int = _NONE, weight: Sequence[float] | Tensor | None = None
    ) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        given = None if weight is None else torch.as_tensor(weight, dtype=torch.float32)
        self.register_buffer("weight", given, persistent=False)

    def prepared(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Classes (n, h, w), and the weight of each pixel, 0 for void ones."""
        y = y[:, 0] if y.ndim == outputs.ndim else y
        counted = (y != self.ignore_index) & (y >= 0)
        known = y.clamp(0, outputs.shape[1] - 1)
        weight: Any = self.weight
        shares = counted.float() if weight is None else weight.to(y.device)[known] * counted
        return known, shares

    def batch_weight(self, y: Tensor) -> float:
        """How much the mean of a batch counts beside those of others: by its items."""
        return len(y)


class PerPixelLoss(PixelLoss, ABC):
    """Base of losses that are a mean over pixels: `each` is the loss of one."""

    @abstractmethod
    def each(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The loss of every pixel (n, h, w)."""

    def forward(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """The weighted mean over all pixels, or over each item's."""
        known, shares = self.prepared(outputs, y)
        losses = self.each(outputs, known) * shares
        if reduction == "mean":
            return losses.sum() / shares.sum().clamp(min=1e-8)
        losses, shares = losses.reshape(len(y), -1), shares.reshape(len(y), -1)
        return losses.sum(1) / shares.sum(1).clamp(min=1e-8)

    def batch_weight(self, y: Tensor) -> float:
        """By its pixels that count, or their weights."""
        counted = y[(y != self.ignore_index) & (y >= 0)]
        weight: Any = self.weight
        return counted.numel() if weight is None else float(weight.to(y.device)[counted].sum())


class CrossEntropyFlat(PerPixelLoss):
    """Cross-entropy of every pixel; `axis` must be 1, as in the course's call."""

    def __init__(
        self,
        axis: int = 1,
        ignore_index: int = _NONE,
        weight: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__(ignore_index, weight)
        if axis != 1:
            raise ValueError(f"the classes of outputs are on axis 1, not {axis}")

    def each(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(outputs, y, reduction="none")


class FocalLoss(PerPixelLoss):
    """Cross-entropy times (1 - p)^gamma: what is easy counts less. Source: Lin et al. 2017."""

    def __init__(
        self,
        gamma: float = 2.0,
        ignore_index: int = _NONE,
        weight: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__(ignore_index, weight)
        self.gamma = gamma

    def each(self, outputs: Tensor, y: Tensor) -> Tensor:
        entropy = F.cross_entropy(outputs, y, reduction="none")
        return (1 - (-entropy).exp()) ** self.gamma * entropy


class DiceLoss(PixelLoss):
    """1 - 2 |A and B| / (|A| + |B|) of soft masks, mean over the classes of an item.

    Source: Milletari et al. 2016 (V-Net). Classes that an item does not hold are left out.
    """

    def forward(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Mean over items, or one loss per item."""
        known, shares = self.prepared(outputs, y)
        said = outputs.softmax(1) * shares[:, None]
        true = F.one_hot(known, outputs.shape[1]).movedim(-1, 1) * shares[:, None]
        both, sizes = (said * true).sum((2, 3)), (said + true).sum((2, 3))
        present = true.sum((2, 3)) > 0
        each = (1 - 2 * both / sizes.clamp(min=1e-8)) * present
        losses = each.sum(1) / present.sum(1).clamp(min=1)
        return losses.mean() if reduction == "mean" else losses


class CombinedLoss(nn.Module):
    """The weighted sum of losses: CombinedLoss((CrossEntropyFlat(), 1), (DiceLoss(), 0.5))."""

    def __init__(self, *parts: tuple[nn.Module, float]) -> None:
        super().__init__()
        self.losses = nn.ModuleList(loss for loss, _ in parts)
        self.shares = [share for _, share in parts]

    def forward(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Each loss with the same reduction."""
        pairs = zip(self.losses, self.shares, strict=True)
        return torch.stack([share * loss(outputs, y, reduction) for loss, share in pairs]).sum(0)
