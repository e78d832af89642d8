"""A local page to relabel or leave out images: a model's worst, and those that look alike."""

import csv
import io
import os
import secrets
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import cv2
import numpy as np

from onecycle.core.display import is_formula
from onecycle.core.errors import (
    DataError,
    EmptyDataError,
    TableError,
    UsageError,
    listing,
    require_number,
    require_whole,
    warn,
)
from onecycle.core.files import write_atomically
from onecycle.core.json_text import is_unicode
from onecycle.core.machine import defaults, require_free_port
from onecycle.core.walk import files_below
from onecycle.runtime.inputs.pixels import FILES, open_pixels
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.sources import Remarks

_MISSING = {"na", "n/a", "nan", "none", "null", "<na>"}  # what pandas takes for no value
_LARGEST_ANSWER = 50_000_000  # bytes of JSON


@dataclass(frozen=True)
class Review:
    """Images below `root` with labels, and the order in which they deserve a look.

    `worst` are (position, loss, predicted), `pairs` (position, position, likeness).
    """

    root: Path
    names: tuple[str, ...]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    worst: tuple[tuple[int, float, str], ...]
    pairs: tuple[tuple[int, int, float], ...]


def review(root: str | Path, model: str | Path | None = None, least: float = 0.97) -> Review:
    """Look through the images below a folder; each is of the class that its own folder names.

    Without a model for duplicates only. The loss of an image is -log(the probability of its
    label). Raises UsageError where the model does not know a label.
    """
    root = Path(root)
    found = files_below(root, FILES)
    files: list[Path] = [file for file in found if file.parent != root]
    loose = [file.name for file in found if file.parent == root]
    if not files:
        raise EmptyDataError(f"{root}: no folder in it holds images")
    if loose:
        warn(
            f"{len(loose)} of {len(loose) + len(files)} images lie in no folder below {root}, so "
            f"that they have no class, and are left out: {listing(loose)}",
            2,
        )
    labels = tuple(file.parent.name for file in files)
    names = tuple(file.relative_to(root).as_posix() for file in files)
    _warn_of_numbers(sorted(set(labels)))
    _look_at_names({*names, *labels})
    worst = _worst(files, labels, Predictor(model)) if model else []
    pairs = tuple(similar_pairs(files, least))
    return Review(root, names, labels, tuple(sorted(set(labels))), tuple(worst), pairs)


def _warn_of_numbers(classes: list[str]) -> None:
    """A table read by guessing gives 1.0 for a folder `1`, 7 for `007`, nothing for `NA`."""
    missing = [name for name in classes if name.strip().lower() in _MISSING]
    try:
        changed = [name for name in classes if str(int(float(name))) != name]
    except (ValueError, OverflowError):  # one is no number: all stay text
        changed = []
    if changed or missing:
        what = "missing values" if missing else "numbers"
        warn(
            f"the classes {listing(missing or classes)} look like {what} in cleaned.csv: read it "
            "with ImageList.from_csv and label_from_df(label_cls=Category), or in pandas with "
            "dtype=str and keep_default_na=False",
            3,
        )


def _look_at_names(names: Iterable[str]) -> None:
    """DataError for names that no table can hold, and a warning about those that are formulas."""
    for name in names:
        if not is_unicode(name):
            raise DataError(f"{name!r}: this file's name is no UTF-8: rename it")
    if formulas := sorted(filter(is_formula, names)):
        warn(
            f"{len(formulas)} names ({listing(formulas, 3)}) begin as formulas do. cleaned.csv has "
            "them as they are, since it is read again: do not open it in a spreadsheet, which "
            "would compute them",
            3,
        )


def _worst(
    files: list[Path], labels: Iterable[str], predictor: Predictor
) -> list[tuple[int, float, str]]:
    number = {str(name): i for i, name in enumerate(predictor.classes)}
    if not number:
        raise UsageError("the model has no classes: --model takes one that tells classes apart")
    if unknown := sorted({label for label in labels if label not in number}):
        raise UsageError(f"the model does not know {unknown}; it knows {sorted(number)}")
    found = []
    for i, (label, answer) in enumerate(zip(labels, predictor.stream(files), strict=True)):
        if np.ndim(answer.probabilities) != 1:
            raise UsageError("the model answers for every pixel: --model takes one for images")
        share = float(answer.probabilities[number[label]])
        found.append((i, float(-np.log(max(share, 1e-9))), str(answer)))
    return sorted(found, key=lambda row: -row[1])


