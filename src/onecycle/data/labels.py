"""What the answers are: a labeller maps an item list to raw labels, and the target is fitted."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from numbers import Integral
from typing import Any, Self

import numpy as np

from onecycle.core.errors import (
    EmptyDataError,
    LabelError,
    OnecycleError,
    UsageError,
    listing,
    warn,
)
from onecycle.core.path_list import joined
from onecycle.data import checks
from onecycle.data.databunch import LabelledItems
from onecycle.data.items import Items, by_folder, file_of, note_item, refuse_empty, require_function
from onecycle.data.label_list import LabelList
from onecycle.data.tables import Column, column, column_list
from onecycle.data.targets import Category, MultiCategory, NoLabel, Numbers, Target, guess_kind
from onecycle.data.task import Task
from onecycle.runtime.targets.category import is_blank

Labeller = Callable[[Items], Sequence[Any]]
Names = Sequence[Any] | None
_SWITCHES = {"0": False, "0.0": False, "False": False, "1": True, "1.0": True, "True": True}
_MISFITS = (TypeError, ValueError, AttributeError, IndexError, RuntimeError)  # of foreign labels


def from_columns(
    cols: Column | Sequence[Column], label_delim: str | None = None, blank: str = "error"
) -> Labeller:
    """Labels from the list's frame: one column, one column of tags, or several columns."""
    if blank not in ("error", "none"):
        raise _no_blank(blank)
    if label_delim is not None and not (isinstance(label_delim, str) and label_delim):
        raise UsageError(f"label_delim= is the text between two tags, not {label_delim!r}")
    if label_delim and len(column_list(cols)) > 1:
        raise UsageError("label_delim= is for one column of tags: leave it out, or name one column")

    def label(items: Items) -> Sequence[Any]:
        items.refuse_inputs(column_list(cols))
        columns = [column(items.frame, c) for c in column_list(cols)]
        if blank == "none" and len(columns) > 1:
            raise _no_blank(blank)
        if len(columns) > 1:
            return list(zip(*columns, strict=True))
        if label_delim:
            cells = _split(items, columns[0], label_delim)
        else:  # pandas reads lists of text out of Parquet as arrays
            lists = (isinstance(c, np.ndarray) and c.dtype == object for c in columns[0])
            cells = [c.tolist() if yes else c for c, yes in zip(columns[0], lists, strict=True)]
        if blank == "error":
            return cells
        if not (label_delim or any(isinstance(cell, list) for cell in cells)):
            raise _no_blank(blank)
        return [[] if is_blank(cell) else cell for cell in cells]

    return label


def _no_blank(given: Any) -> UsageError:
    return UsageError(
        'blank= is "error", or for tags (label_delim=, or cells that are lists) "none", where a '
        f"blank cell means no tag at all; not {given!r}"
    )


def _split(items: Items, cells: Sequence[Any], delimiter: str) -> Sequence[Any]:
    """Cells as lists of tags, without blanks around them; blank cells stay as they are."""
    odd = [i for i, c in enumerate(cells) if not (isinstance(c, str | Integral) or is_blank(c))]
    if odd:
        raise LabelError(
            f"label_delim={delimiter!r} divides text, and {len(odd)} of {len(cells)} cells are "
            f"none: {listing([cells[i] for i in odd])}, at {_where(items, odd)}. Leave it out for "
            "cells that are lists already, or make text of them"
        )
    return [
        cell if is_blank(cell) else [t.strip() for t in str(cell).split(delimiter) if t.strip()]
        for cell in cells
    ]


def from_function(func: Callable[[Any], Any]) -> Labeller:
    """Labels from a function of the item."""
    label = note_item(func, "labelling")
    return lambda items: [label(item) for item in items.items]


def from_folder_names(items: Items) -> Sequence[str]:
    """The name of the folder that holds each file."""
    return by_folder(items.items, lambda folder: folder.name)


