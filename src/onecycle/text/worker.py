"""Texts to numbered tokens, here or in a process of its own: `python -m onecycle.text.worker`.

Such a process imports no program of the user's and unpickles nothing: it reads texts and writes
numbers through its pipes, each block after its length.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from onecycle.runtime.inputs.words import tokenize

_LENGTH = struct.Struct("<q")
_END = " "  # no token holds one


class Counted(NamedTuple):
    """Some texts' distinct tokens, all tokens as int32 positions in these, tokens of each text."""

    words: list[str]
    ids: np.ndarray
    lengths: np.ndarray


class _Numbers(dict[str, int]):
    """Gives whatever it is asked for the first time the next number."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


def counted(texts: Sequence[str]) -> Counted:
    """Tokenize, and number the tokens in the order in which they come up."""
    numbers, parts = _Numbers(), []
    for text in texts:
        tokens = tokenize(text)
        parts.append(np.fromiter(map(numbers.__getitem__, tokens), np.int32, len(tokens)))
    lengths = np.array([len(part) for part in parts], np.int64)
    return Counted(list(numbers), np.concatenate(parts), lengths)


def send(pipe: BinaryIO, *blocks: bytes) -> None:
    """Write blocks, each after its length."""
    for block in blocks:
        pipe.write(_LENGTH.pack(len(block)))
        pipe.write(block)
    pipe.flush()


def receive(pipe: BinaryIO) -> bytes | None:
    """One block; None where the other side has ended."""
    head = pipe.read(_LENGTH.size)
    return pipe.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else None


def ask(to: BinaryIO, back: BinaryIO, texts: Sequence[str]) -> Counted:
    """What `counted` gives, from the process at the other end."""
    lengths = np.array([len(text) for text in texts], np.int64)
    send(to, lengths.tobytes(), "".join(texts).encode("utf-8", "replace"))
    words, ids, counts = receive(back), receive(back), receive(back)
    if words is None or ids is None or counts is None:
        raise EOFError("the process that tokenizes has ended")
    said = words.decode("utf-8").split(_END)
    return Counted(said, np.frombuffer(ids, np.int32), np.frombuffer(counts, np.int64))


def main() -> None:
    """Answer until the pipe is closed."""
    given, out = sys.stdin.buffer, sys.stdout.buffer
    while (lengths := receive(given)) is not None:
        whole = (receive(given) or b"").decode("utf-8")
        ends = np.cumsum(np.frombuffer(lengths, np.int64)).tolist()
        texts = [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        words, ids, counts = counted(texts)
        send(out, _END.join(words).encode("utf-8"), ids.tobytes(), counts.tobytes())


if __name__ == "__main__":
    main()
