"""The Task: the one thing that every later step asks what an item is and what an answer is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from onecycle.core.display import Table
from onecycle.core.errors import UsageError, undefined
from onecycle.core.machine import defaults
from onecycle.data.looks import Finding, Look, digest_of
from onecycle.data.targets import Target
from onecycle.runtime.kinds import InputSpec


class Batches(Protocol):
    """What a learner needs of a loader: batches (x, y) on the device, again and again."""

    dataset: Any
    batch_size: int

    def __iter__(self) -> Iterator[tuple[Any, Any]]: ...
    def __len__(self) -> int: ...

    def state(self) -> Any:
        """What decides the order of the next pass."""

    def restore(self, state: Any, batch: int = 0) -> None:
        """Go back to a `state`; the next pass, and no other, begins with that batch."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A loaded item as an array, and its encoded label."""

    x: np.ndarray
    y: np.ndarray


class Input(InputSpec):
    """How an item becomes a tensor: the torch half of every kind of input. Frozen.

    Class variables: `shows_samples` where `as_item` wants a loaded sample and no row of a batch;
    `in_tables` where items are shown in the rows of a table (see `table`), not drawn; `augmented`
    where several looks at an item can be drawn by `train_tfms`, as test-time augmentation does;
    `has_channels` where mean and std are those of channels, and not of every place;
    `suits_stats_of_weights` where the statistics of pretrained weights are right for its items;
    `reads_files` where an item is read from its file each time. `advice` says what to do about the
    problems that `look` and `doubts` name; `look_version` grows when `array` or `look` see
    otherwise, since what they saw of files is kept between runs.
    """

    trains: ClassVar[bool] = True
    shows_samples: ClassVar[bool] = False
    in_tables: ClassVar[bool] = False
    augmented: ClassVar[bool] = False
    has_channels: ClassVar[bool] = True
    suits_stats_of_weights: ClassVar[bool] = False
    reads_files: ClassVar[bool] = False
    advice: ClassVar[Mapping[str, str]] = {}
    look_version: ClassVar[int] = 1

    @cached_property
    def reading(self) -> str:
        """What decides how a file is read, by which what was seen of it is kept."""
        return f"{type(self).__module__}.{type(self).__qualname__} {self.look_version}"

    @property
    def planes(self) -> int:
        """How many planes the images that items become have."""
        return 3

    @property
    def stream(self) -> bool | None:
        """Whether the texts are read as one stream; None where items are no texts."""
        return None

    def table(self, items: Sequence[Any], y: Sequence[Any], target: Any) -> Table:
        """Items with their labels as a table, for kinds that are shown `in_tables`."""
        raise undefined(self, "table")

    def save_data(self, data: Any, file: str | PurePath) -> Path:
        """Write `data` into one file for `load_data`; for kinds that take time to make."""
        raise UsageError(
            f"data.save() keeps data of texts, whose tokens take time to make; make data of "
            f"{type(self).__name__} again from its files"
        )

    def export_examples(self, learner: Any, precision: str, calibrate: int | None) -> Any:
        """What an exported file is made of and checked with: see `export.graph.Examples`."""
        raise UsageError(f"{type(self).__name__} cannot be exported")

    def image_shape(self) -> tuple[int, tuple[int, int] | None]:
        """Planes, and (h, w) where it is known, of the images that items become."""
        return self.planes, self.size

    def read(self, source: Any) -> Any:
        """A path, bytes, PIL, array or text as a typed item that can show itself."""
        raise undefined(self, "read")

    def fit(self, sources: Sequence[Any]) -> Any:
        """Learn a vocabulary or statistics from the training side; returns a new input."""
        return self

    def require_alike(self, other: Any) -> None:
        """Raise where two lists that are joined are read otherwise: only this would count."""

    def check(self, sources: Iterable[Any]) -> None:
        """Raise, before training, for every source that cannot be an item."""
        raise undefined(self, "check")

    def look(self, source: Any) -> Look:
        """What `data.check()` sees of one source; DataError for what cannot be an item."""
        x = self.array(source)
        return Look(size=x.shape, digest=digest_of(x))

    def doubts(self, sources: Sequence[Any], looks: Sequence[Look]) -> Iterable[Finding]:
        """What is odd about items beside the others, or beside what is made of them."""
        return ()

    def with_transforms(
        self,
        tfms: Any,
        size: Any = None,
        resize_method: str | None = None,
        padding_mode: str | None = None,
        tfm_y: bool | None = None,
    ) -> Any:
        """The same input with other transforms, size and ways of resizing."""
        raise undefined(self, "with_transforms")

    def with_stats(self, stats: Any, data: Any) -> Any:
        """The same input with these statistics, or those of a batch of `data`."""
        raise undefined(self, "with_stats")

    def with_cache(self, given: Any) -> Any:
        """The same input, which keeps what it reads: that of `databunch(cache=...)`, or None."""
        if given:
            raise UsageError(
                f"cache= keeps decoded images, and {type(self).__name__} decodes none: leave it out"
            )
        return self

    def end_pass(self) -> None:
        """Say what is left to say after a pass over the data."""

    def load(
        self, source: Any, y: np.ndarray, target: Target, rng: np.random.Generator | None
    ) -> Any:
        """In a worker: read, augment (with `rng`; None means validation) and move the label."""
        raise undefined(self, "load")

    def finish(self, sample: Any) -> Any:
        """Outside the workers: what is left to do on one loaded sample and its label."""
        return sample

    def collate(self, samples: Sequence[Any]) -> tuple[Any, Tensor]:
        """Samples as one batch on the CPU."""
        y = np.stack([sample.y for sample in samples])
        return torch.from_numpy(self.stack([sample.x for sample in samples])), torch.from_numpy(y)

    def prepare(self, x: Any) -> Tensor:
        """On the device: to float, normalised."""
        return x

    def denorm(self, x: Tensor) -> Tensor:
        """What was prepared, on the CPU, as it was before statistics were taken off."""
        raise UsageError(f"denorm() gives images and arrays back; this is {type(self).__name__}")

    def as_item(self, x: Any) -> Any:
        """One sample or one row of a prepared batch as a typed item for drawing."""
        raise undefined(self, "as_item")

    def loader(self, dataset: Any, **options: Any) -> Batches:
        """The loader that suits this kind of input."""
        raise undefined(self, "loader")


@dataclass(frozen=True)
class Task:
    """`input` says how an item becomes a tensor, `target` how a tensor becomes an answer."""

    input: Input
    target: Target


def usual_batch_size(count: int, task: Task) -> int:
    """64, or for fewer than 640 training items as many as make ten batches, in powers of two.

    From 8 on, where there are so many; for streams of tokens always 64.
    """
    if not task.target.one_row_an_item:
        return 64
    size = min(next((n for n in (64, 32, 16) if count >= 10 * n), 8), max(1, count))
    if size < 64 and defaults.progress:
        print(
            f"bs={size}, so that {count} training items make {count // size} steps an epoch (64 "
            f"would make {count // 64}); databunch(bs=...), or --bs, decides otherwise"
        )
    return size
