"""Where the items are: an ordered list of sources (paths, texts, rows); none of them is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path as PurePath
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from onecycle.core.addresses import Stored, is_address, place_of
from onecycle.core.errors import EmptyDataError, TableError, UsageError, listing, warn
from onecycle.core.path_list import PathList, compact
from onecycle.core.walk import FileKind, files_below, folders_in, with_dots
from onecycle.data.tables import Column, as_array, as_frame, column, read_table
from onecycle.data.task import Input

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Items:
    """An ordered list of sources, below `path`; `inner_df` has one row per item, if there is one.

    Order is part of the value: it makes a seeded split repeatable. Every step returns a new list.
    """

    items: Sequence[Any]
    path: Any  # a Path, or the Address of a folder
    input: Input
    inner_df: pd.DataFrame | None = None
    label_cls: Any = None
    label_col: Any = 1  # of `inner_df`, where `label_from_df` names none

    suffixes: ClassVar[frozenset[str]] = frozenset()  # of the files that `from_folder` takes
    files: ClassVar[FileKind] = FileKind("item")  # and what else it should not pass by in silence

    @classmethod
    def _make(cls, items: Iterable[Any], path: str | PurePath, **more: Any) -> Self:
        raise UsageError(f"{cls.__name__} cannot open anything: use ImageList or another kind")

    @classmethod
    def from_folder(
        cls,
        path: str | PurePath = ".",
        extensions: Iterable[str] | None = None,
        recurse: bool = True,
        include: Sequence[str] | None = None,
    ) -> Self:
        """Every file below `path` with one of `extensions`, sorted; hidden files are left out.

        `path` may be an address that can be listed, such as "s3://bucket/photos". With `include`,
        only the first-level folders of those names. Warns of hidden files, of folders in `include`
        that there are not, and without `extensions` of files of other endings that seem to hold
        such items.
        """
        root = place_of(path)
        if not (cls.suffixes or extensions):
            raise UsageError(f"{cls.__name__} has no files of its own: name their extensions=")
        extensions = None if extensions is None else with_dots(extensions)
        include = [include] if isinstance(include, str) else include
        if include is not None and not recurse:
            raise UsageError("include= names folders below, which recurse=False leaves out")
        kind = replace(cls.files, suffixes=cls.suffixes)
        found = files_below(root, kind, extensions, recurse, include, "extensions")
        warn_of_absent(include, folders_in(root) if include else (), root)
        if not found:
            kinds = "/".join(sorted(extensions or cls.suffixes))
            raise EmptyDataError(f"no {kinds} file below {root}")
        return cls._make(found, root)

    @classmethod
    def from_paths(cls, paths: Iterable[str | PurePath], path: str | PurePath = ".") -> Self:
        """The given files, or addresses, in this order; relative names lie below `path`."""
        if isinstance(paths, str | PurePath):
            raise UsageError(f"a list of paths is wanted, not {str(paths)!r}")
        items = _places(place_of(path), paths)
        if not len(items):
            raise EmptyDataError("no paths were given")
        return cls._make(items, path)

    @classmethod
    def from_df(
        cls,
        df: Any,
        path: str | PurePath = ".",
        cols: Column = 0,
        folder: str | PurePath | None = None,
        suffix: str = "",
    ) -> Self:
        """One item a row: the file `path/folder/(value of cols)(suffix)`; keeps the frame.

        `path` and the values may be addresses, such as s3://bucket/photos/1.jpg.
        """
        frame = as_frame(df)
        base = place_of(path) / (folder or "")
        names = [_name(value) for value in column(frame, cols)]
        if blank := [row for row, name in zip(frame.index, names, strict=True) if not name]:
            raise TableError(f"column {cols!r} names no file in row(s) {listing(blank)}")
        files = _places(base, [f"{name}{suffix}" for name in names])
        return cls._make(files, path, inner_df=frame)

    @classmethod
    def from_csv(
        cls,
        path: str | PurePath,
        csv_name: str | PurePath,
        header: int | str | None = "infer",
        delimiter: str | None = None,
        cols: Column = 0,
        folder: str | PurePath | None = None,
        suffix: str = "",
    ) -> Self:
        """As `from_df`, from the file `path/csv_name`, whose cells are all read as text."""
        frame = read_table(place_of(path) / csv_name, delimiter, header)
        return cls.from_df(frame, path, cols, folder, suffix)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __getitem__(self, index: int) -> Any:
        """The item itself, opened."""
        return self.input.as_item(self.input.read(self.items[index]))

    def __repr__(self) -> str:
        return f"{type(self).__name__} ({len(self)} items)\nPath: {self.path}"

    @property
    def frame(self) -> pd.DataFrame:
        """The frame with one row per item."""
        if self.inner_df is None:
            raise UsageError("these items come from no table: use from_csv or from_df")
        return self.inner_df

    def refuse_inputs(self, cols: Iterable[Column]) -> None:
        """TableError for columns of the frame that are the items' own content, so no answers."""

    def take(self, positions: Iterable[int]) -> Self:
        """The items at `positions`, in that order, with their rows."""
        index = check_positions(positions, len(self))
        rows = None if self.inner_df is None else self.inner_df.iloc[index]
        return replace(self, items=take_items(self.items, index), inner_df=rows)

    def relative(self, item: Any) -> str:
        """An item's name below the list's path, with forward slashes."""
        full, base = file_of(item), file_of(self.path)
        return (full.relative_to(base) if full.is_relative_to(base) else full).as_posix()

    def first_folder(self, item: Any) -> str:
        """The first folder of an item below the list's path, or an empty string."""
        name, slash, _ = self.relative(item).partition("/")
        return name if slash else ""

    def first_folders(self) -> list[str]:
        """The first folder of each item."""
        return by_folder(self.items, lambda folder: self.first_folder(folder / "file"))


