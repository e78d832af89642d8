"""Any number of boxes on an image, each with a class and a score."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from onecycle.core.errors import CheckpointError
from onecycle.runtime.kinds import Answer, Label, Size, TargetSpec, Values
from onecycle.runtime.targets.category import (
    above,
    forbid_repeats,
    plain_label,
    require_probability,
)

_CANDIDATES = 1000  # the likeliest boxes of an image, of which the best are kept
_SAME = 0.5  # intersection over union from which on two boxes are of one thing
NOTHING = (0.0, 0.0, 0.0, 0.0, -1.0)  # a row that is no box


@dataclass(frozen=True)
class BoxesSpec(TargetSpec):
    """Boxes of several classes: float32 (k, 6) of top, left, bottom, right, class and score.

    Edges are in [-1, 1] from edge to edge of the image. A network answers with (4 + classes,
    places): the box that each place of its feature maps speaks for, and the score of each class.
    Boxes are those with a score `> thresh`, of the best 1,000; of two of one class that overlap by
    more than `overlap` (intersection over union) the one with the higher score is kept, and of
    all the `most` best.
    """

    classes: tuple[Label, ...] = ()
    thresh: float = 0.5
    overlap: float = 0.6
    most: int = 100
    kind: ClassVar[str] = "boxes"
    activation: ClassVar[str] = "places"

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(plain_label, self.classes)))
        forbid_repeats(self.classes)
        require_probability(self.thresh)
        if not (0 <= self.overlap <= 1 and self.most >= 1):
            raise CheckpointError(
                f"overlap is a share from 0 to 1 and most a number of boxes from 1 on, not "
                f"{self.overlap} and {self.most}"
            )

    @property
    def n_outputs(self) -> int:
        return 4 + len(self.classes)

    def cells(self, data: Any, probabilities: Any) -> list[float]:
        """The best score of each class anywhere in the image."""
        return np.asarray(probabilities)[4:].max(1).tolist()

    def found(self, probabilities: np.ndarray) -> np.ndarray:
        """float32 (k, 6) of (4 + classes, places), the best score first."""
        scores = np.asarray(probabilities)[4:]
        kinds, places = np.nonzero(above(scores, self.thresh))
        order = np.argsort(-scores[kinds, places], kind="stable")[:_CANDIDATES]
        kinds, places = kinds[order], places[order]
        edges = np.asarray(probabilities)[:4, places].T.astype(np.float64)
        open_, kept = np.ones(len(edges), bool), list[int]()
        for i in range(len(edges)):
            if open_[i] and len(kept) < self.most:
                kept.append(i)
                rivals = (kinds == kinds[i]) & (overlaps(edges[i], edges) > self.overlap)
                open_ &= ~rivals
        found = np.c_[edges, kinds, scores[kinds, places]][kept]
        return found.reshape(-1, 6).astype(np.float32)

    def decode(self, probabilities: np.ndarray) -> Answer:
        return self.answer(self.found(probabilities))

    def place(self, values: Values, row: int, size: Size, whole: Size | None) -> Answer:
        """The boxes (k, 6), their edges in pixels from edge to edge of the whole image."""
        box, inner = (values[name].astype(np.float64) for name in ("box", "inner"))
        given = np.array(inner[2:] if whole is None else whole, np.float64)
        rows = self.found(values["probabilities"][row]).astype(np.float64)
        corners = ((rows[:, :4].reshape(-1, 2, 2) + 1) / 2 * given - inner[:2]) / inner[2:]
        rows[:, :4] = (corners * box[2:] + box[:2]).reshape(-1, 4)
        return self.answer(within(rows, size))

    def answer(self, y: np.ndarray) -> Answer:
        """The boxes that are there, (k, 5) or with scores (k, 6), and their names."""
        rows = np.asarray(y, np.float32)
        rows = rows[rows[:, 4] >= 0]
        names = [self.classes[int(number)] for number in rows[:, 4]]
        return Answer(names, rows, "; ".join(self.captions(names, rows)) or "no boxes")

    @staticmethod
    def captions(names: Iterable[Any], rows: np.ndarray) -> list[str]:
        """The name of each box, and its score where there is one."""
        scores = (" ".join(f" {score:.2f}" for score in row[5:]) for row in rows)
        return [f"{name}{score}" for name, score in zip(names, scores, strict=True)]

    def reply(self, answer: Answer, probabilities: np.ndarray) -> dict[str, Any]:
        """With `boxes`: the class and the score of each, and its edges in pixels of the image."""
        rows = zip(answer.obj, np.asarray(answer.data).tolist(), strict=True)
        boxes = [{"class": name, "score": r[5], "box": r[:4]} for name, r in rows]
        return {"kind": self.kind, **answer.to_dict(), "boxes": boxes}

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """The boxes of each item, filled up to (n, most, 6)."""
        filled = np.tile(np.array([*NOTHING, 0], np.float32), (len(probabilities), self.most, 1))
        for row, item in zip(filled, probabilities, strict=True):
            boxes = self.found(item)
            row[: len(boxes)] = boxes
        return filled

    def right(self, decided: np.ndarray, y: np.ndarray) -> np.ndarray:
        """One for each actual box, whether it was found, and False for each superfluous one."""
        flags = list[bool]()
        for boxes, actual in zip(map(_real, decided), map(_real, y), strict=True):
            hits = hit(boxes, actual)
            flags += [*hits.tolist(), *[False] * (len(boxes) - int(hits.sum()))]
        return np.array(flags, bool)

    def changes(self, decided: np.ndarray, other: np.ndarray) -> np.ndarray:
        """The share of each item's boxes that the other has not."""
        shares = list[float]()
        for mine, theirs in zip(map(_real, decided), map(_real, other), strict=True):
            most = max(len(mine), len(theirs), 1)
            shares.append((max(len(mine), len(theirs)) - int(hit(mine, theirs).sum())) / most)
        return np.array(shares)


def _real(rows: np.ndarray) -> np.ndarray:
    return rows[rows[:, 4] >= 0]


def overlaps(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box (4,) with each of (k, 4), float64."""
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    inner = (high - low).clip(0).prod(1)
    union = (one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - inner
    return np.where(union > 0, inner / np.where(union > 0, union, 1), 0)


def hit(found: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Which of the `actual` boxes (m, 5) have one of `found` (k, 6), best first, to themselves.

    That is one of their class that overlaps by half at least; each takes the one that fits best.
    """
    taken = np.zeros(len(actual), bool)
    for row in found.astype(np.float64):
        shares = overlaps(row[:4], actual[:, :4].astype(np.float64))
        shares = np.where(taken | (actual[:, 4] != row[4]), 0, shares)
        if len(shares) and shares.max() >= _SAME:
            taken[shares.argmax()] = True
    return taken


def within(rows: np.ndarray, size: Size) -> np.ndarray:
    """Rows of edges in pixels, cut at the edge of an image of `size`; what is outside goes."""
    cut = np.asarray(rows, np.float64).copy()
    cut[:, :4] = cut[:, :4].clip(0, np.tile(np.array(size[:2]), 2))
    return cut[(cut[:, :2] < cut[:, 2:4]).all(1)]
