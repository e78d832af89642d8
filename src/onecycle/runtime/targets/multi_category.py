"""Any number of classes per item."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from onecycle.core.errors import LabelError, UsageError, listing
from onecycle.runtime.kinds import OPTIONAL, Answer, Label, TargetSpec
from onecycle.runtime.targets.category import (
    above,
    forbid_repeats,
    is_blank,
    plain_label,
    require_probability,
    require_temperature,
    sorted_classes,
)

_QUOTE = '"'
_MARKS = frozenset(';"\r\n')


@dataclass(frozen=True)
class MultiCategorySpec(TargetSpec):
    """Any number of classes per item: float32 zeros and ones; decided by `> thresh`.

    `thresh` is one for all or one for each class, in their order. Outputs are divided by
    `temperature` before the sigmoid.
    """

    classes: tuple[Label, ...] = ()
    thresh: float | tuple[float, ...] = 0.5
    temperature: float = field(default=1.0, repr=False, metadata=OPTIONAL)
    kind: ClassVar[str] = "multicategory"
    activation: ClassVar[str] = "sigmoid"
    whole_classes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(plain_label, self.classes)))
        forbid_repeats(self.classes)
        require_temperature(self.temperature)
        if np.ndim(self.thresh) == 0:
            require_probability(self.thresh)
            return
        each = tuple(map(require_probability, np.asarray(self.thresh).tolist()))
        if self.classes and len(each) != len(self.classes):
            raise UsageError(f"{len(each)} thresholds are given for {len(self.classes)} classes")
        object.__setattr__(self, "thresh", each)

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
        unknown = [tag for tag in label if plain_label(tag) not in self.classes]
        if self.classes and unknown:
            return f"holds {listing(unknown)}, not among the classes of the training set"
        return None

    def encode(self, label: Any) -> np.ndarray:
        present = {plain_label(tag) for tag in label}
        return np.array([name in present for name in self.classes], np.float32)

    def decode(self, probabilities: np.ndarray) -> Answer:
        return self.answer(self.decide(probabilities))

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        return above(probabilities, self.thresh)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The threshold of each class, in their order."""
        return tuple(np.broadcast_to(self.thresh, len(self.classes)).tolist())

    def with_threshold(self, thresh: Any) -> Self:
        """`thresh` is one for all, one for each class, or a dict of those of some classes."""
        if isinstance(thresh, Mapping):
            if unknown := [name for name in thresh if name not in self.classes]:
                raise UsageError(
                    f"thresholds are given for {listing(unknown)}: no classes of these"
                )
            now = dict(zip(self.classes, self.thresholds, strict=True))
            thresh = tuple((now | dict(thresh)).values())
        return super().with_threshold(thresh)

    def right(self, decided: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (decided == (y > 0.5)).ravel()

    def answer(self, y: np.ndarray) -> Answer:
        marks = np.asarray(y).astype(np.float32)
        names = [name for name, mark in zip(self.classes, marks, strict=True) if mark]
        return Answer(names, marks, join_names(map(str, names)))


def join_names(names: Iterable[str]) -> str:
    """Names with semicolons between them; one that holds such a mark is quoted, as in CSV."""
    marked = (f'"{n.replace(_QUOTE, 2 * _QUOTE)}"' if set(n) & _MARKS else n for n in names)
    return ";".join(marked)
