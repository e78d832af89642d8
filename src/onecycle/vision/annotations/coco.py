"""COCO's JSON: objects with polygons, run lengths, crowds, key points; names without a place."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from onecycle.vision.annotations import records
from onecycle.vision.annotations.shapes import Runs, decode_counts
from onecycle.vision.annotations.sources import Source, read_json


def read(source: Source) -> records.Found:
    """Records of the images that the file lists, in its order."""
    (file,) = source.files
    content, found = read_json(file), records.Found()
    categories = _by_id(content, "categories", "name", file)
    names = {key: str(row["name"]).strip() for key, row in categories.items()}
    with records.at(f"{file}, categories"):
        found.classes = tuple(names[key] for key in sorted(names))
        if len(set(found.classes)) < len(found.classes):
            raise records.EntryError("two categories have one name")
        found.flip_pairs = _flip_pairs(categories)
    images = _by_id(content, "images", "file_name", file)
    things: dict[Any, list[records.Thing | str]] = {key: [] for key in images}
    for i, row in enumerate(_rows(content, "annotations", file)):
        with records.at(f"{file}, annotations[{i}]"):
            image, name = _known(row, "image_id", images), _known(row, "category_id", names)
            things[row["image_id"]].append(_thing(row, name, image))
    for key, row in images.items():
        with records.at(f"{file}, image {key}"):
            place = source.images.find(row["file_name"], file.parent)
            size = records.size_of_image(row.get("height"), row.get("width"))
        if place is not None:
            shapes = tuple(thing for thing in things[key] if isinstance(thing, records.Thing))
            tags = tuple(thing for thing in things[key] if isinstance(thing, str))
            found.records.append(records.Record(place, size, shapes, tags))
    return found


def _rows(content: Any, name: str, file: object) -> list[Mapping[str, Any]]:
    with records.at(file):
        rows = content[name]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise records.EntryError(f"{name!r} is no list of objects")
    return rows


def _by_id(content: Any, name: str, title: str, file: object) -> dict[Any, Mapping[str, Any]]:
    """The rows of a list by their ids, each of which has a title."""
    known = dict[Any, Mapping[str, Any]]()
    for i, row in enumerate(_rows(content, name, file)):
        with records.at(f"{file}, {name}[{i}]"):
            key = records.whole(row["id"], "its id", 0, 2**62)
            if key in known:
                raise records.EntryError(f"two have the id {key}")
            records.text(row[title], title)
            known[key] = row
    return known


def _known(row: Mapping[str, Any], field: str, known: Mapping[Any, Any]) -> Any:
    key = row[field]
    if isinstance(key, bool) or not isinstance(key, int | float) or key not in known:
        raise records.EntryError(
            f"its {field} {key!r:.60} is none of the {len(known)} that are listed"
        )
    return known[key]


def _thing(row: Mapping[str, Any], name: str, image: Mapping[str, Any]) -> records.Thing | str:
    """An object; the name alone of what has no place in its image."""
    outline, box, points = (row.get(key) for key in ("segmentation", "bbox", "keypoints"))
    if not outline and box is None and points is None:
        return name
    rings: tuple[np.ndarray, ...] = ()
    runs = None
    if isinstance(outline, Mapping):
        runs = _runs(outline, records.size_of_image(image.get("height"), image.get("width")))
    elif outline:
        if not isinstance(outline, list):
            raise records.EntryError("its segmentation is neither polygons nor run lengths")
        rings = tuple(records.ring(corners) for corners in outline)
    crowd = records.whole(row.get("iscrowd", 0), "iscrowd", 0, 1)
    return records.Thing(
        name,
        None if box is None else _box(box),
        rings,
        runs,
        None if points is None else _points(points),
        bool(crowd or row.get("ignore")),
    )


def _box(box: Any) -> tuple[float, ...]:
    if not isinstance(box, list) or len(box) != 4:
        raise records.EntryError("its bbox is no list of x, y, width, height")
    x, y = records.number(box[0], "bbox"), records.number(box[1], "bbox")
    w, h = (
        records.number(box[2], "the width of its bbox", 0),
        records.number(box[3], "its height", 0),
    )
    return y, x, y + h, x + w


def _runs(coded: Mapping[str, Any], image: tuple[int, int] | None) -> Runs:
    h, w = (records.whole(side, "the size of its run lengths") for side in coded["size"])
    if image not in (None, (h, w)):
        raise records.EntryError(f"its run lengths are of {(h, w)} (h, w), its image is {image}")
    counts = coded["counts"]
    lengths = decode_counts(counts) if isinstance(counts, str) else np.array(counts)
    return Runs(lengths, (h, w), by_columns=True)


def _points(values: Any) -> np.ndarray:
    """(y, x) of each point, NaN where it is not marked; whole numbers there are centres."""
    if not isinstance(values, list) or len(values) % 3:
        raise records.EntryError("its keypoints are no list of x, y, visibility")
    rows = np.array([records.number(value, "a key point") for value in values]).reshape(-1, 3)
    places = records.pairs(rows[:, :2], "keypoints") + 0.5
    places[rows[:, 2] == 0] = np.nan
    return places


def _flip_pairs(categories: Mapping[Any, Mapping[str, Any]]) -> tuple[tuple[int, int], ...]:
    """Left and right of the one kind of object that has key points, by their names."""
    named = [row["keypoints"] for row in categories.values() if row.get("keypoints")]
    if len(named) != 1:
        return ()
    names = [records.text(name, "the name of a key point") for name in named[0]]
    return pairs_of_sides(names)


def pairs_of_sides(names: list[str]) -> tuple[tuple[int, int], ...]:
    """Indexes of names that differ in "left" and "right" alone."""
    places = {name.lower(): i for i, name in enumerate(names)}
    turned = (
        (i, places.get(name.replace("left", "right")))
        for name, i in places.items()
        if "left" in name
    )
    return tuple((i, other) for i, other in turned if other is not None)
