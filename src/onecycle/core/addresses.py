"""Files elsewhere, by their addresses (`s3://bucket/a.jpg`): read by fsspec, kept in a folder.

A file is fetched whole when it is first read, and its copy lies in ~/.cache/onecycle/fetched (or
below ONECYCLE_CACHE), where `defaults.fetched_bytes` bounds all copies together; those that were
asked for longest ago go first. Once in a process, the address is asked whether the copy is still
what lies there (by size, ETag and time, of what the store tells).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from uuid import uuid4

from onecycle.core import paths
from onecycle.core.errors import EmptyDataError, UsageError
from onecycle.core.machine import defaults

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_COLLAPSED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]")  # what pathlib makes of an address
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")
_SIGNED = re.compile(r"(?<=\?)[^\s'\")>]+")
_TRIES = 4
_WAIT = 0.5  # seconds before the second try, and twice as long before each that follows
_PART = ".part"
_STALE = 3600  # seconds without a byte, after which nobody fetches that part any more
_SINCE = time.time()  # copies that were compared later are known to be what lies there
_VERSION = (  # what stores tell of a content, each in its own words
    *("size", "ETag", "etag", "mtime", "created", "LastModified", "last_modified", "oid"),
    *("Last-Modified", "Content-MD5", "Digest", "blob_id", "sha", "hex", "modified", "modify"),
)


class Stored(os.PathLike[str], ABC):
    """Something to be read that is no file of its own here; `os.fspath` gives only its name."""

    @abstractmethod
    def open(self) -> BinaryIO:
        """Its bytes; OSError, which names no secret, where they cannot be had."""

    @abstractmethod
    def version(self) -> str:
        """A text that changes with the content; OSError as for `open`."""

    def unsigned(self) -> str:
        """Its name without what is secret and may be renewed: a password, a signed query."""
        return os.fspath(self)

    @property
    def _path(self) -> PurePosixPath:
        return PurePosixPath(self.unsigned())

    @property
    def name(self) -> str:
        """The last part, as of a path."""
        return self._path.name

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return self._path.stem

    @property
    def suffix(self) -> str:
        """The ending of the name, with its dot."""
        return self._path.suffix

    @property
    def parts(self) -> tuple[str, ...]:
        """Scheme, bucket or host, folders and name."""
        return self._path.parts

    @property
    def parent(self) -> Any:
        """The folder that holds it."""
        return self._path.parent


@dataclass(frozen=True, slots=True)
class Address(Stored):
    """A file or folder elsewhere. As text it shows neither a password nor a signed query."""

    url: str

    def __fspath__(self) -> str:
        return self.url

    def __str__(self) -> str:
        begin = _without_query(self.url)
        return _PASSWORD.sub("...@", begin) + "?..." * (begin != self.url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __truediv__(self, name: object) -> Address:
        if is_address(name):
            return name if isinstance(name, Address) else Address(str(name))
        return Address(f"{self.url.rstrip('/')}/{os.fspath(name)}")  # type: ignore[call-overload]

    def unsigned(self) -> str:
        return _PASSWORD.sub("", _without_query(self.url))

    @property
    def parent(self) -> Address:
        """The folder that holds it."""
        return Address(_without_query(self.url).rstrip("/").rpartition("/")[0])

    def open(self) -> BinaryIO:
        return open_here(self)

    def version(self) -> str:
        return f"{self.url}\0{_kept().version(self)}"

    def local_copy(self) -> Path:
        """A copy of it on this machine, of what lies there now."""
        return _kept().copy_of(self)

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        files, name = _filesystem(self)
        return bool(self._list(lambda: files.isdir(name)))

    def _list(self, ask: Callable[[], Any]) -> Any:
        try:
            return _try(self, ask)
        except OSError as error:
            raise EmptyDataError(f"{self}: its files cannot be listed ({error})") from error

    def below(self, recurse: bool = True) -> list[str]:
        """The names of all files below, in the order of their parts."""
        files, root = _filesystem(self)
        found = self._list(lambda: files.find(root, maxdepth=None if recurse else 1))
        begin = f"{files._strip_protocol(root).rstrip('/')}/"
        names = [name.removeprefix(begin) for name in found if name.startswith(begin)]
        return sorted((name for name in names if name), key=lambda name: name.split("/"))


def is_address(place: object) -> bool:
    """Whether something is an address: an `Address`, or a text such as s3://bucket/photos."""
    return isinstance(place, Address) or (isinstance(place, str) and bool(_ADDRESS.match(place)))


