"""Lists of texts, from tables and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from pathlib import Path as PurePath
from typing import Any, ClassVar, Self

from onecycle.core.addresses import is_address, place_of
from onecycle.core.errors import UsageError, listing
from onecycle.core.paths import Path
from onecycle.core.walk import FileKind
from onecycle.data.checks import require_folders
from onecycle.data.databunch import DataBunch, LabelledItems
from onecycle.data.items import check_positions
from onecycle.data.label_list import LabelList
from onecycle.data.labels import Labeller, SplitItems, from_columns
from onecycle.data.lists import ItemList
from onecycle.data.rows import frame_of
from onecycle.data.tables import Column, as_frame, column_list, read_pieces, read_table
from onecycle.data.task import Input, Task
from onecycle.runtime.inputs.subwords import pieces_of
from onecycle.runtime.inputs.text import FILES
from onecycle.runtime.inputs.words import SPECIAL
from onecycle.text import columns
from onecycle.text.corpus import Corpus, StoredTexts, Texts, TextWriter
from onecycle.text.input import NUMBERING, NextToken, TextInput

_LARGE = 50_000_000  # bytes


@dataclass(frozen=True, eq=False, repr=False)
class TextList(ItemList):
    """Texts: cells of a table, or files; or a list of them, `TextList(texts)`."""

    path: Any = field(default_factory=Path)
    input: Input = field(default_factory=TextInput)

    suffixes: ClassVar[frozenset[str]] = FILES.suffixes
    files: ClassVar[FileKind] = FILES

    def __post_init__(self) -> None:
        if isinstance(self.items, str):
            raise UsageError("a list of texts is wanted, not one text: TextList([text])")
        object.__setattr__(self, "items", Texts.of(self.items))

    @classmethod
    def _make(cls, items: Iterable[Any], path: str | PurePath, **more: Any) -> Self:
        sources = items if isinstance(items, StoredTexts) else tuple(items)
        return cls(Texts(Corpus(sources)), place_of(path), TextInput(), **more)

    def take(self, positions: Iterable[int]) -> Self:
        index = check_positions(positions, len(self))
        rows = None if self.inner_df is None else self.inner_df.iloc[index]
        return replace(self, items=Texts.of(self.items).take(index), inner_df=rows)

    @classmethod
    def from_df(  # type: ignore[override]
        cls,
        df: Any,
        path: str | PurePath = ".",
        cols: Column | Sequence[Column] = 0,
        *,
        vocab: Sequence[str] | None = None,
        **options: Any,
    ) -> Self:
        """One text a row; several columns are joined, each after `xxfld` and its number.

        `options` are TextInput's: max_vocab, min_freq, bptt.
        """
        frame, numbers = as_frame(df), columns.NumberCells()
        texts = columns.texts_of(frame, cols)
        numbers.add(frame, cols)
        numbers.warn(stacklevel=2)
        return cls._make(texts, path, inner_df=frame).with_vocab(vocab, **options)

    @classmethod
    def from_csv(  # type: ignore[override]
        cls,
        path: str | PurePath,
        csv_name: str | PurePath,
        cols: Column | Sequence[Column] = 0,
        delimiter: str | None = None,
        header: int | str | None = "infer",
        *,
        vocab: Sequence[str] | None = None,
        **options: Any,
    ) -> Self:
        """As `from_df`, from the file `path/csv_name`.

        The texts of a large file (over 50 MB) stay on disk; the frame's cells are empty then.
        """
        file = place_of(path) / csv_name
        if is_address(file) or not file.is_file() or file.stat().st_size < _LARGE:
            frame = read_table(file, delimiter, header)
            if delimiter is None:
                columns.refuse_joined(frame, file)
            return cls.from_df(frame, path, cols, vocab=vocab, **options)
        import pandas as pd

        writer, numbers, rest = TextWriter(), columns.NumberCells(), list[Any]()
        for piece in read_pieces(file, delimiter, header):
            if delimiter is None and not rest:
                columns.refuse_joined(piece, file)
            writer.add(columns.texts_of(piece, cols))
            numbers.add(piece, cols)
            for c in column_list(cols):
                piece[piece.columns[c] if isinstance(c, int) else c] = ""
            rest.append(piece)
        numbers.warn(stacklevel=2)
        frame = pd.concat(rest)
        return cls._make(writer.finish(), path, inner_df=frame).with_vocab(vocab, **options)

    @classmethod
    def from_folder(  # type: ignore[override]
        cls, path: str | PurePath = ".", vocab: Sequence[str] | None = None, **options: Any
    ) -> Self:
        """Every .txt file below `path`; `options` are TextInput's and those of `ItemList`."""
        numbering = _numbering(options)
        return super().from_folder(path, **options).with_vocab(vocab, **numbering)

    @classmethod
    def from_dataset(
        cls, dataset: Any, cols: Column | Sequence[Column] = "text", **options: Any
    ) -> Self:
        """The texts of a Hugging Face dataset, a `datasets.Dataset`; as `from_df` of its rows."""
        return cls.from_df(frame_of(dataset), ".", cols, **options)

    def with_vocab(self, vocab: Sequence[str] | None = None, **options: Any) -> Self:
        """The same texts, to be numbered by this vocabulary; `options` are TextInput's.

        Raises UsageError for what is no vocabulary of a TextList: a wrong one would number the
        texts without a sound.
        """
        for name in options:
            if name not in NUMBERING:
                raise UsageError(f"there is no option {name!r}: there are {', '.join(NUMBERING)}")
        given: Any = self.input
        tokenizer = options.get("tokenizer") or given.tokenizer
        useless = [name for name in ("max_vocab", "min_freq") if name in options]
        if useless and (vocab is not None or tokenizer):
            other = "tokenizer=" if tokenizer else "vocab="
            raise UsageError(
                f"{useless[0]}= is for a vocabulary that is made of the texts, and {other} brings "
                "its own: leave one of the two out"
            )
        if vocab is not None:
            options["vocab"] = _check_vocab(vocab, tokenizer)
        return replace(self, input=replace(given, **options))

    def _sides(self, train: Self, valid: Self, test: Self | None = None) -> TextSplitItems:
        return TextSplitItems(train, valid, test)


