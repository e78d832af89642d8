"""The studio's server: its page, the data it works on, and the jobs that it starts."""

from collections.abc import Callable
from functools import partial, wraps
from io import BytesIO
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from onecycle.cli.studio import jobs
from onecycle.cli.studio.layout import LAYOUTS
from onecycle.cli.studio.project import Project
from onecycle.cli.studio.runs import Runs
from onecycle.cli.studio.thumbnails import SIDE, Thumbnails
from onecycle.core.errors import OnecycleError, UsageError
from onecycle.core.json_text import parse_json
from onecycle.runtime.http.local import HERE, Door, own_page_only
from onecycle.runtime.inputs.pixels import open_pixels

PAGE = Path(__file__).with_name("page")
_LARGEST = 200_000_000  # bytes of one request
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-src 'self'; media-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_SITE_POLICY = {
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(self)",
    "X-Frame-Options": "SAMEORIGIN",
}
Answer = Callable[..., Any]


def _json(work: Answer) -> Answer:
    """A route of a method that is given the request and its JSON, and returns JSON.

    What the library finds wrong is said with status 400, as one sentence.
    """

    @wraps(work)
    async def answer(self: Any, request: Request) -> Response:
        given: Any = {}
        if request.method == "POST":
            if int(request.headers.get("content-length") or _LARGEST + 1) > _LARGEST:
                raise HTTPException(413, "too much at once")
            try:
                given = parse_json(await request.body())
                if not isinstance(given, dict):
                    raise ValueError("it is no object")
            except ValueError as error:
                raise HTTPException(400, f"not JSON: {error}") from error
        try:
            found = await run_in_threadpool(work, self, request, given)
        except OnecycleError as error:
            return JSONResponse({"error": str(error)}, 400)
        except OSError as error:
            return JSONResponse({"error": f"{error}"}, 500)
        return JSONResponse(jobs.plain(found))

    return answer


