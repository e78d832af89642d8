"""A static site that runs the model in the browser: a folder to put on any host."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onecycle.core.errors import ModelError, UsageError
from onecycle.core.files import write_errors
from onecycle.core.json_text import is_unicode, parse_json
from onecycle.runtime.file import read
from onecycle.runtime.kinds import InputSpec, TargetSpec
from onecycle.runtime.task import task_from_json

ORT = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "X-Frame-Options": "DENY",
}
_WRITTEN = ("manifest.webmanifest", "model.json")
_LASTING = "public, max-age=31536000, immutable"


def page_folder() -> Path:
    """Where the page's sources are: in the package, or beside it in a source checkout."""
    inside = Path(__file__).with_name("page")
    return inside if inside.is_dir() else Path(__file__).parents[3] / "web" / "page"


def runtime_folder() -> Path:
    """Where ONNX Runtime Web is; UsageError that says how to get it."""
    inside = page_folder() / "ort"
    checkout = page_folder().parent / "node_modules" / "onnxruntime-web" / "dist"
    for folder in (inside, checkout):
        if all((folder / name).is_file() for name in ORT):
            return folder
    raise UsageError(
        "ONNX Runtime Web is not here: it comes with a released onecycle; in a source checkout "
        "`make web` fetches it (needs npm)"
    )


def write_site(
    model: str | Path,
    out: str | Path,
    title: str | None = None,
    theme: str | Path | Mapping[str, Any] | None = None,
) -> Path:
    """Write page, model and runtime into `out`, a new folder or an older site; returns it.

    `theme` (a JSON file or its content, see `check_theme`) maps classes to a smiley that is drawn
    beside the answer. A kind from outside the package brings its module as its class's `page`; the
    page's `kinds.js` says what modules export. Raises ModelError for files that `Predictor` refuses
    and for kinds without a module, UsageError for a theme that does not fit the model and where
    `out` holds something else.
    """
    data, about = read(model)
    given, target = task_from_json(about["task"])
    smileys = {} if theme is None else check_theme(theme, target)
    sources = _sources(given, target)
    if fault := given.page_fault():
        raise ModelError(fault)
    runtime, out = runtime_folder(), Path(out)
    title = title or Path(model).stem.replace("-", " ").replace("_", " ").capitalize()
    details = {**about, "bytes": len(data), "title": title, "theme": smileys}
    with write_errors(out):
        _fill(out, {**sources, **{f"ort/{name}": runtime / name for name in ORT}}, data, details)
    return out


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


def _fill(out: Path, sources: Mapping[str, Path], data: bytes, details: dict[str, Any]) -> None:
    """The page's files, the model, and what the page reads about it."""
    _make_room(out)
    for place, file in sources.items():
        (out / place).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, out / place)
    name = f"model.{hashlib.sha256(data).hexdigest()[:12]}.onnx"
    (out / name).write_bytes(data)
    _json(out / "model.json", {**details, "file": name})
    _json(out / "manifest.webmanifest", _manifest(details["title"]))
    _service_worker(out, sorted([*sources, name, *_WRITTEN]))
    _hosts(out)


def _make_room(out: Path) -> None:
    """A new folder, or an older site of ours without its model; UsageError for anything else."""
    ours = (out / "model.json").is_file() and (out / "sw.js").is_file()
    if out.exists() and not ours and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} holds something already: give a new folder")
    for old in out.glob("model.*.onnx"):
        old.unlink()
    out.mkdir(parents=True, exist_ok=True)


def _json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _manifest(title: str) -> dict[str, Any]:
    drawn = {"src": "icon.svg", "sizes": "any", "type": "image/svg+xml", "purpose": "any"}
    pixels = [
        {"src": f"icon-{n}.png", "sizes": f"{n}x{n}", "type": "image/png", "purpose": "maskable"}
        for n in (180, 512)
    ]
    return {
        "name": title,
        "short_name": title[:12],
        "start_url": ".",
        "display": "standalone",
        "background_color": "#f6f7f6",
        "theme_color": "#0f766e",
        "icons": [drawn, *pixels],
    }


def _service_worker(out: Path, files: Sequence[str]) -> None:
    """Lists the page's own files, and is another one whenever any of them is.

    Nothing that a host, git or an older site put beside them is listed: a listed file that a host
    does not give away would keep the page from working without a network.
    """
    whole = hashlib.sha256()
    for file in files:
        whole.update((out / file).read_bytes())
    source = (page_folder() / "sw.js").read_text(encoding="utf-8")
    source = source.replace("@VERSION@", whole.hexdigest()[:12])
    text = source.replace("@FILES@", json.dumps([".", *files]))
    (out / "sw.js").write_text(text, encoding="utf-8")


