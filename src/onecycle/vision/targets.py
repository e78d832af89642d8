"""Masks and points: answers that move with the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from onecycle.core.draw import add_legend
from onecycle.core.errors import LabelError, SizeError, listing
from onecycle.data.targets import Plainly, per_item
from onecycle.spec.answers import Answer
from onecycle.spec.pixels import open_indexes, open_size
from onecycle.spec.targets import MaskSpec, PointsSpec
from onecycle.vision import geometry as geo
from onecycle.vision.image import FlowField, ImagePoints, ImageSegment
from onecycle.vision.mask_checks import check_masks
from onecycle.vision.plan import Plan
from onecycle.vision.warp import warp_mask

IGNORED = -100  # torch's own default: no loss where the target has this value


@dataclass(frozen=True)
class Mask(MaskSpec, Plainly):
    """One class per pixel: cross-entropy over all pixels but the void ones.

    y is int64 (n, 1, h, w), outputs (n, classes, h, w). A raw label is a path or an array.
    `void` is the number or the name of the class that no loss counts. `div` is for files of 0
    and 255; `colours`, a table with a row per class, for files of colours.
    """

    div: bool = field(default=False, metadata={"json": False})
    colours: tuple[tuple[int, int, int], ...] | None = field(default=None, metadata={"json": False})
    drawn_over: ClassVar[bool] = True

    def fit(self, labels: Any) -> Self:
        if not self.classes:
            raise LabelError("name the classes of the masks: label_from_func(..., classes=)")
        if not isinstance(self.void, str):
            return self
        if self.void not in self.classes:
            raise LabelError(f"void is {self.void!r}, not among {listing(self.classes)}")
        return replace(self, void=self.classes.index(self.void))

    def encode(self, label: Any) -> np.ndarray:
        source = label.data[0].numpy() if isinstance(label, ImageSegment) else label
        stored = open_indexes(source, self.colours).astype(np.int64)[None]
        return stored // 255 if self.div else stored

    def inspect(self, sources: Sequence[Any], labels: Sequence[Any]) -> None:
        check_masks(sources, labels, self)

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy per pixel."""
        void = IGNORED if self.void is None else self.void
        each = F.cross_entropy(outputs, y[:, 0], reduction="none", ignore_index=void)
        counted = (y[:, 0] != void) & (y[:, 0] != IGNORED)
        if reduction == "mean":
            return each.sum() / counted.sum().clamp(min=1)
        return each.flatten(1).sum(1) / counted.flatten(1).sum(1).clamp(min=1)

    def weight(self, y: Tensor) -> int:
        """Its pixels that are not void."""
        void = IGNORED if self.void is None else self.void
        return int(((y != void) & (y != IGNORED)).sum())

    def activate(self, outputs: Tensor) -> Tensor:
        """Softmax over the classes of each pixel."""
        return outputs.float().softmax(1)

    def move(self, y: np.ndarray, plan: Plan) -> np.ndarray:
        """The mask warped like its picture, each pixel to the nearest one."""
        if y.shape[1:] != plan.source:
            raise SizeError(f"a mask of {y.shape[1:]} lies over a picture of {plan.source} (h, w)")
        void = IGNORED if self.void is None else self.void
        return warp_mask(y[0].astype(np.int16), plan, void)[None].astype(np.int64)

    def as_tv_tensor(self, y: np.ndarray, size: tuple[int, int]) -> Any:
        """The mask as torchvision's Mask."""
        from torchvision import tv_tensors

        return tv_tensors.Mask(torch.from_numpy(y))

    def from_tv_tensor(self, moved: Tensor, size: tuple[int, int]) -> np.ndarray:
        """The moved mask, encoded as before."""
        return moved.numpy().astype(np.int64)

    def show(self, answer: Answer, ax: Any) -> None:
        """The classes in colours over the picture."""
        ImageSegment(torch.from_numpy(answer.data)).show(ax=ax, n_classes=len(self.classes))

    def legend(self, figure: Any) -> None:
        """The name of each class beside its colour."""
        add_legend(figure, self.classes, "tab20")


class Points(PointsSpec, Plainly):
    """Points of a picture: mean squared error in [-1, 1] units. y and outputs are (n, count, 2).

    A raw label is ImagePoints, an array (count, 2) of (y, x) in [-1, 1], or a torch tensor
    (count, 2) or (2,) of (y, x) in pixels of its picture, as in the course. Points that leave
    the picture keep their coordinates, beyond 1.
    """

    drawn_over: ClassVar[bool] = True

    def fit(self, labels: Any) -> Self:
        return self if self.count else replace(self, count=len(self.encode(labels[0])))

    def located(self, sources: Sequence[Any], labels: Sequence[Any]) -> Sequence[Any]:
        """Tensors are pixels: the size comes from the header of each picture."""
        return [
            ImagePoints(FlowField(open_size(source), label)) if isinstance(label, Tensor) else label
            for source, label in zip(sources, labels, strict=True)
        ]

    def check(self, label: Any) -> str | None:
        values = self.encode(label)
        if not np.isfinite(values).all():
            return "holds points that are not finite"
        if self.count and len(values) != self.count:
            return f"has {len(values)} points, expected {self.count}"
        return None

    def encode(self, label: Any) -> np.ndarray:
        values = label.data.numpy() if isinstance(label, ImagePoints) else label
        return np.asarray(values, dtype=np.float32).reshape(-1, 2)

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Squared error of the coordinates."""
        return per_item((outputs.reshape(y.shape) - y) ** 2, reduction)

    def activate(self, outputs: Tensor) -> Tensor:
        """The coordinates themselves (n, count, 2)."""
        return outputs.float().reshape(outputs.shape[0], -1, 2)

    def move(self, y: np.ndarray, plan: Plan) -> np.ndarray:
        """The points where the output shows them; in a mirror the `flip_pairs` change places."""
        source, out = np.array(plan.source), np.array(plan.out)
        there = ((y + 1) / 2 * source - 0.5)[:, ::-1]
        here = geo.move_points(there, plan.matrix)[:, ::-1]
        moved = ((here + 0.5) / out * 2 - 1).astype(np.float32)
        if plan.mirrored and self.flip_pairs:
            left, right = np.array(self.flip_pairs).T
            moved[left], moved[right] = moved[right].copy(), moved[left].copy()
        return moved

    def as_tv_tensor(self, y: np.ndarray, size: tuple[int, int]) -> Any:
        """The points as torchvision's KeyPoints: (x, y), edges at 0 and the size."""
        from torchvision import tv_tensors

        corners = torch.from_numpy(((y + 1) / 2 * np.array(size))[:, ::-1].copy())
        return tv_tensors.KeyPoints(corners, canvas_size=size)

    def from_tv_tensor(self, moved: Tensor, size: tuple[int, int]) -> np.ndarray:
        """The moved points, encoded as before."""
        return (moved.numpy()[:, ::-1] / np.array(size) * 2 - 1).astype(np.float32)

    def show(self, answer: Answer, ax: Any) -> None:
        """The points over the picture."""
        h, w = ax.images[0].get_array().shape[:2]
        flow = FlowField((h, w), torch.from_numpy(np.array(answer.data)))
        ImagePoints(flow, scale=False).show(ax=ax)
