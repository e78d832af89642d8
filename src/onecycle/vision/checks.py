"""Faults in image files, found before training: missing, empty, cut off, not an image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np

from onecycle.core.display import bar
from onecycle.core.errors import (
    DamagedImageError,
    EmptyDataError,
    ImageError,
    LabelError,
    OnecycleWarning,
    SizeError,
    listing,
)
from onecycle.core.files import Remembered, write_atomically
from onecycle.core.machine import defaults
from onecycle.core.walk import files_below, hint_of_missing
from onecycle.data.targets import Target
from onecycle.runtime.inputs.pixels import (
    FILES,
    formats,
    is_plain,
    open_pixels,
    open_size,
    open_turn,
    sniff,
    verify,
)
from onecycle.runtime.sources import Remarks
from onecycle.vision.image import size_of

_SHOW_FROM = 5000  # files; below that the check takes no time worth a bar
_LOOKED_AT = 200  # files that are opened to see whether they are what they seem


def check_files(paths: Sequence[Any], sized: bool) -> None:
    """Raise ImageError for every file that cannot be an image, naming the first five.

    Only the first and last bytes are read, and the whole image where these are odd. Of images
    that may hold surprises (16 bits, transparency, several frames) up to 200 are opened, and what
    is found is a warning. Unless the images are `sized` later, different sizes raise SizeError.
    """
    unique = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(defaults.cpus) as pool:
        found = pool.map(sniff, unique, chunksize=64)
        shown = bar(found, len(unique), "checking files", len(unique) >= _SHOW_FROM)
        faults = {p: fault for p, fault in zip(unique, shown, strict=True) if fault}
        if faults:
            raise ImageError(_report(faults, len(unique)))
        warn_of_surprises(unique, pool.map)
        if not sized:
            _same_size(unique, list(pool.map(open_size, unique, chunksize=64)))


def warn_of_surprises(sources: Sequence[Any], run: Callable[..., Iterable[Any]] = map) -> None:
    """What a sample of the images hides, one warning of each kind; `run` maps, as a pool does."""
    plain = run(_is_plain, sources)
    odd = [source for source, simple in zip(sources, plain, strict=True) if not simple]
    rows = np.linspace(0, len(odd) - 1, min(len(odd), _LOOKED_AT)).round().astype(int)
    remarks = Remarks()
    list(run(partial(open_pixels, remarks=remarks), [odd[i] for i in rows]))
    remarks.warn(len(rows), stacklevel=5)


def _is_plain(source: Any) -> bool:
    return isinstance(source, str | PathLike) and is_plain(source)


def _report(faults: dict[Any, ImageError], total: int) -> str:
    missing = [path for path in faults if not Path(path).exists()]
    if missing:
        return (
            f"{len(missing)} of {total} pictures are missing: {listing(missing)}. "
            f"Are `folder` and `suffix` right?{hint_of_missing(missing)}"
        )
    named = list(faults.items())[:5]
    lines = [f"  {path}: {str(fault).removeprefix(f'{path}: ')}" for path, fault in named]
    more = f"\n  and {len(faults) - 5} more" if len(faults) > 5 else ""
    broken = sum(isinstance(fault, DamagedImageError) for fault in faults.values())
    return (
        f"{len(faults)} of {total} files are no pictures that can be read:\n"
        + "\n".join(lines)
        + f"{more}\nLeave them out with filter_by_func"
        + (f"; verify_images(folder, delete=True) removes the {broken} broken ones" * (broken > 0))
    )


def _same_size(paths: Sequence[Any], sizes: Sequence[tuple[int, int]]) -> None:
    counts = Counter(sizes).most_common(3)
    if len(counts) > 1:
        named = [f"{paths[sizes.index(s)]}: {s[0]} x {s[1]} ({n} files)" for s, n in counts]
        raise SizeError(
            f"the pictures have {len(set(sizes))} different sizes: {listing(named)}. Give "
            "transform() a size, for example size=224"
        )


def verify_images(
    path: str | Path,
    delete: bool = False,
    max_workers: int | None = None,
    max_size: int | None = None,
    recurse: bool = False,
) -> list[Path]:
    """Decode every image of a folder; prints and returns those that cannot be used.

    With `delete` those are deleted that were read and are broken, or no image at all: never what
    may not be read, is above the limit of pixels, or is of a kind that onecycle does not know.
    With `max_size` images with a longer side are shrunk in place to that many pixels.
    """
    if not Path(path).is_dir():
        raise EmptyDataError(f"{path} is no folder")
    files = [Path(p) for p in files_below(path, FILES, recurse=recurse) if _is_file(p)]
    if not files:
        more = "" if recurse else "; recurse=True looks into the folders below, too"
        warn(f"{path} holds no image files{more}", OnecycleWarning, stacklevel=2)
    with ThreadPoolExecutor(max_workers or defaults.cpus) as pool:
        faults = list(bar(pool.map(verify, files), len(files), "verifying"))
    found = {file: fault for file, fault in zip(files, faults, strict=True) if fault}
    for fault in found.values():
        print(fault)
    broken = [file for file, fault in found.items() if isinstance(fault, DamagedImageError)]
    if delete:
        _delete(broken)
    if found:
        what = "deleted" if delete else "to be deleted by delete=True"
        kept = len(found) - len(broken)
        print(f"{len(files)} files: {len(broken)} broken ({what}), {kept} not readable here (kept)")
    if max_size is not None:
        for file in files:
            if file not in found:
                _shrink(file, max_size)
    return list(found)


def _is_file(path: Path) -> bool:
    return path.is_file() or path.is_symlink()


def _delete(files: Sequence[Path]) -> None:
    """Delete all that can be deleted, and warn of the others."""
    left = []
    for file in files:
        try:
            file.unlink()
        except OSError as error:
            left.append(f"{file}: {error.strerror}")
    if left:
        warn(
            f"{len(left)} broken files could not be deleted: {listing(left)}",
            OnecycleWarning,
            stacklevel=3,
        )


def _shrink(file: Path, max_size: int) -> None:
    """Write an image anew with its longer side at `max_size`, upright, in its own format."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file, formats=formats()) as image:
            if max(image.size) <= max_size:
                return
            if getattr(image, "is_animated", False) and image.format != "MPO":
                raise OSError("it holds several images, which shrinking would lose")
            kind, small = image.format, ImageOps.exif_transpose(image)
        small.thumbnail((max_size, max_size))
        options = {"quality": 95} if kind in {"JPEG", "MPO"} else {}
        kind = "JPEG" if kind == "MPO" else kind
        write_atomically(file, lambda to: small.save(to, kind, **options))
    except (OSError, ValueError) as error:
        raise ImageError(f"{file}: cannot be shrunk ({error})") from error


