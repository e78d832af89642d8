"""What is allowed in labelled data but probably not meant: counted in a warning."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from onecycle.core.display import in_threads
from onecycle.core.errors import DataError, EmptyDataError, SizeError, UsageError, listing, warn
from onecycle.core.file_cache import look_at_files
from onecycle.core.path_list import PathList, joined
from onecycle.data.items import Items, by_folder, take_items
from onecycle.data.looks import digest_of, is_file, looks_of
from onecycle.data.targets import Target
from onecycle.data.task import Input, Task

# what folders are for, by the names that people give them
_FOLDERS = {
    "train": {"train", "training"},
    "valid": {"valid", "validation", "val", "dev"},
    "test": {"test", "tests", "testing", "holdout", "hold_out", "eval", "evaluation"},
}
_HELD_OUT = _FOLDERS["valid"] | _FOLDERS["test"]


def sides_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Of the names of folders those that say what they are for: "train", "valid" and "test"."""
    known = list(names)
    return {side: [n for n in known if n.lower() in words] for side, words in _FOLDERS.items()}


def require_folders(path: str | PurePath, *names: str) -> None:
    """EmptyDataError for folders that are not in `path`, with those that are."""
    root = Path(path)
    if not root.is_dir():
        raise EmptyDataError(f"{root} is not a folder")
    there = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    for name in names:
        if not (root / name).is_dir():
            raise EmptyDataError(
                f"no folder {name!r} in {root}; there are {listing(there, 12)}. Name yours with "
                "train= and valid=, or let a share validate with valid_pct="
            )


def warn_of_held_out(train: Items, classes: Iterable[Any] = ()) -> None:
    """Say how many training items lie in a folder whose name keeps things from training.

    Folders among the `classes` that were asked for are meant.
    """
    if not isinstance(train.items[0], os.PathLike):  # texts may lie in a file of their own
        return
    folders = Counter(train.first_folders())
    held = {n: c for n, c in folders.items() if n.lower() in _HELD_OUT and n not in classes}
    if not held or len(held) == len(folders):  # all of them: it was asked for
        return
    named = listing(f"{name} ({count} items)" for name, count in held.items())
    message = (
        f"the training set takes items from folders that seem to be kept for later: {named}. To "
        f"leave them out, filter_by_folder(exclude={sorted(held)}) before the split; if they are "
        "classes, name all in classes="
    )
    warn(message, 4)


def warn_of_loose_files(items: Items) -> None:
    """Say how many files lie in no folder of their own, so that the list's one is their class."""
    root: Any = items.path
    in_root = by_folder(items.items, lambda folder: folder == root)
    loose = [PurePath(items.items[i]).name for i, here in enumerate(in_root) if here]
    if loose and len(loose) < len(items):
        message = (
            f"{len(loose)} of {len(items)} files lie in {root} itself, whose name "
            f"{Path(root).resolve().name!r} becomes their class: {listing(loose)}. To leave them "
            "out, filter_by_func(lambda path: path.parent != items.path) before the split"
        )
        warn(message, 3)


def warn_of_classes(target: Target, train: Sequence[Any], valid: Sequence[Any]) -> None:
    """Say which classes have nothing to learn from or to be measured on, and which are alike."""
    seen, measured = (
        Counter(name for label in labels for name in target.classes_of(label))
        for labels in (train, valid)
    )
    classes, messages = target.named_classes(), list[str]()
    absent = [name for name in classes if not seen[name]]
    unmeasured = [
        f"{name} ({seen[name]}x)" for name in classes if seen[name] and not measured[name]
    ]
    if len(classes) == 1 and len(train) > 1:
        messages.append(f"there is only one class, {classes[0]!r}: there is nothing to tell apart")
    if seen and absent:
        messages.append(
            f"{len(absent)} of {len(classes)} classes have no training item, so that none can be "
            f"learned: {listing(absent)}. Are they spelt as in the data?"
        )
    if valid and unmeasured:
        messages.append(
            f"{len(unmeasured)} of {len(classes)} classes have no validation item, so that no "
            f"figure tells how well they are learned (in training: {listing(unmeasured)}). Give a "
            "random split stratify= (each class has its share), another seed or a larger "
            "valid_pct, or choose the items with split_by_idx or split_by_files"
        )
    if groups := spellings(classes):
        messages.append(
            f"{len(groups)} classes are there in several spellings that differ in blanks or "
            f"capitals alone, and count as different ones: {', '.join(groups[:5])}. Make them one "
            "in the table, or with label_from_func"
        )
    for message in messages:
        warn(message, 4)


