"""The server: the page, and answers to whatever one exported file takes."""

import asyncio
import os
import shutil
import signal
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count, groupby
from multiprocessing import active_children
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from onecycle.core.errors import OnecycleError, UsageError
from onecycle.core.machine import require_free_port
from onecycle.runtime.http.batching import Batcher, QueueFullError
from onecycle.runtime.http.body import Limits, RequestError
from onecycle.runtime.http.guard import Guard
from onecycle.runtime.http.log import Outer, configuration
from onecycle.runtime.http.openapi import describe
from onecycle.runtime.http.renewal import Renewal
from onecycle.runtime.http.requests import Room, body_of, number, problem
from onecycle.runtime.http.settings import Settings
from onecycle.runtime.predictor import Prediction, Predictor, chunks
from onecycle.runtime.site import look_from_environment, pack_site, write_site

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
    """The application of the model that ONECYCLE_MODEL names; for servers that import it.

    The other variables are those of `Settings.from_environment`.
    """
    return application(os.environ[MODEL_VARIABLE], settings=Settings.from_environment())


def application(
    model: str | Path, limits: Limits | None = None, settings: Settings | None = None
) -> Starlette:
    """The ASGI application of one model; its page too, where ONNX Runtime Web is at hand.

    A model file that is replaced is served from then on, if it is a good one.
    """
    return Service(Path(model), limits or Limits(), settings or Settings()).application()


@dataclass(frozen=True)
class Served:
    """A model and its page; `why` there is none."""

    predictor: Predictor
    page: ASGIApp | None
    why: str = ""


@dataclass(frozen=True)
class Asked:
    """What waits for its answer: a source, and the model and threshold of its request."""

    predictor: Predictor
    source: Any
    thresh: float | None


class Service:
    """What the routes share: the model, its queue, and counters."""

    def __init__(
        self, model: Path, limits: Limits, settings: Settings, folder: Path | None = None
    ) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.limits, self.settings = limits, settings
        self.folder = TemporaryDirectory(prefix=f"onecycle-page-{os.getpid()}-", dir=folder)
        self.sites = count()
        try:
            self.renewal = Renewal(model, self._load)
        except BaseException:
            self.folder.cleanup()
            raise
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
        self.runs = False

    def _load(self, model: Path) -> Served:
        """The model, tried, and its page in a folder of its own; the one before the last goes."""
        predictor, at = Predictor(model), next(self.sites)
        predictor.warm()
        folder = Path(self.folder.name)
        shutil.rmtree(folder / str(at - 2), ignore_errors=True)
        try:
            site = write_site(model, folder / str(at), **look_from_environment())
            pack_site(site)
        except OnecycleError as error:  # without the page the rest still serves
            return Served(predictor, None, str(error))
        return Served(predictor, _Page(directory=site, html=True))

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
            *_only("GET", "/readyz", self.ready),
            *_only("GET", "/metrics", self.metrics),
            *_only("GET", "/openapi.json", self.openapi),
            Mount("/", self.page),
        ]
        handlers: dict[Any, Any] = {
            HTTPException: _problem,
            RequestError: _refusal,
            QueueFullError: _busy,
        }
        outer = Middleware(Outer, replies=self.replies, log_requests=self.settings.log_requests)
        others = Middleware(
            CORSMiddleware,
            allow_origins=self.settings.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type", "X-Request-ID"),
            expose_headers=("Retry-After", "X-Request-ID"),
        )
        guard = Middleware(Guard, settings=self.settings)
        inner = [others, guard] if self.settings.origins else [guard]
        return Starlette(
            routes=routes,
            lifespan=self._lifespan,
            exception_handlers=handlers,
            middleware=[outer, *inner],
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        watcher = asyncio.create_task(self.renewal.watch())
        async with self.batcher:
            self.runs = True
            yield
            self.runs = False
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
        self.folder.cleanup()

    def _run(self, asked: Sequence[Asked]) -> list[Any]:
        """Answers, or the error of each source that cannot be read; large images one by one."""
        found: list[Any] = []
        for chunk in chunks(map(self._read, asked), len(asked), _bytes_of):
            for (predictor, thresh), members in groupby(chunk, lambda pair: pair[1]):
                items = [item for item, _ in members]
                good = [item for item in items if isinstance(item, np.ndarray)]
                answers = iter(predictor.answers(good, thresh))
                found += [next(answers) if isinstance(i, np.ndarray) else i for i in items]
        return found

    def _read(self, asked: Asked) -> tuple[Any, tuple[Predictor, float | None]]:
        by = asked.predictor, asked.thresh
        try:
            return asked.predictor.input.read_upload(asked.source, self.limits), by
        except RequestError as error:
            return error, by

    async def _ask(
        self, request: Request, predictor: Predictor, single: bool = False
    ) -> list[Prediction]:
        start = perf_counter()
        thresh = number(request.query_params.get("thresh"), "thresh")
        if thresh is not None and not predictor.target.takes_threshold:
            raise HTTPException(400, "this model decides by no threshold")
        with self.room.share() as take:
            body = await body_of(request, self.limits, take)
            given = predictor.input.sources(body, self.limits)
            if not given:
                raise HTTPException(400, f"there is no {predictor.input.files.what} in the request")
            if single and len(given) > 1:
                detail = f"{len(given)} in one request, one is wanted: /api/predict takes several"
                raise HTTPException(400, detail)
            found = await self.batcher.ask([Asked(predictor, data, thresh) for data in given])
        self.seconds.observe(perf_counter() - start)
        for answer in found:
            if isinstance(answer, RequestError):
                raise answer
        return found

    async def predict(self, request: Request) -> Response:
        """Everything in the request, answered."""
        predictor = self.renewal.now.predictor
        found = await self._ask(request, predictor)
        replies = [predictor.target.reply(one.answer, one.probabilities) for one in found]
        return JSONResponse({"predictions": replies})

    async def analyze(self, request: Request) -> Response:
        """The course's starter app: one image in the field `file`, a text or a series."""
        found = await self._ask(request, self.renewal.now.predictor, single=True)
        return JSONResponse({"result": str(found[0])})

    async def about(self, request: Request) -> Response:
        """What the file says about itself."""
        return JSONResponse(self.renewal.now.predictor.about)

    async def health(self, request: Request) -> Response:
        """Alive."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Whether another request would be answered now: the model runs, and there is room."""
        if not self.runs or self.batcher.waiting.full():
            why = "the queue is full" if self.runs else "the server is starting or stopping"
            raise HTTPException(503, why, {"Retry-After": "1"})
        return JSONResponse({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """Counters as Prometheus reads them."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, request: Request) -> Response:
        """The description of the interface."""
        predictor = self.renewal.now.predictor
        return JSONResponse(describe(predictor, self.limits.body_bytes, self.settings))

    async def page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page's files; 404 where ONNX Runtime Web is missing or the page cannot run this."""
        served = self.renewal.now
        if served.page is None:
            raise HTTPException(404, f"there is no page here, POST to /api/predict: {served.why}")
        await served.page(scope, receive, send)


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


def _bytes_of(pair: tuple[Any, Any]) -> int:
    return getattr(pair[0], "nbytes", 0)


def _only(method: str, path: str, endpoint: Any) -> list[Route]:
    """The route of one method, and 405 for all others, which the page below would take."""
    allowed = {method, "HEAD"} if method == "GET" else {method}

    async def refuse(request: Request) -> Response:
        raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})

    return [Route(path, endpoint, methods=[method]), Route(path, refuse, methods=_METHODS)]


def _problem(request: Request, error: HTTPException) -> Response:
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))


