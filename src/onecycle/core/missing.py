"""Why files may not be found under a name that people read as theirs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import PurePath
from unicodedata import normalize

from onecycle.core.errors import listing

_MOST = 200  # names that are looked into


def hint_of_names(names: Iterable[str]) -> str:
    """Advice on names that no file has: those written with the backslashes of Windows."""
    slashed = [name for name in names if "\\" in name]
    if not slashed:
        return ""
    return (
        f" {len(slashed)} of these names hold backslashes, as Windows writes paths: write / in "
        r"their place, frame[column].str.replace('\\', '/')"
    )


def hint_of_missing(paths: Iterable[str | os.PathLike[str]]) -> str:
    """Advice on files that are missing, empty where nothing like them is there.

    Besides backslashes: accents (macOS writes a letter and its accent apart), and capitals.
    """
    names = [os.fspath(path) for path in islice(paths, _MOST)]
    if hint := hint_of_names(names):
        return hint
    folders: dict[str, dict[str, str]] = {}
    found = [(name, near) for name in names if (near := _near(name, folders))]
    if not found:
        return ""
    accents = [name for name, near in found if normalize("NFC", name) == normalize("NFC", near)]
    what = "Unicode forms of accented letters (NFC and NFD)" if accents else "capitals"
    shown = listing(near for _, near in found)
    return (
        f" {len(found)} of these files are there in other {what}, which this system tells apart: "
        f"{shown}. Make the names alike"
        + (", frame[column].str.normalize('NFC') or 'NFD'" if accents else "")
    )


def _near(path: str, folders: dict[str, dict[str, str]]) -> str:
    """The path that is there and reads the same but for capitals and accents' forms, or nothing."""
    pure = PurePath(path)
    found = pure.anchor or "."
    for part in pure.parts[1:] if pure.anchor else pure.parts:
        if found not in folders:
            folders[found] = {_folded(name): name for name in _listed(found)}
        there = os.path.lexists(os.path.join(found, part))  # noqa: PTH118 - text in, text out
        name = part if there else folders[found].get(_folded(part), "")
        if not name:
            return ""
        found = os.path.join(found, name)  # noqa: PTH118
    return found


def _folded(name: str) -> str:
    return normalize("NFC", name).casefold()


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names, not paths
    except OSError:
        return []
