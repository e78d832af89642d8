"""Labelled sides: each is a dataset; with transforms and a batch size they make a DataBunch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from onecycle.core.errors import EmptyDataError, UsageError
from onecycle.data.copies import Side, warn_of_copies
from onecycle.data.items import ItemList
from onecycle.data.targets import NoLabel, Target
from onecycle.data.task import Task
from onecycle.spec.answers import Answer

if TYPE_CHECKING:
    from onecycle.data.databunch import DataBunch


@dataclass(frozen=True, eq=False)
class Labels(Sequence[Any]):
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

    @property
    def classes(self) -> list[Any]:
        """The names of the classes."""
        return list(getattr(self.task.target, "classes", ()))


@dataclass(frozen=True, eq=False)
class LabelList:
    """One side as a dataset: `ds[i]` is (item, answer), transformed afresh on every access."""

    x: ItemList
    labels: tuple[Any, ...] | None
    task: Task
    augment: bool = False

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
        """One loaded sample; with `rng` None as in validation."""
        y = self.target.encode(None if self.labels is None else self.labels[index])
        return self.task.input.load(self.x.items[index], y, self.target, rng)

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
        """The sources of the items: paths, for pictures."""
        return self.x.items

    @property
    def classes(self) -> list[Any]:
        """The names of the classes."""
        return self.y.classes

    @property
    def c(self) -> int:
        """The number of outputs a model needs."""
        return self.task.target.n_outputs


@dataclass(frozen=True, eq=False)
class LabelledItems:
    """Labelled sides; next come `add_test`, `transform` and `databunch`."""

    train: LabelList
    valid: LabelList
    test: LabelList | None

    def __repr__(self) -> str:
        test = len(self.test) if self.test else 0
        return (
            f"{type(self).__name__}: {len(self.train)} train, {len(self.valid)} valid, "
            f"{test} test, {type(self.train.task.target).__name__}"
        )

    @property
    def classes(self) -> list[Any]:
        """The names of the classes."""
        return self.train.classes

    @property
    def c(self) -> int:
        """The number of outputs a model needs."""
        return self.train.c

    @property
    def path(self) -> Path:
        """The folder that names are relative to."""
        return self.train.x.path

    def add_test(self, items: ItemList | Iterable[Any]) -> Self:
        """The same with an unlabelled test set: an item list, or sources."""
        if isinstance(items, str | PurePath) or not isinstance(items, Iterable):
            raise UsageError(f"a list of items is wanted, not {items!r}; or use add_test_folder()")
        listed = (
            items
            if isinstance(items, ItemList)
            else replace(self.train.x, items=tuple(items), inner_df=None)
        )
        if not len(listed):
            raise EmptyDataError("the test set has no items")
        return replace(self, test=LabelList(listed, None, self.valid.task))

    def add_test_folder(self, test_folder: str = "test") -> Self:
        """The same with every file below `path/test_folder` as an unlabelled test set."""
        return self.add_test(type(self.train.x).from_folder(self.path / test_folder))

    def transform(
        self,
        tfms: Any = None,
        size: Any = None,
        resize_method: str | None = None,
        padding_mode: str | None = None,
        tfm_y: bool | None = None,
    ) -> Self:
        """The same with (train, valid) transforms; this value stays as it is.

        `size` is an int or an array (h, w), which crop, or a tuple (h, w), which squishes, unless
        `resize_method` ("crop", "pad", "squish", "none") says otherwise; `padding_mode` is
        "reflection", "border" or "zeros". Masks, points and boxes move with their picture: `tfm_y`
        may say so, and False, which would leave them behind, raises UsageError.
        """
        if tfm_y is False and self.train.task.target.on_image:
            raise UsageError(
                f"tfm_y=False would leave the {self.train.task.target.to_json()['kind']} where it "
                "was while its picture moves: leave tfm_y out, or say tfm_y=True"
            )
        options = {
            "size": size,
            "resize_method": resize_method,
            "padding_mode": padding_mode,
            "tfm_y": tfm_y,
        }
        return self.with_task(
            Task(self.train.task.input.transformed(tfms, **options), self.train.task.target)
        )

    def with_task(self, task: Task) -> Self:
        """The same items under another task."""
        return replace(
            self,
            train=replace(self.train, task=task),
            valid=replace(self.valid, task=task),
            test=replace(self.test, task=task) if self.test else None,
        )

    def databunch(
        self,
        path: str | Path | None = None,
        bs: int = 64,
        val_bs: int | None = None,
        num_workers: int | None = None,
        device: Any = None,
        seed: int = 0,
        no_check: bool = False,
        find_copies: bool = True,
    ) -> DataBunch:
        """Loaders of `bs` items for both sides (and `val_bs` for validation), on `device`.

        The order of the training batches and every random transform depend on `seed` and the
        number of the epoch alone, whatever `num_workers` (of pictures: threads, beside CUDA
        processes; None means one per core) is. All files are looked at first, unless `no_check`:
        those that cannot be read are an error, and with `find_copies` a warning counts what is on
        several sides or under several labels (`copies` says what that costs). Of an image the
        begin and the end are looked at; `verify_images` finds damage in the middle.
        """
        from onecycle.data.databunch import DataBunch

        for name, size in (("bs", bs), ("val_bs", bs if val_bs is None else val_bs)):
            _require_whole(name, size, 1)
        _require_whole("num_workers", 0 if num_workers is None else num_workers, 0)
        _require_whole("seed", seed)
        if not no_check:
            sides = [side for side in (self.train, self.valid, self.test) if side is not None]
            self.train.task.input.check(item for side in sides for item in side.items)
            names = ("training", "validation", "test")
            pairs = zip(names, (self.train, self.valid, self.test), strict=True)
            given = [Side(n, side.items, side.labels) for n, side in pairs if side is not None]
            labelled = [side for side in given if side.labels is not None]
            sources = [item for side in labelled for item in side.items]
            self.train.target.inspect(sources, [y for side in labelled for y in side.labels or ()])
            warn_of_copies(given, find_copies, stacklevel=3)
        return DataBunch.of(self, path or self.path, bs, val_bs or bs, num_workers, device, seed)


def _require_whole(name: str, value: Any, least: int | None = None) -> None:
    if not isinstance(value, Integral) or (least is not None and value < least):
        wanted = "a whole number" if least is None else f"a whole number from {least} on"
        raise UsageError(f"{name} is {wanted}, not {value!r}")
