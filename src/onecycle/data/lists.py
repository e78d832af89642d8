"""Who trains and who validates: item lists, and splitters that give two arrays of positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path as PurePath
from typing import Any, Self

import numpy as np

from onecycle.core.errors import EmptyDataError, UsageError, listing, warn
from onecycle.core.files import read_lines
from onecycle.core.path_list import joined
from onecycle.core.paths import Path
from onecycle.core.walk import hint_of_names
from onecycle.data.items import (
    Items,
    check_positions,
    note_item,
    refuse_empty,
    require_function,
    warn_of_absent,
)
from onecycle.data.labels import SplitItems
from onecycle.data.tables import Column, as_array, truths

Sides = tuple[np.ndarray, np.ndarray]
Splitter = Callable[[Items], Sides]


@dataclass(frozen=True, eq=False)
class ItemList(Items):
    """Items to be filtered and split. Every step returns a new list, or the next state."""

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
        uniform = np.random.rand if seed is None else legacy_rng(seed).rand
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
        return replace(self, items=joined(self.items, other.items), inner_df=frame)

    def _keep(self, chosen: Iterable[Any]) -> Self:
        """The items for which `chosen`, in their order, is true."""
        kept = self.take([i for i, wanted in enumerate(chosen) if wanted])
        if not len(kept):
            raise EmptyDataError(f"the filter leaves none of {len(self)} items")
        return kept

    def split(self, splitter: Callable[[Self], Sides]) -> SplitItems:
        """Divide into training and validation items by any function of this list."""
        given = require_function(splitter, "a splitter")(self)
        train, valid = check_sides(given, len(self))
        refuse_empty(len(train), len(valid), f"the split of {len(self)} items")
        return self._sides(self.take(train), self.take(valid))

    def _sides(self, train: Self, valid: Self) -> SplitItems:
        """Two sides of this kind of list."""
        return SplitItems(train, valid)

    def split_none(self) -> SplitItems:
        """Everything trains, nothing validates."""
        return self._sides(self, self.take([]))

    def split_by_rand_pct(self, valid_pct: float = 0.2, seed: int | None = None) -> SplitItems:
        """A random share validates; seeds as in `np.random.seed(seed)`."""
        return self.split(randomly(valid_pct, seed))

    def split_subsets(
        self, train_size: float, valid_size: float, seed: int | None = None
    ) -> SplitItems:
        """Random shares for both sides; the rest is left out."""
        return self.split(subsets(train_size, valid_size, seed))

    def split_by_folder(self, train: str = "train", valid: str = "valid") -> SplitItems:
        """By the first folder below `path`; items in neither are left out."""
        return self.split(by_folder(train, valid))

    def split_by_idx(self, valid_idx: Iterable[int]) -> SplitItems:
        """The items at these positions validate."""
        return self.split(by_index(valid_idx))

    def split_by_valid_func(self, func: Callable[[Any], bool]) -> SplitItems:
        """The items for which `func(item)` is true validate."""
        return self.split(by_function(func))

    def split_by_files(self, valid_names: Iterable[str]) -> SplitItems:
        """The items of these file names validate."""
        return self.split(by_names(valid_names))

    def split_by_fname_file(
        self, fname: str | PurePath, path: str | PurePath | None = None
    ) -> SplitItems:
        """The items named in the lines of a text file (relative to `path`) validate."""
        file = Path(path or self.path) / fname
        return self.split(by_names(read_lines(file), str(file)))

    def split_by_list(self, train: Self, valid: Self) -> SplitItems:
        """Two lists made elsewhere."""
        _refuse_another_kind(train, valid)
        refuse_empty(len(train), len(valid), "the split")
        return train._sides(train, valid)

    def split_from_df(self, col: Column = 2) -> SplitItems:
        """The rows with a true value in column `col` validate."""
        return self.split(by_column(col))


def _refuse_another_kind(first: Any, second: Any) -> None:
    """Two lists of one kind are wanted."""
    lists = isinstance(first, ItemList) and isinstance(second, ItemList)
    if not lists or not (isinstance(second, type(first)) or isinstance(first, type(second))):
        kinds = f"{type(first).__name__} and {type(second).__name__}"
        raise UsageError(f"two lists of items of one kind are wanted, not {kinds}")
    first.input.require_alike(second.input)


def randomly(valid_pct: float = 0.2, seed: int | None = None) -> Splitter:
    """A random share `valid_pct` validates; without `seed`, numpy's global generator draws."""
    _require_shares(valid_pct=valid_pct)

    def split(items: Items) -> Sides:
        order = _shuffle(len(items), seed)
        return by_index(order[: int(valid_pct * len(items))])(items)

    return split


def subsets(train_size: float, valid_size: float, seed: int | None = None) -> Splitter:
    """Random shares of the items on both sides; the rest is left out."""
    _require_shares(train_size=train_size, valid_size=valid_size)
    if train_size + valid_size > 1:
        raise UsageError(f"train_size {train_size} and valid_size {valid_size} are shares of one")

    def split(items: Items) -> Sides:
        order = _shuffle(len(items), seed)
        n_train, n_valid = int(train_size * len(items)), int(valid_size * len(items))
        return np.sort(order[:n_train]), np.sort(order[len(order) - n_valid :])

    return split


