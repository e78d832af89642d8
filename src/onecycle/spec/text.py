"""Texts as a model's input, as plain data: a vocabulary and how texts become its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from onecycle.core.errors import DataError
from onecycle.spec.plain import Plain
from onecycle.spec.words import SPECIAL, UNK, tokenize


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


def vocabulary(
    texts: Iterable[Sequence[str]], max_vocab: int = 60_000, min_freq: int = 2
) -> tuple[str, ...]:
    """The special tokens, then the commonest tokens that occur `min_freq` times or more.

    Below `max_vocab` it is filled with `xxfake` to a multiple of 8. Equal counts go by spelling.
    """
    counts: Counter[str] = Counter()
    for tokens in texts:
        counts.update(tokens)
    for token in SPECIAL:
        counts.pop(token, None)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    kept = [token for token, count in ordered if count >= min_freq]
    words = [*SPECIAL, *kept][:max_vocab]
    missing = -len(words) % 8 if len(words) < max_vocab else 0
    return (*words, *["xxfake"] * missing)


@dataclass(frozen=True)
class TextSpec(Plain):
    """A text of any length becomes int64 ids (tokens,) of `vocab`; unknown tokens are id 0."""

    vocab: tuple[str, ...] = ()
    kind: ClassVar[str] = "text"

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Token to id; of tokens that occur twice (`xxfake`) the first."""
        found: dict[str, int] = {}
        for i, token in enumerate(self.vocab):
            found.setdefault(token, i)
        return found

    def ids(self, text: str) -> np.ndarray:
        """The ids of a text."""
        return self.numericalize(tokenize(text))

    def numericalize(self, tokens: Iterable[str]) -> np.ndarray:
        """Tokens as int64 ids."""
        if not self.vocab:
            raise DataError("the texts have no vocabulary yet: label them first")
        unknown = self.numbers[UNK]
        look = self.numbers.get
        return np.fromiter((look(token, unknown) for token in tokens), np.int64)

    def tokens(self, ids: Iterable[Any]) -> list[str]:
        """Ids as tokens."""
        return [self.vocab[int(i)] for i in ids]