def _hosts(out: Path) -> None:
    """What Vercel, Netlify and GitHub Pages want to find."""
    rows = [{"key": k, "value": v} for k, v in HEADERS.items()]
    lasting = [{"key": "Cache-Control", "value": _LASTING}]
    _json(
        out / "vercel.json",
        {
            "headers": [
                {"source": "/(.*)", "headers": rows},
                {"source": "/(model\\..*\\.onnx|ort/.*)", "headers": lasting},
            ]
        },
    )
    lines = ["[build]", '  publish = "."', "", "[[headers]]", '  for = "/*"', "  [headers.values]"]
    lines += [f'    {key} = "{value}"' for key, value in HEADERS.items()]
    lines += ["", "[[headers]]", '  for = "/ort/*"', "  [headers.values]"]
    lines.append(f'    Cache-Control = "{_LASTING}"')
    (out / "netlify.toml").write_text("\n".join(lines) + "\n")
    (out / ".nojekyll").touch()


# A theme: what the page draws for each class, an emoji or a smiley that makes a face.
#
# A smiley is a few numbers, as in `{"happy": {"mouth": 0.9, "open": 0.2}, "sad": "😢"}`; features
# that are left out rest in the middle.

FEATURES = {  # the least, the most, and the resting value
    "mouth": (-1.0, 1.0, 0.0),  # corners down, corners up
    "open": (0.0, 1.0, 0.0),  # the mouth: shut, wide
    "eyes": (0.0, 1.0, 0.5),  # shut, wide
    "wink": (0.0, 1.0, 0.0),  # how far one eye is shut besides
    "brows": (-1.0, 1.0, 0.0),  # low, high
    "frown": (-1.0, 1.0, 0.0),  # inner ends up (sorrow), down (anger)
    "blush": (0.0, 1.0, 0.0),
    "tears": (0.0, 1.0, 0.0),
}
COLOUR = "#ffd54a"
_LONGEST = 16  # characters of an emoji with all its joiners

Look = str | dict[str, Any]


def read_theme(file: str | Path) -> dict[str, Any]:
    """The object in a JSON file; UsageError where there is none."""
    try:
        theme = parse_json(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is no JSON file of class to smiley: {error}") from error
    if not isinstance(theme, dict):
        raise UsageError(f"{file} holds no object of class to smiley")
    return theme


def check_theme(theme: str | Path | Mapping[str, Any], target: TargetSpec) -> dict[str, Look]:
    """Class to emoji or whole smiley, for a model of such answers.

    Raises UsageError for classes that the model does not know, for a model without one class per
    image, and for features or values that no smiley has.
    """
    given = read_theme(theme) if isinstance(theme, str | Path) else theme
    if not target.one_class:
        raise UsageError(f"a theme is for models that name one class, not for {target.kind!r}")
    classes = {str(c) for c in target.classes}
    unknown = sorted(set(given) - classes)
    if unknown:
        raise UsageError(
            f"the theme names {unknown}, which are no classes of the model: {sorted(classes)}"
        )
    return {name: _look(name, value) for name, value in given.items()}


def _look(name: str, value: Any) -> Look:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST and is_unicode(value):
        return value
    if not isinstance(value, Mapping):
        raise UsageError(f"the theme of {name!r} is {value!r}: an emoji or an object is wanted")
    unknown = sorted(set(value) - set(FEATURES) - {"colour"})
    if unknown:
        raise UsageError(
            f"the smiley {name!r} has {unknown}; there is {', '.join(FEATURES)}, colour"
        )
    colour = value.get("colour", COLOUR)
    if not (isinstance(colour, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", colour)):
        raise UsageError(f"the smiley {name!r}: colour is {colour!r}, not as in '#ffd54a'")
    numbers = {key: _number(name, key, value.get(key, FEATURES[key][2])) for key in FEATURES}
    return {**numbers, "colour": colour}


def _number(name: str, key: str, value: Any) -> float:
    least, most, _ = FEATURES[key]
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not (real and least <= value <= most):  # NaN is in no range
        raise UsageError(f"the smiley {name!r}: {key} is {value!r}, not in {least:g} to {most:g}")
    return float(value)
