"""Texts that are tokenized once, by all cores, whoever asks: vocabulary, loaders, a saved file.

What is large lies in files: texts in `StoredTexts`, numbers in a memory-mapped temporary file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Self, overload
from warnings import warn

import numpy as np

from onecycle.core.errors import DataError, OnecycleWarning, listing
from onecycle.core.machine import defaults
from onecycle.runtime.inputs.subwords import encode_texts, pieces_of
from onecycle.runtime.inputs.text import text_of
from onecycle.text.worker import Counted, ask, counted

_ANEW = "load the data again, with load_data"
_PIECE = 250_000  # characters that are tokenized at once
_REPLACED = "\ufffd"  # what stands for bytes that could not be decoded
_ALONE = 4  # pieces that are not worth a process


class StoredTexts(Sequence[str]):
    """Texts one after the other in a file as UTF-8, read when they are asked for.

    `ends` int64 are their ends in bytes, counted from `start`. DataError where the file is gone,
    or another one than it was: its bytes would be no texts.
    """

    def __init__(
        self, file: str | Path, ends: np.ndarray, start: int = 0, held: Any = None
    ) -> None:
        self.file, self.ends, self.start, self.held = file, ends, start, held
        self._mark = _mark(os.stat(file)) if len(ends) else None  # noqa: PTH116

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        begin = int(self.ends[index - 1]) if index else 0
        try:
            with open(self.file, "rb") as file:  # noqa: PTH123 - a million times
                if _mark(os.fstat(file.fileno())) != self._mark:
                    raise DataError(f"{self.file} has changed since its texts were opened: {_ANEW}")
                file.seek(self.start + begin)
                return file.read(int(self.ends[index]) - begin).decode("utf-8", "replace")
        except OSError as error:
            raise DataError(f"{self.file}: cannot be read ({error.strerror}): {_ANEW}") from error


def _mark(told: os.stat_result) -> tuple[int, ...]:
    """What a file that was written anew has no more."""
    return told.st_ino, told.st_size, told.st_mtime_ns


class Scratch:
    """A temporary file that goes away with this object."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="onecycle-")
        os.close(handle)
        self.path = Path(name)
        weakref.finalize(self, _forget, self.path)


def _forget(path: Path) -> None:
    with suppress(OSError):  # Windows keeps a file that is still mapped
        path.unlink()


class TextWriter:
    """Adds texts to a temporary file that goes away with the `StoredTexts` made of it."""

    def __init__(self) -> None:
        self.scratch, self.lengths = Scratch(), list[int]()

    def add(self, texts: Iterable[str]) -> None:
        """Write texts behind those that are there."""
        with self.scratch.path.open("ab") as file:
            for text in texts:
                self.lengths.append(file.write(text.encode("utf-8", "replace")))

    def stored(self) -> StoredTexts:
        """The texts written."""
        return StoredTexts(
            self.scratch.path, np.cumsum(self.lengths, dtype=np.int64), 0, self.scratch
        )


@dataclass(frozen=True, eq=False)
class Tokens:
    """All texts' tokens in a row as int32 positions in `words`, and where each text ends."""

    words: Sequence[str]
    flat: np.ndarray
    ends: np.ndarray
    held: Any = None  # what keeps a temporary file alive

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each text."""
        return np.diff(self.ends, prepend=0)

    def of(self, i: int) -> np.ndarray:
        """The tokens of text `i`, as they lie in the file."""
        return self.flat[(self.ends[i - 1] if i else 0) : self.ends[i]]


class Corpus:
    """Sources (texts or paths of files), and their tokens once somebody needs them."""

    def __init__(
        self, sources: Sequence[Any], tokens: Tokens | None = None, tokenizer: str = ""
    ) -> None:
        self.sources = sources
        self._tokens = {} if tokens is None else {tokenizer: tokens}

    def tokens(self, tokenizer: str = "") -> Tokens:
        """Words by our rules, or subwords of a `tokenizer` in JSON."""
        if tokenizer not in self._tokens:
            texts = map(text_of, self.sources)
            found: Iterable[Counted]
            if tokenizer:
                found = (counted_pieces(tokenizer, piece) for piece in pieces(texts))
            else:
                found = tokenized(texts, defaults.cpus)
            self._tokens[tokenizer] = gathered(found)
            self._warn_of_replaced(self._tokens[tokenizer])
        return self._tokens[tokenizer]

    def _warn_of_replaced(self, tokens: Tokens) -> None:
        """Name the files whose bytes were no UTF-8."""
        odd = np.array([_REPLACED in word for word in tokens.words], bool)
        if not odd.any():
            return
        places = np.concatenate(
            [
                np.flatnonzero(odd[tokens.flat[at : at + _PIECE]]) + at
                for at in range(0, len(tokens.flat), _PIECE)
            ]
        )
        rows = np.unique(np.searchsorted(tokens.ends, places, "right"))
        found = (self.sources[int(i)] for i in rows)
        files = [str(source) for source in found if isinstance(source, os.PathLike)]
        if files:
            warn(
                f"{len(files)} files are not UTF-8, or hold the mark of lost characters: "
                f"{listing(files)}. Convert them, or those characters are lost",
                OnecycleWarning,
                stacklevel=2,
            )


class Texts(Sequence[Any]):
    """Some texts of a corpus: the items of a TextList."""

    def __init__(self, corpus: Corpus, rows: np.ndarray | None = None) -> None:
        self.corpus = corpus
        self.rows = np.arange(len(corpus.sources)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, i: int) -> Any: ...
    @overload
    def __getitem__(self, i: slice) -> Self: ...
    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return type(self)(self.corpus, self.rows[i])
        return self.corpus.sources[int(self.rows[i])]

    def take(self, positions: Any) -> Self:
        """Those at `positions`, of the same corpus."""
        return type(self)(self.corpus, self.rows[np.asarray(positions, np.int64)])

    def counts(self, tokenizer: str = "") -> dict[str, int]:
        """How often each token occurs in these texts."""
        tokens = self.corpus.tokens(tokenizer)
        total = np.zeros(len(tokens.words), np.int64)
        for start in range(0, len(self), 1000):
            part = np.concatenate([tokens.of(i) for i in self.rows[start : start + 1000]])
            total += np.bincount(part, minlength=len(total))
        return {word: int(n) for word, n in zip(tokens.words, total, strict=True) if n}


def pieces(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in lists of some hundred thousand characters."""
    held: list[str] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= _PIECE:
            yield held
            held, size = [], 0
    if held:
        yield held


