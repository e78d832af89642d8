"""Rows of a Hugging Face dataset as items: each is read from Arrow's files when it is due."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

from onecycle.core.addresses import Stored, open_binary
from onecycle.core.errors import EmptyDataError, TableError, UsageError, listing


@dataclass(frozen=True, slots=True)
class Cell(Stored):
    """The image in a column of one row, as the dataset stores it."""

    dataset: Any  # with the column undecoded
    row: int
    col: str

    def __fspath__(self) -> str:
        return f"{self.dataset.info.dataset_name or 'dataset'}/{self.col}/{self.row}"

    def __str__(self) -> str:
        return os.fspath(self)

    def open(self) -> BinaryIO:
        value = self.dataset[self.row][self.col]
        if value is None:
            raise OSError("the cell is empty")
        return BytesIO(value["bytes"]) if value["bytes"] else open_binary(value["path"])

    def version(self) -> str:
        return f"{self.dataset._fingerprint} {self.row} {self.col}"


def cells_of(dataset: Any, col: str | None) -> tuple[list[Cell], Any]:
    """An image of each row, and a frame of the other columns, or None where there are none.

    `col` is by default the only column of images. Numbers of a ClassLabel become its names; other
    columns of images, such as masks, hold a `Cell` each.
    """
    import pandas as pd

    datasets = _datasets(dataset)
    images = [n for n, kind in dataset.features.items() if isinstance(kind, datasets.Image)]
    if col is None and len(images) != 1:
        raise TableError(f"col= names the column of images: there are {listing(images)}")
    col = col or images[0]
    if col not in images:
        raise TableError(f"{col!r} is no column of images: there are {listing(images)}")
    for name in images:
        dataset = dataset.cast_column(name, datasets.Image(decode=False))
    plain = dataset.select_columns([n for n in dataset.features if n not in images])
    frame = frame_of(plain) if plain.features else pd.DataFrame(index=range(len(dataset)))
    for name in images:
        if name != col:
            cells = [Cell(dataset, row, name) for row in range(len(dataset))]
            frame[name] = pd.Series(cells, dtype=object)
    items = [Cell(dataset, row, col) for row in range(len(dataset))]
    return items, frame if len(frame.columns) else None


def frame_of(dataset: Any) -> Any:
    """All rows as a frame, with the names of classes instead of their numbers."""
    datasets = _datasets(dataset)
    frame = dataset.with_format(None).to_pandas()
    for name, kind in dataset.features.items():
        if isinstance(kind, datasets.ClassLabel):
            frame[name] = [None if v is None or v < 0 else kind.names[v] for v in dataset[name]]
    return frame


def _datasets(dataset: Any) -> Any:
    """The package; UsageError for what is no dataset whose rows can be read at their places."""
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            "from_dataset needs the package datasets: pip install 'onecycle[datasets]'"
        ) from error
    if isinstance(dataset, dict):
        raise UsageError(f"the dataset has the parts {listing(dataset)}: give one, dataset[...]")
    if isinstance(dataset, datasets.IterableDataset):
        raise UsageError(
            "a dataset that is streamed has no rows at places, which batches by seed and epoch "
            "need: load it without streaming=True, or read its files where they lie, "
            'ImageList.from_parquet("hf://datasets/name/data"), or from_shards of its .tar files'
        )
    if not isinstance(dataset, datasets.Dataset):
        raise UsageError(f"a datasets.Dataset is wanted, not {type(dataset).__name__}")
    if not len(dataset):
        raise EmptyDataError("the dataset has 0 rows")
    return datasets
