"""Texts, labels and vocabulary in one JSON file, so that they are found again as they were."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path as PurePath
from typing import Any

from onecycle.core.errors import DataError, UsageError
from onecycle.core.files import write_atomically
from onecycle.core.paths import Path
from onecycle.data.databunch import DataBunch
from onecycle.data.labelled import LabelledItems, LabelList
from onecycle.data.targets import Category, MultiCategory, Numbers
from onecycle.data.task import Task
from onecycle.text.input import TextInput
from onecycle.text.lists import TextList
from onecycle.text.targets import NextToken

VERSION = 1
_TARGETS: dict[str, Any] = {t.kind: t for t in (Category, MultiCategory, Numbers, NextToken)}
_OPTIONS = ("max_vocab", "min_freq", "stream", "bptt")


def save_data(data: DataBunch, file: str | PurePath) -> Path:
    """Write texts, labels and vocabulary to `data.path/file`: JSON, whatever the name ends with."""
    given: Any = data.task.input
    sides = {"train": data.src.train, "valid": data.src.valid, "test": data.src.test}
    body = {
        "input": given.to_json() | {name: getattr(given, name) for name in _OPTIONS},
        "target": data.task.target.to_json(),
        "sides": {name: _packed(side) for name, side in sides.items() if side is not None},
        "bs": data.options["bs"],
    }
    text = json.dumps(body)
    about = {"format": "onecycle-texts", "version": VERSION, "sha256": _digest(text)}
    path = Path(data.path) / file
    write_atomically(path, lambda to: _write(to, f"{json.dumps(about)}\n{text}\n"))
    return path


def load_data(
    path: str | PurePath, file: str | PurePath = "data_save.pkl", **options: Any
) -> DataBunch:
    """The DataBunch that `data.save(file)` wrote into `path`; `options` are those of `databunch`.

    Raises DataError for a file that is missing, damaged, or of another kind (a pickle, say).
    """
    where = Path(path) / file
    try:
        first, _, text = where.read_text(encoding="utf-8").partition("\n")
        about = json.loads(first)
        sound = about["format"] == "onecycle-texts" and about["sha256"] == _digest(text.strip("\n"))
        if not sound or about["version"] > VERSION:
            raise ValueError("its digest or version differs")
        body = json.loads(text)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where}: not texts that data.save() wrote ({error}). Pickles are not read: make the "
            "data anew and save it"
        ) from error
    given = TextInput.from_json(body["input"])
    target = _TARGETS[body["target"]["kind"]].from_json(body["target"])
    task = Task(given, target)
    sides = {name: _unpacked(side, path, task) for name, side in body["sides"].items()}
    src = LabelledItems(sides["train"], sides["valid"], sides.get("test"))
    return src.databunch(path, **{"bs": body["bs"], **options})


def _packed(side: LabelList) -> dict[str, Any]:
    read = side.task.input.text_of  # type: ignore[attr-defined]
    texts = [read(item) for item in side.items]
    try:
        labels = None if side.labels is None else json.loads(json.dumps(side.labels))
    except TypeError as error:
        raise UsageError(f"only labels of words and numbers can be saved: {error}") from error
    return {"texts": texts, "labels": labels, "augment": side.augment}


def _unpacked(side: dict[str, Any], path: str | PurePath, task: Task) -> LabelList:
    items = TextList(tuple(side["texts"]), Path(path), task.input)
    labels = None if side["labels"] is None else tuple(side["labels"])
    return LabelList(items, labels, task, side["augment"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write(to: PurePath, text: str) -> None:
    to.write_text(text, encoding="utf-8")
