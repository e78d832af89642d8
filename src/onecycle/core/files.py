"""Files that are either whole or not there: write beside, then move into place."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from onecycle.core.errors import OnecycleError, WriteError


@contextmanager
def write_errors(path: str | Path) -> Iterator[None]:
    """Whatever the system refuses while `path` is written becomes a WriteError that names it."""
    try:
        yield
    except OSError as error:
        if isinstance(error, OnecycleError):
            raise
        raise WriteError(path, error.strerror or str(error)) from error


def require_writable(path: Path, in_place: bool = False) -> None:
    """Make the folders of a file that is to be written later; WriteError where it cannot be.

    What is written beside it and moved into place needs the folder; what is opened `in_place` needs
    the file itself, where there is one.
    """
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        asked = path if in_place and path.exists() else path.parent
        if not os.access(asked, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file, then put it at `path` in one step.

    After a crash at any moment `path` holds the old content or the new one, never a part. Raises
    WriteError where the system refuses.
    """
    with write_errors(path):
        _replace(path, write)


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("r+b") as file:  # Windows syncs what is open for writing alone
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where the system can (Windows and some shares cannot)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # the file is whole and in its place already
                os.fsync(handle)
        finally:
            os.close(handle)
