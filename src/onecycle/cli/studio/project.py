"""What the studio works on: images, their labels and sides, and the folder that keeps its work.

Nothing below the source is changed. `labels.csv` (name, label, is_valid) holds what is trained on,
`test.csv` what is measured once, `project.json` what was left out; all are written whole.
"""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from os.path import relpath
from pathlib import Path
from typing import Any, ClassVar
from warnings import catch_warnings, simplefilter

from onecycle.cli.studio.rows import (
    TEST,
    TRAIN,
    VALID,
    label_of_cell,
    read_rows,
    side_of_cell,
    table_text,
)
from onecycle.cli.studio.thumbnails import jpeg_of
from onecycle.core.errors import DataError, OnecycleError, TableError, UsageError, listing
from onecycle.core.files import require_writable, write_atomically
from onecycle.core.json_text import is_unicode, parse_json
from onecycle.core.walk import FileKind, files_below
from onecycle.runtime.inputs.pixels import FILES

_SIDES = {TRAIN: {"train", "training"}, VALID: {"valid", "validation", "val"}, TEST: {"test"}}
_SHARE = 0.2  # of a class that validates
_LABELS, _TESTED, _ABOUT = "labels.csv", "test.csv", "project.json"
_CLASS_LENGTH = 200
_CHANGED = ("label", "side", "out")


@dataclass
class Item:
    """An image below the project's folder; of several labels `label` holds all, joined."""

    name: str
    label: str | None = None
    side: str = TRAIN
    out: bool = False


