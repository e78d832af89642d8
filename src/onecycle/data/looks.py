"""What one look at an item shows, and which looks are of the same or of nearly the same content."""

import hashlib
import os
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from onecycle.core.addresses import exists
from onecycle.core.display import in_threads
from onecycle.core.errors import DamagedImageError, DataError
from onecycle.core.file_cache import look_at_files

_SHOW_FROM = 500  # items; fewer are looked at before a bar would be read
_SHORT = 30  # numbers: shorter arrays may be the same at random
FAULTS = ("missing", "damaged", "unreadable")


@dataclass(frozen=True)
class Look:
    """What was seen of one item; plain values, so that they can be kept between runs.

    `problems` are pairs (problem, detail), `size` is what its kind measures ((h, w) of an image,
    steps of a series, characters of a text), `digest` is that of its content, `print` that of
    what it looks like (see `near_pairs`); both empty where they would say nothing.
    """

    problems: tuple[tuple[str, str], ...] = ()
    size: tuple[int, ...] = ()
    digest: str = ""
    print: str = ""

    @property
    def faulty(self) -> bool:
        """Whether the item could not be read at all."""
        return any(problem in FAULTS for problem, _ in self.problems)


Finding = tuple[int | None, str, str]  # position of the item, if it is one's; problem, detail


def digest_of(content: str | np.ndarray) -> str:
    """That of a text or an array, 32 hexadecimal digits; "" for what may be the same at random.

    Short arrays are, those of a single value, and texts of blanks.
    """
    if isinstance(content, str):
        data, shape = content.encode("utf-8", "surrogatepass"), ""
        says = bool(content.strip())
    else:
        flat, shape = np.ascontiguousarray(content), f"{content.shape}{content.dtype}"
        says = flat.size >= _SHORT and bool((flat != flat.flat[0]).any())
        data = flat.tobytes() if says else b""
    return hashlib.blake2b(data + shape.encode(), digest_size=16).hexdigest() if says else ""


def looks_at(
    name: str, look: Callable[[Any], Look], sources: Sequence[Any], by_file: bool
) -> list[Look]:
    """`look(source)` of each, by threads behind a bar; those of files are kept under the `name`.

    A DataError is the item's problem: one of `FAULTS`.
    """
    label, faults = "looking at items", dict[str, Look]()

    def seen(source: Any) -> Look:
        try:
            return look(source)
        except DataError as error:
            return _fault(source, error, by_file)

    def kept(source: Any) -> list[Any] | None:
        found = seen(source)
        if found.faulty:
            faults[os.fspath(source)] = found
            return None
        return [found.problems, found.size, found.digest, found.print]

    files = [i for i, source in enumerate(sources) if is_file(source, by_file)]
    rows = look_at_files(name, kept, [sources[i] for i in files], label, _SHOW_FROM)
    found = {
        i: faults[os.fspath(sources[i])] if row is None else _of_json(*row)
        for i, row in zip(files, rows, strict=True)
    }
    others = [i for i in range(len(sources)) if i not in found]
    given = [sources[i] for i in others]
    found |= zip(others, in_threads(seen, given, label=label, show_from=_SHOW_FROM), strict=True)
    return [found[i] for i in range(len(sources))]


def _of_json(problems: Any, size: Any, digest: str, shown: str) -> Look:
    return Look(tuple(map(tuple, problems)), tuple(size), digest, shown)


def looks_of(given: Any, sources: Sequence[Any]) -> list[Look]:
    """What an input sees of its sources."""
    return looks_at(given.reading, given.look, sources, given.by_file)


def is_file(source: Any, by_file: bool) -> bool:
    """Whether a source is a file's path; a str is one where its kind is given `by_file`."""
    return isinstance(source, os.PathLike) or (by_file and isinstance(source, str))


def _fault(source: Any, error: DataError, by_file: bool) -> Look:
    problem = "damaged" if isinstance(error, DamagedImageError) else "unreadable"
    if is_file(source, by_file) and not exists(source):
        problem = "missing"
    return Look(((problem, str(error).removeprefix(f"{source}: ")),))


# Prints: bits that are nearly the same for contents that look the same.

_NEAR = 3  # of the first 64 bits, in which nearly the same contents may differ
_FINER = 8  # and of the bits that follow, one in so many of those that are set
_CROWD = 200  # prints that share a quarter: with more, it is no mark of one content
_LEAST = 8  # words: shorter texts are alike by accident
_WORD = re.compile(r"\w+")
_ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)  # factors that mix bits


def print_of_text(text: str) -> str:
    """64 bits of a text's words, two at a time (simhash, Charikar 2002); "" for a short one.

    Capitals and everything between the words count nothing.
    """
    words = [zlib.crc32(word.encode()) for word in _WORD.findall(text.casefold())]
    if len(words) < _LEAST:
        return ""
    hashes = np.array(words, np.uint64)
    mixed = hashes[:-1] * _ODD[0] + hashes[1:] * _ODD[1]
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _ODD[0]  # so that all bits depend on all
    bits = np.unpackbits((mixed ^ (mixed >> np.uint64(32))).view(np.uint8).reshape(-1, 8), axis=1)
    return np.packbits(bits.mean(0) > 0.5).tobytes().hex()


def groups_of(marks: Iterable[Hashable]) -> list[list[int]]:
    """Positions of two or more that share a mark; what has none (None, "") is in no group."""
    found = defaultdict[Hashable, list[int]](list)
    for i, mark in enumerate(marks):
        if mark:
            found[mark].append(i)
    return [group for group in found.values() if len(group) > 1]


def near_pairs(looks: Sequence[Look]) -> list[tuple[int, int]]:
    """Pairs of looks whose prints are nearly the same, and whose contents are not the same.

    The first 64 bits of two prints differ by 3 at most, so that one of their four quarters is the
    same; what follows by an eighth of the bits that are set in either. Of several looks of one
    content the first stands for all.
    """
    first = {look.digest or str(i): i for i, look in reversed(list(enumerate(looks)))}
    rows = sorted(i for i in first.values() if looks[i].print)
    same = [[rows[i] for i in group] for group in groups_of(looks[i].print for i in rows)]
    found = {(group[0], other) for group in same for other in group[1:]}
    rows = sorted({looks[i].print: i for i in reversed(rows)}.values())
    for start in range(0, 16, 4):  # hexadecimal digits
        for group in groups_of(looks[i].print[start : start + 4] for i in rows):
            if len(group) <= _CROWD:
                pairs = combinations([rows[i] for i in group], 2)
                found |= {(a, b) for a, b in pairs if _is_near(looks[a].print, looks[b].print)}
    return sorted(found)


def _is_near(one: str, other: str) -> bool:
    if (int(one[:16], 16) ^ int(other[:16], 16)).bit_count() > _NEAR:
        return False
    a, b = int(one[16:] or "0", 16), int(other[16:] or "0", 16)
    return _FINER * (a ^ b).bit_count() <= (a | b).bit_count()
