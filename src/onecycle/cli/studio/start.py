"""`onecycle studio`: open the project, say the address, serve."""

from pathlib import Path
from typing import Any

from onecycle.cli.lan import local_address, show
from onecycle.cli.studio.layout import LAYOUTS
from onecycle.cli.studio.project import open_project
from onecycle.cli.studio.server import Studio, application
from onecycle.core.errors import UsageError
from onecycle.core.files import hold_alone
from onecycle.core.machine import require_free_port
from onecycle.runtime.http.local import HERE, new_token, serve_here


def start(
    source: Path | None, kind: str, home: Path | None, delimiter: str | None, port: int, lan: bool
) -> dict[str, Any]:
    """Serve the studio until Ctrl-C; returns what --json prints then."""
    _require_sense(source, kind, delimiter)
    address = local_address() if lan else None
    home = home or usual_home(source)
    _require_outside(source, home)
    host = "0.0.0.0" if lan else "127.0.0.1"
    require_free_port(host, port)
    home.mkdir(parents=True, exist_ok=True)
    with hold_alone(home / "studio.lock", f"{home} is open in another studio"):
        studio = make_studio(source, kind, home, delimiter)
        token = new_token()
        hosts = (*HERE, address) if address else HERE
        if address:
            studio.addresses = [f"http://{address}:{port}/?token={token}"]
        print(f"open http://127.0.0.1:{port}/?token={token}")
        for one in studio.addresses:
            print("on a phone in this network:")
            show(one)
        print(
            f"its own files are in {home.absolute()}; Ctrl-C ends it, trainings go on", flush=True
        )
        serve_here(application(studio, token, hosts), host, port)
    return {"home": str(home.absolute()), "trainings": studio.runs.numbers()}


def usual_home(source: Path | None) -> Path:
    """`onecycle-studio/NAME` of the folder at hand, or beside the source where that holds it."""
    if source is None:
        return Path("onecycle-studio/new")
    place = source.resolve()
    inside = place.is_dir() and Path.cwd().is_relative_to(place)
    return (place.parent if inside else Path()) / "onecycle-studio" / (place.name or "data")


def _require_outside(source: Path | None, home: Path) -> None:
    """UsageError for a home that would be taken for data; nothing below a source is changed."""
    if source is not None and source.is_dir() and home.resolve().is_relative_to(source.resolve()):
        raise UsageError(
            f"{home} lies below {source}, where nothing is changed: give another --home"
        )


def _require_sense(source: Path | None, kind: str, delimiter: str | None) -> None:
    """UsageError for options that do not go together."""
    if kind not in LAYOUTS:
        raise UsageError(f"--kind is one of {', '.join(LAYOUTS)}, not {kind!r}")
    layout = LAYOUTS[kind]
    if source is None and not layout.made_here:
        raise UsageError(f"name the folder or table of the {kind}")
    if delimiter is not None and not (layout.several and source is not None and source.is_file()):
        raise UsageError("--label-delim is for a table of images or texts")


def make_studio(source: Path | None, kind: str, home: Path, delimiter: str | None) -> Studio:
    """The studio of a source, as it was left."""
    project = open_project(source, home, delimiter, LAYOUTS[kind].project)
    return Studio(home, kind, source, project)
