"""Predictions and labels as a COCO file, which `from_annotations` and pycocotools read."""

import json
from collections.abc import Iterator
from pathlib import Path as PurePath
from typing import Any

import numpy as np

from onecycle.core.errors import ModelError, UsageError, warn
from onecycle.core.files import write_atomically
from onecycle.core.paths import Path
from onecycle.data.label_list import LabelList
from onecycle.learn.predictions import Predictions
from onecycle.runtime.inputs.pixels import open_size
from onecycle.runtime.kinds import Answer
from onecycle.vision.input import ImageInput

_Row = tuple[Answer, np.ndarray | None]


def to_coco(answers: Predictions | LabelList, file: str | PurePath) -> Path:
    """Write predictions (`learn.predictions()`), or the labels of a side (`data.valid_ds`).

    Masks become one object for each class in an image, with its pixels as run lengths; boxes one
    each; classes and tags become objects without a place; points one object of the category
    "points". All are in pixels of the whole images, with a `score` where they are predicted. Names
    of images are relative to the folder of their list, in which a relative `file` lies, too. Gives
    its path.
    """
    side = answers.items if isinstance(answers, Predictions) else answers
    target = answers.task.target
    images: list[dict[str, Any]] = []
    things: list[dict[str, Any]] = []
    classes = [str(name) for name in target.to_json().get("classes", ())]
    unsure = 0
    for source, (answer, scores) in zip(side.x.items, _rows(answers), strict=True):
        h, w = open_size(source)
        number = len(images) + 1
        unsure += answer.obj is None
        images.append({"id": number, "file_name": side.x.relative(source), "height": h, "width": w})
        for row in target.coco_rows(answer, scores):
            name = str(row.pop("category"))
            classes += [name] * (name not in classes)
            place = {"image_id": number, "category_id": classes.index(name) + 1, "iscrowd": 0}
            things.append({"id": len(things) + 1} | place | row)
    categories = [{"id": i, "name": name} for i, name in enumerate(classes, 1)]
    path = Path(side.x.path) / file
    _write(path, {"images": images, "annotations": things, "categories": categories})
    if unsure:
        warn(
            f'{unsure} of {len(images)} answers are "not sure", and their images have no '
            "annotation: with_threshold(None) takes what is likeliest"
        )
    return path


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        text = json.dumps(content, allow_nan=False)
    except ValueError as error:
        raise ModelError("predictions are no finite numbers: nothing is written") from error

    def write(to: PurePath) -> None:
        Path(to).write_text(text, encoding="utf-8")

    write_atomically(path, write)


def _rows(answers: Predictions | LabelList) -> Iterator[_Row]:
    """Each answer in pixels of its whole image, with the probabilities of what is predicted."""
    if isinstance(answers, Predictions):
        target, given = answers.task.target, answers.task.input
        for i, source in enumerate(answers.items.x.items):
            found = answers.predicted(i)
            placed = target.in_pixels(np.asarray(found.data), source, given)
            yield Answer(found.obj, placed, found.text), answers.probabilities[i].numpy()
        return
    if answers.labels is None:
        raise UsageError("a test set has no labels: to_coco(learn.predictions(DatasetType.Test))")
    for source, label in zip(answers.x.items, answers.labels, strict=True):
        target = answers.task.target
        y = target.encode(label)
        found = target.answer(y)
        # Labels lie over the whole image, so that no size stands between.
        yield Answer(found.obj, target.in_pixels(y, source, ImageInput()), found.text), None
