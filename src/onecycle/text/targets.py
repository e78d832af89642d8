"""The next token as an answer: what a language model is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from onecycle.data.targets import Plainly, per_item
from onecycle.models.chunked import Undecoded
from onecycle.spec.answers import Answer


@dataclass(frozen=True)
class NextToken(Plainly):
    """Cross-entropy of the next token: y int64 (n, t), outputs (n, vocab, t)."""

    vocab_sz: int = 0
    kind: ClassVar[str] = "next_token"
    activation: ClassVar[str] = "softmax"

    @property
    def n_outputs(self) -> int:
        return self.vocab_sz

    def loss(self, outputs: Tensor | Undecoded, y: Tensor, reduction: str = "mean") -> Tensor:
        """Mean over tokens, or over each row's."""
        if isinstance(outputs, Undecoded):
            if reduction == "mean":
                return outputs.cross_entropy(y)
            outputs = outputs.logits()
        flat = outputs.transpose(1, 2).reshape(-1, outputs.shape[1])
        each = F.cross_entropy(flat, y.reshape(-1), reduction="none").reshape(y.shape)
        return per_item(each, reduction)

    def activate(self, outputs: Tensor) -> Tensor:
        """Probabilities of every token."""
        return outputs.float().softmax(1)

    def weight(self, y: Tensor) -> int:
        """Its tokens: the last batch of a pass holds fewer than the others."""
        return y.numel()

    def move(self, y: np.ndarray, plan: Any) -> np.ndarray:
        """Tokens do not move."""
        return y

    def as_tv_tensor(self, y: np.ndarray, size: tuple[int, int]) -> Any:
        """Tokens do not move."""
        return None

    def show(self, answer: Answer, ax: Any) -> None:
        """Nothing: the text itself says what comes next."""
