"""Decoded images as raw bytes on this machine's disk, so that each is decoded in one epoch only."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4
from zlib import crc32

import numpy as np

from onecycle.core.errors import UsageError, require_whole, warn
from onecycle.core.file_cache import file_key
from onecycle.core.paths import cache_folder

_ROW = struct.Struct("<16sQIII")  # key, offset, height, width, checksum of the pixels
_SEGMENT = 1 << 30  # bytes of a file, after which another is begun
_LARGEST = 1 << 24  # bytes of an image; a larger one takes as long to read as to decode
_AGAIN = 10.0  # seconds after which it is asked what others have stored meanwhile
_SMALL = 1 << 15  # bytes of an image of 100 x 100
_ROOM = 1 << 26  # bytes that are left free on the disk
_WRITERS = 64  # programs that may store at once: each takes such a share of the room at a time


class PixelCache:
    """Pixels by file, its size and times, and the rule by which it was decoded.

    It lies in `folder` (None: ~/.cache/onecycle/pixels, or below ONECYCLE_CACHE) and holds `most`
    bytes, by default half of what is free on that disk beside what it holds already; when it is
    opened with more, what was not used for longest goes. Images of more than 16 MB decoded are not
    kept. What fits no more is decoded in every epoch, and a warning says so.

    Any number of programs may use it at once: each appends to files of its own, first an image's
    pixels, then the row that names them, so that a program that is killed leaves whole images
    alone. Each image has a checksum, which is compared whenever it is read. Pixels are read and
    not mapped into memory, where a file cut short by somebody would end the program.
    """

    def __init__(self, folder: str | Path | None = None, most: int | None = None) -> None:
        self.folder = Path(folder or cache_folder("pixels")).absolute()
        if most is not None:
            require_whole("most", most, 1)
        self._index = dict[bytes, _Place]()
        self._files, self._seen = dict[str, int](), dict[str, int]()  # descriptors; bytes read
        self._said = False
        self._opened = list[int]()
        weakref.finalize(self, _close_all, self._opened)
        self._forget_process()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            used = self._used()
            self.most = used + shutil.disk_usage(self.folder).free // 2 if most is None else most
            self._evict(used)
            self._refresh()
        except OSError as error:
            raise UsageError(
                f"cache={str(self.folder)!r} is no folder that can be written ({error.strerror})"
            ) from error

    @classmethod
    def wanted(cls, given: Any) -> PixelCache | None:
        """That of `databunch(cache=...)`: True, a folder, a PixelCache, or none."""
        if given is None or given is False:
            return None
        if isinstance(given, PixelCache):
            return given
        if given is not True and not isinstance(given, str | os.PathLike):
            raise UsageError(f"cache is True, a folder or a PixelCache, not {given!r}")
        return cls(None if given is True else Path(given))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy opens the folder by itself: descriptors and locks are of one object alone."""
        return type(self), (self.folder, self.most)

    def pixels(
        self,
        source: Any,
        rule: str,
        decode: Callable[[], np.ndarray],
        bands: int = 3,
        dtype: Any = np.uint8,
    ) -> np.ndarray:
        """Those of the file `source`, (h, w, bands), stored, or else by `decode()`, and stored.

        The `rule` decides of what number of bands, and of what type, they are.
        """
        if not isinstance(source, str | os.PathLike) or (key := file_key(rule)(source)) is None:
            return decode()  # no file, or one that may be written just now
        if os.getpid() != self._process:
            self._forget_process()  # a forked one: the file that is written is its parent's
        if (found := self._find(key, bands, dtype)) is not None:
            return found
        pixels = decode()
        if pixels.dtype == dtype and pixels.shape[2:] == (bands,):
            self._store(key, pixels)
        return pixels

    def report(self, stacklevel: int = 2) -> None:
        """Warn once if not all images find room."""
        why = self._stopped or self._lack(_SMALL)
        if not why or self._said:
            return
        self._said = True
        warn(
            f"the cache of decoded images in {self.folder} takes no more ({why}): the others are "
            "decoded in every epoch. Give it another folder, cache=PixelCache(folder, most=bytes), "
            "or remove the folder, which is made again",
            stacklevel,
        )

    def _forget_process(self) -> None:
        self._process, self._lock = os.getpid(), threading.Lock()
        self._writer: _Writer | None = None
        self._stopped: str = ""  # why nothing more is stored
        self._said = False
        self._asked = -_AGAIN  # when others' rows were read
        self._left = -1  # bytes that may be stored before it is counted again

    # Reading.

    def _find(self, key: bytes, bands: int, dtype: Any) -> np.ndarray | None:
        place = self._index.get(key)
        if place is None and time.monotonic() - self._asked > _AGAIN:
            with self._lock:
                self._refresh()
            place = self._index.get(key)
        if place is None:
            return None
        pixels = self._read(place, np.empty((place.height, place.width, bands), dtype))
        if pixels is None or crc32(pixels.data) != place.checksum:
            self._index.pop(key, None)
            return None
        return pixels

    def _read(self, place: _Place, pixels: np.ndarray) -> np.ndarray | None:
        with suppress(OSError):
            file = self._file(place.segment)
            if hasattr(os, "preadv"):
                count = os.preadv(file, [pixels.data], place.offset)
            else:
                with self._lock:
                    os.lseek(file, place.offset, os.SEEK_SET)
                    data = os.read(file, pixels.nbytes)
                count = len(data)
                pixels.reshape(-1).view(np.uint8)[:count] = np.frombuffer(data, np.uint8)
            return pixels if count == pixels.nbytes else None
        return None

    def _file(self, segment: str) -> int:
        if segment not in self._files:
            path = self.folder / segment
            self._files[segment] = self._open(path, os.O_RDONLY)
            with suppress(OSError):
                os.utime(path)  # used: it is among the last to go
        return self._files[segment]

    def _open(self, path: Path, flags: int) -> int:
        file = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666)
        self._opened.append(file)
        return file

    def _refresh(self) -> None:
        """Read the rows that were written since the last time, by whomever."""
        self._asked = time.monotonic()
        for rows in sorted(self.folder.glob("*.rows")):
            segment = rows.with_suffix(".pixels").name
            with suppress(OSError), rows.open("rb") as file:
                file.seek(self._seen.get(rows.name, 0))
                data = file.read()
                whole = len(data) // _ROW.size * _ROW.size
                self._seen[rows.name] = self._seen.get(rows.name, 0) + whole
                for key, offset, height, width, checksum in _ROW.iter_unpack(data[:whole]):
                    if 0 < height * width * 3 <= _LARGEST:
                        self._index[key] = _Place(segment, offset, height, width, checksum)

    # Writing.

    def _store(self, key: bytes, pixels: np.ndarray) -> None:
        if pixels.nbytes > _LARGEST or self._stopped:
            return
        with self._lock:
            try:
                self._stopped = self._stopped or self._lack(pixels.nbytes)
                if self._stopped:
                    return
                if self._writer is None or self._writer.end > _SEGMENT:
                    self._writer = self._begin()
                place = self._writer.add(key, np.ascontiguousarray(pixels))
                self._left -= pixels.nbytes
            except OSError as error:
                self._stopped = error.strerror or str(error)
                return
        self._index[key] = place

    def _begin(self) -> _Writer:
        name = f"{socket.gethostname()[:40]}-{os.getpid()}-{uuid4().hex[:8]}"
        pixels, rows = (
            self._open(self.folder / f"{name}.{kind}", os.O_CREAT | os.O_WRONLY)
            for kind in ("pixels", "rows")
        )
        return _Writer(f"{name}.pixels", pixels, rows)

    def _lack(self, size: int) -> str:
        """Why `size` bytes find no room, or nothing; the disk is asked now and then."""
        if self._left < size:
            used, free = self._used(), shutil.disk_usage(self.folder).free
            room = min(self.most - used, free - _ROOM)
            self._left = max(min(room // _WRITERS, _SEGMENT), min(room, size))
            if self.most - used < size:
                return f"it holds {used / 1e9:.3g} of {self.most / 1e9:.3g} GB"
        return "" if self._left >= size else os.strerror(errno.ENOSPC)

    def _used(self) -> int:
        return sum(size for _, size, _ in self._segments())

    def _segments(self) -> list[tuple[float, int, Path]]:
        """(time of last use, size, file), the oldest first."""
        found = []
        for path in self.folder.glob("*.pixels"):
            with suppress(OSError):
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
        return sorted(found)

    def _evict(self, used: int) -> None:
        for _, size, path in self._segments():
            if used <= self.most:
                return
            with suppress(OSError):  # Windows removes no file that is open
                path.with_suffix(".rows").unlink(missing_ok=True)
                path.unlink()
                used -= size


@dataclass(frozen=True, slots=True)
class _Place:
    segment: str
    offset: int
    height: int
    width: int
    checksum: int


@dataclass
class _Writer:
    """A file of pixels, and one of rows that name them; of this process alone."""

    name: str
    pixels: int
    rows: int
    end: int = 0

    def add(self, key: bytes, pixels: np.ndarray) -> _Place:
        """OSError where the disk takes no more; what was written in part has no row."""
        height, width = pixels.shape[:2]
        place = _Place(self.name, self.end, height, width, crc32(pixels.data))
        row = _ROW.pack(key, self.end, height, width, place.checksum)
        for file, data in ((self.pixels, pixels.data.cast("B")), (self.rows, row)):
            if os.write(file, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.end += pixels.nbytes
        return place


def _close_all(files: list[int]) -> None:
    for file in files:
        with suppress(OSError):
            os.close(file)
