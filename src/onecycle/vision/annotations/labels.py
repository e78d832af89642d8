"""What labelling tools have said as labels: masks, boxes, points, classes; one maker for each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from onecycle.core.errors import LabelError, UsageError, listing, warn
from onecycle.core.paths import Path
from onecycle.data.targets import Category, MultiCategory
from onecycle.vision.annotations import coco, voc
from onecycle.vision.annotations.records import Found, Record, Thing
from onecycle.vision.annotations.shapes import BACKGROUND
from onecycle.vision.boxes import Boxes
from onecycle.vision.image import FlowField, ImagePoints, ImageSegment
from onecycle.vision.targets import Mask, Points

_ROUNDING = 0.05  # pixels by which an edge may pass that of its image before it is counted
_LEVEL = 6  # frames from here to the line that called from_annotations


@dataclass(frozen=True)
class Wanted:
    """What the caller of `from_annotations` has asked for."""

    path: Path
    format: str | None
    images: Path | None
    classes: tuple[str, ...] | None
    unlabelled: str | None
    ignore: frozenset[str]
    several: str | None


# One maker of labels for each kind of list.


class DrawnMask(ImageSegment):
    """A mask of `size` (h, w) that is drawn of its `things` when it is asked for.

    Of things that overlap the smaller one is on top, beneath it would be lost; of equal ones the
    later. `numbers` are those of the classes; `void` is that of ignored things.
    """

    _content: tuple[tuple[int, int], tuple[Thing, ...], dict[str, int], int]

    def __init__(
        self, size: tuple[int, int], things: Sequence[Thing], numbers: dict[str, int], void: int
    ) -> None:
        object.__setattr__(self, "_content", (size, tuple(things), numbers, void))

    @property
    def data(self) -> torch.Tensor:
        """int32 (1, h, w): 0 is the background."""
        size, things, numbers, void = self._content
        mask = np.zeros(size, np.int32)
        regions = [(thing, thing.region(size)) for thing in things]
        for thing, region in sorted(regions, key=lambda pair: (pair[0].level, -pair[1].area)):
            region.paint(mask, void if thing.ignored else numbers[thing.name])
        return torch.from_numpy(mask)[None]


def masks(found: Found, sizes: list[tuple[int, int]], wanted: Wanted) -> tuple[list[Any], Any]:
    """Masks that are drawn of outlines, or the files of masks where there are any."""
    names = tuple(name for name in found.classes if name.lower() not in BACKGROUND)
    own = [name for name in found.classes if name.lower() in BACKGROUND]
    classes = (own[0] if own else "background", *names)
    void = 255 if len(classes) < 256 else 65535
    if any(record.mask for record in found.records):
        if wanted.classes is None and found.classes != voc.CLASSES:
            raise UsageError(
                "masks hold the numbers of classes: classes= names those of 1, 2, ... in this order"
            )
        without = [record.file for record in found.records if record.mask is None]
        _tell(len(without), f"images have no mask, and are left out ({listing(without, 3)})")
        return [record.mask for record in found.records], Mask(classes=classes, void=void)
    every = [thing for record in found.records for thing in record.things]
    if every and not any(thing.has_area for thing in every):
        raise LabelError(
            f"{len(every)} objects have no outline of which a mask could be drawn: boxes are for "
            "ObjectItemList, points for PointsItemList"
        )
    _tell(sum(not thing.has_area for thing in every), "objects without an area are left out")
    _tell(_beyond(found.records, sizes), "outlines reach beyond their image, and are cut off")
    numbers = {name: number for number, name in enumerate(classes)} | dict.fromkeys(own, 0)
    drawn: list[Any] = [
        DrawnMask(size, [t for t in record.things if t.has_area], numbers, void)
        for record, size in zip(found.records, sizes, strict=True)
    ]
    is_void = any(thing.ignored for thing in every)
    return drawn, Mask(classes=classes, void=void if is_void else None)


def boxes(found: Found, sizes: list[tuple[int, int]], wanted: Wanted) -> tuple[list[Any], Any]:
    """`[boxes, names]`, cut at the edges of the images."""
    every = [thing for record in found.records for thing in record.things]
    _tell(sum(t.ignored for t in every), "objects are marked as not to count, and left out")
    _tell(_beyond(found.records, sizes), "boxes reach beyond their image, and are cut at its edge")
    made: list[list[Any]] = []
    empty = points = 0
    for record, size in zip(found.records, sizes, strict=True):
        counted = [thing for thing in record.things if not thing.ignored]
        pairs = [(edges, thing.name) for thing in counted if (edges := thing.around())]
        cut = [(np.clip(edges, 0, np.tile(size, 2)).tolist(), name) for edges, name in pairs]
        kept = [(tuple(box), name) for box, name in cut if box[0] < box[2] and box[1] < box[3]]
        made.append([[box for box, _ in kept], [name for _, name in kept]])
        empty += len(cut) - len(kept)
        points += len(counted) - len(pairs)
    _tell(empty, "boxes are empty or lie outside their image, and are left out")
    _tell(points, "objects are points or lines alone, have no box, and are left out")
    most = max((len(names) for _, names in made), default=0)
    if not most:
        return [None] * len(made), None
    return made, Boxes(classes=found.classes, count=most)


def points(found: Found, sizes: list[tuple[int, int]], wanted: Wanted) -> tuple[list[Any], Any]:
    """The points of each image in the order of the classes, as ImagePoints; as many in each."""
    rows = [_points_of(record, found.classes, wanted.several) for record in found.records]
    lengths = Counter(len(row) for row in rows if len(row))
    count = lengths.most_common(1)[0][0] if lengths else 0
    whole = [len(row) == count > 0 and bool(np.isfinite(row).all()) for row in rows]
    lacking = [r.file for r, is_whole in zip(found.records, whole, strict=True) if not is_whole]
    _tell(len(lacking), f"images have not all of {count} points: left out ({listing(lacking, 3)})")
    marked = {t.name for r in found.records for t in r.things if t.points is not None}
    names = [name for name in found.classes if name in marked]
    flips = found.flip_pairs or (coco.pairs_of_sides(names) if len(names) == count else ())
    made = [
        ImagePoints(FlowField(size, torch.from_numpy(row - 0.5))) if is_whole else None
        for row, size, is_whole in zip(rows, sizes, whole, strict=True)
    ]
    return made, Points(count=count, flip_pairs=flips)


def _points_of(record: Record, order: Sequence[str], several: str | None) -> np.ndarray:
    """The points (k, 2) of one image, in the order of the names of their things."""
    found = dict[str, np.ndarray]()
    for thing in record.things:
        if thing.points is None or thing.ignored:
            continue
        if thing.name in found and several is None:
            raise UsageError(
                f"{record.file} has points of {thing.name!r} several times: several='first' or "
                "'last' says which count"
            )
        if thing.name not in found or several == "last":
            found[thing.name] = thing.points
    return np.concatenate([np.zeros((0, 2)), *(found[name] for name in order if name in found)])


def tags(found: Found, sizes: list[tuple[int, int]], wanted: Wanted) -> tuple[list[Any], Any]:
    """The class of each image where it has one, else a list: its tags, or names of its objects."""
    labels = [list(record.tags) for record in found.records]
    if not any(labels):
        things = [[t.name for t in record.things if not t.ignored] for record in found.records]
        return [list(dict.fromkeys(row)) for row in things], MultiCategory(
            classes=_used(found, things)
        )
    classes = _used(found, labels)
    if any(len(row) > 1 for row in labels):
        return labels, MultiCategory(classes=classes)
    empty = [record.file for record, row in zip(found.records, labels, strict=True) if not row]
    _tell(len(empty), f"images have no class, and are left out ({listing(empty, 3)})")
    return [row[0] if row else None for row in labels], Category(classes=classes)


def _used(found: Found, labels: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The classes that occur, in the tool's order."""
    used = {name for row in labels for name in row}
    return tuple(name for name in found.classes if name in used)


def _beyond(records: Sequence[Record], sizes: Sequence[tuple[int, int]]) -> int:
    """How many things reach beyond their image."""
    count = 0
    for record, size in zip(records, sizes, strict=True):
        for thing in record.things:
            edges = thing.around()
            if edges is not None:
                low, high = np.array(edges[:2]), np.array(edges[2:])
                count += bool((low < -_ROUNDING).any() or (high > np.array(size) + _ROUNDING).any())
    return count


def _tell(count: int, what: str) -> None:
    if count:
        warn(f"{count} {what}", _LEVEL)
