"""The pages of the reference, made of what the code says: public names, commands, the HTTP forms.

`python scripts/build_docs.py` calls `pages`. A name stands on the page of its task, a method at the
class that defines it; each has a heading, so that the search finds it.
"""

from __future__ import annotations

import html
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onecycle
from onecycle.names import EVERYTHING, KINDS, TYPES

GOLDEN = Path(__file__).resolve().parents[1] / "tests/runtime/golden"
# Each page with its title and the modules whose names stand there, in this order.
TASKS = {
    "data": (
        "Data: files, splits, labels, batches",
        "core.paths core.path_list data.lists vision.lists data.items data.labels data.databunch "
        "data.label_list vision.pixel_cache data.report "
        "data.checks data.looks data.unreadable data.task "
        "data.targets vision.targets vision.boxes vision.checks vision.annotations.write",
    ),
    "images": (
        "Images and augmentation",
        "vision.image vision.input vision.bands vision.augment vision.policies vision.transform "
        "vision.warp",
    ),
    "learners": (
        "Learners and training",
        "vision.learner learn.learner learn.execution learn.compiler learn.held_out "
        "learn.cross_validation learn.options models models.architectures learn.lr_find "
        "learn.recorder learn.seed learn.predictions vision.tta vision.box_metrics learn.engine "
        "learn.optimizer "
        "core.machine",
    ),
    "callbacks": (
        "Callbacks and trackers",
        "learn.callback learn.callbacks learn.averaging learn.tracker learn.resume",
    ),
    "metrics": ("Metrics and losses", "learn.metrics learn.metric learn.calibration learn.losses"),
    "looking": (
        "Looking at the mistakes",
        "interpret.classification interpret.report interpret.words core.plot core.display",
    ),
    "shipping": (
        "Export and answer",
        "runtime.predictor runtime.hub runtime.site runtime.kinds version",
    ),
    "text": (
        "Text",
        "text.lists text.learner text.learners text.corpus text.saved text.pretrained "
        "runtime.inputs.text runtime.inputs.subwords models.awd_lstm",
    ),
    "series": (
        "Series and arrays",
        "series.lists series.learner series.encode models.inception_time models.mini_rocket "
        "data.arrays models.head",
    ),
    "fetching": (
        "Getting data",
        "fetch.urls fetch.download fetch.images fetch.archives samples.planet samples.butterflies "
        "samples.faces samples.guitars samples.hands samples.reviews samples.streets",
    ),
    "kinds": ("Kinds of one's own", ""),
    "errors": ("Errors", "core.errors"),
}
_ELSEWHERE = {"CSVLogger": "callbacks", "TensorBoardLogger": "callbacks"}
_WIDTH = 88  # of a signature on one line
PAGES = ("index", *TASKS, "command-line", "http")


def names_by_page() -> dict[str, list[str]]:
    """The public names of each page: by module, and as they follow one another in the source."""
    order = {f"onecycle.{m}": (page, n) for page, (_, ms) in TASKS.items() for n, m in _modules(ms)}
    rows = []
    for name, module in EVERYTHING.items():
        page, place = ("kinds", 0) if name in KINDS else order[module]
        page = _ELSEWHERE.get(name, page)
        rows.append((page, place, _line(getattr(onecycle, name)), name))
    return {page: [row[3] for row in sorted(rows) if row[0] == page] for page in TASKS}


def _modules(text: str) -> Iterator[tuple[int, str]]:
    return enumerate(text.split())


def _line(thing: Any) -> int:
    try:
        return inspect.getsourcelines(inspect.unwrap(thing))[1]
    except (TypeError, OSError):
        return 0


def pages() -> dict[str, str]:
    """Every page of the reference by its name."""
    found = {"index": index(), "command-line": command_line(), "http": http()}
    for page, names in names_by_page().items():
        parts = [f"# {TASKS[page][0]}", "`from onecycle import NAME`"]
        for name in names:
            parts += [entry(name, getattr(onecycle, name)), _source(EVERYTHING[name])]
        found[page] = "\n\n".join(parts) + "\n"
    return found


