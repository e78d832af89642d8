"""Rows of Parquet files as items, read a group of rows at a time: datasets larger than a disk.

Datasets on the Hugging Face Hub are stored so. What stands beside the images is read at once; an
image when it is due, with the other rows of its group.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from threading import Lock
from typing import Any, BinaryIO

from onecycle.core.addresses import Stored, open_here
from onecycle.core.display import threaded
from onecycle.core.errors import ArchiveError, EmptyDataError, TableError, UsageError, listing
from onecycle.core.json_text import parse_json
from onecycle.core.walk import FileKind
from onecycle.data.shards import Member, MemberList, RowFile, shards_with_names, version_of

_KIND = FileKind("Parquet file", frozenset({".parquet"}), frozenset({".parq", ".pq"}))
_REASONS = OSError, ValueError, NotImplementedError  # pyarrow's own are some of these
_LEAST = 100_000_000  # bytes of row groups that are held in any case


class _Held:
    """The groups of rows that were read last, of all files of a list."""

    def __init__(self) -> None:
        self.most, self._lock = _LEAST, Lock()
        self._kept = OrderedDict[tuple[str, str, int], list[bytes | None]]()
        self._bytes = 0

    def cells(self, file: ParquetFile, group: int) -> list[bytes | None]:
        """The images of a group; one thread reads, for pyarrow has threads of its own."""
        key = os.fspath(file.place), file.col, group
        with self._lock:
            if key not in self._kept:
                self._kept[key] = file.read(group)
                self._bytes += _size(self._kept[key])
            self._kept.move_to_end(key)
            while self._bytes > self.most and len(self._kept) > 1:
                self._bytes -= _size(self._kept.popitem(last=False)[1])
            return self._kept[key]


def _size(cells: list[bytes | None]) -> int:
    return sum(len(cell or b"") for cell in cells)


@dataclass(frozen=True)
class ParquetFile(RowFile):
    """One file and its column `col` of images; `starts` are the first rows of its groups."""

    place: Any
    col: str
    starts: Sequence[int]
    held: _Held = field(compare=False, repr=False)

    def __fspath__(self) -> str:
        return os.fspath(self.place)

    def __str__(self) -> str:
        return str(self.place)

    def unsigned(self) -> str:
        return self.place.unsigned() if isinstance(self.place, Stored) else os.fspath(self.place)

    def open(self) -> BinaryIO:
        return open_here(self.place)

    def version(self) -> str:
        return f"{version_of(self.place)} {self.col}"

    def row(self, number: int) -> bytes:
        group = bisect_right(self.starts, number) - 1
        data = self.held.cells(self, group)[number - self.starts[group]]
        if data is None:
            raise OSError("the cell is empty: no bytes, and a path alone is not followed")
        return data

    def read(self, group: int) -> list[bytes | None]:
        """The bytes of each row of a group."""
        with self.open() as file:
            try:
                table = _pyarrow().ParquetFile(file).read_row_group(group, [self.col])
            except _REASONS as error:
                raise OSError(f"row group {group} cannot be read ({error})") from error
        cells = table[self.col].to_pylist()
        return [cell["bytes"] if isinstance(cell, dict) else cell for cell in cells]


@dataclass(frozen=True)
class _Look:
    """What a file says of itself: its rows by group, bytes of images, columns, and other values."""

    groups: list[int]
    size: int
    images: list[str]
    frame: Any


def rows_of_parquet(given: Any, col: str | None, buffer: int) -> tuple[MemberList, Any, Any]:
    """An image of each row, a frame of the other columns, and where it all lies.

    The frame has the name of each row's file, below that place, as `shard`, unless the files have
    such a column.

    Columns of images are structs with `bytes`, as the Hub has them, or binary; of several `col`
    names the items, and others, such as masks, hold a `Member` each. Numbers of classes become the
    names that the file knows. ArchiveError for damaged files, TableError for other columns than in
    the first file.
    """
    import pandas as pd

    places, place, names = shards_with_names(given, _KIND)
    looks = list(threaded(_look, places))
    _refuse_unlike(places, looks)
    images = looks[0].images
    if len(images) != 1 if col is None else col not in images:
        raise TableError(
            f"{places[0]}: col= names the column of images: there are {listing(images)}"
        )
    col, held = col or images[0], _Held()
    members = {name: list(_members(places, looks, name, held)) for name in images}
    if not members[col]:
        raise EmptyDataError(f"the {len(places)} Parquet files hold no rows")
    frame = pd.concat([look.frame for look in looks], ignore_index=True)
    if "shard" not in frame.columns:
        counts = [sum(look.groups) for look in looks]
        frame["shard"] = [name for name, n in zip(names, counts, strict=True) for _ in range(n)]
    for name in images:
        if name != col:
            frame[name] = pd.Series(members[name], dtype=object)
    rows = buffer + max(max(look.groups, default=0) for look in looks)
    held.most = max(_LEAST, 2 * rows * sum(look.size for look in looks) // len(frame))
    return MemberList.of_members(members[col], buffer), frame, place


def _members(
    places: Sequence[Any], looks: Sequence[_Look], col: str, held: _Held
) -> Iterator[Member]:
    """The rows of one column of all files."""
    for place, look in zip(places, looks, strict=True):
        starts = tuple(accumulate(look.groups, initial=0))
        file = ParquetFile(place, col, starts[:-1], held)
        yield from (Member(file, f"{col}/{row}", row, 0) for row in range(starts[-1]))


def _look(place: Any) -> _Look:
    try:
        with open_here(place) as opened:
            file = _pyarrow().ParquetFile(opened)
            schema, about = file.schema_arrow, file.metadata
            images = [name for name in schema.names if _holds_images(schema.field(name).type)]
            groups = [about.row_group(i) for i in range(about.num_row_groups)]
            chunks = (group.column(i) for group in groups for i in range(group.num_columns))
            size = sum(
                chunk.total_uncompressed_size
                for chunk in chunks
                if chunk.path_in_schema.split(".")[0] in images
            )
            frame = file.read([n for n in schema.names if n not in images]).to_pandas()
    except _REASONS as error:
        raise ArchiveError(f"{place}: is no whole Parquet file ({error})") from error
    if not len(frame.columns):
        frame = frame.reindex(range(about.num_rows))
    for name, names in _classes(schema).items():
        frame[name] = [None if v is None or v != v or v < 0 else names[int(v)] for v in frame[name]]
    return _Look([group.num_rows for group in groups], size, images, frame)


def _holds_images(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _classes(schema: Any) -> dict[str, list[str]]:
    """The names of the classes of each column that has some, as the Hub's files carry them."""
    text = (schema.metadata or {}).get(b"huggingface")
    features = parse_json(text.decode()).get("info", {}).get("features", {}) if text else {}
    return {
        name: kind["names"]
        for name, kind in features.items()
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and name in schema.names
    }


def _refuse_unlike(places: Sequence[Any], looks: Sequence[_Look]) -> None:
    first = [*looks[0].images, *looks[0].frame.columns]
    for place, look in zip(places, looks, strict=True):
        if (columns := [*look.images, *look.frame.columns]) != first:
            raise TableError(
                f"{place} has the columns {listing(columns)}, and {places[0]} {listing(first)}: "
                "files of one list have the same"
            )


def _pyarrow() -> Any:
    """The module `pyarrow.parquet`; UsageError where it is not installed."""
    try:
        from pyarrow import parquet as found
    except ImportError as error:
        raise UsageError("Parquet files need pyarrow: pip install 'onecycle[parquet]'") from error
    return found
