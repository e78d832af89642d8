"""Boxes: rectangles with a class each, which move with their picture; there is no detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import LabelError, UsageError, listing
from onecycle.data.targets import Plainly
from onecycle.spec.answers import Answer
from onecycle.spec.targets import sorted_classes
from onecycle.vision.plan import Plan
from onecycle.vision.point_labels import located_boxes
from onecycle.vision.targets import Points

CORNERS = (0, 1, 2, 1, 2, 3, 0, 3)  # (y, x) of the four corners in (top, left, bottom, right)


@dataclass(frozen=True)
class Boxes(Plainly):
    """Up to `count` boxes per picture, to load, move and show; no loss.

    A raw label is `[boxes, names]`: boxes (top, left, bottom, right) in pixels from edge to edge
    of the picture, a name for each. y is float32 (n, count, 5): the edges in [-1, 1] and the
    number of the class, filled up with rows whose class is -1.
    """

    classes: tuple[Any, ...] = ()
    count: int = 0
    kind: ClassVar[str] = "boxes"
    drawn_over: ClassVar[bool] = True
    on_image: ClassVar[bool] = True

    @property
    def n_outputs(self) -> int:
        """Five numbers for every box."""
        return 5 * self.count

    def located(self, sources: Sequence[Any], labels: Sequence[Any]) -> Sequence[Any]:
        """Pixels as [-1, 1]: the size comes from the header of each picture."""
        return located_boxes(sources, [(as_edges(label), list(label[1])) for label in labels])

    def fit(self, labels: Sequence[Any]) -> Self:
        """Classes and the largest number of boxes of a picture."""
        names = sorted_classes(name for _, names in labels for name in names)
        most = max((len(names) for _, names in labels), default=0)
        return replace(self, classes=self.classes or names, count=self.count or most)

    def check(self, label: Any) -> str | None:
        """Faults of a located label."""
        boxes, names = label
        unknown = sorted({str(name) for name in names if name not in self.classes})
        if unknown:
            return f"has unknown classes {listing(unknown)}"
        if len(boxes) != len(names):
            return f"has {len(boxes)} boxes and {len(names)} names"
        if len(boxes) > self.count:
            return f"has {len(boxes)} boxes, more than {self.count}: Boxes(count={len(boxes)})"
        if not np.isfinite(boxes).all() or (boxes[:, :2] >= boxes[:, 2:]).any():
            return "has a box that is empty, or not (top, left, bottom, right)"
        return None

    def encode(self, label: Any) -> np.ndarray:
        """The edges and class of each box of a located label, filled up."""
        boxes, names = label
        numbers = np.array([self.classes.index(name) for name in names], np.float32)
        return self._filled(np.c_[boxes, numbers.reshape(-1, 1)])

    def _filled(self, rows: np.ndarray) -> np.ndarray:
        rest = np.tile(np.array([0, 0, 0, 0, -1], np.float32), (self.count - len(rows), 1))
        return np.concatenate([rows.astype(np.float32), rest])

    def answer(self, y: np.ndarray) -> Answer:
        """The boxes that are there, (n, 5), and their names."""
        real = y[y[:, 4] >= 0]
        names = [self.classes[int(number)] for number in real[:, 4]]
        return Answer(names, real, "; ".join(map(str, names)))

    def move(self, y: np.ndarray, plan: Plan) -> np.ndarray:
        """The upright boxes around the moved corners, cut at the picture; empty ones go."""
        real = y[y[:, 4] >= 0]
        corners = Points().move(real[:, CORNERS].reshape(-1, 2), plan).reshape(-1, 4, 2)
        edges = np.concatenate([corners.min(1), corners.max(1)], 1).clip(-1, 1)
        seen = (edges[:, :2] < edges[:, 2:]).all(1)
        return self._filled(np.c_[edges, real[:, 4:]][seen])

    def as_tv_tensor(self, y: np.ndarray, size: tuple[int, int]) -> Any:
        """Transforms of torchvision are not applied to boxes."""
        raise UsageError("boxes move with onecycle's own transforms only: get_transforms(...)")

    def require_mergeable(self) -> None:
        """Boxes of several looks have no order in which they could be averaged."""
        raise UsageError(
            "several looks at boxes cannot be merged: which box of one look is which of another is "
            "not known. Predict without TTA"
        )

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """There is none."""
        raise LabelError("boxes are loaded, moved and shown; give a detector its own loss_func")

    def activate(self, outputs: Tensor) -> Tensor:
        """The outputs themselves."""
        return outputs.float()

    def show(self, answer: Answer, ax: Any) -> None:
        """Frames over the picture, with names."""
        from matplotlib.patches import Rectangle

        from onecycle.core.draw import NAME, drawable

        h, w = ax.images[0].get_array().shape[:2]
        edges = (answer.data[:, :4] + 1) / 2 * np.array([h, w, h, w]) - 0.5
        for (top, left, bottom, right), name in zip(edges, answer.obj, strict=True):
            box = Rectangle((left, top), right - left, bottom - top, fill=False, ec="w", lw=1.5)
            ax.add_patch(box)
            ax.text(left, top, drawable(name, NAME), color="w", fontsize=7, va="top")


def as_edges(label: Any) -> np.ndarray:
    """The boxes (n, 4) of a raw label `[boxes, names]`."""
    try:
        boxes, _ = label
        return torch.as_tensor(boxes, dtype=torch.float64).reshape(-1, 4).numpy()
    except (TypeError, ValueError, RuntimeError) as error:
        advice = "give [[(top, left, bottom, right), ...], [name, ...]] in pixels"
        raise LabelError(f"a label is {label!r:.80}: {advice}") from error
