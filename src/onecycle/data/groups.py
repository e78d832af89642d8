"""What belongs to each item beside its label: any value, and the group that it is one of."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from onecycle.core.errors import UsageError, listing
from onecycle.data.items import Items, note_item
from onecycle.data.tables import Column, as_array, column
from onecycle.runtime.targets.category import is_blank

By = Column | Callable[[Any], Any] | Sequence[Any] | None  # column, function, or one value an item


def values_of(items: Items, by: Any, what: str) -> list[Any]:
    """One value an item, from a column, a function of the item, or a list as long as the items."""
    if callable(by):
        call = note_item(by, f"asking for {what} of")
        return [call(item) for item in items.items]
    if isinstance(by, str | int):
        items.refuse_inputs([by])
        return column(items.frame, by)
    values = as_array(by)
    values = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(values, Sequence) or len(values) != len(items):
        found = f"{len(values)} values" if isinstance(values, Sequence) else repr(by)
        raise UsageError(
            f"{what} is a column, a function of the item, or a value for each of the {len(items)} "
            f"items, not {found}"
        )
    return list(values)


def groups_of(items: Items, by: By) -> list[Hashable]:
    """The group of each item; UsageError where one has none, or what cannot be compared."""
    groups = values_of(items, by, "group_by=")
    if blank := [i for i, group in enumerate(groups) if is_blank(group)]:
        raise UsageError(f"{len(blank)} of {len(items)} items have no group, at {listing(blank)}")
    if not all(isinstance(group, Hashable) for group in groups):
        raise UsageError(f"a group is a name or a number, not {listing(groups, 3)}")
    return groups


def numbers_of(values: Sequence[Hashable]) -> np.ndarray:
    """The values numbered as they come, from 0."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values])