def _check_vocab(vocab: Sequence[str], tokenizer: str) -> tuple[str, ...]:
    """The tokens of a vocabulary as it must be; else UsageError that says what is wrong."""
    found = getattr(vocab, "itos", vocab)
    words = tuple(found) if isinstance(found, Iterable) else ()
    wrong = [word for word in words if not isinstance(word, str)]
    twice = [w for w, n in Counter(words).items() if n > 1 and w != "xxfake"]
    if isinstance(vocab, str) or wrong or not words:
        raise UsageError("vocab= is a list of tokens, as data.vocab or learn.vocab has them")
    if twice:
        raise UsageError(f"vocab= names {listing(twice)} twice")
    if tokenizer and words != pieces_of(tokenizer):
        raise UsageError("vocab= is not the tokenizer's own: leave it out")
    if not tokenizer and words[:2] != SPECIAL[:2]:
        raise UsageError(
            f"vocab= begins with {listing(words[:3])}, not with {listing(SPECIAL[:2])}: it was "
            "made for another tokenizer, or its order was changed"
        )
    return words


def _numbering(options: dict[str, Any]) -> dict[str, Any]:
    """The options of TextInput, taken out of `options`."""
    return {name: options.pop(name) for name in NUMBERING if name in options}


class TextSplitItems(SplitItems):
    """Two sides of texts; `label_for_lm` makes a language model's data of them."""

    def label(
        self,
        labeller: Labeller,
        label_cls: Any = None,
        classes: Sequence[Any] | None = None,
        unknown: str | None = None,
    ) -> LabelledItems:
        """As of other items; a warning counts texts without a word, and words unknown."""
        given: Any = self.train.input
        if given.bptt != TextInput.bptt:
            raise UsageError(
                "bptt= of texts is for language models: a classifier has its own, "
                "text_classifier_learner(bptt=)"
            )
        made = super().label(labeller, label_cls, classes, unknown)
        columns.warn_of_texts(made.train, made.valid)
        return made

    def label_for_lm(self) -> LabelledItems:
        """No labels: each token is the answer to those before it."""
        given = replace(self.train.input.fit(self.train.items), stream=True)
        task = Task(given, NextToken(len(given.vocab)))
        given = [side for side in (self.train, self.valid, self.test) if side is not None]
        train, valid, *test = (LabelList(side, (0,) * len(side), task) for side in given)
        columns.warn_of_texts(train, valid)
        return TextStream(replace(train, augment=True), valid, test[0] if test else None)


