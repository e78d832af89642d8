"""The server: the page, and answers to whatever one exported file takes."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onecycle.core.errors import OnecycleError, UsageError
from onecycle.core.machine import require_free_port
from onecycle.runtime.http.batching import Batcher, QueueFullError
from onecycle.runtime.http.body import Limits, RequestError
from onecycle.runtime.http.requests import Room, body_of, headers_of, number
from onecycle.runtime.kinds import object_schema
from onecycle.runtime.predictor import Prediction, Predictor, chunks
from onecycle.runtime.site import HEADERS, look_from_environment, pack_site, write_site

MODEL_VARIABLE = "ONECYCLE_MODEL"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".gz": "application/octet-stream",
    ".br": "application/octet-stream",
}


def from_environment() -> Starlette:
    """The application of the model that ONECYCLE_MODEL names; for servers that import it."""
    return application(os.environ[MODEL_VARIABLE])


def application(model: str | Path, limits: Limits | None = None) -> Starlette:
    """The ASGI application of one model; its page too, where ONNX Runtime Web is at hand."""
    return Service(Path(model), limits or Limits()).application()


class Service:
    """What the routes share: the predictor, its queue, and counters."""

    def __init__(self, model: Path, limits: Limits) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.model, self.limits = model, limits
        self.predictor = Predictor(model)
        self.what = self.predictor.input.files.what
        self.batcher = Batcher(self._run, room=limits.waiting)
        self.room = Room(limits.held_bytes)
        self.registry = CollectorRegistry()
        self.replies = Counter(
            "onecycle_replies", "Replies by status.", ["status"], registry=self.registry
        )
        self.seconds = Histogram(
            "onecycle_seconds", "Seconds per asked image set.", registry=self.registry
        )
        waiting = Gauge("onecycle_waiting", "Images in the queue.", registry=self.registry)
        waiting.set_function(self.batcher.waiting.qsize)
        self.folder = TemporaryDirectory(prefix="onecycle-page-")
        self.why = ""  # there is no page

    def application(self) -> Starlette:
        """Routes, error replies and headers."""
        api = [
            Route("/predict", self.predict, methods=["POST"]),
            Route("/model", self.about),
        ]
        routes: list[Any] = [
            Mount("/api", routes=api),
            *_only("POST", "/analyze", self.analyze),
            *_only("GET", "/healthz", self.health),
            *_only("GET", "/metrics", self.metrics),
            *_only("GET", "/openapi.json", self.openapi),
        ]
        try:
            folder = Path(self.folder.name) / "site"
            site = write_site(self.model, folder, **look_from_environment())
            pack_site(site)
            routes.append(Mount("/", _Page(directory=site, html=True)))
        except OnecycleError as error:  # without the page the rest still serves
            self.why = str(error)
            routes.append(Route("/", self.no_page))
        handlers: dict[Any, Any] = {
            HTTPException: _problem,
            RequestError: _refusal,
            QueueFullError: _busy,
        }
        return Starlette(
            routes=routes,
            lifespan=self._lifespan,
            exception_handlers={**handlers, Exception: _failure},
            middleware=[Middleware(_Outer, replies=self.replies)],
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with self.batcher:
            yield
        self.folder.cleanup()

    def _run(self, asked: Sequence[Any]) -> list[Any]:
        """Answers, or the error of each source that cannot be read; large images one by one."""
        found: list[Any] = []
        for chunk in chunks(map(self._read, asked), len(asked), _bytes_of):
            for thresh, members in groupby(chunk, lambda pair: pair[1]):
                items = [item for item, _ in members]
                good = [item for item in items if isinstance(item, np.ndarray)]
                answers = iter(self.predictor.answers(good, thresh))
                found += [next(answers) if isinstance(i, np.ndarray) else i for i in items]
        return found

    def _read(self, asked: tuple[Any, float | None]) -> tuple[Any, float | None]:
        source, thresh = asked
        try:
            return self.predictor.input.read_upload(source, self.limits), thresh
        except RequestError as error:
            return error, thresh

    async def _ask(self, request: Request, single: bool = False) -> list[Prediction]:
        start = perf_counter()
        thresh = number(request.query_params.get("thresh"), "thresh")
        if thresh is not None and self.predictor.thresh is None:
            raise HTTPException(400, "this model decides by no threshold")
        with self.room.share() as take:
            body = await body_of(request, self.limits, take)
            given = self.predictor.input.sources(body, self.limits)
            if not given:
                raise HTTPException(400, f"there is no {self.what} in the request")
            if single and len(given) > 1:
                detail = f"{len(given)} in one request, one is wanted: /api/predict takes several"
                raise HTTPException(400, detail)
            found = await self.batcher.ask([(data, thresh) for data in given])
        self.seconds.observe(perf_counter() - start)
        for answer in found:
            if isinstance(answer, RequestError):
                raise answer
        return found

    async def predict(self, request: Request) -> Response:
        """Everything in the request, answered."""
        found = await self._ask(request)
        target = self.predictor.target
        replies = [target.reply(one.answer, one.probabilities) for one in found]
        return JSONResponse({"predictions": replies})

    async def analyze(self, request: Request) -> Response:
        """The course's starter app: one image in the field `file`, a text or a series."""
        found = await self._ask(request, single=True)
        return JSONResponse({"result": str(found[0])})

    async def about(self, request: Request) -> Response:
        """What the file says about itself."""
        return JSONResponse(self.predictor.about)

    async def health(self, request: Request) -> Response:
        """Alive."""
        return JSONResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """Counters as Prometheus reads them."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, request: Request) -> Response:
        """The description of the interface."""
        return JSONResponse(describe(self.predictor, self.limits.body_bytes))

    async def no_page(self, request: Request) -> Response:
        """Where ONNX Runtime Web is missing, or the page cannot run this model."""
        raise HTTPException(404, f"there is no page here, POST to /api/predict: {self.why}")


class _Page(StaticFiles):
    """The page's files under the kinds that browsers want, as small as they take them.

    Windows lets any program say what .js is; a script that comes as text is not run.
    """

    def file_response(
        self, full_path: Any, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """A file, named by its ending, or in its place what `pack_site` laid beside it."""
        coding, path = _packed(str(full_path), Headers(scope=scope).get("accept-encoding", ""))
        found = super().file_response(path, os.stat(path), scope, status_code)  # noqa: PTH116
        kind = _KINDS.get(Path(full_path).suffix.lower())
        if kind is not None and "content-type" in found.headers:
            found.headers["content-type"] = kind
        if coding:
            found.headers["content-encoding"] = coding
        found.headers["vary"] = "Accept-Encoding"
        return found


def _packed(path: str, accepted: str) -> tuple[str, str]:
    """The coding in which a file is sent, "" as it is, and the file that holds it so.

    What the page unpacks itself (.gz) may come unpacked: brotli is smaller by a third.
    """
    parts = [part.replace(" ", "").split(";") for part in accepted.lower().split(",")]
    taken = {name for name, *rest in parts if not {"q=0", "q=0.0"} & set(rest)}
    for coding, file in (("br", f"{path.removesuffix('.gz')}.br"), ("gzip", f"{path}.gz")):
        if coding in taken and Path(file).is_file():
            return coding, file
    return "", path


class _Outer:
    """Counts replies and gives each its security headers."""

    def __init__(self, app: ASGIApp, replies: Any) -> None:
        self.app, self.replies = app, replies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        page = not scope["path"].startswith(("/api/", "/analyze", "/metrics", "/healthz"))
        extra = {**HEADERS, **headers_of(page)}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.replies.labels(str(message["status"])).inc()
                pairs = [(k.lower().encode(), v.encode()) for k, v in extra.items()]
                message["headers"] = [*message["headers"], *pairs]
            await send(message)

        return await self.app(scope, receive, send_with_headers)


def _bytes_of(pair: tuple[Any, float | None]) -> int:
    return getattr(pair[0], "nbytes", 0)


def _only(method: str, path: str, endpoint: Any) -> list[Route]:
    """The route of one method, and 405 for all others, which the page below would take."""
    allowed = {method, "HEAD"} if method == "GET" else {method}

    async def refuse(request: Request) -> Response:
        raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})

    return [Route(path, endpoint, methods=[method]), Route(path, refuse, methods=_METHODS)]


def _reply(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """An error as application/problem+json (RFC 9457)."""
    body = {"type": "about:blank", "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _problem(request: Request, error: HTTPException) -> Response:
    return _reply(error.status_code, str(error.detail), dict(error.headers or {}))


def _refusal(request: Request, error: RequestError) -> Response:
    return _reply(error.status, error.detail, error.headers)


def _busy(request: Request, error: QueueFullError) -> Response:
    return _reply(503, f"{error}: try again in a second", {"Retry-After": "1"})


def _failure(request: Request, error: Exception) -> Response:
    return _reply(500, "the server failed; its log says why")


def serve(model: str | Path, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until SIGTERM or Ctrl-C; what was asked before is answered first.

    Connections whose headers take more than five seconds are closed.
    """
    from granian import Granian
    from granian.constants import HTTPModes
    from granian.http import HTTP1Settings

    model = Path(model).resolve()
    Predictor(model)  # a file that cannot be served is refused here, with its reason
    if not 0 < port < 65536:
        raise UsageError(f"a port lies in 1-65535, not {port}")
    require_free_port(host, port)
    os.environ[MODEL_VARIABLE] = str(model)
    Granian(
        "onecycle.runtime.http.server:from_environment",
        address=host,
        port=port,
        interface="asgi",  # type: ignore[arg-type]
        factory=True,
        http=HTTPModes.http1,  # the one whose slow headers are timed
        websockets=False,
        backpressure=512,
        http1_settings=HTTP1Settings(header_read_timeout=5000),
        workers_kill_timeout=10,
    ).serve()


