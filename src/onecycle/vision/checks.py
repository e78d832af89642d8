"""Faults in image files, found before training: missing, empty, cut off, not an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np

from onecycle.core.defaults import defaults
from onecycle.core.errors import (
    DamagedImageError,
    EmptyDataError,
    ImageError,
    OnecycleWarning,
    SizeError,
    listing,
)
from onecycle.core.files import write_atomically
from onecycle.core.missing import hint_of_missing
from onecycle.core.progress import bar
from onecycle.core.walk import files_below
from onecycle.spec.pixels import FILES, formats, is_plain, open_pixels, open_size, sniff, verify
from onecycle.spec.remarks import Remarks

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
