"""Faults in image files, found before training: missing, empty, cut off, not an image."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from onecycle.core import errors
from onecycle.core.addresses import exists
from onecycle.core.display import in_threads
from onecycle.core.errors import ImageError, LabelError, SizeError, listing, warn
from onecycle.core.file_cache import CheckCache, look_at_files
from onecycle.core.files import write_atomically
from onecycle.core.walk import files_below, hint_of_missing
from onecycle.data.looks import Finding, Look, digest_of, looks_at
from onecycle.data.targets import Target
from onecycle.runtime.inputs import pixels
from onecycle.runtime.sources import Remarks
from onecycle.vision.image import size_of
from onecycle.vision.warp import by_bands

SHOW_FROM = 5000  # files; below that the check takes no time worth a bar
_LOOKED_AT = 200  # files that are opened to see whether they are what they seem


def check_files(paths: Sequence[Any], sized: bool) -> None:
    """Raise ImageError for every file that cannot be an image, naming the first five.

    Only the first and last bytes are read, and the whole image where these are odd; what was sound
    is not read again in later runs, as long as the file stays as it is. Of images
    that may hold surprises (16 bits, transparency, several frames) up to 200 are opened, and what
    is found is a warning. Unless the images are `sized` later, different sizes raise SizeError.
    """
    unique = list(dict.fromkeys(paths))
    faults = dict[Any, ImageError]()

    def sound(path: Any) -> int | None:
        """1 for an image that is what it seems, 2 for one that may hold surprises."""
        if fault := pixels.sniff(path):
            faults[path] = fault
            return None
        return 1 if pixels.is_plain(path) else 2

    found = look_at_files("begin and end of images", sound, unique, "checking files", SHOW_FROM)
    refuse_faults(faults, unique)
    odd = [path for path, kind in zip(unique, found, strict=True) if kind == 2]
    warn_of_surprises(odd, 6)
    if not sized:
        refuse_sizes(unique, in_threads(pixels.open_size, unique))


def refuse_faults(faults: Mapping[Any, ImageError], paths: Sequence[Any]) -> None:
    """Raise ImageError where some of the files have faults, naming the first five."""
    if faults:
        raise ImageError(_report({p: faults[p] for p in paths if p in faults}, len(paths)))


def refuse_sizes(paths: Sequence[Any], sizes: Sequence[tuple[int, int]]) -> None:
    """Raise SizeError where the files have different sizes (h, w)."""
    counts = Counter(sizes).most_common(3)
    if len(counts) > 1:
        named = [f"{paths[sizes.index(s)]}: {s[0]} x {s[1]} ({n} files)" for s, n in counts]
        raise SizeError(
            f"the images have {len(set(sizes))} different sizes: {listing(named)}. Give "
            "transform() a size, for example size=224"
        )


def warn_of_surprises(
    sources: Sequence[Any], stacklevel: int = 5, read: Callable[..., Any] = pixels.open_pixels
) -> None:
    """What a sample of the images hides as they are `read`, one warning of each kind."""
    rows = np.linspace(0, len(sources) - 1, min(len(sources), _LOOKED_AT)).round().astype(int)
    remarks = Remarks()
    in_threads(partial(read, remarks=remarks), [sources[i] for i in rows])
    remarks.warn(len(rows), stacklevel, of_set=True)


def _report(faults: dict[Any, ImageError], total: int) -> str:
    missing = [path for path in faults if not exists(path)]
    if missing:
        return (
            f"{len(missing)} of {total} images are missing: {listing(missing)}. "
            f"Are `folder` and `suffix` right?{hint_of_missing(missing)}"
        )
    lines = _first(f"{path}: {str(e).removeprefix(f'{path}: ')}" for path, e in faults.items())
    broken = sum(isinstance(fault, errors.DamagedImageError) for fault in faults.values())
    return (
        f"{len(faults)} of {total} files are no images that can be read:{lines}\n"
        "Leave them out with filter_by_func"
        + (f"; verify_images(folder, delete=True) removes the {broken} broken ones" * (broken > 0))
    )


def _first(faults: Iterable[str]) -> str:
    """The first five of them, on a line each, and how many more there are."""
    lines = [f"\n  {fault}" for fault in faults]
    return "".join(lines[:5]) + (f"\n  and {len(lines) - 5} more" if len(lines) > 5 else "")


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
        raise errors.EmptyDataError(f"{path} is no folder")
    below = files_below(path, pixels.FILES, recurse=recurse)
    files = [Path(file) for file in below if file.is_file() or file.is_symlink()]
    if not files:
        more = "" if recurse else "; recurse=True looks into the folders below, too"
        warn(f"{path} holds no image files{more}", 2)
    faults = in_threads(pixels.verify, files, label="verifying", workers=max_workers)
    found = {file: fault for file, fault in zip(files, faults, strict=True) if fault}
    for fault in found.values():
        print(fault)
    broken = [file for file, fault in found.items() if isinstance(fault, errors.DamagedImageError)]
    if delete:
        _delete(broken)
    if found:
        what = "deleted" if delete else "to be deleted by delete=True"
        kept = len(found) - len(broken)
        print(f"{len(files)} files: {len(broken)} broken ({what}), {kept} not readable here (kept)")
    for file in files if max_size is not None else ():
        if file not in found:
            _shrink(file, max_size)
    return list(found)


def _delete(files: Sequence[Path]) -> None:
    """Delete all that can be deleted, and warn of the others."""
    left = []
    for file in files:
        try:
            file.unlink()
        except OSError as error:
            left.append(f"{file}: {error.strerror}")
    if left:
        message = f"{len(left)} broken files could not be deleted: {listing(left)}"
        warn(message, 3)


def _shrink(file: Path, max_size: Any) -> None:
    """Write an image anew with its longer side at `max_size`, upright, in its own format."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file, formats=pixels.formats()) as image:
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
    """What was seen of one mask: EXIF marks (1-8) of its image and of itself, fault, numbers."""

    name: str
    turns: tuple[int, int]
    fault: Exception | None = None
    values: frozenset[int] = frozenset()
    is_unknown: bool = False  # whether some of the numbers are no class


