"""A static site that runs the model in the browser: a folder to put on any host."""

import hashlib
import html
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onecycle.core.errors import ModelError, UsageError
from onecycle.core.files import write_errors, write_folder
from onecycle.runtime.file import read
from onecycle.runtime.kinds import InputSpec, TargetSpec
from onecycle.runtime.look import ICONS, check_theme, make_icons, read_examples
from onecycle.runtime.task import task_from_json
from onecycle.runtime.web_runtime import (
    CPU,
    GPU,
    digest,
    gpu_probe,
    pack,
    page_folder,
    part,
    runtime_folder,
    site_files,
)

LOOK = ("title", "theme", "icon", "examples")  # what `write_site` takes besides a model
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",  # with the next one the model uses several threads
    "Cross-Origin-Embedder-Policy": "require-corp",
}
_WRITTEN = ("manifest.webmanifest", "model.json")
_LASTING = "public, max-age=31536000, immutable"
_TEXTS = {".html", ".js", ".mjs", ".css", ".json", ".svg", ".webmanifest"}
_DRAWN = "icon.svg"


def write_site(
    model: str | Path,
    out: str | Path,
    title: str | None = None,
    theme: str | Path | Mapping[str, Any] | None = None,
    icon: str | Path | None = None,
    examples: str | Path | None = None,
    gpu: bool = False,
) -> Path:
    """Write page, model and runtime into `out`, a new folder or an older site; returns it.

    `theme` (a JSON file or its content, see `check_theme`) maps classes to a smiley that is drawn
    beside the answer. `icon` is a square image of 180 pixels or more. `examples` is a folder of up
    to 12 items that visitors may try; they are published as they are. A kind from outside the
    package brings its module as its class's `page`; the page's `kinds.js` says what modules export.
    With `gpu` the page computes by WebGPU where a browser has it (6.6 MB more to fetch there), once
    the GPU has answered an input of noise as this machine's processor did (within 1e-3); else on
    the device's processor, as without.
    Raises ModelError for files that `Predictor` refuses and for kinds without a module, DataError
    for an example that the model cannot take, UsageError for a theme, icon or number of examples
    that does not do, and where `out` holds something else.
    """
    data, about = read(model)
    given, target = task_from_json(about["task"])
    smileys = {} if theme is None else check_theme(theme, target)
    if fault := given.page_fault():
        raise ModelError(fault)
    sources = _sources(given, target)
    (parts, large), out = _large_parts(data, given, gpu), Path(out)
    shown, tried = read_examples(examples, given)
    title = title or Path(model).stem.replace("-", " ").replace("_", " ").capitalize()
    files = {place: file.read_bytes() for place, file in sources.items()} | tried
    files |= {**make_icons(icon), **large}
    details = {**about, "title": title, "theme": smileys, "examples": shown, **parts}
    if icon is not None:
        del files[_DRAWN]
    old = _old_parts(out)
    names_others = ("index.html", "model.json", "sw.js")
    write_folder(out, lambda to: _fill(to, files, details), last=names_others)
    with write_errors(out):
        _remove_old(old - {out / place for place in files}, out / "ort")
    return out


def look_from_environment() -> dict[str, Any]:
    """How the page of a server looks: ONECYCLE_TITLE, _THEME, _ICON and _EXAMPLES."""
    return {name: os.environ.get(variable_of(name)) for name in LOOK}


def variable_of(name: str) -> str:
    """The environment variable that stands for one of LOOK."""
    return f"ONECYCLE_{name.upper()}"


