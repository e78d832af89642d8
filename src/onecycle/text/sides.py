"""What is to be known of texts before they are trained on, and is said once, with counts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from warnings import warn

import numpy as np

from onecycle.core.errors import OnecycleWarning, listing
from onecycle.data.databunch import DataBunch
from onecycle.data.labelled import LabelList
from onecycle.spec.subwords import encoded, marks_of, uncut
from onecycle.spec.words import SPECIAL
from onecycle.text.input import as_texts

_MUCH, _FEW = 0.1, 10  # share and number of a side's words that may be unknown in silence
_MARKS = 4  # tokens of a text that may hold no word


def warn_of_texts(train: LabelList, valid: LabelList) -> None:
    """Say which texts hold no word, and how much of each side the vocabulary does not hold."""
    sides = {"training": train, "validation": valid}
    _warn_of_wordless(sides)
    _warn_of_unknown(sides)


def _warn_of_wordless(sides: Mapping[str, LabelList]) -> None:
    """Count the texts of which nothing is left but marks and line ends, and say where they are."""
    count, places = 0, list[Any]()
    for name, side in sides.items():
        given: Any = side.task.input
        marks = {*(marks_of(given.tokenizer) if given.tokenizer else SPECIAL), "\n"}
        texts = as_texts(side.items)
        tokens = texts.corpus.tokens(given.tokenizer)
        says = np.array([word not in marks for word in tokens.words], bool)
        short = np.flatnonzero(tokens.lengths[texts.rows] <= _MARKS)
        empty = [int(i) for i in short if not says[tokens.of(int(texts.rows[i]))].any()]
        count += len(empty)
        places += [_place(side, name, i) for i in empty]
    if count:
        warn(
            f"{count} of {sum(map(len, sides.values()))} texts hold no word: {listing(places)}. "
            "They are kept: leave them out of the table or the folder if they say nothing",
            OnecycleWarning,
            stacklevel=5,
        )


def _place(side: LabelList, name: str, i: int) -> str:
    """The file of a text, or its row."""
    if isinstance(side.items[i], os.PathLike):
        return str(side.items[i])
    frame = side.x.inner_df
    return f"{name} text {i}" if frame is None else f"row {frame.index[i]}"


def _warn_of_unknown(sides: Mapping[str, LabelList]) -> None:
    """Say which share of each side's words the vocabulary does not hold, where it is large."""
    given: Any = sides["training"].task.input
    told, lost = [], dict[str, int]()
    for name, side in sides.items():
        counts = as_texts(side.items).counts(given.tokenizer)
        unknown, total = unknown_of(counts, given.numbers, given.unknown)
        if sum(unknown.values()) >= max(_FEW, _MUCH * total):
            told.append(f"{sum(unknown.values()) / total:.0%} of the {total:,} words of {name}")
            for token, n in unknown.items():
                lost[token] = lost.get(token, 0) + n
    if told:
        most = sorted(lost, key=lambda token: -lost[token])
        mend = (
            "the tokenizer was made for other texts: train one on these (train_subwords)"
            if given.tokenizer
            else "lower min_freq=, raise max_vocab=, or train a tokenizer of parts of words "
            "(train_subwords); where vocab= was given, it is of other texts"
        )
        warn(
            f"{' and '.join(told)} are not in the vocabulary of {len(given.vocab):,} tokens, and "
            f"all read as the same unknown one ({listing(most, 3)}): {mend}",
            OnecycleWarning,
            stacklevel=5,
        )


def unknown_of(
    counts: Mapping[str, int], numbers: Mapping[str, int], unknown: int
) -> tuple[dict[str, int], int]:
    """The counted words without a number of their own; and how many words there are in all."""
    words = {token: n for token, n in counts.items() if token not in SPECIAL or token == SPECIAL[0]}
    lost = {token: n for token, n in words.items() if numbers.get(token, unknown) == unknown}
    return lost, sum(words.values())


def warn_of_text(given: Any, text: str) -> None:
    """Say where a single text holds no word of the vocabulary, or more than is read of it."""
    ids = given.ids(text)
    marks = {*SPECIAL, "\n", *(marks_of(given.tokenizer) if given.tokenizer else ())}
    known = [given.vocab[i] for i in ids if i not in (given.unknown, given.padding)]
    if marks.issuperset(known):
        warn(
            f"{listing([text[:80]])} holds no word of the model's vocabulary: the answer is the "
            "same for all such texts",
            OnecycleWarning,
            stacklevel=3,
        )
    cut = len(encoded(uncut(given.tokenizer), [text])[0]) - len(ids) if given.tokenizer else 0
    if cut:
        warn(
            f"the model reads {len(ids)} tokens of a text, and {cut} more of this one are cut off",
            OnecycleWarning,
            stacklevel=3,
        )


def warn_of_long(data: DataBunch, limit: int, what: str) -> None:
    """Say how many texts have more tokens than `limit`, and what becomes of them."""
    lengths = _lengths(data)
    long = int((lengths > limit).sum())
    if long:
        warn(
            f"{long} of {len(lengths)} texts have more than max_len={limit} tokens (up to "
            f"{int(lengths.max())}): {what}; max_len= decides",
            OnecycleWarning,
            stacklevel=3,
        )


def _lengths(data: DataBunch) -> np.ndarray:
    """Tokens of each text of all sides."""
    given: Any = data.task.input
    sides = [side for side in (data.src.train, data.src.valid, data.src.test) if side is not None]
    return np.concatenate([given.numbered(side.items).lengths for side in sides])
