"""Whole folders for hosts: the static page, or a container with the server that needs no torch."""

import shutil
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from onecycle.core.errors import UsageError, warn
from onecycle.core.files import write_errors, write_folder
from onecycle.export.sbom import bill_of_materials
from onecycle.runtime.file import read
from onecycle.runtime.kinds import InputSpec
from onecycle.runtime.site import variable_of, write_site
from onecycle.runtime.task import task_from_json
from onecycle.runtime.web_runtime import CPU, page_folder, runtime_folder

STATIC = ("vercel", "netlify", "pages")
CONTAINERS = ("docker", "spaces", "render")
PACKAGES = (
    "granian",
    "numpy",
    "onnxruntime",
    "pillow",
    "prometheus-client",
    "python-multipart",
    "simplejpeg",
    "starlette",
)
_PAGE_BYTES = 20_000_000  # at most, with ONNX Runtime Web
_COMMANDS = {
    "vercel": "npx vercel deploy --prod {out}",
    "netlify": "npx netlify deploy --prod --dir {out}",
    "pages": "cd {out} && git init -b gh-pages && git add -A && git commit -m site "
    "&& git push --force YOUR-REPOSITORY gh-pages",
    "docker": "docker build -t onecycle-app {out} && docker run --rm --read-only --tmpfs /tmp "
    "--cap-drop ALL --security-opt no-new-privileges -p 8000:8000 onecycle-app",
    "spaces": "hf upload YOUR-NAME/YOUR-SPACE {out} --repo-type space",
    "render": "cd {out} && git init && git add -A && git commit -m app "
    "&& git push YOUR-REPOSITORY HEAD:main, then New > Blueprint on Render",
}
_MAIN = '''"""Serve model.onnx on the port that PORT names; ONECYCLE_... say who may ask."""

import os

from onecycle.runtime.http.server import serve
from onecycle.runtime.http.settings import Settings

{look}if __name__ == "__main__":
    host, port = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "{port}"))
    cert, key = os.environ.get("ONECYCLE_CERT"), os.environ.get("ONECYCLE_KEY")
    files = (cert, key) if cert or key else None
    model = os.environ.get("ONECYCLE_MODEL", "model.onnx")
    serve(model, host, port, Settings.from_environment(), files)
'''
_HEALTH = '''"""Exit with 0 where the server in this container is alive."""

import os
import ssl
from urllib.request import urlopen

scheme = "https" if os.environ.get("ONECYCLE_CERT") else "http"
trust = ssl._create_unverified_context()  # the name in the certificate is not 127.0.0.1
address = f"{{scheme}}://127.0.0.1:{{os.environ.get('PORT', '{port}')}}/healthz"
urlopen(address, timeout=4, context=trust if scheme == "https" else None)
'''
_COMPOSE = """# docker compose up --build
services:
  app:
    build: .
    ports: ["8000:8000"]
    restart: unless-stopped  # the server ends itself where its worker dies again and again
    read_only: true
    tmpfs: ["/tmp:size={tmp}m"]  # the page is laid out there
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    mem_limit: 1g
    logging:
      driver: json-file
      options: {{max-size: 10m, max-file: "3"}}
    environment:
      ONECYCLE_RATE: "120"  # requests a minute of one client
      ONECYCLE_PROXIES: "0"  # 1 behind one proxy of yours that adds X-Forwarded-For
      ONECYCLE_LOG_REQUESTS: "1"
      # ONECYCLE_TOKENS: made by `openssl rand -hex 16`; nobody without it is let in
"""
_DOCKERFILE = """FROM python:3.12-slim
RUN useradd --no-create-home --uid 1000 app
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --no-compile -r requirements.txt
COPY . .
# the model is tried, and only the modules that it needs are compiled
RUN python -c "from onecycle.runtime.http.server import application; application('model.onnx')"
USER app
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE {port}
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "health.py"]
CMD ["python", "main.py"]
"""
_SPACE = """---
title: {title}
sdk: docker
app_port: {port}
---
"""
_RENDER = """services:
  - type: web
    name: onecycle-app
    runtime: docker
    healthCheckPath: /healthz
"""


