"""One or more numbers per item."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from onecycle.runtime.kinds import Answer, TargetSpec
from onecycle.runtime.targets.category import is_blank


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
