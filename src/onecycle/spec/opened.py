"""Files that somebody has opened: their bytes, or an error that says how to open them."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from onecycle.core.errors import DataError


def content_of(file: Any, kind: type[DataError] = DataError) -> bytes:
    """What `file.read()` gives, as bytes; an error of the `kind` where that is something else."""
    name = str(getattr(file, "name", None) or getattr(file, "filename", None) or "the given file")
    try:
        data = file.read()
    except UnicodeDecodeError:
        raise kind(f'{name}: it was opened as text: open(path, "rb") opens its bytes') from None
    except (OSError, ValueError) as error:
        raise kind(f"{name}: cannot be read ({error})") from error
    if isawaitable(data):
        getattr(data, "close", lambda: None)()  # nobody will wait for it
        raise kind(
            f"{name}: its read() has to be awaited: give its bytes, await file.read(), or the file "
            "inside, file.file of an UploadFile"
        )
    if not isinstance(data, bytes | bytearray | memoryview):
        what = type(data).__name__
        raise kind(f'{name}: it gives {what}, not bytes: open(path, "rb") opens its bytes')
    return bytes(data)