class Studio:
    """What the routes share. `project` is None for kinds whose labels are no names of classes."""

    def __init__(self, home: Path, kind: str, source: Path | None, project: Project | None) -> None:
        self.home, self.kind, self.source, self.project = home, kind, source, project
        self.runs = Runs(home, kind, source, project)
        self.thumbnails = Thumbnails(home / "thumbnails")
        self.addresses: list[str] = []
        self._selected: tuple[Any, list[int]] | None = None

    def routes(self) -> list[Any]:
        """All of them; the page's files are below /."""
        own = "/api/runs/{run:int}"
        return [
            Route("/api/project", self.about),
            Route("/api/items", self.items),
            Route("/api/items/{i:int}", self.item),
            Route("/api/change", self.change, methods=["POST"]),
            Route("/api/classes", self.add_class, methods=["POST"]),
            Route("/api/files", self.add_files, methods=["POST"]),
            Route("/api/look", self.look, methods=["POST"]),
            Route("/api/jobs/{name:str}", self.job),
            Route("/api/jobs/{name:str}", self.start_job, methods=["POST"]),
            Route("/api/runs", self.all_runs),
            Route("/api/runs", self.new_run, methods=["POST"]),
            Route(f"{own}/stop", self.stop_run, methods=["POST"]),
            Route(f"{own}/go-on", self.go_on, methods=["POST"]),
            Route(f"{own}/mistakes", self.mistakes),
            Route(f"{own}/masks", self.masks),
            Route(f"{own}/mistakes/rows", self.mistaken),
            Route(f"{own}/decisions", self.decisions, methods=["POST"]),
            Route(f"{own}/jobs/{{name:str}}", self.job),
            Route(f"{own}/jobs/{{name:str}}", self.start_job, methods=["POST"]),
            Route("/thumbnail/{i:int}", self.thumbnail),
            Route("/image/{i:int}", self.image),
            Route("/{what:str}/{run:int}/{i:int}", self.heat),
            Route("/report/{run:int}", self.report),
            Route("/qr.svg", self.qr_code),
            Route("/site/{run:int}/{path:path}", self.site),
            Mount("/", _Page(directory=PAGE, html=True)),
        ]

    # --- data ----------------------------------------------------------------------------------

    @_json
    def about(self, request: Request, given: Any) -> dict[str, Any]:
        """The project as a whole."""
        found: dict[str, Any] = {"kind": self.kind, "home": str(self.home)}
        found |= {"source": str(self.source or ""), "offers": LAYOUTS[self.kind].offers}
        if self.project is None:
            return found | {"addresses": self.addresses}
        with self.project.lock:
            items = self.project.items
            return (
                found
                | {
                    "folder": str(self.project.folder),
                    "own": self.project.source == self.project.images,
                    "delimiter": self.project.delimiter,
                    "classes": self.project.classes,
                    "counts": self.project.counts(),
                    "total": len(items),
                    "out": sum(item.out for item in items),
                    "unlabelled": sum(not item.label and not item.out for item in items),
                    "notes": self.project.notes,
                    "fault": self.project.fault(),
                    "revision": self.project.revision,
                    "labels": str(self.project.labels),
                    "addresses": self.addresses,
                }
                | self.project.more()
            )

    def _project(self) -> Project:
        if self.project is None:
            raise UsageError(f"the labels of {self.kind} are changed in their own files")
        return self.project

    @_json
    def items(self, request: Request, given: Any) -> dict[str, Any]:
        """A window of the items that are asked for."""
        project, asked = self._project(), request.query_params
        first, count = _window(request)
        with project.lock:
            found = self._select(dict(asked))
            rows = [
                {"i": i, "name": it.name, "label": it.label, "side": it.side, "out": it.out}
                | project.content(i)
                for i in found[first : first + count]
                for it in (project.items[i],)
            ]
        return {"total": len(found), "rows": rows, "revision": project.revision}

    @_json
    def item(self, request: Request, given: Any) -> dict[str, Any]:
        """All of one item that is no image."""
        i = request.path_params["i"]
        if i >= len(self._project().items):
            raise UsageError(f"there is no item number {i}")
        return self._project().content(i, whole=True)

    def _select(self, asked: dict[str, str]) -> list[int]:
        """The positions, remembered for the next window of the same question."""
        project = self._project()
        wanted = {k: asked.get(k) for k in ("label", "side", "state", "text", "problem")}
        checked = self.home / "check.json"
        looked = checked.stat().st_mtime_ns if checked.exists() else 0
        key = (tuple(wanted.values()), project.revision, looked)
        if self._selected is None or self._selected[0] != key:
            problem, among = wanted.pop("problem"), None
            if problem:
                rows = (jobs.result(self.home, "check") or {}).get("rows", [])
                bad = {row["name"] for row in rows if row["problem"] == problem}
                among = [i for i, item in enumerate(project.items) if item.name in bad]
            text = wanted.pop("text") or ""
            self._selected = key, project.select(**wanted, text=text, among=among)
        return self._selected[1]

    @_json
    def change(self, request: Request, given: Any) -> dict[str, Any]:
        """Labels, sides, left out; what undoes it."""
        changes = given.get("changes")
        if not isinstance(changes, list):
            raise UsageError("changes are wanted")
        undo = self._project().change(changes)
        return {"undo": undo, "revision": self._project().revision}

    @_json
    def add_class(self, request: Request, given: Any) -> dict[str, Any]:
        """A class more."""
        self._project().add_class(str(given.get("name", "")))
        return {"classes": self._project().classes}

    async def add_files(self, request: Request) -> Response:
        """Images that were dropped, pasted or photographed, as items of a class."""
        if int(request.headers.get("content-length") or _LARGEST + 1) > _LARGEST:
            return JSONResponse({"error": "more than 200 MB at once: send fewer"}, 413)
        try:
            async with request.form(max_files=2000, max_part_size=_LARGEST) as form:
                label = str(form.get("label", ""))
                files = [
                    (part.filename or "image", await part.read())
                    for part in form.getlist("files")
                    if not isinstance(part, str)
                ]
            return JSONResponse(await run_in_threadpool(self._keep, files, label))
        except OnecycleError as error:
            return JSONResponse({"error": str(error)}, 400)
        except OSError as error:
            return JSONResponse({"error": str(error)}, 500)

    def _keep(self, files: list[tuple[str, bytes]], label: str) -> dict[str, Any]:
        good, refused = [], []
        for name, data in files:
            try:
                open_pixels(data)
                good.append((Path(name).name, data))
            except OnecycleError as error:
                refused.append(f"{Path(name).name}: {error}")
        added = self._project().add_images(good, label)
        return {"added": len(added), "again": len(good) - len(added), "refused": refused}

    async def thumbnail(self, request: Request) -> Response:
        """A small image of an item."""
        project, i = self._project(), self._number(request)
        make = partial(project.drawn, i, SIDE)
        try:
            data = await run_in_threadpool(self.thumbnails.of, project.files(i), make)
        except (OnecycleError, OSError) as error:
            return Response(str(error), 404, media_type="text/plain")
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(data, media_type="image/jpeg", headers=headers)

    async def image(self, request: Request) -> Response:
        """An item at a size that a screen shows."""
        try:
            data = await run_in_threadpool(self._project().drawn, self._number(request), 1024)
        except (OnecycleError, OSError) as error:
            return Response(str(error), 404, media_type="text/plain")
        return Response(data, media_type="image/jpeg")

    def _number(self, request: Request) -> int:
        i: int = request.path_params["i"]
        if i >= len(self._project().items):
            raise HTTPException(404, "there is no such image")
        return i

    @_json
    def look(self, request: Request, given: Any) -> dict[str, Any]:
        """Some items as a model would see them, with these settings."""
        from onecycle.cli.studio.looks import LOOKS

        look = LOOKS[LAYOUTS[self.kind].offers["look"]]
        return {"rows": look(self._project(), self.runs.last_model(), given)}

    # --- runs ----------------------------------------------------------------------------------

    @_json
    def all_runs(self, request: Request, given: Any) -> dict[str, Any]:
        """Every training, with its last figures."""
        return {"runs": self.runs.all()}

    @_json
    def new_run(self, request: Request, given: Any) -> dict[str, Any]:
        """Begin a training."""
        return {"run": self.runs.begin(given)}

    @_json
    def stop_run(self, request: Request, given: Any) -> dict[str, Any]:
        """Ask it to stop; nothing is lost."""
        jobs.stop(self.runs.folder(request.path_params["run"]), "train")
        return {}

    @_json
    def go_on(self, request: Request, given: Any) -> dict[str, Any]:
        """Go on where it stopped."""
        self.runs.go_on(request.path_params["run"])
        return {}

    @_json
    def job(self, request: Request, given: Any) -> dict[str, Any]:
        """How a job is, what it has said since `from`, and what it found."""
        folder, name = self._job_of(request)
        offset = _whole(request.query_params.get("from", "0"))
        said, at = jobs.events(folder, name, offset)
        state = jobs.state(folder, name)
        last = jobs.last_words(folder, name) if state == jobs.STOPPED else ""
        return {"state": state, "events": said, "at": at, "result": jobs.result(folder, name)} | {
            "last": last
        }

    @_json
    def start_job(self, request: Request, given: Any) -> dict[str, Any]:
        """Begin a job on the data, or on a run."""
        _, name = self._job_of(request)
        self.runs.start_job(name, given, request.path_params.get("run"))
        return {}

    def _job_of(self, request: Request) -> tuple[Path, str]:
        run, name = request.path_params.get("run"), request.path_params["name"]
        known = ("train", "decide", "ship", "deploy") if run else ("check", "count", "rates")
        if name not in known:
            raise UsageError(f"there is no job {name!r}")
        if run and name == "train" and request.method == "POST":
            raise UsageError("a training goes on by its own address")
        return self.runs.folder(run) if run else self.home, name

    @_json
    def mistakes(self, request: Request, given: Any) -> dict[str, Any]:
        """How a training answered: counts, the matrix, what it answers otherwise than before."""
        return self.runs.mistakes(request.path_params["run"])

    @_json
    def masks(self, request: Request, given: Any) -> dict[str, Any]:
        """Of a training of masks each class, and the worst images."""
        return self.runs.masks(request.path_params["run"])

    @_json
    def mistaken(self, request: Request, given: Any) -> dict[str, Any]:
        """A window of a view, or of a cell of the matrix."""
        first, count = _window(request)
        return self.runs.mistaken(
            request.path_params["run"], dict(request.query_params), first, count
        )

    @_json
    def decisions(self, request: Request, given: Any) -> dict[str, Any]:
        """What a temperature and thresholds would do to the answers for the validation items."""
        from onecycle.cli.studio.looks import decided

        return decided(self.runs.folder(request.path_params["run"]), given)

    async def heat(self, request: Request) -> Response:
        """What the model saw (/seen), where it looked (/heat), and masks (/actual, /predicted)."""
        endings = {"seen": "jpg", "heat": "png"}
        endings |= {"actual": "actual.jpg", "predicted": "predicted.jpg"}
        if request.path_params["what"] not in endings:
            raise HTTPException(404, "there is no such file")
        name = f"{request.path_params['i']}.{endings[request.path_params['what']]}"
        return _file_or_404(self.runs.folder(request.path_params["run"]) / "heat" / name)

    async def report(self, request: Request) -> Response:
        """A run's report."""
        file = self.runs.folder(request.path_params["run"]) / "report.html"
        found = _file_or_404(file)
        found.headers["Content-Security-Policy"] = (
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'"
        )
        return found

    async def site(self, request: Request) -> Response:
        """The page that a run ships, as a host would give it."""
        root = (self.runs.folder(request.path_params["run"]) / "site").resolve()
        asked = request.path_params["path"] or "index.html"
        path = (root / asked.replace("\0", "")).resolve()
        if not path.is_relative_to(root):
            raise HTTPException(404, "there is no such file")
        found = _file_or_404(path)
        kinds = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm"}
        if path.suffix in kinds:
            found.headers["content-type"] = kinds[path.suffix]
        found.headers.update(_SITE_POLICY)
        return found

    async def qr_code(self, request: Request) -> Response:
        """The address for a phone in the same network."""
        try:
            import segno
        except ImportError:
            return Response("pip install 'onecycle[lan]'", 404, media_type="text/plain")
        if not self.addresses:
            return Response("start with --lan", 404, media_type="text/plain")
        buffer = BytesIO()
        segno.make(self.addresses[0], micro=False).save(buffer, kind="svg", scale=5, border=2)
        return Response(buffer.getvalue(), media_type="image/svg+xml")


