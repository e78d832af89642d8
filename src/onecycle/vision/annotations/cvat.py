"""CVAT's XML (CVAT for images 1.1): boxes, polygons, polylines, points, masks, tags."""

from xml.etree.ElementTree import Element

import numpy as np

from onecycle.core.errors import LabelError
from onecycle.vision.annotations import records
from onecycle.vision.annotations.shapes import Runs, ellipse, rectangle, turned
from onecycle.vision.annotations.sources import Source, read_xml


def read(source: Source) -> records.Found:
    """Records of the images of all files, in their order."""
    found, names = records.Found(), dict[str, None]()
    for file in source.files:
        root = read_xml(file)
        if root.find("track") is not None:
            raise LabelError(f"{file}: is of a video: export it as 'CVAT for images 1.1'")
        listed = [label.findtext("name") for label in root.iter("label")]
        names |= dict.fromkeys(name.strip() for name in listed if name and name.strip())
        for i, image in enumerate(root.findall("image")):
            with records.at(f"{file}, image {i + 1}"):
                place = source.images.find(image.get("name"), file.parent)
                size = records.size_of_image(image.get("height"), image.get("width"))
                things, tags = list[records.Thing](), list[str]()
                for row in image:
                    _read_shape(row, things, tags, found)
            names |= dict.fromkeys([thing.name for thing in things] + tags)
            if place is not None:
                found.records.append(records.Record(place, size, tuple(things), tuple(tags)))
    found.classes = tuple(names)
    return found


def _read_shape(
    row: Element, things: list[records.Thing], tags: list[str], found: records.Found
) -> None:
    if row.tag == "tag":
        tags.append(records.text(row.get("label"), "the label of a tag"))
    elif row.tag in ("box", "polygon", "polyline", "points", "mask", "ellipse", "skeleton"):
        name = records.text(row.get("label"), f"the label of a {row.tag}")
        level = records.number(row.get("z_order", 0), "z_order")
        things.append(_thing(row, name, level))
    else:
        found.leave(f"shapes of the kind <{row.tag[:40]}>")


def _thing(row: Element, name: str, level: float) -> records.Thing:
    if row.tag == "polygon":
        return records.Thing(name, rings=(records.ring(_places(row)),), level=level)
    if row.tag in ("polyline", "points"):
        return records.Thing(name, points=records.pairs(_places(row), "points"), level=level)
    if row.tag == "mask":
        return records.Thing(name, runs=_runs(row), level=level)
    if row.tag == "skeleton":
        return records.Thing(name, points=_skeleton(row), level=level)
    angle = records.number(row.get("rotation", 0), "rotation")
    if row.tag == "ellipse":
        y, x, height, width = (
            records.number(row.get(key), key) for key in ("cy", "cx", "ry", "rx")
        )
        return records.Thing(
            name, rings=(turned(ellipse((y, x), height, width), angle, (y, x)),), level=level
        )
    top, left, bottom, right = (records.number(row.get(k), k) for k in ("ytl", "xtl", "ybr", "xbr"))
    corners = rectangle(top, left, bottom, right)
    return records.Thing(name, rings=(turned(corners, angle, corners.mean(0)),), level=level)


def _places(row: Element) -> list[list[str]]:
    """Pairs "x,y" apart by semicolons."""
    places = [place.split(",") for place in row.attrib["points"].split(";") if place.strip()]
    if any(len(place) != 2 for place in places):
        raise records.EntryError(f"the points of a {row.tag} are no pairs x,y apart by semicolons")
    return places


def _runs(row: Element) -> Runs:
    """Lengths along the rows of a window, the first one without the thing."""
    top, left, height, width = (
        records.whole(row.get(key), key) for key in ("top", "left", "height", "width")
    )
    lengths = [records.whole(length, "a run length") for length in row.attrib["rle"].split(",")]
    return Runs(np.array(lengths, np.int64), (height, width), top=top, left=left)


def _skeleton(row: Element) -> np.ndarray:
    """The points of its joints, in the order of their labels; NaN for those outside."""
    joints = sorted(row.findall("points"), key=lambda joint: joint.get("label") or "")
    if not joints:
        raise records.EntryError("a skeleton has no points")
    places = np.concatenate([records.pairs(_places(joint)[:1], "points") for joint in joints])
    places[[joint.get("outside") == "1" for joint in joints]] = np.nan
    return places