def place_of(path: Any) -> Any:
    """An `Address`, or a path of this machine; UsageError for an address that was made a path."""
    if isinstance(path, Address):
        return path
    if is_address(path):
        return Address(path.rstrip("/"))
    if _COLLAPSED.match(str(path)) and not Path(path).exists():
        raise UsageError(f"{path} was an address: give it as text, since Path() breaks its slashes")
    return paths.Path(path)


def local_folder(place: Any) -> paths.Path:
    """Where to write what belongs to the items of a place: beside them, or here."""
    return paths.Path(".") if isinstance(place, Stored) else paths.Path(place)


def local_file(place: Any) -> Path:
    """A path of this machine, or the copy of what lies at an address; OSError for none."""
    found = place_of(place)
    return found.local_copy() if isinstance(found, Address) else found


def open_here(place: Any) -> BinaryIO:
    """A path, or the copy of an address, opened; a copy that had to make room is fetched again."""
    for _ in range(_TRIES if isinstance(place, Address) else 0):
        copy = local_file(place)
        with suppress(FileNotFoundError):
            return copy.open("rb")
    return local_file(place).open("rb")


def open_binary(source: Any) -> BinaryIO:
    """A file, or what is `Stored`, or lies at an address, opened for reading; OSError if not."""
    if isinstance(source, Stored):
        return source.open()
    if is_address(source):
        return Address(source).open()
    return open(source, "rb")  # noqa: PTH123 - twice as fast as Path, per image


def exists(place: Any) -> bool:
    """Whether there is such a file, also elsewhere; True where that cannot be asked."""
    if not isinstance(place, Stored):
        return Path(place).exists()
    try:
        return bool(place.version())
    except OSError as error:
        return not isinstance(error, FileNotFoundError)


def without_secrets(text: str) -> str:
    """A text whose addresses have lost passwords and queries, in which signatures stand."""
    return _SIGNED.sub("...", _PASSWORD.sub("...@", text))


def _without_query(url: str) -> str:
    """What names the file: on the web all before a ?, which elsewhere may be a part of a name."""
    begin, _, query = url.partition("?")
    return begin if url.startswith("http") or re.match(r"[\w-]+=", query) else url


# Asking a store.


def _filesystem(address: Address) -> tuple[Any, str]:
    """fsspec's, and the address as it is known there."""
    from fsspec.core import url_to_fs

    try:
        return url_to_fs(address.url)
    except ImportError as error:
        raise UsageError(
            f"{address} needs a package ({error}): pip install 'onecycle[remote]' brings those for "
            "s3://, gs://, hf:// and https://"
        ) from error
    except ValueError as error:
        raise UsageError(f"{address} cannot be read: {without_secrets(str(error))}") from None


def _try(address: Address, ask: Callable[[], Any]) -> Any:
    """What a store answers; asked again where it may be the network. OSError without secrets."""
    for wait in range(_TRIES):
        try:
            return ask()
        except Exception as given:  # of any kind: each store has its own
            error = _meant(given)
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{address}: no such file") from None
        said = without_secrets(str(error))
        if isinstance(error, PermissionError) or getattr(error, "status", 0) in (401, 403):
            raise PermissionError(f"not allowed ({said})") from None
        if wait < _TRIES - 1:
            time.sleep(_WAIT * 2**wait)
    raise OSError(f"asked {_TRIES} times, the last answer: {type(error).__name__}: {said}")


def _meant(error: Exception) -> Exception:
    """What went wrong: of a web server fsspec says of any fault that there is no such file."""
    cause = error.__cause__
    of_web = type(cause).__module__.startswith("aiohttp") or isinstance(cause, TimeoutError)
    told = of_web and getattr(cause, "status", 0) not in (404, 410)
    return cause if told and isinstance(cause, Exception) else error


