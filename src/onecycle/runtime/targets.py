"""The kinds of answers as plain data: classes, widths, how labels become numbers and back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self
from unicodedata import normalize
from warnings import warn

import numpy as np

from onecycle.core.errors import LabelError, OnecycleWarning, UsageError, listing
from onecycle.runtime.kinds import Answer, Plain

_QUOTE = '"'
_MARKS = frozenset(';"\r\n')
Size = tuple[int, ...]
Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class TargetSpec(Plain):
    """What every kind of answer can do; arrays are numpy, one sample at a time."""

    activation: ClassVar[str] = "identity"

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes in the order of their numbers, where there are any."""
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the numbers of an answer, where it has any."""
        return ()

    @property
    def thresh(self) -> float | None:
        """The probability above which a class is predicted, where one decides."""
        return None

    @property
    def void(self) -> int | None:
        """The number of the class that counts nowhere, if there is one."""
        return None

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

    @property
    def mask_dtype(self) -> str | None:
        """The kind of numbers in the masks of an exported file; None where answers are no masks."""
        return None

    def placed(self, values: Values, row: int, size: Size, whole: Size | None) -> Answer:
        """The answer of row `row` of a batch from an exported file, in terms of the whole item.

        `values` are the file's outputs by name, `size` the item's (h, w) where it is a picture,
        `whole` the (h, w) of the network's input where it does not depend on the item.
        """
        return self.decode(values["probabilities"][row])

    def decided(self, probabilities: np.ndarray) -> np.ndarray | None:
        """What a batch (n, ...) of activated outputs decides, (n, ...); None where numbers count.

        The decisions can be counted, and compared with another model's by `changed`.
        """
        return None

    def right(self, decided: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Booleans, flat: which of a batch's decisions are those of its encoded labels `y`."""
        return (decided == y).ravel()

    def changed(self, decided: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The share (n,) of each answer in which two models' decisions differ: 0 or 1."""
        return (decided != other).reshape(len(decided), -1).any(1).astype(np.float64)


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
        object.__setattr__(self, "classes", tuple(map(_plain, self.classes)))
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

    def decided(self, probabilities: np.ndarray) -> np.ndarray | None:
        return np.argmax(probabilities, axis=1)

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
        object.__setattr__(self, "classes", tuple(map(_plain, self.classes)))
        _forbid_repeats(self.classes)
        if not 0 <= self.thresh <= 1:
            raise UsageError(f"thresh is a probability from 0 to 1, not {self.thresh!r}")

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    def fit(self, labels: Sequence[Any]) -> Self:
        if self.classes:
            return self
        found = sorted_classes(tag for label in labels for tag in label)
        if not found:
            raise LabelError(f"none of the {len(labels)} labels holds a tag")
        return replace(self, classes=found)

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

    def decided(self, probabilities: np.ndarray) -> np.ndarray | None:
        return np.asarray(probabilities) > self.thresh

    def right(self, decided: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (decided == (y > 0.5)).ravel()

    def answer(self, y: np.ndarray) -> Answer:
        marks = np.asarray(y).astype(np.float32)
        names = [name for name, mark in zip(self.classes, marks, strict=True) if mark]
        return Answer(names, marks, _divided(map(str, names)))


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
        if values.ndim > 1:
            return f"is an array of shape {values.shape}, not a row of numbers"
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(_plain, self.classes)))

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    @property
    def outside(self) -> int:
        """The number of pixels that the model has not seen: void, or one that no class has."""
        if self.void is not None and self.void >= 0:
            return self.void
        return 255 if len(self.classes) < 256 else 65535

    @property
    def mask_dtype(self) -> str | None:
        """The narrowest kind of whole numbers that holds every class, and `outside`."""
        most = max(len(self.classes) - 1, self.outside)
        if most > 65535:
            raise LabelError(f"masks hold numbers up to 65,535, not {most:,}")
        return "uint8" if most < 256 else "uint16"

    def decode(self, probabilities: np.ndarray) -> Answer:
        """Of (classes, h, w) probabilities, the likeliest class of each pixel."""
        return self.answer(np.asarray(probabilities).argmax(0)[None])

    def placed(self, values: Values, row: int, size: Size, whole: Size | None) -> Answer:
        """The mask (1, h, w) of the whole picture; what was cut off is `outside`."""
        mask = np.full((1, *size), self.outside, self.mask_dtype)
        top, left, h, w = (int(v) for v in values["box"])
        seen = mask[0, max(top, 0) : max(top + h, 0), max(left, 0) : max(left + w, 0)]
        y, x = max(-top, 0), max(-left, 0)  # the box may begin outside the picture
        seen[:] = values["mask"][row][y : y + seen.shape[0], x : x + seen.shape[1]]
        return self.answer(mask)

    def decided(self, probabilities: np.ndarray) -> np.ndarray | None:
        return np.argmax(probabilities, axis=1)

    def right(self, decided: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Void pixels are not counted."""
        true = y[:, 0]
        return (decided == true)[(true != self.void) & (true >= 0)]

    def changed(self, decided: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The share of each mask's pixels."""
        return (decided != other).reshape(len(decided), -1).mean(1)

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

    def placed(self, values: Values, row: int, size: Size, whole: Size | None) -> Answer:
        """The points (count, 2) as (y, x) in pixels of the whole picture."""
        box, inner = (values[name].astype(np.float32) for name in ("box", "inner"))
        given = np.array(inner[2:] if whole is None else whole, np.float32)
        points = values["probabilities"][row].reshape(-1, 2)
        shown = ((points + 1) / 2 * given - inner[:2]) / inner[2:]
        return self.answer(shown * box[2:] + box[:2] - 0.5)

    def answer(self, y: np.ndarray) -> Answer:
        points = np.asarray(y, dtype=np.float32).reshape(-1, 2)
        return Answer(points, points, f"{len(points)} points")


def _divided(names: Iterable[str]) -> str:
    """Names with semicolons between them; one that holds such a mark is quoted, as in CSV."""
    marked = (f'"{n.replace(_QUOTE, 2 * _QUOTE)}"' if set(n) & _MARKS else n for n in names)
    return ";".join(marked)


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
    """LabelError for classes that are equal, or that no table, page or reply can tell apart."""
    counts = Counter(map(str, classes))
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise LabelError(f"classes are given twice: {listing(twice)}")
