"""Shards: tar files in which the members of one key are a sample, as WebDataset writes them.

A shard is looked through once, for where its members lie and what its labels say; the items are
then read one by one, at their places. So a list of shards is a list like any other: its length is
known, batches are a function of seed and epoch, and a training that was cut off goes on with the
next one.
"""

from __future__ import annotations

import os
import re
import tarfile
from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self

import numpy as np

from onecycle.core.addresses import Stored, open_here, place_of
from onecycle.core.errors import (
    ArchiveError,
    EmptyDataError,
    TableError,
    UsageError,
    listing,
    warn,
)
from onecycle.core.file_cache import look_at_files
from onecycle.core.json_text import parse_json
from onecycle.core.path_list import Columns, PathList, PathListBuilder
from onecycle.core.walk import FileKind, files_below
from onecycle.data.items import file_of

_TEXTS = frozenset({"cls", "cls2", "txt", "text", "transcript", "json", "id", "index", "inx"})
# Members that hold programs: never read, and named in an error.
_PICKLES = frozenset({"pyd", "pickle", "pkl", "pth", "pt", "joblib"})
_END = 1024  # zero bytes that end a tar
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_KIND = FileKind("shard", frozenset({".tar"}), frozenset({".tgz", ".gz", ".zst", ".bz2", ".xz"}))


class RowFile(Stored):
    """A shard whose members are rows."""

    @abstractmethod
    def row(self, number: int) -> bytes:
        """What a row holds; OSError where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Member(Stored):
    """`size` bytes of a tar file from `offset` on; of a `RowFile` the row `offset`."""

    shard: Any
    member: str
    offset: int
    size: int

    def __fspath__(self) -> str:
        return f"{os.fspath(self.shard)}/{self.member}"

    def __str__(self) -> str:
        return f"{self.shard}/{self.member}"

    def unsigned(self) -> str:
        shard = self.shard.unsigned() if isinstance(self.shard, Stored) else self.shard
        return f"{shard}/{self.member}"

    def open(self) -> BinaryIO:
        if isinstance(self.shard, RowFile):
            return BytesIO(self.shard.row(self.offset))
        with open_here(self.shard) as file:
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) < self.size:
            raise OSError(f"the shard is cut off: {len(data)} of its {self.size} bytes are there")
        return BytesIO(data)

    def version(self) -> str:
        return f"{version_of(self.shard)}\0{self.offset} {self.size} {self.member}"


def version_of(place: Any) -> str:
    """What changes when a file, here or elsewhere, does."""
    if isinstance(place, Stored):
        return place.version()
    found = Path(place).stat()
    return f"{Path(place).absolute()} {found.st_size} {found.st_mtime_ns}"


class _Columns(Columns):
    """Names as of files in the shards, and where each lies: arrays int64 (n,)."""

    shards: Sequence[Any]
    of_shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray

    def member(self, row: int) -> Member:
        shard = self.shards[int(self.of_shard[row])]
        full = next(self.strings(np.array([row])))
        name = full[len(os.fspath(shard)) + 1 :]
        return Member(shard, name, int(self.offset[row]), int(self.size[row]))


class MemberList(PathList):
    """Members of shards in their order, made when they are asked for.

    With a `buffer`, training takes the shards in random order and shuffles so many items at a time:
    only the shards that these lie in have to be at hand.
    """

    _columns: _Columns
    buffer: int | None = None

    def __getitem__(self, index: Any) -> Any:
        if np.ndim(index) or isinstance(index, slice):
            taken = super().__getitem__(index)
            taken.buffer = self.buffer
            return taken
        return self._columns.member(int(self._rows[index]))

    def __iter__(self) -> Iterator[Any]:
        return map(self._columns.member, self._rows.tolist())

    def plain(self) -> Iterator[Any]:
        return iter(self)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The positions of a pass, int64 (n,): shards in random order, shuffled by the buffer."""
        if self.buffer is None:
            return rng.permutation(len(self))
        shards = self._columns.of_shard[self._rows]
        rank = rng.permutation(len(self._columns.shards))
        order = np.argsort(rank[shards], kind="stable")
        for start in range(0, len(order), self.buffer):
            part = order[start : start + self.buffer]
            order[start : start + self.buffer] = rng.permutation(part)
        return order

    @classmethod
    def joined(cls, lists: Sequence[Self]) -> Sequence[Any]:
        """They keep their buffer where that is the same."""
        first, *others = {members.buffer for members in lists}
        items: Iterable[Any] = chain.from_iterable(lists)
        return tuple(items) if others else cls.of_members(items, first)

    @classmethod
    def of_members(cls, members: Iterable[Member], buffer: int | None) -> Self:
        """These members; their shards are numbered as they come."""
        names, numbers = PathListBuilder(), dict[Any, int]()
        places = list[tuple[int, int, int]]()
        for member in members:
            folder, slash, name = os.fspath(member).rpartition("/")
            names.add(folder + slash, [name])
            number = numbers.setdefault(member.shard, len(numbers))
            places.append((number, member.offset, member.size))
        columns = _Columns(*names.parts())
        columns.shards = tuple(numbers)
        columns.of_shard, columns.offset, columns.size = np.array(places, np.int64).reshape(-1, 3).T
        made = cls(columns)
        made.buffer = buffer
        return made


