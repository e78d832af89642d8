"""Millions of paths as columns: the number of a folder and a name, without an object for each."""

from __future__ import annotations

import os
import pathlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Any, ClassVar, Self, overload

import numpy as np

from onecycle.core.addresses import Address
from onecycle.core.paths import Path

_AT_ONCE = 10_000  # paths whose columns become Python's objects at once while iterating
_SHOWN = 3


class PathList(Sequence[Path]):
    """Paths in their order, made when they are asked for; it does not change.

    A path costs its name and 28 bytes, and each list that is taken from another 8 bytes.
    """

    _kind: ClassVar[type[Any]] = Path

    def __init__(self, columns: Any, rows: np.ndarray | None = None) -> None:
        self._columns: Columns = columns
        self._rows = np.arange(len(columns.folder), dtype=np.int64) if rows is None else rows

    @classmethod
    def of(cls, paths: Iterable[os.PathLike[str]]) -> Self:
        """The given paths, in their order."""
        made = PathListBuilder()
        for path in paths:
            folder, name = os.path.split(path)
            made.add(folder, [name])
        return cls(made.columns())

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Path: ...

    @overload
    def __getitem__(self, index: slice | np.ndarray | list[Any]) -> Self: ...

    def __getitem__(self, index: Any) -> Any:
        """One path; for a slice, an array or a list of positions, or a mask, a list of several."""
        if isinstance(index, list):
            index = np.array(index, None if index else np.int64)
        if isinstance(index, slice) or np.ndim(index):
            return type(self)(self._columns, self._rows[index])
        return self._kind(next(self._columns.strings(self._rows[[index]])))

    def __iter__(self) -> Iterator[Path]:
        return map(self._kind, self.strings())

    def plain(self) -> Iterator[Any]:
        """Each path as what can be opened and named, at the least cost: a str."""
        return self.strings()

    def strings(self) -> Iterator[str]:
        """Each path as a str, which takes a fifth of the time."""
        for start in range(0, len(self), _AT_ONCE):
            yield from self._columns.strings(self._rows[start : start + _AT_ONCE])

    def by_folder(self, func: Callable[[Path], Any]) -> list[Any]:
        """`func(path.parent)` of each path; it is called once for each folder."""
        folders = self._columns.folder[self._rows]
        used = np.unique(folders).tolist()
        found = {i: func(self._kind(self._columns.prefixes[i])) for i in used}
        return list(map(found.__getitem__, folders.tolist()))

    def runs(self) -> Iterator[tuple[str, list[str]]]:
        """Folders and names of paths that follow one another in one folder."""
        folders = self._columns.folder[self._rows]
        starts = np.flatnonzero(np.diff(folders, prepend=-1)).tolist()
        for start, end in pairwise([*starts, len(self)]):
            prefix = self._columns.prefixes[int(folders[start])]
            strings = self._columns.strings(self._rows[start:end])
            yield prefix, [string[len(prefix) :] for string in strings]

    def __add__(self, other: Sequence[Path]) -> Sequence[Path]:
        """Both, one after the other: as tuples, and as two of these, go together."""
        return joined(self, other)

    @classmethod
    def joined(cls, lists: Sequence[Self]) -> Sequence[Any]:
        """Lists of this kind, one after the other."""
        made = PathListBuilder()
        for paths in lists:
            for folder, names in paths.runs():
                made.add(folder, names)
        return cls(made.columns())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PathList | tuple | list):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(repr(str(path)) for path in self[:_SHOWN])
        return f"{type(self).__name__}({len(self)}: {shown}{', ...' * (len(self) > _SHOWN)})"


class AddressList(PathList):
    """Addresses in their order, as compact as paths."""

    _kind: ClassVar[type[Any]] = Address

    @classmethod
    def of(cls, paths: Iterable[os.PathLike[str]]) -> Self:
        made = PathListBuilder()
        for address in paths:
            folder, slash, name = os.fspath(address).rpartition("/")
            made.add(folder + slash, [name])
        return cls(made.columns())

    def plain(self) -> Iterator[Any]:
        """The addresses: a str would show what they keep to themselves."""
        return iter(self)


class Columns:
    """Folders (with their separator), and of each path its folder and its name.

    `folder` int32 (n,), `ends` int64 (n + 1,) where names begin and end in the bytes `names`.
    """

    def __init__(
        self, prefixes: Sequence[str], folder: np.ndarray, names: bytes, ends: np.ndarray
    ) -> None:
        self.prefixes, self.folder, self.names, self.ends = prefixes, folder, names, ends

    def strings(self, rows: np.ndarray) -> Iterator[str]:
        folders = self.folder[rows].tolist()
        begins, ends = self.ends[rows].tolist(), self.ends[rows + 1].tolist()
        for folder, begin, end in zip(folders, begins, ends, strict=True):
            yield self.prefixes[folder] + os.fsdecode(self.names[begin:end])


class PathListBuilder:
    """Collects names folder by folder."""

    def __init__(self) -> None:
        self._numbers = dict[str, int]()
        self._folder, self._lengths, self._names = array("i"), array("i"), bytearray()

    def add(self, folder: str, names: Sequence[str]) -> None:
        """Files of a folder, behind those that are there."""
        number = self._numbers.setdefault(os.path.join(folder, ""), len(self._numbers))  # noqa: PTH118 - with its separator
        text = "".join(names)
        encoded = names if text.isascii() else [os.fsencode(name) for name in names]
        self._names += os.fsencode(text)
        self._lengths.fromlist(list(map(len, encoded)))
        self._folder += array("i", [number]) * len(names)

    def columns(self) -> Columns:
        """What was collected."""
        return Columns(*self.parts())

    def parts(self) -> tuple[Sequence[str], np.ndarray, bytes, np.ndarray]:
        """The same as what `Columns` are made of."""
        ends = np.zeros(len(self._lengths) + 1, np.int64)
        np.cumsum(np.frombuffer(self._lengths, np.int32), out=ends[1:])
        folder = np.frombuffer(self._folder, np.int32)
        return tuple(self._numbers), folder, bytes(self._names), ends

    def finish(self) -> PathList:
        """The paths collected, in their order."""
        return PathList(self.columns())


def compact(items: Iterable[Any]) -> Sequence[Any]:
    """Paths as a `PathList`, anything else as a tuple."""
    if isinstance(items, PathList):
        return items
    items = tuple(items)
    for kinds, made in ((Path, type(pathlib.Path())), PathList), ((Address,), AddressList):
        if items and all(type(x) in kinds for x in items):
            return made.of(items)
    return items


def joined(*parts: Sequence[Any]) -> Sequence[Any]:
    """All one after the other, as a `PathList` where each is one."""
    lists = [part for part in parts if isinstance(part, PathList)]
    kind = type(lists[0]) if lists else PathList
    if len(lists) < len(parts) or not all(type(part) is kind for part in lists):
        return tuple(chain.from_iterable(parts))
    return kind.joined(lists)


def plain_items(items: Iterable[Any]) -> Iterator[Any]:
    """Each item, the paths of a `PathList` as str: for passes over all that only read names."""
    return items.plain() if isinstance(items, PathList) else iter(items)
