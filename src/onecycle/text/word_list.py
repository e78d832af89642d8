"""Published word lists, pickled by others, read by an interpreter that can only make lists.

Nothing is imported, called or constructed: the file's instructions are walked through, and those
that a list of strings does not need are refused before anything is done.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from onecycle.core.errors import WeightsError

_LIMIT = 50_000_000  # bytes
_STEPS = 2_000_000  # instructions: four a word
_TEXTS = {"BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BINUNICODE8"}


def read_word_list(path: str | Path) -> tuple[str, ...]:
    """The words of a pickled list of strings.

    Raises WeightsError for anything else, whatever the file would like to do.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LIMIT:
            raise WeightsError(f"{path}: over {_LIMIT} bytes, too large for a list of words")
        data = path.read_bytes()
        return tuple(_words(path, ((op.name, told) for op, told, _ in pickletools.genops(data))))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    except WeightsError:
        raise
    except Exception as error:  # genops raises many kinds on damaged files
        raise WeightsError(f"{path}: damaged, no list of words ({error})") from error


def _words(path: Path, instructions: Iterable[tuple[str, Any]]) -> list[str]:
    """Walk through a list's instructions: an empty list, marks, texts, appends, and the end."""
    words: list[str] | None = None
    waiting: list[str] = []
    numbers: dict[int, str] = {}  # a text may be referred to again by its number
    for done, (name, argument) in enumerate(instructions):
        if done > _STEPS:
            raise WeightsError(f"{path}: over {_STEPS} instructions, too many for a list of words")
        if name in _TEXTS:
            waiting.append(argument)
        elif name == "EMPTY_LIST" and words is None:
            words = []
        elif name in {"BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"}:
            at = len(numbers) if name == "MEMOIZE" else int(argument)
            numbers[at] = waiting[-1] if waiting else ""
        elif name in {"BINGET", "LONG_BINGET", "GET"} and numbers.get(int(argument)):
            waiting.append(numbers[int(argument)])
        elif name in {"APPENDS", "APPEND"} and words is not None:
            words += waiting
            waiting = []
        elif name == "STOP" and words is not None and not waiting:
            return words
        elif name not in {"PROTO", "FRAME", "MARK"}:
            raise WeightsError(
                f"{path}: not a plain list of words (it has the instruction {name}); it was not "
                "loaded, since such a file can run anything"
            )
    raise WeightsError(f"{path}: not a whole list of words")
