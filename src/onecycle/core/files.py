"""Files that are either whole or not there: write beside, then move into place."""

import errno
import os
import shutil
import socket
import tempfile
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from time import sleep, time
from typing import Any
from zlib import crc32

from onecycle.core.addresses import local_file
from onecycle.core.errors import OnecycleError, TableError, UsageError, WriteError, warn


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


def write_folder(out: Path, fill: Callable[[Path], None], last: Sequence[str] = ()) -> None:
    """Let `fill` fill a temporary folder, then put it at `out`, in one step where that is new.

    Into a folder that has something its files go one by one, each in one step and the `last` in
    their order, so that what names the others comes after them. Raises WriteError where the system
    refuses.
    """
    with write_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(out)
        how = {"prefix": _mark(out), "suffix": ".tmp"}
        temporary = Path(tempfile.mkdtemp(dir=out.parent, **how))
        try:
            fill(temporary)
            temporary.chmod(0o777 & ~_umask())
            if not out.exists():
                _move(temporary, out)
                return
            made = [file.relative_to(temporary) for file in temporary.rglob("*") if file.is_file()]
            order = {name: number for number, name in enumerate(last)}
            for file in sorted(made, key=lambda file: order.get(file.as_posix(), -1)):
                (out / file).parent.mkdir(parents=True, exist_ok=True)
                _move(temporary / file, out / file)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _mark(path: Path) -> str:
    """How the names of temporary files for `path` begin, of this process."""
    return f".{path.name[:_NAME]}.{_HOST}-{os.getpid()}-"


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_mark(path), suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("r+b") as file:  # Windows syncs what is open for writing alone
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        _move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


_WAITS = (0.01, 0.02, 0.05, 0.1, 0.3, 0.6)  # seconds


def _move(temporary: Path, path: Path) -> None:
    """Put it into its place, also where somebody reads the old file: Windows refuses meanwhile."""
    for wait in _WAITS:
        with suppress(PermissionError):
            temporary.replace(path)
            return
        sleep(wait)
    temporary.replace(path)


_HOST = f"{crc32(socket.gethostname().encode()):08x}"
_NAME = 180  # characters of a file's name in that of its temporary one
_MINUTE = 60.0


def _remove_left_behind(path: Path) -> None:
    """Temporary files for `path` of programs on this machine that were killed while they wrote.

    One that has changed within the last minute stays: another container may be writing it.
    """
    for file in path.parent.glob(f".{escape(path.name[:_NAME])}.{_HOST}-*.tmp"):
        number = file.name.rsplit("-", 2)[-2]
        with suppress(OSError, ValueError):
            if time() - file.stat().st_mtime > _MINUTE and not _is_alive(int(number)):
                shutil.rmtree(file) if file.is_dir() else file.unlink()


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # a signal 0 would end the process there
        return process == os.getpid()
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def hold_alone(path: Path, what: str, remove: bool = True) -> Iterator[None]:
    """Nobody else holds `path` meanwhile; UsageError, which says `what`, where somebody does.

    The lock is the system's and ends with the process, however that ends; folders that know no
    locks are written without. With `remove` the file is gone afterwards.
    """
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    ours = False
    try:
        ours = _lock(file)
        if not ours:
            raise UsageError(f"{what}; wait for it, or give another name")
        yield
    finally:
        if ours and remove:
            with suppress(OSError):  # Windows removes no file that is open
                path.unlink()
        file.close()


def _lock(file: Any) -> bool:
    """Whether the file is ours; True too where the system cannot say."""
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except BlockingIOError:
        return False
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EDEADLK)
    return True


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


# How the bytes of a text are to be read.


def encoding_by_mark(begin: bytes) -> str:
    """UTF-16 where a text's first bytes are its mark, else UTF-8, whose mark is left out."""
    return "utf-16" if begin[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def encoding_of(path: Path, name: object = None) -> str:
    """UTF-8, UTF-16 with its mark, or else Latin-1 with a warning; the file is read in pieces.

    `name` is what messages call it.
    """
    name = path if name is None else name
    try:
        with path.open("rb") as file:
            encoding = encoding_by_mark(file.read(2))
            file.seek(0)
            decoder = getincrementaldecoder(encoding)()
            while piece := file.read(1 << 22):
                decoder.decode(piece)
            decoder.decode(b"", True)
    except OSError as error:
        raise TableError(f"{name}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        warn(f"{name} is not UTF-8; read as Latin-1", 3)
        return "latin-1"
    return encoding


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file in any of the encodings that tables come in."""
    try:
        file = local_file(path)
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error})") from error
    encoding = encoding_of(file, path)  # raises for a file that cannot be read
    text = file.read_bytes().decode(encoding)
    if "\0" in text:
        raise TableError(f"{path}: cannot be read as text: it holds bytes that no text has")
    return text.splitlines()