def shards_of(given: Any, kind: FileKind = _KIND) -> list[Any]:
    """Paths or addresses of shards: of a folder, of a pattern {000..099}, or of a list of these."""
    if not isinstance(given, str | os.PathLike):
        return [shard for one in given for shard in shards_of(one, kind)]
    text = os.fspath(given)
    if found := _RANGE.search(text):
        first, last = found.groups()
        numbers = (f"{i:0{len(first)}}" for i in range(int(first), int(last) + 1))
        return [
            shard
            for n in numbers
            for shard in shards_of(text[: found.start()] + n + text[found.end() :], kind)
        ]
    place = place_of(given)
    is_folder = not isinstance(place, Stored) and place.is_dir()  # Spark and Dask: x.parquet/
    if place.suffix.lower() in kind.suffixes | kind.family and not is_folder:
        return [place]
    return list(files_below(place, kind))


def shards_with_names(given: Any, kind: FileKind = _KIND) -> tuple[list[Any], Any, list[str]]:
    """The shards, the folder that they lie in or below, and their names there.

    EmptyDataError for none; UsageError for one that is given twice, whose items would be, too.
    """
    shards = shards_of(given, kind)
    if not shards:
        raise EmptyDataError(f"there is no {kind.what} in {given}")
    counts = Counter(s if isinstance(s, Stored) else s.resolve() for s in shards)
    if twice := [str(shard) for shard, count in counts.items() if count > 1]:
        raise UsageError(f"{len(twice)} {kind.what}s are given twice: {listing(twice)}")
    place = _place_of_all(given, shards, kind)
    base, full = file_of(place), [file_of(shard) for shard in shards]
    below = (path.relative_to(base) if path.is_relative_to(base) else path for path in full)
    return shards, place, [path.as_posix() for path in below]


def samples_of(
    given: Any, suffixes: Collection[str], col: str | None = None
) -> tuple[list[Any], Any, Any]:
    """The item of each sample, a frame with a row for each, and the place of the shards.

    The item is the member whose ending is `col`, or the only one of `suffixes`. Columns of the
    frame are `key`, `shard` (its name below that place), the endings of other members (their text;
    of images the `Member`), and what a .json holds. ArchiveError, with the name of the member, for
    shards that are damaged or cut off, for pickles, and for samples without their item.
    """
    import pandas as pd

    shards, place, names = shards_with_names(given)
    found = look_at_files("members of shards", look_through, shards, "looking through shards", 8)
    rows, items, others = list[dict[str, Any]](), list[Any](), Counter[str]()
    for shard, name, (members, texts) in zip(shards, names, found, strict=True):
        for key, own in _samples(shard, members).items():
            item = _item_of(shard, key, own, suffixes, col)
            rest = {ending: own[ending] for ending in own if ending != item}
            items.append(texts[own[item].member] if item in _TEXTS else own[item])
            rows.append(_row({"key": key, "shard": name}, rest, texts, suffixes, others))
    if not rows:
        raise EmptyDataError(f"the {len(shards)} shards hold no sample")
    if others:
        named = listing(f"{name} ({count})" for name, count in others.items())
        warn(f"{others.total()} members of shards are not read, for their endings: {named}", 3)
    return items, pd.DataFrame(rows), place


def _place_of_all(given: Any, shards: Sequence[Any], kind: FileKind) -> Any:
    is_folder = isinstance(given, str | os.PathLike) and shards_of(given, kind) != [place_of(given)]
    if is_folder and not _RANGE.search(os.fspath(given)):
        return place_of(given)
    place = shards[0].parent
    while not all(file_of(shard).is_relative_to(file_of(place)) for shard in shards):
        if place == place.parent:
            return shards[0].parent
        place = place.parent
    return place


