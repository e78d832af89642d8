"""A path that can list its folder, as the course's notebooks do with `path.ls()`."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

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
