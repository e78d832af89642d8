"""Texts as a model's input, as plain data: a vocabulary and how texts become its numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from onecycle.core.errors import DataError
from onecycle.core.files import write_atomically
from onecycle.core.walk import FileKind, with_dots
from onecycle.runtime.inputs.subwords import encoded, padding_of, tokenizer_of, unknown_of
from onecycle.runtime.inputs.words import PAD, SPECIAL, UNK, detokenize, tokenize
from onecycle.runtime.kinds import InputSpec

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

    def save(self, path: str | Path) -> Path:
        """Write the tokens as a JSON list; returns the path."""
        path, told = Path(path), json.dumps(list(self), ensure_ascii=False, indent=0)

        def write(to: Path) -> None:
            to.write_text(told, encoding="utf-8")

        write_atomically(path, write)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Vocab:
        """What `save` wrote, for `vocab=`; DataError for any other file."""
        try:
            words = json.loads(Path(path).read_text(encoding="utf-8"))
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
            found = encoded(self.tokenizer, [text])[0]
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
