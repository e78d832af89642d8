"""The kinds of answers in torch: their loss and activation on top of the plain specs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from onecycle.core.errors import ModelError
from onecycle.spec.answers import Answer
from onecycle.spec.targets import (
    CategorySpec,
    MultiCategorySpec,
    NoLabelSpec,
    NumbersSpec,
    TargetSpec,
)


class Target(Protocol):
    """How a label becomes a tensor and a tensor an answer; see `spec.targets` for the numpy half.

    Batches: outputs (n, n_outputs, ...) as the model gives them, y (n, ...) as encoded.
    Answers that are `drawn_over` their picture want a picture each for true and said.
    """

    activation: ClassVar[str]  # "softmax", "sigmoid" or "identity"
    drawn_over: ClassVar[bool]

    @property
    def n_outputs(self) -> int: ...
    def fit(self, labels: Any) -> Any: ...
    def check(self, label: Any) -> str | None: ...
    def encode(self, label: Any) -> np.ndarray: ...
    def decode(self, probabilities: np.ndarray) -> Answer: ...
    def answer(self, y: np.ndarray) -> Answer: ...
    def to_json(self) -> dict[str, Any]: ...

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Mean loss, or with reduction "none" one loss per item (n,)."""

    def activate(self, outputs: Tensor) -> Tensor:
        """Outputs as probabilities or values, float32."""

    def weight(self, y: Tensor) -> int:
        """How much the means of a batch count beside those of others: by its items."""

    def move(self, y: np.ndarray, plan: Any) -> np.ndarray:
        """The encoded label after the picture went through `plan`."""

    def show(self, answer: Answer, ax: Any) -> None:
        """Draw the answer onto (or over) axes."""

    def legend(self, figure: Any) -> None:
        """Say below a figure of shown answers what their colours mean."""

    def inspect(self, sources: Sequence[Any], labels: Sequence[Any]) -> None:
        """Raise, before training, for labels that do not fit their items."""

    def located(self, sources: Sequence[Any], labels: Sequence[Any]) -> Sequence[Any]:
        """The raw labels, where these are said in pixels of their picture as shares of it."""

    def as_tv_tensor(self, y: np.ndarray, size: tuple[int, int]) -> Any:
        """The label of a picture of `size` (h, w) for torchvision's transforms, or None."""


class Plainly(TargetSpec):
    """What most answers do: nothing to look into before training, no legend."""

    drawn_over: ClassVar[bool] = False

    def weight(self, y: Tensor) -> int:
        """Its items."""
        return len(y)

    def legend(self, figure: Any) -> None:
        """No colours, no legend."""

    def inspect(self, sources: Sequence[Any], labels: Sequence[Any]) -> None:
        """`check` has seen the labels already."""

    def located(self, sources: Sequence[Any], labels: Sequence[Any]) -> Sequence[Any]:
        """As they are."""
        return labels


class _Still(Plainly):
    """Answers that stay the same however the picture is turned; drawn as a title."""

    def move(self, y: np.ndarray, plan: Any) -> np.ndarray:
        """The label itself."""
        return y

    def show(self, answer: Answer, ax: Any) -> None:
        """The answer's text as a title."""
        from onecycle.core.draw import add_title, folded

        add_title(ax, folded(answer.text, 32), fontsize=8)

    def as_tv_tensor(self, y: np.ndarray, size: tuple[int, int]) -> Any:
        """The label as torchvision's transforms move it; None where it does not move."""
        return None


def _require_width(outputs: Tensor, shape: tuple[int, ...], what: str) -> None:
    """ModelError for outputs of another width than the labels, which broadcasting would hide."""
    if tuple(outputs.shape) != shape:
        raise ModelError(
            f"the network gives {tuple(outputs.shape)} for labels of {shape[-1]} {what}: its last "
            f"layer needs {shape[-1]} outputs (data.c)"
        )


def per_item(losses: Tensor, reduction: str) -> Tensor:
    """(n, ...) losses as their mean, or the mean of each item."""
    return losses.mean() if reduction == "mean" else losses.flatten(1).mean(1)


class Category(CategorySpec, _Still):
    """One class per item: cross-entropy, softmax. y is int64 (n,), outputs (n, classes)."""

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy of the logits."""
        _require_width(outputs, (len(y), len(self.classes)), "classes")
        return F.cross_entropy(outputs, y, reduction=reduction)

    def activate(self, outputs: Tensor) -> Tensor:
        """Softmax over the classes."""
        return outputs.float().softmax(1)


class MultiCategory(MultiCategorySpec, _Still):
    """Several classes per item: binary cross-entropy, sigmoid. y is float32 (n, classes)."""

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Binary cross-entropy of the logits, mean over the classes."""
        each = F.binary_cross_entropy_with_logits(outputs, y, reduction="none")
        return per_item(each, reduction)

    def activate(self, outputs: Tensor) -> Tensor:
        """Sigmoid of each class."""
        return outputs.float().sigmoid()


class Numbers(NumbersSpec, _Still):
    """One or more numbers: mean squared error. y and outputs are float32 (n, k)."""

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Squared error, mean over the numbers."""
        _require_width(outputs, tuple(y.shape), "numbers")
        return per_item((outputs - y) ** 2, reduction)

    def activate(self, outputs: Tensor) -> Tensor:
        """The outputs themselves."""
        return outputs.float()


class NoLabel(NoLabelSpec, _Still):
    """No labels: batches carry zeros in their place."""

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Zero: there is nothing to compare with."""
        zeros = torch.zeros(len(outputs), device=outputs.device)
        return zeros.mean() if reduction == "mean" else zeros

    def activate(self, outputs: Tensor) -> Tensor:
        """The outputs themselves."""
        return outputs.float()