def spellings(classes: Sequence[Any]) -> list[str]:
    """Classes that are the same but for blanks around them and capitals."""
    alike = defaultdict(list)
    for name in classes:
        plain = " ".join(str(name).split())
        alike[plain.casefold() if len(plain) > 1 else plain].append(name)
    return [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]


# The same item twice: on two sides of a split, or under two labels; counted in a warning.
#
# Paths are compared with paths, texts and arrays by their content. Files are compared by content
# too: by size first, those of one size by both ends, and whole where these agree. A file of a size
# of its own costs one look at the folder's entry (some microseconds), another a read of 8 KiB; no
# more than 256 MB are read whole, and beyond that both ends decide.

_END = 1 << 12  # bytes
_WHOLE = 256_000_000  # bytes of all files that are read whole
_SHOW_FROM = 5000  # files; below that the check takes no time worth a bar


@dataclass(frozen=True)
class Side:
    """The items of one side of a split, and their raw labels where it has any."""

    name: str
    items: Sequence[Any]
    labels: Sequence[Any] | None
    source: Items | None = None  # the list that the items are of

    def item_name(self, i: int) -> str:
        """An item by its path, its text, or its place."""
        item = self.items[i]
        return str(item) if isinstance(item, str | os.PathLike) else f"item {i} of {self.name}"


def warn_of_copies(sides: Sequence[Side], content: bool = True, stacklevel: int = 3) -> None:
    """Say which items are on several sides, and which have several labels.

    Without `content` files are the same only if their paths are.
    """
    items = joined(*(side.items for side in sides))
    starts = np.cumsum([0, *(len(side.items) for side in sides)])
    across, torn = defaultdict[str, list[str]](list), list[str]()
    for group in _groups(items, content):
        numbers = (np.searchsorted(starts, group, "right") - 1).tolist()
        places = [(sides[n], i - int(starts[n])) for n, i in zip(numbers, group, strict=True)]
        shown = " = ".join(list(dict.fromkeys(side.item_name(i) for side, i in places))[:2])
        on = list(dict.fromkeys(side.name for side, _ in places))
        if len(on) > 1:
            across[" and ".join(on)].append(shown)
        labels = {comparable(side.labels[i]) for side, i in places if side.labels is not None}
        if len(labels - {None}) > 1:
            torn.append(shown)
    messages = [
        f"{len(shown)} items are in {on}: {listing(shown)}. What is measured on them has been "
        "learned by heart: put all copies on one side, or leave them out with filter_by_func"
        for on, shown in across.items()
    ]
    if torn:
        messages.append(
            f"{len(torn)} items occur several times, with different labels: {listing(torn)}. If "
            "several labels are true of an item, give it one row with all of them (label_delim=); "
            "else correct them"
        )
    for message in messages:
        advice = f"{message}. databunch(find_copies=False) compares the paths of files alone"
        warn(advice, stacklevel)


def comparable(label: Any) -> Hashable:
    """A label as something that equals that of the same meaning; None where it has no such form."""
    plain = str | int | float | np.generic
    if isinstance(label, list | tuple | set | frozenset):
        return frozenset(map(str, label)) if all(isinstance(v, plain) for v in label) else None
    return str(label) if isinstance(label, plain | os.PathLike) else None


