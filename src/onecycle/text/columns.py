"""The columns of a table that hold the texts, and what is to be known of texts beforehand."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from onecycle.core.errors import TableError, listing, warn
from onecycle.data.databunch import DataBunch
from onecycle.data.label_list import LabelList
from onecycle.data.tables import Column, column, column_list
from onecycle.runtime.inputs.subwords import encode_texts, marks_of, uncut
from onecycle.runtime.inputs.words import SPECIAL
from onecycle.runtime.targets.category import is_blank
from onecycle.text.corpus import Texts

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
    refuse_other_column(frame, cols, TEXTS, "cols")
    rows = list(zip(*(column(frame, name) for name in column_list(cols)), strict=True))
    blank = [where for where, row in zip(frame.index, rows, strict=True) if all(map(is_blank, row))]
    if blank:
        raise TableError(f"{len(blank)} texts are blank, in row(s) {listing(blank)}")
    for where, row in zip(frame.index, rows, strict=True):
        for cell in row:
            if isinstance(cell, bytes | list | tuple | dict | set):
                kind = type(cell).__name__
                raise TableError(f"row {where}: a {kind} where a text is wanted: {listing([cell])}")
    if len(rows[0]) == 1:
        return [str(cell) for (cell,) in rows]
    cells = [["" if is_blank(cell) else cell for cell in row] for row in rows]
    return [" ".join(f"xxfld {i + 1} {cell}" for i, cell in enumerate(row)) for row in cells]


class NumberCells:
    """Cells of columns of texts that are no text but numbers, piece by piece of a table."""

    def __init__(self) -> None:
        self.count, self.odd = 0, dict[Column, list[tuple[Any, Any]]]()  # (row, cell) of columns

    def add(self, frame: Any, cols: Column | Sequence[Column]) -> None:
        """Count those of another piece."""
        self.count += len(frame)
        for name in column_list(cols):
            cells = zip(frame.index, column(frame, name), strict=True)
            self.odd.setdefault(name, []).extend(pair for pair in cells if _is_number(pair[1]))

    def warn(self, stacklevel: int) -> None:
        """A column of numbers is hardly one of texts."""
        for name, odd in self.odd.items():
            if odd:
                message = (
                    f"{len(odd)} of {self.count} texts in column {name!r} are numbers, such as "
                    f"{odd[0][1]} (in row(s) {listing(row for row, _ in odd)}), and are read as "
                    "they are written: is it the right column? It is named by cols= (text_cols=)"
                )
                warn(message, stacklevel + 1)


def _is_number(cell: Any) -> bool:
    """A number, or a text that is one and nothing else; blank cells are none."""
    if not isinstance(cell, str):
        return not is_blank(cell)
    return cell.strip().removeprefix("-").replace(".", "", 1).isdecimal()


# What is to be known of texts before they are trained on: one warning each, with counts.

_MUCH, _FEW = 0.1, 10  # share and number of a side's words that may be unknown in silence
_MARKS = 4  # tokens of a text that may hold no word


def warn_of_texts(train: LabelList, valid: LabelList) -> None:
    """Say which texts hold no word, and how much of each side the vocabulary does not hold."""
    sides = {"training": train, "validation": valid}
    _warn_of_wordless(sides)
    _warn_of_unknown(sides, train.task.input)


def _warn_of_wordless(sides: Mapping[str, LabelList]) -> None:
    """Count the texts of which nothing is left but marks and line ends, and say where they are."""
    places = list[str]()
    for name, side in sides.items():
        given: Any = side.task.input
        marks = {*(marks_of(given.tokenizer) if given.tokenizer else SPECIAL), "\n"}
        texts = Texts.of(side.items)
        tokens = texts.corpus.tokens(given.tokenizer)
        says = np.array([word not in marks for word in tokens.words], bool)
        short = np.flatnonzero(tokens.lengths[texts.rows] <= _MARKS)
        empty = [int(i) for i in short if not says[tokens.of(int(texts.rows[i]))].any()]
        places += [_place(side, name, i) for i in empty]
    if places:
        message = (
            f"{len(places)} of {sum(map(len, sides.values()))} texts hold no word: "
            f"{listing(places)}. They are kept: leave them out of the table or the folder if they "
            "say nothing"
        )
        warn(message, 5)


def _place(side: LabelList, name: str, i: int) -> str:
    """The file of a text, or its row."""
    if isinstance(side.items[i], os.PathLike):
        return str(side.items[i])
    frame = side.x.inner_df
    return f"{name} text {i}" if frame is None else f"row {frame.index[i]}"


def _warn_of_unknown(sides: Mapping[str, LabelList], given: Any) -> None:
    """Say which share of each side's words the vocabulary does not hold, where it is large."""
    shares, lost, look, none = list[str](), Counter[str](), given.numbers.get, given.unknown
    for name, side in sides.items():
        counts = Texts.of(side.items).counts(given.tokenizer)
        words = {token: n for token, n in counts.items() if token not in SPECIAL[1:]}
        unknown = Counter({t: n for t, n in words.items() if look(t, none) == none})
        count, total = unknown.total(), sum(words.values())
        if count >= max(_FEW, _MUCH * total):
            shares.append(f"{count / total:.0%} of the {total:,} words of {name}")
            lost += unknown
    if shares:
        mend = (
            "the tokenizer was made for other texts: train one on these (train_subwords)"
            if given.tokenizer
            else "lower min_freq=, raise max_vocab=, or train a tokenizer of parts of words "
            "(train_subwords); where vocab= was given, it is of other texts"
        )
        most = dict(lost.most_common())
        message = (
            f"{' and '.join(shares)} are not in the vocabulary of {len(given.vocab):,} tokens, and "
            f"all read as the same unknown one ({listing(most, 3)}): {mend}"
        )
        warn(message, 5)


def warn_of_text(given: Any, text: str, stacklevel: int = 3) -> None:
    """Say where a single text holds no word of the vocabulary, or more than is read of it."""
    ids = given.ids(text)
    marks = {*SPECIAL, "\n", *(marks_of(given.tokenizer) if given.tokenizer else ())}
    known = [given.vocab[i] for i in ids if i not in (given.unknown, given.padding)]
    if marks.issuperset(known):
        message = (
            f"{listing([text[:80]])} holds no word of the model's vocabulary: the answer is the "
            "same for all such texts"
        )
        warn(message, stacklevel)
    cut = len(encode_texts(uncut(given.tokenizer), [text])[0]) - len(ids) if given.tokenizer else 0
    if cut:
        message = (
            f"the model reads {len(ids)} tokens of a text, and {cut} more of this one are cut off"
        )
        warn(message, stacklevel)


def sides_of(data: DataBunch) -> list[LabelList]:
    """Training, validation and test set, where there are such."""
    sides = (data.src.train, data.src.valid, data.src.test)
    return [side for side in sides if side is not None]


def warn_of_long(data: DataBunch, limit: int) -> None:
    """Count the texts of all sides that a classifier pools over their last tokens alone."""
    given: Any = data.task.input
    lengths = np.concatenate([given.to_ids(side.items).lengths for side in sides_of(data)])
    long = int((lengths > limit).sum())
    if long:
        message = (
            f"{long} of {len(lengths)} texts have more than max_len={limit} tokens (up to "
            f"{int(lengths.max())}): maximum and mean are over the last of them alone; max_len= "
            "decides"
        )
        warn(message, 3)
