"""What is allowed in labelled data but probably not meant: counted in a warning."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from onecycle.core.errors import EmptyDataError, listing, warn
from onecycle.core.machine import defaults
from onecycle.data.items import Items
from onecycle.data.targets import Target

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
    files = [item for item in train.items if isinstance(item, os.PathLike)]
    folders = Counter(train.first_folder(file) for file in files)
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
    root = Path(items.path)
    files = [PurePath(item) for item in items.items if isinstance(item, str | os.PathLike)]
    loose = [file.name for file in files if file.parent == root]
    if loose and len(loose) < len(items):
        message = (
            f"{len(loose)} of {len(items)} files lie in {root} itself, whose name "
            f"{root.resolve().name!r} becomes their class: {listing(loose)}. To leave them out, "
            "filter_by_func(lambda path: path.parent != items.path) before the split"
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
            f"figure tells how well they are learned (in training: {listing(unmeasured)}). Take "
            "another seed, a larger valid_pct, or choose the items with split_by_idx or "
            "split_by_files"
        )
    if groups := _spellings(classes):
        messages.append(
            f"{len(groups)} classes are there in several spellings that differ in blanks or "
            f"capitals alone, and count as different ones: {', '.join(groups[:5])}. Make them one "
            "in the table, or with label_from_func"
        )
    for message in messages:
        warn(message, 4)


def _spellings(classes: Sequence[Any]) -> list[str]:
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
_SHORT = 30  # numbers: shorter arrays may be the same at random


@dataclass(frozen=True)
class Side:
    """The items of one side of a split, and their raw labels where it has any."""

    name: str
    items: Sequence[Any]
    labels: Sequence[Any] | None

    def item_name(self, i: int) -> str:
        """An item by its path, its text, or its place."""
        item = self.items[i]
        return str(item) if isinstance(item, str | os.PathLike) else f"item {i} of {self.name}"


def warn_of_copies(sides: Sequence[Side], content: bool = True, stacklevel: int = 3) -> None:
    """Say which items are on several sides, and which have several labels.

    Without `content` files are the same only if their paths are.
    """
    owners = [(side, i) for side in sides for i in range(len(side.items))]
    across, torn = defaultdict[str, list[str]](list), list[str]()
    for group in _groups([side.items[i] for side, i in owners], content):
        places = [owners[position] for position in group]
        shown = " = ".join(list(dict.fromkeys(side.item_name(i) for side, i in places))[:2])
        on = list(dict.fromkeys(side.name for side, _ in places))
        if len(on) > 1:
            across[" and ".join(on)].append(shown)
        labels = {_comparable(side.labels[i]) for side, i in places if side.labels is not None}
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


def _comparable(label: Any) -> Hashable:
    """A label as something that equals that of the same meaning; None where it has no such form."""
    plain = str | int | float | np.generic
    if isinstance(label, list | tuple | set | frozenset):
        return frozenset(map(str, label)) if all(isinstance(v, plain) for v in label) else None
    return str(label) if isinstance(label, plain | os.PathLike) else None


def _groups(items: Sequence[Any], content: bool) -> Iterator[list[int]]:
    """Positions of items that are the same."""
    found = defaultdict[Hashable, list[int]](list)
    for position, item in enumerate(items):
        if (key := _identity(item)) is not None:
            found[key].append(position)
    if content:
        for first, *others in same_files([key for key in found if isinstance(key, str)]):
            for other in others:
                found[first] += found.pop(other)
    return (group for group in found.values() if len(group) > 1)


def _identity(item: Any) -> Hashable:
    """The path of a file, a digest of a text or an array; None for what may be the same at random.

    Short arrays are, and those of a single value.
    """
    if isinstance(item, os.PathLike):
        return os.fspath(item)
    if isinstance(item, str):
        return hashlib.blake2b(item.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if isinstance(item, np.ndarray) and item.size >= _SHORT and item.dtype != object:
        flat = np.ascontiguousarray(item)
        if (flat != flat.flat[0]).any():
            return item.shape, hashlib.blake2b(flat.tobytes(), digest_size=16).digest()
    return None


def same_files(paths: Sequence[str]) -> Iterator[list[str]]:
    """Groups of two or more paths whose files have the same content; missing files are in none."""
    with ThreadPoolExecutor(defaults.cpus) as pool:
        sizes = pool.map(_size, paths, chunksize=256)
        alike = [path for group in _alike(paths, sizes) for path in group]
        ends = list(_alike(alike, pool.map(_ends, alike, chunksize=64)))
    budget = _WHOLE
    for group in ends:
        size = _size(group[0])
        if size <= 2 * _END or budget < 0:
            yield group
        else:
            budget -= size * len(group)
            yield from _alike(group, map(_digest, group))


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


def _ends(path: str) -> tuple[int, bytes] | None:
    with suppress(OSError), open(path, "rb") as file:  # noqa: PTH123 - as above
        begin = file.read(_END)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(_END, size - _END))
        return size, hashlib.blake2b(begin + file.read(), digest_size=16).digest()
    return None


def _digest(path: str) -> bytes | None:
    with suppress(OSError), open(path, "rb") as file:  # noqa: PTH123 - as above
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
    return None


# Folders beside those of the classes that hold nothing: classes that were meant, and are none.


def warn_of_empty_folders(items: Iterable[Any], root: str | PurePath) -> None:
    """Say which folders below `root` lie beside those of these files, and hold no file at all."""
    folders = {PurePath(item).parent for item in items if isinstance(item, os.PathLike)}
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
