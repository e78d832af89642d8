"""Who trains and who validates: a splitter maps an item list to two arrays of positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any
from warnings import warn

import numpy as np

from onecycle.core.errors import EmptyDataError, OnecycleWarning, UsageError, listing
from onecycle.core.walk import hint_of_names
from onecycle.data.items import Items, check_positions
from onecycle.data.tables import Column, truths

Sides = tuple[np.ndarray, np.ndarray]
Splitter = Callable[[Items], Sides]


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


def by_index(valid: Iterable[int]) -> Splitter:
    """The items at positions `valid` validate."""
    once = isinstance(valid, Iterable) and not isinstance(valid, str)
    given: Any = list(valid) if once else valid

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
        first = np.array([items.first_folder(item) for item in items.items], dtype=object)
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
            warn(message, OnecycleWarning, stacklevel=4)
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
            warn(message, OnecycleWarning, stacklevel=4)
        if several := sorted(name for name, count in hits.items() if count > 1):
            message = f"{len(several)} names in {where} are each the name of several items, which "
            message += f"all validate: {listing(several)}. Name them with their folders"
            warn(message, OnecycleWarning, stacklevel=4)
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
    import pandas as pd

    frame = items.inner_df
    if frame is None or not isinstance(given, pd.Index) or not frame.index.is_unique:
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