def look_through(shard: Any) -> tuple[list[tuple[str, int, int]], dict[str, str]]:
    """(name, offset, size) of each member of a shard, and the content of those that are texts."""
    try:
        with open_here(shard) as file:
            members = [*_members(shard, file)]
            texts = {}
            for name, offset, size in members:
                if _ending(name)[1] in _TEXTS:
                    file.seek(offset)
                    texts[name] = file.read(size).decode()
    except UnicodeDecodeError as error:
        raise ArchiveError(f"{shard}/{name}: is no text of UTF-8 ({error})") from None
    except OSError as error:
        raise ArchiveError(f"{shard}: cannot be read ({error})") from error
    return members, texts


def _members(shard: Any, file: BinaryIO) -> Iterator[tuple[str, int, int]]:
    length, last, end = file.seek(0, os.SEEK_END), "", 0
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                last, size = info.name, info.size if info.isreg() else 0
                end = info.offset_data + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if info.offset_data + size > length:
                    have = max(0, length - info.offset_data)
                    raise ArchiveError(f"{shard}/{last}: cut off ({have} of {size} bytes)")
                if _ending(last)[1].rpartition(".")[2] in _PICKLES:
                    raise ArchiveError(
                        f"{shard}/{last}: pickles run code when they are read, and are never read "
                        "here: write the shard with .json, .cls or .txt"
                    )
                if info.issparse() or not (info.isreg() or info.isdir()):
                    raise ArchiveError(f"{shard}/{last}: is no plain file but a link, or sparse")
                if info.isreg():
                    yield last, info.offset_data, size
    except tarfile.TarError as error:
        behind = f"behind the member {last!r}" if last else "at its beginning"
        raise ArchiveError(
            f"{shard}: cut off, damaged or compressed {behind} ({error}); shards are plain .tar "
            "files, since items are read at their places"
        ) from error
    file.seek(end)
    rest = file.read(1 << 20)
    if len(rest) < _END:
        raise ArchiveError(f"{shard}: cut off behind the member {last!r}: its end mark is missing")
    if rest.strip(b"\0"):
        raise ArchiveError(f"{shard}: more follows behind its end, after the member {last!r}")


def _ending(name: str) -> tuple[str, str]:
    """Key and ending of a member: the last part of its name is divided at its first dot."""
    path = PurePosixPath(name)
    stem, _, ending = path.name.partition(".")
    return str(path.with_name(stem)) if stem else name, ending.lower()


def _samples(shard: Any, members: Iterable[Sequence[Any]]) -> dict[str, dict[str, Member]]:
    """The members of each key by their endings, in the order of their first ones."""
    found = dict[str, dict[str, Member]]()
    for name, offset, size in members:
        key, ending = _ending(name)
        own = found.setdefault(key, {})
        if ending in own:
            raise ArchiveError(f"{shard}/{name}: is there twice")
        own[ending] = Member(shard, name, offset, size)
    return found


def _item_of(
    shard: Any, key: str, own: dict[str, Member], suffixes: Collection[str], col: str | None
) -> str:
    """The ending of the member that is the item."""
    fitting = [e for e in own if e == col] if col else [e for e in own if f".{e}" in suffixes]
    if len(fitting) != 1:
        wanted = f".{col}" if col else "/".join(sorted(suffixes))
        raise ArchiveError(
            f"{shard}/{key}: one {wanted} is wanted, there are {listing(own)}; col= names the "
            "ending of the items"
        )
    return fitting[0]


def _row(
    row: dict[str, Any],
    own: dict[str, Member],
    texts: dict[str, str],
    suffixes: Collection[str],
    others: Counter[str],
) -> dict[str, Any]:
    """The row of the frame, filled in; `others` counts the members that are not read."""
    for ending, member in own.items():
        if ending == "json":
            content = parse_json(texts[member.member])
            if not isinstance(content, dict):
                raise TableError(f"{member}: an object is wanted, {{...}}")
        elif ending in _TEXTS:
            content = {ending: texts[member.member].strip()}
        elif PurePosixPath(f"x.{ending}").suffix in suffixes:
            content = {ending: member}
        else:
            others[ending] += 1
            continue
        if twice := [name for name in content if name in row and row[name] != content[name]]:
            raise TableError(
                f"{member}: gives {listing(twice)} a value, and the sample's other members or its "
                "name give another: rename or drop one"
            )
        row |= content
    return row
