"""The factories that go from files or tables of texts to a DataBunch in one call."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from pathlib import Path as PurePath
from typing import Any, ClassVar

from onecycle.core.errors import UsageError
from onecycle.core.paths import Path
from onecycle.data.databunch import DataBunch
from onecycle.data.doubts import require_folders
from onecycle.data.frames import Column
from onecycle.data.labelled import LabelledItems
from onecycle.text.columns import LABELS, refuse_other_column
from onecycle.text.lists import NUMBERING, TextList, numbering_of


def databunch_of(
    labelled: LabelledItems, options: dict[str, Any], others: Sequence[str] = ()
) -> DataBunch:
    """`databunch(**options)`; UsageError for an option that neither it nor `others` has."""
    known = [*signature(labelled.databunch).parameters]
    for name in options:
        if name not in known:
            raise UsageError(
                f"there is no option {name!r}: there are {', '.join([*others, *known])}"
            )
    return labelled.databunch(**options)


class TextDataBunch(DataBunch):
    """Factories for classification; `TextLMDataBunch` makes language-model data.

    `options` are TextInput's (max_vocab 60,000, min_freq 2, bptt 70, tokenizer, backwards) and
    those of `databunch` (bs, val_bs, num_workers, device). With `classes`, texts of others are left
    out. The test set has no labels.

    Where nothing else says what validates, the random share `valid_pct` (0.2) does, drawn by
    `seed`; UsageError where it is given beside something else that does.
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
        is_valid: bool = True,
        vocab: Sequence[str] | None = None,
        classes: Sequence[Any] | None = None,
        **options: Any,
    ) -> DataBunch:
        """Texts and labels from columns.

        The rows of `valid_df` validate, or else those for which a column `is_valid` is true.
        """
        numbering, rest = numbering_of(options)
        items = TextList.from_df(train_df, path, text_cols, vocab=vocab, **numbering)
        test = None if test_df is None else TextList.from_df(test_df, path, text_cols)
        if valid_df is None:
            split = cls._divided(items, valid_pct, seed, is_valid)
        elif valid_pct is not None:
            raise UsageError("valid_df= says what validates: leave valid_pct= out")
        else:
            held = TextList.from_df(valid_df, path, text_cols, vocab=vocab, **numbering)
            split = items.split_by_list(items, held)
        return cls._finished(split, test, rest, label_cols, label_delim, classes)

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
        numbering, rest = numbering_of(options)
        items = TextList.from_csv(
            path, csv_name, text_cols, delimiter, header, vocab=vocab, **numbering
        )
        split = cls._divided(items, valid_pct, seed, is_valid)
        held = None if test is None else TextList.from_csv(path, test, text_cols, delimiter, header)
        return cls._finished(split, held, rest, label_cols, label_delim, classes)

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
        numbering, rest = numbering_of(options)
        require_folders(path, train, valid)
        found = TextList.from_folder(path, include=[train, valid])
        items = found.filter_by_folder([train, valid]).with_vocab(vocab, **numbering)
        held = None if test is None else TextList.from_folder(Path(path) / test)
        return cls._finished(items.split_by_folder(train, valid), held, rest, classes=classes)

    @classmethod
    def _divided(
        cls, items: TextList, valid_pct: float | None, seed: int | None, is_valid: bool
    ) -> Any:
        """By the column `is_valid` where there is one that counts, or else a random share."""
        if not is_valid or "is_valid" not in items.frame:
            return items.split_by_rand_pct(0.2 if valid_pct is None else valid_pct, seed)
        if valid_pct is not None:
            raise UsageError(
                "the column is_valid says what validates: leave valid_pct= out, or say "
                "is_valid=False"
            )
        return items.split_from_df("is_valid")

    @classmethod
    def _finished(
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
            refuse_other_column(split.train.frame, cols, LABELS, "label_cols")
            labelled = split.label_from_df(cols, label_delim=delim, classes=classes)
        labelled = labelled if test is None else labelled.add_test(test)
        return databunch_of(labelled, options, NUMBERING)


class TextClasDataBunch(TextDataBunch):
    """Texts and their classes."""


class TextLMDataBunch(TextDataBunch):
    """Texts for a language model."""

    for_lm = True