def from_pattern(pattern: str, full_path: bool = False) -> Labeller:
    """Labels from group 1 of a regular expression on the item's path, with forward slashes."""
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise UsageError(f"{pattern!r} is no regular expression: {error}") from error
    if compiled.groups < 1:
        raise UsageError(f"the pattern {pattern!r} needs a group: the label in round brackets")

    def label(items: Items) -> Sequence[str]:
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
    """Sides without labels, `test` one that will have some; the next step is one of `label_*`."""

    train: Items
    valid: Items
    test: Items | None = None

    def __repr__(self) -> str:
        test = "" if self.test is None else f", {len(self.test)} test"
        return f"{type(self).__name__}: {len(self.train)} train, {len(self.valid)} valid{test}"

    def with_test(self, test: Items) -> Self:
        """The same with a test side of this list, which is labelled as the others are."""
        if not isinstance(test, type(self.train)) or not len(test):
            raise UsageError(f"a test side is a {type(self.train).__name__} of items, not {test!r}")
        if self.test is not None:
            raise UsageError(
                f"the split has a test side of {len(self.test)} items already, which would be left "
                "out: split without one (test_pct=, test=), or leave this out"
            )
        self.train.input.require_alike(test.input)
        return replace(self, test=test)

    @property
    def path(self) -> Any:
        """The folder that names are relative to."""
        return self.train.path

    def label(
        self,
        labeller: Labeller,
        label_cls: Any = None,
        classes: Names = None,
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
        given = [side for side in (self.train, self.valid, self.test) if side is not None]
        sides = [(items, _labels_of(items, labeller)) for items in given]
        target = _target(label_cls or self.train.label_cls, sides[0][1], classes)
        for items, labels in sides:
            _refuse_blank(items, labels, target)
        sides = _locate(sides, target)
        if classes is not None:
            sides[0] = _drop_unknown(*sides[0], target, unknown)
            refuse_empty(len(sides[0][1]), 1, f"leaving out what is not in {listing(classes)}")
        target = _fit(target, *sides[0])
        sides = [_drop_unknown(items, labels, target, unknown) for items, labels in sides]
        if len(self.valid):
            refuse_empty(1, len(sides[1][1]), "leaving out unknown labels")
        if self.test is not None and not sides[2][1]:
            raise EmptyDataError("leaving out unknown labels leaves no test items")
        checks.warn_of_held_out(sides[0][0], () if classes is None else classes)
        checks.warn_of_classes(target, sides[0][1], sides[1][1])
        task = Task(self.train.input.fit(self.train.items), target)
        train, valid, *test = (LabelList(items, tuple(labels), task) for items, labels in sides)
        return LabelledItems(replace(train, augment=True), valid, test[0] if test else None)

    def label_for_lm(self) -> LabelledItems:
        """Each token is the answer to those before it; UsageError for what is no `TextList`."""
        raise UsageError("label_for_lm makes a language model's data of texts: of a TextList")

    def label_from_df(
        self,
        cols: Column | Sequence[Column] | None = None,
        label_cls: Any = None,
        label_delim: str | None = None,
        classes: Sequence[Any] | None = None,
        unknown: str | None = None,
        blank: str = "error",
    ) -> LabelledItems:
        """From one column, one column of tags apart by `label_delim`, or several columns.

        Without `cols` it is the second column; of series and arrays, the one of their labels.
        Several columns of zeros and ones are several classes named like the columns; other
        several columns are several numbers. A blank cell is an error, or with `blank="none"` an
        item that has none of the tags.
        """
        cols = self.train.label_col if cols is None else cols
        labeller, names = from_columns(cols, label_delim, blank), column_list(cols)
        if label_cls is None and len(names) > 1:
            if classes is not None:
                raise UsageError("several columns are named by themselves: leave classes= out")
            labeller, label_cls, classes = _several_columns(self.train, names, labeller)
        label_cls = label_cls or self.train.label_cls
        if label_cls is None and label_delim is None:
            values = [value for value in labeller(self.train) if not is_blank(value)]
            label_cls = guess_kind(values, of_table=True, stacklevel=3)
        made = self.label(labeller, label_cls, classes, unknown)
        labels = made.train.labels or ()
        if label_delim and all(len(tags) < 2 for tags in labels):
            message = (
                f"label_delim={label_delim!r} divides none of the {len(made.train)} cells of "
                f"column {names[0]!r}: each is taken as one tag, such as {listing(labels, 2)}. "
                "Is it the right delimiter?"
            )
            warn(message, 2)
        return made

    def label_from_annotations(self, unknown: str | None = None) -> LabelledItems:
        """What `from_annotations` has read: masks, boxes, points, classes or tags."""
        if self.train.label_col != "annotation":
            raise UsageError("label_from_annotations goes with a list that from_annotations made")
        return self.label(from_columns("annotation"), self.train.label_cls, None, unknown)

    def label_from_folder(
        self, label_cls: Any = None, classes: Names = None, unknown: str | None = None
    ) -> LabelledItems:
        """The name of the folder that holds the file; with `classes`, other folders are dropped."""
        if classes is None:
            checks.warn_of_empty_folders((self.train, self.valid), self.train.path)
            checks.warn_of_loose_files(self.train)
        kind = label_cls or self.train.label_cls or Category
        return self.label(from_folder_names, kind, classes, unknown)

    def label_from_func(
        self,
        func: Callable[[Any], Any],
        label_cls: Any = None,
        classes: Names = None,
        unknown: str | None = None,
    ) -> LabelledItems:
        """`func(item)`."""
        return self.label(from_function(func), label_cls, classes, unknown)

    def label_from_re(
        self,
        pat: str,
        full_path: bool = False,
        label_cls: Any = None,
        classes: Names = None,
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


def _locate(
    sides: Sequence[tuple[Items, list[Any]]], target: Target
) -> list[tuple[Items, list[Any]]]:
    """Places as shares of their image; which unit they are in is decided for all sides."""
    labels = [label for _, own in sides for label in own]
    found = iter(target.locate(joined(*(items.items for items, _ in sides)), labels))
    return [(own, list(islice(found, len(own)))) for own, _ in sides]


def _several_columns(
    train: Items, cols: Sequence[Column], labeller: Labeller
) -> tuple[Any, Any, Any]:
    """Columns of zeros and ones as tags; other columns as numbers."""
    found, known = labeller(train), train.frame.columns
    names = tuple(known[c] if isinstance(c, int) and c not in known else c for c in cols)

    def tags(items: Items) -> Sequence[Any]:
        rows = labeller(items)
        odd = [i for i, row in enumerate(rows) if not set(map(str, row)) <= _SWITCHES.keys()]
        if odd:
            where = _where(items, odd)
            raise LabelError(f"columns {listing(names)} hold more than 0 and 1: {where}")
        return [[n for n, v in zip(names, row, strict=True) if _SWITCHES[str(v)]] for row in rows]

    if all(str(v) in _SWITCHES for row in found for v in row):
        return tags, MultiCategory, names
    return labeller, Numbers(names=tuple(map(str, names))), None


def _labels_of(items: Items, labeller: Labeller) -> list[Any]:
    """The label of each item; UsageError unless a labeller gives one for each."""
    given = require_function(labeller, "a labeller")(items)
    labels = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else None
    if labels is None or len(labels) != len(items):
        found = "no list of labels" if labels is None else f"{len(labels)} labels"
        raise UsageError(f"the labeller gives {found} for {len(items)} items: one each is wanted")
    seen = dict[str, str]()  # equal texts are kept once
    return [seen.setdefault(v, v) if type(v) is str else v for v in labels]


def _target(label_cls: Any, labels: Sequence[Any], classes: Names) -> Target:
    """The kind that is given, or else guessed, with the `classes` where it has any."""
    given = label_cls or guess_kind([v for v in labels if not is_blank(v)], stacklevel=5)
    kind = given if isinstance(given, type) else type(given)
    if not issubclass(kind, Target):
        raise UsageError(f"label_cls= is a kind of label, such as Category, not {given!r}")
    target: Any = kind() if given is kind else given
    if classes is None:
        return target
    if "classes" not in kind.__dataclass_fields__:
        raise UsageError(
            f"classes= is for labels that name classes, and these are {kind.__name__}: leave it "
            "out, or say label_cls=Category"
        )
    several = isinstance(classes, Iterable) and not isinstance(classes, str)
    names = tuple(c.item() if isinstance(c, np.generic) else c for c in classes) if several else ()
    if not names or not all(isinstance(name, str | int | float) for name in names):
        raise UsageError(f"classes= is a list of names, one or more, not {classes!r}")
    return replace(target, classes=names)


def _fit(target: Target, items: Items, labels: Sequence[Any]) -> Target:
    """The target, fitted; LabelError where labels are nothing that it could be made of."""
    try:
        return target.fit(labels)
    except OnecycleError:
        raise
    except _MISFITS as error:
        raise LabelError(
            f"{type(target).__name__} cannot be made of labels such as {listing(labels, 2)} "
            f"({error}), at {_where(items, range(min(2, len(labels))))}"
        ) from error


def _fault(target: Target, label: Any) -> str | None:
    """Why a label cannot be used, or None; also where looking at it fails."""
    try:
        return target.check(label)
    except _MISFITS as error:
        return f"is no label of a {type(target).__name__} ({error})"


def _of_each(func: Callable[[Any], Any], labels: Sequence[Any]) -> list[Any]:
    """`func(label)` of each; of texts, which are often the same, it is asked once."""
    known = {label: func(label) for label in {v for v in labels if type(v) is str}}
    return [known[v] if type(v) is str else func(v) for v in labels]


def _refuse_blank(items: Items, labels: Sequence[Any], target: Target) -> None:
    rows = [i for i, blank in enumerate(_of_each(target.is_blank, labels)) if blank]
    if rows:
        tags = any(isinstance(label, list) for label in labels)
        none = ', or, where a blank means that an item has no tag, say blank="none"' if tags else ""
        raise LabelError(
            f"{len(rows)} of {len(labels)} labels are blank: {_where(items, rows)}. "
            f"Fill them in, or leave the items out with filter_by_func{none}"
        )


def _drop_unknown(
    items: Items, labels: list[Any], target: Target, unknown: str
) -> tuple[Items, list[Any]]:
    """Items whose label the target can encode; the others are an error or dropped."""
    found = _of_each(lambda label: _fault(target, label), labels)
    faults = {i: fault for i, fault in enumerate(found) if fault}
    if not faults:
        return items, labels
    values = Counter(str(labels[i]) for i in faults).most_common()
    named = listing([f"{value} ({count}x)" for value, count in values])
    first = next(iter(faults.values()))
    message = f"{len(faults)} of {len(labels)} labels cannot be used (the first {first}): {named}"
    if unknown == "error":
        raise LabelError(
            f"{message}, at {_where(items, list(faults))}. Correct them, put such items into the "
            "training set (a random split may put all items of a small class on one side: give "
            'it stratify=, another seed, or split_by_idx), or pass unknown="drop"'
        )
    warn(f"{message}: left out", 4)
    kept = [i for i in range(len(labels)) if i not in faults]
    return items.take(kept), [labels[i] for i in kept]


def _where(items: Items, rows: Iterable[int]) -> str:
    """Rows of the table, or names of the files."""
    if items.inner_df is not None:
        return "row(s) " + listing([items.inner_df.index[i] for i in rows])
    return listing([items.items[i] for i in rows])
