"""The next token as an answer: what a language model is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from onecycle.data.targets import Plainly, per_item, require_shape
from onecycle.models.chunked import Undecoded
from onecycle.spec.answers import Answer


@dataclass(frozen=True)
class NextToken(Plainly):
    """Cross-entropy of the next token: y int64 (n, t), outputs (n, vocab, t)."""

    vocab_sz: int = 0
    kind: ClassVar[str] = "next_token"
    activation: ClassVar[str] = "softmax"
    fitting_losses: ClassVar[str] = (
        "for the next token there are nn.CrossEntropyLoss(label_smoothing=...), or leave loss_func "
        "out"
    )

    @property
    def n_outputs(self) -> int:
        return self.vocab_sz

    def loss(self, outputs: Tensor | Undecoded, y: Tensor, reduction: str = "mean") -> Tensor:
        """Mean over tokens, or over each row's."""
        if isinstance(outputs, Undecoded):
            if reduction == "mean":
                return outputs.cross_entropy(y)
            outputs = outputs.logits()
        self.check_outputs(outputs, y)
        flat = outputs.transpose(1, 2).reshape(-1, outputs.shape[1])
        each = F.cross_entropy(flat, y.reshape(-1), reduction="none").reshape(y.shape)
        return per_item(each, reduction)

    def check_outputs(self, outputs: Any, y: Tensor) -> None:
        """One output per token of the vocabulary, for each token of the text."""
        require_shape(outputs, (len(y), self.vocab_sz, y.shape[1]), self.vocab_sz, "tokens")

    def activate(self, outputs: Tensor) -> Tensor:
        """Probabilities of every token."""
        return outputs.float().softmax(1)

    def decisions(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers of all tokens in a row."""
        return outputs.argmax(1).flatten(), y.flatten()

    def scores(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (tokens, vocab) of all tokens in a row, and their numbers."""
        return self.activate(outputs).movedim(1, -1).flatten(0, 1), y.flatten()

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
