"""LabelMe's JSON: a file for each image, with shapes as they were drawn."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from onecycle.runtime.inputs.pixels import open_indexes
from onecycle.vision.annotations import records
from onecycle.vision.annotations.shapes import Runs, ellipse, rectangle, runs_of
from onecycle.vision.annotations.sources import Source, read_json


def read(source: Source) -> records.Found:
    """A record for each file that has shapes, sorted by name."""
    found, names = records.Found(), set[str]()
    for file in source.files:
        content = read_json(file)
        things = list[records.Thing]()
        with records.at(file):
            if not isinstance(content, Mapping) or not isinstance(content.get("shapes"), list):
                raise records.EntryError(
                    "has no list of shapes, so that LabelMe has not written it"
                )
            place = source.images.find(content["imagePath"], file.parent)
            size = records.size_of_image(content.get("imageHeight"), content.get("imageWidth"))
            flags = content.get("flags") or {}
            tags = tuple(records.text(flag, "a flag") for flag, is_set in flags.items() if is_set)
        for i, row in enumerate(content["shapes"]):
            with records.at(f"{file}, shapes[{i}]"):
                things.append(_thing(row))
        names |= {thing.name for thing in things} | set(tags)
        if place is not None:
            found.records.append(records.Record(place, size, tuple(things), tags))
    found.classes = tuple(sorted(names))
    return found


def _thing(row: Mapping[str, Any]) -> records.Thing:
    name, places = records.text(row["label"], "its label"), row["points"]
    shape = row.get("shape_type") or "polygon"
    if shape == "polygon":
        return records.Thing(name, rings=(records.ring(places),))
    corners = records.pairs(places, "points")
    if shape in ("points", "linestrip"):
        return records.Thing(name, points=corners)
    wanted = {"rectangle": 2, "circle": 2, "line": 2, "mask": 2, "point": 1}.get(shape)
    if wanted is None:
        raise records.EntryError(f"its shape_type {shape!r:.40} is not known")
    if shape == "rectangle" and len(corners) == 4:  # newer files hold all corners
        return records.Thing(name, rings=(corners,))
    if len(corners) != wanted:
        raise records.EntryError(f"a {shape} has {wanted} points, this one {len(corners)}")
    low, high = corners.min(0), corners.max(0)
    if shape == "rectangle":
        return records.Thing(name, rings=(rectangle(*low, *high),))
    if shape == "circle":
        radius = float(np.hypot(*(corners[1] - corners[0])))
        return records.Thing(name, rings=(ellipse(corners[0], radius, radius),))
    if shape == "mask":
        return records.Thing(name, runs=_runs(row["mask"], low))
    return records.Thing(name, points=corners)


def _runs(coded: Any, corner: np.ndarray) -> Runs:
    """A PNG in base64, whose upper left pixel lies at the corner."""
    try:
        png = base64.b64decode(coded, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise records.EntryError(f"its mask is no base64 ({error})") from None
    whole = runs_of(open_indexes(png) > 0)
    top, left = (int(value) for value in np.floor(corner))
    return Runs(whole.counts, whole.size, top=top, left=left)