def check_masks(sources: Sequence[Any], labels: Sequence[Any], target: Target) -> None:
    """Raise for masks that are missing, hold unknown numbers, or lie over another size.

    Warns where an image and its mask carry different EXIF marks. All masks are decoded, on all
    cores, unless these files passed the check before, as they are.
    """
    files = [file for file in (*sources, *labels) if isinstance(file, str | PathLike)]
    named = [label for label in labels if isinstance(label, str | PathLike)]
    there = in_threads(exists, named)
    missing = [str(f) for f, found in zip(named, there, strict=True) if not found]
    if missing:
        raise ImageError(
            f"{len(missing)} of {len(labels)} masks are missing: {listing(missing)}. Does the "
            f"function that names them give full paths?{hint_of_missing(missing)}"
        )
    passed = CheckCache(f"masks {target}", files)
    whole = len(files) == 2 * len(labels)
    if whole and passed:
        return
    label, least = "checking masks", _SHOW_MASKS_FROM
    looks = in_threads(partial(_look, target), sources, labels, label=label, show_from=least)
    if faults := [look for look in looks if look.fault]:
        values = frozenset[int]().union(*(look.values for look in looks))
        hint = _hint(values, len(target.classes))
        lines = _first(f"{look.fault}{hint * look.is_unknown}" for look in faults)
        sizes = all(isinstance(look.fault, SizeError) for look in faults)
        message = f"{len(faults)} of {len(looks)} masks cannot be used:{lines}"
        raise SizeError(message) if sizes else LabelError(message)
    if not _warn_of_marks(looks, sources) and whole:
        passed.keep()


def _look(target: Target, source: Any, label: Any) -> _Look:
    """What is wrong with one mask."""
    name = str(label) if isinstance(label, str | PathLike) else "a mask"
    turns = pixels.open_turn(source), pixels.open_turn(label)
    try:
        mask = target.encode(label)[0]
    except (ImageError, LabelError) as error:
        return _Look(name, turns, error)
    unknown, values = _unknown(mask, len(target.classes))
    size = size_of(source)
    fault: Exception | None = None
    if unknown:
        fault = LabelError(f"{name} {unknown}")
    elif size != mask.shape:
        swapped = size == mask.shape[::-1] and turns[0] != turns[1]
        fault = SizeError(
            f"{name} is {mask.shape} (h, w), its image {source} is {size}"
            + ": only one of the two carries an EXIF mark that turns it" * swapped
        )
    return _Look(name, turns, fault, values, bool(unknown))


