"""What the course's later lessons begin with: data of tensors, of two lists of texts, a learner."""

from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import TensorDataset

from onecycle.core.addresses import place_of
from onecycle.core.errors import UsageError
from onecycle.data import databunch
from onecycle.data.arrays import from_arrays
from onecycle.data.tables import as_array
from onecycle.data.targets import Category
from onecycle.data.task import Task
from onecycle.learn import learner
from onecycle.learn.checks import listed
from onecycle.learn.metric import Metric
from onecycle.models.awd_lstm import LanguageModel
from onecycle.text.input import NextToken


class DataBunch(databunch.DataBunch):
    """`DataBunch.create` of tensors; every other way of making data gives a DataBunch, too."""

    @classmethod
    def create(
        cls, train_ds: Any, valid_ds: Any, path: Any = None, bs: int = 64, **options: Any
    ) -> databunch.DataBunch:
        """Data from two `TensorDataset(x, y)`, or pairs (x, y); `options` are `databunch`'s.

        Whole numbers y are classes 0, 1 ... as the model counts them; see `from_arrays` for others.
        UsageError for a Dataset of another kind.
        """
        (x, y), valid = _pair(train_ds), _pair(valid_ds)
        labels = np.asarray(as_array(y))
        counted = labels.ndim == 1 and labels.dtype.kind in "iu" and labels.min(initial=0) >= 0
        classes = range(int(labels.max(initial=0)) + 1)
        kind = Category(classes=tuple(classes)) if counted else None
        return from_arrays(x, y, *valid, kind, path=path, bs=bs, **options)


def _pair(dataset: Any) -> tuple[Any, Any]:
    """Inputs and labels; UsageError for what does not hold them as two tensors."""
    found = dataset.tensors if isinstance(dataset, TensorDataset) else dataset
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise UsageError(
            f"DataBunch.create takes TensorDataset(x, y), not {type(dataset).__name__}: of files "
            "ImageList or TextList makes data, of arrays from_arrays(x, y)"
        )
    return found[0], found[1]


def ItemLists(path: Any, train: Any, valid: Any) -> Any:  # noqa: N802 - the course's name
    """Two lists that were made apart, as training and validation side, below `path`."""
    below = replace(train, path=place_of(path))
    return below.split_by_list(below, replace(valid, path=place_of(path)))


@dataclass(frozen=True)
class _TokensLast(NextToken):
    """The next token, of a model that gives (n, t, vocab), as the course's own do."""

    def loss(self, outputs: Any, y: Tensor, reduction: str = "mean") -> Tensor:
        return super().loss(outputs.transpose(1, 2), y, reduction)

    def activate(self, outputs: Tensor) -> Tensor:
        return super().activate(outputs.transpose(1, 2))

    def decisions(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return super().decisions(outputs.transpose(1, 2), y)

    def scores(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return super().scores(outputs.transpose(1, 2), y)


class Learner(learner.Learner):
    """As onecycle's; a model of one's own on a stream of tokens gives (n, t, vocab).

    Metrics of onecycle know that; a loss or metric of one's own gets what the model gives.
    """

    def __init__(self, data: Any, model: Any, *given: Any, **options: Any) -> None:
        stream = isinstance(data, databunch.DataBunch) and data.task.input.stream
        if stream and not isinstance(model, LanguageModel):
            data = data.with_task(Task(data.task.input, _TokensLast(data.c)))
        super().__init__(data, model, *given, **options)

    @property
    def metrics(self) -> list[Any]:
        """The metrics, as a list; one or several may be assigned."""
        return super().metrics

    @metrics.setter
    def metrics(self, given: Any) -> None:
        last = isinstance(self.task.target, _TokensLast)
        wrapped = [_of_tokens(metric) if last else metric for metric in listed(given)]
        learner.Learner.metrics.__set__(self, wrapped)  # type: ignore[attr-defined]


def _of_tokens(metric: Any) -> Any:
    """A metric of onecycle, for outputs (n, t, vocab); others as they are."""
    if not isinstance(metric, Metric):
        return metric

    @wraps(metric.func)
    def func(outputs: Tensor, y: Tensor, **options: Any) -> Any:
        return metric.func(outputs.transpose(1, 2) if outputs.ndim == 3 else outputs, y, **options)

    return replace(metric, func=func)
