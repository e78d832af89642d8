"""Folders beside those of the classes that hold nothing: classes that were meant, and are none."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any
from warnings import warn

from onecycle.core.errors import OnecycleWarning, listing


def warn_of_empty_folders(items: Iterable[Any], root: str | PurePath) -> None:
    """Say which folders below `root` lie beside those of these files, and hold no file at all."""
    folders = {PurePath(item).parent for item in items if isinstance(item, os.PathLike)}
    taken = {folder for own in folders for folder in (own, *own.parents)}
    empty = [
        path
        for place in sorted({folder.parent for folder in folders})
        if place.is_relative_to(root)  # of a file in `root` itself the place is outside
        for path in _folders_in(place)
        if path not in taken and not path.name.startswith(".") and _is_empty(path)
    ]
    if empty:
        warn(
            f"{len(empty)} folders beside those of the {len(folders)} taken as classes hold no "
            f"file, so that there is nothing of {listing(path.name for path in empty)}: "
            f"{listing(empty)}. Put items into them, or remove them",
            OnecycleWarning,
            stacklevel=3,
        )


def _folders_in(place: PurePath) -> list[PurePath]:
    try:
        with os.scandir(place) as entries:
            return sorted(PurePath(entry.path) for entry in entries if entry.is_dir())
    except OSError:  # it cannot be listed, though files in it can be read
        return []


def _is_empty(folder: PurePath) -> bool:
    return not any(names for _, _, names in os.walk(folder))