class _Page(StaticFiles):
    """The page's own files, with the policy under which they run."""

    def file_response(self, *args: Any, **more: Any) -> Response:
        found = super().file_response(*args, **more)
        found.headers["Content-Security-Policy"] = _POLICY
        found.headers["Cache-Control"] = "no-cache"
        found.headers["Referrer-Policy"] = "no-referrer"
        return found


def application(studio: Studio, token: str, hosts: tuple[str, ...] = HERE) -> Starlette:
    """The ASGI application; whoever has not the token is not let in."""
    middleware = [*own_page_only(hosts), Middleware(Door, token=token)]
    wrong: Any = {OnecycleError: _not_there}
    return Starlette(routes=studio.routes(), middleware=middleware, exception_handlers=wrong)


def _not_there(request: Request, error: Exception) -> Response:
    """A file of a training, or an image, that there is none of."""
    return Response(str(error), 404, media_type="text/plain")


def _file_or_404(path: Path) -> Response:
    if not path.is_file():
        raise HTTPException(404, "there is no such file")
    return FileResponse(path)


def _window(request: Request) -> tuple[int, int]:
    """Where it begins, and how many there are in it at most."""
    asked = request.query_params
    return _whole(asked.get("from", "0")), min(_whole(asked.get("count", "200")), 1000)


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise UsageError(f"{text[:30]!r} is no whole number")
    return int(text)