class TextStream(LabelledItems):
    """Texts for a language model; next comes `databunch`."""

    def databunch(self, *given: Any, bptt: int | None = None, **options: Any) -> DataBunch:
        """As of other items; with `bptt` that many tokens are read at a time (70)."""
        stream: Any = self.task.input
        changed = stream if bptt is None else replace(stream, bptt=bptt)
        return LabelledItems.databunch(
            self.with_task(Task(changed, self.task.target)), *given, **options
        )


# The factories that go from files or tables of texts to a DataBunch in one call.


def databunch_of(
    labelled: LabelledItems, options: dict[str, Any], others: Sequence[str] = ()
) -> DataBunch:
    """`databunch(**options)`; UsageError for an option that neither it nor `others` has."""
    known = [*signature(LabelledItems.databunch).parameters][1:]
    for name in options:
        if name not in known:
            names = ", ".join([*others, *known])
            raise UsageError(f"there is no option {name!r}: there are {names}")
    return labelled.databunch(**options)


class TextDataBunch(DataBunch):
    """Factories for classification; `TextLMDataBunch` makes language-model data.

    `options` are TextInput's (max_vocab 60,000, min_freq 2, bptt 70, tokenizer, backwards) and
    those of `databunch` (bs, val_bs, num_workers, device). With `classes`, texts of others are left
    out. The test set has no labels.

    Where nothing else says what validates, the random share `valid_pct` (0.2) does, drawn by
    `seed`: item by item, or with `stratify` each class in proportion; UsageError where these are
    given beside something else that does.
    """

    for_lm: ClassVar[bool] = False

    @classmethod
    def from_df(
        cls,
        path: str | PurePath,
        train_df: Any,
        valid_df: Any = None,
        test_df: Any = None,
        *,
        text_cols: Column | Sequence[Column] = 1,
        label_cols: Column | Sequence[Column] = 0,
        label_delim: str | None = None,
        valid_pct: float | None = None,
        seed: int | None = None,
        stratify: bool = False,
        is_valid: bool = True,
        vocab: Sequence[str] | None = None,
        classes: Sequence[Any] | None = None,
        **options: Any,
    ) -> DataBunch:
        """Texts and labels from columns.

        The rows of `valid_df` validate, or else those for which a column `is_valid` is true.
        """
        numbering = _numbering(options)
        items = TextList.from_df(train_df, path, text_cols, vocab=vocab, **numbering)
        test = None if test_df is None else TextList.from_df(test_df, path, text_cols)
        if valid_df is None:
            by = stratify and cls._classes_of(items, label_cols, label_delim)
            split = _split(items, valid_pct, seed, is_valid, by)
        elif valid_pct is not None or stratify:
            name = "stratify" if valid_pct is None else "valid_pct"
            raise UsageError(f"valid_df= says what validates: leave {name}= out")
        else:
            held = TextList.from_df(valid_df, path, text_cols, vocab=vocab, **numbering)
            split = items.split_by_list(items, held)
        return cls._label(split, test, options, label_cols, label_delim, classes)

    @classmethod
    def from_csv(
        cls,
        path: str | PurePath,
        csv_name: str | PurePath,
        valid_pct: float | None = None,
        test: str | PurePath | None = None,
        *,
        is_valid: bool = True,
        text_cols: Column | Sequence[Column] = 1,
        label_cols: Column | Sequence[Column] = 0,
        label_delim: str | None = None,
        seed: int | None = None,
        stratify: bool = False,
        vocab: Sequence[str] | None = None,
        header: int | str | None = "infer",
        delimiter: str | None = None,
        classes: Sequence[Any] | None = None,
        **options: Any,
    ) -> DataBunch:
        """As `from_df`, from `path/csv_name`; a column `is_valid` says what validates.

        The file `path/test` has the same columns of texts.
        The texts of a large file (over 50 MB) stay on disk.
        """
        how: Any = {"delimiter": delimiter, "header": header}
        numbering = _numbering(options)
        items = TextList.from_csv(path, csv_name, text_cols, **how, vocab=vocab, **numbering)
        by = stratify and cls._classes_of(items, label_cols, label_delim)
        split = _split(items, valid_pct, seed, is_valid, by)
        held = None if test is None else TextList.from_csv(path, test, text_cols, **how)
        return cls._label(split, held, options, label_cols, label_delim, classes)

    @classmethod
    def from_folder(
        cls,
        path: str | PurePath,
        train: str = "train",
        valid: str = "valid",
        test: str | None = None,
        *,
        vocab: Sequence[str] | None = None,
        classes: Sequence[Any] | None = None,
        **options: Any,
    ) -> DataBunch:
        """Text files below `path/train` and `path/valid`; a file's folder is its label."""
        require_folders(path, train, valid)
        found = TextList.from_folder(path, include=[train, valid])
        items = found.filter_by_folder([train, valid]).with_vocab(vocab, **_numbering(options))
        held = None if test is None else TextList.from_folder(Path(path) / test)
        return cls._label(items.split_by_folder(train, valid), held, options, classes=classes)

    @classmethod
    def _classes_of(cls, items: TextList, cols: Any, delim: str | None) -> list[Any]:
        """What each text's classes are, for a split by them."""
        if cls.for_lm:
            raise UsageError("a language model has no labels: leave stratify out")
        return list(from_columns(cols, delim)(items))

    @classmethod
    def _label(
        cls,
        split: Any,
        test: TextList | None,
        options: dict[str, Any],
        cols: Any = None,
        delim: str | None = None,
        classes: Sequence[Any] | None = None,
    ) -> DataBunch:
        """Labelled from columns `cols`, or else from folders, with a test set and loaders."""
        if cls.for_lm:
            if classes is not None or delim is not None:
                raise UsageError(
                    "a language model has no labels: leave classes and label_delim out"
                )
            labelled = split.label_for_lm()
        elif cols is None:
            labelled = split.label_from_folder(classes=classes)
        else:
            columns.refuse_other_column(split.train.frame, cols, columns.LABELS, "label_cols")
            labelled = split.label_from_df(cols, label_delim=delim, classes=classes)
        labelled = labelled if test is None else labelled.add_test(test)
        return databunch_of(labelled, options, NUMBERING)


def _split(
    items: TextList,
    valid_pct: float | None,
    seed: int | None,
    is_valid: bool,
    stratify: list[Any] | bool,
) -> Any:
    """By the column `is_valid` where there is one that counts, or else a random share."""
    if not is_valid or "is_valid" not in items.frame:
        return items.split_by_rand_pct(0.2 if valid_pct is None else valid_pct, seed, stratify)
    if valid_pct is not None or stratify:
        name = "stratify" if valid_pct is None else "valid_pct"
        raise UsageError(
            f"the column is_valid says what validates: leave {name}= out, or say is_valid=False"
        )
    return items.split_from_df("is_valid")


class TextClasDataBunch(TextDataBunch):
    """Texts and their classes."""


class TextLMDataBunch(TextDataBunch):
    """Texts for a language model."""

    for_lm = True
