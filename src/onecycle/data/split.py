"""Who trains and who validates: a splitter maps an item list to two arrays of positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np

from onecycle.core.errors import EmptyDataError, OnecycleWarning, UsageError, listing
from onecycle.core.missing import hint_of_names
from onecycle.data.frames import Column, truths
from onecycle.data.given import as_array

if TYPE_CHECKING:
    from onecycle.data.items import ItemList

Sides = tuple[np.ndarray, np.ndarray]
Splitter = Callable[["ItemList"], Sides]


def randomly(valid_pct: float = 0.2, seed: int | None = None) -> Splitter:
    """A random share `valid_pct` validates; without `seed`, numpy's global generator draws."""
    _require_shares(valid_pct=valid_pct)

    def split(items: ItemList) -> Sides:
        order = _shuffled(len(items), seed)
        return by_index(order[: int(valid_pct * len(items))])(items)

    return split


def subsets(train_size: float, valid_size: float, seed: int | None = None) -> Splitter:
    """Random shares of the items on both sides; the rest is left out."""
    _require_shares(train_size=train_size, valid_size=valid_size)
    if train_size + valid_size > 1:
        raise UsageError(f"train_size {train_size} and valid_size {valid_size} are shares of one")

    def split(items: ItemList) -> Sides:
        order = _shuffled(len(items), seed)
        n_train, n_valid = int(train_size * len(items)), int(valid_size * len(items))
        return np.sort(order[:n_train]), np.sort(order[len(order) - n_valid :])

    return split


def require_function(func: Any, what: str) -> Callable[..., Any]:
    """`func`; UsageError for what cannot be called."""
    if not callable(func):
        raise UsageError(f"{what} is a function of the items, not {func!r}")
    return func


def asked(func: Any, doing: str) -> Callable[[Any], Any]:
    """A user's function of an item, whose errors say at which item they were raised."""
    require_function(func, "what is given")

    def ask(item: Any) -> Any:
        try:
            return func(item)
        except Exception as error:  # of whatever kind: it is the user's
            error.add_note(f"while {doing} {item}")
            raise

    return ask


def by_index(valid: Iterable[int]) -> Splitter:
    """The items at positions `valid` validate."""
    given: Any = as_array(valid)
    if isinstance(given, Iterable) and not isinstance(given, str | np.ndarray):
        given = list(given)  # of an iterator: it is asked once

    def split(items: ItemList) -> Sides:
        _refuse_row_names(valid, items)
        mask = np.zeros(len(items), bool)
        mask[positions(given, len(items), "valid positions")] = True
        return np.flatnonzero(~mask), np.flatnonzero(mask)

    return split


def positions(given: Iterable[Any], count: int, what: str = "positions") -> np.ndarray:
    """Positions in a list of `count` items, int64; UsageError for what are none."""
    given = as_array(given)
    single = isinstance(given, str | bytes) or not getattr(given, "ndim", 1)
    if single or not isinstance(given, Iterable):
        raise UsageError(f"{what} are a list of whole numbers, not {given!r}")
    places = list(given)
    odd = [p for p in places if isinstance(p, bool | np.bool_) or not isinstance(p, Integral)]
    if odd:
        advice = ""
        if all(isinstance(p, bool | np.bool_) for p in places) and len(places) == count:
            advice = "; of a mask np.flatnonzero(mask) makes positions"
        raise UsageError(f"{what} are whole numbers, not {listing(odd, 3)}{advice}")
    chosen = np.array(places, np.int64)
    if len(chosen) and (chosen.min() < 0 or chosen.max() >= count):
        raise UsageError(f"{what} lie in {chosen.min()}..{chosen.max()}, there are {count} items")
    return chosen


def checked(sides: Any, count: int) -> Sides:
    """What a splitter gave; UsageError unless no item is on both sides, or twice on one."""
    try:
        train, valid = sides
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"a splitter returns two arrays of positions (train, valid), not {sides!r:.200}"
        ) from error
    train = positions(train, count, "the splitter's training positions")
    valid = positions(valid, count, "the splitter's validation positions")
    twice = np.flatnonzero(np.bincount(np.concatenate([train, valid]), minlength=count) > 1)
    if len(twice):
        raise UsageError(f"the splitter gives {len(twice)} items twice, at {listing(twice)}")
    return train, valid


def by_function(is_valid: Callable[[Any], bool]) -> Splitter:
    """The items for which `is_valid(item)` is true validate."""
    chosen = asked(is_valid, "asking whether it validates:")
    return lambda items: by_index([i for i, item in enumerate(items.items) if chosen(item)])(items)


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
        others = Counter(map(str, first[(first != train) & (first != valid)]))
        if others:
            named = listing(f"{name or 'no folder'} ({n} items)" for name, n in others.items())
            warn(
                f"{others.total()} of {len(items)} items are in neither {train!r} nor {valid!r}, "
                f"and left out: {named}. filter_by_folder(include=[{train!r}, {valid!r}]) before "
                "the split leaves them out without this warning",
                OnecycleWarning,
                stacklevel=4,
            )
        return sides

    return split


def by_names(valid_names: Iterable[str], where: str = "the list") -> Splitter:
    """The items whose file name (or path below the list's path) is named validate."""
    if isinstance(valid_names, str) or not isinstance(valid_names, Iterable):
        raise UsageError(f"a list of names is wanted, not {valid_names!r}")
    wanted = {str(name).strip() for name in valid_names} - {""}

    def split(items: ItemList) -> Sides:
        keys = [{name, name.rpartition("/")[2]} for name in map(items.relative, items.items)]
        chosen = [i for i, key in enumerate(keys) if key & wanted]
        hits = Counter(name for i in chosen for name in keys[i] & wanted)
        if absent := wanted - hits.keys():
            message = f"{len(absent)} of {len(wanted)} names in {where} are no items: "
            message += f"{listing(sorted(absent))}.{hint_of_names(absent)}"
            warn(message, OnecycleWarning, stacklevel=4)
        if several := sorted(name for name, count in hits.items() if count > 1):
            message = f"{len(several)} names in {where} are each the name of several items, which "
            message += f"all validate: {listing(several)}. Name them with their folders"
            warn(message, OnecycleWarning, stacklevel=4)
        return by_index(chosen)(items)

    return split


def by_column(col: Column) -> Splitter:
    """The items with a true value in column `col` of the list's frame validate."""

    def split(items: ItemList) -> Sides:
        items.refuse_inputs([col])
        return by_index(np.flatnonzero(truths(items.frame, col)))(items)

    return split


def _require_shares(**given: Any) -> None:
    for name, share in given.items():
        if not isinstance(share, Real) or not 0 < float(share) < 1:
            raise UsageError(f"{name} is a share between 0 and 1, not {share!r}")


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
    return legacy(seed).permutation(count)


def legacy(seed: int) -> np.random.RandomState:
    """numpy's legacy generator as after `np.random.seed(seed)`; UsageError for other seeds."""
    if not isinstance(seed, Integral) or not 0 <= seed < 2**32:
        raise UsageError(f"seed is a whole number from 0 to 2**32 - 1, not {seed!r}")
    return np.random.RandomState(int(seed))
