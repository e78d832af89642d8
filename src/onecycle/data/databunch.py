"""Labelled data: a side is a LabelList, all sides are LabelledItems, with loaders a DataBunch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from numbers import Integral
from pathlib import Path as PurePath
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.addresses import local_folder
from onecycle.core.display import refuse_figsize
from onecycle.core.errors import EmptyDataError, UsageError, require_whole
from onecycle.core.machine import checked_device, defaults
from onecycle.core.path_list import compact
from onecycle.core.paths import Path
from onecycle.data.checks import Side, look_before_training
from onecycle.data.items import Items
from onecycle.data.label_list import LabelList, OfTask
from onecycle.data.report import DataReport, check_data
from onecycle.data.sampling import require_sampler
from onecycle.data.task import Batches, Task, usual_batch_size
from onecycle.data.unreadable import Substitutes

_SIDES = {"training": "train", "validation": "valid", "test": "test"}  # names and fields
_INSTEAD = {
    "export": "learn.export() writes it with the model",
    "sanity_check": "data.check() looks at every item and label",
}


@dataclass(frozen=True, eq=False)
class LabelledItems(OfTask):
    """Labelled sides; next come `add_test`, `transform` and `databunch`."""

    train: LabelList
    valid: LabelList
    test: LabelList | None

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}: {len(self.train)} train, {len(self.valid)} valid, "
            f"{len(self.test or ())} test, {type(self.task.target).__name__}"
        )

    @property
    def task(self) -> Task:
        """What an item and an answer are."""
        return self.train.task

    @property
    def path(self) -> Any:
        """The folder that names are relative to, or its address."""
        return self.train.x.path

    def add_test(self, items: Items | Iterable[Any]) -> Self:
        """The same with an unlabelled test set: an item list, or sources."""
        if isinstance(items, str | PurePath) or not isinstance(items, Iterable):
            raise UsageError(f"a list of items is wanted, not {items!r}; or use add_test_folder()")
        if not isinstance(items, Items):
            items = replace(self.train.x, items=compact(items), inner_df=None)
        if not len(items):
            raise EmptyDataError("the test set has no items")
        return replace(self, test=LabelList(items, None, self.valid.task))

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
        "reflection", "border" or "zeros". Masks, points and boxes move with their image: `tfm_y`
        may say so, and False, which would leave them behind, raises UsageError.
        """
        task = self.task
        if tfm_y is False and task.target.on_image:
            raise UsageError(
                f"tfm_y=False would leave the {task.target.kind} where it was while its image "
                "moves: leave tfm_y out, or say tfm_y=True"
            )
        given = task.input.with_transforms(tfms, size, resize_method, padding_mode, tfm_y)
        return self.with_task(Task(given, task.target))

    def with_task(self, task: Task) -> Self:
        """The same items under another task."""
        train, valid = (replace(side, task=task) for side in (self.train, self.valid))
        test = replace(self.test, task=task) if self.test else None
        return replace(self, train=train, valid=valid, test=test)

    @property
    def sides(self) -> list[Side]:
        """The sides that have items, by their names."""
        return [Side(n, s.items, s.labels, s.x) for n, f in _SIDES.items() if (s := vars(self)[f])]

    def check(self, group_by: Any = None) -> DataReport:
        """Look at every item, its group, and all beside one another; report what is odd."""
        return check_data(self.task, self.sides, self.path, group_by)

    def without(self, report: DataReport, *problems: str) -> Self:
        """The same without the items that a report of this data names under these problems.

        Classes stay as they are. UsageError for problems of no single item, and for a report of
        other data; EmptyDataError where nothing is left on a side.
        """
        kept = report.kept(problems, self.sides)
        sides = {_SIDES[name]: rows for name, rows in kept.items()}
        return replace(self, **{n: getattr(self, n).take(rows) for n, rows in sides.items()})

    def databunch(
        self,
        path: str | Path | None = None,
        bs: int | None = None,
        val_bs: int | None = None,
        num_workers: int | None = None,
        device: Any = None,
        seed: int = 0,
        no_check: bool = False,
        find_copies: bool = True,
        check: str | bool | None = None,
        on_unreadable: str = "raise",
        sampler: str | None = None,
        cache: Any = None,
    ) -> DataBunch:
        """Loaders of `bs` items for both sides (and `val_bs` for validation), on `device`.

        Without `bs` they are 64, for a small set fewer, and a line says so. Training batches and
        transforms depend on `seed` and the epoch alone, whatever `num_workers` (of images: threads,
        beside CUDA processes; None: one per core) is. `sampler="balanced"`: every class as often.

        Before, `check="all"` files are looked at, a `"sample"` of 10,000, or none (False); by
        default all, of more than 200,000 a sample, with a warning. What cannot be read is an error;
        with `find_copies` a warning counts what is on several sides, or labelled twice. Of an image
        begin and end are looked at; `check()` finds damage between. What cannot be read in training
        is an error, or with `on_unreadable="skip"` another item takes its place, with a count after
        each epoch; validation files are then read whole before.

        With `cache` (True, a folder or a `PixelCache`) images are decoded in the first epoch alone;
        the batches are the same.
        """
        val_bs = (64 if bs is None else bs) if val_bs is None else val_bs
        bs = usual_batch_size(len(self.train), self.task) if bs is None else bs
        require_whole("seed", seed, None)
        for name, value in (("bs", bs), ("val_bs", val_bs), ("num_workers", num_workers or 0)):
            require_whole(name, value, int(name != "num_workers"))
        if no_check and check:
            raise UsageError(f"no_check=True and check={check!r}: give one of the two")
        instead = Substitutes.wanted(self.task.input, on_unreadable, len(self.train))
        looked_at = not no_check and check
        how = looked_at, find_copies, instead is not None
        task = look_before_training(self.task, self.sides, *how)
        require_sampler(sampler, task.target)
        src = self.with_task(Task(task.input.with_cache(cache), task.target))
        src = replace(src, train=replace(src.train, substitutes=instead, sampler=sampler))
        return DataBunch.of(
            src, path or local_folder(self.path), bs, val_bs, num_workers, device, seed
        )


