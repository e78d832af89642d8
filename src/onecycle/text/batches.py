"""Batches of texts: of similar lengths for classifiers, contiguous streams for language models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onecycle.core.chance import generator
from onecycle.core.errors import UsageError
from onecycle.data.labelled import LabelList
from onecycle.data.loader import Loader

_CHUNK = 50  # batches among which training texts are sorted by length


class LengthLoader(Loader):
    """Texts of similar lengths share a batch, so that little is padded.

    Training: random chunks of 50 batches, sorted inside, in random order, the longest batch
    first. Else: from the longest to the shortest; `order` says which item is which row.
    """

    def __init__(self, dataset: LabelList, batch_size: int, **options: Any) -> None:
        super().__init__(dataset, batch_size, **options)
        self._lengths: np.ndarray | None = None

    @property
    def lengths(self) -> np.ndarray:
        """Characters of each text (files: bytes), a good guess of its tokens."""
        if self._lengths is None:
            sizes = [
                len(item) if isinstance(item, str) else item.stat().st_size
                for item in self.dataset.items
            ]
            self._lengths = np.array(sizes, np.int64)
        return self._lengths

    @property
    def order(self) -> np.ndarray | None:
        """The positions of the items as they come; None for training."""
        return None if self.train else np.argsort(-self.lengths, kind="stable")

    def _positions(self, epoch: int) -> list[np.ndarray]:
        size, order = self.batch_size, self.order
        if order is not None:
            return [order[i : i + size] for i in range(0, len(order), size)]
        luck = generator(self.seed, epoch, -1)
        mixed = luck.permutation(len(self.dataset))[: len(self) * size]
        batches: list[np.ndarray] = []
        for start in range(0, len(mixed), _CHUNK * size):
            chunk = mixed[start : start + _CHUNK * size]
            chunk = chunk[np.argsort(-self.lengths[chunk], kind="stable")]
            batches += [chunk[i : i + size] for i in range(0, len(chunk), size)]
        longest = max(range(len(batches)), key=lambda i: self.lengths[batches[i]].max())
        others = luck.permutation([i for i in range(len(batches)) if i != longest])
        return [batches[longest], *(batches[int(i)] for i in others)]


class StreamLoader:
    """All texts in a row, cut into `batch_size` streams: x int64 (bs, bptt), y one token later.

    In training the order of the texts changes with every epoch.
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
        self.seed, self.train, self.epoch = seed, train, 0
        self.bptt = dataset.task.input.bptt  # type: ignore[attr-defined]
        parts = [
            dataset.task.input.load(s, np.zeros(0), dataset.target, None).x for s in dataset.items
        ]
        self.ends = np.cumsum([len(part) for part in parts])
        self.ids = np.concatenate(parts).astype(np.int32)
        self.per_stream = (len(self.ids) - 1) // batch_size
        if self.per_stream < 1:
            raise UsageError(
                f"{len(self.ids)} tokens do not fill {batch_size} streams: use a smaller bs"
            )

    def __len__(self) -> int:
        return -(-self.per_stream // self.bptt)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        ids = self._ordered(self.epoch)
        self.epoch += self.train
        rows = self.per_stream * self.batch_size
        x = torch.from_numpy(ids[:rows].astype(np.int64)).reshape(self.batch_size, -1)
        y = torch.from_numpy(ids[1 : rows + 1].astype(np.int64)).reshape(self.batch_size, -1)
        for start in range(0, self.per_stream, self.bptt):
            window = slice(start, start + self.bptt)
            yield x[:, window].to(self.device), y[:, window].to(self.device)

    def _ordered(self, epoch: int) -> np.ndarray:
        if not self.train:
            return self.ids
        order = generator(self.seed, epoch, -1).permutation(len(self.ends))
        starts = np.concatenate([[0], self.ends[:-1]])
        return np.concatenate([self.ids[starts[i] : self.ends[i]] for i in order])

    def state(self) -> int:
        """The number of passes begun."""
        return self.epoch

    def restore(self, state: int) -> None:
        """Go back to a `state`."""
        self.epoch = state
