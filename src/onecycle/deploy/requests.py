"""From a request to pictures, texts or series, within limits of bytes, seconds and pixels."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from onecycle.core.errors import DataError, ImageError
from onecycle.deploy.feeds import text_of
from onecycle.spec.pixels import open_pixels, open_size

_NUMBERS = (int, float)
_FORM = "multipart/form-data"
Json = dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """What one request may cost the server."""

    body_bytes: int = 10_000_000
    body_seconds: float = 20.0
    pixels: int = 40_000_000
    pictures: int = 16  # or texts, or series
    characters: int = 100_000
    waiting: int = 64
    held_bytes: int = 200_000_000  # of all bodies that are being read or answered


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


async def body_of(request: Request, limits: Limits, take: Callable[[int], None]) -> bytes:
    """The whole body; 413 as soon as it is too large, 408 where it comes too slowly."""
    told = request.headers.get("content-length", "0")
    if not told.isdigit():
        raise HTTPException(400, "Content-Length is not a number")
    if int(told) > limits.body_bytes:
        raise HTTPException(413, f"the body is larger than {limits.body_bytes:,} bytes")
    parts, length = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                length += len(part)
                if length > limits.body_bytes:
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
        """A part that says it is a picture is a file, also without a file's name."""
        part = self._current_part
        told = part.content_disposition or b""
        if (b"content-type", b"image/") in [(k, v[:6]) for k, v in part.item_headers]:
            part.content_disposition = told + (
                b"" if b"filename" in told else b"; filename=picture"
            )
        super().on_headers_finished()


async def files_of(request: Request, limits: Limits, take: Callable[[int], None]) -> list[bytes]:
    """The pictures of a multipart form, or the one that is the body."""
    body = await body_of(request, limits, take)
    if _kind(request) != _FORM:
        return [body] if body else []

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        parser = _InMemory(
            request.headers, stream(), max_files=limits.pictures, max_fields=8, max_part_size=4096
        )
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, UnicodeError) as error:
        message = getattr(error, "message", None) or "the form cannot be read"
        raise HTTPException(400, str(message)) from None
    try:
        uploads = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        return [await upload.read() for upload in uploads]
    finally:
        await form.close()


async def texts_of(request: Request, limits: Limits, take: Callable[[int], None]) -> list[str]:
    """The texts of a JSON body, {"text": "..."} or {"texts": [...]}, or of the files of a form.

    Any other body is one text, in the `charset` of its type or, as files are, in UTF-8, or UTF-16
    with a mark.
    """
    if _kind(request) == _FORM:
        files = await files_of(request, limits, take)
        return _short([text_of(file) for file in files], limits)
    body, told = await _json_of(request, limits, take)
    if told is None:
        return _short([_decoded(body, request)] if body else [], limits)
    keys = set(told)
    found = told["texts"] if keys == {"texts"} else [told["text"]] if keys == {"text"} else None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise HTTPException(422, 'JSON is {"text": "..."} or {"texts": ["...", "..."]}')
    if len(found) > limits.pictures:
        raise HTTPException(400, f"more than {limits.pictures} texts in one request")
    return _short(found, limits)


async def series_of(request: Request, limits: Limits, take: Callable[[int], None]) -> list[Any]:
    """The series of a JSON body, {"series": [...]}; the files of a form, or the body, are CSV.

    The list holds numbers (null is a gap), or a list of them for each channel, or several series
    of channels.
    """
    if _kind(request) == _FORM:
        return await files_of(request, limits, take)
    body, told = await _json_of(request, limits, take)
    if told is None:
        return [body] if body else []
    found = told["series"] if set(told) == {"series"} else None
    if not isinstance(found, list) or not _numbers(found):
        raise HTTPException(422, 'JSON is {"series": [1.5, 2, null, ...]}')
    if not (found and isinstance(found[0], list) and found[0] and isinstance(found[0][0], list)):
        return [found] if found else []
    if len(found) > limits.pictures:
        raise HTTPException(400, f"more than {limits.pictures} series in one request")
    if not all(isinstance(one, list) for one in found):  # a str would be read as a path
        raise HTTPException(422, "some of the series are no lists")
    return found


def _numbers(found: list[Any], depth: int = 3) -> bool:
    """Lists, at most `depth` in each other, of numbers and nulls; true and false are no numbers."""
    return depth > 0 and all(
        _numbers(one, depth - 1) if isinstance(one, list) else one is None or type(one) in _NUMBERS
        for one in found
    )


async def _json_of(
    request: Request, limits: Limits, take: Callable[[int], None]
) -> tuple[bytes, Json | None]:
    """The body, and the JSON object in it where the request says that it is one."""
    body = await body_of(request, limits, take)
    if _kind(request) != "application/json":
        return body, None
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is no JSON ({error})") from None
    return body, told if isinstance(told, dict) else {}


def _decoded(body: bytes, request: Request) -> str:
    """A body as text; 415 for a charset that Python does not know, or not for texts."""
    _, options = parse_options_header(request.headers.get("content-type", ""))
    charset = options.get(b"charset", b"").decode("latin-1")
    if not charset or charset.lower() in {"utf-8", "utf8"}:
        return text_of(body)
    try:
        return body.decode(charset, "replace")
    except (LookupError, ValueError):
        raise HTTPException(415, f"the charset {charset[:40]!r} is not known: send UTF-8") from None


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _short(texts: list[str], limits: Limits) -> list[str]:
    """The same texts; 413 where one is too long to be read in seconds."""
    if any(len(text) > limits.characters for text in texts):
        raise HTTPException(413, f"a text has more than {limits.characters:,} characters")
    return texts


def curve(given: Any, feed: Any) -> np.ndarray:
    """What a request holds as float32 (channels, t); 422 for what is no series."""
    try:
        return feed.read(given)
    except DataError as error:
        raise HTTPException(422, str(error)) from None


def picture(data: bytes, limits: Limits) -> np.ndarray:
    """An upload as uint8 (h, w, 3); 413 for too many pixels, 422 for what is no picture."""
    try:
        with suppress(ImageError):  # open_pixels says what is wrong
            h, w = open_size(io.BytesIO(data))
            if h * w > limits.pixels:
                raise HTTPException(413, f"{w} x {h} pixels; the limit is {limits.pixels:,}")
        return open_pixels(data)
    except ImageError as error:
        raise HTTPException(422, str(error).replace("the given bytes", "the upload")) from None


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
