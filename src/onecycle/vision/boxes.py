"""Boxes: rectangles with a class each, which move with their image, and are found by a detector."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from onecycle.core.display import in_threads
from onecycle.core.errors import LabelError, ModelError, UsageError, listing, warn
from onecycle.core.plot import NAME, drawable
from onecycle.core.rng import generator
from onecycle.data.looks import Finding, Look
from onecycle.data.targets import Target
from onecycle.models.detector import detection_losses, outputs_of, scores_of
from onecycle.runtime.inputs.pixels import open_size
from onecycle.runtime.kinds import Answer
from onecycle.runtime.targets.boxes import NOTHING, BoxesSpec, within
from onecycle.runtime.targets.category import sorted_classes
from onecycle.vision.annotations.shapes import coco_box
from onecycle.vision.image import size_of
from onecycle.vision.point_labels import OUTSIDE, located_boxes, outside
from onecycle.vision.targets import Points
from onecycle.vision.warp import Plan, draw_plan, exact_plan

_BEHIND = {"facecolor": "black", "alpha": 0.6, "linewidth": 0, "pad": 1}  # of a caption
CORNERS = (0, 1, 2, 1, 2, 3, 0, 3)  # (y, x) of the four corners in (top, left, bottom, right)


@dataclass(frozen=True)
class Boxes(BoxesSpec, Target):
    """Up to `count` boxes per image: the losses of FCOS, see `models.detector.detection_losses`.

    A raw label is `[boxes, names]`: boxes (top, left, bottom, right) in pixels from edge to edge
    of the image, a name for each. y is float32 (n, count, 5): the edges in [-1, 1] and the
    number of the class, filled up with rows whose class is -1. Outputs are (n, 9 + classes,
    places), as a `Detector` gives them.
    """

    count: int = field(default=0, metadata={"json": False})
    drawn_over: ClassVar[bool] = True
    on_image: ClassVar[bool] = True
    fitting_losses: ClassVar[str] = "for boxes leave loss_func out"

    def locate(self, sources: Sequence[Any], labels: Sequence[Any]) -> Sequence[Any]:
        """Pixels as [-1, 1]: the size comes from the header of each image."""
        return located_boxes(sources, [(as_edges(label), list(label[1])) for label in labels])

    advice: ClassVar[Mapping[str, str]] = OUTSIDE

    def doubts(self, looks: Sequence[Look], labels: Sequence[Any]) -> Iterable[Finding]:
        return outside([boxes for boxes, _ in labels], "boxes")

    def classes_of(self, label: Any) -> Sequence[Any]:
        """The classes of its boxes, each once."""
        return tuple(set(label[1]))

    def named_classes(self) -> Sequence[Any]:
        """All."""
        return self.classes

    def fit(self, labels: Sequence[Any]) -> Self:
        """Classes and the largest number of boxes of an image."""
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
        return self._fill_up(np.c_[boxes, numbers.reshape(-1, 1)])

    def _fill_up(self, rows: np.ndarray) -> np.ndarray:
        rest = np.tile(np.array(NOTHING, np.float32), (self.count - len(rows), 1))
        return np.concatenate([rows.astype(np.float32), rest])

    def loss(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Focal, GIoU and centre-ness losses over the number of places that answer for a box."""
        self.check_outputs(outputs, y)
        sums, places = detection_losses(outputs, y)
        if reduction == "mean":
            return sums.sum() / places.sum().clamp(min=1)
        return sums / places.clamp(min=1)

    def check_outputs(self, outputs: Any, y: Tensor) -> None:
        """Nine rows and one for each class, with a column for each place."""
        rows = 9 + len(self.classes)
        if not isinstance(outputs, Tensor) or outputs.ndim != 3 or outputs.shape[1] != rows:
            raise ModelError(
                f"the network is no detector of {len(self.classes)} classes, whose outputs are "
                f"(n, {rows}, places): boxes are learned by detection_learner(data, arch)"
            )

    def activate(self, outputs: Tensor) -> Tensor:
        """Edges within the image, and the scores of the classes: (n, 4 + classes, places)."""
        return scores_of(outputs.float())

    def outputs_for(self, probabilities: Tensor) -> Tensor:
        """Outputs of places that are all as central as can be."""
        return outputs_of(probabilities)

    def decisions(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """There are no pairs of predicted and actual boxes."""
        raise UsageError("metrics of boxes are mean_ap and mean_ap50: boxes come in no pairs")

    scores = decisions

    def move(self, y: np.ndarray, plan: Plan) -> np.ndarray:
        """The upright boxes around the moved corners, cut at the image; empty ones go."""
        real = y[y[:, 4] >= 0]
        corners = Points().move(real[:, CORNERS].reshape(-1, 2), plan).reshape(-1, 4, 2)
        edges = np.concatenate([corners.min(1), corners.max(1)], 1).clip(-1, 1)
        seen = (edges[:, :2] < edges[:, 2:]).all(1)
        return self._fill_up(np.c_[edges, real[:, 4:]][seen])

    def in_pixels(self, y: np.ndarray, source: Any, given: Any) -> np.ndarray:
        """The boxes that are there, (k, 5) or (k, 6), with their edges in pixels of the image."""
        real = np.asarray(y)[np.asarray(y)[:, 4] >= 0]
        edges = Points().in_pixels(real[:, :4].reshape(-1, 2), source, given) + 0.5
        return within(np.c_[edges.reshape(-1, 4), real[:, 4:]], open_size(source))

    def coco_rows(self, answer: Answer, probabilities: np.ndarray | None) -> list[dict[str, Any]]:
        """A row for each box, with its score where it is predicted."""
        rows = np.asarray(answer.data).tolist()
        names = [self.classes[int(row[4])] for row in rows]
        found = [coco_box(row[:4], name) for row, name in zip(rows, names, strict=True)]
        if probabilities is not None:
            found = [one | {"score": row[5]} for one, row in zip(found, rows, strict=True)]
        return found

    def as_tv_tensor(self, y: np.ndarray, size: tuple[int, int]) -> Any:
        """Transforms of torchvision are not applied to boxes."""
        raise UsageError("boxes move with onecycle's own transforms only: get_transforms(...)")

    def require_mergeable(self) -> None:
        """Boxes of several looks have no order in which they could be averaged."""
        raise UsageError(
            "several looks at boxes cannot be merged: which box of one look is which of another is "
            "not known. Predict without TTA"
        )

    def show(self, answer: Answer, ax: Any) -> None:
        """Frames over the image, with names, and with scores where there are any."""
        from matplotlib.patches import Rectangle

        h, w = ax.images[0].get_array().shape[:2]
        edges = (answer.data[:, :4] + 1) / 2 * np.array([h, w, h, w]) - 0.5
        captions = self.captions([drawable(name, NAME) for name in answer.obj], answer.data)
        for (top, left, bottom, right), caption in zip(edges, captions, strict=True):
            box = Rectangle((left, top), right - left, bottom - top, fill=False, ec="w", lw=1.5)
            ax.add_patch(box)
            ax.text(left, top, caption, color="w", fontsize=7, va="top", bbox=_BEHIND)


def warn_of_lost(data: Any) -> None:
    """Say how many boxes leave their image as it is cut and turned, so that nobody learns them.

    Of validation all are counted, of training those of the first epoch, as they will be drawn.
    """
    found = []
    for name, loader in (("training", data.train_dl), ("validation", data.valid_dl)):
        if loader is not None:
            lost, count = _lost(loader.dataset, data.options["seed"])
            found += [f"{lost} of {count} in {name}"] * (lost > 0)
    if found:
        warn(
            f"boxes leave their image as it is cut and turned, and are dropped: "
            f'{" and ".join(found)}. transform(resize_method=) "pad" and "squish" keep whole '
            "images",
            3,
        )


def _lost(side: Any, seed: int) -> tuple[int, int]:
    """How many boxes of a side its first pass loses, and how many there are."""
    given, target, lost, count = side.task.input, side.target, 0, 0
    tfms = given.train_tfms if side.augment else ()
    sizes = in_threads(size_of, side.x.items)
    for i, (size, label) in enumerate(zip(sizes, side.labels, strict=True)):
        y = target.encode(label)
        plan = exact_plan(size, given.file_spec)
        if tfms:
            plan = draw_plan(tfms, given, size, generator(seed, 0, i))
        before, after = (int((rows[:, 4] >= 0).sum()) for rows in (y, target.move(y, plan)))
        lost, count = lost + before - after, count + before
    return lost, count


def as_edges(label: Any) -> np.ndarray:
    """The boxes (n, 4) of a raw label `[boxes, names]`."""
    try:
        boxes, _ = label
        return torch.as_tensor(boxes, dtype=torch.float64).reshape(-1, 4).numpy()
    except (TypeError, ValueError, RuntimeError) as error:
        advice = "give [[(top, left, bottom, right), ...], [name, ...]] in pixels"
        raise LabelError(f"a label is {label!r:.80}: {advice}") from error