def counted_pieces(tokenizer: str, texts: Sequence[str]) -> Counted:
    """As `counted`, by a tokenizer in JSON, on all cores; `words` are all that it knows."""
    ids = encode_texts(tokenizer, texts)
    lengths = np.array([len(one) for one in ids], np.int64)
    return Counted(list(pieces_of(tokenizer)), np.concatenate(ids).astype(np.int32), lengths)


def tokenized(texts: Iterable[str], workers: int) -> Iterator[Counted]:
    """Each piece's tokens, in order; a few pieces here, more in `workers` processes."""
    given = pieces(texts)
    if len(first := list(islice(given, _ALONE + 1))) <= _ALONE:
        yield from map(counted, first)
        return
    place, started = threading.local(), list[subprocess.Popen[bytes]]()
    command = [sys.executable, "-m", "onecycle.text.worker"]

    def run(piece: list[str]) -> Counted:
        if not hasattr(place, "worker"):
            pipe = subprocess.PIPE
            place.worker = subprocess.Popen(command, stdin=pipe, stdout=pipe)
            started.append(place.worker)
        return ask(place.worker.stdin, place.worker.stdout, piece)

    pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="onecycle-tokens")
    waiting: deque[Future[Counted]] = deque(pool.submit(run, piece) for piece in first)
    try:
        for piece in given:
            waiting.append(pool.submit(run, piece))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for worker in started:
            worker.kill()  # it waits for more, or nobody waits for it
            worker.communicate()


def gathered(found: Iterable[Counted]) -> Tokens:
    """Pieces as one: numbers of all distinct tokens, in memory or, when large, in a file."""
    numbers: dict[str, int] = {}
    lengths, parts = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    scratch = None
    for n, piece in enumerate(found):
        own = [numbers.setdefault(word, len(numbers)) for word in piece.words]
        lengths.append(piece.lengths)
        parts.append(np.array(own, np.int32)[piece.ids])
        if n >= _ALONE:
            scratch = scratch or Scratch()
            with scratch.path.open("ab") as file:
                for part in parts:
                    file.write(part.data)
            parts = []
    ends = np.cumsum(np.concatenate(lengths))
    if scratch is None:
        return Tokens(tuple(numbers), np.concatenate(parts), ends)
    flat = np.memmap(scratch.path, np.int32, "r", shape=(int(ends[-1]),))
    return Tokens(tuple(numbers), flat, ends, scratch)


class Numbered:
    """Texts as ids of a vocabulary; `order` is that of their first tokens or, `backwards`, last."""

    def __init__(self, texts: Texts, spec: Any) -> None:
        self.rows, self.tokens = texts.rows, texts.corpus.tokens(spec.tokenizer)
        look, unknown = spec.numbers.get, spec.unknown
        self.map = np.array([look(word, unknown) for word in self.tokens.words], np.int64)
        self.step = -1 if spec.backwards else 1

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.map[self.tokens.of(int(self.rows[i]))][:: self.step].copy()

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text."""
        return self.tokens.lengths[self.rows]