def by_index(valid: Iterable[int]) -> Splitter:
    """The items at positions `valid` validate."""
    given: Any = as_array(valid)
    if isinstance(given, Iterable) and not isinstance(given, str | np.ndarray):
        given = list(given)  # of an iterator: it is asked once

    def split(items: Items) -> Sides:
        _refuse_row_names(valid, items)
        mask = np.zeros(len(items), bool)
        mask[check_positions(given, len(items), "valid positions")] = True
        return np.flatnonzero(~mask), np.flatnonzero(mask)

    return split


def check_sides(sides: Any, count: int) -> Sides:
    """What a splitter gave; UsageError unless no item is on both sides, or twice on one."""
    try:
        train, valid = sides
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"a splitter returns two arrays of positions (train, valid), not {sides!r:.200}"
        ) from error
    train = check_positions(train, count, "the splitter's training positions")
    valid = check_positions(valid, count, "the splitter's validation positions")
    twice = np.flatnonzero(np.bincount(np.concatenate([train, valid]), minlength=count) > 1)
    if len(twice):
        raise UsageError(f"the splitter gives {len(twice)} items twice, at {listing(twice)}")
    return train, valid


def by_function(is_valid: Callable[[Any], bool]) -> Splitter:
    """The items for which `is_valid(item)` is true validate."""
    chosen = note_item(is_valid, "asking whether it validates:")
    return lambda items: by_index([i for i, item in enumerate(items.items) if chosen(item)])(items)


def by_folder(train: str = "train", valid: str = "valid") -> Splitter:
    """By the first folder below the list's path; items in neither folder are left out."""

    def split(items: Items) -> Sides:
        first = np.array(items.first_folders(), dtype=object)
        sides = np.flatnonzero(first == train), np.flatnonzero(first == valid)
        for name, side in zip((train, valid), sides, strict=True):
            if not len(side):
                found = listing(sorted(set(map(str, first))))
                raise EmptyDataError(
                    f"no items in folder {name!r} below {items.path}; there are {found}"
                )
        others = Counter(map(str, first[(first != train) & (first != valid)]))
        if others:
            named = listing(f"{name or 'no folder'} ({n} items)" for name, n in others.items())
            message = (
                f"{others.total()} of {len(items)} items are in neither {train!r} nor {valid!r}, "
                f"and left out: {named}. filter_by_folder(include=[{train!r}, {valid!r}]) before "
                "the split leaves them out without this warning"
            )
            warn(message, 4)
        return sides

    return split


def by_names(valid_names: Iterable[str], where: str = "the list") -> Splitter:
    """The items whose file name (or path below the list's path) is named validate."""
    if isinstance(valid_names, str) or not isinstance(valid_names, Iterable):
        raise UsageError(f"a list of names is wanted, not {valid_names!r}")
    wanted = {str(name).strip() for name in valid_names} - {""}

    def split(items: Items) -> Sides:
        keys = [{name, name.rpartition("/")[2]} for name in map(items.relative, items.items)]
        chosen = [i for i, key in enumerate(keys) if key & wanted]
        hits = Counter(name for i in chosen for name in keys[i] & wanted)
        if absent := wanted - hits.keys():
            message = f"{len(absent)} of {len(wanted)} names in {where} are no items: "
            message += f"{listing(sorted(absent))}.{hint_of_names(absent)}"
            warn(message, 4)
        if several := sorted(name for name, count in hits.items() if count > 1):
            message = f"{len(several)} names in {where} are each the name of several items, which "
            message += f"all validate: {listing(several)}. Name them with their folders"
            warn(message, 4)
        return by_index(chosen)(items)

    return split


def by_column(col: Column) -> Splitter:
    """The items with a true value in column `col` of the list's frame validate."""

    def split(items: Items) -> Sides:
        items.refuse_inputs([col])
        return by_index(np.flatnonzero(truths(items.frame, col)))(items)

    return split


def _require_shares(**given: Any) -> None:
    for name, share in given.items():
        if not isinstance(share, Real) or not 0 < float(share) < 1:
            raise UsageError(f"{name} is a share between 0 and 1, not {share!r}")


def _refuse_row_names(given: Any, items: Items) -> None:
    """A frame from which rows were left out numbers them otherwise than they are counted here."""
    frame = items.inner_df
    if frame is None:
        return
    import pandas as pd

    if not isinstance(given, pd.Index) or not frame.index.is_unique:
        return
    places = frame.index.get_indexer(given)
    if (places >= 0).all() and not np.array_equal(places, given.to_numpy()):
        raise UsageError(
            f"these are names of rows, such as {given[0]!r}, which is the row at position "
            f"{places[0]}: give positions, frame.index.get_indexer(names), or number the rows "
            "anew before, frame.reset_index(drop=True)"
        )


def _shuffle(count: int, seed: int | None) -> np.ndarray:
    """The permutation that numpy's legacy generator gives after `np.random.seed(seed)`."""
    if seed is None:
        return np.random.permutation(count)  # the course seeds numpy's global generator
    return legacy_rng(seed).permutation(count)


def legacy_rng(seed: int) -> np.random.RandomState:
    """numpy's legacy generator as after `np.random.seed(seed)`; UsageError for other seeds."""
    if not isinstance(seed, Integral) or not 0 <= seed < 2**32:
        raise UsageError(f"seed is a whole number from 0 to 2**32 - 1, not {seed!r}")
    return np.random.RandomState(int(seed))
