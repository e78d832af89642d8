"""A path that can list its folder, as the course's notebooks do with `path.ls()`."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING

from onecycle.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path as _SystemPath
else:
    _SystemPath = type(pathlib.Path())  # the class of this system's paths


class Path(_SystemPath):
    """`pathlib.Path` with `ls()`; whatever is derived from it (`path/'train'`) has it too."""

    __slots__ = ()

    def ls(self) -> list[Path]:
        """The folder's entries, sorted by name."""
        return ls(self)


def ls(folder: str | pathlib.Path) -> list[Path]:
    """The entries of `folder`, sorted by name."""
    return sorted(Path(entry) for entry in pathlib.Path(folder).iterdir())


def own_folder(variable: str, name: str) -> Path:
    """The environment's `variable`, or `name` in the user's home; UsageError without a home."""
    try:
        return Path(os.environ.get(variable) or pathlib.Path.home() / name)
    except RuntimeError as error:
        raise UsageError(
            f"this user has no home folder to hold {name}, as in some containers: set {variable}, "
            "or HOME, to a folder that can be written"
        ) from error


def cache_folder(name: str) -> Path:
    """`name` below ONECYCLE_CACHE, or ~/.cache/onecycle."""
    return own_folder("ONECYCLE_CACHE", ".cache/onecycle") / name