class DatasetType(Enum):
    """Which side of the data is meant; Fix is training in its order, without augmentation."""

    Train = "train"
    Valid = "valid"
    Test = "test"
    Single = "single"
    Fix = "fix"

    @classmethod
    def _missing_(cls, value: object) -> None:
        names = ", ".join(map(str, cls))
        number = isinstance(value, int)
        hint = f"; to see that many items, rows={value}" if number else ""
        raise UsageError(f"a side of the data is one of {names}, not {value!r}{hint}")


def device_of(device: Any = None) -> torch.device:
    """`device`, or `defaults.device`, or the first CUDA device, Apple's GPU (mps), or the CPU."""
    if found := checked_device(device) or defaults.device:
        return torch.device(found)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@dataclass(eq=False)
class DataBunch(OfTask):
    """Loaders of one set of labelled items. `normalize` and `with_*` return new ones.

    It does not change once it is made.
    """

    src: LabelledItems
    path: Path
    train_dl: Batches
    valid_dl: Batches | None
    test_dl: Batches | None
    options: dict[str, Any]

    @classmethod
    def of(
        cls,
        src: LabelledItems,
        path: str | PurePath,
        bs: int,
        val_bs: int,
        num_workers: int | None,
        device: Any,
        seed: int,
    ) -> DataBunch:
        """Ask the task's input for the loaders of each side."""
        workers = defaults.cpus if num_workers is None else num_workers
        shared = {"num_workers": workers, "device": device_of(device), "seed": seed}
        make = src.task.input.loader
        valid, test = [
            make(side, batch_size=val_bs, **shared) if side else None
            for side in (src.valid, src.test)
        ]
        train = make(src.train, batch_size=bs, train=True, **shared)
        return cls(src, Path(path), train, valid, test, {"bs": bs, "val_bs": val_bs, **shared})

    @classmethod
    def for_prediction(cls, src: LabelledItems, device: Any = None) -> DataBunch:
        """No sides at all: only `single` and the task are of use."""
        shared = {"num_workers": defaults.cpus, "device": device_of(device), "seed": 0}
        options = {"bs": 1, "val_bs": 64, **shared}
        return cls(src, Path("."), None, None, None, options)  # type: ignore[arg-type]

    if not TYPE_CHECKING:  # else a type checker would take any attribute to be there

        def __getattr__(self, name: str) -> NoReturn:
            instead = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
            raise AttributeError(f"a DataBunch has no attribute {name!r}{instead}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self) or name not in self.__dataclass_fields__:
            raise AttributeError(
                f"{name!r} of data is not changed: make data again with databunch(bs=..., "
                "device=...), or transform(size=...) before it"
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        kinds = f"{type(self.task.input).__name__} -> {type(self.task.target).__name__}"
        return (
            f"{type(self).__name__}: {len(self.train_ds)} train, {len(self.valid_ds)} valid, "
            f"{len(self.test_ds or ())} test, {kinds}, size {self.task.input.size}, "
            f"bs {self.batch_size}, on {self.device}"
        )

    @property
    def task(self) -> Task:
        """What an item and an answer are."""
        return self.src.task

    @property
    def device(self) -> torch.device:
        """Where batches are put."""
        return self.options["device"]

    @property
    def batch_size(self) -> int:
        """Items in a training batch."""
        return self.options["bs"]

    @property
    def train_ds(self) -> LabelList:
        """The training side as a dataset, augmented."""
        return self.src.train

    @property
    def valid_ds(self) -> LabelList:
        """The validation side as a dataset."""
        return self.src.valid

    @property
    def test_ds(self) -> LabelList | None:
        """The test set, if one was added."""
        return self.src.test

    def loss_func(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """The target's loss."""
        return self.task.target.loss(outputs, y, reduction)

    def dl(self, ds_type: DatasetType = DatasetType.Valid) -> Batches:
        """The loader of one side."""
        side = DatasetType(ds_type)
        if side is DatasetType.Fix:
            return self._loader(replace(self.src.train, augment=False))
        loaders = {"train": self.train_dl, "valid": self.valid_dl, "test": self.test_dl}
        if (found := loaders.get(side.value)) is None:
            advice = ": add one with add_test before databunch()" if self.valid_dl else ""
            raise UsageError(f"there is no {side.value} set{advice}")
        return found

    def in_order(self, ds_type: DatasetType = DatasetType.Valid) -> Batches:
        """A loader of one side in its order, without augmentation, nothing dropped."""
        train = DatasetType(ds_type) is DatasetType.Train
        return self.dl(DatasetType.Fix if train else ds_type)

    def _loader(self, side: LabelList) -> Batches:
        shared = {k: self.options[k] for k in ("num_workers", "device", "seed")}
        return self.task.input.loader(side, batch_size=self.options["val_bs"], **shared)

    def single(self, sources: Sequence[Any], task: Task | None = None) -> Batches:
        """A loader of unlabelled `sources`, prepared as in validation."""
        items = replace(self.src.valid.x, items=compact(sources), inner_df=None)
        task = task or self.task
        return self._loader(LabelList(items, None, Task(task.input.with_cache(None), task.target)))

    def save(self, file: str | PurePath = "data_save.pkl") -> PurePath:
        """Write data of texts to `path/file`, for `load_data`; no pickle.

        The default name is the one that the course's programs and `load_data` look for.
        """
        return self.task.input.save_data(self, file)

    def one_batch(self, ds_type: DatasetType = DatasetType.Train) -> tuple[Tensor, Tensor]:
        """One batch (x, y) of that side, on the CPU; the order of training stays as it is."""
        x, y = self._first(ds_type, iter)
        return x.cpu(), y.cpu()

    def one_item(self, item: Any) -> tuple[Tensor, Tensor]:
        """A batch (x, y) of one item without a label, prepared as in validation, on the CPU."""
        x, y = next(iter(self.single([item])))
        return x.cpu(), y.cpu()

    def denorm(self, x: Tensor) -> Tensor:
        """Inputs of a batch as they were before `normalize` acted: images (..., 3, h, w) in 0-1."""
        return self.task.input.denorm(x)

    def _first(self, ds_type: DatasetType, batches_of: Callable[[Any], Any]) -> Any:
        """The first of the batches of that side's loader, which then stands where it stood."""
        loader: Any = self.dl(ds_type)
        state = loader.state()
        batches = batches_of(loader)
        try:
            return next(batches)
        finally:
            batches.close()  # a generator: its workers end here
            loader.restore(state)

    def show_batch(
        self,
        rows: int = 5,
        ds_type: DatasetType = DatasetType.Train,
        figsize: tuple[float, float] | None = None,
    ) -> Any:
        """Draw rows x rows items of one batch with their labels; returns the figure.

        Texts come as a `Table` of `rows` rows.
        """
        from onecycle.core.plot import grid

        if not isinstance(rows, Integral) or rows < 1:
            raise UsageError(f"rows is a whole number from 1 on, not {rows!r}")
        given, target = self.task.input, self.task.target
        if given.shows_samples:
            items = self._first(ds_type, lambda loader: loader.samples())
            y = [sample.y for sample in items]
        else:
            items, y = self.one_batch(ds_type)
        if given.in_tables:
            refuse_figsize(figsize)
            return given.table(items[:rows], y[:rows], target)
        if ds_type is DatasetType.Test and self.src.test:
            target = self.src.test.target
        count = min(len(items), rows * rows)
        places = grid(count, min(rows, count), figsize, cell=2.4)
        for i, ax in enumerate(places):
            given.as_item(items[i]).show(ax=ax)
            target.show(target.answer(np.asarray(y[i])), ax)
        target.legend(places[0].figure)
        return places[0].figure

    def normalize(self, stats: Any = None) -> Self:
        """The same with inputs minus mean, over standard deviation (each per channel, of 0-1).

        Without `stats` they are computed from one training batch.
        """
        return self.with_task(Task(self.task.input.with_stats(stats, self), self.task.target))

    def check(self, group_by: Any = None) -> DataReport:
        """As `LabelledItems.check`: every item looked at whole, and what is odd about it."""
        return self.src.check(group_by)

    def without(self, report: DataReport, *problems: str) -> Self:
        """The same without the items that a report of this data names under these problems."""
        src = self.src.without(report, *problems)
        return type(self).of(src, self.path, **self.options)  # type: ignore[return-value]

    @property
    def bptt(self) -> int:
        """How many tokens a language model reads at a time."""
        given: Any = self.task.input
        if not given.stream:
            raise UsageError(f"{type(given).__name__} is no stream of tokens: it has no bptt")
        return int(given.bptt)

    def with_threshold(self, thresh: Any) -> Self:
        """The same with answers decided by `> thresh`; see `Learner.with_threshold`."""
        return self.with_task(Task(self.task.input, self.task.target.with_threshold(thresh)))

    def with_task(self, task: Task) -> Self:
        """The same items and sizes under another task."""
        src = self.src.with_task(task)
        if self.train_dl is None:  # made for prediction: there are no loaders to make anew
            return replace(self, src=src)
        return type(self).of(src, self.path, **self.options)  # type: ignore[return-value]