def _large_parts(
    data: bytes, given: InputSpec, gpu: bool
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the page is told of model and runtimes, and their files by place."""
    built, files = site_files(CPU, given.page_scripts)
    name, packed = f"model.{digest(data)}.onnx", pack(data)
    parts = {"model": part(name, packed), "runtime": built}
    if gpu:
        told, more = site_files(GPU)
        parts["gpu"] = told | {"probe": gpu_probe(data, given)}
        files |= more
    return parts, files | {f"{name}.gz": packed}


def pack_site(site: Path) -> None:
    """Lay beside the files of a site what a server may send in their place, smaller.

    That is .gz of its texts, and of ONNX Runtime Web .br, where `make web` made it.
    """
    for file in site.rglob("*"):
        if file.suffix in _TEXTS:
            file.with_name(f"{file.name}.gz").write_bytes(pack(file.read_bytes()))
    brotli = runtime_folder() / f"{CPU.wasm}.br"
    if brotli.is_file():
        for packed in (site / "ort").glob(f"*/{CPU.wasm}.gz"):
            shutil.copyfile(brotli, packed.with_name(brotli.name))


def _sources(given: InputSpec, target: TargetSpec) -> dict[str, Path]:
    """The page's files by their place in the site, with the modules of kinds from outside.

    Raises ModelError for a kind without a module, UsageError where its `page` is no file.
    """
    page = page_folder()
    files = {f.relative_to(page).as_posix(): f for f in page.rglob("*") if f.is_file()}
    found = {name: f for name, f in files.items() if not name.startswith(("ort/", "sw.js"))}
    for role, kind in (("inputs", given), ("targets", target)):
        name, own = f"{role}/{kind.kind}.js", kind.page
        if own is not None and not Path(own).is_file():
            raise UsageError(f"{type(kind).__name__}.page is {own}, which is no file")
        if own is not None and not re.fullmatch(r"[a-z_]+", kind.kind):
            raise UsageError(f"a kind's name is of small letters and _, not {kind.kind!r}")
        if own is None and name not in found:
            known = sorted(Path(file).stem for file in found if file.startswith(f"{role}/"))
            raise ModelError(
                f"the page has no module for {kind.kind!r}, it has {role} {', '.join(known)}: let "
                f"{type(kind).__name__}.page be the path of one"
            )
        found[name] = found[name] if own is None else Path(own)
    return found


def _fill(out: Path, files: Mapping[str, bytes], details: dict[str, Any]) -> None:
    """The page's files, the model's among them, and what the page reads about it."""
    for place, content in files.items():
        (out / place).parent.mkdir(parents=True, exist_ok=True)
        (out / place).write_bytes(content)
    text = files["index.html"].decode().replace("@TITLE@", html.escape(details["title"]))
    if _DRAWN not in files:
        text = text.replace('"icon.svg" type="image/svg+xml"', '"icon-180.png" type="image/png"')
    (out / "index.html").write_bytes(text.encode())
    _json(out / "model.json", details)
    _json(out / "manifest.webmanifest", _manifest(details["title"], _DRAWN in files))
    large = {name: details[name]["file"] for name in ("model", "runtime", "gpu") if name in details}
    home = details["gpu"]["folder"] if "gpu" in large else None
    rest = sorted({*files, *_WRITTEN} - {f"{file}.gz" for file in large.values()})
    _service_worker(out, rest, [*large.values()], home)
    _hosts(out)


def _old_parts(out: Path) -> set[Path]:
    """What of an older site of ours a new one does not name; UsageError for any other folder."""
    ours = (out / "model.json").is_file() and (out / "sw.js").is_file()
    if not ours and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} holds something already: give a new folder")
    if not ours:
        return set()
    shown = json.loads((out / "model.json").read_text(encoding="utf-8")).get("examples", ())
    examples = [out / "examples" / Path(one["file"]).name for one in shown]
    parts = [*out.glob("model.*.onnx"), *out.glob("model.*.onnx.gz"), *(out / "ort").rglob("*")]
    return {file for file in [*parts, *examples] if file.is_file()}


def _remove_old(files: set[Path], runtimes: Path) -> None:
    """Those files, and the folders of older runtimes that are empty then."""
    for file in files:
        file.unlink(missing_ok=True)
    for place in runtimes.iterdir():
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def _json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _manifest(title: str, ours: bool) -> dict[str, Any]:
    """An icon of one's own may reach to its edges: no circle is cut out of it."""
    drawn = {"src": _DRAWN, "sizes": "any", "type": "image/svg+xml", "purpose": "any"}
    purpose = "maskable" if ours else "any"
    pixels = [
        {"src": f"icon-{n}.png", "sizes": f"{n}x{n}", "type": "image/png", "purpose": purpose}
        for n in ICONS
    ]
    return {
        "name": title,
        "short_name": title[:12],
        "start_url": ".",
        "display": "standalone",
        "background_color": "#f6f7f6",
        "theme_color": "#0f766e",
        "icons": [*[drawn][:ours], *pixels],
    }


def _service_worker(out: Path, files: Sequence[str], parts: Sequence[str], gpu: str | None) -> None:
    """Lists the page's own files, and is another one whenever any of them is.

    Nothing that a host, git or an older site put beside them is listed: a listed file that a host
    does not give away would keep the page from working without a network. `parts` are named after
    their content. What is in the folder `gpu` is for devices that have one.
    """
    whole = hashlib.sha256("".join(parts).encode())
    for file in files:
        whole.update((out / file).read_bytes())
    source = (page_folder() / "sw.js").read_text(encoding="utf-8")
    source = source.replace("@VERSION@", whole.hexdigest()[:12])
    source = source.replace("@FILES@", json.dumps([".", *files]))
    source = source.replace("@PARTS@", json.dumps(parts)).replace("@GPU@", json.dumps(gpu))
    (out / "sw.js").write_text(source, encoding="utf-8")


def _hosts(out: Path) -> None:
    """What Vercel, Netlify and GitHub Pages want to find."""
    rows = [{"key": k, "value": v} for k, v in HEADERS.items()]
    lasting = [{"key": "Cache-Control", "value": _LASTING}]
    _json(
        out / "vercel.json",
        {
            "headers": [
                {"source": "/(.*)", "headers": rows},
                {"source": "/(model\\..*\\.gz|ort/.*)", "headers": lasting},
            ]
        },
    )
    lines = ["[build]", '  publish = "."', "", "[[headers]]", '  for = "/*"', "  [headers.values]"]
    lines += [f'    {key} = "{value}"' for key, value in HEADERS.items()]
    lines += ["", "[[headers]]", '  for = "/ort/*"', "  [headers.values]"]
    lines.append(f'    Cache-Control = "{_LASTING}"')
    (out / "netlify.toml").write_text("\n".join(lines) + "\n", "utf-8")
    (out / ".nojekyll").touch()
