"""The server's log: lines of JSON that say what happened, and nothing that a client has sent."""

import json
import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from traceback import extract_tb
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onecycle.runtime.http.requests import headers_of, problem
from onecycle.runtime.site import HEADERS

logger = logging.getLogger("onecycle.server")
ROUTES = (
    *("/api/predict", "/api/model", "/analyze"),
    *("/healthz", "/readyz", "/metrics", "/openapi.json"),
)
_METHODS = ("GET", "HEAD", "POST", "OPTIONS")
_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class JsonLines(logging.Formatter):
    """One object a line: time (UTC), level, event and the record's `fields`.

    Of an exception only its class and where it was raised: its message may quote what was sent.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        found = {"time": when, "level": record.levelname.lower(), "event": record.getMessage()}
        if record.exc_info and record.exc_info[1]:
            found |= _fault(record.exc_info[1])
        return json.dumps(found | getattr(record, "fields", {}))


def _fault(error: BaseException) -> dict[str, Any]:
    frames = extract_tb(error.__traceback__)[-6:]
    where = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames]
    return {"error": type(error).__name__, "at": where}


def configuration() -> dict[str, Any]:
    """What `logging.config.dictConfig` takes so that all of a process writes such lines."""
    lines = {"handlers": ["lines"], "level": "INFO", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {
            "lines": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stdout",
            }
        },
        "loggers": {
            "_granian": dict(lines),
            logger.name: dict(lines),
            # It writes a line for every malformed form, which the client is told anyway.
            "python_multipart": {"level": "CRITICAL", "propagate": False},
        },
        "root": {"handlers": ["lines"], "level": "WARNING"},
    }


class Outer:
    """Gives each reply its headers and its request's id, counts it, and logs it if asked to.

    The id is the client's X-Request-ID where that is 8 to 64 letters, digits, '.', '_' or '-'.
    What fails inside is answered with 500 and logged.
    """

    def __init__(self, app: ASGIApp, replies: Any, log_requests: bool) -> None:
        self.app, self.replies, self.log_requests = app, replies, log_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        seen = _Exchange(scope, receive, send)
        try:
            await self.app(scope, seen.receive, seen.send)
        except Exception as error:
            fields = {"id": seen.id, "route": seen.route, **_fault(error)}
            logger.error("request failed", extra={"fields": fields})
            if seen.status:
                raise  # too late for another reply: the connection is broken off
            await problem(500, "the server failed; its log says why")(scope, receive, seen.send)
        finally:
            self.replies.labels(str(seen.status)).inc()
            if self.log_requests:
                logger.info("request", extra={"fields": seen.fields()})


class _Exchange:
    """A request and its reply, as they pass by."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send, self.start = receive, send, perf_counter()
        given = Headers(scope=scope).get("x-request-id", "")
        self.id = given if _ID.fullmatch(given) else uuid4().hex
        path = scope["path"]
        self.route = path if path in ROUTES else "page"  # others may hold anything
        self.method = scope["method"] if scope["method"] in _METHODS else "other"
        page = self.route == "page" and not path.startswith("/api/")
        own = {**HEADERS, **headers_of(page), "X-Request-ID": self.id}
        self.own = [(k.lower().encode(), v.encode()) for k, v in own.items()]
        self.status = self.came = self.went = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.came += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # A file is handed over by its name, so that its bytes do not come by here.
            self.went = int(dict(message["headers"]).get(b"content-length", 0))
            message["headers"] = [*message["headers"], *self.own]
        await self._send(message)

    def fields(self) -> dict[str, Any]:
        """What the log says of it."""
        return {
            "id": self.id,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "ms": round(1e3 * (perf_counter() - self.start), 1),
            "bytes_in": self.came,
            "bytes_out": self.went if self.method != "HEAD" else 0,
        }
