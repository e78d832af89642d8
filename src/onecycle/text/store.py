"""Data of texts in one file: texts, tokens and labels, which are mapped when it is read.

The layout is that of safetensors (a JSON header, then plain arrays), written piece by piece, so
that a corpus larger than memory can be saved; nothing is pickled, whatever the file is called.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from onecycle.core.errors import CheckpointError, UsageError
from onecycle.core.files import write_atomically
from onecycle.core.json_text import parse_json
from onecycle.data.databunch import DataBunch
from onecycle.runtime.inputs.text import text_of
from onecycle.text.corpus import Corpus, StoredTexts, Texts

FORMAT = 1
SIDES = ("train", "valid", "test")
_KEY = "onecycle_texts"
_DTYPES = {"I64": np.int64, "I32": np.int32, "U8": np.uint8}
_KEPT = ("bs", "val_bs", "seed")  # options of the loaders, which `load_data` takes up


def save_data(data: DataBunch, file: str | Path) -> Path:
    """Write the data to `data.path/file`; returns the path.

    UsageError where a file of that name is there that holds anything else, which would be lost,
    or from which this data is read.
    """
    given: Any = data.task.input
    path = Path(data.path) / file
    if path.exists() and not _is_ours(path):
        raise UsageError(
            f"{path} is there, and no data that was saved here: give another name, or move it away"
        )
    sides = [data.src.train, data.src.valid, data.src.test]
    texts = [Texts.of(() if side is None else side.items) for side in sides]
    if len({id(part.corpus) for part in texts if len(part)}) > 1:  # one corpus of several
        ends = np.cumsum([0, *map(len, texts)])
        whole = Corpus([source for part in texts for source in part])
        texts = [Texts(whole, np.arange(a, b)) for a, b in pairwise(ends)]
    corpus = texts[0].corpus
    if isinstance(corpus.sources, StoredTexts) and Path(corpus.sources.file) == path:
        raise UsageError(f"{path} is what this data is read from: save it under another name")
    tokens = corpus.tokens(given.tokenizer)
    about = {
        "format": FORMAT,
        "input": {f.name: getattr(given, f.name) for f in fields(given)},
        "target": data.task.target.to_json(),
        "labels": [None if side is None else side.labels for side in sides],
        "words": list(tokens.words),
        "options": {name: data.options[name] for name in _KEPT},
    }
    lengths = np.fromiter((len(text) for text in _encode(corpus.sources)), np.int64)
    arrays = {name: part.rows for name, part in zip(SIDES, texts, strict=True)}
    arrays |= {"ends": np.cumsum(lengths), "token_ends": tokens.ends, "tokens": tokens.flat}
    header = _header(about, arrays, int(lengths.sum()))
    write_atomically(path, lambda to: _write(to, header, arrays, corpus.sources))
    return path


def _encode(sources: Sequence[Any]) -> Iterator[bytes]:
    return (text_of(source).encode("utf-8", "replace") for source in sources)


def _header(about: Any, arrays: Mapping[str, np.ndarray], size: int) -> bytes:
    """The JSON part with its length: what it is, and where each array lies; texts are the last."""
    names = {np.dtype(kind): name for name, kind in _DTYPES.items()}
    parts = [(name, names[x.dtype], len(x), x.nbytes) for name, x in arrays.items()]
    header: dict[str, Any] = {"__metadata__": {_KEY: json.dumps(about, default=_plain)}}
    at = 0
    for name, dtype, count, nbytes in [*parts, ("texts", "U8", size, size)]:
        header[name] = {"dtype": dtype, "shape": [count], "data_offsets": [at, at + nbytes]}
        at += nbytes
    start = json.dumps(header).encode()
    start += b" " * (-len(start) % 8)
    return len(start).to_bytes(8, "little") + start


def _plain(value: Any) -> Any:
    """numpy's numbers and sets of tags as JSON has them."""
    return value.tolist() if hasattr(value, "tolist") else sorted(value)


def _write(
    path: Path, header: bytes, arrays: Mapping[str, np.ndarray], sources: Sequence[Any]
) -> None:
    with path.open("wb") as file:
        file.write(header)
        file.writelines(np.ascontiguousarray(array).data for array in arrays.values())
        file.writelines(_encode(sources))


def _is_ours(path: Path) -> bool:
    """Whether a file is one that `save_data` wrote, damaged or not."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return f'"{_KEY}"'.encode() in file.read(200)


def read_data(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray], int]:
    """The JSON part, the arrays as maps of the file, and where the texts begin.

    Raises CheckpointError for other files.
    """
    try:
        whole = np.memmap(file, np.uint8, "r")
        start = 8 + int.from_bytes(whole[:8].tobytes(), "little")
        if start > len(whole):
            raise ValueError("no header")
        header = parse_json(whole[8:start].tobytes())
        about = parse_json(header.pop("__metadata__")[_KEY])
        arrays = {
            name: whole[slice(*(start + at for at in entry["data_offsets"]))].view(
                _DTYPES[entry["dtype"]]
            )
            for name, entry in header.items()
        }
        start += header["texts"]["data_offsets"][0]
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
