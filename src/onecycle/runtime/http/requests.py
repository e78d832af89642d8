"""From a request to a `Body`, within limits of bytes and seconds."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from onecycle.runtime.http.body import Body, Limits


class Room:
    """Counts the bytes of all bodies in memory, and refuses more than there is room for."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """A function that takes bytes, 503 where there are none left; given back at the end."""
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if self.held + count > self.most:
                detail = "the server holds as many uploads as it can: try again in a second"
                raise HTTPException(503, detail, {"Retry-After": "1"})
            self.held, taken = self.held + count, taken + count

        try:
            yield take
        finally:
            self.held -= taken


async def _bytes_of(request: Request, limits: Limits, take: Callable[[int], None]) -> bytes:
    """The whole body; 413 as soon as it is too large, 408 where it comes too slowly."""
    length = request.headers.get("content-length", "0")
    if not length.isdigit():
        raise HTTPException(400, "Content-Length is not a number")
    if int(length) > limits.body_bytes:
        raise HTTPException(413, f"the body is larger than {limits.body_bytes:,} bytes")
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body_bytes:
                    raise HTTPException(413, f"the body is larger than {limits.body_bytes:,} bytes")
                take(len(part))
                parts.append(part)
    except TimeoutError:
        raise HTTPException(408, f"no whole body within {limits.body_seconds:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection was closed") from None
    return b"".join(parts)


class _InMemory(MultiPartParser):
    """Parts stay in memory: nothing a client sends reaches the disk."""

    spool_max_size = 1 << 30

    def on_headers_finished(self) -> None:
        """A part that says it is an image is a file, also without a file's name."""
        part = self._current_part
        disposition = part.content_disposition or b""
        if (b"content-type", b"image/") in [(k, v[:6]) for k, v in part.item_headers]:
            part.content_disposition = disposition + (
                b"" if b"filename" in disposition else b"; filename=image"
            )
        super().on_headers_finished()


async def body_of(request: Request, limits: Limits, take: Callable[[int], None]) -> Body:
    """What a request holds: a form's files, an object of JSON, or else the body itself."""
    raw = await _bytes_of(request, limits, take)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    media = kind.decode("latin-1").strip().lower()
    if media == "multipart/form-data":
        return Body(await _files_of(request, raw, limits))
    if media == "application/json":
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, f"the body is no JSON ({error})") from None
        return Body(json=found if isinstance(found, dict) else {})
    charset = options.get(b"charset", b"").decode("latin-1")
    return Body((raw,) if raw else (), charset=charset or "utf-8")


async def _files_of(request: Request, body: bytes, limits: Limits) -> tuple[bytes, ...]:
    """The files of a multipart form."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = _InMemory(
        request.headers, stream(), max_files=limits.items, max_fields=8, max_part_size=4096
    )
    try:
        form = await parser.parse()
        uploads = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        return tuple([await upload.read() for upload in uploads])
    except (MultiPartException, KeyError, ValueError, UnicodeError) as error:
        message = getattr(error, "message", None) or "the form cannot be read"
        raise HTTPException(400, str(message)) from None
    finally:
        for file in parser._files_to_close_on_error:  # a part that never ended is in no form
            file.close()


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """An error as application/problem+json (RFC 9457)."""
    body = {"type": "about:blank", "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def headers_of(page: bool = False) -> dict[str, str]:
    """Security headers of every reply."""
    policy = "default-src 'none'; frame-ancestors 'none'"
    if page:
        policy = (
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
            "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
            "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
    return {"Content-Security-Policy": policy}


def number(value: str | None, name: str) -> float | None:
    """A query value from 0 to 1, or None where it is not given."""
    if value is None:
        return None
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise HTTPException(400, f"{name} is a number from 0 to 1, not {value[:40]!r}")
    return found
