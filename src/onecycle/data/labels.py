"""What the answers are: a labeller maps an item list to raw labels, and the target is fitted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np

from onecycle.core.errors import LabelError, OnecycleWarning, UsageError, listing
from onecycle.data.empty_folders import warn_of_empty_folders
from onecycle.data.frames import Column, column, listed, looks_like_numbers
from onecycle.data.items import ItemList, file_of, refuse_empty
from onecycle.data.labelled import LabelledItems, LabelList
from onecycle.data.targets import Category, MultiCategory, NoLabel, Numbers, Target
from onecycle.data.task import Task
from onecycle.spec.targets import is_blank

Labeller = Callable[[ItemList], Sequence[Any]]
_SWITCHES = {"0": False, "0.0": False, "False": False, "1": True, "1.0": True, "True": True}


def from_columns(cols: Column | Sequence[Column], label_delim: str | None = None) -> Labeller:
    """Labels from the list's frame: one column, one column of tags, or several columns."""

    def label(items: ItemList) -> Sequence[Any]:
        items.refuse_inputs(listed(cols))
        columns = [column(items.frame, c) for c in listed(cols)]
        if len(columns) > 1:
            return list(zip(*columns, strict=True))
        (values,) = columns
        return [_tags(v, label_delim) for v in values] if label_delim else values

    return label


def from_function(func: Callable[[Any], Any]) -> Labeller:
    """Labels from a function of the item."""

    def label_one(item: Any) -> Any:
        try:
            return func(item)
        except Exception as error:  # whatever the user's function raises, with its item
            error.add_note(f"while labelling {item}")
            raise

    return lambda items: [label_one(item) for item in items.items]


def from_pattern(pattern: str, full_path: bool = False) -> Labeller:
    """Labels from group 1 of a regular expression on the item's path, with forward slashes."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{pattern!r} is no regular expression: {error}") from error
    if compiled.groups < 1:
        raise UsageError(f"the pattern {pattern!r} needs a group: the label in round brackets")

    def label(items: ItemList) -> Sequence[str]:
        files = map(file_of, items)
        names = [(file.absolute() if full_path else file).as_posix() for file in files]
        found = [compiled.search(name) for name in names]
        missed = [name for name, match in zip(names, found, strict=True) if match is None]
        if missed:
            raise LabelError(f"{len(missed)} paths do not match {pattern!r}: {listing(missed)}")
        return [match.group(1) for match in found if match]

    return label


@dataclass(frozen=True, eq=False)
class SplitItems:
    """Two sides without labels; the next step is one of `label_*`."""

    train: ItemList
    valid: ItemList

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {len(self.train)} train, {len(self.valid)} valid"

    @property
    def path(self) -> Path:
        """The folder that names are relative to."""
        return self.train.path

    def label(
        self,
        labeller: Labeller,
        label_cls: Any = None,
        classes: Sequence[Any] | None = None,
        unknown: str | None = None,
    ) -> LabelledItems:
        """Label both sides, and fit the target on the training side only.

        `label_cls` is a kind of target (Category, ...) or one already set up; None infers it:
        real numbers -> Numbers, lists of tags -> MultiCategory, text and integers -> Category.
        A validation label unknown to the training side is an error, or with unknown="drop" its
        item is left out with a warning; with `classes` given, items of others are left out.
        """
        unknown = unknown or ("error" if classes is None else "drop")
        if unknown not in {"error", "drop"}:
            raise UsageError(f'unknown is "error" or "drop", not {unknown!r}')
        sides = [(items, list(labeller(items))) for items in (self.train, self.valid)]
        target = _target(label_cls or self.train.label_cls, sides[0][1], classes)
        sides = [(items, list(target.located(items.items, labels))) for items, labels in sides]
        for items, labels in sides:
            _refuse_blank(items, labels, target)
        if classes is not None:
            sides[0] = _known(*sides[0], target, unknown)
            refuse_empty(len(sides[0][1]), 1, f"leaving out what is not in {listing(classes)}")
        target = target.fit(sides[0][1])
        sides = [_known(items, labels, target, unknown) for items, labels in sides]
        if len(self.valid):
            refuse_empty(1, len(sides[1][1]), "leaving out unknown labels")
        _warn_if_one_class(target, sides[0][1])
        task = Task(self.train.input.fit(self.train.items), target)
        lists = [LabelList(items, tuple(labels), task) for items, labels in sides]
        return LabelledItems(replace(lists[0], augment=True), lists[1], None)

    def label_from_df(
        self,
        cols: Column | Sequence[Column] | None = None,
        label_cls: Any = None,
        label_delim: str | None = None,
        classes: Sequence[Any] | None = None,
        unknown: str | None = None,
    ) -> LabelledItems:
        """From one column, one column of tags apart by `label_delim`, or several columns.

        Without `cols` it is the second column; of series and arrays, the one of their labels.
        Several columns of zeros and ones are several classes named like the columns; other
        several columns are several numbers.
        """
        cols = self.train.label_col if cols is None else cols
        labeller = from_columns(cols, label_delim)
        if len(listed(cols)) > 1 and label_cls is None:
            labeller, label_cls, classes = _several(self.train, listed(cols), labeller)
        elif label_cls is None and label_delim is None:
            values = list(labeller(self.train))
            label_cls = Numbers if looks_like_numbers(values) else self.train.label_cls
        return self.label(labeller, label_cls, classes, unknown)

    def label_from_folder(
        self,
        label_cls: Any = None,
        classes: Sequence[Any] | None = None,
        unknown: str | None = None,
    ) -> LabelledItems:
        """The name of the folder that holds the file; with `classes`, other folders are dropped."""
        if classes is None:
            warn_of_empty_folders([*self.train.items, *self.valid.items])
        named = from_function(lambda item: file_of(item).parent.name)
        unknown = unknown or ("error" if classes is None else "drop")
        return self.label(named, label_cls, classes, unknown)

    def label_from_func(
        self,
        func: Callable[[Any], Any],
        label_cls: Any = None,
        classes: Sequence[Any] | None = None,
        unknown: str | None = None,
    ) -> LabelledItems:
        """`func(item)`."""
        return self.label(from_function(func), label_cls, classes, unknown)

    def label_from_re(
        self,
        pat: str,
        full_path: bool = False,
        label_cls: Any = None,
        classes: Sequence[Any] | None = None,
        unknown: str | None = None,
    ) -> LabelledItems:
        """Group 1 of a regular expression on the item's path."""
        return self.label(from_pattern(pat, full_path), label_cls, classes, unknown)

    def label_const(self, const: Any = 0, label_cls: Any = None) -> LabelledItems:
        """The same label for every item."""
        return self.label(from_function(lambda _: const), label_cls)

    def label_empty(self) -> LabelledItems:
        """No labels: to look at items, or to predict."""
        return self.label(from_function(lambda _: 0), NoLabel)


