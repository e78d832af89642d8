"""Texts that are tokenized once, by all cores, whoever asks: vocabulary, loaders, a saved file.

What is large lies in files: texts in `StoredTexts`, numbers in a memory-mapped temporary file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Self

import numpy as np

from onecycle.core.errors import DataError, listing, warn
from onecycle.core.machine import defaults
from onecycle.runtime.inputs.subwords import encode_texts, pieces_of
from onecycle.runtime.inputs.text import text_of
from onecycle.text.worker import Block, ask, number_tokens

_ANEW = "load the data again, with load_data"
_PIECE = 250_000  # characters that are tokenized at once
_REPLACED = "\ufffd"  # what stands for bytes that could not be decoded
_ALONE = 4  # pieces that are not worth a process


@dataclass(frozen=True, eq=False)
class Text:
    """A text that can show itself; `data` are its ids, int64 (tokens,), where it has some."""

    text: str
    data: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def show(self, ax: Any = None, figsize: tuple[float, float] = (6, 2)) -> Any:
        """Write the beginning of the text into axes."""
        import textwrap

        from onecycle.core.plot import axes, drawable

        ax = axes(ax, figsize)
        shown = "\n".join(textwrap.wrap(self.text, 40)[:9])
        ax.text(0, 1, drawable(shown), va="top", fontsize=7, wrap=True, transform=ax.transAxes)
        ax.axis("off")
        return ax

    def __repr__(self) -> str:
        return self.text


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

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        begin, end = int(self.ends[index - 1]) if index else 0, int(self.ends[index])
        try:
            with open(self.file, "rb") as file:  # noqa: PTH123 - a million times
                if _mark(os.fstat(file.fileno())) != self._mark:
                    raise DataError(f"{self.file} has changed since its texts were opened: {_ANEW}")
                file.seek(self.start + begin)
                return file.read(end - begin).decode("utf-8", "replace")
        except OSError as error:
            raise DataError(f"{self.file}: cannot be read ({error.strerror}): {_ANEW}") from error


def _mark(stat: os.stat_result) -> tuple[int, ...]:
    """What a file that was written anew has no more."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


class Scratch:
    """A temporary file that goes away with this object, or later where it is still mapped."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="onecycle-")) / "data"
        weakref.finalize(self, rmtree, self.path.parent, ignore_errors=True)


class TextWriter:
    """Adds texts to a temporary file that goes away with the `StoredTexts` made of it."""

    def __init__(self) -> None:
        self.scratch, self.lengths = Scratch(), list[int]()

    def add(self, texts: Iterable[str]) -> None:
        """Write texts behind those that are there."""
        with self.scratch.path.open("ab") as file:
            for text in texts:
                self.lengths.append(file.write(text.encode("utf-8", "replace")))

    def finish(self) -> StoredTexts:
        """The texts written."""
        ends = np.cumsum(self.lengths, dtype=np.int64)
        return StoredTexts(self.scratch.path, ends, 0, self.scratch)


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
            blocks = number_all(map(text_of, self.sources), defaults.cpus, tokenizer)
            self._tokens[tokenizer] = join_blocks(blocks)
            self._warn_of_replaced(self._tokens[tokenizer])
        return self._tokens[tokenizer]

    def _warn_of_replaced(self, tokens: Tokens) -> None:
        """Name the files whose bytes were no UTF-8."""
        odd = np.array([_REPLACED in word for word in tokens.words], bool)
        if not odd.any():
            return
        rows = [i for i in range(len(tokens.ends)) if odd[tokens.of(i)].any()]
        found = (self.sources[i] for i in rows)
        files = [str(source) for source in found if isinstance(source, os.PathLike)]
        if files:
            message = (
                f"{len(files)} files are not UTF-8, or hold the mark of lost characters: "
                f"{listing(files)}. Convert them, or those characters are lost"
            )
            warn(message, 2)


class Texts(Sequence[Any]):
    """Some texts of a corpus: the items of a TextList."""

    def __init__(self, corpus: Corpus, rows: np.ndarray | None = None) -> None:
        self.corpus = corpus
        self.rows = np.arange(len(corpus.sources)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return type(self)(self.corpus, self.rows[i])
        return self.corpus.sources[int(self.rows[i])]

    @classmethod
    def of(cls, sources: Sequence[Any]) -> Texts:
        """The items of a TextList as they are; others as texts of their own."""
        if isinstance(sources, Texts):
            return sources
        return cls(
            Corpus([source.text if isinstance(source, Text) else source for source in sources])
        )

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


def number_all(texts: Iterable[str], workers: int, tokenizer: str = "") -> Iterator[Block]:
    """Each piece's tokens, in order: words of a few pieces here, of more in `workers` processes.

    A `tokenizer` in JSON uses all cores by itself; the words of its blocks are all that it knows.
    """
    given = pieces(texts)
    if tokenizer:
        words = list(pieces_of(tokenizer))
        for ids in (encode_texts(tokenizer, piece) for piece in given):
            lengths = np.array([len(one) for one in ids], np.int64)
            yield Block(words, np.concatenate(ids).astype(np.int32), lengths)
        return
    first = list(islice(given, _ALONE + 1))
    alone = len(first) <= _ALONE
    yield from map(number_tokens, first) if alone else _by_processes(chain(first, given), workers)


def _by_processes(given: Iterable[list[str]], workers: int) -> Iterator[Block]:
    """Each piece's tokens, in order; the processes end with the pass."""
    place, started = threading.local(), list[subprocess.Popen[bytes]]()

    def run(piece: list[str]) -> Block:
        if not hasattr(place, "worker"):  # of this thread
            command, pipe = [sys.executable, "-m", "onecycle.text.worker"], subprocess.PIPE
            place.worker = subprocess.Popen(command, stdin=pipe, stdout=pipe)
            started.append(place.worker)
        return ask(place.worker.stdin, place.worker.stdout, piece)

    pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="onecycle-tokens")
    waiting: deque[Future[Block]] = deque()
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


def join_blocks(blocks: Iterable[Block]) -> Tokens:
    """Blocks as one: numbers of all distinct tokens, in memory or, when large, in a file."""
    numbers: dict[str, int] = {}
    lengths, parts = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    scratch = None
    for n, block in enumerate(blocks):
        own = [numbers.setdefault(word, len(numbers)) for word in block.words]
        lengths.append(block.lengths)
        parts.append(np.array(own, np.int32)[block.ids])
        if n >= _ALONE:
            scratch = scratch or Scratch()
            with scratch.path.open("ab") as file:
                file.writelines(part.data for part in parts)
            parts = []
    ends = np.cumsum(np.concatenate(lengths))
    if scratch is None:
        return Tokens(tuple(numbers), np.concatenate(parts), ends)
    flat = np.memmap(scratch.path, np.int32, "r", shape=(int(ends[-1]),))
    return Tokens(tuple(numbers), flat, ends, scratch)


class NumberedTexts:
    """Texts as ids of a vocabulary; those that are read `backwards` begin with their last token."""

    def __init__(self, texts: Texts, spec: Any) -> None:
        self.rows, self.tokens = texts.rows, texts.corpus.tokens(spec.tokenizer)
        look, unknown = spec.numbers.get, spec.unknown
        self.map = np.array([look(word, unknown) for word in self.tokens.words], np.int64)
        self.step = -1 if spec.backwards else 1

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.part(i, 0, None)

    def part(self, i: int, start: int, end: int | None) -> np.ndarray:
        """Ids of text `i` from one of its tokens to before another, int64."""
        return self.map[self.tokens.of(int(self.rows[i]))[:: self.step][start:end]]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text."""
        return self.tokens.lengths[self.rows]