def _source(module: str) -> str:
    """A link to a copy of the file, which `build_docs` puts beside the pages."""
    file = Path(str(sys.modules[module].__file__)).relative_to(onecycle.__path__[0])
    return f"[Source](../source/{file.as_posix()}.txt)"


def index() -> str:
    """All names on one page, by task."""
    parts = [
        "# Every public name",
        "`from onecycle import NAME`; the search finds methods, too. All of it has types.",
    ]
    for page, names in names_by_page().items():
        links = [f"[{name}]({page}.md#{_place(name)})" for name in names]
        parts += [f"## [{TASKS[page][0]}]({page}.md)", " · ".join(links)]
    parts += ["## Beside Python", "- [The command line](command-line.md)", "- [HTTP](http.md)"]
    return "\n\n".join(parts) + "\n"


def _place(title: str) -> str:
    """The anchor of a heading, as the site makes it."""
    return re.sub(r"[^\w-]", "", title.lower()).strip("_")


def entry(name: str, thing: Any) -> str:
    """One name; of a class also its public members, but those that another public class defines."""
    if (other := getattr(thing, "__name__", name)) != name and other in EVERYTHING:
        return f"## {name}\n\nAnother name of `{other}`."
    text = [f"## {name}"]
    if not _is_made_by_steps(name, thing):
        text += _call(name, thing)
    text.append(_prose(inspect.getdoc(thing) or ""))
    if inspect.isclass(thing):
        apart: dict[str, list[str]] = {}
        for member, owner in _members(thing):
            if owner == thing.__name__:
                text += _member(owner, member, thing)
            else:
                apart.setdefault(owner, []).append(f"`{member}`")
        text += [f"From `{owner}`: {', '.join(members)}." for owner, members in apart.items()]
    return "\n\n".join(part for part in text if part)


def _is_made_by_steps(name: str, thing: Any) -> bool:
    """Whether a program is handed such objects, and never calls the class itself."""
    steps = (onecycle.Items, onecycle.DataBunch)
    return name in TYPES or (inspect.isclass(thing) and issubclass(thing, steps))


def _members(thing: type) -> Iterator[tuple[str, str]]:
    """Each documented public member, and the public class at which it is described."""
    owner, seen = thing.__name__, set[str]()
    for base in thing.__mro__:
        if not base.__module__.startswith("onecycle."):
            continue
        owner = base.__name__ if base.__name__ in EVERYTHING else owner
        for member, what in vars(base).items():
            inner = getattr(what, "fget", None) or getattr(what, "__func__", what)
            if not member.startswith("_") and member not in seen and inspect.isfunction(inner):
                seen.add(member)
                if inner.__doc__:
                    yield member, owner


def _member(owner: str, name: str, thing: type) -> list[str]:
    bound = getattr(thing, name)
    call = [] if isinstance(bound, property) else _call(name, bound)
    return [f"### {owner}.{name}", *call, _prose(inspect.getdoc(bound) or "")]


