"""One side of the data as a dataset: items with their labels, transformed on every access."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from onecycle.core.errors import UsageError
from onecycle.data.items import Items
from onecycle.data.targets import NoLabel, Target
from onecycle.data.task import Task
from onecycle.data.unreadable import Substitutes
from onecycle.runtime.inputs.text import Vocab
from onecycle.runtime.kinds import Answer


class OfTask:
    """What follows from the task alone."""

    @property
    def classes(self: Any) -> list[Any]:
        """The names of the classes."""
        return list(self.task.target.classes)

    @property
    def c(self: Any) -> int:
        """The number of outputs a model needs."""
        return self.task.target.n_outputs

    @property
    def vocab(self: Any) -> Vocab:
        """The tokens of texts; `vocab.itos[3]` is the one whose number is 3."""
        if not self.task.input.vocab:
            raise UsageError(f"{type(self.task.input).__name__} has no vocabulary: texts have one")
        return Vocab(self.task.input.vocab)


@dataclass(frozen=True, eq=False)
class Labels(OfTask, Sequence[Any]):
    """The labels of one side, encoded on demand."""

    raw: tuple[Any, ...]
    task: Task

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, index: Any) -> Any:
        """The label at `index` as an Answer."""
        return self.task.target.answer(self.task.target.encode(self.raw[index]))

    @property
    def items(self) -> np.ndarray:
        """All labels, encoded, as one array (n, ...)."""
        return np.stack([self.task.target.encode(label) for label in self.raw])


@dataclass(frozen=True, eq=False)
class LabelList(OfTask):
    """One side as a dataset: `ds[i]` is (item, answer), transformed afresh on every access."""

    x: Items
    labels: tuple[Any, ...] | None
    task: Task
    augment: bool = False
    substitutes: Substitutes | None = None  # for what cannot be read in training; else an error
    sampler: str | None = None  # what training draws; None: each item once

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Any, Answer]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        rng = np.random.default_rng() if self.augment else None
        sample = self.task.input.finish(self.sample(index, rng))
        return self.task.input.as_item(sample), self.target.answer(sample.y)

    def __iter__(self) -> Iterator[tuple[Any, Answer]]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__} ({len(self)} items, {type(self.task.target).__name__})"

    def sample(self, index: int, rng: np.random.Generator | None) -> Any:
        """One loaded sample; with `rng` None as in validation, which takes no `substitutes`."""
        if rng is None or self.substitutes is None:
            return self._read(index, rng)
        return self.substitutes.sample(self._read, index, rng)

    def _read(self, index: int, rng: np.random.Generator | None) -> Any:
        y = self.target.encode(None if self.labels is None else self.labels[index])
        return self.task.input.load(self.x.items[index], y, self.target, rng)

    def end_pass(self, epoch: int) -> None:
        """Say what could not be read, or kept, in this pass of a loader."""
        if self.substitutes is not None:
            self.substitutes.report(self.x.items, epoch)
        self.task.input.end_pass()

    def take(self, positions: Sequence[int]) -> Self:
        """The items at `positions`, in that order, with their labels."""
        labels = None if self.labels is None else tuple(self.labels[i] for i in positions)
        made = self.substitutes and Substitutes(len(positions))
        return replace(self, x=self.x.take(positions), labels=labels, substitutes=made)

    @property
    def target(self) -> Target:
        """The task's target; a test set has no labels, whatever the task is."""
        return NoLabel() if self.labels is None else self.task.target

    @property
    def y(self) -> Labels:
        """The labels."""
        return Labels(self.labels or (), self.task)

    @property
    def items(self) -> Sequence[Any]:
        """The sources of the items: paths, for images."""
        return self.x.items
