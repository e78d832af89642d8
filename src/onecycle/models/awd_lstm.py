"""AWD-LSTM: a language model of LSTMs with dropout everywhere, and its encoder as a classifier.

Sources: Merity et al. 2017 (arXiv 1708.02182), Gal & Ghahramani 2016 (variational dropout),
Howard & Ruder 2018 (arXiv 1801.06146: the classifier).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from onecycle.models.groups import Groups

State = list[tuple[Tensor, Tensor]]
LM_DROPOUTS = {"output_p": 0.1, "hidden_p": 0.15, "input_p": 0.25, "embed_p": 0.02, "weight_p": 0.2}
CLASSIFIER_DROPOUTS = {
    "output_p": 0.4,
    "hidden_p": 0.3,
    "input_p": 0.4,
    "embed_p": 0.05,
    "weight_p": 0.5,
}


def variational(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout of (n, t, d) with one mask for all steps of an item."""
    if not training or not p:
        return x
    mask = x.new_empty(x.shape[0], 1, x.shape[2]).bernoulli_(1 - p).div_(1 - p)
    return x * mask


class WeightDropLSTM(nn.Module):
    """One LSTM layer whose recurrent weights are dropped anew for every batch."""

    def __init__(self, n_in: int, n_out: int, weight_p: float) -> None:
        super().__init__()
        self.inner, self.weight_p = nn.LSTM(n_in, n_out, batch_first=True), weight_p

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(n, t, n_in) and a state to (n, t, n_out) and the next state."""
        if not self.training or not self.weight_p:
            return self.inner(x, state)
        dropped = F.dropout(self.inner.get_parameter("weight_hh_l0"), self.weight_p)
        return functional_call(self.inner, {"weight_hh_l0": dropped}, (x, state))


class AWD_LSTM(nn.Module):  # noqa: N801 - the course's name
    """Token ids (n, t) to features (n, t, emb_sz); the state is carried until `reset()`."""

    def __init__(
        self,
        vocab_sz: int,
        emb_sz: int = 400,
        n_hid: int = 1152,
        n_layers: int = 3,
        hidden_p: float = 0.15,
        input_p: float = 0.25,
        embed_p: float = 0.02,
        weight_p: float = 0.2,
        padding: int = 1,
    ) -> None:
        super().__init__()
        self.padding = padding
        self.emb_sz, self.hidden_p, self.input_p, self.embed_p = emb_sz, hidden_p, input_p, embed_p
        self.embedding = nn.Embedding(vocab_sz, emb_sz, padding_idx=padding)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        widths = [emb_sz, *[n_hid] * (n_layers - 1), emb_sz]
        self.rnns = nn.ModuleList(WeightDropLSTM(a, b, weight_p) for a, b in pairwise(widths))
        self.state: State | None = None
        self.raw: Tensor | None = None
        self.dropped: Tensor | None = None

    def reset(self) -> None:
        """Forget the state: what comes next is another text."""
        self.state = self.raw = self.dropped = None

    def carried(self) -> list[Tensor]:
        """What the next batch goes on from: h and c of each layer, (1, n, d)."""
        return [part for pair in self.state or () for part in pair]

    def carry(self, state: Sequence[Tensor]) -> None:
        """Go on from what was `carried`."""
        self.state = [(h, c) for h, c in zip(state[::2], state[1::2], strict=True)] or None

    def forward(self, ids: Tensor) -> Tensor:
        """Features of the last layer, with dropout; goes on from the state of the batch before."""
        if self.state is not None and self.state[0][0].shape[1] != len(ids):
            self.state = None
        x = self._embed(ids)
        after: State = []
        for i, rnn in enumerate(self.rnns):
            x, state = rnn(x, None if self.state is None else self.state[i])
            after.append((state[0].detach(), state[1].detach()))
            self.raw = x
            if i + 1 < len(self.rnns):
                x = variational(x, self.hidden_p, self.training)
        self.state = after
        return x

    def _embed(self, ids: Tensor) -> Tensor:
        """Word vectors; whole words are dropped, everywhere in the batch."""
        x = self.embedding(ids)
        if self.training and self.embed_p:
            weight = self.embedding.weight
            kept = weight.new_empty(len(weight), 1).bernoulli_(1 - self.embed_p)
            x = x * (kept / (1 - self.embed_p))[ids]
        return variational(x, self.input_p, self.training)


class LanguageModel(nn.Module):
    """Token ids (n, t) to logits (n, vocab, t) of each next token; the decoder is the embedding.

    `chunked`: it gives `Undecoded` features, whose loss needs little memory.
    """

    def __init__(self, encoder: AWD_LSTM, output_p: float = 0.1, chunked: bool = False) -> None:
        super().__init__()
        self.encoder, self.output_p, self.chunked = encoder, output_p, chunked
        self.bias = nn.Parameter(torch.zeros(encoder.embedding.num_embeddings))

    def reset(self) -> None:
        """Forget the state."""
        self.encoder.reset()

    def forward(self, ids: Tensor) -> Tensor | Undecoded:
        """Logits, classes on axis 1 as in every other kind of output."""
        x = variational(self.encoder(ids), self.output_p, self.training)
        self.encoder.dropped = x
        outputs = Undecoded(x, self.encoder.embedding.weight, self.bias)
        return outputs if self.chunked else outputs.logits()

    def layer_groups(self) -> Groups:
        """Each LSTM, then the embedding with the decoder's bias."""
        groups = [list(rnn.parameters()) for rnn in self.encoder.rnns]
        return [*groups, [*self.encoder.embedding.parameters(), self.bias]]