@dataclass
class Project:
    """The items in their order, and where they and the studio's own files are."""

    home: Path
    source: Path
    delimiter: str | None = None
    items: list[Item] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    revision: int = 0
    kept: ClassVar[tuple[str, ...]] = ()  # parts of `content` that a training keeps in its tables

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self._written: dict[str, bytes] = {}

    # --- what there is -------------------------------------------------------------------------

    def counts(self) -> dict[str, dict[str, int]]:
        """By class how many items are on each side, without those left out."""
        found: dict[str, Counter[str]] = {name: Counter() for name in self.classes}
        for item in self.items:
            if not item.out:
                for name in self.labels_of(item):
                    found.setdefault(name, Counter())[item.side] += 1
        return {name: dict(counter) for name, counter in found.items()}

    def labels_of(self, item: Item) -> list[str]:
        """The classes of an item: none, one, or with a delimiter several."""
        if not item.label:
            return []
        return item.label.split(self.delimiter) if self.delimiter else [item.label]

    def select(
        self,
        label: str | None = None,
        side: str | None = None,
        state: str | None = None,
        text: str = "",
        among: Iterable[int] | None = None,
    ) -> list[int]:
        """Positions of the items of a class ("" for none), a side, a state and a name."""
        wanted = text.casefold()
        return [
            i
            for i in (range(len(self.items)) if among is None else among)
            for item in (self.items[i],)
            if (label is None or (label in self.labels_of(item) if label else not item.label))
            and (side is None or item.side == side)
            and (state is None or item.out == (state == "out"))
            and (not wanted or wanted in self.words_of(i).casefold())
        ]

    def words_of(self, i: int) -> str:
        """What a search looks through."""
        return self.items[i].name

    def content(self, i: int, whole: bool = False) -> dict[str, Any]:
        """What the page shows of an item beside its name, or all of it: of images nothing here."""
        return {}

    def more(self) -> dict[str, Any]:
        """What else the page is told of the whole: of images nothing."""
        return {}

    def files(self, i: int) -> list[Path]:
        """What an item is drawn from."""
        return [self.folder / self.items[i].name]

    def drawn(self, i: int, side: int) -> bytes:
        """An item as a JPEG whose longer side has at most so many pixels."""
        return jpeg_of(self.folder / self.items[i].name, side)

    def trained(self, count: int) -> list[str]:
        """The names of some items that train, evenly spread."""
        with self.lock:
            names = [o.name for o in self.items if o.side == TRAIN and o.label and not o.out]
        return names[:: max(1, len(names) // count)][:count]

    def example(self, name: str) -> Any:
        """An item as a job is told of it: the path of an image."""
        return str(self.folder / name)

    def fault(self) -> str | None:
        """Why nothing can be trained yet, as a key of the page's texts; None where it can."""
        with self.lock:
            seen = self.counts()
        trained = [name for name, sides in seen.items() if sides.get(TRAIN)]
        if len(trained) < (1 if self.delimiter else 2):
            return "few_classes"
        return None if any(sides.get(VALID) for sides in seen.values()) else "no_validation"

    # --- what is changed -----------------------------------------------------------------------

    def change(self, changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Set label, side or `out` of items; returns what undoes it. UsageError changes nothing."""
        with self.lock:
            for one in changes:
                self._require_sense(one)
            before: list[dict[str, Any]] = []
            for one in changes:
                item = self.items[one["i"]]
                was = {name: getattr(item, name) for name in _CHANGED}
                before.insert(0, {"i": one["i"], "name": item.name, **was})
                new = item.label is None and one.get("label") and "side" not in one
                self._set(one)
                if new and item.side != TEST:
                    self._settle([item])
            self._save_or(partial(self._set, *before))
            return before

    def _set(self, *changes: Mapping[str, Any]) -> None:
        for one in changes:
            item = self.items[one["i"]]
            for name in _CHANGED:
                setattr(item, name, one.get(name, getattr(item, name)))

    def _save_or(self, undo: Callable[[], Any]) -> None:
        """Save; what could not be kept is undone here too, so that the page shows what is kept."""
        try:
            self.save()
        except OnecycleError:
            undo()
            raise

    def _require_sense(self, one: Any) -> None:
        known = {"i": int, "name": str, "label": (str, type(None)), "side": str, "out": bool}
        if not isinstance(one, dict) or not all(
            name in known and isinstance(value, known[name])  # type: ignore[arg-type]
            for name, value in one.items()
        ):
            raise UsageError(f"not a change of an image: {one!r:.200}")
        if not 0 <= one.get("i", -1) < len(self.items):
            raise UsageError(f"there is no image number {one.get('i')}")
        if one.get("name", self.items[one["i"]].name) != self.items[one["i"]].name:
            raise UsageError("this page was opened before the studio was: load it again")
        if "side" in one and one["side"] not in (TRAIN, VALID, TEST):
            raise UsageError(f"a side is train, valid or test, not {one['side']!r}")
        label = one.get("label")
        given = label.split(self.delimiter) if label and self.delimiter else [label] * bool(label)
        if unknown := [name for name in given if name not in self.classes]:
            raise UsageError(f"there is no class {listing(unknown)}: make it first")

    def add_class(self, name: str) -> None:
        """Make a class; UsageError for a name that is taken, or that no file can hold."""
        name = name.strip()
        bad = not name or len(name) > _CLASS_LENGTH or not name.isprintable()
        if bad or not is_unicode(name) or (self.delimiter and self.delimiter in name):
            raise UsageError(f"{name!r:.100} is no name for a class")
        with self.lock:
            if name.casefold() in (known.casefold() for known in self.classes):
                raise UsageError(f"the class {name!r} is there already")
            self.classes.append(name)
            self._save_or(self.classes.pop)

    def add_images(self, files: Iterable[tuple[str, bytes]], label: str) -> list[int]:
        """Keep images (name, bytes) in the studio's own folder, as a class; their positions."""
        if label not in self.classes:
            raise UsageError(f"there is no class {label!r}: make it first")
        if self.source != self.images:
            raise UsageError("images are added to classes that were made in the studio")
        with self.lock:
            first = len(self.items)
            try:
                for name, data in files:
                    self._add_image(name, data, label)
                self.save()
            except OnecycleError:
                for item in self.items[first:]:
                    (self.images / item.name).unlink(missing_ok=True)
                del self.items[first:]
                raise
            return [*range(first, len(self.items))]

    def _add_image(self, name: str, data: bytes, label: str) -> None:
        ending = Path(name).suffix.lower()  # another would not be found when it is opened again
        ending = ending if ending in FILES.suffixes else ".jpg"
        key = sha256(data).hexdigest()[:16]
        if any(item.name.startswith(key) for item in self.items):
            return  # the same image again
        to = self.images / f"{key}{ending}"
        write_atomically(to, partial(_write_bytes, data=data))
        self.items.append(Item(to.name, label))
        self._settle([self.items[-1]])

    def _settle(self, items: Sequence[Item]) -> None:
        """Put items on the side of which their class has too few; those of it stay as they are."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        chosen = {id(item) for item in items}
        for item in self.items:
            if id(item) not in chosen and item.label:
                counts[item.label][item.side] += 1
        for item in sorted(items, key=lambda one: sha256(one.name.encode()).digest()):
            if not item.label:
                continue
            seen = counts[item.label]
            total = 1 + seen[TRAIN] + seen[VALID]
            few = total > 1 and seen[VALID] < max(1, round(_SHARE * total))
            item.side = VALID if few else TRAIN
            seen[item.side] += 1

    # --- files ---------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The folder below which the images lie."""
        return self.source.parent if self.source.is_file() else self.source

    @property
    def images(self) -> Path:
        """Where images lie that were brought to the studio itself."""
        return (self.home / "images").absolute()

    @property
    def labels(self) -> Path:
        """The table that a training reads."""
        return self.home / _LABELS

    def tables(self, whole: bool = False) -> dict[str, str]:
        """The tables that are trained on, and measured where there is a test set, by name.

        Those that a training keeps are `whole`: with what is in no file of its own.
        """
        names = self.kept if whole else ()
        rows, tested = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
        for i, o in enumerate(self.items):
            if not o.label or o.out:
                continue
            more = tuple(self.content(i, True)[name] for name in names)
            if o.side == TEST:
                tested.append((o.name, o.label, *more))
            else:
                rows.append((o.name, o.label, o.side == VALID, *more))
        found = {_LABELS: table_text(("name", "label", "is_valid", *names), rows)}
        return found | ({_TESTED: table_text(("name", "label", *names), tested)} if tested else {})

    def read(self) -> None:
        """Find the items in the source."""
        (_read_source if self.source.is_file() else walk)(self, self.source)

    def where(self, folder: Path) -> dict[str, Any]:
        """Options of `onecycle train images` for the tables in a folder."""
        tested = folder.absolute() / _TESTED
        return {
            "source": str(folder.absolute() / _LABELS),
            "folder": relpath(self.folder, folder),
            "label_col": "label",
            "label_delim": self.delimiter,
            "as_classes": self.delimiter is None,  # a folder called 1.5 is no number
            "test": str(tested) if tested.exists() else None,
        }

    def keep_tables(self, folder: Path) -> None:
        """Write the tables as they are now into a folder, for what goes on from them later."""
        with self.lock:
            for name in self._written:
                self._on_disk(name)  # what was changed there would not be trained on
            for name, text in self.tables(whole=True).items():
                write_atomically(folder / name, partial(_write_bytes, data=text.encode()))

    def save(self) -> None:
        """Write the tables; UsageError where another program has changed one meanwhile."""
        with self.lock:
            about = {
                "version": 1,
                "source": str(self.source),
                "delimiter": self.delimiter,
                "classes": self.classes,
                "aside": {
                    one.name: {"label": one.label, "side": one.side, "out": one.out}
                    for one in self.items
                    if one.out or not one.label
                },
            }
            tables = self.tables()
            for name, text in tables.items():
                self._write(name, text)
            if _TESTED not in tables and self._written.pop(_TESTED, None) is not None:
                (self.home / _TESTED).unlink(missing_ok=True)
            self._write(_ABOUT, json.dumps(about, indent=1))
            self.revision += 1

    def _write(self, name: str, text: str) -> None:
        data = text.encode()
        if self._on_disk(name) != data:
            write_atomically(self.home / name, partial(_write_bytes, data=data))
        self._written[name] = data

    def _on_disk(self, name: str) -> bytes | None:
        """What a file holds; UsageError where another program has changed it meanwhile."""
        path = self.home / name
        now = path.read_bytes() if path.exists() else None
        if name in self._written and now != self._written[name]:
            raise UsageError(f"{path} was changed by another program: start the studio anew")
        return now


def open_project(
    source: Path | None,
    home: Path,
    delimiter: str | None = None,
    make: type[Project] = Project,
) -> Project:
    """The project of a folder or table, or of images yet to come, as it was left.

    Raises UsageError where `home` belongs to another source.
    """
    require_writable(home / _ABOUT)
    kept, own = _kept(home), (home / "images").absolute()
    place = source.absolute() if source else Path(kept["source"]) if kept else own
    if kept is not None and Path(kept["source"]) != place:
        raise UsageError(f"{home} belongs to {kept['source']}: give another --home")
    if place == own:
        own.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        raise UsageError(f"{place} is neither a folder nor a table")
    project = make(home, place, kept["delimiter"] if kept else delimiter)
    project.read()
    if kept is not None:
        _restore(project, kept)
    known = {name for item in project.items for name in project.labels_of(item)}
    project.classes += sorted(known - {*project.classes})
    _first_sides(project)
    project.save()
    return project


def _kept(home: Path) -> dict[str, Any] | None:
    file = home / _ABOUT
    if not file.exists():
        return None
    try:
        about = parse_json(file.read_text(encoding="utf-8"))
        if about["version"] != 1:
            raise UsageError(f"{file} is of a newer onecycle")
        for name in ("source", "delimiter", "classes", "aside"):
            about[name]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is damaged ({error}): move it away, and start anew") from error
    return about


def walk(project: Project, folder: Path, kind: FileKind = FILES) -> None:
    """Every file of a kind below a folder: its class is its folder, its side the first."""
    with catch_warnings(record=True) as said:
        simplefilter("always")
        found = files_below(folder, kind)
    project.notes += [str(one.message) for one in said]
    names = [Path(path).relative_to(folder).as_posix() for path in found]
    if odd := [name for name in names if not is_unicode(name)]:
        project.notes.append(f"{len(odd)} names are no UTF-8, and are left out: {listing(odd)}")
    first = {name.split("/")[0].casefold() for name in names if name.count("/") > 1}
    divided = bool(first & _SIDES[TRAIN])
    beside = 0
    for name in filter(is_unicode, names):
        *folders, _ = name.split("/")
        side = _side_of(folders[0]) if divided and len(folders) > 1 else ""
        out = divided and not side
        beside += out
        project.items.append(Item(name, folders[-1] if folders else None, side, out))
    if beside:
        project.notes.append(
            f"{beside} {kind.what}s are left out, since they lie in no folder train, valid or "
            "test: take them in again in the room Data"
        )


def _side_of(folder: str) -> str:
    return next((side for side, names in _SIDES.items() if folder.casefold() in names), "")


def _read_source(project: Project, table: Path) -> None:
    """Names and labels of a table of images."""
    from onecycle.cli import layouts
    from onecycle.cli.frames import read_frame
    from onecycle.cli.options import Where

    frame = read_frame(table)
    where = Where(table, label_delim=project.delimiter)
    column = layouts.label_column(where, frame)
    labels = frame[column] if isinstance(column, str) else frame.iloc[:, column]
    sides = frame["is_valid"] if "is_valid" in frame.columns else [""] * len(frame)
    seen: dict[str, int] = {}
    for row, (name, label, side) in enumerate(zip(frame.iloc[:, 0], labels, sides, strict=True), 2):
        if (before := seen.setdefault(str(name), row)) != row:
            raise TableError(
                f"{table}: rows {before} and {row} are both of {str(name)!r}: the studio wants one "
                "row for each image"
            )
        if not (project.folder / str(name)).is_file():
            raise TableError(
                f"{table}, row {row}: there is no image {project.folder / str(name)}. A table of "
                "texts or series is opened with --kind text or --kind series"
            )
        where_to = side_of_cell(table, row, side)
        project.items.append(Item(str(name), label_of_cell(label), where_to))


def _restore(project: Project, kept: Mapping[str, Any]) -> None:
    """Labels, sides and what was left out, as they were; what is new stays as it was found."""
    by_name = {item.name: item for item in project.items}
    project.classes = [str(name) for name in kept["classes"]]
    gone = 0
    for file, side in ((_LABELS, None), (_TESTED, TEST)):
        for name, label, is_valid in read_rows(project.home / file):
            if (item := by_name.get(name)) is None:
                gone += 1
                continue
            item.label = label or None
            item.side = side or (VALID if is_valid == "True" else TRAIN)
    for name, one in kept["aside"].items():
        if (item := by_name.get(name)) is not None:
            item.label, item.side, item.out = one["label"], one["side"], one["out"]
    if gone:
        project.notes.append(f"{gone} items of {_LABELS} are no longer there")


def _first_sides(project: Project) -> None:
    """Sides for those who have none; where nobody validates, a fifth of each class does."""
    new = [item for item in project.items if not item.side]
    if any(item.side == VALID for item in project.items) and not project.delimiter:
        project._settle(new)
        return
    if not any(item.side == VALID for item in project.items):
        new = [item for item in project.items if item.side != TEST]
    groups: defaultdict[str | None, list[Item]] = defaultdict(list)
    for item in sorted(new, key=lambda one: sha256(one.name.encode()).digest()):
        groups["" if project.delimiter else item.label].append(item)
    for group in groups.values():
        count = round(_SHARE * len(group)) or int(len(group) > 1)
        for i, item in enumerate(group):
            item.side = VALID if i < count else TRAIN


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)