def _tags(value: Any, delimiter: str) -> Any:
    """A cell as a list of tags; a blank cell stays as it is, to be refused with its row."""
    if is_blank(value):
        return value
    return [tag.strip() for tag in str(value).split(delimiter) if tag.strip()]


def _several(train: ItemList, cols: Sequence[Column], labeller: Labeller) -> tuple[Any, Any, Any]:
    """Columns of zeros and ones as tags; other columns as numbers."""
    names = tuple(train.frame.columns[c] if isinstance(c, int) else c for c in cols)

    def tags(items: ItemList) -> Sequence[Any]:
        rows = labeller(items)
        odd = [i for i, row in enumerate(rows) if not set(map(str, row)) <= _SWITCHES.keys()]
        if odd:
            where = _where(items, odd)
            raise LabelError(f"columns {listing(names)} hold more than 0 and 1: {where}")
        return [[n for n, v in zip(names, row, strict=True) if _SWITCHES[str(v)]] for row in rows]

    if all(str(v) in _SWITCHES for row in labeller(train) for v in row):
        return tags, MultiCategory, names
    return labeller, Numbers(names=tuple(map(str, names))), None


def _target(label_cls: Any, labels: Sequence[Any], classes: Sequence[Any] | None) -> Target:
    kind = label_cls if label_cls is not None else inferred(labels)
    if classes is None:
        return kind() if isinstance(kind, type) else kind
    given = tuple(c.item() if isinstance(c, np.generic) else c for c in classes)
    return kind(classes=given) if isinstance(kind, type) else replace(kind, classes=given)


def inferred(labels: Sequence[Any]) -> type[Category] | type[MultiCategory] | type[Numbers]:
    """Numbers if any label is a float, an array or holds a float; lists of tags MultiCategory."""
    if any(map(_is_real, labels)):
        return Numbers
    first = next((label for label in labels if not is_blank(label)), None)
    return MultiCategory if isinstance(first, list | tuple | set | frozenset) else Category


def _is_real(label: Any) -> bool:
    if isinstance(label, list | tuple | set | frozenset):
        return any(isinstance(v, float | np.floating) for v in label)
    real = isinstance(label, float | np.floating | np.ndarray) or hasattr(label, "numpy")
    return real and not is_blank(label)


def _refuse_blank(items: ItemList, labels: Sequence[Any], target: Target) -> None:
    rows = [i for i, label in enumerate(labels) if is_blank(label)]
    if rows:
        raise LabelError(
            f"{len(rows)} of {len(labels)} labels are blank: {_where(items, rows)}. "
            "Fill them in, or leave the items out with filter_by_func"
        )


def _known(
    items: ItemList, labels: list[Any], target: Target, unknown: str
) -> tuple[ItemList, list[Any]]:
    """Items whose label the target can encode; the others are an error or dropped."""
    faults = {i: fault for i, label in enumerate(labels) if (fault := target.check(label))}
    if not faults:
        return items, labels
    values = Counter(str(labels[i]) for i in faults).most_common()
    named = listing([f"{value} ({count}x)" for value, count in values])
    first = next(iter(faults.values()))
    message = f"{len(faults)} of {len(labels)} labels cannot be used (the first {first}): {named}"
    if unknown == "error":
        raise LabelError(
            f"{message}, at {_where(items, list(faults))}. Correct them, put such items into the "
            'training set, or pass unknown="drop"'
        )
    warn(f"{message}: left out", OnecycleWarning, stacklevel=4)
    kept = [i for i in range(len(labels)) if i not in faults]
    return items.take(kept), [labels[i] for i in kept]


def _where(items: ItemList, rows: Iterable[int]) -> str:
    """Rows of the table, or names of the files."""
    if items.inner_df is not None:
        return "row(s) " + listing([items.inner_df.index[i] for i in rows])
    return listing([items.items[i] for i in rows])


def _warn_if_one_class(target: Target, labels: Sequence[Any]) -> None:
    classes = getattr(target, "classes", None)
    if classes is not None and len(classes) == 1 and len(labels) > 1:
        warn(
            f"there is only one class, {classes[0]!r}: there is nothing to tell apart",
            OnecycleWarning,
            stacklevel=4,
        )
