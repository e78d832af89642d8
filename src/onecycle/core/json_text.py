"""JSON and text from files that anybody may have written."""

import json
from typing import Any, NoReturn


def parse_json(text: str | bytes) -> Any:
    """What JSON says; ValueError for whatever is none.

    As NaN and Infinity, which other readers refuse, half a surrogate pair, which nobody can write
    again, and what lies too deep in each other.
    """
    try:
        found = json.loads(text, parse_constant=_refuse)
        if not is_unicode(json.dumps(found, ensure_ascii=False)):
            raise ValueError("it holds half a surrogate pair")
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold the text: a name that a system gave as bytes may be none."""
    return text.isascii() or text.encode("utf-8", "replace").decode() == text
