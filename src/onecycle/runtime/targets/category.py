"""One class per item."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self
from unicodedata import normalize

import numpy as np

from onecycle.core.errors import LabelError, listing, warn
from onecycle.runtime.kinds import Answer, Label, TargetSpec


@dataclass(frozen=True)
class CategorySpec(TargetSpec):
    """One class per item. `classes` are sorted; a label is encoded as its int64 index."""

    classes: tuple[Label, ...] = ()
    kind: ClassVar[str] = "category"
    activation: ClassVar[str] = "softmax"
    whole_classes: ClassVar[bool] = True
    one_class: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(plain_label, self.classes)))
        forbid_repeats(self.classes)

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    def fit(self, labels: Sequence[Any]) -> Self:
        return self if self.classes else replace(self, classes=sorted_classes(labels))

    def check(self, label: Any) -> str | None:
        if is_blank(label):
            return "is blank"
        known = isinstance(label, Hashable) and plain_label(label) in self._numbers
        return None if known or not self.classes else "is not among the classes of the training set"

    @cached_property
    def _numbers(self) -> dict[Any, int]:
        return {name: i for i, name in enumerate(self.classes)}

    def encode(self, label: Any) -> np.ndarray:
        return np.array(self._numbers[plain_label(label)], np.int64)

    def decode(self, probabilities: np.ndarray) -> Answer:
        return self.answer(np.asarray(np.argmax(probabilities)))

    def decide(self, probabilities: np.ndarray) -> np.ndarray | None:
        return np.argmax(probabilities, axis=1)

    def answer(self, y: np.ndarray) -> Answer:
        index = int(y)
        return Answer(self.classes[index], index, str(self.classes[index]))


# Labels that name classes: which are blank, which are the same, and in which order they come.


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
    distinct = {plain_label(label) for label in labels}
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
            6,
        )


def plain_label(label: Any) -> Any:
    """numpy's scalars as Python's, so that they compare and are written as JSON."""
    return label.item() if isinstance(label, np.generic) else label


def forbid_repeats(classes: Sequence[Any]) -> None:
    """LabelError for classes that are equal, or that no table, page or reply can tell apart."""
    counts = Counter(map(str, classes))
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise LabelError(f"classes are given twice: {listing(twice)}")
