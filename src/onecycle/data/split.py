"""Who trains and who validates: a splitter maps an item list to two arrays of positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np

from onecycle.core.errors import EmptyDataError, OnecycleWarning, UsageError, listing
from onecycle.core.missing import hint_of_names
from onecycle.data.frames import Column, truths

if TYPE_CHECKING:
    from onecycle.data.items import ItemList

Sides = tuple[np.ndarray, np.ndarray]
Splitter = Callable[["ItemList"], Sides]


def randomly(valid_pct: float = 0.2, seed: int | None = None) -> Splitter:
    """A random share `valid_pct` validates; without `seed`, numpy's global generator draws."""
    if not 0 < valid_pct < 1:
        raise UsageError(f"valid_pct is a share between 0 and 1, not {valid_pct}")

    def split(items: ItemList) -> Sides:
        order = _shuffled(len(items), seed)
        return by_index(order[: int(valid_pct * len(items))])(items)

    return split


def subsets(train_size: float, valid_size: float, seed: int | None = None) -> Splitter:
    """Random shares of the items on both sides; the rest is left out."""
    if not (0 < train_size < 1 and 0 < valid_size < 1 and train_size + valid_size <= 1):
        raise UsageError(f"train_size {train_size} and valid_size {valid_size} are shares of one")

    def split(items: ItemList) -> Sides:
        order = _shuffled(len(items), seed)
        n_train, n_valid = int(train_size * len(items)), int(valid_size * len(items))
        return np.sort(order[:n_train]), np.sort(order[len(order) - n_valid :])

    return split


def by_index(valid: Iterable[int]) -> Splitter:
    """The items at positions `valid` validate."""

    def split(items: ItemList) -> Sides:
        chosen = np.unique(_positions(valid, items))
        if len(chosen) and (chosen[0] < 0 or chosen[-1] >= len(items)):
            raise UsageError(
                f"valid positions lie in {chosen[0]}..{chosen[-1]}, there are {len(items)} items"
            )
        mask = np.zeros(len(items), bool)
        mask[chosen] = True
        return np.flatnonzero(~mask), np.flatnonzero(mask)

    return split


def by_function(is_valid: Callable[[Any], bool]) -> Splitter:
    """The items for which `is_valid(item)` is true validate."""
    return lambda items: by_index([i for i, item in enumerate(items.items) if is_valid(item)])(
        items
    )


def by_folder(train: str = "train", valid: str = "valid") -> Splitter:
    """By the first folder below the list's path; items in neither folder are left out."""

    def split(items: ItemList) -> Sides:
        first = np.array([items.first_folder(item) for item in items.items], dtype=object)
        sides = np.flatnonzero(first == train), np.flatnonzero(first == valid)
        for name, side in zip((train, valid), sides, strict=True):
            if not len(side):
                found = sorted(set(map(str, first)))
                raise EmptyDataError(
                    f"no items in folder {name!r} below {items.path}; there are {listing(found)}"
                )
        return sides

    return split


def by_names(valid_names: Iterable[str], where: str = "the list") -> Splitter:
    """The items whose file name (or path below the list's path) is named validate."""
    wanted = {str(name).strip() for name in valid_names} - {""}

    def split(items: ItemList) -> Sides:
        keys = [{name, name.rpartition("/")[2]} for name in map(items.relative, items.items)]
        chosen = [i for i, key in enumerate(keys) if key & wanted]
        if absent := wanted - set().union(*(keys[i] for i in chosen)):
            message = f"{len(absent)} of {len(wanted)} names in {where} are no items: "
            message += f"{listing(sorted(absent))}.{hint_of_names(absent)}"
            warn(message, OnecycleWarning, stacklevel=2)
        return by_index(chosen)(items)

    return split


def by_column(col: Column) -> Splitter:
    """The items with a true value in column `col` of the list's frame validate."""

    def split(items: ItemList) -> Sides:
        items.refuse_inputs([col])
        return by_index(np.flatnonzero(truths(items.frame, col)))(items)

    return split


def _positions(given: Iterable[int], items: ItemList) -> np.ndarray:
    """Whole numbers as an array; UsageError for a row of yes and no, and for names of rows.

    As numbers these would be taken for the items 0 and 1, or for others than are meant.
    """
    _refuse_row_names(given, items)
    found = np.asarray(list(given))
    if found.dtype == bool and len(found) == len(items):
        raise UsageError(
            f"positions are wanted, not {len(found)} times yes or no: np.flatnonzero(mask)"
        )
    if found.size and found.dtype.kind not in "iu":
        raise UsageError(f"positions are whole numbers, not {listing(found.ravel().tolist())}")
    return found.astype(np.int64)


def _refuse_row_names(given: Any, items: ItemList) -> None:
    """A frame from which rows were left out numbers them otherwise than they are counted here."""
    import pandas as pd

    frame = items.inner_df
    if frame is None or not isinstance(given, pd.Index):
        return
    if frame.index.is_unique and given.isin(frame.index).all():
        places = frame.index.get_indexer(given)
        if not np.array_equal(places, given.to_numpy()):
            raise UsageError(
                f"these are names of rows, such as {given[0]!r}, which is the row at position "
                f"{places[0]}: give positions, frame.index.get_indexer(names), or number the rows "
                "anew before, frame.reset_index(drop=True)"
            )


def _shuffled(count: int, seed: int | None) -> np.ndarray:
    """The permutation that numpy's legacy generator gives after `np.random.seed(seed)`."""
    if seed is None:
        return np.random.permutation(count)  # the course seeds numpy's global generator
    return np.random.RandomState(seed).permutation(count)
