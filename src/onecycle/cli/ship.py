"""`onecycle export`, `site` and `serve`: what ships a model."""

import os
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Any

from onecycle.cli.lan import address_for, open_to_phones, show
from onecycle.core.errors import CheckpointError, UsageError
from onecycle.export.hosts import write_recipe
from onecycle.runtime.site import variable_of, write_site


def export(model: Path, out: Path | None, precision: str) -> Path:
    """Write the exported file of saved weights, beside them or to `out`."""
    from onecycle.vision.learner import load_cnn

    if precision == "int8":
        raise UsageError("int8 is measured on the data: train, and learn.export(precision='int8')")
    try:
        learn = load_cnn(model)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}. Weights that onecycle train left have their exported file beside them"
        ) from error
    learn.silent = True
    path = learn.export((out or model.with_suffix(".onnx")).absolute(), precision)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return path


def exported(model: Path) -> Path:
    """The file to ship: of saved weights the exported one beside them, made where it is older."""
    if model.suffix != ".safetensors":
        return model
    beside = model.with_suffix(".onnx")
    if beside.is_file() and beside.stat().st_mtime >= model.stat().st_mtime:
        print(f"{model} was exported before: {beside} is taken")
        return beside
    return export(model, None, "fp32")


def set_look(model: Path, look: dict[str, Any]) -> None:
    """Have the server's page look so; what does not fit the model is an error here."""
    given = {name: value for name, value in look.items() if value is not None}
    if not given:
        return
    with TemporaryDirectory() as folder:
        write_site(model, Path(folder) / "site", **given)
    for name, value in given.items():
        os.environ[variable_of(name)] = str(value)


def site(model: Path, out: Path, look: dict[str, Any]) -> dict[str, Any]:
    """Write the site and say how to look at it."""
    folder = write_site(model, out, **look)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
    print(f"{folder}: {size:.1f} MB, for any static host. Look at it here first:")
    print(f"  python -m http.server --directory {quote(str(folder))} 8000")
    print("  and open http://localhost:8000")
    print("Then send it to a host that has HTTPS, for example:")
    send = f"npx vercel deploy --prod {quote(str(folder))}"
    _print_next(send)
    return {"site": str(folder), "megabytes": round(size, 1), "next": send}


def deploy(model: Path, to: str, out: Path, look: dict[str, Any]) -> dict[str, Any]:
    """Write a host's folder, and say what is to be typed next."""
    send = write_recipe(model, to, out, **look)
    print(f"{out}: ready. Send it there with:")
    _print_next(send)
    return {"folder": str(out), "next": send}


def _print_next(send: str) -> None:
    print(f"  {send}")
    print("It says the address; for the phone's camera that is a QR code with:")
    print("  onecycle qr https://THE-ADDRESS")


def print_qr_code(address: str) -> dict[str, Any]:
    """Print an address and its QR code; UsageError for what a phone would not open."""
    if not re.fullmatch(r"https?://[^\s]+", address):
        raise UsageError(f"an address begins with https:// (or http://), not {address!r}")
    show(address)
    return {"address": address}


def serve(
    model: Path,
    at: tuple[str, int],
    tokens: Path | None,
    given: dict[str, Any],
    tls: tuple[Path | None, Path | None],
    max_memory: int | None,
    lan: bool,
) -> None:
    """Serve at a host and port; what is None in `given` is looked for in the environment.

    With `lan` at this machine's address in its network. What is said of it goes to standard error:
    on standard output stands the log alone.
    """
    from onecycle.runtime.http.server import serve as work
    from onecycle.runtime.http.settings import Settings

    if tokens is not None:
        given = given | {"tokens": tuple(tokens.read_text(encoding="utf-8").split())}
        if not given["tokens"]:
            raise UsageError(f"{tokens} holds no token, so that nobody would be let in")
    settings = Settings.from_environment(given)
    if lan:
        at = address_for(at[0]), at[1]
        with redirect_stdout(sys.stderr):
            tls = open_to_phones(*at, any(tls), bool(settings.tokens)) or tls
    work(model, *at, settings, tls if any(tls) else None, max_memory)
