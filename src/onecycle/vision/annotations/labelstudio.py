"""Label Studio's JSON export: tasks with regions in per cent of the image, and choices."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from onecycle.core.errors import UsageError
from onecycle.core.paths import Path
from onecycle.runtime.inputs.pixels import SUFFIXES
from onecycle.vision.annotations import records
from onecycle.vision.annotations.shapes import decode_brush, ellipse, rectangle, runs_of, turned
from onecycle.vision.annotations.sources import Source, read_json

_HASH = 9  # hexadecimal digits and a dash, which an upload puts before the name of a file


def read(source: Source) -> records.Found:
    """Records of the tasks, in the file's order."""
    (file,) = source.files
    tasks, found, names = read_json(file), records.Found(), dict[str, None]()
    for i, task in enumerate(tasks):
        with records.at(f"{file}, task {i}"):
            if not isinstance(task, Mapping):
                raise records.EntryError("is no object")
            results = _results(task, source.several)
            place = _image(task, source, file.parent)
        things, tags, size = list[records.Thing](), list[str](), None
        for j, row in enumerate(results or ()):
            with records.at(f"{file}, task {i}, result {j}"):
                size = _read_result(row, things, tags, found) or size
        names |= dict.fromkeys([thing.name for thing in things] + tags)
        if place is not None:
            looked = results is not None
            found.records.append(
                records.Record(place, size, tuple(things), tuple(tags), None, looked)
            )
    found.classes = tuple(sorted(names))
    return found


def _results(task: Mapping[str, Any], several: str | None) -> Sequence[Any] | None:
    """The results of the one annotation of a task; None for a task that nobody has done."""
    rows = task.get("annotations", task.get("completions")) or []
    done = [row for row in rows if not row.get("was_cancelled")]
    if not done:
        return None
    if len(done) > 1 and several is None:
        raise UsageError(
            f"task {task.get('id')!r:.40} has {len(done)} annotations: several='first' or 'last' "
            "says which one counts"
        )
    found = done[-1 if several == "last" else 0]["result"]
    if not isinstance(found, list):
        raise records.EntryError("the result of its annotation is no list")
    return found


def _image(task: Mapping[str, Any], source: Source, near: Path) -> Path | None:
    """The image of a task, whose address in Label Studio ends with the name of its file."""
    data = task["data"]
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    named = {
        key: name
        for key, value in texts.items()
        if Path(name := _name(value)).suffix.lower() in SUFFIXES
    }
    if len(named) != 1 and "image" not in named:
        raise records.EntryError(f"its data names {len(named)} images, and one is wanted")
    name = named.get("image") or next(iter(named.values()))
    last = name.rpartition("/")[2]
    known = source.images
    is_hashed = last[_HASH - 1 : _HASH] == "-" and last not in known and last[_HASH:] in known
    is_address = texts[next(k for k in named if named[k] == name)] != name
    short = last[_HASH:] if is_hashed else last
    return source.images.find(short if is_hashed or is_address else name, near)


def _name(address: str) -> str:
    """The path in an address: of a store, of local files (`?d=`), or of an upload."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    inside = parse_qs(parts.query).get("d")
    if inside:
        return unquote(inside[0])
    return unquote(parts.path) if parts.scheme or address.startswith("/") else address


def _read_result(
    row: Mapping[str, Any], things: list[records.Thing], tags: list[str], found: records.Found
) -> tuple[int, int] | None:
    """Add a region or a choice; the size of the image, where it is said."""
    kind, value = row["type"], row["value"]
    if kind == "choices":
        tags += [records.text(choice, "a choice") for choice in value["choices"]]
        return None
    if kind not in (
        "rectanglelabels",
        "polygonlabels",
        "brushlabels",
        "ellipselabels",
        "keypointlabels",
    ):
        found.leave(f"results of the type {kind!r:.40} (a name for a region comes with its tool)")
        return None
    names = value[kind]
    if not isinstance(names, list) or len(names) != 1:
        raise records.EntryError(f"it has {names!r:.60} as its labels, and one is wanted")
    if row.get("image_rotation"):
        raise records.EntryError(
            "its image was turned in Label Studio, which is not read: turn it back there"
        )
    size = (
        records.whole(row["original_height"], "original_height", 1),
        records.whole(row["original_width"], "original_width", 1),
    )
    things.append(_thing(kind, value, records.text(names[0], "its label"), size))
    return size


def _thing(kind: str, value: Mapping[str, Any], name: str, size: tuple[int, int]) -> records.Thing:
    scale = np.array(size) / 100
    if kind == "brushlabels":
        if value.get("format", "rle") != "rle":
            raise records.EntryError("its brush has another format than rle")
        return records.Thing(name, runs=runs_of(decode_brush(value["rle"], size)))
    if kind == "polygonlabels":
        return records.Thing(name, rings=(records.ring(value["points"]) * scale,))
    place = (
        records.pairs(
            [records.number(value["x"], "x"), records.number(value["y"], "y")], "its place"
        )[0]
        * scale
    )
    if kind == "keypointlabels":
        return records.Thing(name, points=place[None])
    angle = records.number(value.get("rotation", 0), "rotation")
    sides = ("radiusY", "radiusX") if kind == "ellipselabels" else ("height", "width")
    h, w = np.array([records.number(value[side], side, 0) for side in sides]) * scale
    if kind == "ellipselabels":
        corners = ellipse(place, h, w)
    else:
        top, left = place.tolist()
        corners = rectangle(top, left, top + h, left + w)
    return records.Thing(name, rings=(turned(corners, angle, place),))