def _refusal(request: Request, error: RequestError) -> Response:
    return problem(error.status, error.detail, error.headers)


def _busy(request: Request, error: QueueFullError) -> Response:
    return problem(503, f"{error}: try again in a second", {"Retry-After": "1"})


def serve(
    model: str | Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    settings: Settings | None = None,
    tls: tuple[str | Path | None, str | Path | None] | None = None,
    max_memory: int | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; what was asked before is answered first.

    `tls` are the files of certificate and key. A worker that dies, or holds more than `max_memory`
    MB, is replaced. Connections whose headers take more than five seconds are closed. On SIGHUP
    the model file is read again.
    """
    from granian import Granian
    from granian.constants import HTTPModes
    from granian.http import HTTP1Settings

    model, settings = Path(model).resolve(), settings or Settings()
    Predictor(model)  # a file that cannot be served is refused here, with its reason
    if not 0 < port < 65536:
        raise UsageError(f"a port lies in 1-65535, not {port}")
    require_free_port(host, port)
    files = [Path(file) for file in tls or () if file]
    if tls and len(files) < 2:
        raise UsageError("certificate and key go together: TLS needs both files")
    with TemporaryDirectory(prefix="onecycle-serve-") as pages:
        try:
            server = Granian(
                "onecycle",  # the target is what `_worker` makes
                address=host,
                port=port,
                interface="asgi",  # type: ignore[arg-type]
                http=HTTPModes.http1,  # the one whose slow headers are timed
                websockets=False,
                backpressure=512,
                http1_settings=HTTP1Settings(header_read_timeout=5000, max_buffer_size=65536),
                log_dictconfig=configuration(),
                respawn_failed_workers=True,
                workers_max_rss=max_memory,
                workers_kill_timeout=10,
                ssl_cert=files[0] if files else None,
                ssl_key=files[1] if files else None,
            )
        except OSError as error:  # an error of ssl does not say of which file it is
            named = " and ".join(map(str, files))
            raise UsageError(f"{named} cannot be used for TLS: {error}") from error
        server.on_startup(_pass_on_hangups)
        load = partial(_worker, model, settings, Path(pages))
        server.serve(target_loader=load, wrap_loader=False)


def _worker(model: Path, settings: Settings, pages: Path) -> Starlette:
    """The application in a process of its own; the pages of workers that were killed go."""
    warnings.simplefilter("ignore")  # they are about uploads: a stranger could fill the log
    service = Service(model, Limits(), settings, pages)
    if os.name == "posix":  # elsewhere there is no SIGHUP, and os.kill(..., 0) would end a process
        signal.signal(signal.SIGHUP, lambda *_: setattr(service.renewal, "asked", True))
        for folder in pages.iterdir():
            try:
                os.kill(int(folder.name.split("-")[2]), 0)
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)
    return service.application()


def _pass_on_hangups() -> None:
    """The workers read the model again; granian would stop them, though the file be a bad one."""

    def pass_on(*_: object) -> None:
        for worker in active_children():
            os.kill(worker.pid or 0, signal.SIGHUP)

    if os.name == "posix":
        signal.signal(signal.SIGHUP, pass_on)
