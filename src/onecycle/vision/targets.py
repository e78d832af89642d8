"""Masks, points and boxes: answers that move with their image."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from onecycle.core.errors import LabelError, SizeError, UsageError, listing
from onecycle.core.plot import add_legend
from onecycle.data.looks import Finding, Look
from onecycle.data.targets import Target, per_item, require_shape
from onecycle.runtime.inputs.pixels import open_size
from onecycle.runtime.kinds import Answer
from onecycle.runtime.targets.mask import MaskSpec
from onecycle.runtime.targets.points import PointsSpec
from onecycle.vision import geometry as geo
from onecycle.vision.annotations.shapes import BACKGROUND, coco_points, coco_region
from onecycle.vision.checks import IGNORED, check_masks, mask_doubts
from onecycle.vision.image import FlowField, ImagePoints, ImageSegment, halves
from onecycle.vision.mask_numbers import settle_255, stored_numbers
from onecycle.vision.point_labels import (
    OUTSIDE,
    UNITS,
    as_points,
    located_points,
    outside,
)
from onecycle.vision.warp import Plan, exact_plan, warp_maps, warp_mask

_MOST = 32_767  # classes of masks, whose numbers are warped as int16


@dataclass(frozen=True)
class Mask(MaskSpec, Target):
    """One class per pixel: cross-entropy over all pixels but the void ones.

    y is int64 (n, 1, h, w), outputs (n, classes, h, w). A raw label is a path or an array.
    `void` says what no loss counts: the name or the number of a class, or another number that
    stands in the files for it (255, -1), which becomes -100 in y. `div` is for files of 0 and 255;
    `colours`, a table with a row per class, for files of colours. Where none of the three is given,
    `databunch()` decides what a 255 means that is no class, with a warning: see `settle_255`.
    """

    div: bool = field(default=False, metadata={"json": False})
    colours: tuple[tuple[int, int, int], ...] | None = field(default=None, metadata={"json": False})
    drawn_over: ClassVar[bool] = True
    on_image: ClassVar[bool] = True
    fitting_losses: ClassVar[str] = (
        "for masks there are CrossEntropyFlat(weight=..., ignore_index=...), FocalLoss(), "
        "DiceLoss() and CombinedLoss(...), or leave loss_func out"
    )

    def fit(self, labels: Any) -> Self:
        if not self.classes:
            raise LabelError("name the classes of the masks: label_from_func(..., classes=)")
        if len(self.classes) > _MOST:
            raise LabelError(f"{len(self.classes)} classes of masks are more than {_MOST}")
        if self.colours is not None:
            table = np.asarray(self.colours).reshape(-1, 3)
            if len(np.unique(table, axis=0)) < len(table):
                raise LabelError(f"two classes have one colour in the table {table.tolist()}")
        if self.div and self.void == 255:
            raise LabelError("with div=True 255 is a class: void is another number")
        if not isinstance(self.void, str):
            return self
        if self.void not in self.classes:
            raise LabelError(f"void is {self.void!r}, not among {listing(self.classes)}")
        return replace(self, void=self.classes.index(self.void))

    def encode(self, label: Any) -> np.ndarray:
        stored = stored_numbers(label, self.colours).astype(np.int64)
        is_class = isinstance(self.void, str) or self.void in {None, self.ignore_index}
        left_out = np.zeros(stored.shape, bool) if is_class else stored == self.void
        if self.div:
            name = str(label) if isinstance(label, str | PathLike) else "a mask"
            stored = halves(np.where(left_out, 0, stored), name)
        return np.where(left_out, IGNORED, stored)[None]

    @property
    def ignore_index(self) -> int:
        """The number in y that no loss counts: that of the void class, or -100."""
        return IGNORED if self._void_class is None else self._void_class

    @property
    def _void_class(self) -> int | None:
        is_class = isinstance(self.void, Integral) and 0 <= self.void < len(self.classes)
        return int(self.void) if is_class else None  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """As the model needs it: a `void` that is no class is none of its answers."""
        return super().to_json() | {"void": self._void_class}

    def inspect(self, sources: Sequence[Any], labels: Sequence[Any]) -> Self:
        settled = settle_255(labels, self)
        check_masks(sources, labels, settled)
        return settled

    advice: ClassVar[Mapping[str, str]] = {
        "mask": "correct the mask, or name its numbers: see databunch()'s error for it",
        "mask size": "a mask lies over its image pixel by pixel: make it anew, or leave both out",
    }

    def doubts(self, looks: Sequence[Look], labels: Sequence[Any]) -> Iterable[Finding]:
        return mask_doubts(looks, labels, settle_255(labels, self, say=False))

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy per pixel."""
        self.check_outputs(outputs, y)
        void = self.ignore_index
        each = F.cross_entropy(outputs, y[:, 0], reduction="none", ignore_index=void)
        counted = (y[:, 0] != void) & (y[:, 0] != IGNORED)
        if reduction == "mean":
            return each.sum() / counted.sum().clamp(min=1)
        return each.flatten(1).sum(1) / counted.flatten(1).sum(1).clamp(min=1)

    def check_outputs(self, outputs: Any, y: Tensor) -> None:
        """One output per class and pixel."""
        count = len(self.classes)
        require_shape(outputs, (len(y), count, *y.shape[2:]), count, "classes")

    def weight(self, y: Tensor) -> int:
        """Its pixels that are not void."""
        return int(((y != self.ignore_index) & (y != IGNORED)).sum())

    def activate(self, outputs: Tensor) -> Tensor:
        """Softmax over the classes of each pixel."""
        return outputs.float().softmax(1)

    def decisions(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers of the classes of all pixels that count, in a row."""
        counted = self._countable(y)
        return outputs.argmax(1)[counted], y[:, 0][counted]

    def scores(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (pixels, classes) of all pixels that count, and their classes."""
        counted = self._countable(y)
        return self.activate(outputs).movedim(1, -1)[counted], y[:, 0][counted]

    def _countable(self, y: Tensor) -> Tensor:
        """Which pixels (n, h, w) are neither void nor outside the image."""
        return (y[:, 0] >= 0) & (y[:, 0] != (IGNORED if self.void is None else self.void))

    @property
    def metric_options(self) -> dict[str, Any]:
        """What is void in the loss is void in metrics."""
        return {} if self.void is None else {"void": self.void}

    def move(self, y: np.ndarray, plan: Plan) -> np.ndarray:
        """The mask warped like its image, each pixel to the nearest one."""
        if y.shape[1:] != plan.source:
            raise SizeError(f"a mask of {y.shape[1:]} lies over an image of {plan.source} (h, w)")
        return warp_mask(y[0].astype(np.int16), plan, self.ignore_index)[None].astype(np.int64)

    def in_pixels(self, y: np.ndarray, source: Any, given: Any) -> np.ndarray:
        """The mask (1, h, w) over the whole image: nearest; -100 where the network did not look."""
        plan = exact_plan(open_size(source), given.file_spec)
        back = Plan(plan.out, plan.source, np.linalg.inv(plan.matrix))
        return warp_mask(y[0].astype(np.int16), back, IGNORED)[None].astype(np.int64)

    def coco_rows(self, answer: Answer, probabilities: np.ndarray | None) -> list[dict[str, Any]]:
        """A row for each class in the mask, but the background and void: its pixels, as runs."""
        mask, rows = np.asarray(answer.data)[0], []
        for number, name in enumerate(self.classes):
            left_out = number == self.ignore_index or str(name).lower() in BACKGROUND
            if left_out or not (mask == number).any():
                continue
            row = coco_region(mask == number) | {"category": name}
            if probabilities is not None:
                likely = probabilities[number][probabilities.argmax(0) == number]
                row["score"] = float(likely.mean())
            rows.append(row)
        void = mask == self.ignore_index
        if probabilities is None and void.any():
            rows.append(coco_region(void) | {"category": "ignore", "iscrowd": 1})
        return rows

    def map_back(self, look: Tensor, plain: Tensor, back: Plan) -> tuple[Tensor, Tensor]:
        """The probabilities (classes, h, w) of each pixel, where the look covers it."""
        return warp_maps(look, back)

    def outputs_for(self, probabilities: Tensor) -> Tensor:
        """Logits: softmax takes the logarithm back."""
        return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()

    def as_tv_tensor(self, y: np.ndarray, size: tuple[int, int]) -> Any:
        """The mask as torchvision's Mask."""
        from torchvision import tv_tensors

        return tv_tensors.Mask(torch.from_numpy(y))

    def from_tv_tensor(self, moved: Tensor, size: tuple[int, int]) -> np.ndarray:
        """The moved mask, encoded as before."""
        if tuple(moved.shape) != (1, *size):
            raise SizeError(
                f"a transform made a mask of {tuple(moved.shape[-2:])}, the image has {size} (h, w)"
            )
        return moved.numpy().astype(np.int64)

    def show(self, answer: Answer, ax: Any) -> None:
        """The classes in colours over the image."""
        ImageSegment(torch.from_numpy(answer.data)).show(ax=ax, n_classes=len(self.classes))

    def legend(self, figure: Any) -> None:
        """The name of each class beside its colour."""
        add_legend(figure, self.classes, "tab20")


@dataclass(frozen=True)
class Points(PointsSpec, Target):
    """Points of an image: mean squared error in [-1, 1] units. y and outputs are (n, count, 2).

    A raw label is ImagePoints, or a tensor, array or list (count, 2), or flat, of (y, x). `unit`
    says whether these are "pixels" of the image or "shares" of it, from -1 to 1; without it all
    labels together decide: shares where no value is beyond 1, else pixels. Points that leave the
    image keep their coordinates, beyond 1.
    """

    unit: str | None = field(default=None, metadata={"json": False})

    drawn_over: ClassVar[bool] = True
    on_image: ClassVar[bool] = True
    fitting_losses: ClassVar[str] = (
        "for points there is a function that compares outputs.reshape(y.shape) with y, or leave "
        "loss_func out"
    )

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise UsageError(f'the unit of points is "pixels" or "shares", not {self.unit!r}')

    def fit(self, labels: Any) -> Self:
        points = next((p for p in map(as_points, labels) if p is not None), ())
        fitted = self if self.count else replace(self, count=len(points))
        paired = [index for pair in self.flip_pairs for index in pair]
        if len(set(paired)) < len(paired) or not set(paired) <= set(range(fitted.count)):
            raise LabelError(
                f"flip_pairs are pairs of indexes of {fitted.count} points, from 0, each index in "
                f"one pair at most: {listing(self.flip_pairs)}"
            )
        return fitted

    def locate(self, sources: Sequence[Any], labels: Sequence[Any]) -> Sequence[Any]:
        """Pixels as shares: the size comes from the header of each image."""
        return located_points(sources, labels, self.unit)

    advice: ClassVar[Mapping[str, str]] = OUTSIDE

    def doubts(self, looks: Sequence[Look], labels: Sequence[Any]) -> Iterable[Finding]:
        return outside([as_points(label) for label in labels], "points")

    def check(self, label: Any) -> str | None:
        values = as_points(label)
        if values is None:
            return "is no list of points (y, x)"
        if not np.isfinite(values).all():
            return "holds points that are not finite"
        if self.count and len(values) != self.count:
            return f"has {len(values)} points, expected {self.count}"
        return None

    def encode(self, label: Any) -> np.ndarray:
        values = as_points(label)
        if values is None:
            raise LabelError(f"a label is {label!r:.80}: it is no list of points (y, x)")
        return values.astype(np.float32)

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Squared error of the coordinates."""
        self.check_outputs(outputs, y)
        return per_item((outputs.reshape(y.shape) - y) ** 2, reduction)

    def check_outputs(self, outputs: Any, y: Tensor) -> None:
        """Two outputs per point, in a row or not."""
        flat = outputs.flatten(1) if isinstance(outputs, Tensor) and outputs.ndim > 1 else outputs
        require_shape(flat, (len(y), y[0].numel()), y[0].numel(), "coordinates")

    def activate(self, outputs: Tensor) -> Tensor:
        """The coordinates themselves (n, count, 2)."""
        return outputs.float().reshape(outputs.shape[0], -1, 2)

    def move(self, y: np.ndarray, plan: Plan) -> np.ndarray:
        """The points where the output shows them; in a mirror the `flip_pairs` change places."""
        source, out = np.array(plan.source), np.array(plan.out)
        there = ((y + 1) / 2 * source - 0.5)[:, ::-1]
        here = geo.move_points(there, plan.matrix)[:, ::-1]
        moved = ((here + 0.5) / out * 2 - 1).astype(np.float32)
        return self.swap(moved, plan)

    def in_pixels(self, y: np.ndarray, source: Any, given: Any) -> np.ndarray:
        """Points (count, 2) of -1 to 1 in the network's input as (y, x) in pixels of the image."""
        plan = exact_plan(open_size(source), given.file_spec)
        here = ((y + 1) / 2 * plan.out - 0.5)[:, ::-1]
        return geo.move_points(here, np.linalg.inv(plan.matrix))[:, ::-1]

    def coco_rows(self, answer: Answer, probabilities: np.ndarray | None) -> list[dict[str, Any]]:
        """One row: x, y of each point (whole numbers are centres of pixels), and 2, "visible"."""
        return [{"category": "points", "keypoints": coco_points(np.asarray(answer.data))}]

    def swap(self, rows: np.ndarray, plan: Plan) -> np.ndarray:
        """A row for each point; in a mirror those of the `flip_pairs` change places."""
        if not (plan.mirrored and self.flip_pairs):
            return rows
        order, (left, right) = np.arange(len(rows)), np.array(self.flip_pairs).T
        order[left], order[right] = right, left
        return rows[order]

    def map_back(self, look: Tensor, plain: Tensor, back: Plan) -> tuple[Tensor, Tensor]:
        """The points (count, 2); a look covers those that the plain one places in its window."""
        moved = torch.from_numpy(self.move(look.numpy(), back))
        there = Plan(back.out, back.source, np.linalg.inv(back.matrix), mirrored=back.mirrored)
        window = torch.from_numpy(self.move(plain.numpy(), there))
        inside = torch.from_numpy(self.swap((window.abs() <= 1).all(1).numpy(), back))
        return moved, inside[:, None]

    def as_tv_tensor(self, y: np.ndarray, size: tuple[int, int]) -> Any:
        """The points as torchvision's KeyPoints: (x, y), edges at 0 and the size."""
        from torchvision import tv_tensors

        corners = torch.from_numpy(((y + 1) / 2 * np.array(size))[:, ::-1].copy())
        return tv_tensors.KeyPoints(corners, canvas_size=size)

    def from_tv_tensor(self, moved: Tensor, size: tuple[int, int]) -> np.ndarray:
        """The moved points, encoded as before."""
        return (moved.numpy()[:, ::-1] / np.array(size) * 2 - 1).astype(np.float32)

    def show(self, answer: Answer, ax: Any) -> None:
        """The points over the image."""
        h, w = ax.images[0].get_array().shape[:2]
        flow = FlowField((h, w), torch.from_numpy(np.array(answer.data)))
        ImagePoints(flow, scale=False).show(ax=ax)
