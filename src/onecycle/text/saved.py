"""Data of texts that comes back from its file, without tokenizing again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from onecycle.core.errors import CheckpointError
from onecycle.core.paths import Path as ListablePath
from onecycle.data.databunch import DataBunch, LabelledItems
from onecycle.data.label_list import LabelList
from onecycle.data.task import Task
from onecycle.runtime.kinds import freeze
from onecycle.runtime.task import kind_of_target
from onecycle.text.corpus import Corpus, StoredTexts, Texts, Tokens
from onecycle.text.input import TextInput
from onecycle.text.lists import TextList, databunch_of
from onecycle.text.store import SIDES, read_data


def load_data(
    path: str | Path,
    file: str | Path = "data_save.pkl",
    bs: int | None = None,
    **options: Any,
) -> DataBunch:
    """The data that `data.save(file)` wrote below `path`, without tokenizing again.

    `options` are those of `databunch`; batch size and seed are those of the data that was saved,
    unless they are given. The file stays in use: texts are read from it. Raises CheckpointError
    for any other file; the pickles of other libraries are not opened.
    """
    file = Path(path) / file
    about, arrays, start = read_data(file)
    try:
        target = kind_of_target(about["target"]["kind"], torch=True).from_json(about["target"])
        given = TextInput.from_json(about["input"])
        labels = freeze(about["labels"])
        kept = {"bs": 64, **about.get("options", {})}
        tokens = Tokens(about["words"], arrays["tokens"], np.array(arrays["token_ends"]))
        sources = StoredTexts(file, np.array(arrays["ends"]), start)
        indexes = [np.array(arrays[name]) for name in SIDES]
        _check(file, tokens, sources, indexes, labels, target)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{file}: damaged, or written by a newer onecycle: {error}"
        ) from error
    corpus = Corpus(sources, tokens, given.tokenizer)
    task = Task(given, target)
    train, valid, test = (
        LabelList(TextList(Texts(corpus, index), ListablePath(path), given), side, task)
        for index, side in zip(indexes, labels, strict=True)
    )
    src = LabelledItems(replace(train, augment=True), valid, test if len(test) else None)
    if bs is not None:
        kept |= {"bs": bs, "val_bs": None}
    return databunch_of(src, {**kept, **options, "no_check": True})


def _check(
    file: Path,
    tokens: Tokens,
    texts: StoredTexts,
    indexes: list[np.ndarray],
    labels: Any,
    target: Any,
) -> None:
    """Raise where numbers point to what is not there, or labels are none of the target's."""
    whole = np.concatenate(indexes)
    fits = [
        all(isinstance(word, str) for word in tokens.words),
        len(labels) == len(indexes),
        all(_takes(target, label) for side in labels for label in set(side or ())),
        len(texts) == len(tokens.ends),
        not len(whole) or 0 <= whole.min() <= whole.max() < len(texts),
        all(np.all(np.diff(ends, prepend=0) >= 0) for ends in (texts.ends, tokens.ends)),
        not len(tokens.ends) or tokens.ends[-1] == len(tokens.flat),
        not len(tokens.flat) or 0 <= tokens.flat.min() <= tokens.flat.max() < len(tokens.words),
        not len(texts) or texts.start + texts.ends[-1] == file.stat().st_size,
        all(side is None or len(side) == len(i) for side, i in zip(labels, indexes, strict=True)),
    ]
    if not all(fits):
        raise CheckpointError(f"{file}: damaged: its parts do not agree")


def _takes(target: Any, label: Any) -> bool:
    """Whether a label can be encoded; KeyError and others where its class is not there."""
    return target.check(label) is None and target.encode(label) is not None
