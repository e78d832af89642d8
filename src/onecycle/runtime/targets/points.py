"""Points on an image."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from onecycle.runtime.kinds import Answer, Size, TargetSpec, Values


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

    @property
    def columns(self) -> list[str]:
        """y0, x0, y1, x1, ..."""
        return [f"{axis}{i}" for i in range(self.count) for axis in "yx"]

    def cells(self, data: Any, probabilities: Any) -> list[float]:
        """The points' coordinates."""
        return np.asarray(data).ravel().tolist()

    def decode(self, probabilities: np.ndarray) -> Answer:
        return self.answer(probabilities)

    def place(self, values: Values, row: int, size: Size, whole: Size | None) -> Answer:
        """The points (count, 2) as (y, x) in pixels of the whole image."""
        box, inner = (values[name].astype(np.float32) for name in ("box", "inner"))
        given = np.array(inner[2:] if whole is None else whole, np.float32)
        points = values["probabilities"][row].reshape(-1, 2)
        shown = ((points + 1) / 2 * given - inner[:2]) / inner[2:]
        return self.answer(shown * box[2:] + box[:2] - 0.5)

    def answer(self, y: np.ndarray) -> Answer:
        points = np.asarray(y, dtype=np.float32).reshape(-1, 2)
        return Answer(points, points, f"{len(points)} points")
