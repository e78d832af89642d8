"""The same item twice: on two sides of a split, or under two labels; told with a count.

Paths are compared with paths, texts and arrays by their content. Files are compared by content
too: by size first, those of one size by both ends, and whole where these agree. A file of a size
of its own costs one look at the folder's entry (some microseconds), another a read of 8 KiB; no
more than 256 MB are read whole, and beyond that both ends decide.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from warnings import warn

import numpy as np

from onecycle.core.defaults import defaults
from onecycle.core.errors import OnecycleWarning, listing

_END = 1 << 12  # bytes
_WHOLE = 256_000_000  # bytes of all files that are read whole
_SHORT = 30  # numbers: shorter arrays may be the same by chance


@dataclass(frozen=True)
class Side:
    """The items of one side of a split, and their raw labels where it has any."""

    name: str
    items: Sequence[Any]
    labels: Sequence[Any] | None

    def shown(self, i: int) -> str:
        """An item by its path, its text, or its place."""
        item = self.items[i]
        return str(item) if isinstance(item, str | os.PathLike) else f"item {i} of {self.name}"


def warn_of_copies(sides: Sequence[Side], content: bool = True, stacklevel: int = 3) -> None:
    """Say which items are on several sides, and which have several labels.

    Without `content` files are the same only if their paths are.
    """
    owners = [(side, i) for side in sides for i in range(len(side.items))]
    across, torn = defaultdict[str, list[str]](list), list[str]()
    for group in _groups([side.items[i] for side, i in owners], content):
        places = [owners[position] for position in group]
        names = list(dict.fromkeys(side.shown(i) for side, i in places))
        shown = " = ".join(names[:2])
        on = list(dict.fromkeys(side.name for side, _ in places))
        if len(on) > 1:
            across[" and ".join(on)].append(shown)
        told = {_comparable(side.labels[i]) for side, i in places if side.labels is not None}
        if len(told - {None}) > 1:
            torn.append(shown)
    messages = [
        f"{len(shown)} items are in {on}: {listing(shown)}. What is measured on them has been "
        "learned by heart: put all copies on one side, or leave them out with filter_by_func"
        for on, shown in across.items()
    ]
    if torn:
        messages.append(
            f"{len(torn)} items occur several times, with different labels: {listing(torn)}. If "
            "several labels are true of an item, give it one row with all of them (label_delim=); "
            "else correct them"
        )
    for message in messages:
        advice = f"{message}. databunch(find_copies=False) compares the paths of files alone"
        warn(advice, OnecycleWarning, stacklevel=stacklevel)


def _comparable(label: Any) -> Hashable:
    """A label as something that equals that of the same meaning; None where it has no such form."""
    if isinstance(label, list | tuple | set | frozenset):
        return frozenset(map(str, label)) if all(map(_is_plain, label)) else None
    return str(label) if _is_plain(label) or isinstance(label, os.PathLike) else None


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | np.generic)


def _groups(items: Sequence[Any], content: bool) -> Iterator[list[int]]:
    """Positions of items that are the same."""
    found = defaultdict[Hashable, list[int]](list)
    for position, item in enumerate(items):
        if (key := _identity(item)) is not None:
            found[key].append(position)
    if content:
        for first, *others in same_files([key for key in found if isinstance(key, str)]):
            for other in others:
                found[first] += found.pop(other)
    return (group for group in found.values() if len(group) > 1)


def _identity(item: Any) -> Hashable:
    """The path of a file, a digest of a text or an array; None for what may be the same by chance.

    Short arrays are, and those of a single value.
    """
    if isinstance(item, os.PathLike):
        return os.fspath(item)
    if isinstance(item, str):
        return hashlib.blake2b(item.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if isinstance(item, np.ndarray) and item.size >= _SHORT and item.dtype != object:
        flat = np.ascontiguousarray(item)
        if (flat != flat.flat[0]).any():
            return item.shape, hashlib.blake2b(flat.tobytes(), digest_size=16).digest()
    return None


def same_files(paths: Sequence[str]) -> Iterator[list[str]]:
    """Groups of two or more paths whose files have the same content; missing files are in none."""
    with ThreadPoolExecutor(defaults.cpus) as pool:
        sizes = pool.map(_size, paths, chunksize=256)
        alike = [path for group in _alike(paths, sizes) for path in group]
        ends = list(_alike(alike, pool.map(_ends, alike, chunksize=64)))
    budget = _WHOLE
    for group in ends:
        size = _size(group[0])
        if size <= 2 * _END or budget < 0:
            yield group
        else:
            budget -= size * len(group)
            yield from _alike(group, map(_digest, group))


def _alike(paths: Iterable[str], marks: Iterable[Any]) -> Iterator[list[str]]:
    """The paths that share a mark with another; those whose mark is 0 or None are in no group."""
    groups = defaultdict[Any, list[str]](list)
    for path, mark in zip(paths, marks, strict=True):
        if mark:
            groups[mark].append(path)
    return (group for group in groups.values() if len(group) > 1)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - half the time of Path, for every file
    except OSError:
        return 0


def _ends(path: str) -> tuple[int, bytes] | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            begin = file.read(_END)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(_END, size - _END))
            return size, hashlib.blake2b(begin + file.read(), digest_size=16).digest()
    except OSError:
        return None


def _digest(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError:
        return None
