"""YOLO's text files: a line for each object, shares of the image's size; the names in data.yaml."""

from typing import Any

import numpy as np

from onecycle.core.display import in_threads
from onecycle.core.errors import LabelError, UsageError
from onecycle.core.paths import Path
from onecycle.runtime.inputs.pixels import open_size
from onecycle.vision.annotations import records
from onecycle.vision.annotations.sources import Source, read_text, read_yaml

_FARTHEST = 10.0  # shares of a side; what is beyond are pixels, or nothing at all


def read(source: Source) -> records.Found:
    """A record for each image; one without a file of its own nobody has looked at."""
    (file,) = source.files
    about = _about(file)
    names = _names(file, about, source.classes)
    found = records.Found(classes=tuple(names))
    with records.at(file):
        shape = _key_points(about)
        found.flip_pairs = _flip_pairs(about.get("flip_idx"), shape[0])
    labels = {image: rows for image in source.images.files if (rows := _labels_of(image))}
    sizes = dict(zip(labels, in_threads(open_size, list(labels)), strict=True))
    for image in source.images.files:
        things = []
        lines = read_text(labels[image]).splitlines() if image in labels else []
        for i, line in enumerate(lines, 1):
            if line.strip():
                with records.at(f"{labels[image]}, line {i}"):
                    things.append(_thing(line.split(), names, shape, sizes[image]))
        made = records.Record(image, None, tuple(things), is_looked_at=image in labels)
        found.records.append(made)
    known = {*labels.values()}
    for folder in {label.parent for label in known}:
        for other in sorted(folder.glob("*.txt")):
            if other not in known and other.name not in ("classes.txt", "labels.txt"):
                source.images.missing.append(f"{other} (its image)")
    return found


def _about(file: Path) -> dict[str, Any]:
    if file.suffix.lower() not in {".yaml", ".yml"}:
        return {}
    about = read_yaml(file)
    if not isinstance(about, dict):
        raise LabelError(f"{file}: is no YAML of names and values")
    return about


def _names(file: Path, about: dict[str, Any], asked: tuple[str, ...] | None) -> list[str]:
    """The names of classes 0, 1, ...: of data.yaml, of a list of names, or those asked for."""
    if file.suffix == ".txt" and file.parent.name == "labels" and file.name != "classes.txt":
        if asked is None:
            raise UsageError(
                f"the classes of {file.parent} are numbers, and no data.yaml or classes.txt names "
                "them: classes= gives the names of 0, 1, ... in this order"
            )
        return list(asked)
    if not about:
        return [line.strip() for line in read_text(file).splitlines() if line.strip()]
    with records.at(file):
        names = about["names"]
        if isinstance(names, dict):
            if sorted(names) != list(range(len(names))):
                raise records.EntryError("its names do not stand at the numbers 0, 1, ...")
            names = [names[i] for i in range(len(names))]
        if not isinstance(names, list) or not names:
            raise records.EntryError("its names are no list")
        return [records.text(name, "a name") for name in names]


def _key_points(about: dict[str, Any]) -> tuple[int, int]:
    """How many points an object has, and numbers each; (0, 0) without."""
    shape = about.get("kpt_shape")
    if shape is None:
        return 0, 0
    if not isinstance(shape, list) or len(shape) != 2 or shape[1] not in (2, 3):
        raise records.EntryError("kpt_shape is no pair of how many points, and 2 or 3 numbers each")
    return records.whole(shape[0], "kpt_shape", 1, 100_000), int(shape[1])


def _flip_pairs(order: Any, count: int) -> tuple[tuple[int, int], ...]:
    if order is None:
        return ()
    if not isinstance(order, list) or sorted(map(str, order)) != sorted(map(str, range(count))):
        raise records.EntryError(f"flip_idx is no order of the {count} points")
    return tuple((i, other) for i, other in enumerate(order) if i < other and order[other] == i)


def _labels_of(image: Path) -> Path | None:
    """The file of an image: in `labels` where it lies in `images`, or beside it."""
    parts = list(image.with_suffix(".txt").parts)
    turned = [i for i, part in enumerate(parts) if part == "images"]
    if turned:
        parts[turned[-1]] = "labels"
    file = Path(*parts)
    return file if file.is_file() else None


def _thing(
    row: list[str], names: list[str], shape: tuple[int, int], size: tuple[int, int]
) -> records.Thing:
    """A box (5 numbers), a box with points (as many as data.yaml says), or a polygon."""
    which = records.whole(row[0], "its class")
    if which >= len(names):
        raise records.EntryError(
            f"its class is {which}, and there are names for 0-{len(names) - 1}"
        )
    values = [records.number(value, "a share", -_FARTHEST, _FARTHEST) for value in row[1:]]
    h, w = size
    count, each = shape
    if len(values) != 4 + count * each or len(values) < 4:
        if count or len(values) < 6 or len(values) % 2:
            raise records.EntryError(_strange(len(row), shape))
        corners = np.array(values).reshape(-1, 2)[:, ::-1] * size
        return records.Thing(names[which], rings=(corners,))
    x, y, width, height = values[:4]
    if width < 0 or height < 0:
        raise records.EntryError("the width or height of its box is below 0")
    sides = (y - height / 2) * h, (x - width / 2) * w, (y + height / 2) * h, (x + width / 2) * w
    points = None
    if count:
        rows = np.array(values[4:]).reshape(count, each)
        points = rows[:, 1::-1] * size
        hidden = rows[:, 2] == 0 if each == 3 else (rows == 0).all(1)
        points[hidden] = np.nan
    return records.Thing(names[which], sides, points=points)


def _strange(length: int, shape: tuple[int, int]) -> str:
    if shape[0]:
        return (
            f"it has {length} numbers, and kpt_shape {list(shape)} wants {5 + shape[0] * shape[1]}"
        )
    more = ": a prediction with its confidence is no label" * (length == 6)
    return (
        f"it has {length} numbers{more}; a box has 5, a polygon 7, 9, 11, ..., and points need "
        "kpt_shape in data.yaml"
    )