def _places(base: Any, names: Iterable[str | PurePath]) -> Sequence[Any]:
    """Files below `base` as columns; a name that is an address, or absolute, is itself."""
    return compact(place_of(name) if is_address(name) else base / name for name in names)


def take_items(items: Sequence[Any], index: np.ndarray) -> Sequence[Any]:
    """Those at the positions int64 (n,)."""
    if isinstance(items, PathList):
        return items[index]
    return tuple(items[i] for i in index)


def by_folder(items: Sequence[Any], func: Callable[[PurePath], Any]) -> list[Any]:
    """`func` of the folder that holds each file; UsageError for items that are no files."""
    if isinstance(items, PathList):
        return items.by_folder(func)
    return [func(file_of(item).parent) for item in items]


def check_positions(given: Iterable[Any], count: int, what: str = "positions") -> np.ndarray:
    """Positions in a list of `count` items, int64; UsageError for what are none."""
    places = as_array(given)
    if isinstance(places, np.ndarray) and places.ndim == 1 and places.dtype.kind in "iu":
        return _within(places.astype(np.int64), count, what)
    single = isinstance(places, str | bytes) or not getattr(places, "ndim", 1)
    if single or not isinstance(places, Iterable):
        raise UsageError(f"{what} are a list of whole numbers, not {given!r}")
    places = list(places)
    odd = [p for p in places if isinstance(p, bool | np.bool_) or not isinstance(p, Integral)]
    if odd:
        mask = all(isinstance(p, bool | np.bool_) for p in places) and len(places) == count
        advice = "; of a mask np.flatnonzero(mask) makes positions" if mask else ""
        raise UsageError(f"{what} are whole numbers, not {listing(odd, 3)}{advice}")
    return _within(np.array(places, np.int64), count, what)


def _within(chosen: np.ndarray, count: int, what: str) -> np.ndarray:
    if len(chosen) and (chosen.min() < 0 or chosen.max() >= count):
        raise UsageError(f"{what} lie in {chosen.min()}..{chosen.max()}, there are {count} items")
    return chosen


def require_function(func: Any, what: str) -> Callable[..., Any]:
    """`func`; UsageError for what cannot be called."""
    if not callable(func):
        raise UsageError(f"{what} is a function of the items, not {func!r}")
    return func


def note_item(func: Any, doing: str) -> Callable[[Any], Any]:
    """A user's function of an item, whose errors say at which item they were raised."""
    require_function(func, "what is given")

    def call(item: Any) -> Any:
        try:
            return func(item)
        except Exception as error:  # of whatever kind: it is the user's
            error.add_note(f"while {doing} {item}")
            raise

    return call


def file_of(item: Any) -> PurePath:
    """The path of an item; UsageError for arrays and whatever else is none."""
    try:
        return PurePath(item.unsigned() if isinstance(item, Stored) else item)
    except TypeError as error:
        raise UsageError(
            f"items of the kind {type(item).__name__} are no files: label_from_df() and "
            "label_from_func() label them, split_by_rand_pct(), split_by_idx() and split_from_df() "
            "divide them (and split_by_file() those of SeriesList.from_ts)"
        ) from error


def refuse_empty(n_train: int, n_valid: int, step: str) -> None:
    """Raise where `step` leaves nothing to train on or nothing to validate on."""
    if not n_train:
        raise EmptyDataError(f"{step} leaves no training items")
    if not n_valid:
        advice = "to train without validation use split_none()"
        raise EmptyDataError(f"{step} leaves no validation items; {advice}")


def _name(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()  # NaN differs from itself


def warn_of_absent(wanted: Sequence[str] | None, found: Iterable[str], where: object) -> None:
    """Names of folders that there are not: nothing is taken from them, or left out."""
    there = set(found) if wanted else set()
    if absent := [name for name in wanted or () if name not in there]:
        message = f"{len(absent)} of {len(wanted or ())} folders are not in {where}: "
        message += f"{listing(absent)}; there are {listing(sorted(there), 10)}"
        warn(message, 4)
