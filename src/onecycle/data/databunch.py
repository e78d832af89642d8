"""A DataBunch: loaders for training, validation and test, and the Task that describes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from numbers import Integral, Real
from pathlib import Path as PurePath
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.display import refuse_figsize
from onecycle.core.errors import UsageError
from onecycle.core.machine import checked_device, defaults
from onecycle.core.paths import Path
from onecycle.data.labelled import LabelledItems, LabelList
from onecycle.data.task import Batches, Task
from onecycle.runtime.inputs.text import Vocab

_INSTEAD = {
    "export": "learn.export() writes it with the model",
    "one_item": "data.single([item]) is a loader of it",
    "sanity_check": "databunch() checks every item and label",
}


class DatasetType(Enum):
    """Which side of the data is meant; Fix is training in its order, without augmentation."""

    Train = "train"
    Valid = "valid"
    Test = "test"
    Single = "single"
    Fix = "fix"


def _side(ds_type: Any) -> DatasetType:
    try:
        return DatasetType(ds_type)
    except ValueError as error:
        names = ", ".join(f"DatasetType.{side.name}" for side in DatasetType)
        raise UsageError(f"a side of the data is one of {names}, not {ds_type!r}") from error


def device_of(device: Any = None) -> torch.device:
    """`device`, or `defaults.device`, or the first CUDA device, or the CPU."""
    found = checked_device(device) or defaults.device
    return torch.device(found or ("cuda" if torch.cuda.is_available() else "cpu"))


@dataclass(eq=False)
class DataBunch:
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
        options = {
            "bs": bs,
            "val_bs": val_bs,
            "num_workers": defaults.cpus if num_workers is None else num_workers,
            "device": device_of(device),
            "seed": seed,
        }
        shared = {k: options[k] for k in ("num_workers", "device", "seed")}
        make = src.train.task.input.loader
        held = [
            make(side, batch_size=val_bs, **shared) if side is not None and len(side) else None
            for side in (src.valid, src.test)
        ]
        train = make(src.train, batch_size=bs, train=True, **shared)
        return cls(src, Path(path), train, held[0], held[1], options)

    @classmethod
    def for_prediction(cls, src: LabelledItems, device: Any = None) -> DataBunch:
        """No sides at all: only `single` and the task are of use."""
        options = {
            "bs": 1,
            "val_bs": 64,
            "num_workers": defaults.cpus,
            "device": device_of(device),
            "seed": 0,
        }
        return cls(src, Path("."), None, None, None, options)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        told = f": {_INSTEAD[name]}" if name in _INSTEAD else ""
        raise AttributeError(f"a DataBunch has no attribute {name!r}{told}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self) or name not in self.__dataclass_fields__:
            raise AttributeError(
                f"{name!r} of data is not changed: make data again with databunch(bs=..., "
                "device=...), or transform(size=...) before it"
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        sides = f"{len(self.train_ds)} train, {len(self.valid_ds)} valid"
        kinds = f"{type(self.task.input).__name__} -> {type(self.task.target).__name__}"
        size = self.task.input.size
        return (
            f"{type(self).__name__}: {sides}, {len(self.test_ds or ())} test, {kinds}, "
            f"size {size}, bs {self.batch_size}, on {self.device}"
        )

    @property
    def task(self) -> Task:
        """What an item and an answer are."""
        return self.src.train.task

    @property
    def device(self) -> torch.device:
        """Where batches are put."""
        return self.options["device"]

    @property
    def batch_size(self) -> int:
        """Items in a training batch."""
        return self.options["bs"]

    @property
    def classes(self) -> list[Any]:
        """The names of the classes."""
        return self.src.classes

    @property
    def c(self) -> int:
        """The number of outputs a model needs."""
        return self.src.c

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
        side = _side(ds_type)
        if side is DatasetType.Fix:
            return self._held(replace(self.src.train, augment=False))
        found = {
            DatasetType.Train: self.train_dl,
            DatasetType.Valid: self.valid_dl,
            DatasetType.Test: self.test_dl,
        }.get(side)
        if found is None:
            raise UsageError(
                f"there is no {side.value} set"
                + (": add one with add_test before databunch()" if self.valid_dl else "")
            )
        return found

    def ordered(self, ds_type: DatasetType = DatasetType.Valid) -> Batches:
        """A loader of one side in its order, without augmentation, nothing dropped."""
        train = _side(ds_type) is DatasetType.Train
        return self.dl(DatasetType.Fix if train else ds_type)

    def _held(self, side: LabelList) -> Batches:
        shared = {k: self.options[k] for k in ("num_workers", "device", "seed")}
        return self.task.input.loader(side, batch_size=self.options["val_bs"], **shared)

    def single(self, sources: Sequence[Any], task: Task | None = None) -> Batches:
        """A loader of unlabelled `sources`, prepared as in validation."""
        items = replace(self.src.valid.x, items=tuple(sources), inner_df=None)
        return self._held(LabelList(items, None, task or self.task))

    def save(self, file: str | PurePath = "data_save.pkl") -> PurePath:
        """Write data of texts to `path/file`, for `load_data`; no pickle.

        The default name is the one that the course's programs and `load_data` look for.
        """
        return self.task.input.save_data(self, file)

    def one_batch(self, ds_type: DatasetType = DatasetType.Train) -> tuple[Tensor, Tensor]:
        """One batch (x, y) of that side, on the CPU; the order of training stays as it is."""
        loader = self.dl(ds_type)
        state = loader.state()
        batches: Iterator[tuple[Tensor, Tensor]] = iter(loader)
        try:
            x, y = next(batches)
        finally:
            batches.close()  # type: ignore[attr-defined]  # a generator: its workers end here
            loader.restore(state)
        return x.cpu(), y.cpu()

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
        items, y = self._shown(ds_type)
        if self.task.input.in_tables:
            refuse_figsize(figsize)
            return self.task.input.table(items[:rows], y[:rows], self.task.target)
        count = min(len(items), rows * rows)
        places = grid(count, min(rows, count), figsize, cell=2.4)
        target = (
            self.src.test.target
            if ds_type is DatasetType.Test and self.src.test
            else (self.task.target)
        )
        for i, ax in enumerate(places):
            self.task.input.as_item(items[i]).show(ax=ax)
            target.show(target.answer(np.asarray(y[i])), ax)
        target.legend(places[0].figure)
        return places[0].figure

    def _shown(self, ds_type: DatasetType) -> tuple[Any, Any]:
        """A batch as the model sees it, or for inputs that show more, its samples; and labels."""
        if not self.task.input.shows_samples:
            return self.one_batch(ds_type)
        loader: Any = self.dl(ds_type)
        state = loader.state()
        batches = loader.samples()
        try:
            samples = next(batches)
        finally:
            batches.close()
            loader.restore(state)
        return samples, [sample.y for sample in samples]

    def normalize(self, stats: Any = None) -> Self:
        """The same with inputs minus mean, over standard deviation (each per channel, of 0-1).

        Without `stats` they are computed from one training batch.
        """
        return self.with_task(Task(self.task.input.normalized(stats, self), self.task.target))

    @property
    def vocab(self) -> Vocab:
        """The tokens of texts; `vocab.itos[3]` is the one whose number is 3."""
        if not self.task.input.vocab:
            raise UsageError(f"{type(self.task.input).__name__} has no vocabulary: texts have one")
        return Vocab(self.task.input.vocab)

    def with_threshold(self, thresh: float) -> Self:
        """The same with another decision threshold (`> thresh`) for several labels."""
        if self.task.target.thresh is None:
            raise UsageError(f"{type(self.task.target).__name__} decides by no threshold")
        if not isinstance(thresh, Real) or not 0 <= float(thresh) <= 1:
            raise UsageError(f"thresh is a probability, from 0 to 1, not {thresh!r}")
        return self.with_task(Task(self.task.input, replace(self.task.target, thresh=thresh)))

    def with_task(self, task: Task) -> Self:
        """The same items and sizes under another task."""
        if self.train_dl is None:  # made for prediction: there are no loaders to make anew
            return replace(self, src=self.src.with_task(task))
        return type(self).of(self.src.with_task(task), self.path, **self.options)  # type: ignore[return-value]
