"""The Task: the one thing that every later step asks what an item is and what an answer is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from onecycle.data.targets import Target


class Batches(Protocol):
    """What a learner needs of a loader: batches (x, y) on the device, again and again."""

    dataset: Any
    batch_size: int

    def __iter__(self) -> Iterator[tuple[Any, Any]]: ...
    def __len__(self) -> int: ...

    def state(self) -> Any:
        """What decides the order of the next pass."""

    def restore(self, state: Any) -> None:
        """Go back to a `state`."""


class Input(Protocol):
    """How an item becomes a tensor. Frozen; its spec half is written as JSON."""

    def to_json(self) -> dict[str, Any]: ...

    def read(self, source: Any) -> Any:
        """A path, bytes, PIL, array or text as a typed item that can show itself."""

    def fit(self, sources: Sequence[Any]) -> Any:
        """Learn a vocabulary or statistics from the training side; returns a new input."""

    def check(self, sources: Iterable[Any]) -> None:
        """Raise, before training, for every source that cannot be an item."""

    def transformed(
        self,
        tfms: Any,
        size: Any = None,
        resize_method: str | None = None,
        padding_mode: str | None = None,
        tfm_y: bool | None = None,
    ) -> Any:
        """The same input with other transforms, size and ways of resizing."""

    def normalized(self, stats: Any, data: Any) -> Any:
        """The same input with these statistics, or those of a batch of `data`."""

    def load(
        self, source: Any, y: np.ndarray, target: Target, rng: np.random.Generator | None
    ) -> Any:
        """In a worker: read, augment (with `rng`; None means validation) and move the label."""

    def finish(self, sample: Any) -> Any:
        """Outside the workers: what is left to do on one loaded sample and its label."""

    def collate(self, samples: Sequence[Any]) -> tuple[Any, Tensor]:
        """Samples as one batch on the CPU."""

    def prepare(self, x: Any) -> Tensor:
        """On the device: to float, normalised."""

    def as_item(self, x: Any) -> Any:
        """One sample or one row of a prepared batch as a typed item for drawing."""

    def loader(self, dataset: Any, **options: Any) -> Batches:
        """The loader that suits this kind of input."""


@dataclass(frozen=True)
class Task:
    """`input` says how an item becomes a tensor, `target` how a tensor becomes an answer."""

    input: Input
    target: Target
