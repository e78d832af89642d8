"""The kinds of answers as plain data: classes, widths, how labels become numbers and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self
from unicodedata import normalize
from warnings import warn

import numpy as np

from onecycle.core.errors import LabelError, OnecycleWarning, UsageError, listing
from onecycle.spec.answers import Answer
from onecycle.spec.plain import Plain


@dataclass(frozen=True)
class TargetSpec(Plain):
    """What every kind of answer can do; arrays are numpy, one sample at a time."""

    activation: ClassVar[str] = "identity"

    @property
    def n_outputs(self) -> int:
        """The width of the model's last layer."""
        raise LabelError(f"{self.kind} has no outputs: the items carry no labels")

    def fit(self, labels: Sequence[Any]) -> Self:
        """Learn classes or widths from the raw training labels; returns a new target."""
        return self

    def check(self, label: Any) -> str | None:
        """Why `label` cannot be encoded, or None."""
        return None

    def encode(self, label: Any) -> np.ndarray:
        """One raw label as an array."""
        return np.zeros((), np.float32)

    def decode(self, probabilities: np.ndarray) -> Answer:
        """One row of activated outputs as an answer."""
        return Answer(None, probabilities, "")

    def answer(self, y: np.ndarray) -> Answer:
        """One encoded label as an answer, for drawing what is true."""
        return Answer(None, y, "")


