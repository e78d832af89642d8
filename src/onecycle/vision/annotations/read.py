"""From the files of a labelling tool to images and labels of an item list."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as PurePath
from typing import Any

import numpy as np

from onecycle.core.display import in_threads
from onecycle.core.errors import EmptyDataError, LabelError, UsageError, listing, warn
from onecycle.core.paths import Path
from onecycle.runtime.inputs.pixels import open_size, open_turn
from onecycle.vision.annotations import coco, cvat, labelme, labelstudio, voc, yolo
from onecycle.vision.annotations.labels import Wanted
from onecycle.vision.annotations.records import Found, Record, Thing
from onecycle.vision.annotations.sources import Images, Source, find_files

_READERS: dict[str, tuple[str, Callable[[Source], Found]]] = {
    "coco": ("COCO", coco.read),
    "voc": ("Pascal VOC", voc.read),
    "yolo": ("YOLO", yolo.read),
    "labelme": ("LabelMe", labelme.read),
    "labelstudio": ("Label Studio", labelstudio.read),
    "cvat": ("CVAT", cvat.read),
}
IGNORED_NAMES = ("ignore", "ignored", "void", "dontcare", "don't care", "unlabeled", "unlabelled")
_LEVEL = 5  # frames from here to the line that called from_annotations


@dataclass(frozen=True, eq=False)
class Labelled:
    """Files and their labels in order, the kind of label, and the folder they lie in."""

    files: list[Path]
    labels: list[Any]
    target: Any
    root: Path


Maker = Callable[[Found, list[tuple[int, int]], Wanted], tuple[list[Any], Any]]


def read_labels(wanted: Wanted, make: Maker) -> Labelled:
    """Read, match with images, look over, and make labels by `make`, None for what has none."""
    kind, files = find_files(wanted.path, wanted.format)
    images = Images.below(wanted.images or _folder(wanted.path))
    name, read = _READERS[kind]
    found = read(Source(files, images, wanted.classes, wanted.several))
    images.refuse_missing(wanted.path)
    if images.moved:
        warn(
            f"{len(images.moved)} images lie in another folder than {wanted.path} says, and were "
            f"found by their names: {listing(images.moved, 3)}. images= names their folder",
            _LEVEL - 1,
        )
    for reason, count in found.left.items():
        warn(f"{count} {reason} are not read, and left out", _LEVEL - 1)
    found = _chosen(_with_unlabelled(found, images, wanted), wanted)
    found.records, sizes = _upright(found.records)
    labels, target = make(found, sizes, wanted)
    about = _summary(found)
    kept = [i for i, label in enumerate(labels) if label is not None]
    if not kept:
        raise EmptyDataError(f"{wanted.path} has no labels for a list of this kind: {about}")
    if wanted.format is None:
        print(f"{wanted.path}: {name} (format={kind!r} says so without this line); {about}")
    files = [found.records[i].file for i in kept]
    return Labelled(files, [labels[i] for i in kept], target, images.root)


def _folder(path: Path) -> Path:
    """The folder below which the images lie: that of the file, or the one above `annotations`."""
    if path.is_dir():
        return path
    above = path.parent
    return above.parent if above.name.lower() in ("annotations", "labels") else above


def _summary(found: Found) -> str:
    things = sum(len(record.things) for record in found.records)
    tags = sum(len(record.tags) for record in found.records)
    without = sum(not (r.things or r.tags or r.mask) for r in found.records)
    return (
        f"{len(found.records)} images ({without} with nothing in them), {things} objects, {tags} "
        f"tags; classes {listing(found.classes, 8)}"
    )


def _with_unlabelled(found: Found, images: Images, wanted: Wanted) -> Found:
    """The records, and with unlabelled="keep" those of images that nobody has labelled."""
    counts = Counter(record.file for record in found.records)
    if twice := [file for file, count in counts.items() if count > 1]:
        raise LabelError(f"{len(twice)} images are labelled in several places: {listing(twice)}")
    records = [record for record in found.records if record.is_looked_at]
    if not records:
        raise EmptyDataError(f"none of {len(images.files)} images of {wanted.path} is labelled")
    others = [record.file for record in found.records if not record.is_looked_at]
    others += images.beside(counts)
    if wanted.unlabelled == "keep":
        records += [Record(file) for file in others]
    elif others and wanted.unlabelled is None:
        warn(
            f"{len(others)} images of {len(others) + len(records)} are not labelled, and left out "
            f'({listing(others, 3)}): unlabelled="drop" says so without this warning, '
            'unlabelled="keep" takes them as images with nothing in them',
            _LEVEL,
        )
    return replace(found, records=records)


def _chosen(found: Found, wanted: Wanted) -> Found:
    """With ignored things marked, and without things and tags of other classes than asked for."""

    def is_ignored(name: str) -> bool:
        return name.lower() in wanted.ignore

    asked = wanted.classes
    is_numbered = any(record.mask for record in found.records)  # by the files, not by names
    if (
        asked is not None
        and not is_numbered
        and (absent := [name for name in asked if name not in found.classes])
    ):
        known = listing(found.classes, 20)
        raise UsageError(f"classes= names {listing(absent)}, and the labels have {known}")
    names = tuple(n for n in asked or found.classes if not is_ignored(n))
    records = [
        replace(
            record,
            things=tuple(
                replace(thing, ignored=thing.ignored or is_ignored(thing.name))
                for thing in record.things
                if is_ignored(thing.name) or thing.name in names
            ),
            tags=tuple(dict.fromkeys(tag for tag in record.tags if tag in names)),
        )
        for record in found.records
    ]
    return replace(found, records=records, classes=names)


def _upright(records: Sequence[Record]) -> tuple[list[Record], list[tuple[int, int]]]:
    """Records in pixels of the upright image, and its sizes (h, w).

    Tools show images upright. Where the size that a file says is that of the image as stored, whose
    EXIF mark turns it, the tool has not, and its places are turned.
    """
    sizes = in_threads(open_size, [record.file for record in records])
    made, others, count = list[Record](), list[str](), 0
    for record, size in zip(records, sizes, strict=True):
        if record.size not in (None, size):
            turn = open_turn(record.file) if record.size == size[::-1] else 1
            if turn < 5:
                others.append(f"{record.file} ({size}, labelled at {record.size})")
            things = tuple(_turned(thing, turn, size[::-1]) for thing in record.things)
            record, count = replace(record, things=things), count + 1
        made.append(record)
    if others:
        raise LabelError(
            f"{len(others)} of {len(records)} images have another size (h, w) than when they were "
            f"labelled: {listing(others, 3)}. Give the images that were labelled, by images="
        )
    if count:
        warn(
            f"{count} images were labelled as they are stored, before their EXIF mark turns them "
            f"(the sizes say so): their labels are turned, too",
            _LEVEL,
        )
    return made, sizes


def _turned(thing: Thing, turn: int, size: tuple[int, int]) -> Thing:
    """A thing of an image of `size` (h, w) as stored, in the image that EXIF's mark 5-8 makes."""

    def move(places: np.ndarray) -> np.ndarray:
        y, x = places.T
        rows = x if turn in (5, 6) else size[1] - x
        return np.stack([rows, y if turn in (5, 8) else size[0] - y], 1)

    box = thing.around()
    if box is not None:
        corners = move(np.array(box).reshape(2, 2))
        box = (*corners.min(0).tolist(), *corners.max(0).tolist())
    points = None if thing.points is None else move(thing.points)
    rings = tuple(move(corners) for corners in thing.rings)
    runs = None if thing.runs is None else thing.runs.turned(turn, size)
    return replace(thing, box=box, rings=rings, points=points, runs=runs)


def wanted_of(
    path: str | PurePath,
    format: str | None,
    images: str | PurePath | None,
    classes: Sequence[str] | None,
    unlabelled: str | None,
    ignore: Sequence[str],
    several: str | None,
) -> Wanted:
    """The options of `from_annotations`; UsageError for those that mean nothing."""
    if unlabelled not in (None, "drop", "keep"):
        raise UsageError(f'unlabelled= is "drop" or "keep", not {unlabelled!r}')
    if several not in (None, "first", "last"):
        raise UsageError(f'several= is "first" or "last", not {several!r}')
    for option, value in (("classes", classes), ("ignore", ignore)):
        if isinstance(value, str) or not all(isinstance(name, str) for name in value or ()):
            raise UsageError(f"{option}= is a list of names, not {value!r}")
    return Wanted(
        Path(path),
        format,
        None if images is None else Path(images),
        None if classes is None else tuple(classes),
        unlabelled,
        frozenset(name.lower() for name in ignore),
        several,
    )
