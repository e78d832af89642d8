"""`onecycle eval`: how good a model's file is on labelled items, with counts and intervals."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onecycle.cli.frames import read_frame
from onecycle.cli.predict import Running, Where, open_model, table_of_series
from onecycle.cli.series_table import LABELS
from onecycle.core.display import bar
from onecycle.core.errors import DataError, TableError, UsageError, listing
from onecycle.data.tables import column
from onecycle.interpret.report import intervals

Pair = tuple[frozenset[str], frozenset[str] | None]  # label, and what was said where it was sure


def evaluate(
    model: Path, source: Path, where: Where, label_col: str | None, label_delim: str | None
) -> dict[str, Any]:
    """Compare the answers with the labels: the names of folders, or a column of a table.

    Prints figures and counts, and returns them for --json. Items that cannot be read are counted,
    and make the exit code 1. A label that the model does not know counts as a wrong answer.
    """
    answers, given, target = open_model(model, None, Running())
    if not target.whole_classes and target.activation != "identity":
        raise UsageError(f"a {target.kind} has no label in a folder's name or a column: train says")
    rows = list(_labelled(source, given, where, label_col))
    found, failed = [], 0
    stream = answers(item for _, item, _ in rows)
    for (name, _, label), answer in bar(zip(rows, stream, strict=True), len(rows), "eval"):
        if isinstance(answer, DataError):
            failed += 1
            print(answer if name in str(answer) else f"{name}: {answer}", file=sys.stderr)
        else:
            said, _, shares = answer
            found.append((label, said, shares))
    if not found:
        raise UsageError(f"none of the {len(rows)} items of {source} could be read")
    if target.whole_classes:
        pairs = [(_names(label, label_delim), _said(said)) for label, said, _ in found]
        result = _of_classes(pairs, target)
        if target.one_class and target.thresh is not None:
            result["metrics"] = _of_sure(pairs, [shares for *_, shares in found], target)
    else:
        result = _of_numbers([(label, said) for label, said, _ in found])
    print(f"{len(found)} items" + f", {failed} could not be read" * bool(failed))
    for name, (value, low, high) in result["metrics"].items():
        print(f"{name}: {value:.4f} (95 %: {low:.4f} to {high:.4f})")
    return {**result, "items": len(found), "failed": failed, "exit_code": int(failed > 0)}


def _labelled(
    source: Path, given: Any, where: Where, label_col: str | None
) -> Iterator[tuple[str, Any, Any]]:
    """(name, item, label) of each item of a folder or a table."""
    if source.is_dir():
        where.refuse("a folder", "column", "folder", "suffix")
        if label_col is not None:
            raise UsageError("--label-col has no effect on a folder: leave it out")
        for name, item in given.named_sources(source):
            yield name, item, Path(name).parent.name
        return
    if found := table_of_series([source], given, label_col):
        where.refuse("a table of series", "column", "folder", "suffix")
        if found[0][2] is None:
            raise TableError(f"{source}: say which --label-col holds the labels")
        yield from ((name, series, label) for name, series, label in found)
        return
    frame = read_frame(source)
    items = _one(source, frame, "--column", where.column, (*given.columns, "name", "file"))
    labels = column(frame, _one(source, frame, "--label-col", label_col, LABELS))
    for name, label in zip(column(frame, items), labels, strict=True):
        path = source.parent / where.folder / f"{name}{where.suffix}"
        yield str(name), path if given.by_file else name, label


def _one(table: Path, frame: Any, option: str, asked: str | None, usual: Sequence[str]) -> str:
    """The column asked for, or the one that has a usual name."""
    named = [n for n in frame.columns if str(n).lower() in usual] if asked is None else [asked]
    if not named or len({*named}) > 1:
        raise TableError(f"{table}: say which {option} it is, of {listing(frame.columns, 12)}")
    return named[0]


def _names(label: Any, delimiter: str | None) -> frozenset[str]:
    """The classes that a label names."""
    if isinstance(label, str):
        parts = label.split(delimiter) if delimiter else [label]
        return frozenset(part.strip() for part in parts if part.strip())
    return frozenset(map(str, label if isinstance(label, list | np.ndarray) else [label]))


def _said(answer: Any) -> frozenset[str] | None:
    """The classes that an answer names; None for one that is not sure."""
    return None if answer.obj is None else _names(answer.obj, None)


def _of_sure(pairs: Sequence[Pair], shares: Sequence[Any], target: Any) -> dict[str, Any]:
    """Accuracy of the likeliest class of all, the share of sure answers, and their accuracy."""
    likeliest = [str(target.classes[int(np.argmax(one))]) for one in shares]
    best = np.array([label == {name} for (label, _), name in zip(pairs, likeliest, strict=True)])
    right = np.array([label == said for label, said in pairs])
    sure = np.array([said is not None for _, said in pairs])

    def figures(at: np.ndarray) -> dict[str, float]:
        of_sure = right[at][sure[at]]
        return {
            "accuracy": float(best[at].mean()),
            "sure": float(sure[at].mean()),
            "accuracy_of_sure": float(of_sure.mean()) if len(of_sure) else np.nan,
        }

    return intervals(len(pairs), figures)


def _of_classes(pairs: Sequence[Pair], target: Any) -> dict[str, Any]:
    """The share that is right, and each class's counts: actual, predicted, both, not sure."""
    actual, predicted, both, unsure = (Counter[str]() for _ in range(4))
    for label, said in pairs:
        actual.update(label)
        predicted.update(said or ())
        both.update(label & (said or frozenset()))
        unsure.update(label if said is None else ())
    if unknown := sorted(actual.keys() - {*map(str, target.classes)}):
        count = sum(actual[name] for name in unknown)
        print(f"{count} labels are no class of the model and count as wrong: {listing(unknown)}")
    right = np.array([label == said for label, said in pairs])
    name_of_share = "accuracy" if target.one_class else "exact_match"
    doubts = sum(said is None for _, said in pairs)
    print(f"{int(right.sum())} of {len(right)} are right" + f", {doubts} not sure" * bool(doubts))
    wide = max(len(name) for name in {*actual, *predicted, "class"})
    print(
        f"{'class':<{wide}}  {'actual':>7}  {'predicted':>9}  {'right':>7}  recall  precision"
        + "  not sure" * bool(doubts)
    )
    for name in sorted({*actual, *predicted}):
        shares = [f"{both[name] / n:.3f}" if n else "-" for n in (actual[name], predicted[name])]
        print(
            f"{name:<{wide}}  {actual[name]:>7}  {predicted[name]:>9}  {both[name]:>7}  "
            f"{shares[0]:>6}  {shares[1]:>9}" + f"  {unsure[name]:>8}" * bool(doubts)
        )
    return {
        "metrics": intervals(len(right), lambda at: {name_of_share: float(right[at].mean())}),
        "right": int(right.sum()),
        "classes": {
            name: {"actual": actual[name], "predicted": predicted[name], "right": both[name]}
            | {"not_sure": unsure[name]}
            for name in sorted({*actual, *predicted})
        },
        "not_sure": doubts,
    }


def _of_numbers(pairs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    """Mean absolute and root mean squared error."""
    try:
        wanted = np.array([np.ravel(label).astype(float) for label, _ in pairs])
        off = np.array([np.ravel(answer.data) for _, answer in pairs]) - wanted
    except ValueError as error:
        raise TableError(f"the labels are no numbers as the model gives them ({error})") from error

    def figures(at: np.ndarray) -> dict[str, float]:
        return {"mae": float(np.abs(off[at]).mean()), "rmse": float((off[at] ** 2).mean() ** 0.5)}

    return {"metrics": intervals(len(off), figures)}
