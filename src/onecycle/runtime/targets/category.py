"""One class per item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from onecycle.runtime.kinds import Answer, TargetSpec
from onecycle.runtime.targets.classes import forbid_repeats, is_blank, plain_label, sorted_classes


@dataclass(frozen=True)
class CategorySpec(TargetSpec):
    """One class per item. `classes` are sorted; a label is encoded as its int64 index."""

    classes: tuple[Any, ...] = ()
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
        known = plain_label(label) in self.classes
        return None if known or not self.classes else "is not among the classes of the training set"

    def encode(self, label: Any) -> np.ndarray:
        return np.array(self.classes.index(plain_label(label)), np.int64)

    def decode(self, probabilities: np.ndarray) -> Answer:
        return self.answer(np.asarray(np.argmax(probabilities)))

    def decided(self, probabilities: np.ndarray) -> np.ndarray | None:
        return np.argmax(probabilities, axis=1)

    def answer(self, y: np.ndarray) -> Answer:
        index = int(y)
        return Answer(self.classes[index], index, str(self.classes[index]))
