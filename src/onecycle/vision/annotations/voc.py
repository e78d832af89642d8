"""Pascal VOC's XML: a file of boxes for each image, and folders of masks beside."""

from xml.etree.ElementTree import Element

from onecycle.core.paths import Path
from onecycle.vision.annotations import records
from onecycle.vision.annotations.sources import Source, read_xml

# The numbers of the masks that VOC itself has published.
CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
_MASKS = "SegmentationClass"


def read(source: Source) -> records.Found:
    """A record for each XML file, sorted by name."""
    found, names = records.Found(), set[str]()
    for file in source.files:
        root = read_xml(file)
        with records.at(file):
            if root.tag != "annotation":
                raise records.EntryError(f"its root is <{root.tag[:40]}>, not <annotation>")
            place = _image(root, file, source)
            size = records.size_of_image(root.findtext("size/height"), root.findtext("size/width"))
        things = []
        for i, row in enumerate(root.findall("object")):
            with records.at(f"{file}, object {i + 1}"):
                things.append(_thing(row))
        names |= {thing.name for thing in things}
        if place is not None:
            mask = _mask(file)
            found.records.append(records.Record(place, size, tuple(things), mask=mask))
    known = names <= set(CLASSES) and any(record.mask for record in found.records)
    found.classes = CLASSES if known else tuple(sorted(names))
    return found


def _image(root: Element, file: Path, source: Source) -> Path | None:
    """The image of a file: by the name that it says, which often lacks the ending."""
    name = records.text(root.findtext("filename") or file.stem, "filename")
    if name not in source.images:
        stems = source.images.of_stem(Path(name).stem)
        images = [known for known in stems if not known.parent.name.startswith("Segmentation")]
        if len(images) == 1:
            return images[0]
    return source.images.find(name, file.parent)


def _thing(row: Element) -> records.Thing:
    """One object; its pixels count from 1, and its last row and column are its own."""
    sides = {}
    for side in ("ymin", "xmin", "ymax", "xmax"):
        sides[side] = records.number(row.findtext(f"bndbox/{side}"), side)
    if sides["ymin"] > sides["ymax"] or sides["xmin"] > sides["xmax"]:
        raise records.EntryError(f"its box ends before it begins: {sides}")
    box = (sides["ymin"] - 1, sides["xmin"] - 1, sides["ymax"], sides["xmax"])
    hard = (row.findtext("difficult") or "0").strip() == "1"
    return records.Thing(records.text(row.findtext("name"), "its name"), box, ignored=hard)


def _mask(file: Path) -> Path | None:
    place = file.parent.parent / _MASKS / f"{file.stem}.png"
    return place if place.is_file() else None