def _unknown(mask: np.ndarray, n: int) -> tuple[str, frozenset[int]]:
    """Which numbers of a mask are none of `n` classes, as a clause or ""; and all its numbers."""
    values, counts = np.unique(mask[mask != IGNORED], return_counts=True)
    pairs = list(zip(values.tolist(), counts.tolist(), strict=True))
    unknown = [f"{v} ({count} pixels)" for v, count in pairs if not 0 <= v < n]
    more = f" and {len(unknown) - 5} more numbers" * (len(unknown) > 5)
    clause = f"holds {', '.join(unknown[:5])}{more}, but the classes are 0-{n - 1}"
    return clause * bool(unknown), frozenset(values.tolist())


def _hint(values: frozenset[int], n: int) -> str:
    """What numbers like these usually mean, judged by all masks of the set."""
    if 255 in values and n <= 255 and all(0 <= v < n for v in values - {255}):
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
        6,
    )
    return True


# What `data.check()` sees of images and masks.

ADVICE = {
    "blank": "the whole image has one colour: look at it, or leave it out",
    "small": "it is enlarged to the size of transform(): a smaller size costs less",
    "shape": "cropping loses most of it, squishing bends it: cut it into several, or leave it out",
}
_LONG = 4  # sides of an image: one so many times as long as the other
_LEVELS = 8  # grey levels in which the parts of an image differ by, for its print to say anything
_FLAT = 3  # levels within which an image is of one colour, after JPEG


def look_of_pixels(image: np.ndarray) -> Look:
    """Of uint8 (h, w, c): size, digest, and a print of which parts are lighter than their left.

    The print is the difference hash of 8 x 8 parts and, finer, of 16 x 16.
    """
    import cv2

    parts, fewer = (
        by_bands(partial(cv2.resize, dsize=size, interpolation=cv2.INTER_AREA), image)
        for size in ((17, 16), (9, 8))
    )
    grey, rough = parts.mean(2), fewer.mean(2)
    blank = (("blank", "one colour"),) * bool(np.ptp(parts, axis=(0, 1)).max() <= _FLAT)
    lighter = [(x[:, 1:] > x[:, :-1]).ravel() for x in (rough, grey)]
    shown = np.packbits(np.concatenate(lighter)).tobytes().hex() if np.ptp(grey) > _LEVELS else ""
    return Look(blank, image.shape[:2], "" if blank else digest_of(image), shown)


def odd_sizes(looks: Sequence[Look], size: tuple[int, int] | None) -> Iterator[Finding]:
    """Images smaller than `size` (h, w), and those that are very long."""
    for i, look in enumerate(looks):
        if not look.size:  # it could not be read
            continue
        (h, w), wanted = look.size, size or (0, 0)
        if h < wanted[0] or w < wanted[1]:
            yield i, "small", f"{h} x {w}, for {wanted[0]} x {wanted[1]}"
        if max(h, w) >= _LONG * min(h, w):
            yield i, "shape", f"{h} x {w}"


def mask_doubts(looks: Sequence[Look], labels: Sequence[Any], target: Target) -> Iterator[Finding]:
    """Masks that cannot be used: unreadable, of another size, with numbers that are no class."""

    def look(label: Any) -> Look:
        mask = target.encode(label)[0]
        unknown, _ = _unknown(mask, len(target.classes))
        found = (("mask", unknown),) if unknown else ()
        return Look(found, mask.shape)

    for i, seen in enumerate(looks_at(f"mask {target}", look, labels, by_file=True)):
        name = labels[i] if isinstance(labels[i], str | PathLike) else "the mask"
        for _, detail in seen.problems:
            yield i, "mask", f"{name}: {detail}"
        if looks[i].size and seen.size and looks[i].size != seen.size:
            yield i, "mask size", f"{name}: {seen.size} (h, w), its image {looks[i].size}"
