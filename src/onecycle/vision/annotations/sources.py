"""Files of labelling tools: read within limits, guessed by their content, matched with images."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Any
from unicodedata import normalize
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from onecycle.core.errors import EmptyDataError, LabelError, UsageError, listing
from onecycle.core.json_text import parse_json
from onecycle.core.paths import Path
from onecycle.core.walk import walk
from onecycle.runtime.inputs.pixels import SUFFIXES
from onecycle.vision.annotations.records import EntryError, text

_LARGEST = 1 << 30  # bytes of one file of labels
_DEEPEST = 100  # elements of XML inside each other
_LOOKED_AT = 20  # files of one ending whose content says which tool wrote them
_YAML = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_NAMES = ("classes.txt", "obj.names")
FORMATS = ("coco", "voc", "yolo", "labelme", "labelstudio", "cvat")
_NOT_HERE = {
    "captions": "COCO captions are texts, and onecycle has no labels of this kind: give the file "
    "instances_... or person_keypoints_... instead",
    "panoptic": "COCO panoptic is not read: give its instances_... file, or the folder of PNGs to "
    "label_from_func",
    "results": "a list of COCO results has no names of images and classes: give the whole data "
    "set's file, as to_coco writes it",
    "json-min": "this is Label Studio's JSON-MIN, which has lost the tools: export as JSON",
}


def read_bytes(file: Path) -> bytes:
    """The content of a file of labels; LabelError for one that cannot be read or is too large."""
    try:
        size = file.stat().st_size
        if size > _LARGEST:
            raise LabelError(f"{file}: {size:,} bytes of labels are more than {_LARGEST:,}")
        return file.read_bytes()
    except OSError as error:
        raise LabelError(f"{file}: cannot be read ({error.strerror})") from error


def read_json(file: Path) -> Any:
    """What a JSON file says."""
    try:
        return parse_json(read_bytes(file))
    except (ValueError, MemoryError) as error:
        if isinstance(error, LabelError):
            raise
        raise LabelError(f"{file}: is no JSON that can be read ({str(error)[:200]})") from error


def read_xml(file: Path) -> Element:
    """The root of an XML file, without document types: no entity is ever expanded."""
    parser, builder, depth = expat.ParserCreate(), TreeBuilder(), 0

    def refuse(*_: Any) -> None:
        raise EntryError(
            "it declares a document type, and may define entities: remove <!DOCTYPE ...>"
        )

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise EntryError(f"more than {_DEEPEST} elements lie in each other")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(read_bytes(file), True)
        return builder.close()
    except (expat.ExpatError, EntryError, ValueError, LookupError) as error:
        if isinstance(error, LabelError):
            raise
        raise LabelError(f"{file}: is no XML that can be read ({str(error)[:200]})") from error


def read_text(file: Path) -> str:
    """A text file in UTF-8."""
    try:
        return read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(f"{file}: is no text in UTF-8 ({error.reason})") from error


def read_yaml(file: Path) -> Any:
    """What a YAML file says, of plain values only."""
    import yaml

    try:
        return yaml.safe_load(read_text(file))
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        if isinstance(error, LabelError):
            raise
        raise LabelError(f"{file}: is no YAML that can be read ({str(error)[:200]})") from error


# Which image of the folder a name in a file of labels means.


@dataclass
class Images:
    """The image files below a folder, to be found by the names that tools give them."""

    root: Path
    files: Sequence[Path]
    missing: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)  # found, but in another folder than is said

    def __post_init__(self) -> None:
        self._by_name = defaultdict[str, list[Path]](list)
        self._by_stem = defaultdict[str, list[Path]](list)
        for file in self.files:
            self._by_name[normalize("NFC", file.name)].append(file)
            self._by_stem[normalize("NFC", file.stem)].append(file)

    def __contains__(self, name: str) -> bool:
        return normalize("NFC", name) in self._by_name

    def of_stem(self, stem: str) -> list[Path]:
        """The files of a name without its ending."""
        return self._by_stem.get(normalize("NFC", stem), [])

    @classmethod
    def below(cls, folder: Path) -> "Images":
        """Those of a folder; EmptyDataError where there is none."""
        files = walk(folder, SUFFIXES).taken
        if not files:
            raise EmptyDataError(f"no image file below {folder}: images= names their folder")
        return cls(folder, files)

    def find(self, given: Any, near: Path) -> Path | None:
        """The file that a name in a file of labels in the folder `near` means; None is noted.

        Only files below the root are ever given: LabelError for names that lead out of it.
        """
        name = text(given, "the name of the image").replace("\\", "/")
        ends = [part for part in _parts(name) if part != ".."]
        found = self._by_name.get(ends[-1], []) if ends else []
        if near.is_relative_to(self.root):
            here = PurePosixPath(
                normpath(PurePosixPath(near.relative_to(self.root).as_posix()) / name)
            )
            if ".." in here.parts:
                raise EntryError(
                    f"{name!r:.80} leads out of {self.root}: give the folder above to "
                    "from_annotations, or images="
                )
            exact = [
                file
                for file in found
                if _parts((self.root / here).as_posix()) == _parts(file.as_posix())
            ]
            if exact:
                return exact[0]
        full = [file for file in found if list(_parts(file.as_posix())[-len(ends) :]) == ends]
        if len(found) > 1 and len(full) != 1:
            raise EntryError(
                f"{name!r:.80} may be {listing(full or found, 3)}: images= names the right folder"
            )
        if not found:
            self.missing.append(name)
            return None
        if not full:
            self.moved.append(name)
        return (full or found)[0]

    def refuse_missing(self, path: Path) -> None:
        """LabelError for images that are named, and are not there."""
        if self.missing:
            raise LabelError(
                f"{len(self.missing)} images that {path} names are not below {self.root}: "
                f"{listing(self.missing)}. images= names the folder where they are"
            )

    def beside(self, taken: Iterable[Path]) -> list[Path]:
        """The other images in the folders of these."""
        known = set(taken)
        folders = {file.parent for file in known}
        return [file for file in self.files if file not in known and file.parent in folders]


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a path as they are compared."""
    return tuple(p for p in normalize("NFC", name).split("/") if p not in ("", "."))