def _call(name: str, thing: Any) -> list[str]:
    """How it is called, as a block of code."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return []
    given = [p for p in found.parameters.values() if p.name != "self"]
    if given and "LearnerOptions" in str(given[-1].annotation):  # `**learner_options`, in full
        passed, taken = onecycle.LearnerOptions.__annotations__, {p.name for p in given}
        learner = inspect.signature(onecycle.Learner).parameters
        keyword = {"kind": inspect.Parameter.KEYWORD_ONLY}
        given[-1:] = [learner[n].replace(**keyword) for n in passed if n not in taken]
    whole = found.replace(parameters=given)
    call = name + _plain(str(whole))
    if len(call) > _WIDTH:
        end = "" if found.return_annotation is found.empty else f" -> {_returned(whole)}"
        rows = [f"    {_plain(str(p))},\n" for p in given]
        call = f"{name}(\n{''.join(rows)}){end}"
    return [f"```python\n{call}\n```"]


def _returned(signature: inspect.Signature) -> str:
    return _plain(str(signature)).rpartition(" -> ")[2]


def _plain(text: str) -> str:
    """A signature without the modules of its types, and with defaults as a program writes them."""
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)  # annotations that are text
    text = re.sub(r"<class '([^']*)'>", r"\1", text)
    text = re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", text)  # of an Enum
    text = re.sub(r"<function (\w+) at [^>]*>", r"\1", text)
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z]|partial\b)", "", text)


def _prose(doc: str) -> str:
    """A docstring as Markdown: what is not code between backticks is taken as it stands."""
    parts = doc.split("`")
    plain = (html.escape(part, quote=False) for part in parts[::2])
    parts[::2] = [re.sub(r"([\\*\[\]_])", r"\\\1", part) for part in plain]
    return "`".join(parts)


def command_line() -> str:
    """Every command with its arguments and options, as typer describes them."""
    import typer.main
    from typer.cli import get_docs_for_click

    from onecycle.cli.main import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="onecycle")
    return get_docs_for_click(
        obj=command, ctx=context, name="onecycle", title="The command line"
    ).replace("```console", "```text")


def http() -> str:
    """What a server is asked and replies, from the description that it gives of itself."""
    from onecycle.runtime.http.body import Limits
    from onecycle.runtime.http.openapi import describe
    from onecycle.runtime.http.settings import Settings
    from onecycle.runtime.predictor import Predictor

    how = Limits().body_bytes, Settings()
    addresses = {
        kind: describe(Predictor(GOLDEN / f"format1_{kind}.onnx"), *how)["paths"]
        for kind in ("images", "texts", "series")
    }
    parts = [
        "# HTTP",
        "`onecycle serve model.onnx` answers as below, and describes itself for its own model at "
        "`/openapi.json` (OpenAPI 3.1), from which clients and forms can be made. How it is put "
        "into service: [Deploy](../how-to/deploy.md).",
        "```text\ncurl -F file=@photo.jpg http://127.0.0.1:8000/api/predict\n```",
    ]
    for path, ways in addresses["images"].items():
        for way in ways:
            parts.append(f"## {way.upper()} {path}")
            parts += _form({kind: paths[path][way] for kind, paths in addresses.items()})
    return "\n\n".join(parts) + "\n"


def _form(forms: dict[str, Any]) -> list[str]:
    """One address: what it is for, what each kind of model takes there, and how it refuses."""
    first = forms["images"]
    parts = [f"{first['summary'].partition(' (')[0]}."]
    if "requestBody" in first:
        rows = [
            f"| {kind} | {', '.join(media)} | {body} |"
            for kind, form in forms.items()
            for body, media in _bodies(form["requestBody"]["content"]).items()
        ]
        parts.append("\n".join(["| model of | content type | body |", "|---|---|---|", *rows]))
    for asked in first.get("parameters", ()):
        parts.append(f"`?{asked['name']}=` {asked['description'].lower()}.")
    if faults := [code for code in first["responses"] if code != "200"]:
        parts.append(
            f"Replies 200 with JSON; {', '.join(faults)} as `application/problem+json` (RFC 9457), "
            "whose `detail` says what is wrong."
        )
    return parts


def _bodies(content: dict[str, Any]) -> dict[str, list[str]]:
    """The content types of a request by what their bodies are."""
    found: dict[str, list[str]] = {}
    for media, body in content.items():
        found.setdefault(_fields(body["schema"]), []).append(f"`{media}`")
    return found


def _fields(schema: dict[str, Any]) -> str:
    """A body in words: its fields, or what it is as a whole."""
    if several := schema.get("oneOf") or schema.get("anyOf"):
        return "; or ".join(map(_fields, several))
    named = schema.get("properties", {}).items()
    return ", ".join(f"`{name}`: {_kind(part)}" for name, part in named) or _kind(schema)


def _kind(schema: dict[str, Any]) -> str:
    """One value in words, however deep its lists are."""
    kinds = schema.get("oneOf") or schema.get("anyOf") or [schema]
    inner = [_kind(one["items"]) if one.get("type") == "array" else _word(one) for one in kinds]
    words = " or ".join(dict.fromkeys(word.removeprefix("list of ") for word in inner))
    return f"list of {words}" if any(one.get("type") == "array" for one in kinds) else words


def _word(schema: dict[str, Any]) -> str:
    binary = schema.get("format") == "binary"
    found = schema.get("type", "anything")
    return "file" if binary else found if isinstance(found, str) else " or ".join(found)
