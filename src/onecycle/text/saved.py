"""Data of texts in one file: texts, tokens and labels, which are mapped when it is opened again.

The layout is that of safetensors (a JSON header, then plain arrays), written piece by piece, so
that a corpus larger than memory can be saved; nothing is pickled, whatever the file is called.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from onecycle.core.errors import CheckpointError, UsageError
from onecycle.core.files import write_atomically
from onecycle.core.paths import Path as ListablePath
from onecycle.data.databunch import DataBunch, LabelledItems, LabelList
from onecycle.data.task import Task
from onecycle.runtime.inputs.text import text_of
from onecycle.runtime.task import kind_of_target
from onecycle.text.corpus import Corpus, StoredTexts, Texts, Tokens
from onecycle.text.input import TextInput, as_texts
from onecycle.text.lists import TextList, databunch_of

FORMAT = 1
_DTYPES = {"I64": np.int64, "I32": np.int32, "U8": np.uint8}
_SIDES = ("train", "valid", "test")
_KEPT = ("bs", "val_bs", "seed")  # options of the loaders, which `load_data` takes up


def save_data(data: DataBunch, file: str | Path) -> Path:
    """Write the data to `data.path/file`; returns the path.

    UsageError where a file of that name is there that holds anything else, which would be lost,
    or from which this data is read.
    """
    given, path = data.task.input, Path(data.path) / file
    if path.exists() and not _is_ours(path):
        raise UsageError(
            f"{path} is there, and no data that was saved here: give another name, or move it away"
        )
    sides = [getattr(data.src, name) for name in _SIDES]
    texts = [as_texts(() if side is None else side.items) for side in sides]
    if len({id(part.corpus) for part in texts if len(part)}) > 1:  # one corpus of several
        ends = np.cumsum([0, *map(len, texts)])
        whole = Corpus([source for part in texts for source in part])
        texts = [Texts(whole, np.arange(a, b)) for a, b in pairwise(ends)]
    corpus = texts[0].corpus
    if isinstance(corpus.sources, StoredTexts) and Path(corpus.sources.file) == path:
        raise UsageError(f"{path} is what this data is read from: save it under another name")
    tokens = corpus.tokens(given.tokenizer)  # type: ignore[attr-defined]
    about = {
        "format": FORMAT,
        "input": {f.name: getattr(given, f.name) for f in fields(given)},
        "target": data.task.target.to_json(),
        "labels": [None if side is None else side.labels for side in sides],
        "words": list(tokens.words),
        "options": {name: data.options[name] for name in _KEPT},
    }
    lengths = np.fromiter((len(text) for text in _encoded(corpus.sources)), np.int64)
    arrays = {name: part.rows for name, part in zip(_SIDES, texts, strict=True)}
    arrays |= {"ends": np.cumsum(lengths), "token_ends": tokens.ends, "tokens": tokens.flat}
    write_atomically(path, lambda to: _write(to, about, arrays, corpus.sources, lengths.sum()))
    return path


def _encoded(sources: Sequence[Any]) -> Iterator[bytes]:
    return (text_of(source).encode("utf-8", "replace") for source in sources)


def _write(
    path: Path, about: Any, arrays: dict[str, np.ndarray], sources: Sequence[Any], size: int
) -> None:
    """Header, arrays, and the texts at the end."""
    names = {np.dtype(kind): name for name, kind in _DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": {"onecycle_texts": json.dumps(about, default=_plain)}}
    at = 0
    for name, array in arrays.items():
        end = at + array.nbytes
        header[name] = {
            "dtype": names[array.dtype],
            "shape": [len(array)],
            "data_offsets": [at, end],
        }
        at = end
    header["texts"] = {"dtype": "U8", "shape": [int(size)], "data_offsets": [at, at + int(size)]}
    start = json.dumps(header).encode()
    start += b" " * (-len(start) % 8)
    with path.open("wb") as file:
        file.write(len(start).to_bytes(8, "little") + start)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).data)
        for text in _encoded(sources):
            file.write(text)


def _plain(value: Any) -> Any:
    """numpy's numbers and sets of tags as JSON has them."""
    return value.tolist() if hasattr(value, "tolist") else sorted(value)


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
    about, arrays, start = _read(file)
    try:
        target = _target(about["target"])
        given = TextInput(**{k: _tuple(v) for k, v in about["input"].items()})
        words, labels = about["words"], about["labels"]
        kept = {"bs": 64, **about.get("options", {})}
        tokens = Tokens(words, arrays["tokens"], np.array(arrays["token_ends"]))
        sources = StoredTexts(file, np.array(arrays["ends"]), start)
        indexes = [np.array(arrays[name]) for name in _SIDES]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{file}: damaged, or written by a newer onecycle: {error}"
        ) from error
    _check(file, tokens, sources, indexes, labels)
    corpus = Corpus(sources, tokens, given.tokenizer)
    task = Task(given, target)
    train, valid, test = (
        LabelList(
            TextList(Texts(corpus, index), ListablePath(path), given),
            None if side is None else tuple(map(_tuple, side)),
            task,
        )
        for index, side in zip(indexes, labels, strict=True)
    )
    src = LabelledItems(replace(train, augment=True), valid, test if len(test) else None)
    if bs is not None:
        kept |= {"bs": bs, "val_bs": None}
    return databunch_of(src, {**kept, **options, "no_check": True})


def _is_ours(path: Path) -> bool:
    """Whether a file is one that `save_data` wrote, damaged or not."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return b'"onecycle_texts"' in file.read(200)


def _read(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray], int]:
    """The JSON part, the arrays as maps of the file, and where the texts begin."""
    try:
        with file.open("rb") as opened:
            size = int.from_bytes(opened.read(8), "little")
            if size > file.stat().st_size:
                raise ValueError("no header")
            header = json.loads(opened.read(size))
        about = json.loads(header.pop("__metadata__")["onecycle_texts"])
        arrays = {
            name: np.memmap(
                file,
                _DTYPES[told["dtype"]],
                "r",
                8 + size + told["data_offsets"][0],
                (told["shape"][0],),
            )
            if told["shape"][0]
            else np.zeros(0, _DTYPES[told["dtype"]])
            for name, told in header.items()
        }
        start = 8 + size + header["texts"]["data_offsets"][0]
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{file}: damaged, or not written by data.save() of onecycle ({error}); pickles are "
            "not opened: make the data again from its texts, and save it"
        ) from error
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{file}: written by a newer onecycle (format {about.get('format')})")
    return about, arrays, start


def _target(told: dict[str, Any]) -> Any:
    return kind_of_target(told["kind"], torch=True).from_json(told)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check(
    file: Path, tokens: Tokens, texts: StoredTexts, indexes: list[np.ndarray], labels: Any
) -> None:
    """Raise where numbers point to what is not there."""
    whole = np.concatenate([index for index in indexes if len(index)] or [np.zeros(0, np.int64)])
    fits = [
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
