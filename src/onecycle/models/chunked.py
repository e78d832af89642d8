"""Cross-entropy over a large vocabulary, a few tokens at a time, so that logits take no room."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 256  # tokens whose logits are held at once
CUDA_CHUNK = 1024  # the same on a CUDA device: larger products, fewer kernels
_HELD = 2**25  # logits of an evaluation that are held at once


@dataclass(frozen=True, eq=False)
class Undecoded:
    """Features (n, t, d), and the decoder (vocab, d), (vocab,) that would make logits of them."""

    features: Tensor
    weight: Tensor
    bias: Tensor

    def logits(self) -> Tensor:
        """(n, vocab, t)."""
        kind = self.features.dtype
        logits = F.linear(self.features, self.weight.to(kind), self.bias.to(kind))
        return logits.transpose(1, 2)

    def last(self) -> Tensor:
        """(n, vocab, 1), of the last token alone."""
        return replace(self, features=self.features[:, -1:]).logits()

    def parts(self, y: Tensor, several: bool = True) -> Iterator[tuple[Tensor, Tensor]]:
        """Float32 logits and answers of some rows at a time, as many as take little memory."""
        held = len(self.weight) * self.features.shape[1]
        rows = max(1, _HELD // held) if several else len(y)
        for start in range(0, len(y), rows):
            part = replace(self, features=self.features[start : start + rows])
            with torch.no_grad():
                logits = part.logits().float()
            yield logits, y[start : start + rows]

    def cross_entropy(self, y: Tensor) -> Tensor:
        """The mean over all tokens of y int64 (n, t), as `F.cross_entropy` of the logits."""
        flat = self.features.reshape(-1, self.features.shape[-1])
        return _ChunkedCrossEntropy.apply(flat, self.weight, self.bias, y.reshape(-1))


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Loss and gradients in one pass: the gradient of the logits is softmax minus one-hot.

    Features in 16 bits are multiplied in bfloat16, which never overflows, where the hardware has
    it; sums and softmax are float32 always.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, y: Tensor) -> Tensor:
        kind, chunk = _kind(x), CUDA_CHUNK if x.is_cuda else CHUNK
        x, narrow, summand = x.to(kind), weight.to(kind), bias.to(kind)
        total, n = x.new_zeros((), dtype=torch.float32), len(x)
        wide = (torch.zeros_like(v, dtype=torch.float32) for v in (weight, bias))
        grads = torch.empty_like(x), *wide
        for start in range(0, n, chunk):
            part, answers = x[start : start + chunk], y[start : start + chunk, None]
            shares = F.log_softmax(torch.addmm(summand, part, narrow.t()), 1, dtype=torch.float32)
            total -= shares.gather(1, answers).sum()
            shares.exp_().scatter_add_(1, answers, shares.new_full(answers.shape, -1.0))
            grads[2].add_(shares.sum(0))
            shares = shares.to(kind)
            torch.mm(shares, narrow, out=grads[0][start : start + chunk])
            grads[1].add_(shares.t() @ part)
        ctx.save_for_backward(*(grad / n for grad in grads))
        return total / n

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        x, weight, bias = ctx.saved_tensors
        return x * upstream, weight * upstream, bias * upstream, None


def _kind(x: Tensor) -> torch.dtype:
    """The dtype of the products."""
    if x.dtype == torch.float16 and x.is_cuda and torch.cuda.is_bf16_supported(False):
        return torch.bfloat16
    return torch.bfloat16 if x.dtype == torch.bfloat16 else torch.float32
