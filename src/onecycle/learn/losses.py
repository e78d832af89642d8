"""Losses beyond those that the targets bring along, and what fits in place of one that does not."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from onecycle.core.errors import OnecycleError, UsageError, listing
from onecycle.data.databunch import DataBunch
from onecycle.data.targets import Target

_SHIPPED = ("torch.", "onecycle.learn")  # whose losses have no code of the user's inside
# These compare outputs and labels one by one; of other shapes torch broadcasts, and only warns.
_ONE_BY_ONE = (
    *("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "SoftMarginLoss", "PoissonNLLLoss"),
    *("KLDivLoss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div"),
)


def loss_of(
    func: Callable[..., Tensor], outputs: Any, y: Any, target: Target | None = None
) -> Tensor:
    """The loss of a batch, one number.

    UsageError (ModelError for a network of another width) for losses of torch and onecycle that
    do not fit what `target` encodes, with those that do; an error of another loss gets a note.
    """
    loss = _call(func, outputs, y, target)
    if isinstance(loss, Tensor) and loss.numel() != 1:
        raise UsageError(
            f"the loss gave {loss.numel()} values (shape {tuple(loss.shape)}), and a loss is one "
            'number: use reduction="mean", or take the mean'
        )
    return loss


def per_item_loss(
    func: Callable[..., Tensor], outputs: Tensor, y: Tensor, target: Target | None = None
) -> Tensor:
    """The loss of each item (n,), of any loss that knows `reduction` as torch's own do."""
    if isinstance(func, nn.Module) and hasattr(func, "reduction"):
        func = copy(func)
        func.reduction = "none"  # type: ignore[assignment]
        losses = _call(func, outputs, y, target)
    else:
        try:
            losses = _call(func, outputs, y, target, reduction="none")
        except TypeError as error:
            raise UsageError(
                "the loss gives no loss per item: let it take reduction='none', as torch's do"
            ) from error
    return losses.reshape(len(outputs), -1).mean(1)


def _call(
    func: Callable[..., Tensor], outputs: Any, y: Any, target: Target | None, **options: Any
) -> Tensor:
    if target is None:
        return func(outputs, y, **options)
    shipped = _is_shipped(func)
    if shipped:
        target.check_outputs(outputs, y)
        _check_meaning(func, outputs, y, target)
    try:
        return func(outputs, y, **options)
    except (OnecycleError, torch.OutOfMemoryError):
        raise
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        if shipped:
            raise _no_fit(func, outputs, y, target, str(error)) from error
        if not (options and isinstance(error, TypeError)):  # that may only mean: unknown options
            error.add_note(f"The loss was given {_shapes(outputs, y)}: {target.fitting_losses}")
        raise


def _is_shipped(func: Any) -> bool:
    inner = _inner(func)
    kind = type(inner) if isinstance(inner, nn.Module) else inner
    return str(getattr(kind, "__module__", "")).startswith(_SHIPPED)


def _inner(func: Any) -> Any:
    while isinstance(func, partial):
        func = func.func
    return func


def _name(func: Any) -> str:
    inner = _inner(func)
    return str(getattr(inner, "__name__", None) or type(inner).__name__)


def _check_meaning(func: Any, outputs: Tensor, y: Tensor, target: Target) -> None:
    """UsageError where torch would compute something, but not what is meant."""
    name, why = _name(func), None
    if name in _ONE_BY_ONE and outputs.shape != y.shape:
        why = "it compares tensors of one shape"
    elif name in ("CrossEntropyLoss", "cross_entropy") and y.is_floating_point():
        why = "it would take them for shares of one class"
    elif name in ("NLLLoss", "nll_loss"):
        sums = outputs.detach().float().exp().sum(1)
        if not torch.allclose(sums, torch.ones_like(sums), atol=0.01):
            why = "it wants log-probabilities, these are none"
    if why:
        raise _no_fit(func, outputs, y, target, why)


def _no_fit(func: Any, outputs: Any, y: Any, target: Target, why: str) -> UsageError:
    return UsageError(
        f"{_name(func)} does not fit {_shapes(outputs, y)}: {why}. Instead: {target.fitting_losses}"
    )


def _shapes(outputs: Any, y: Any) -> str:
    given, labels = (
        tuple(v.shape) if hasattr(v, "shape") else type(v).__name__ for v in (outputs, y)
    )
    return f"outputs {given} and labels {labels}"


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


def balanced_loss(data: DataBunch) -> nn.Module:
    """The usual loss of `data`'s answers, with rare classes as heavy as frequent ones.

    Of one class per item nn.CrossEntropyLoss(weight=n / (classes * count of each)), scikit-learn's
    "balanced"; of several labels nn.BCEWithLogitsLoss(pos_weight=items without / items with each).
    Counted on the training side. As a learner's `loss_func` it makes the validation loss, too:
    compare it with others of this loss alone. UsageError for other answers, and for a class of no
    training item.
    """
    target, labels = data.task.target, data.train_ds.labels or ()
    counts = dict.fromkeys(target.named_classes(), 0)
    for label in labels:
        for name in target.classes_of(label):
            counts[name] += 1
    if not counts or not target.whole_classes:
        raise UsageError(f"balanced_loss() is for labels that name classes, not a {target.kind}")
    if without := [name for name, count in counts.items() if not count]:
        raise UsageError(f"no training item has the class {listing(without)}: it has no weight")
    found = torch.tensor([*counts.values()], dtype=torch.float32)
    if target.one_class:
        return nn.CrossEntropyLoss(weight=len(labels) / (len(counts) * found))
    return nn.BCEWithLogitsLoss(pos_weight=(len(labels) - found) / found)


# Losses of masks: outputs (n, classes, h, w) against y int64 (n, 1, h, w) or (n, h, w).

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

    def prepare(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
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
        known, shares = self.prepare(outputs, y)
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
        known, shares = self.prepare(outputs, y)
        predicted = outputs.softmax(1) * shares[:, None]
        true = F.one_hot(known, outputs.shape[1]).movedim(-1, 1) * shares[:, None]
        both, sizes = (predicted * true).sum((2, 3)), (predicted + true).sum((2, 3))
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