def _groups(items: Sequence[Any], content: bool) -> Iterator[list[int]]:
    """Positions of items that are the same."""
    found = defaultdict[Hashable, list[int]](list)
    if content:
        for position, key in enumerate(_identities(items)):
            if key is not None:
                found[key].append(position)
        for first, *others in same_files([key for key in found if isinstance(key, str)]):
            for other in others:
                found[first] += found.pop(other)
    else:  # of millions only those are kept whose hash another has
        hashes = np.fromiter(map(hash, _identities(items)), np.int64, len(items))
        order = np.argsort(hashes, kind="stable")
        same = np.flatnonzero(np.diff(hashes[order]) == 0)
        suspects = set(order[np.union1d(same, same + 1)].tolist())
        for position, key in enumerate(_identities(items) if suspects else ()):
            if position in suspects and key is not None:
                found[key].append(position)
    return (group for group in found.values() if len(group) > 1)


def _identities(items: Sequence[Any]) -> Iterator[Hashable]:
    return items.strings() if isinstance(items, PathList) else map(_identity, items)


def _identity(item: Any) -> Hashable:
    """A file's path, a digest of a text or an array; None for what may be the same at random."""
    if isinstance(item, os.PathLike):
        return os.fspath(item)
    if isinstance(item, str) or (isinstance(item, np.ndarray) and item.dtype != object):
        return (digest_of(item),) if digest_of(item) else None
    return None


def same_files(paths: Sequence[str]) -> Iterator[list[str]]:
    """Groups of two or more paths whose files have the same content; missing files are in none."""
    alike = [path for group in _alike(paths, in_threads(_size, paths)) for path in group]
    label = "comparing files"
    budget, ends = _WHOLE, look_at_files("both ends", _ends, alike, label, _SHOW_FROM)
    for group in _alike(alike, ends):
        size = _size(group[0])
        if size <= 2 * _END or budget < 0:
            yield group
        else:
            budget -= size * len(group)
            yield from _alike(group, look_at_files("whole content", _digest, group))


def _alike(paths: Iterable[str], marks: Iterable[Any]) -> Iterator[list[str]]:
    """The paths that share a mark with another; those whose mark is 0 or None are in no group."""
    groups = defaultdict[Any, list[str]](list)
    for path, mark in zip(paths, marks, strict=True):
        if mark:
            groups[mark].append(path)
    return (group for group in groups.values() if len(group) > 1)


def _size(path: str) -> int:
    with suppress(OSError):
        return os.stat(path).st_size  # noqa: PTH116 - half the time of Path, for every file
    return 0


def _ends(path: str) -> str | None:
    with suppress(OSError), open(path, "rb") as file:  # noqa: PTH123 - as above
        begin = file.read(_END)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(_END, size - _END))
        data = f"{size} ".encode() + begin + file.read()
        return hashlib.blake2b(data, digest_size=16).hexdigest()
    return None


def _digest(path: str) -> str | None:
    with suppress(OSError), open(path, "rb") as file:  # noqa: PTH123 - as above
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return None


# Folders beside those of the classes that hold nothing: classes that were meant, and are none.


def warn_of_empty_folders(sides: Iterable[Items], root: str | PurePath) -> None:
    """Say which folders below `root` lie beside those of these files, and hold no file at all."""
    folders = {folder for items in sides for folder in by_folder(items.items, PurePath)}
    taken = {folder for own in folders for folder in (own, *own.parents)}
    empty = [
        path
        for place in sorted({folder.parent for folder in folders})
        if place.is_relative_to(root)  # of a file in `root` itself the place is outside
        for path in _folders_in(place)
        if path not in taken and not path.name.startswith(".") and _is_empty(path)
    ]
    if empty:
        message = (
            f"{len(empty)} folders beside those of the {len(folders)} taken as classes hold no "
            f"file, so that there is nothing of {listing(path.name for path in empty)}: "
            f"{listing(empty)}. Put items into them, or remove them"
        )
        warn(message, 3)