def write_cleaned(found: Review, answers: dict[str, Any], to: Path) -> int:
    """Write the images that are kept as `name,label`; returns how many. No image is touched.

    `answers` maps positions (as text) to a class, or to None for an image to leave out. Raises
    TableError where `to` holds anything but such a table: it would be lost.
    """
    earlier_answers(found, to)
    known = {str(i) for i in range(len(found.names))}
    for position, label in answers.items():
        if position not in known:
            raise UsageError(f"there is no image number {position!r}")
        if label is not None and label not in found.classes:
            raise UsageError(f"there is no class {label!r}")
    rows = [
        (name, answers.get(str(i), label))
        for i, (name, label) in enumerate(zip(found.names, found.labels, strict=True))
    ]
    kept = [row for row in rows if row[1] is not None]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("name", "label"), *kept])

    def write(path: Path) -> None:
        path.write_text(text.getvalue(), encoding="utf-8")

    write_atomically(to, write)
    return len(kept)


def earlier_answers(found: Review, file: Path) -> dict[str, str | None]:
    """The answers that an earlier `write_cleaned` left in `file`; none where there is no file.

    An image that it does not name was left out. Raises TableError, which names the row, where
    `file` is no such table or names what is not (or no longer) there.
    """
    if not file.exists():
        return {}
    aside = "mend it, move it away, or write elsewhere with --to"
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            header, *rows = list(csv.reader(text)) or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise TableError(f"{file} cannot be read as a table: {error}; {aside}") from error
    if header != ["name", "label"]:
        raise TableError(f"{file} begins with {header}, not with name,label: {aside}")
    known, kept = set(found.names), dict[str, str]()
    for number, row in enumerate(rows, 2):
        if len(row) != 2 or row[0] not in known or row[0] in kept or row[1] not in found.classes:
            wanted = f"an image below {found.root} and one of its classes, each image once"
            raise TableError(f"{file}, row {number}: {listing(row)} is not {wanted}: {aside}")
        kept[row[0]] = row[1]
    return {
        str(i): kept.get(name)
        for i, (name, label) in enumerate(zip(found.names, found.labels, strict=True))
        if kept.get(name) != label
    }