# Faults in masks, found before training: missing, unknown class numbers, another size.

IGNORED = -100  # torch's own default: no loss where the target has this value
_SHOW_MASKS_FROM = 500  # masks; each is decoded


@dataclass(frozen=True)
class _Look:
    """What was seen of one mask: its fault, numbers that are no class, and EXIF marks (1-8)."""

    name: str
    fault: Exception | None = None
    values: frozenset[int] = frozenset()
    unknown: dict[int, int] = field(default_factory=dict)
    turns: tuple[int, int] = (1, 1)  # of the image, of the mask


def check_masks(sources: Sequence[Any], labels: Sequence[Any], target: Target) -> None:
    """Raise for masks that are missing, hold unknown numbers, or lie over another size.

    Warns where an image and its mask carry different EXIF marks. All masks are decoded, on all
    cores; a set of files of which nothing is to be said is remembered.
    """
    files = [f for f in (*sources, *labels) if isinstance(f, str | os.PathLike)]
    missing = [str(f) for f in labels if isinstance(f, str | os.PathLike) and not os.path.exists(f)]  # noqa: PTH110
    if missing:
        raise ImageError(
            f"{len(missing)} of {len(labels)} masks are missing: {listing(missing)}. Does the "
            f"function that names them give full paths?{hint_of_missing(missing)}"
        )
    passed = Remembered(f"masks {target}", files)
    whole = len(files) == 2 * len(labels)
    if whole and passed:
        return
    with ThreadPoolExecutor(defaults.cpus) as pool:
        found = pool.map(partial(_look, target), sources, labels)
        looks = list(bar(found, len(labels), "checking masks", len(labels) >= _SHOW_MASKS_FROM))
    _refuse_faults(looks, target)
    if not _warn_of_marks(looks, sources) and whole:
        passed.keep()