def write_recipe(
    model: str | Path,
    to: str,
    out: str | Path,
    title: str | None = None,
    theme: str | Path | None = None,
    icon: str | Path | None = None,
    examples: str | Path | None = None,
) -> str:
    """Write into `out`, a new or empty folder, what host `to` needs; returns the command to run.

    The last four are those of `write_site`. Raises ModelError for files that `Predictor` refuses,
    UsageError for an unknown host, a folder that holds something, or where ONNX Runtime Web is
    missing for a static host.
    """
    if to not in STATIC + CONTAINERS:
        raise UsageError(f"--to is one of {', '.join(STATIC + CONTAINERS)}, not {to!r}")
    model, out = Path(model), Path(out)
    with write_errors(out):
        if to in STATIC:
            write_site(model, out, title, theme, icon, examples)
        else:
            files = {"theme": theme, "icon": icon, "examples": examples}
            _container(model, to, out, title, {k: Path(v) for k, v in files.items() if v})
    return _COMMANDS[to].format(out=out)


def _container(model: Path, to: str, out: Path, title: str | None, own: dict[str, Any]) -> None:
    data, about = read(model)
    given, _ = task_from_json(about["task"])
    if title or own:
        with TemporaryDirectory() as folder:  # a look that does not do is refused here
            write_site(model, Path(folder) / "site", title, **own)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} holds something already: give a new folder")
    write_folder(out, lambda folder: _fill(folder, data, given, to, title, own))


def _fill(
    out: Path, data: bytes, given: InputSpec, to: str, title: str | None, own: dict[str, Path]
) -> None:
    """What the host needs, into an empty folder."""
    versions, needs = installed_versions([*PACKAGES, *given.packages])
    pins = "".join(f"{name}=={number}\n" for name, number in sorted(versions.items()))
    port = 7860 if to == "spaces" else 8000
    (out / "model.onnx").write_bytes(data)
    texts = {
        "requirements.txt": pins,
        "main.py": _MAIN.format(port=port, look=_copy_look(out, title, own)),
        "health.py": _HEALTH.format(port=port),
        "Dockerfile": _DOCKERFILE.format(port=port),
        ".dockerignore": ".git\n__pycache__\n",
    }
    if to == "spaces":
        texts["README.md"] = _SPACE.format(title="onecycle app", port=port)
    if to == "render":
        texts["render.yaml"] = _RENDER
    if to == "docker":
        sites = 2 * (len(data) + _PAGE_BYTES)  # two, while a model is replaced
        texts["compose.yaml"] = _COMPOSE.format(tmp=64 + sites // 1_000_000)
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    _modules(out / "onecycle", given.page_scripts)
    files = [out / "model.onnx", *sorted((out / "onecycle/runtime/page/ort").glob("*"))]
    (out / "sbom.cdx.json").write_text(bill_of_materials(versions, needs, files), "utf-8")


def _copy_look(out: Path, title: str | None, own: dict[str, Path]) -> str:
    """What is the page's own into the folder; the line of the program that names it."""
    look = {variable_of("title"): title} if title else {}
    for name, file in own.items():
        place = f"page-{name}{file.suffix}"
        (shutil.copytree if file.is_dir() else shutil.copyfile)(file, out / place)
        look[variable_of(name)] = place
    return f"os.environ.update({look!r})\n\n" if look else ""


def installed_versions(names: Iterable[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The versions here of some packages and of all that they need, and what each of them needs."""
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    arrows: dict[str, list[str]] = {}
    left = list(names)
    while left:
        name = left.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name], needs = version(name), requires(name) or ()
        except PackageNotFoundError as error:
            raise UsageError(f"{name} is not installed here: pip install {name}") from error
        given = [Requirement(need) for need in needs]
        asked = [r.name for r in given if r.marker is None or r.marker.evaluate({"extra": ""})]
        arrows[name] = [need.lower().replace("_", "-") for need in asked]
        left += asked
    return found, arrows


def _modules(to: Path, scripts: Sequence[str]) -> None:
    """Copy the half of the package that runs without torch, with the page if it is at hand."""
    package = Path(__file__).parents[1]
    to.mkdir()
    for file in package.glob("*.py"):
        shutil.copyfile(file, to / file.name)
    skipped = shutil.ignore_patterns("__pycache__", "page")
    for room in ("core", "runtime"):
        shutil.copytree(package / room, to / room, ignore=skipped)
    try:
        runtime = runtime_folder()
    except UsageError as error:
        warn(f"the container answers requests, but has no page: {error}", 7)
        return
    shutil.copytree(page_folder(), to / "runtime" / "page", ignore=shutil.ignore_patterns("ort"))
    (to / "runtime" / "page" / "ort").mkdir()
    for file in runtime.iterdir():
        if file.name in (*CPU.files, *scripts):
            shutil.copyfile(file, to / "runtime" / "page" / "ort" / file.name)
