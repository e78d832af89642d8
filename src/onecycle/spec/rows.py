"""A row of a table as a source: the one cell of it that holds the picture, the text or the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onecycle.core.errors import DataError, listing

PICTURES = ("file", "path", "name", "image", "image_name", "filename")
TEXTS = ("text",)


def cell(source: Any, names: Sequence[str]) -> Any:
    """Of a row (of a frame, or a dict): the cell with one of the names, or its only one.

    What is no row is returned as it is. DataError where no cell fits.
    """
    if not hasattr(source, "keys"):
        return source
    keys = list(source.keys())
    found = [name for name in names if name in keys] or (keys if len(keys) == 1 else [])
    if not found:
        raise DataError(f"the row has the columns {listing(keys)}: give one cell, row[...], of it")
    return source[found[0]]
