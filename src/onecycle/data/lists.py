"""Item lists: filtered, joined, and split into those who train, validate and test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path as PurePath
from typing import Any, Self

import numpy as np

from onecycle.core.addresses import place_of
from onecycle.core.errors import EmptyDataError, UsageError, require_whole, warn
from onecycle.core.files import read_lines
from onecycle.core.path_list import joined
from onecycle.data import splits
from onecycle.data.groups import By
from onecycle.data.items import Items, note_item, refuse_empty, require_function, warn_of_absent
from onecycle.data.labels import SplitItems
from onecycle.data.shards import Member, MemberList, samples_of
from onecycle.data.splits import Sides
from onecycle.data.tables import Column


@dataclass(frozen=True, eq=False, repr=False)
class ItemList(Items):
    """Items to be filtered and split. Every step returns a new list, or the next state."""

    @classmethod
    def from_shards(cls, shards: Any, col: str | None = None, buffer: int | None = None) -> Self:
        """The samples in tar files as WebDataset writes them, with a table of what is beside them.

        `shards` are files, addresses, folders of them, or a pattern ("s3://bucket/{000..099}.tar").
        The item is the sample's member with the ending `col`, by default its only one of this kind;
        the table has the columns `key`, `shard`, the other endings ("cls", "txt", "seg.png") and
        those of its .json. Each shard is looked through once, and its index is remembered.

        With `buffer` a training pass takes the shards in random order and shuffles that many items
        at a time, so that few shards have to be at hand; without, all items alike, as of files.
        """
        items, frame, place = samples_of(shards, cls.suffixes, col)
        if buffer is not None:
            require_whole("buffer", buffer)
        given = MemberList.of_members(items, buffer) if isinstance(items[0], Member) else items
        return cls._make(given, place, inner_df=frame)

    def filter_by_func(self, keep: Callable[[Any], bool]) -> Self:
        """The items for which `keep(item)` is true."""
        return self._keep(map(note_item(keep, "filtering"), self.items))

    def filter_by_folder(
        self, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
    ) -> Self:
        """The items whose first folder below `path` is in `include` and not in `exclude`."""
        folders = self.first_folders()
        include, exclude = (
            [names] if isinstance(names, str) else names for names in (include, exclude)
        )
        for names in (include, exclude):
            warn_of_absent(names, folders, self.path)
        return self._keep(
            (include is None or name in include) and name not in (exclude or ()) for name in folders
        )

    def filter_by_rand(self, p: float, seed: int | None = None) -> Self:
        """Each item with probability `p`; without `seed`, numpy's global generator draws."""
        if not isinstance(p, Real) or not 0 < float(p) <= 1:
            raise UsageError(f"p is a probability above 0, at most 1, not {p!r}")
        uniform = np.random.rand if seed is None else splits.legacy_rng(seed).rand
        return self._keep(uniform(len(self)) < p)

    def add(self, other: ItemList) -> Self:
        """These items and then the others; the frames are joined where both have one."""
        _refuse_another_kind(self, other)
        frame = None
        if (self.inner_df is None) != (other.inner_df is None):
            message = (
                f"one of the two lists ({len(self)} and {len(other)} items) has no table, so that "
                "together they have none: labels cannot come from columns"
            )
            warn(message, 2)
        if self.inner_df is not None and other.inner_df is not None:
            import pandas as pd

            frame = pd.concat([self.inner_df, other.inner_df], ignore_index=True)
        buffers = [getattr(part.items, "buffer", None) for part in (self, other)]
        if buffers[0] != buffers[1]:
            raise UsageError(
                f"the two lists have buffer={buffers[0]} and buffer={buffers[1]}, and one pass has "
                "one: give both the same"
            )
        return replace(self, items=joined(self.items, other.items), inner_df=frame)

    def _keep(self, chosen: Iterable[Any]) -> Self:
        """The items for which `chosen`, in their order, is true."""
        kept = self.take([i for i, wanted in enumerate(chosen) if wanted])
        if not len(kept):
            raise EmptyDataError(f"the filter leaves none of {len(self)} items")
        return kept

    def split(self, splitter: Callable[[Self], Sides]) -> SplitItems:
        """Divide into training and validation items (and test) by any function of this list."""
        return self._split(require_function(splitter, "a splitter")(self))

    def _split(self, given: Any) -> SplitItems:
        train, valid, *test = sides = splits.check_sides(given, len(self))
        refuse_empty(len(train), len(valid), f"the split of {len(self)} items")
        if test and not len(test[0]):
            raise EmptyDataError(f"the split of {len(self)} items leaves no test items")
        return self._sides(*map(self.take, sides))

    def _sides(self, train: Self, valid: Self, test: Self | None = None) -> SplitItems:
        """The sides of this kind of list."""
        return SplitItems(train, valid, test)

    def split_none(self) -> SplitItems:
        """Everything trains, nothing validates."""
        return self._sides(self, self.take([]))

    def split_by_rand_pct(
        self,
        valid_pct: float = 0.2,
        seed: int | None = None,
        stratify: By | bool = None,
        group_by: By = None,
        test_pct: float | None = None,
        label_delim: str | None = None,
    ) -> SplitItems:
        """A random share validates, and `test_pct` is a labelled test side; seeds as numpy's own.

        With `stratify` (a column, a function of the item, or a label an item; of tags, or with
        `label_delim`, several each) every class has its share of every side: at least one item
        validates and one trains where there are two, and a warning counts the others. Classes that
        come with the list do so by themselves: the column of series and arrays, the folders of
        files without a table; `stratify=False` draws from all items alike, as
        `np.random.permutation` after `np.random.seed(seed)`. Items of one group (`group_by`, given
        alike: a patient, a scene, a video) are all on one side.
        """
        return self.split(
            splits.randomly(valid_pct, seed, stratify, group_by, test_pct, label_delim)
        )

    def split_by_hash(
        self, valid_pct: float = 0.2, by: By = None, test_pct: float | None = None
    ) -> SplitItems:
        """About that share validates (and tests), each item by a hash of its own name.

        So an item keeps its side when others come or go. `by` is what is hashed instead of the name
        below `path`: a column ("key" of shards), a function of the item, or a value an item.
        """
        return self.split(splits.by_hash(valid_pct, by, test_pct))

    def split_by_time(
        self, by: By, valid_pct: float = 0.2, test_pct: float | None = None
    ) -> SplitItems:
        """The latest share validates; with `test_pct` the latest tests, and what is before it does.

        `by` is a column, a function of the item or a value an item: numbers, dates, or text of ISO
        8601 (2024-05-31). Items of one time are on one side: the later one.
        """
        return self.split(splits.by_time(by, valid_pct, test_pct))

    def kfold(
        self,
        n: int = 5,
        seed: int | None = None,
        stratify: By | bool = None,
        group_by: By = None,
        label_delim: str | None = None,
    ) -> Iterator[SplitItems]:
        """`n` splits, in which each item (each group) validates once; see `cross_validate`.

        The folds are scikit-learn's (KFold, StratifiedKFold, GroupKFold, StratifiedGroupKFold), of
        tags those of iterative stratification; the options are those of `split_by_rand_pct`. The
        only item of a class trains in every fold. Needs scikit-learn (`onecycle[splits]`).
        """
        folds = list(splits.folds(n, seed, stratify, group_by, label_delim)(self))
        return map(self._split, folds)

    def split_subsets(
        self, train_size: float, valid_size: float, seed: int | None = None
    ) -> SplitItems:
        """Random shares for both sides; the rest is left out."""
        return self.split(splits.subsets(train_size, valid_size, seed))

    def split_by_folder(
        self, train: str = "train", valid: str = "valid", test: str | None = None
    ) -> SplitItems:
        """By the first folder below `path`, `test` a labelled one; items in none are left out."""
        return self.split(splits.by_folder(train, valid, test))

    def split_by_idx(self, valid_idx: Iterable[int]) -> SplitItems:
        """The items at these positions validate."""
        return self.split(splits.by_index(valid_idx))

    def split_by_valid_func(self, func: Callable[[Any], bool]) -> SplitItems:
        """The items for which `func(item)` is true validate."""
        return self.split(splits.by_function(func))

    def split_by_files(self, valid_names: Iterable[str]) -> SplitItems:
        """The items of these file names validate."""
        return self.split(splits.by_names(valid_names))

    def split_by_fname_file(
        self, fname: str | PurePath, path: str | PurePath | None = None
    ) -> SplitItems:
        """The items named in the lines of a text file (relative to `path`) validate."""
        file = place_of(path or self.path) / fname
        return self.split(splits.by_names(read_lines(file), str(file)))

    def split_by_list(self, train: Self, valid: Self) -> SplitItems:
        """Two lists made elsewhere."""
        _refuse_another_kind(train, valid)
        refuse_empty(len(train), len(valid), "the split")
        return train._sides(train, valid)

    def split_from_df(self, col: Column = 2) -> SplitItems:
        """The rows with a true value in column `col` validate; or it holds train, valid, test."""
        return self.split(splits.by_column(col))


def _refuse_another_kind(first: Any, second: Any) -> None:
    """Two lists of one kind are wanted."""
    lists = isinstance(first, ItemList) and isinstance(second, ItemList)
    if not lists or not (isinstance(second, type(first)) or isinstance(first, type(second))):
        kinds = f"{type(first).__name__} and {type(second).__name__}"
        raise UsageError(f"two lists of items of one kind are wanted, not {kinds}")
    first.input.require_alike(second.input)
