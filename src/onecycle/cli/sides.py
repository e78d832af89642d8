"""Who validates and who tests, as the options of the command line say it."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from onecycle.cli.options import Sides, SidesOfTable
from onecycle.core.errors import UsageError
from onecycle.data.labels import SplitItems

DRAWS = ("valid_pct", "test_pct", "folds", "stratify", "group_col", "time_col")  # who is drawn


def refuse(where: Any, what: str, *names: str) -> None:
    """UsageError for options that were given and would have no effect."""
    for field in fields(where):
        if field.name in names and getattr(where, field.name) != field.default:
            option = "--" + field.name.replace("_", "-")
            raise UsageError(f"{option} has no effect on {what}: leave it out")


def draw(where: Sides, items: Any, **by: Any) -> Sequence[SplitItems]:
    """One split by random shares, or with --folds so many; `by` as of `split_by_rand_pct`.

    A test side is drawn first, and is the same one of every fold.
    """
    shares = {"valid_pct": where.valid_pct, "test_pct": where.test_pct}
    if where.folds is None:
        return [items.split_by_rand_pct(seed=where.seed, **shares, **by)]
    refuse(where, "--folds", "valid_pct")
    if where.test_pct is None:
        return [*items.kfold(where.folds, where.seed, **by)]
    held = items.split_by_rand_pct(where.test_pct, where.seed, **by)
    folds = held.train.kfold(where.folds, where.seed, **by)
    return [split.with_test(held.valid) for split in folds]


def of_table(
    where: SidesOfTable, items: Any, stratify: int | str | None = None, delim: str | None = None
) -> Sequence[SplitItems]:
    """By a column, also one that is called is_valid, by time, or random shares.

    `stratify` is the column of labels where classes are to be divided in proportion.
    """
    if where.valid_col is None and "is_valid" in items.frame.columns:
        where = replace(where, valid_col="is_valid")
    if where.valid_col:
        refuse(where, f"a table whose column {where.valid_col} says who validates", *DRAWS)
        return [items.split_from_df(column(where.valid_col))]
    if where.time_col is not None:
        refuse(where, "a split by time", "folds", "stratify", "group_col")
        return [items.split_by_time(column(where.time_col), where.valid_pct, where.test_pct)]
    groups = None if where.group_col is None else column(where.group_col)
    by = {} if stratify is None else {"stratify": stratify, "label_delim": delim}
    return draw(where, items, group_by=groups, **by)


def column(text: str) -> int | str:
    """A column by its name or, in digits, its position."""
    return int(text) if text.isdigit() else text


def described(where: Any) -> str:
    """What was asked for, in the words of the report."""
    given = {field.name: getattr(where, field.name) for field in fields(where)}
    parts = {
        "folds": f"{where.folds} folds, of which the last made this model",
        "time_col": f"the latest by {given.get('time_col')} are held out",
        "stratify": "every class in proportion",
        "group_col": f"items of one {given.get('group_col')} on one side",
        "test_pct": f"{given.get('test_pct')} of all are the test set",
    }
    return "; ".join(text for name, text in parts.items() if given.get(name))
