"""Batches of texts: of similar lengths for classifiers, contiguous streams for language models."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import UsageError, warn
from onecycle.core.rng import generator
from onecycle.data.label_list import LabelList
from onecycle.data.loader import Loader, to_device
from onecycle.data.task import Sample
from onecycle.text.corpus import NumberedTexts

_REST = 0.05  # of all tokens, left out in silence
_CHUNK = 50  # batches among which training texts are sorted by length


class LengthLoader(Loader):
    """Texts of similar lengths share a batch, so that little is padded.

    Training: random chunks of 50 batches, sorted inside, in random order, the longest batch
    first. Else: from the longest to the shortest; `order` says which item is which row.
    """

    def __init__(self, dataset: LabelList, batch_size: int, **options: Any) -> None:
        super().__init__(dataset, batch_size, **options)
        given: Any = dataset.task.input
        self.texts: NumberedTexts = given.to_ids(dataset.items)
        self.lengths = self.texts.lengths  # in tokens

    def _load(self, index: int, epoch: int) -> Sample:
        labels = self.dataset.labels
        y = self.dataset.target.encode(None if labels is None else labels[index])
        return Sample(self.texts[index], y)

    @property
    def order(self) -> np.ndarray | None:
        """The positions of the items as they come; None for training."""
        return None if self.train else np.argsort(-self.lengths, kind="stable")

    @property
    def padding(self) -> float:
        """The share of padding among all that the batches of the next pass hold."""
        batches = [self.lengths[batch] for batch in self._positions(self.epoch)]
        held = sum(b.max() * len(b) for b in batches)
        return 1 - sum(b.sum() for b in batches) / held if batches else 0.0

    def _positions(self, epoch: int) -> list[np.ndarray]:
        size, order = self.batch_size, self.order
        if order is not None:
            return [order[i : i + size] for i in range(0, len(order), size)]
        rng = generator(self.seed, epoch, -1)
        mixed = self._draw(rng)[: len(self) * size] % len(self.dataset)
        batches: list[np.ndarray] = []
        for start in range(0, len(mixed), _CHUNK * size):
            chunk = mixed[start : start + _CHUNK * size]
            chunk = chunk[np.argsort(-self.lengths[chunk], kind="stable")]
            batches += [chunk[i : i + size] for i in range(0, len(chunk), size)]
        longest = max(range(len(batches)), key=lambda i: self.lengths[batches[i]].max())
        others = rng.permutation([i for i in range(len(batches)) if i != longest])
        return [batches[longest], *(batches[int(i)] for i in others)]


class StreamLoader:
    """All texts in a row, cut into `batch_size` streams: x int64 (bs, bptt), y one token later.

    In training the order of the texts changes with every epoch. What does not fill a step of all
    streams, at the end, is left out: fewer than `batch_size` tokens, counted in a warning where
    they are more than one in twenty.
    """

    def __init__(
        self,
        dataset: LabelList,
        batch_size: int,
        num_workers: int,
        device: torch.device,
        seed: int = 0,
        train: bool = False,
    ) -> None:
        self.dataset, self.batch_size, self.device = dataset, batch_size, device
        self.seed, self.train, self.epoch, self.skipped = seed, train, 0, 0
        given: Any = dataset.task.input
        self.bptt, self.texts = given.bptt, given.to_ids(dataset.items)
        self.n_tokens = int(self.texts.lengths.sum())
        self.per_stream = (self.n_tokens - 1) // batch_size
        if self.per_stream < 1:
            raise UsageError(
                f"{self.n_tokens} tokens do not fill {batch_size} streams: use a smaller bs"
            )
        rest = self.n_tokens - 1 - self.per_stream * batch_size
        if rest > _REST * self.n_tokens:
            message = (
                f"the last {rest} of {self.n_tokens} tokens do not fill {batch_size} streams, and "
                f"are left out of {'each epoch' if train else 'validation'}: use a smaller bs"
            )
            warn(message, 5)

    @property
    def ids(self) -> np.ndarray:
        """All tokens in the set's order."""
        return np.concatenate([self.texts[i] for i in range(len(self.texts))])

    def __len__(self) -> int:
        return -(-self.per_stream // self.bptt)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order, first = np.arange(len(self.texts)), self.skipped
        if self.train:
            order = generator(self.seed, self.epoch, -1).permutation(order)
        self.epoch, self.skipped = self.epoch + self.train, 0
        lengths = self.texts.lengths[order]
        begins = np.cumsum(lengths) - lengths
        streams = np.arange(self.batch_size) * self.per_stream
        for start in range(first * self.bptt, self.per_stream, self.bptt):
            end = min(start + self.bptt, self.per_stream) + 1  # with the answer to the last one
            rows = [self._part(order, begins, at + start, at + end) for at in streams.tolist()]
            batch = to_device(torch.from_numpy(np.stack(rows)), self.device)
            yield batch[:, :-1], batch[:, 1:]

    def _part(self, order: np.ndarray, begins: np.ndarray, start: int, end: int) -> np.ndarray:
        """Tokens `start` to `end` of all texts in this order, which begin at `begins`."""
        first, last = np.searchsorted(begins, start, "right") - 1, np.searchsorted(begins, end)
        texts = zip(order[first:last].tolist(), begins[first:last].tolist(), strict=True)
        return np.concatenate([self.texts.part(i, max(0, start - b), end - b) for i, b in texts])

    def state(self) -> int:
        """The number of passes begun."""
        return self.epoch

    def restore(self, state: int, batch: int = 0) -> None:
        """Go back to a `state`; the next pass, and no other, begins with that batch."""
        self.epoch, self.skipped = state, batch