# Which tool wrote the files.


@dataclass(frozen=True)
class Source:
    """Files of one format, their images, and what was asked for."""

    files: Sequence[Path]
    images: Images
    classes: tuple[str, ...] | None = None
    several: str | None = None


def find_files(path: Path, format: str | None) -> tuple[str, list[Path]]:
    """The format of what lies at `path`, and its files of labels."""
    if format is not None and format not in FORMATS:
        raise UsageError(f"format= is one of {listing(FORMATS, 9)}, not {format!r}")
    if path.is_file():
        kind = "yolo" if path.suffix.lower() in {".yaml", ".yml"} else _kind_of(path)
        return _agree({kind: [path]}, path, format)
    if not path.is_dir():
        raise EmptyDataError(f"{path} is neither a file nor a folder")
    below = walk(path, (".json", ".xml", ".txt", ".yaml", ".yml")).taken
    found: dict[str, list[Path]] = {}
    for ending in (".json", ".xml"):
        files = [file for file in below if file.suffix.lower() == ending]
        kinds = {_kind_of(file) for file in files[:_LOOKED_AT]}
        if (
            len(kinds) == 1
        ):  # of one tool, as the others will be: a reader says so of one that is not
            found[kinds.pop()] = files
        else:
            for file in files:
                found.setdefault(_kind_of(file), []).append(file)
    if yolo := [f for f in below if f.name in _YAML] or [f for f in below if f.name in _NAMES]:
        found["yolo"] = yolo
    elif rows := [f for f in below if f.suffix == ".txt" and f.parent.name == "labels"]:
        found["yolo"] = rows[:1]
    return _agree(found, path, format)


def _agree(found: dict[str, list[Path]], path: Path, format: str | None) -> tuple[str, list[Path]]:
    """The one format that is meant; an error that says what else there is."""
    known = {kind: files for kind, files in found.items() if kind in FORMATS}
    if format is not None and format not in known:
        others = f"; there are {listing(known, 9)}" if known else ""
        raise LabelError(f"there is nothing of the format {format!r} at {path}{others}")
    if not known:
        refused = [
            f"{files[0]}: {_NOT_HERE[kind]}" for kind, files in found.items() if kind in _NOT_HERE
        ]
        raise LabelError(
            refused[0]
            if refused
            else f"{path} holds no labels of a format that is known: COCO, Pascal VOC, YOLO, "
            "LabelMe, Label Studio (JSON), CVAT (for images 1.1)"
        )
    if format is None and len(known) > 1:
        shown = "; ".join(f"{kind}: {listing(files, 2)}" for kind, files in known.items())
        raise LabelError(f"{path} holds labels of several formats ({shown}): say format=")
    kind = format or next(iter(known))
    files = known[kind]
    if len(files) > 1 and kind in ("coco", "yolo", "labelstudio"):
        raise LabelError(
            f"{path} holds several files of labels ({listing(files)}): give one of them"
        )
    return kind, files


def _kind_of(file: Path) -> str:
    """Which tool wrote a JSON or XML file; "" for what is not known."""
    if file.suffix.lower() == ".xml":
        return {"annotation": "voc", "annotations": "cvat"}.get(read_xml(file).tag, "")
    if file.suffix.lower() != ".json":
        return ""
    found = read_json(file)
    if isinstance(found, dict):
        return _kind_of_dict(found)
    rows = (
        [row for row in found[:_LOOKED_AT] if isinstance(row, dict)]
        if isinstance(found, list)
        else []
    )
    keys = Counter(chain.from_iterable(rows))
    if not rows:
        return ""
    if keys["annotations"] or keys["completions"] or (keys["data"] and keys["id"]):
        return "labelstudio"
    if keys["image_id"] and keys["category_id"]:
        return "results"
    return "json-min" if keys["annotator"] or keys["annotation_id"] else ""


def _kind_of_dict(found: dict[str, Any]) -> str:
    if "shapes" in found and ("imagePath" in found or "version" in found):
        return "labelme"
    rows = found.get("annotations")
    if "images" not in found or not isinstance(rows, list):
        return ""
    first = next((row for row in rows if isinstance(row, dict)), {})
    if "caption" in first:
        return "captions"
    return "panoptic" if "segments_info" in first else "coco"
