"""Losses beyond those that the targets bring along, and what fits in place of one that does not."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from onecycle.core.errors import OnecycleError, UsageError
from onecycle.data.targets import Target

_SHIPPED = ("torch.", "onecycle.learn")  # whose losses have no code of the user's inside
# These compare outputs and labels one by one; of other shapes torch broadcasts, and only warns.
_ONE_BY_ONE = (
    nn.MSELoss,
    nn.L1Loss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.SoftMarginLoss,
    nn.PoissonNLLLoss,
    nn.KLDivLoss,
)
_ONE_BY_ONE_NAMES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div")


def loss_of(
    func: Callable[..., Tensor], outputs: Any, y: Any, target: Target | None = None
) -> Tensor:
    """The loss of a batch, one number.

    UsageError (ModelError for a network of another width) for losses of torch and onecycle that
    do not fit what `target` encodes, with those that do; an error of another loss gets a note.
    """
    loss = _called(func, outputs, y, target)
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
        losses = _called(func, outputs, y, target)
    else:
        try:
            losses = _called(func, outputs, y, target, reduction="none")
        except TypeError as error:
            raise UsageError(
                "the loss gives no loss per item: let it take reduction='none', as torch's do"
            ) from error
    return losses.reshape(len(outputs), -1).mean(1)


def _called(
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
    func = _inner(func)
    kinds = type(func).__mro__ if isinstance(func, nn.Module) else (func,)
    return any(str(getattr(kind, "__module__", "")).startswith(_SHIPPED) for kind in kinds[:1])


def _inner(func: Any) -> Any:
    while isinstance(func, partial):
        func = func.func
    return func


def _check_meaning(func: Any, outputs: Tensor, y: Tensor, target: Target) -> None:
    """UsageError where torch would compute something, but not what is meant."""
    inner = _inner(func)
    name = _name(inner)
    if outputs.shape != y.shape and (isinstance(inner, _ONE_BY_ONE) or name in _ONE_BY_ONE_NAMES):
        raise _no_fit(func, outputs, y, target, "it compares tensors of one shape")
    if isinstance(inner, nn.CrossEntropyLoss) or name == "cross_entropy":
        if y.is_floating_point():
            raise _no_fit(func, outputs, y, target, "it would take them for shares of one class")
    elif isinstance(inner, nn.NLLLoss) or name == "nll_loss":
        sums = outputs.detach().float().exp().sum(1)
        if not torch.allclose(sums, torch.ones_like(sums), atol=0.01):
            raise _no_fit(func, outputs, y, target, "it wants log-probabilities, these are none")


def _no_fit(func: Any, outputs: Any, y: Any, target: Target, why: str) -> UsageError:
    return UsageError(
        f"{_name(_inner(func))} does not fit {_shapes(outputs, y)}: {why}. Instead: "
        f"{target.fitting_losses}"
    )


def _name(func: Any) -> str:
    return str(getattr(func, "__name__", None) or type(func).__name__)


def _shapes(outputs: Any, y: Any) -> str:
    pair = (getattr(value, "shape", type(value).__name__) for value in (outputs, y))
    told = [str(tuple(v)) if isinstance(v, torch.Size) else str(v) for v in pair]
    return f"outputs {told[0]} and labels {told[1]}"


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
