"""Texts as a model's input, as plain data: a vocabulary and how texts become its numbers."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from onecycle.core.addresses import open_binary
from onecycle.core.errors import DataError, listing
from onecycle.core.files import encoding_by_mark, write_atomically
from onecycle.core.json_text import parse_json
from onecycle.core.walk import FileKind, with_dots
from onecycle.runtime.http.body import Body, Limits, RequestError
from onecycle.runtime.inputs.subwords import (
    encode_texts,
    padding_of,
    parts_not_in_page,
    tokenizer_of,
    unknown_of,
)
from onecycle.runtime.inputs.words import PAD, SPECIAL, UNK, detokenize, tokenize
from onecycle.runtime.kinds import InputSpec, object_schema
from onecycle.runtime.sources import TEXTS, Remarks, cell

_CLOSED = {"additionalProperties": False}
_FAMILY = "text md markdown rst html htm xml tex rtf doc docx odt pdf epub eml"
FILES = FileKind("text", frozenset({".txt"}), with_dots(["", *_FAMILY.split()]))


class Vocab(tuple[str, ...]):
    """Tokens in the order of their numbers."""

    __slots__ = ()

    @property
    def itos(self) -> list[str]:
        """Number to token."""
        return list(self)

    @property
    def stoi(self) -> dict[str, int]:
        """Token to number; of tokens that occur twice (`xxfake`) the first."""
        return {token: i for i, token in reversed(list(enumerate(self)))}

    def textify(self, ids: Iterable[int]) -> str:
        """The tokens of these numbers, with spaces between."""
        return " ".join(self[int(i)] for i in ids)

    def save(self, path: str | Path) -> Path:
        """Write the tokens as a JSON list; returns the path."""
        path, content = Path(path), json.dumps(list(self), ensure_ascii=False, indent=0)

        def write(to: Path) -> None:
            to.write_text(content, encoding="utf-8")

        write_atomically(path, write)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Vocab:
        """What `save` wrote, for `vocab=`; DataError for any other file."""
        try:
            words = parse_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: no vocabulary can be read ({error})") from error
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise DataError(f"{path}: a vocabulary is a list of tokens")
        return cls(words)


def vocabulary(
    texts: Iterable[Sequence[str]], max_vocab: int = 60_000, min_freq: int = 2
) -> tuple[str, ...]:
    """The special tokens, then the commonest tokens that occur `min_freq` times or more.

    Below `max_vocab` it is filled with `xxfake` to a multiple of 8. Equal counts go by spelling.
    """
    counts: Counter[str] = Counter()
    for tokens in texts:
        counts.update(tokens)
    return commonest(counts, max_vocab, min_freq)


def commonest(
    counts: Mapping[str, int], max_vocab: int = 60_000, min_freq: int = 2
) -> tuple[str, ...]:
    """As `vocabulary`, of tokens that have been counted."""
    counts = {token: count for token, count in counts.items() if token not in SPECIAL}
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    kept = [token for token, count in ordered if count >= min_freq]
    words = [*SPECIAL, *kept][:max_vocab]
    missing = -len(words) % 8 if len(words) < max_vocab else 0
    return (*words, *["xxfake"] * missing)


@dataclass(frozen=True)
class TextSpec(InputSpec):
    """A text of any length becomes int64 ids (tokens,) of `vocab`; unknown tokens are id 0.

    `tokenizer` is a subword tokenizer's JSON, or empty for words by our rules. `backwards` texts
    are read from their end.
    """

    vocab: tuple[str, ...] = ()
    tokenizer: str = ""
    backwards: bool = False
    kind: ClassVar[str] = "text"
    tensor: ClassVar[str] = "ids"
    dtype: ClassVar[str] = "int64"
    axes: ClassVar[tuple[Any, ...]] = ("n", "t")
    files: ClassVar[FileKind] = FILES
    columns: ClassVar[tuple[str, ...]] = TEXTS
    by_file: ClassVar[bool] = False

    def prepare_reading(self) -> None:
        """Numbers of tokens, or the tokenizer."""
        if self.padding >= 0 and self.unknown >= 0:  # either raises for what it cannot find
            self.ids("")

    def array(self, source: Any, remarks: Remarks | None = None) -> np.ndarray:
        """int64 (t,) of a text (str), UTF-8 bytes or the path of a file; see `text_of`."""
        return self.ids(text_of(source))

    def group(self, item: np.ndarray) -> Any:
        """Texts whose lengths do not differ by more than a half, so that little is padded."""
        return int(np.log(max(1, len(item))) / np.log(1.5))

    def stack(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """(n, longest), padded at the end."""
        rows = np.full((len(items), max(map(len, items))), self.padding, np.int64)
        for row, item in zip(rows, items, strict=True):
            row[: len(item)] = item
        return rows

    def bodies(self, max_bytes: int, one: bool = False) -> dict[str, Any]:
        """JSON, or one text as it is."""
        text: dict[str, Any] = {"type": "string", "maxLength": max_bytes // 4}
        several = {"type": "array", "items": text, "minItems": 1, "maxItems": 16}
        shapes = [object_schema(text=text) | _CLOSED, object_schema(texts=several) | _CLOSED]
        schema = shapes[0] if one else {"oneOf": shapes}
        plain = {"text/plain": {"schema": {**text, "minLength": 1}}}
        return {"application/json": {"schema": schema}, **plain}

    def sources(self, body: Body, limits: Limits) -> list[Any]:
        """The texts of {"text": "..."} or {"texts": [...]}, or of files.

        These are in the body's charset or, where it is UTF-8, in UTF-16 with a mark, too.
        """
        found: Any = [_decode(data, body.charset) for data in body.files]
        if body.json is not None:
            keys = set(body.json)
            one = [body.json["text"]] if keys == {"text"} else None
            found = body.json["texts"] if keys == {"texts"} else one
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise RequestError(422, 'JSON is {"text": "..."} or {"texts": ["...", "..."]}')
        if len(found) > limits.items:
            raise RequestError(400, f"more than {limits.items} texts in one request")
        if any(len(text) > limits.characters for text in found):
            raise RequestError(413, f"a text has more than {limits.characters:,} characters")
        return found

    def page_fault(self) -> str | None:
        """Parts of a tokenizer that its twin in JavaScript has not, or only nearly."""
        strange = parts_not_in_page(self.tokenizer) if self.tokenizer else []
        if not strange:
            return None
        return (
            f"the page cannot split texts as this model's tokenizer does: in the browser there is "
            f"no {listing(strange)} that does exactly the same. Serve it with `onecycle serve`"
        )

    @property
    def page_scripts(self) -> tuple[str, ...]:
        return ("tokenizers.min.mjs",) if self.tokenizer else ()

    @property
    def packages(self) -> tuple[str, ...]:
        return ("tokenizers",) if self.tokenizer else ()

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Token to id; of tokens that occur twice (`xxfake`) the first.

        What fills up batches is no token of a text, whatever is written there.
        """
        found: dict[str, int] = {}
        for i, token in enumerate(self.vocab):
            found.setdefault(token, i)
        found.pop(PAD, None)
        return found

    @cached_property
    def unknown(self) -> int:
        """The id of tokens that are not in the vocabulary."""
        if not self.vocab:
            raise DataError("the texts have no vocabulary yet: label them first")
        own = unknown_of(self.tokenizer) if self.tokenizer else None
        return self.numbers.get(UNK, 0) if own is None else own

    @cached_property
    def padding(self) -> int:
        """The id that fills up a batch."""
        return padding_of(self.tokenizer) if self.tokenizer else 1

    def ids(self, text: str) -> np.ndarray:
        """The ids of a text."""
        if self.tokenizer:
            found = encode_texts(self.tokenizer, [text])[0]
        else:
            unknown, look = self.unknown, self.numbers.get
            found = np.fromiter((look(token, unknown) for token in tokenize(text)), np.int64)
        return found[::-1].copy() if self.backwards else found

    def tokens(self, ids: Iterable[Any]) -> list[str]:
        """Ids as tokens."""
        return [self.vocab[int(i)] for i in ids]

    def readable(self, ids: Iterable[Any]) -> str:
        """Ids as a text, from its beginning."""
        ids = [int(i) for i in ids]
        ids = ids[::-1] if self.backwards else ids
        if self.tokenizer:
            return str(tokenizer_of(self.tokenizer).decode(ids))
        return detokenize(self.tokens(ids))


def text_of(source: Any) -> str:
    """A str as it is, bytes and a path's content as UTF-8; what cannot be decoded as U+FFFD.

    A mark at the beginning is left out, and that of UTF-16 is followed.

    Of a row of a frame, the cell `text`, or its only one.
    """
    source = cell(source, TEXTS)
    if isinstance(source, os.PathLike):
        try:
            with open_binary(source) as file:
                source = file.read()
        except OSError as error:
            raise DataError(f"{source}: cannot be read ({error.strerror or error})") from error
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return data.decode(encoding_by_mark(data), "replace")
    if not isinstance(source, str):
        raise DataError(f"a text is a str, bytes or a path, not {type(source).__name__}")
    return source


def _decode(data: bytes, charset: str) -> str:
    """A body or an uploaded file as text; 415 for what is no charset of texts."""
    if charset.lower() in {"utf-8", "utf8"}:
        return text_of(data)
    try:
        return data.decode(charset, "replace")
    except (LookupError, ValueError):
        raise RequestError(415, f"the charset {charset[:40]!r} is not known: send UTF-8") from None