class _Page:
    """What the page's routes share: the answers so far, and what `to` holds of them."""

    def __init__(self, found: Review, to: Path) -> None:
        self.found, self.to = found, to
        self.answers: dict[str, Any] = dict(earlier_answers(found, to))
        self.written = _content(to)  # as it was read, or written last
        self.key = secrets.token_urlsafe(16)  # other sites open in the browser do not know it
        self.html = Path(__file__).with_name("cleaner.html").read_text(encoding="utf-8")

    def show(self, request: Any) -> Any:
        from starlette.responses import HTMLResponse

        policy = (
            "default-src 'self'; img-src 'self' data:; "
            "script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(self.html, headers={"Content-Security-Policy": policy})

    def about(self, request: Any) -> Any:
        from starlette.responses import JSONResponse

        fields = ("names", "labels", "classes", "worst", "pairs")
        known = {name: getattr(self.found, name) for name in fields}
        return JSONResponse(known | {"answers": self.answers, "key": self.key})

    def image(self, request: Any) -> Any:
        from starlette.responses import Response

        position, names = request.path_params["position"], self.found.names
        if position >= len(names):
            return Response(status_code=404)
        return Response(_thumbnail(self.found.root / names[position]), media_type="image/jpeg")

    async def save(self, request: Any) -> Any:
        from starlette.responses import JSONResponse

        status, reply = await self._save(request)
        return JSONResponse(reply, status)

    async def _save(self, request: Any) -> tuple[int, dict[str, Any]]:
        if not secrets.compare_digest(request.headers.get("x-key", ""), self.key):
            return 403, {"error": "reload the page"}
        if int(request.headers.get("content-length") or _LARGEST_ANSWER + 1) > _LARGEST_ANSWER:
            return 413, {"error": "too much"}
        if _content(self.to) != self.written:
            changed = f"{self.to} was changed by another program"
            return 409, {"error": f"{changed}: move it away, or start the page anew"}
        try:
            given = await request.json()
            kept = write_cleaned(self.found, given, self.to)
        except (UsageError, ValueError, AttributeError, RecursionError) as error:
            return 400, {"error": str(error)}
        except OSError as error:
            return 500, {"error": f"{self.to} cannot be written: {error}"}
        self.answers, self.written = given, _content(self.to)
        return 200, {"kept": kept, "file": str(self.to), "next": self._next()}

    def _next(self) -> str:
        """The command that trains on what was written."""
        folder = os.path.relpath(self.found.root, self.to.parent)
        where = "" if folder == "." else f" --folder {quote(folder)}"
        return f"onecycle train images {quote(str(self.to))}{where}"


def application(found: Review, to: Path) -> Any:
    """The page as an ASGI application that answers this machine only; it goes on from `to`."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    from onecycle.runtime.http.local import own_page_only

    page = _Page(found, to)
    routes = [
        Route("/", page.show),
        Route("/about", page.about),
        Route("/image/{position:int}", page.image),
        Route("/save", page.save, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=own_page_only())


def _content(file: Path) -> bytes | None:
    """What is in a file; None where there is none."""
    return file.read_bytes() if file.exists() else None


def _thumbnail(file: Path) -> bytes:
    from PIL import Image

    small, buffer = Image.fromarray(open_pixels(file)), io.BytesIO()
    small.thumbnail((320, 320))
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def clean(root: Path, model: Path | None, to: Path | None, port: int) -> None:
    """Serve the page on this machine until Ctrl-C."""
    from onecycle.runtime.http.local import serve_here

    require_free_port("127.0.0.1", port)  # before the work, and again after it
    found, to = review(root, model), to or root / "cleaned.csv"
    page = application(found, to)
    if before := len(earlier_answers(found, to)):
        print(f"as {to} says, {before} images are left out or relabelled: look under 'Set'")
    require_free_port("127.0.0.1", port)
    print(f"open http://127.0.0.1:{port} ({len(found.names)} images); it writes {to}", flush=True)
    serve_here(page, "127.0.0.1", port)


# Images that look alike: a small fingerprint of each, compared with all others.

_SIDE = 8
_BLOCK = 2048  # rows compared at once


def fingerprint(source: Any, remarks: Remarks | None = None) -> np.ndarray:
    """An image as (64 * 3,) float32: 8 x 8 cells, centred, of length 1."""
    whole = open_pixels(source, remarks=remarks)
    pixels = cv2.resize(whole, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    flat = pixels.astype(np.float32).ravel()
    centred = flat - flat.mean()
    return centred / max(float(np.linalg.norm(centred)), 1e-6)


def similar_pairs(
    sources: Sequence[Any], least: float = 0.97, most: int = 1000
) -> list[tuple[int, int, float]]:
    """(i, j, similarity) of images whose fingerprints correlate by `least` or more, best first.

    All pairs are compared in blocks: a million pairs take a few hundredths of a second. A warning
    counts those beyond the `most` best.
    """
    require_number("least", least, 0, 1)
    require_whole("most", most)
    if not len(sources):
        raise EmptyDataError("there are no images to compare")
    remarks = Remarks()
    with ThreadPoolExecutor(defaults.cpus) as pool:
        prints = np.stack(list(pool.map(partial(fingerprint, remarks=remarks), sources)))
    remarks.warn(len(sources), stacklevel=3)
    found: list[tuple[int, int, float]] = []
    for start in range(0, len(prints), _BLOCK):
        alike = prints[start : start + _BLOCK] @ prints.T
        for i, j in np.argwhere(alike >= least):
            if start + i < j:
                found.append((int(start + i), int(j), float(alike[i, j])))
    if len(found) > most:
        warn(
            f"{len(found):,} pairs are as like as {least}, of which the {most:,} likest are taken: "
            "raise least=, or most=",
            2,
        )
    return sorted(found, key=lambda pair: -pair[2])[:most]
