"""One file from the web, whole or not at all: streamed, resumed, retried and checked."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from onecycle.core.display import bar
from onecycle.core.errors import DownloadError
from onecycle.core.files import hold_alone, require_writable
from onecycle.core.paths import Path as ListablePath
from onecycle.version import __version__

_CHUNK = 1 << 18
_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}
_ARCHIVES = {".zip", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz"}


@dataclass(frozen=True)
class Patience:
    """How often and how long: `tries` without a new byte, `timeout` and the first `pause` in s."""

    tries: int = 5
    timeout: float = 30.0
    pause: float = 1.0


def download(
    url: str,
    dest: str | Path,
    sha256: str | None = None,
    max_bytes: int | None = None,
    patience: Patience = Patience(),
    show: bool = True,
) -> ListablePath:
    """Fetch `url` into the file `dest`; returns its path.

    What has arrived is kept beside it as `dest.part`, and a later call goes on from there if the
    server still has the same file (RFC 9110, Range and If-Range). `dest` appears in one step,
    after length and `sha256` (hexadecimal) have been compared. Raises DownloadError.
    """
    dest = Path(dest)
    if urlsplit(url).scheme not in {"http", "https"}:
        raise DownloadError(f"{url!r} is no http or https address")
    require_writable(dest)
    lock = dest.with_name(f".{dest.name}.lock")
    with hold_alone(lock, f"another process fetches {dest}"):
        part = _Part(url, dest.with_name(f"{dest.name}.part"))
        _until_whole(part, max_bytes, patience, show)
        if sha256 and (found := _digest(part.file)) != sha256.lower():
            part.forget()
            raise DownloadError(
                f"{url}: the SHA-256 is {found}, expected {sha256}; nothing was kept"
            )
        part.file.replace(dest)
        part.forget()
    return ListablePath(dest)


def _until_whole(part: _Part, max_bytes: int | None, patience: Patience, show: bool) -> None:
    failures = 0
    while True:
        before = part.size
        try:
            return part.fetch(max_bytes, patience.timeout, show)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, DownloadError) or not _passing(error):
                raise _explain(part, error) from error
            failures = 1 if part.size > before else failures + 1
            if failures >= patience.tries:
                raise _explain(part, error) from error
            time.sleep(min(30.0, patience.pause * 2 ** (failures - 1)))


def _passing(error: Exception) -> bool:
    return not isinstance(error, HTTPError) or error.code in _WORTH_ANOTHER_TRY


def _explain(part: _Part, error: Exception) -> DownloadError:
    if isinstance(error, DownloadError):
        return error
    reason = f"HTTP {error.code} {error.reason}" if isinstance(error, HTTPError) else str(error)
    kept = f"; {part.size} bytes are kept, the same call goes on from there" if part.size else ""
    return DownloadError(f"{part.url}: {reason or type(error).__name__}{kept}")


class _Part:
    """What has arrived so far, and the server's mark of the version that it belongs to."""

    def __init__(self, url: str, file: Path) -> None:
        self.url, self.file = url, file
        self.note = file.with_name(f"{file.name}.json")

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def forget(self) -> None:
        self.file.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def fetch(self, max_bytes: int | None, timeout: float, show: bool) -> None:
        """One request; raises OSError or HTTPException where not everything came."""
        mark = self._mark()
        if mark is None:
            self.forget()
        headers = {"User-Agent": f"onecycle/{__version__}", "Accept-Encoding": "identity"}
        if mark and self.size:
            headers |= {"Range": f"bytes={self.size}-", "If-Range": mark}
        try:
            answer = urlopen(Request(self.url, headers=headers), timeout=timeout)
        except HTTPError as error:
            if error.code != 416:
                raise
            self.forget()
            raise ConnectionError("the server has another file by now") from error
        with answer:
            self._receive(answer, max_bytes, show)

    def _receive(self, answer: Any, max_bytes: int | None, show: bool) -> None:
        start = self._start(answer)
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        self._refuse(answer, total, max_bytes)
        mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        if mark.startswith("W/"):  # a weak mark does not promise the same bytes
            mark = ""
        self.note.write_text(json.dumps({"url": self.url, "mark": mark}), encoding="utf-8")
        size = start
        with self.file.open("r+b" if start else "wb") as file:
            file.seek(start)
            for chunk in bar(_chunks(answer), total, self.file.stem, show, start, len):
                size += len(chunk)
                if max_bytes is not None and size > max_bytes:
                    raise DownloadError(f"{self.url}: more than {max_bytes} bytes")
                file.write(chunk)
                file.flush()
        if total is not None and size != total:
            raise ConnectionError(f"the connection ended after {size} of {total} bytes")

    def _start(self, answer: Any) -> int:
        """Where these bytes belong: at the end of what is there, or at the beginning."""
        if answer.status != 206:
            return 0
        given = answer.headers.get("Content-Range", "")
        if not given.startswith(f"bytes {self.size}-"):
            self.forget()
            raise ConnectionError(f"asked for bytes from {self.size} on, got {given!r}")
        return self.size

    def _refuse(self, answer: Any, total: int | None, max_bytes: int | None) -> None:
        if max_bytes is not None and total is not None and total > max_bytes:
            raise DownloadError(f"{self.url}: {total} bytes, at most {max_bytes} are wanted")
        is_page = answer.headers.get_content_type() == "text/html"
        if is_page and Path(urlsplit(self.url).path).suffix in _ARCHIVES:
            raise DownloadError(
                f"{self.url}: a web page came instead of an archive; use the direct address"
            )

    def _mark(self) -> str | None:
        """The mark of what is there, or None if it cannot be continued."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return note["mark"] or None if note.get("url") == self.url else None


def _chunks(answer: Any) -> Iterator[bytes]:
    while chunk := answer.read1(_CHUNK):
        yield chunk


def require_digest(file: Path, sha256: str) -> None:
    """DownloadError where a file has another SHA-256 (hexadecimal); the file stays."""
    if (found := _digest(file)) != sha256.lower():
        raise DownloadError(
            f"{file}: the SHA-256 is {found}, expected {sha256}; remove it to fetch it again"
        )


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
