"""How much the mean that a loss gives of one batch counts beside those of other batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from onecycle.learn.pixel_losses import PixelLoss

Weight = Callable[[Tensor], float]
_BY_CLASS = (nn.CrossEntropyLoss, nn.NLLLoss)
_BY_CLASS_FUNCTIONS = (F.cross_entropy, F.nll_loss)
_IGNORED = -100  # torch's own default


def weight_of(loss_func: Any, otherwise: Weight) -> Weight:
    """What a loss divides by in a batch with labels y: a function of y.

    Losses with class weights divide by the sum of the weights, those of pixels by the pixels that
    count; of all others `otherwise` (the target's own) is taken. With these weights means of
    batches make the mean of all, whatever the batches are.
    """
    if isinstance(loss_func, PixelLoss):
        return loss_func.batch_weight
    options = _options_by_class(loss_func)
    if options is None or options.get("reduction", "mean") != "mean":
        return otherwise
    return partial(_by_class, options.get("weight"), options.get("ignore_index", _IGNORED))


def _options_by_class(loss_func: Any) -> dict[str, Any] | None:
    """The options of torch's losses that divide by the weights of the classes; None for others."""
    if isinstance(loss_func, _BY_CLASS):
        names = ("weight", "ignore_index", "reduction")
        return {name: getattr(loss_func, name) for name in names}
    plain = loss_func.func if isinstance(loss_func, partial) else loss_func
    if not any(plain is known for known in _BY_CLASS_FUNCTIONS):
        return None
    return dict(loss_func.keywords) if isinstance(loss_func, partial) else {}


def _by_class(weight: Tensor | None, ignored: int, y: Tensor) -> float:
    """The sum of the weights of the labels; where these are shares of classes, their number."""
    if y.is_floating_point():
        return len(y)
    counted = y[y != ignored]
    return counted.numel() if weight is None else float(weight.to(y.device)[counted].sum())
