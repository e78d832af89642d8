"""Small helpers of the course: arrays, tensors, documentation, and items worth a second look."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onecycle.core.arguments import require_whole
from onecycle.data.databunch import DatasetType
from onecycle.interpret.classification import extremes
from onecycle.interpret.cleaner import similar_pairs


def array(values: Any, *args: Any, **options: Any) -> np.ndarray:
    """A numpy array of anything, also of an iterator; real numbers become float32."""
    found = values if isinstance(values, np.ndarray | list | tuple | str) else list(values)
    made = np.array(found, *args, **options)
    single = made.dtype == np.float64 and "dtype" not in options and not args
    return made.astype(np.float32) if single else made


def tensor(values: Any, *more: Any) -> Tensor:
    """A tensor of a list, an array, or of the arguments: `tensor(3., 2)`."""
    made = torch.tensor([values, *more]) if more else torch.as_tensor(values)
    return made.float() if made.dtype == torch.float64 else made


def doc(thing: Any) -> None:
    """Print where a function or class comes from, how it is called, and what it does."""
    name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
    module = getattr(thing, "__module__", None) or type(thing).__module__
    try:
        signature = str(inspect.signature(thing))
    except (TypeError, ValueError):
        signature = ""
    print(f"{module}.{name}{signature}\n\n{inspect.getdoc(thing) or 'not documented'}")


class DatasetFormatter:
    """The course's way to the items worth a second look: (dataset, positions)."""

    @classmethod
    def from_toplosses(
        cls, learn: Any, n_imgs: int | None = None, ds_type: DatasetType = DatasetType.Train
    ) -> tuple[Any, list[int]]:
        """Training items in the order of their loss, largest first."""
        _, order = extremes(learn.predictions(ds_type).losses, n_imgs)
        return _side(learn, ds_type), order.tolist()

    @classmethod
    def from_similars(
        cls, learn: Any, n_pairs: int = 100, ds_type: DatasetType = DatasetType.Train
    ) -> tuple[Any, list[int]]:
        """Training items in pairs that look alike, the most alike first."""
        require_whole("n_pairs", n_pairs)
        pairs = similar_pairs(_side(learn, ds_type).items)[:n_pairs]
        return _side(learn, ds_type), [index for pair in pairs for index in pair[:2]]


def _side(learn: Any, ds_type: DatasetType) -> Any:
    """The items of that side, as they are; UsageError where there is no such side."""
    train = DatasetType(ds_type) in (DatasetType.Train, DatasetType.Fix)
    return learn.data.train_ds if train else learn.data.dl(ds_type).dataset