# The server's interface, described as OpenAPI 3.1.

_PROBLEM = {
    "type": "object",
    "required": ["status", "detail"],
    "properties": {"status": {"type": "integer"}, "detail": {"type": "string"}},
}
_THRESH = {
    "name": "thresh",
    "in": "query",
    "description": "Decide above this probability",
    "schema": {"type": "number", "minimum": 0, "maximum": 1},
}


def describe(predictor: Predictor, max_bytes: int) -> dict[str, Any]:
    """The document for one model."""
    given, target = predictor.input, predictor.target
    problem = {
        "description": "What is wrong, as RFC 9457",
        "content": {"application/problem+json": {"schema": _PROBLEM}},
    }
    faults = {str(code): problem for code in (400, 408, 413, 415, 422, 503)}
    answers = {"type": "object", "properties": {"predictions": {"type": "array"}}}
    predict: dict[str, Any] = {
        "summary": f"Answers about what is sent ({given.files.what}, {target.kind})",
        "requestBody": {"required": True, "content": given.bodies(max_bytes)},
        "responses": {"200": _json("The answers", answers), **faults},
    }
    if target.thresh is not None:
        predict["parameters"] = [_THRESH]
    result = {"type": "object", "properties": {"result": {"type": "string"}}}
    analyze = {
        "summary": "One source, one answer as text",
        "requestBody": {"required": True, "content": given.bodies(max_bytes, one=True)},
        "responses": {"200": _json("The answer", result), **faults},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "onecycle", "version": str(predictor.about["library"])},
        "paths": {
            "/api/predict": {"post": predict},
            "/analyze": {"post": analyze},
            "/api/model": {"get": _plain("What the model is")},
            "/healthz": {"get": _plain("Whether the server is alive")},
        },
    }


def _json(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _plain(text: str) -> dict[str, Any]:
    return {"summary": text, "responses": {"200": _json(text, object_schema())}}
