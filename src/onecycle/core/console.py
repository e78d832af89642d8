"""What is printed where the output knows some letters only, as Windows' code pages do."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from onecycle.core.errors import UsageError


def print_any_text(output: Any) -> None:
    """From now on letters that an output has not are printed as escapes, such as \\u732b."""
    if isinstance(output, io.TextIOWrapper) and output.errors == "strict":
        output.reconfigure(errors="backslashreplace")


@contextmanager
def exact_text(output: Any, instead: str) -> Iterator[None]:
    """Inside, letters that an output has not are a UsageError that says what to do `instead`."""
    if not isinstance(output, io.TextIOWrapper):
        yield
        return
    before = output.errors
    output.reconfigure(errors="strict")
    try:
        yield
        output.flush()
    except UnicodeEncodeError as error:
        lost = error.object[error.start : error.end][:20]
        raise UsageError(
            f"this output ({output.encoding}) has no {lost!r}, and the rest was not written: "
            f"{instead}, or set PYTHONUTF8=1"
        ) from error
    finally:
        output.reconfigure(errors=before)
