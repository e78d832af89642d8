"""The columns of a table that hold the texts: joined row by row, and looked at before."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any
from warnings import warn

import numpy as np

from onecycle.core.errors import OnecycleWarning, TableError, listing
from onecycle.data.databunch import DataBunch, LabelList
from onecycle.data.tables import Column, column, column_list
from onecycle.runtime.inputs.subwords import encode_texts, marks_of, uncut
from onecycle.runtime.inputs.words import SPECIAL
from onecycle.runtime.targets.classes import is_blank
from onecycle.text.input import as_texts

_MOST_ROWS = 5  # that a warning names
TEXTS, LABELS = ("text", "texts"), ("label", "labels")


def refuse_other_column(
    frame: Any, cols: Column | Sequence[Column], names: Sequence[str], option: str
) -> None:
    """TableError where columns are counted, and another one is named after what they should hold.

    The course counts: labels in the first column, texts in the second. A table in another order
    would be read without a sound.
    """
    chosen = column_list(cols)
    if not all(isinstance(c, Integral) and c not in frame.columns for c in chosen):
        return
    taken = [frame.columns[int(c)] for c in chosen if -frame.shape[1] <= int(c) < frame.shape[1]]
    named = [c for c in frame.columns if isinstance(c, str) and c.strip().lower() in names]
    if named and not {*named} & {*taken}:
        raise TableError(
            f"{option}={cols} is the column {listing(taken)}, and there is one named {named[0]!r}: "
            f"say {option}={named[0]!r}, or the name of the other"
        )


def refuse_joined(frame: Any, file: object) -> None:
    """TableError for a table of one column that seems to be several, apart by another delimiter."""
    if frame.shape[1] > 1:
        return
    name, cells = str(frame.columns[0]), frame.iloc[:, 0]
    marks = [mark for mark in "\t;|" if mark in name] or ["\t"] * all("\t" in c for c in cells)
    if marks:
        raise TableError(
            f"{file}: the table has one column, {name!r}, which holds {marks[0]!r}: is that the "
            f"delimiter? Say delimiter={marks[0]!r}, or delimiter=',' if it is not"
        )


def texts_of(frame: Any, cols: Column | Sequence[Column]) -> list[str]:
    """The text of each row; of several columns each after `xxfld` and its number."""
    columns = [column(frame, name) for name in column_list(cols)]
    blank = [i for i, row in enumerate(zip(*columns, strict=True)) if all(map(is_blank, row))]
    if blank:
        rows = [frame.index[i] for i in blank]
        raise TableError(f"{len(blank)} texts are blank, in row(s) {listing(rows)}")
    for i, row in enumerate(zip(*columns, strict=True)):
        for cell in row:
            if isinstance(cell, bytes | list | tuple | dict | set):
                raise TableError(
                    f"row {frame.index[i]}: a {type(cell).__name__} where a text is wanted: "
                    f"{listing([cell])}"
                )
    return [
        str(row[0])
        if len(row) == 1
        else " ".join(f"xxfld {i + 1} {'' if is_blank(c) else c}" for i, c in enumerate(row))
        for row in zip(*columns, strict=True)
    ]


@dataclass
class NumberCells:
    """Cells of a column of texts that are no text but numbers, piece by piece of a table."""

    name: Column
    cells: int = 0
    odd: int = 0
    first: Any = None
    rows: list[Any] = field(default_factory=list)

    def add(self, frame: Any) -> None:
        """Count those of another piece."""
        cells = column(frame, self.name)
        odd = [i for i, cell in enumerate(cells) if _is_number(cell)]
        if odd and not self.odd:
            self.first = cells[odd[0]]
        self.rows += [frame.index[i] for i in odd[: _MOST_ROWS - len(self.rows)]]
        self.cells, self.odd = self.cells + len(cells), self.odd + len(odd)

    def warn(self, stacklevel: int) -> None:
        """A column of numbers is hardly one of texts."""
        if self.odd:
            more = f" and {self.odd - len(self.rows)} more" if self.odd > len(self.rows) else ""
            warn(
                f"{self.odd} of {self.cells} texts in column {self.name!r} are numbers, such as "
                f"{self.first} (in row(s) {listing(self.rows)}{more}), and are read as they are "
                "written: is it the right column? It is named by cols= (text_cols=)",
                OnecycleWarning,
                stacklevel=stacklevel + 1,
            )


def _is_number(cell: Any) -> bool:
    """A number, or a text that is one and nothing else; blank cells are none."""
    if not isinstance(cell, str):
        return not is_blank(cell)
    return cell.strip().removeprefix("-").replace(".", "", 1).isdecimal()


# What is to be known of texts before they are trained on, and is said once, with counts.

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
    cut = len(encode_texts(uncut(given.tokenizer), [text])[0]) - len(ids) if given.tokenizer else 0
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
