"""Who trains and who validates: splitters, functions from a list to positions of its sides."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from hashlib import blake2b
from numbers import Integral, Real
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from onecycle.core.errors import (
    EmptyDataError,
    UsageError,
    listing,
    require_whole,
    warn,
)
from onecycle.core.walk import hint_of_names
from onecycle.data.checks import sides_of
from onecycle.data.groups import By, groups_of, numbers_of, values_of
from onecycle.data.hold_out import Names, hold_out, on_one_side
from onecycle.data.items import Items, check_positions, note_item
from onecycle.data.labels import from_columns, from_folder_names
from onecycle.data.tables import Column, as_array, column, looks_like_numbers, truths
from onecycle.runtime.targets.category import is_blank

Sides = tuple[np.ndarray, ...]  # training and validation, with a labelled test side three
Splitter = Callable[[Items], Sides]


def randomly(
    valid_pct: float = 0.2,
    seed: int | None = None,
    stratify: By | bool = None,
    group_by: By = None,
    test_pct: float | None = None,
    label_delim: str | None = None,
) -> Splitter:
    """Random shares validate (and test); without `seed`, numpy's global generator draws.

    See `ItemList.split_by_rand_pct`.
    """
    shares = _shares(valid_pct, test_pct)

    def split(items: Items) -> Sides:
        rest = _shuffle(len(items), seed)
        names, groups = _classes(items, stratify, label_delim), _groups(items, group_by)
        sides = []
        for left, (side, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
            count = int(share * len(items))
            held = hold_out(rest, count, names, groups, left)
            if count and groups is not None and not len(held):
                why = "there are too few" if names is None else "each has a class that no other has"
                raise UsageError(f"no group can be held out for the {side} side: {why}")
            rest = rest[~np.isin(rest, held)]
            sides.append(np.sort(held))
            if names is not None and stratify is not None:
                _warn_of_one_side(rest, held, names, side)
            if abs(len(held) - count) > count / 2:
                why = "each class has one there at least" if groups is None else "a group is whole"
                message = f"{len(held)} of {len(items)} items are on the {side} side, where {count}"
                warn(f"{message} were asked for, since {why}: another share may fit better", 4)
        return np.sort(rest), *sides

    return split


def by_time(by: Any, valid_pct: float = 0.2, test_pct: float | None = None) -> Splitter:
    """The latest share validates, or with `test_pct` tests; see `ItemList.split_by_time`."""
    shares = _shares(valid_pct, test_pct)

    def split(items: Items) -> Sides:
        times = _times(values_of(items, by, "split_by_time"))
        order = np.sort(times)
        ends = (1 - np.cumsum([*shares.values()][::-1]))[::-1]  # valid begins, then test
        begins = order[[min(round(end * len(items)), len(items) - 1) for end in ends]]
        side = np.searchsorted(begins, times, side="right")
        return tuple(np.flatnonzero(side == n) for n in range(len(shares) + 1))

    return split


def _times(values: Sequence[Any]) -> np.ndarray:
    """Numbers as they are; dates, and text of ISO 8601, as times."""
    import pandas as pd

    if blank := [i for i, value in enumerate(values) if is_blank(value)]:
        raise UsageError(f"{len(blank)} of {len(values)} items have no time, at {listing(blank)}")
    try:
        return np.asarray_chkfinite(values, np.float64)  # text of numbers, too
    except (TypeError, ValueError):
        pass
    try:
        texts = pd.Series([str(value) for value in values])
        return pd.to_datetime(texts, format="ISO8601", utc=True).to_numpy("int64")
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"times are numbers, dates or text such as 2024-05-31 12:30, not {listing(values, 3)} "
            f"({error}): give a function that makes them so, such as "
            'lambda item: datetime.strptime(item.stem, "%d.%m.%Y")'
        ) from error


def by_hash(valid_pct: float, by: By = None, test_pct: float | None = None) -> Splitter:
    """Each item by a hash of its name, or of what `by` gives: equal ones are on one side."""
    shares = _shares(valid_pct, test_pct)

    def split(items: Items) -> Sides:
        names = map(items.relative, items.items) if by is None else values_of(items, by, "by=")
        digests = b"".join(blake2b(str(n).encode(), digest_size=8).digest() for n in names)
        place = np.frombuffer(digests, ">u8") / 2.0**64
        ends = np.cumsum([*shares.values()])
        side = np.searchsorted(ends, place, "right")  # 0 validates, the last one trains
        first, *others = (np.flatnonzero(side == i) for i in range(len(ends)))
        return np.flatnonzero(side == len(ends)), first, *others

    return split


def folds(
    n: int,
    seed: int | None = None,
    stratify: By | bool = None,
    group_by: By = None,
    label_delim: str | None = None,
) -> Callable[[Items], Iterator[Sides]]:
    """The sides of `n` folds, each of which validates once; see `ItemList.kfold`."""
    require_whole("n", n, 2)

    def split(items: Items) -> Iterator[Sides]:
        names, groups = _classes(items, stratify, label_delim), _groups(items, group_by)
        units = range(len(items)) if groups is None else groups
        if len(set(units)) < n:
            what = "items" if groups is None else "groups"
            raise UsageError(f"{n} folds need as many {what}: there are {len(set(units))}")
        fold_of = _fold_of_each(n, seed, names, groups, len(items))
        alone = _alone(names, units)
        if stratify is not None and alone.any():
            what = "item" if groups is None else "group"
            message = f"{alone.sum()} of {len(items)} items train in every fold, since a class of "
            warn(f"{message}theirs is in no other {what}: it could not be learned without", 3)
        for fold in range(n):
            held = (fold_of == fold) & ~alone
            yield np.flatnonzero(~held), np.flatnonzero(held)

    return split


def _fold_of_each(
    n: int, seed: int | None, names: Names | None, groups: Sequence[Hashable] | None, count: int
) -> np.ndarray:
    """The number of each item's fold, by scikit-learn; of tags, which it has not, by hold_out."""
    fold_of = np.full(count, n - 1)
    if names is not None and any(len(own) != 1 for own in names):
        rest = _shuffle(count, seed)
        for fold in range(n - 1):
            held = hold_out(rest, len(rest) // (n - fold), names, groups)
            fold_of[held], rest = fold, rest[~np.isin(rest, held)]
        return fold_of
    try:
        from sklearn import model_selection
    except ImportError as error:
        raise UsageError("kfold needs scikit-learn: pip install 'onecycle[splits]'") from error
    kind = f"{'Stratified' * (names is not None)}{'Group' * (groups is not None)}KFold"
    rng = None if seed is None else legacy_rng(seed)  # None: numpy's global one, as elsewhere
    splitter = getattr(model_selection, kind)(n, shuffle=True, random_state=rng)
    y = None if names is None else numbers_of([own[0] for own in names])
    with catch_warnings():
        simplefilter("ignore", UserWarning)  # of classes that are too small for every fold
        sides = splitter.split(np.zeros(count), y, None if groups is None else numbers_of(groups))
        for fold, (_, held) in enumerate(sides):
            fold_of[held] = fold
    return fold_of


def _alone(names: Names | None, units: Sequence[Hashable]) -> np.ndarray:
    """Whether the unit of each item (itself, or its group) has a class that no other unit has."""
    holders = defaultdict[Hashable, set[Hashable]](set)
    for unit, own in zip(units, names or (), strict=names is not None):
        for name in own:
            holders[name].add(unit)
    found = {unit for own in holders.values() if len(own) == 1 for unit in own}
    return np.array([unit in found for unit in units])


# What splits go by: the classes, groups and times of items.


def _groups(items: Items, by: By) -> list[Hashable] | None:
    """The group of each item; UsageError where there is but one: none could be held out."""
    groups = None if by is None else groups_of(items, by)
    if groups is not None and len(set(groups)) < 2:
        raise UsageError(f"group_by= gives {groups[0]!r} alone: two groups or more are wanted")
    return groups


def _classes(items: Items, by: By | bool, label_delim: str | None) -> Names | None:
    """The classes of each item, that a split divides in proportion; None where it does not."""
    if by is False:
        return None
    given = _own_labels(items) if by is None or by is True else by
    if label_delim and (by is None or by is True or not isinstance(given, str | int)):
        raise UsageError(
            f"label_delim={label_delim!r} divides the column that stratify= names: name one, or "
            "leave it out"
        )
    if isinstance(given, str | int):
        given = list(from_columns(given, label_delim)(items))
    values = values_of(items, given, "stratify=")
    if by is None and not _name_classes(values):
        return None
    names = _names(values)
    counts = Counter(name for own in names or () for name in own)
    if len(counts) > 1 and max(counts.values()) > 1:
        return names
    if by is None:
        return None
    if names is None:
        raise UsageError(
            f"stratify= goes by classes, and these are none: {listing(values, 2)}. Give a column "
            "of classes, a function of the item, or a list with a class (or a list of tags) each"
        )
    raise UsageError(
        f"stratify= finds no two classes of which one has two items: {listing(values, 3)}. It is a "
        "column of classes (of tags, with label_delim=), a function of the item or a list"
    )


def _own_labels(items: Items) -> list[Any]:
    """What comes with a list: the column that it names, or the folders of its files; or none."""
    frame = items.inner_df
    if frame is None and len(items) and isinstance(items.items[0], os.PathLike):
        return list(from_folder_names(items))
    named = frame is not None and isinstance(items.label_col, str) and items.label_col in frame
    return column(items.frame, items.label_col) if named else [0] * len(items)


def _name_classes(values: Sequence[Any]) -> bool:
    """Whether labels are words, whole numbers or lists of these, and no numbers to be met."""
    flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
    words = all(isinstance(v, str | int | np.integer) for v in flat)
    return words and not looks_like_numbers(flat)


def _names(values: Iterable[Any]) -> Names | None:
    """Each value as the classes that it names; None where one is no name and no list of tags."""
    tags = (list, tuple, set, frozenset)
    rows = [tuple(v) if isinstance(v, tags) else (v,) for v in values]
    if not all(isinstance(name, Hashable) for row in rows for name in row):
        return None
    return [tuple(dict.fromkeys("" if is_blank(v) else v for v in row)) for row in rows]


def _shares(valid_pct: Any, test_pct: Any) -> dict[str, float]:
    given = {"valid_pct": valid_pct} | ({} if test_pct is None else {"test_pct": test_pct})
    _require_shares(**given)
    if sum(given.values()) >= 1:
        raise UsageError(f"valid_pct {valid_pct} and test_pct {test_pct} leave nothing to train on")
    return dict(zip(("validation", "test"), given.values(), strict=False))


def _warn_of_one_side(train: np.ndarray, held: np.ndarray, names: Names, side: str) -> None:
    lacking = on_one_side(train, held, names)
    for n, lack in enumerate(("training", side)):
        alone = [f"{name} ({sum(pair)}x)" for name, pair in lacking.items() if not pair[n]]
        if alone:
            message = f"{len(alone)} of {len({x for own in names for x in own})} classes have no "
            message += f"{lack} item: there are too few, or all in one group: {listing(alone)}"
            warn(message, 5)


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


def check_sides(given: Any, count: int) -> Sides:
    """What a splitter gave; UsageError unless no item is on two sides, or twice on one."""
    sides = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else ()
    if len(sides) not in (2, 3):
        raise UsageError(
            "a splitter returns two arrays of positions (train, valid), or with a labelled test "
            f"side three, not {given!r:.200}"
        )
    what = ("training", "validation", "test")
    names = (f"the splitter's {name} positions" for name in what)
    sides = tuple(check_positions(s, count, n) for s, n in zip(sides, names, strict=False))
    twice = np.flatnonzero(np.bincount(np.concatenate(sides), minlength=count) > 1)
    if len(twice):
        raise UsageError(f"the splitter gives {len(twice)} items twice, at {listing(twice)}")
    return sides


def by_function(is_valid: Callable[[Any], bool]) -> Splitter:
    """The items for which `is_valid(item)` is true validate."""
    chosen = note_item(is_valid, "asking whether it validates:")
    return lambda items: by_index([i for i, item in enumerate(items.items) if chosen(item)])(items)


def by_folder(train: str = "train", valid: str = "valid", test: str | None = None) -> Splitter:
    """By the first folder below the list's path; items in none of these folders are left out."""
    wanted = [train, valid, *([] if test is None else [test])]

    def split(items: Items) -> Sides:
        first = np.array(items.first_folders(), dtype=object)
        sides = tuple(np.flatnonzero(first == name) for name in wanted)
        for name, side in zip(wanted, sides, strict=True):
            if not len(side):
                found = listing(sorted(set(map(str, first))))
                raise EmptyDataError(
                    f"no items in folder {name!r} below {items.path}; there are {found}"
                )
        others = Counter(str(name) for name in first if name not in wanted)
        if others:
            named = listing(f"{name or 'no folder'} ({n} items)" for name, n in others.items())
            *most, last = map(repr, wanted)
            message = (
                f"{others.total()} of {len(items)} items are in neither {', '.join(most)} nor "
                f"{last}, and left out: {named}. filter_by_folder(include={wanted}) before the "
                "split leaves them out without this warning"
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
    """The items with a true value in column `col` validate; or it names the side of each item.

    As people name folders: train, valid, val, dev, test. With a test side, that is labelled too.
    """

    def split(items: Items) -> Sides:
        items.refuse_inputs([col])
        cells = [str(cell).strip() for cell in column(items.frame, col)]
        named = sides_of(dict.fromkeys(cells))
        known = {cell: side for side, cells in named.items() for cell in cells}
        if not (named["train"] and all(cell in known for cell in cells)):
            return by_index(np.flatnonzero(truths(items.frame, col)))(items)
        side = np.array([known[cell] for cell in cells])
        wanted = ["train", "valid", *["test"] * bool(named["test"])]
        return tuple(np.flatnonzero(side == name) for name in wanted)

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