@dataclass(frozen=True)
class NoLabelSpec(TargetSpec):
    """Items without labels: for looking and predicting, not for training."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True)
class CategorySpec(TargetSpec):
    """One class per item. `classes` are sorted; a label is encoded as its int64 index."""

    classes: tuple[Any, ...] = ()
    kind: ClassVar[str] = "category"
    activation: ClassVar[str] = "softmax"

    def __post_init__(self) -> None:
        _forbid_repeats(self.classes)

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    def fit(self, labels: Sequence[Any]) -> Self:
        return self if self.classes else replace(self, classes=sorted_classes(labels))

    def check(self, label: Any) -> str | None:
        if is_blank(label):
            return "is blank"
        known = _plain(label) in self.classes
        return None if known or not self.classes else "is not among the classes of the training set"

    def encode(self, label: Any) -> np.ndarray:
        return np.array(self.classes.index(_plain(label)), np.int64)

    def decode(self, probabilities: np.ndarray) -> Answer:
        return self.answer(np.asarray(np.argmax(probabilities)))

    def answer(self, y: np.ndarray) -> Answer:
        index = int(y)
        return Answer(self.classes[index], index, str(self.classes[index]))


@dataclass(frozen=True)
class MultiCategorySpec(TargetSpec):
    """Any number of classes per item: float32 zeros and ones; decided by `> thresh`."""

    classes: tuple[Any, ...] = ()
    thresh: float = 0.5
    kind: ClassVar[str] = "multicategory"
    activation: ClassVar[str] = "sigmoid"

    def __post_init__(self) -> None:
        _forbid_repeats(self.classes)
        if not 0 <= self.thresh <= 1:
            raise UsageError(f"thresh is a probability from 0 to 1, not {self.thresh!r}")

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    def fit(self, labels: Sequence[Any]) -> Self:
        if self.classes:
            return self
        return replace(self, classes=sorted_classes(tag for label in labels for tag in label))

    def check(self, label: Any) -> str | None:
        if label is None or isinstance(label, float | str):
            return "is blank" if is_blank(label) else "is not a list of tags"
        unknown = [tag for tag in label if _plain(tag) not in self.classes]
        if self.classes and unknown:
            return f"holds {listing(unknown)}, not among the classes of the training set"
        return None

    def encode(self, label: Any) -> np.ndarray:
        present = {_plain(tag) for tag in label}
        return np.array([name in present for name in self.classes], np.float32)

    def decode(self, probabilities: np.ndarray) -> Answer:
        return self.answer(np.asarray(probabilities) > self.thresh)

    def answer(self, y: np.ndarray) -> Answer:
        marks = np.asarray(y).astype(np.float32)
        names = [name for name, mark in zip(self.classes, marks, strict=True) if mark]
        return Answer(names, marks, ";".join(map(str, names)))


@dataclass(frozen=True)
class NumbersSpec(TargetSpec):
    """One or more numbers per item: float32 (k,)."""

    names: tuple[str, ...] = ()
    kind: ClassVar[str] = "numbers"

    @property
    def n_outputs(self) -> int:
        return len(self.names)

    def fit(self, labels: Sequence[Any]) -> Self:
        if self.names or not len(labels):
            return self
        width = np.atleast_1d(np.asarray(labels[0], dtype=object)).size
        return replace(self, names=tuple(f"y{i}" for i in range(width)) if width > 1 else ("y",))

    def check(self, label: Any) -> str | None:
        try:
            values = np.atleast_1d(np.asarray(label, dtype=np.float64))
        except (TypeError, ValueError):
            return "is blank" if is_blank(label) else "is not a number"
        if not np.isfinite(values).all():
            return "is blank or not finite"
        if self.names and values.size != len(self.names):
            return f"has {values.size} numbers, expected {len(self.names)}"
        return None

    def encode(self, label: Any) -> np.ndarray:
        return np.atleast_1d(np.asarray(label, dtype=np.float32))

    def decode(self, probabilities: np.ndarray) -> Answer:
        return self.answer(probabilities)

    def answer(self, y: np.ndarray) -> Answer:
        values = np.atleast_1d(np.asarray(y, dtype=np.float32))
        obj = [float(v) for v in values]
        return Answer(obj if len(obj) > 1 else obj[0], values, ";".join(f"{v:.4g}" for v in obj))


@dataclass(frozen=True)
class MaskSpec(TargetSpec):
    """One class per pixel: int64 (1, h, w); pixels of `void` are in no loss."""

    classes: tuple[Any, ...] = ()
    void: int | None = None
    kind: ClassVar[str] = "mask"
    activation: ClassVar[str] = "softmax"

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    def decode(self, probabilities: np.ndarray) -> Answer:
        """Of (classes, h, w) probabilities, the likeliest class of each pixel."""
        return self.answer(np.asarray(probabilities).argmax(0)[None])

    def answer(self, y: np.ndarray) -> Answer:
        mask = np.asarray(y)
        return Answer(mask[0], mask, f"mask {mask.shape[-2]} x {mask.shape[-1]}")


@dataclass(frozen=True)
class PointsSpec(TargetSpec):
    """`count` points per item: float32 (count, 2), (y, x) order, [-1, 1] from edge to edge.

    `flip_pairs` are pairs of indexes that change places in a mirror (left eye, right eye).
    """

    count: int = 0
    flip_pairs: tuple[tuple[int, int], ...] = ()
    kind: ClassVar[str] = "points"

    @property
    def n_outputs(self) -> int:
        return 2 * self.count

    def decode(self, probabilities: np.ndarray) -> Answer:
        return self.answer(probabilities)

    def answer(self, y: np.ndarray) -> Answer:
        points = np.asarray(y, dtype=np.float32).reshape(-1, 2)
        return Answer(points, points, f"{len(points)} points")


def is_blank(label: Any) -> bool:
    """None, NaN, or text of blanks only."""
    if isinstance(label, str):
        return not label.strip()
    return label is None or (isinstance(label, float) and math.isnan(label))


def sorted_classes(labels: Iterable[Any]) -> tuple[Any, ...]:
    """The distinct labels in order; numbers before text where both occur.

    Raises LabelError for what is neither: a date or a path could not be exported. Warns of text
    that reads the same and is not.
    """
    distinct = {_plain(label) for label in labels}
    for label in distinct:
        if not isinstance(label, str | int | float):
            raise LabelError(
                f"a class is text or a number, not the {type(label).__name__} {label}: make text "
                "of it, with label_from_func or in the table"
            )
    _warn_of_unicode_forms(label for label in distinct if isinstance(label, str))
    return tuple(sorted(distinct, key=lambda c: (isinstance(c, str), c)))


def _warn_of_unicode_forms(names: Iterable[str]) -> None:
    """Say which classes differ in the Unicode form of their letters alone, as file names do."""
    forms: dict[str, int] = {}
    for name in names:
        composed = normalize("NFC", name)
        forms[composed] = forms.get(composed, 0) + 1
    if several := sorted(name for name, count in forms.items() if count > 1):
        warn(
            f"{len(several)} classes are there in several Unicode forms, which read the same and "
            f"count as different ones: {listing(several)}. macOS names files in NFD, most else is "
            "NFC: make them one with unicodedata.normalize('NFC', name), in label_from_func or in "
            "the table",
            OnecycleWarning,
            stacklevel=6,
        )


def _plain(label: Any) -> Any:
    """numpy's scalars as Python's, so that they compare and are written as JSON."""
    return label.item() if isinstance(label, np.generic) else label


def _forbid_repeats(classes: Sequence[Any]) -> None:
    if len(set(classes)) != len(classes):
        twice = sorted({str(c) for c in classes if list(classes).count(c) > 1})
        raise LabelError(f"classes are given twice: {listing(twice)}")
