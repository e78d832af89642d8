"""Plain arrays as data: rows of numbers train with the same learner as pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as PurePath
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import DataError, UsageError
from onecycle.core.paths import Path
from onecycle.data.databunch import DataBunch
from onecycle.data.items import ItemList
from onecycle.data.labels import SplitItems
from onecycle.data.loader import Loader
from onecycle.data.targets import Category, Numbers, Target
from onecycle.spec.series import ArraySpec


@dataclass(frozen=True, eq=False)
class Row:
    """One array, float32, and its label."""

    x: np.ndarray
    y: np.ndarray

    def show(self, ax: Any = None, **options: Any) -> Any:
        """A curve, or a picture of a table of numbers."""
        from onecycle.core.draw import axes

        ax = axes(ax)
        (ax.imshow if self.x.ndim == 2 else ax.plot)(np.atleast_1d(self.x))
        return ax


@dataclass(frozen=True, eq=False)
class ArrayInput(ArraySpec):
    """How an array becomes a tensor: float32, normalised where statistics were given."""

    def read(self, source: Any) -> Row:
        return Row(np.asarray(source, np.float32), np.zeros((), np.float32))

    def fit(self, sources: Sequence[Any]) -> Self:
        return replace(self, shape=np.shape(sources[0]))

    def check(self, sources: Iterable[Any]) -> None:
        for i, source in enumerate(sources):
            x = np.asarray(source, np.float32)
            if x.shape != self.shape:
                raise DataError(f"array {i} has shape {x.shape}, the first {self.shape}")
            if not np.isfinite(x).all():
                raise DataError(f"array {i} holds NaN or infinite values: fill or drop them")

    def transformed(self, tfms: Any, size: Any = None, *_: Any, **options: Any) -> Self:
        if tfms is not None or any(options.values()):
            raise UsageError("arrays have no transforms")
        return self

    def normalized(self, stats: Any, data: Any) -> Self:
        """With (mean, std) of each place; None measures them on the training set."""
        x = np.stack(data.train_ds.items).astype(np.float32)
        mean, std = (x.mean(0), x.std(0)) if stats is None else map(np.asarray, stats)
        std = np.where(std > 0, std, 1)
        return replace(self, mean=tuple(mean.ravel().tolist()), std=tuple(std.ravel().tolist()))

    def load(
        self, source: Any, y: np.ndarray, target: Target, rng: np.random.Generator | None
    ) -> Row:
        return Row(np.asarray(source, np.float32), y)

    def finish(self, sample: Row) -> Row:
        return sample

    def collate(self, samples: Sequence[Row]) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(np.stack([sample.x for sample in samples]))
        return x, torch.from_numpy(np.stack([sample.y for sample in samples]))

    def prepare(self, x: Tensor) -> Tensor:
        if self.mean is None or self.std is None:
            return x
        mean, std = (torch.tensor(v, device=x.device) for v in (self.mean, self.std))
        return (x - mean.reshape(self.shape)) / std.reshape(self.shape)

    def as_item(self, x: Any) -> Row:
        return self.read(x.cpu()) if isinstance(x, Tensor) else x

    def loader(self, dataset: Any, **options: Any) -> Loader:
        return Loader(dataset, **{**options, "num_workers": 0})


class TensorList(ItemList):
    """Arrays of one shape, held in memory; labels are in the frame's `label`."""

    @classmethod
    def _make(cls, items: Iterable[Any], path: str | PurePath, **more: Any) -> Self:
        return cls(tuple(items), Path(path), ArrayInput(), **more)

    @classmethod
    def from_arrays(cls, x: Any, y: Any = None, path: str | PurePath = ".") -> Self:
        """One item for each row of `x` (n, ...), with labels `y` (n,) or numbers (n, k)."""
        import pandas as pd

        if y is None:
            return cls._make(np.asarray(x), path)
        if len(x) != len(y):
            raise UsageError(f"there are {len(x)} rows in x and {len(y)} in y")
        labels = pd.Series(np.asarray(y).tolist(), dtype=object)
        return cls._make(np.asarray(x), path, inner_df=pd.DataFrame({"label": labels}))


def from_arrays(
    x: Any, y: Any, valid_x: Any = None, valid_y: Any = None, label_cls: Any = None, **options: Any
) -> DataBunch:
    """Data from arrays (n, ...) and labels: floats are numbers to be met, all else is classes.

    Without `valid_x` every fifth row validates; `options` are those of `databunch`.
    """
    train = TensorList.from_arrays(x, y)
    if valid_x is None:
        split = train.split_by_idx(range(4, len(train), 5))
    else:
        split = SplitItems(train, TensorList.from_arrays(valid_x, valid_y))
    floats = np.asarray(y).dtype.kind == "f"
    labelled = split.label_from_df("label", label_cls or (Numbers if floats else Category))
    return labelled.databunch(**options)
