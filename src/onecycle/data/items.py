"""Where the items are: an ItemList knows paths (or texts, or rows) and opens none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path as PurePath
from typing import TYPE_CHECKING, Any, ClassVar, Self
from warnings import warn

import numpy as np

from onecycle.core.errors import EmptyDataError, OnecycleWarning, TableError, UsageError, listing
from onecycle.core.files import read_lines
from onecycle.core.paths import Path
from onecycle.core.walk import FileKind, files_below, with_dots
from onecycle.data import splitters as split
from onecycle.data.tables import Column, as_frame, column, read_table
from onecycle.data.task import Input

if TYPE_CHECKING:
    import pandas as pd

    from onecycle.data.labels import SplitItems


@dataclass(frozen=True, eq=False)
class ItemList:
    """An ordered list of sources, below `path`; `inner_df` has one row per item, if there is one.

    Order is part of the value: it makes a seeded split repeatable. Every step returns a new list.
    """

    items: Sequence[Any]
    path: Path
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

        With `include`, only the first-level folders of those names. Warns of hidden files, of
        folders in `include` that there are not, and without `extensions` of files of other
        endings that seem to hold such items.
        """
        root = Path(path)
        if not (cls.suffixes or extensions):
            raise UsageError(f"{cls.__name__} has no files of its own: name their extensions=")
        extensions = None if extensions is None else with_dots(extensions)
        include = [include] if isinstance(include, str) else include
        if include is not None and not recurse:
            raise UsageError("include= names folders below, which recurse=False leaves out")
        kind = replace(cls.files, suffixes=cls.suffixes)
        found = files_below(root, kind, extensions, recurse, include, "extensions")
        _warn_of_absent(include, (entry.name for entry in root.iterdir() if entry.is_dir()), root)
        if not found:
            kinds = "/".join(sorted(extensions or cls.suffixes))
            raise EmptyDataError(f"no {kinds} file below {root}")
        return cls._make(found, root)

    @classmethod
    def from_paths(cls, paths: Iterable[str | PurePath], path: str | PurePath = ".") -> Self:
        """The given files in the given order; relative names are looked for below `path`."""
        if isinstance(paths, str | PurePath):
            raise UsageError(f"a list of paths is wanted, not {str(paths)!r}")
        items = [Path(path) / p for p in paths]
        if not items:
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
        """One item a row: the file `path/folder/(value of cols)(suffix)`; keeps the frame."""
        frame = as_frame(df)
        base = Path(path) / (folder or "")
        names = column(frame, cols)
        blank = [row for row, name in zip(frame.index, names, strict=True) if not _name(name)]
        if blank:
            raise TableError(f"column {cols!r} names no file in row(s) {listing(blank)}")
        return cls._make([base / f"{_name(n)}{suffix}" for n in names], path, inner_df=frame)

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
        frame = read_table(Path(path) / csv_name, delimiter, header)
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
        index = split.positions(positions, len(self))
        rows = None if self.inner_df is None else self.inner_df.iloc[index]
        return replace(self, items=tuple(self.items[i] for i in index), inner_df=rows)

    def relative(self, item: Any) -> str:
        """An item's name below the list's path, with forward slashes."""
        full = file_of(item)
        base = PurePath(self.path)
        return (full.relative_to(base) if full.is_relative_to(base) else full).as_posix()

    def first_folder(self, item: Any) -> str:
        """The first folder of an item below the list's path, or an empty string."""
        name, slash, _ = self.relative(item).partition("/")
        return name if slash else ""

    def filter_by_func(self, keep: Callable[[Any], bool]) -> Self:
        """The items for which `keep(item)` is true."""
        wanted = split.asked(keep, "filtering")
        return self._kept([i for i, item in enumerate(self.items) if wanted(item)])

    def filter_by_folder(
        self, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
    ) -> Self:
        """The items whose first folder below `path` is in `include` and not in `exclude`."""
        folders = [self.first_folder(item) for item in self.items]
        include, exclude = (
            [names] if isinstance(names, str) else names for names in (include, exclude)
        )
        for names in (include, exclude):
            _warn_of_absent(names, folders, self.path)
        return self._kept(
            [
                i
                for i, name in enumerate(folders)
                if (include is None or name in include) and name not in (exclude or ())
            ]
        )

    def filter_by_rand(self, p: float, seed: int | None = None) -> Self:
        """Each item with probability `p`; without `seed`, numpy's global generator draws."""
        if not isinstance(p, Real) or not 0 < float(p) <= 1:
            raise UsageError(f"p is a probability above 0, at most 1, not {p!r}")
        uniform = np.random.rand if seed is None else split.legacy(seed).rand
        return self._kept(np.flatnonzero(uniform(len(self)) < p))

    def add(self, other: ItemList) -> Self:
        """These items and then the others; the frames are joined where both have one."""
        _refuse_another_kind(self, other)
        frame = None
        if (self.inner_df is None) != (other.inner_df is None):
            warn(
                f"one of the two lists ({len(self)} and {len(other)} items) has no table, so that "
                "together they have none: labels cannot come from columns",
                OnecycleWarning,
                stacklevel=2,
            )
        if self.inner_df is not None and other.inner_df is not None:
            import pandas as pd

            frame = pd.concat([self.inner_df, other.inner_df], ignore_index=True)
        return replace(self, items=(*self.items, *other.items), inner_df=frame)

    def _kept(self, positions: Iterable[int]) -> Self:
        kept = self.take(positions)
        if not len(kept):
            raise EmptyDataError(f"the filter leaves none of {len(self)} items")
        return kept

    def split(self, splitter: split.Splitter) -> SplitItems:
        """Divide into training and validation items by any function of this list."""
        sides = split.require_function(splitter, "a splitter")(self)
        train, valid = split.checked(sides, len(self))
        refuse_empty(len(train), len(valid), f"the split of {len(self)} items")
        return self._sides(self.take(train), self.take(valid))

    def _sides(self, train: Self, valid: Self) -> SplitItems:
        """Two sides of this kind of list."""
        from onecycle.data.labels import SplitItems

        return SplitItems(train, valid)

    def split_none(self) -> SplitItems:
        """Everything trains, nothing validates."""
        return self._sides(self, self.take([]))

    def split_by_rand_pct(self, valid_pct: float = 0.2, seed: int | None = None) -> SplitItems:
        """A random share validates; seeds as in `np.random.seed(seed)`."""
        return self.split(split.randomly(valid_pct, seed))

    def split_subsets(
        self, train_size: float, valid_size: float, seed: int | None = None
    ) -> SplitItems:
        """Random shares for both sides; the rest is left out."""
        return self.split(split.subsets(train_size, valid_size, seed))

    def split_by_folder(self, train: str = "train", valid: str = "valid") -> SplitItems:
        """By the first folder below `path`; items in neither are left out."""
        return self.split(split.by_folder(train, valid))

    def split_by_idx(self, valid_idx: Iterable[int]) -> SplitItems:
        """The items at these positions validate."""
        return self.split(split.by_index(valid_idx))

    def split_by_valid_func(self, func: Callable[[Any], bool]) -> SplitItems:
        """The items for which `func(item)` is true validate."""
        return self.split(split.by_function(func))

    def split_by_files(self, valid_names: Iterable[str]) -> SplitItems:
        """The items of these file names validate."""
        return self.split(split.by_names(valid_names))

    def split_by_fname_file(
        self, fname: str | PurePath, path: str | PurePath | None = None
    ) -> SplitItems:
        """The items named in the lines of a text file (relative to `path`) validate."""
        file = Path(path or self.path) / fname
        return self.split(split.by_names(read_lines(file), str(file)))

    def split_by_list(self, train: Self, valid: Self) -> SplitItems:
        """Two lists made elsewhere."""
        _refuse_another_kind(train, valid)
        refuse_empty(len(train), len(valid), "the split")
        return train._sides(train, valid)

    def split_from_df(self, col: Column = 2) -> SplitItems:
        """The rows with a true value in column `col` validate."""
        return self.split(split.by_column(col))


