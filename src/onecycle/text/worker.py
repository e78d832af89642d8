"""Texts to numbered tokens, here or in a process of its own: `python -m onecycle.text.worker`.

Such a process imports no program of the user's and unpickles nothing: it reads texts and writes
numbers through its pipes, each block of bytes after its length.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import BinaryIO, NamedTuple

import numpy as np

from onecycle.runtime.inputs.words import tokenize

_END = " "  # no token holds one


class Block(NamedTuple):
    """Some texts' distinct tokens, all tokens as int32 positions in these, tokens of each text."""

    words: list[str]
    ids: np.ndarray
    lengths: np.ndarray


class _Numbers(dict[str, int]):
    """Gives whatever it is asked for the first time the next number."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


def number_tokens(texts: Sequence[str]) -> Block:
    """Tokenize, and number the tokens in the order in which they come up."""
    numbers, parts = _Numbers(), []
    for text in texts:
        tokens = tokenize(text)
        parts.append(np.fromiter(map(numbers.__getitem__, tokens), np.int32, len(tokens)))
    lengths = np.array([len(part) for part in parts], np.int64)
    return Block(list(numbers), np.concatenate(parts), lengths)


def send(pipe: BinaryIO, *blocks: bytes) -> None:
    """Write blocks, each after its length."""
    for block in blocks:
        pipe.write(len(block).to_bytes(8, "little"))
        pipe.write(block)
    pipe.flush()


def receive(pipe: BinaryIO) -> bytes | None:
    """One block; None where the other side has ended."""
    head = pipe.read(8)
    return pipe.read(int.from_bytes(head, "little")) if len(head) == 8 else None


def ask(to: BinaryIO, back: BinaryIO, texts: Sequence[str]) -> Block:
    """What `number_tokens` gives, from the process at the other end."""
    lengths = np.array([len(text) for text in texts], np.int64)
    send(to, lengths.tobytes(), "".join(texts).encode("utf-8", "replace"))
    words, ids, counts = receive(back), receive(back), receive(back)
    if words is None or ids is None or counts is None:
        raise EOFError("the process that tokenizes has ended")
    tokens = words.decode("utf-8").split(_END)
    return Block(tokens, np.frombuffer(ids, np.int32), np.frombuffer(counts, np.int64))


def main() -> None:
    """Answer until the pipe is closed."""
    given, out = sys.stdin.buffer, sys.stdout.buffer
    while (lengths := receive(given)) is not None:
        whole = (receive(given) or b"").decode("utf-8")
        ends = np.cumsum(np.frombuffer(lengths, np.int64)).tolist()
        block = number_tokens([whole[start:end] for start, end in pairwise([0, *ends])])
        send(out, _END.join(block.words).encode(), block.ids.tobytes(), block.lengths.tobytes())


if __name__ == "__main__":
    main()
