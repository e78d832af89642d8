"""`load_learner`: an exported file behind the course's names, without torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from onecycle.core.errors import UsageError
from onecycle.deploy.feeds import Feed, files_in
from onecycle.deploy.predictor import Prediction, Predictor


@dataclass(frozen=True)
class LoadedData:
    """What a loaded learner knows of its data: the classes, and the items to predict."""

    classes: list[Any]
    items: tuple[Any, ...]

    @property
    def c(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def test_ds(self) -> Self:
        """What holds the `items` to predict, as with the data of training."""
        return self

    def __len__(self) -> int:
        return len(self.items)


class LoadedLearner:
    """Predicts as the learner did that wrote the file; `predictor` does the work."""

    def __init__(self, path: Path, items: Iterable[Any] | None = None) -> None:
        self.predictor = Predictor(path)
        self.data = LoadedData(list(self.predictor.classes), _sources(items, self.predictor.feed))

    def predict(self, item: Any, thresh: float | None = None) -> Prediction:
        """(answer, its encoded form, probabilities) of a path, bytes, file, picture or array."""
        source = getattr(item, "pixels", item)
        return self.predictor.predict(source, thresh)

    def predict_batch(self, items: Iterable[Any], thresh: float | None = None) -> list[Prediction]:
        """The answers for several items, in their order."""
        return list(self.predictor.stream(_sources(items, self.predictor.feed), thresh))

    def get_preds(self, ds_type: Any = None) -> list[np.ndarray]:
        """[probabilities (n, ...), zeros (n,)] of the test items, in their order."""
        if not self.data.items:
            raise UsageError("there is no test set: load_learner(path, test=items)")
        if ds_type is not None and getattr(ds_type, "value", ds_type) != "test":
            raise UsageError("a loaded learner has a test set only: get_preds(DatasetType.Test)")
        rows = [found.probabilities for found in self.predictor.stream(self.data.items)]
        return [np.stack(rows), np.zeros(len(rows), np.int64)]


def _sources(items: Any, feed: Feed) -> tuple[Any, ...]:
    """An item list, the rows of a frame, the files of a folder, or what is iterated over."""
    if items is None:
        return ()
    if hasattr(items, "iterrows"):
        return tuple(row for _, row in items.iterrows())
    if isinstance(items, str | os.PathLike):
        return tuple(files_in(items, feed))
    return tuple(getattr(items, "items", items))


def load_learner(
    path: str | Path, file: str | Path = "export.onnx", test: Iterable[Any] | None = None
) -> LoadedLearner:
    """The learner that `learn.export()` wrote to `path/file`; `path` may be the file itself.

    `test`, for `get_preds`, is an item list, a frame, a folder, or sources in a row.
    """
    path = Path(path)
    return LoadedLearner(path if path.is_file() else path / file, test)