def _look(target: Any, source: Any, label: Any) -> _Look:
    """What is wrong with one mask."""
    name = str(label) if isinstance(label, str | os.PathLike) else "a mask"
    turns = open_turn(source), open_turn(label)
    try:
        mask = target.encode(label)[0]
    except (ImageError, LabelError) as error:
        return _Look(name, error, turns=turns)
    values, counts = np.unique(mask, return_counts=True)
    seen = {int(v): int(n) for v, n in zip(values, counts, strict=True) if v != IGNORED}
    strange = {v: n for v, n in seen.items() if not 0 <= v < len(target.classes)}
    size, fault = size_of(source), None
    if not strange and size != mask.shape:
        swapped = size == mask.shape[::-1] and turns[0] != turns[1]
        fault = SizeError(
            f"{name} is {mask.shape} (h, w), its picture {source} is {size}"
            + ": only one of the two carries an EXIF mark that turns it" * swapped
        )
    return _Look(name, fault, frozenset(seen), strange, turns)


def _refuse_faults(looks: Sequence[_Look], target: Any) -> None:
    hint = _hint(frozenset().union(*(look.values for look in looks)), len(target.classes))
    faults = [fault for look in looks if (fault := _fault(look, target, hint))]
    if not faults:
        return
    kind = SizeError if {type(fault) for fault in faults} == {SizeError} else LabelError
    lines = "\n".join(f"  {fault}" for fault in faults[:5])
    more = f"\n  and {len(faults) - 5} more" if len(faults) > 5 else ""
    raise kind(f"{len(faults)} of {len(looks)} masks cannot be used:\n{lines}{more}")


def _fault(look: _Look, target: Any, hint: str) -> Exception | None:
    if not look.unknown:
        return look.fault
    held = [f"{v} ({count} pixels)" for v, count in look.unknown.items()]
    more = f" and {len(held) - 5} more numbers" * (len(held) > 5)
    return LabelError(
        f"{look.name} holds {', '.join(held[:5])}{more}, but the classes are "
        f"0-{len(target.classes) - 1}{hint}"
    )


def _hint(values: frozenset[int], n: int) -> str:
    """What numbers like these usually mean, judged by all masks of the set."""
    others = values - {255}
    if 255 in values and n <= 255:
        if others <= {0} and n == 2:
            return (
                ": the masks hold nothing but 0 and 255. If 255 is the second class: "
                "label_cls=Mask(div=True); if it means 'do not count': Mask(void=255)"
            )
        if all(0 <= v < n for v in others):
            return ": if 255 means 'do not count', as is common: label_cls=Mask(void=255)"
    if values == frozenset(range(1, n + 1)):
        return ": the masks count from 1. Name a class for 0 before the others, or subtract 1"
    return ": name all classes, or a number that is not to count: label_cls=Mask(void=...)"


def _warn_of_marks(looks: Sequence[_Look], sources: Sequence[Any]) -> bool:
    """Say where only one of a pair is turned by EXIF, or each otherwise."""
    odd = [i for i, look in enumerate(looks) if look.turns[0] != look.turns[1]]
    if not odd:
        return False
    image, mask = looks[odd[0]].turns
    warn(
        f"{len(odd)} of {len(looks)} images and their masks carry different EXIF orientations (the "
        f"first: {sources[odd[0]]} has {image}, {looks[odd[0]].name} has {mask}; 1 is none). Each "
        "file is turned by its own mark. Where a mask was drawn over the image as stored, give it "
        "the mark of its image, or save both upright (PIL.ImageOps.exif_transpose)",
        OnecycleWarning,
        stacklevel=5,
    )
    return True