def _folders_in(place: PurePath) -> list[PurePath]:
    with suppress(OSError), os.scandir(place) as entries:
        return sorted(PurePath(entry.path) for entry in entries if entry.is_dir())
    return []  # it cannot be listed, though files in it can be read


def _is_empty(folder: PurePath) -> bool:
    return not any(names for _, _, names in os.walk(folder))


# Before training: all files or a sample of them, their labels, and copies.

_ALL = 200_000  # files that are all looked at unless told otherwise
_SAMPLE = 10_000  # files that stand for more


def look_before_training(
    task: Task, sides: Sequence[Side], check: Any, find_copies: bool, skips: bool
) -> Task:
    """The task, with what all labels decide; raises for what cannot be used.

    Warns of what is probably not meant. `check` is that of `databunch()`. With `skips` what cannot
    be read of the training set is a warning, and the other sides are read whole.
    """
    if check is False:
        return task
    if check not in ("all", "sample", None):
        raise UsageError(f'check is "all", "sample" or False, not {check!r}')
    chosen, given = _sample(task, sides, check), task.input
    if skips:
        _warn_of_unreadable(given, chosen)
        _require_readable(given, joined(*(s.items for s in sides if s.name != "training")))
    else:
        given.check(joined(*(side.items for side in chosen)))
    labelled = [side for side in chosen if side.labels is not None]
    sources = joined(*(side.items for side in labelled))
    target = task.target.inspect(sources, [y for side in labelled for y in side.labels or ()])
    warn_of_copies(sides, find_copies and chosen is sides, stacklevel=4)
    return Task(given, target)


def _sample(task: Task, sides: Sequence[Side], check: str | None) -> Sequence[Side]:
    """The sides, or of too many files a random sample, and all that are in memory."""
    by_file = task.input.by_file
    files = [_files_in(side.items, by_file) for side in sides]
    count = sum(map(len, files))
    if check == "all" or count <= (_SAMPLE if check else _ALL):
        return sides
    if check is None:
        message = (
            f"{_SAMPLE:,} of {count:,} files were looked at before training, and copies were "
            "compared by path alone: a fault in one of the others is an error when its batch "
            'comes. databunch(check="all") looks at all, and only once while they stay as they '
            'are; check="sample" keeps this without the warning'
        )
        warn(message, 4)
    drawn = set(np.random.default_rng(0).choice(count, _SAMPLE, replace=False).tolist())
    left_out, start, chosen = set[int](), 0, list[Side]()
    for side, own in zip(sides, files, strict=True):
        left_out = {i for n, i in enumerate(own, start) if n not in drawn}
        rows = [i for i in range(len(side.items)) if i not in left_out]
        labels = None if side.labels is None else [side.labels[i] for i in rows]
        chosen.append(Side(side.name, take_items(side.items, np.array(rows, np.int64)), labels))
        start += len(own)
    return chosen


def _files_in(items: Sequence[Any], by_file: bool) -> Sequence[int]:
    """The positions of items that are files."""
    if isinstance(items, PathList):
        return range(len(items))
    return [i for i, item in enumerate(items) if is_file(item, by_file)]


def _warn_of_unreadable(given: Input, sides: Sequence[Side]) -> None:
    try:
        given.check(joined(*(s.items for s in sides if s.name == "training")))
    except DataError as error:
        if isinstance(error, SizeError):
            raise
        warn(f'{error}\non_unreadable="skip": others are taken in their place while training', 4)


def _require_readable(given: Input, sources: Sequence[Any]) -> None:
    """Read every source whole: what is measured on must not end a training half way."""
    given.check(sources)
    looks = zip(sources, looks_of(given, sources), strict=True)
    if faults := [f"{source}: {look.problems[0][1]}" for source, look in looks if look.faulty]:
        raise DataError(
            f"{len(faults)} of {len(sources)} validation and test items cannot be read, and "
            f'on_unreadable="skip" is for training alone: {listing(faults)}. Leave them out: '
            'items.without(items.check(), "damaged") of the labelled items'
        )
