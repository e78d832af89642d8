"""Plain arrays as data: rows of numbers train with the same learner as images."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as PurePath
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import DataError, ModelError, UsageError
from onecycle.core.paths import Path
from onecycle.data.databunch import DataBunch
from onecycle.data.lists import ItemList
from onecycle.data.loader import Loader
from onecycle.data.looks import Finding, Look, digest_of
from onecycle.data.tables import as_array, label_frame
from onecycle.data.targets import MultiCategory, Target, guess_kind
from onecycle.data.task import Input, Sample
from onecycle.runtime.inputs.array import ArraySpec
from onecycle.runtime.inputs.series import refuse_kinds
from onecycle.runtime.targets.category import is_blank


@dataclass(frozen=True, eq=False)
class Row(Sample):
    """One array, float32, and its label."""

    def show(self, ax: Any = None, figsize: tuple[float, float] = (6, 4)) -> Any:
        """A curve, or an image of a table of numbers; several tables lie side by side."""
        from onecycle.core.plot import axes

        ax = axes(ax, figsize)
        x = self.x
        if x.ndim > 2:
            x = np.concatenate(x.reshape(-1, *x.shape[-2:]), axis=1)
        (ax.imshow if x.ndim == 2 else ax.plot)(x)
        return ax


@dataclass(frozen=True, eq=False)
class ArrayInput(ArraySpec, Input):
    """How an array becomes a tensor: float32, normalised where statistics were given."""

    has_channels: ClassVar[bool] = False

    def image_shape(self) -> tuple[int, tuple[int, int] | None]:
        if len(self.shape) != 3:
            raise ModelError(
                f"items of shape {self.shape} are no images (planes, h, w)"
                + ": add the axis of one plane, x[:, None]" * (len(self.shape) == 2)
            )
        return self.shape[0], (self.shape[1], self.shape[2])

    def read(self, source: Any) -> Row:
        return Row(as_row(source, self.shape), np.zeros((), np.float32))

    def fit(self, sources: Sequence[Any]) -> Self:
        return replace(self, shape=np.shape(sources[0]) or (1,))

    def check(self, sources: Iterable[Any]) -> None:
        for i, source in enumerate(sources):
            as_row(source, self.shape, f"array {i}")

    advice: ClassVar[Mapping[str, str]] = {
        "constant": "what is the same in all items says nothing: leave the column out",
    }

    def look(self, source: Any) -> Look:
        x = as_row(source, self.shape)
        return Look(size=x.shape, digest=digest_of(x))

    def doubts(self, sources: Sequence[Any], looks: Sequence[Look]) -> Iterator[Finding]:
        """Places of a row that never change."""
        rows = [as_row(x, self.shape) for x, look in zip(sources, looks, strict=True) if look.size]
        if len(rows) > 1 and len(self.shape) == 1:
            for place in np.flatnonzero(np.ptp(np.stack(rows), axis=0) == 0).tolist():
                yield None, "constant", f"column {place} is {rows[0][place]:g} in all items"

    def with_transforms(self, tfms: Any, size: Any = None, *others: Any, **more: Any) -> Self:
        if tfms or size is not None or any((*others, *more.values())):
            raise UsageError("arrays have no transforms and no size")
        return self

    def with_stats(self, stats: Any, data: Any) -> Self:
        """With (mean, std), each a number or one for each place.

        None measures them on the training set, where a place that does not vary is only moved.
        """
        measured = stats is None
        if measured:
            x = np.stack([as_row(item, self.shape) for item in data.train_ds.items])
            stats = (x.mean(0), x.std(0))
        mean, std = _statistics(stats, self.shape)
        if not measured and not (std > 0).all():
            raise UsageError(f"standard deviations are above 0, not {float(std.min()):g}")
        std = np.where(std > 0, std, 1)  # what does not vary is left as it is
        return replace(self, mean=tuple(mean.ravel().tolist()), std=tuple(std.ravel().tolist()))

    def load(
        self, source: Any, y: np.ndarray, target: Target, rng: np.random.Generator | None
    ) -> Row:
        return Row(as_row(source, self.shape), y)

    def prepare(self, x: Tensor) -> Tensor:
        if self.mean is None or self.std is None:
            return x
        mean, std = (torch.tensor(v, device=x.device) for v in (self.mean, self.std))
        return (x - mean.reshape(self.shape)) / std.reshape(self.shape)

    def denorm(self, x: Tensor) -> Tensor:
        """Rows (..., *shape) as they were given."""
        if self.mean is None or self.std is None:
            return x.cpu()
        mean, std = (torch.tensor(v).reshape(self.shape) for v in (self.mean, self.std))
        return x.cpu() * std + mean

    def as_item(self, x: Any) -> Row:
        return self.read(x.cpu()) if isinstance(x, Tensor) else x

    def export_examples(self, learner: Any, precision: str, calibrate: int | None) -> Any:
        raise UsageError(
            "arrays cannot be exported: an exported file begins with what people have, as photos "
            "and texts. Write the network alone, torch.onnx.export(learn.model, ...), and keep "
            "learn.data.classes and learn.data.task.input.mean and .std beside it"
        )

    def loader(self, dataset: Any, **options: Any) -> Loader:
        return Loader(dataset, **{**options, "num_workers": 0})


def _statistics(stats: Any, shape: tuple[int, ...]) -> list[np.ndarray]:
    """(mean, std) as float32 of `shape`; as many numbers in a row are taken in its order."""
    try:
        mean, std = (np.asarray(v, np.float32) for v in stats)
        pair = [
            v.reshape(shape)
            if v.size == np.prod(shape) and 1 in (v.ndim, len(shape))
            else np.broadcast_to(v, shape)
            for v in (mean, std)
        ]
        np.asarray_chkfinite(pair)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the statistics are a pair (mean, std), each a number or one for each place of arrays "
            f"of shape {shape}, not {str(stats)[:200]}"
        ) from error
    return pair


def as_row(source: Any, shape: tuple[int, ...], where: str = "the array") -> np.ndarray:
    """What is given as float32 of this shape; DataError where that is impossible, and for gaps."""
    source = source.x if isinstance(source, Row) else source
    source = as_array(source) if isinstance(source, Tensor) else source
    if isinstance(source, np.ndarray | np.generic):
        refuse_kinds(np.asarray(source), where)
    try:
        with np.errstate(over="ignore"):  # what is too large is found below
            x = np.asarray(source, np.float32)
        x = x if x.ndim else x[None]  # a number is an array of one
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} holds something that is no number: {error}") from error
    if x.shape != shape:
        raise DataError(f"{where} has shape {x.shape}, those of the training set have {shape}")
    if np.ma.is_masked(source) or not np.isfinite(x).all():
        raise DataError(f"{where} holds NaN, masked or infinite values: fill or drop them")
    return x


def _rows(x: Any) -> Any:
    """What can be counted and indexed, of an array, a tensor, a frame or a list."""
    x = as_array(x)
    if isinstance(x, list | tuple) or (isinstance(x, np.ndarray) and x.ndim):
        return x
    raise UsageError(f"an array (n, ...) or a list is wanted, not {type(x).__name__}")


class TensorList(ItemList):
    """Arrays of one shape, held in memory; labels are in the frame's `label`."""

    @classmethod
    def _make(cls, items: Iterable[Any], path: str | PurePath, **more: Any) -> Self:
        return cls(tuple(items), Path(path), ArrayInput(), **more)

    @classmethod
    def from_arrays(cls, x: Any, y: Any = None, path: str | PurePath = ".") -> Self:
        """One item for each row of `x` (n, ...); labels `y`: (n,), (n, 1), floats (n, k), a list.

        UsageError for other labels, and for another number of them.
        """
        x = _rows(x)
        labels = None if y is None else label_frame(y, len(x))
        return cls._make(x, path, inner_df=labels, label_col="label")