def file_of(item: Any) -> PurePath:
    """The path of an item; UsageError for arrays and whatever else is none."""
    try:
        return PurePath(item)
    except TypeError as error:
        raise UsageError(
            f"items of the kind {type(item).__name__} are no files: label_from_df() and "
            "label_from_func() label them, split_by_rand_pct(), split_by_idx() and split_from_df() "
            "divide them (and split_by_file() those of SeriesList.from_ts)"
        ) from error


def _refuse_another_kind(first: Any, second: Any) -> None:
    """Two lists of one kind are wanted."""
    lists = isinstance(first, ItemList) and isinstance(second, ItemList)
    if not lists or not (isinstance(second, type(first)) or isinstance(first, type(second))):
        kinds = f"{type(first).__name__} and {type(second).__name__}"
        raise UsageError(f"two lists of items of one kind are wanted, not {kinds}")


def refuse_empty(n_train: int, n_valid: int, step: str) -> None:
    """Raise where `step` leaves nothing to train on or nothing to validate on."""
    if not n_train:
        raise EmptyDataError(f"{step} leaves no training items")
    if not n_valid:
        raise EmptyDataError(
            f"{step} leaves no validation items; to train without validation use split_none()"
        )


def _name(value: Any) -> str:
    text = "" if value is None or value != value else str(value)  # NaN differs from itself
    return text.strip()


def _warn_of_absent(wanted: Sequence[str] | None, found: Iterable[str], where: object) -> None:
    """Names of folders that there are not: nothing is taken from them, or left out."""
    there = set(found) if wanted else set()
    if absent := [name for name in wanted or () if name not in there]:
        warn(
            f"{len(absent)} of {len(wanted or ())} folders are not in {where}: {listing(absent)}; "
            f"there are {listing(sorted(there), 10)}",
            OnecycleWarning,
            stacklevel=4,
        )
