"""Masks in the studio: images that may be left out, their pixels counted, and masks as colours."""

import json
from collections.abc import Mapping
from colorsys import hsv_to_rgb
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from onecycle.cli.studio.project import Item, Project
from onecycle.cli.studio.rows import TRAIN, VALID
from onecycle.core.errors import UsageError

COUNTED = "count.json"  # of each image its pixels by class
_OVER = 0.55  # of the colour of a class over the image
_STEP = 0.618034  # of the hues of neighbours: far apart, however many there are


class MaskProject(Project):
    """Images with masks. Who validates is said by their layout; the masks stay as they are.

    The label of an item is its mask's file, seen from the source.
    """

    def read(self) -> None:
        from onecycle.cli import layouts
        from onecycle.cli.options import WhereMasks

        with catch_warnings(record=True) as said, redirect_stdout(StringIO()) as printed:
            simplefilter("always")
            self.labelled = layouts.masks(WhereMasks(self.source)).labelled()
        self.notes += [*printed.getvalue().splitlines(), *(str(one.message) for one in said)]
        self.target: Any = self.labelled.task.target
        self.classes = [str(name) for name in self.target.classes]
        self.at: dict[str, tuple[Any, int]] = {}
        for name, side in ((TRAIN, self.labelled.train), (VALID, self.labelled.valid)):
            for i, (item, mask) in enumerate(zip(side.x.items, side.labels or (), strict=True)):
                found = Item(_below(item, self.source), _below(mask, self.source), name)
                self.items.append(found)
                self.at[found.name] = side, i
        self.items.sort(key=lambda one: one.name)

    def labels_of(self, item: Item) -> list[str]:
        """The classes that its mask was found to hold, once they were counted."""
        return [*self.pixels().get(item.name, ())]

    def pixels(self) -> Mapping[str, Mapping[str, int]]:
        """By image how many pixels are of each class; {} where nobody has counted."""
        file = self.home / COUNTED
        when = file.stat().st_mtime_ns if file.exists() else 0
        if self.__dict__.get("_when") != when:
            found = json.loads(file.read_text(encoding="utf-8")) if when else {}
            self._pixels, self._when = found.get("images", {}), when
        return self._pixels

    def more(self) -> dict[str, Any]:
        """The pixels of each class by side, and the colours of the classes."""
        sums: dict[str, dict[str, int]] = {name: {} for name in self.classes}
        pixels = self.pixels()
        for item in self.items:
            for name, count in pixels.get(item.name, {}).items() if not item.out else ():
                sums[name][item.side] = sums[name].get(item.side, 0) + count
        colours = dict(zip(self.classes, map(_hex, colours_of(self.classes)), strict=True))
        return {"pixels": sums if pixels else None, "colours": colours}

    def fault(self) -> str | None:
        with self.lock:
            sides = {item.side for item in self.items if not item.out}
        return None if {TRAIN, VALID} <= sides else "no_validation"

    def _require_sense(self, one: Any) -> None:
        plain = isinstance(one, dict)
        own = {k: v for k, v in one.items() if k not in ("label", "side")} if plain else one
        super()._require_sense(own)
        item = self.items[one["i"]]
        if one.get("label", item.label) != item.label or one.get("side", item.side) != item.side:
            raise UsageError("masks, and who validates, are changed in their own files")

    def add_class(self, name: str) -> None:
        raise UsageError("the classes of masks are changed in their own files")

    def where(self, folder: Path) -> dict[str, Any]:
        return {"source": str(self.source)}

    def files(self, i: int) -> list[Path]:
        return [self.source / self.items[i].name, self.source / str(self.items[i].label)]

    def drawn(self, i: int, side: int) -> bytes:
        """An image at a size that a screen shows, the classes of its mask over it: a JPEG."""
        from onecycle.cli.studio.thumbnails import jpeg_of_pixels
        from onecycle.runtime.inputs.pixels import open_pixels
        from onecycle.runtime.sources import Remarks

        item = self.items[i]
        mask = self.target.encode(self.source / str(item.label))[0]
        pixels = open_pixels(self.source / item.name, remarks=Remarks())
        return jpeg_of_pixels(overlaid(pixels, mask, self.classes), side)


def _below(file: Any, source: Path) -> str:
    return Path(file).absolute().relative_to(source).as_posix()


def colours_of(classes: list[str]) -> np.ndarray:
    """(classes, 3) uint8; a first class that is called background has none of its own: black."""
    found = [hsv_to_rgb(i * _STEP % 1, 0.85, 1 - 0.25 * (i % 3 == 2)) for i in range(len(classes))]
    colours = (255 * np.array(found)).astype(np.uint8).reshape(-1, 3)
    if is_ground(classes):
        colours[0] = 0
    return colours


def is_ground(classes: list[str]) -> bool:
    """Whether the first class is what lies behind the others."""
    return bool(classes) and classes[0].strip().casefold() == "background"


def _hex(colour: np.ndarray) -> str:
    return "#" + bytes(colour.tolist()).hex()


def overlaid(pixels: np.ndarray, mask: np.ndarray, classes: list[str]) -> np.ndarray:
    """uint8 (h, w, 3) of an image and its mask (h, w); what is of no class stays as it is."""
    if mask.shape != pixels.shape[:2]:  # which training refuses: shown in the image's size
        rows = np.arange(pixels.shape[0]) * mask.shape[0] // pixels.shape[0]
        columns = np.arange(pixels.shape[1]) * mask.shape[1] // pixels.shape[1]
        mask = mask[rows][:, columns]
    coloured = (mask >= int(is_ground(classes))) & (mask < len(classes))
    over = colours_of(classes)[np.where(coloured, mask, 0)]
    mixed = (1 - _OVER) * pixels + _OVER * over
    return np.where(coloured[..., None], mixed, pixels).round().astype(np.uint8)


def counted(mask: np.ndarray, classes: list[str]) -> dict[str, int]:
    """How many pixels of a mask are of each class that it holds."""
    numbers, counts = np.unique(mask, return_counts=True)
    pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
    return {classes[n]: count for n, count in pairs if 0 <= n < len(classes)}
