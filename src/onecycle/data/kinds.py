"""Which kind of answer labels are where nobody says so; a guess that may be wrong is a warning."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any
from warnings import warn

import numpy as np

from onecycle.core.errors import OnecycleWarning, listing
from onecycle.data.tables import looks_like_numbers
from onecycle.data.targets import Category, MultiCategory, Numbers
from onecycle.runtime.targets.classes import is_blank

Kind = type[Category] | type[MultiCategory] | type[Numbers]
_COMMA = re.compile(r"\s*[+-]?\d+(,\d+)?\s*")
_FEW = 20  # distinct whole numbers that may be classes, though each is rare
_FEW_OF_MANY = 100  # and those of which each occurs twice or more often
_MANY = 50  # distinct whole numbers that may be ages or prices
_TAGS = (list, tuple, set, frozenset)
_SEVERAL = 5  # distinct labels below which nobody wonders that each is rare


def guess_kind(labels: Sequence[Any], of_table: bool = False, stacklevel: int = 4) -> Kind:
    """As `infer_kind`, and with `of_table` text that reads as real numbers makes Numbers too.

    A warning says both ways where the labels may well be meant otherwise: whole numbers stored as
    floats, rows of zeros and ones, as many classes as there are prices or ages.
    """
    kind = Numbers if of_table and looks_like_numbers(list(labels)) else infer_kind(labels)
    message = _doubts_of_numbers(labels) if kind is Numbers else _doubts_of_classes(labels)
    if message and kind is not MultiCategory:
        warn(message, OnecycleWarning, stacklevel=stacklevel)
    return kind


def infer_kind(labels: Sequence[Any]) -> Kind:
    """Numbers if any label is a float, an array or holds a float; lists of tags MultiCategory."""
    if any(map(_is_real, labels)):
        return Numbers
    first = next((label for label in labels if not is_blank(label)), None)
    return MultiCategory if isinstance(first, _TAGS) else Category


def _is_real(label: Any) -> bool:
    if isinstance(label, _TAGS):
        return any(isinstance(v, float | np.floating) and not np.isnan(v) for v in label)
    real = isinstance(label, float | np.floating | np.ndarray) or hasattr(label, "numpy")
    return real and not is_blank(label)


def whole(value: Any) -> int | None:
    """The whole number that a label says, also as a float or as text; None where it says none."""
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, Integral):
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else None


def few_whole_numbers(labels: Iterable[Any]) -> list[int]:
    """The distinct values, where all are whole numbers and so few that they may be classes."""
    counts = Counter(map(whole, labels))
    repeated = len(counts) < counts.total()
    often = 2 * len(counts) <= counts.total()
    few = (repeated and len(counts) <= _FEW) or (often and len(counts) <= _FEW_OF_MANY)
    found = [value for value in counts if value is not None]
    return sorted(found) if few and len(found) == len(counts) else []


def _doubts_of_numbers(labels: Sequence[Any]) -> str:
    rows = [np.ravel(label).tolist() for label in labels if not isinstance(label, float | str)]
    if rows and len(rows) == len(labels) and max(map(len, rows)) > 1:
        if not all(value in (0, 1) for row in rows for value in row):
            return ""
        return (
            f"the {len(rows)} labels are rows of zeros and ones, taken as {len(rows[0])} numbers "
            "to be met (a regression). If each row marks one class, give its number (y.argmax(1)); "
            "if several, the list of their names. label_cls=Numbers keeps them without this warning"
        )
    values = few_whole_numbers(v for label in labels for v in np.ravel(label).tolist())
    if not values:
        return ""
    return (
        f"the {len(labels)} labels are {len(values)} whole numbers stored as real ones "
        f"({listing(values)}), and are taken as numbers to be met (a regression). If they are "
        "classes, say label_cls=Category, or give them as whole numbers or text: "
        "frame[column].astype(int). If not, label_cls=Numbers keeps them without this warning"
    )


def _doubts_of_classes(labels: Sequence[Any]) -> str:
    if not all(isinstance(label, str | int | np.integer) for label in labels):
        return ""
    distinct = list(dict.fromkeys(labels))
    rare = len(distinct) > max(_SEVERAL, len(labels) / 2)
    if None not in map(whole, distinct) and (rare or len(distinct) > _MANY):
        return (
            f"{len(distinct)} different whole numbers in {len(labels)} labels are taken as so many "
            f"classes ({listing(distinct)}). If they are numbers to be met, such as prices or "
            "ages, say label_cls=Numbers; if not, label_cls=Category keeps them without this "
            "warning"
        )
    if not rare:
        return ""
    return _nearly_numbers(distinct) or (
        f"{len(labels)} labels are {len(distinct)} different classes ({listing(distinct)}), so "
        "that most have a single item. Is it the right column, or does something stand between "
        "several labels (label_delim=)? label_cls=Category keeps them without this warning"
    )


def _nearly_numbers(distinct: Sequence[Any]) -> str:
    """What keeps most of the labels from being numbers: some words, or a comma for the point."""
    if all(_COMMA.fullmatch(str(label)) for label in distinct):
        return (
            f"{len(distinct)} different numbers with a decimal comma ({listing(distinct, 2)}) are "
            "taken as so many classes. To be met as numbers they need a point: "
            'frame[column].str.replace(",", ".").astype(float)'
        )
    odd = [label for label in distinct if not looks_like_numbers([label, "0.5"])]
    if 2 * len(odd) >= len(distinct):
        return ""
    return (
        f"{len(distinct) - len(odd)} of {len(distinct)} labels read as numbers, and all are taken "
        f"as classes for the sake of {listing(odd)}: correct these or leave them out, or say "
        "label_cls=Category"
    )