def from_arrays(
    x: Any, y: Any, valid_x: Any = None, valid_y: Any = None, label_cls: Any = None, **options: Any
) -> DataBunch:
    """Data from arrays (n, ...) and labels: numbers to be met, tags, or classes.

    Floats, a single one too, make numbers, lists of words tags, all else is classes. Without
    `valid_x` every fifth row validates; `options` are those of `databunch`.
    """
    if (valid_x is None) != (valid_y is None):
        raise UsageError("valid_x and valid_y come together")
    if y is None:
        raise UsageError("y are labels, not None: TensorList.from_arrays(x) makes items without")
    train = TensorList.from_arrays(x, y)
    label_cls = label_cls or _guess_kind(train.frame["label"].tolist())
    if valid_x is None:
        split = train.split_by_idx(range(4, len(train), 5))
    else:
        split = train.split_by_list(train, TensorList.from_arrays(valid_x, valid_y))
    return split.label_from_df("label", label_cls).databunch(**options)


def _guess_kind(labels: list[Any]) -> Any:
    kind = guess_kind([label for label in labels if not is_blank(label)])
    sets = [label for label in labels if isinstance(label, list | tuple | set)]
    if kind is MultiCategory and not any(isinstance(tag, str) for tags in sets for tag in tags):
        raise UsageError(
            "labels are lists of whole numbers: make them floats to be met as numbers, or give "
            "label_cls=MultiCategory for tags"
        )
    return kind