def text_head(widths: Sequence[int], ps: Sequence[float]) -> nn.Sequential:
    """Batch norm, dropout and a linear layer from each width to the next, ReLU between."""
    layers: list[nn.Module] = []
    for i, p in enumerate(ps):
        layers += [nn.BatchNorm1d(widths[i]), nn.Dropout(p), nn.Linear(widths[i], widths[i + 1])]
        if i + 1 < len(ps):
            layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class TextClassifier(nn.Module):
    """Token ids (n, t), padded at the end with the encoder's `padding`, to logits (n, classes).

    Texts go through the encoder in windows of `bptt`; the head sees the last feature, and
    maximum and mean over the last `max_len` tokens. Padding changes no answer, and memory grows
    with `max_len`, not with the length of the texts.
    """

    def __init__(
        self,
        encoder: AWD_LSTM,
        n_outputs: int,
        lin_ftrs: Sequence[int] = (50,),
        ps: Sequence[float] = (0.4, 0.1),
        bptt: int = 70,
        max_len: int = 1400,
        output_p: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder, self.bptt, self.max_len, self.output_p = encoder, bptt, max_len, output_p
        self.head = text_head([3 * encoder.emb_sz, *lin_ftrs, n_outputs], ps)

    def reset(self) -> None:
        """Forget the state; every batch begins with none anyway."""
        self.encoder.reset()

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of each text."""
        return self.head(self.pool(ids))

    def pool(self, ids: Tensor) -> Tensor:
        """Last, maximum and mean (n, 3 emb_sz)."""
        ends = self._lengths(ids)
        found: list[tuple[Tensor, ...]] = []
        state: State | None = None
        for start in range(0, int(ends.max()), self.bptt):
            running = ends > start
            pooled = running & (ends - self.max_len < start + self.bptt)
            for rows, wanted in ((pooled, True), (running & ~pooled, False)):
                at = rows.nonzero()[:, 0].to(ids.device)
                if len(at):
                    window = ids[at, start : start + self.bptt]
                    with torch.set_grad_enabled(wanted and torch.is_grad_enabled()):
                        x, state = self._window(window, at, state, len(ids))
                    if wanted:
                        found.append((at, *self._parts(x, ends.to(ids.device)[at] - start)))
        self.encoder.reset()
        at, last, top, total, count = map(torch.cat, zip(*found, strict=True))
        where = at[:, None].expand_as(last)
        empty = last.new_zeros(len(ids), last.shape[1])
        highest = torch.full_like(empty, -torch.inf).scatter_reduce(0, where, top, "amax")
        seen = count.new_zeros(len(ids), 1).index_add(0, at, count)
        mean = empty.index_add(0, at, total) / seen
        return torch.cat([empty.index_add(0, at, last), highest, mean], 1)

    def _lengths(self, ids: Tensor) -> Tensor:
        """Tokens before the padding, at least one: int64 (n,), on the CPU."""
        place = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        return ((ids != self.encoder.padding) * place).amax(1).clamp(min=1).cpu()

    def _window(self, ids: Tensor, at: Tensor, state: State | None, n: int) -> tuple[Tensor, State]:
        """Features of a window of the rows `at`, which go on from the state (.., n, ..) of all."""
        self.encoder.state = state and [(h[:, at], c[:, at]) for h, c in state]
        x = self.encoder(ids)
        after = self.encoder.state
        assert after is not None
        kept = state or [(_none(h, n), _none(c, n)) for h, c in after]
        return x, [
            (h.index_copy(1, at, new_h), c.index_copy(1, at, new_c))
            for (h, c), (new_h, new_c) in zip(kept, after, strict=True)
        ]

    def _parts(self, x: Tensor, ends: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of features (m, t, d): last of the text or zeros, maximum, sum; (m, 1) tokens counted."""
        place = torch.arange(x.shape[1], device=x.device)[None]
        ends = ends[:, None]
        seen = ((place < ends) & (place >= ends - self.max_len))[..., None]
        last = (x * (place == ends - 1)[..., None]).sum(1)
        return last, x.masked_fill(~seen, -torch.inf).amax(1), (x * seen).sum(1), seen.sum(1)

    def layer_groups(self) -> Groups:
        """The embedding, each LSTM, the head."""
        groups = [list(rnn.parameters()) for rnn in self.encoder.rnns]
        return [list(self.encoder.embedding.parameters()), *groups, list(self.head.parameters())]


def _none(state: Tensor, n: int) -> Tensor:
    """The state (1, n, d) of texts that have not begun."""
    return state.new_zeros(1, n, state.shape[2])


def dropouts(defaults: dict[str, float], drop_mult: float) -> dict[str, Any]:
    """Every probability times `drop_mult`."""
    return {name: p * drop_mult for name, p in defaults.items()}


# Cross-entropy over a large vocabulary, a few tokens at a time, so that logits take no room.

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