# Copies.


def _kept() -> _Kept:
    return _kept_in(paths.cache_folder("fetched"), defaults.fetched_bytes, os.getpid())


@cache
def _kept_in(folder: Path, most: int | None, process: int) -> _Kept:
    return _Kept(folder, most)  # of each process its own: locks that are held do not fork


class _Kept:
    """Copies in a folder of `most` bytes, or half of what is free there."""

    def __init__(self, folder: Path, most: int | None) -> None:
        self.folder, self._lock = folder, threading.Lock()
        self._locks = [threading.Lock() for _ in range(1024)]
        folder.mkdir(parents=True, exist_ok=True)
        self._coming = 0  # bytes that are being fetched
        self.used = sum(size for _, size, _ in self._copies())
        self.most = self.used + shutil.disk_usage(folder).free // 2 if most is None else most

    def copy_of(self, address: Address) -> Path:
        """A copy of what lies there now; two threads never fetch the same."""
        folder = self._folder_of(address)
        with self._locks[hash(address.url) % len(self._locks)]:
            if copy := _fresh(folder):
                return copy
            info = _info(address)
            copy = folder / _mark(info)
            try:
                os.utime(copy)
            except OSError:
                self._fetch(address, copy, info.get("size"))
            return copy

    def version(self, address: Address) -> str:
        """What is known of the content, without fetching it."""
        copy = _fresh(self._folder_of(address))
        return copy.name if copy else _mark(_info(address))

    def _folder_of(self, address: Address) -> Path:
        return self.folder / _digest(address.url)

    def _fetch(self, address: Address, copy: Path, size: int | None) -> None:
        self._make_room(size or 0)
        try:
            self._fetch_into(address, copy, size)
        finally:
            with self._lock:
                self._coming -= size or 0

    def _fetch_into(self, address: Address, copy: Path, size: int | None) -> None:
        copy.parent.mkdir(parents=True, exist_ok=True)
        part = copy.with_name(f"{uuid4().hex}{_PART}")
        files, name = _filesystem(address)

        def fetch() -> None:
            files.get_file(name, str(part))
            if size is not None and part.stat().st_size != size:
                raise OSError(f"{part.stat().st_size} of {size} bytes came")

        try:
            _try(address, fetch)
            part.replace(copy)
            for other in copy.parent.iterdir():  # what it was before; not what others fetch
                if other.name != copy.name and other.suffix != _PART:
                    other.unlink(missing_ok=True)
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        if size > self.most:
            raise OSError(
                f"{size:,} bytes are more than all copies together may take ({self.most:,}); "
                "defaults.fetched_bytes sets how much that is"
            )
        with self._lock:
            self._coming += size
            self.used += size
            if self.used <= self.most:
                return
            copies = self._copies()  # others may have added or removed some
            self.used = sum(own for _, own, _ in copies) + self._coming
            for _, own, path in copies:
                if self.used <= 0.9 * self.most:
                    return
                with suppress(OSError):  # its folder stays: another process may be filling it
                    path.unlink()
                    self.used -= own

    def _copies(self) -> list[tuple[float, int, Path]]:
        """(time, size, file) of each, the oldest first; also of what a killed process left."""
        found, begun = [], time.time() - _STALE
        for path in self.folder.glob("*/*"):
            with suppress(OSError):
                stat = path.stat()
                if path.suffix != _PART or stat.st_mtime < begun:
                    found.append((stat.st_mtime, stat.st_size, path))
        return sorted(found)


def _fresh(folder: Path) -> Path | None:
    """The copy in a folder that was compared with its original since this process began."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.stat().st_mtime >= _SINCE and not entry.name.endswith(_PART):
                return Path(entry.path)
    return None


def _info(address: Address) -> dict[str, Any]:
    files, name = _filesystem(address)
    found: dict[str, Any] = _try(address, lambda: files.info(name))
    return found


def _mark(info: dict[str, Any]) -> str:
    """What tells one content of an address from another."""
    return _digest("\n".join(f"{name} {info[name]}" for name in _VERSION if name in info))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
