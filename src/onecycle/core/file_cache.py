"""What was found out about files, kept on this machine for as long as they stay as they are."""

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from onecycle.core.addresses import Stored
from onecycle.core.display import bar, in_threads, threaded
from onecycle.core.paths import cache_folder

_MOST = 500_000_000  # bytes of the cache; a larger one is begun anew
_AT_ONCE = 500  # questions to the database, below what SQLite takes
_KEPT_AFTER = 5000  # files: what was found is written so often, so that a kill loses little
_RECENT = 2_000_000_000  # ns: a file changed so lately may change again and keep its time


def look_at_files(
    name: str,
    look: Callable[[Any], Any],
    files: Sequence[str | os.PathLike[str]],
    label: str = "",
    show_from: int = 0,
) -> list[Any]:
    """`look(file)` of each file, by threads; from the cache where it has been asked before.

    What `look` returns is kept as JSON under the `name`, the file's path, size and times; None is
    not kept. A file changed in the last two seconds is looked at again next time. The cache is
    ~/.cache/onecycle/files.sqlite (or in ONECYCLE_CACHE); one that cannot be used only costs time.
    """
    keys = in_threads(file_key(name), files)
    found = _read([key for key in keys if key is not None])
    answers = [found.get(key) for key in keys]
    absent = [i for i, answer in enumerate(answers) if answer is None]
    made = threaded(look, [files[i] for i in absent])
    show = bool(label) and len(absent) >= show_from
    new = list[tuple[bytes | None, Any]]()
    try:
        for i, answer in zip(absent, bar(made, len(absent), label, show), strict=True):
            answers[i] = answer
            new.append((keys[i], answer))
            if len(new) == _KEPT_AFTER:
                _write(new)
                new.clear()
    finally:
        _write(new)
    return answers


class CheckCache:
    """Whether these files, as they are now, passed the check `name`; kept as other looks are."""

    def __init__(self, name: str, files: Sequence[str | os.PathLike[str]]) -> None:
        keys = [key for key in in_threads(file_key(name), files) if key is not None]
        self._key = _digest(b"".join(keys)) if len(keys) == len(files) else None

    def __bool__(self) -> bool:
        return self._key is not None and bool(_read([self._key]))

    def keep(self) -> None:
        """They passed."""
        _write([(self._key, True)])


def file_key(name: str) -> Callable[[Any], bytes | None]:
    """The key of a file as it is now; None where it is not there, or too fresh to be trusted."""
    begin, here, recent = f"{name}\0".encode(), os.getcwd(), time.time_ns() - _RECENT  # noqa: PTH109

    def key(file: Any) -> bytes | None:
        try:
            if isinstance(file, Stored):
                return _digest(begin + file.version().encode("utf-8", "surrogateescape"))
            path = os.fspath(file)
            stat = os.stat(path)  # noqa: PTH116 - a million times
        except (OSError, ValueError):
            return None
        if stat.st_mtime_ns > recent:
            return None
        about = f"{os.path.join(here, path)}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"  # noqa: PTH118
        return _digest(begin + about.encode("utf-8", "surrogateescape"))

    return key


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _open() -> sqlite3.Connection:
    file = cache_folder("files.sqlite")
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.stat().st_size > _MOST:
        file.unlink()
    try:
        return _connect(file)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, or not to be opened
            raise
        file.unlink()  # damaged: it holds nothing that could not be found out again
        return _connect(file)


def _connect(file: Path) -> sqlite3.Connection:
    base = sqlite3.connect(file, timeout=10, isolation_level=None)
    base.execute("PRAGMA synchronous = OFF")  # what a power cut damages is begun anew
    base.execute(
        "CREATE TABLE IF NOT EXISTS looks (key BLOB PRIMARY KEY, found TEXT) WITHOUT ROWID"
    )
    return base


def _read(keys: Sequence[bytes]) -> dict[bytes | None, Any]:
    found = dict[bytes | None, Any]()
    with suppress(OSError, sqlite3.Error, ValueError), closing(_open()) as base:
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            rows = base.execute(f"SELECT key, found FROM looks WHERE key IN ({marks})", part)
            found.update((key, json.loads(text)) for key, text in rows)
    return found


def _write(rows: Iterable[tuple[bytes | None, Any]]) -> None:
    kept = sorted((key, json.dumps(v)) for key, v in rows if key is not None and v is not None)
    if not kept:
        return
    with suppress(OSError, sqlite3.Error, ValueError), closing(_open()) as base:
        base.execute("BEGIN IMMEDIATE")
        base.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?)", kept)
        base.execute("COMMIT")
