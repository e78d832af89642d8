"""One class per item."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import Any, ClassVar, Self
from unicodedata import normalize

import numpy as np

from onecycle.core.errors import LabelError, UsageError, listing, warn
from onecycle.runtime.kinds import OPTIONAL, Answer, Label, TargetSpec

NOT_SURE = "not sure"


@dataclass(frozen=True)
class CategorySpec(TargetSpec):
    """One class per item. `classes` are sorted; a label is encoded as its int64 index.

    The answer is the likeliest class, or with `thresh`, where that is not `> thresh`, "not sure":
    its name is None, and its index -1. Outputs are divided by `temperature` before the softmax.
    """

    classes: tuple[Label, ...] = ()
    # Not in the repr: by it a fit that goes on compares losses, also with files of before 0.4.
    thresh: float | None = field(default=None, repr=False, metadata=OPTIONAL)
    temperature: float = field(default=1.0, repr=False, metadata=OPTIONAL)
    kind: ClassVar[str] = "category"
    activation: ClassVar[str] = "softmax"
    whole_classes: ClassVar[bool] = True
    one_class: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(plain_label, self.classes)))
        forbid_repeats(self.classes)
        require_temperature(self.temperature)
        if self.thresh is None:
            return
        require_probability(self.thresh)
        if NOT_SURE in (str(name).lower() for name in self.classes):
            raise UsageError(
                f"a class is called {NOT_SURE!r}, so that a threshold could not say it: give the "
                "class another name, or leave the threshold out"
            )

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    @property
    def takes_threshold(self) -> bool:
        return True

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
        return self.answer(self.decide(np.asarray(probabilities)[None])[0])

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        likeliest = np.argmax(probabilities, axis=1)
        if self.thresh is None:
            return likeliest
        return np.where(above(np.max(probabilities, axis=1), self.thresh), likeliest, -1)

    def answer(self, y: np.ndarray) -> Answer:
        index = int(y)
        if index < 0:
            return Answer(None, index, NOT_SURE)
        return Answer(self.classes[index], index, str(self.classes[index]))


# What is chosen for a model once it is trained: thresholds and the temperature.


def above(probabilities: Any, thresh: float | Sequence[float]) -> np.ndarray:
    """Where `probabilities` (..., classes) are `> thresh`, one for all or one for each class.

    Compared in the precision of the probabilities, as torch and the page do.
    """
    given = np.asarray(probabilities)
    return given > np.asarray(thresh, np.result_type(given, np.float16))


def require_probability(thresh: Any) -> float:
    """`thresh` as a float; UsageError for what is no probability."""
    if not isinstance(thresh, Real) or not 0 <= float(thresh) <= 1:
        raise UsageError(f"thresh is a probability from 0 to 1, not {thresh!r}")
    return float(thresh)


def require_temperature(temperature: Any) -> None:
    """UsageError for what outputs cannot be divided by."""
    if not isinstance(temperature, Real) or not 0 < float(temperature) < math.inf:
        raise UsageError(f"a temperature is a finite number above 0, not {temperature!r}")


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
