"""What is allowed in labelled data but probably not meant: looked for once, told with a count."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any
from warnings import warn

from onecycle.core.errors import EmptyDataError, OnecycleWarning, listing
from onecycle.data.items import ItemList
from onecycle.data.targets import Target

# folders of what is kept from training, by the names that people give them
FOR_VALIDATION = ("valid", "validation", "val", "dev")
FOR_TESTS = ("test", "tests", "testing", "holdout", "hold_out", "eval", "evaluation")
FOR_TRAINING = ("train", "training")
_HELD_OUT = frozenset({*FOR_VALIDATION, *FOR_TESTS})


def warn_of_held_out(train: ItemList, classes: Iterable[Any] = ()) -> None:
    """Say how many training items lie in a folder whose name keeps things from training.

    Folders among the `classes` that were asked for are meant.
    """
    if not isinstance(train.items[0], os.PathLike):  # texts may lie in a file of their own
        return
    files = [item for item in train.items if isinstance(item, os.PathLike)]
    folders = Counter(train.first_folder(file) for file in files)
    held = {n: c for n, c in folders.items() if n.lower() in _HELD_OUT and n not in classes}
    if not held or len(held) == len(folders):  # all of them: it was asked for
        return
    named = listing(f"{name} ({count} items)" for name, count in held.items())
    warn(
        f"the training set takes items from folders that seem to be kept for later: {named}. To "
        f"leave them out, filter_by_folder(exclude={sorted(held)}) before the split; if they are "
        "classes, name all in classes=",
        OnecycleWarning,
        stacklevel=4,
    )


def warn_of_loose_files(items: ItemList) -> None:
    """Say how many files lie in no folder of their own, so that the list's one is their class."""
    root = Path(items.path)
    files = [PurePath(item) for item in items.items if isinstance(item, str | os.PathLike)]
    loose = [file for file in files if file.parent == root]
    if loose and len(loose) < len(items):
        warn(
            f"{len(loose)} of {len(items)} files lie in {root} itself, whose name "
            f"{root.resolve().name!r} becomes their class: "
            f"{listing(file.name for file in loose)}. To leave them out, "
            "filter_by_func(lambda path: path.parent != items.path) before the split",
            OnecycleWarning,
            stacklevel=3,
        )


def warn_of_classes(target: Target, train: Sequence[Any], valid: Sequence[Any]) -> None:
    """Say which classes have nothing to learn from, or nothing to be measured on."""
    seen, measured = (
        Counter(name for label in labels for name in target.named(label))
        for labels in (train, valid)
    )
    classes = target.named_classes()
    if len(classes) == 1 and len(train) > 1:
        _tell(f"there is only one class, {classes[0]!r}: there is nothing to tell apart")
    if not seen:
        return
    if absent := [name for name in classes if not seen[name]]:
        _tell(
            f"{len(absent)} of {len(classes)} classes have no training item, so that none can be "
            f"learned: {listing(absent)}. Are they spelt as in the data?"
        )
    unmeasured = [
        f"{name} ({seen[name]}x)" for name in classes if seen[name] and not measured[name]
    ]
    if valid and unmeasured:
        _tell(
            f"{len(unmeasured)} of {len(classes)} classes have no validation item, so that no "
            f"figure tells how well they are learned (in training: {listing(unmeasured)}). Take "
            "another seed, a larger valid_pct, or choose the items with split_by_idx or "
            "split_by_files"
        )


def warn_of_alike(target: Target) -> None:
    """Say which classes are the same but for blanks around them and capitals."""
    alike = defaultdict(list)
    for name in target.named_classes():
        plain = " ".join(str(name).split())
        alike[plain.casefold() if len(plain) > 1 else plain].append(name)
    groups = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    if groups:
        _tell(
            f"{len(groups)} classes are there in several spellings that differ in blanks or "
            f"capitals alone, and count as different ones: {', '.join(groups[:5])}. Make them one "
            "in the table, or with label_from_func"
        )


def _tell(message: str) -> None:
    warn(message, OnecycleWarning, stacklevel=5)


def require_folders(path: str | PurePath, *names: str) -> None:
    """EmptyDataError for folders that are not in `path`, with those that are."""
    root = Path(path)
    if not root.is_dir():
        raise EmptyDataError(f"{root} is not a folder")
    for name in names:
        if not (root / name).is_dir():
            there = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
            raise EmptyDataError(
                f"no folder {name!r} in {root}; there are {listing(there, 12)}. Name yours with "
                "train= and valid=, or let a share validate with valid_pct="
            )


def sides_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Of the names of folders those that say what they are for: "train", "valid" and "test"."""
    words = {"train": FOR_TRAINING, "valid": FOR_VALIDATION, "test": FOR_TESTS}
    known = list(names)
    return {side: [n for n in known if n.lower() in told] for side, told in words.items()}
