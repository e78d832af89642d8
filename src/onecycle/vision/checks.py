"""Faults in picture files, found before training: missing, empty, cut off, not a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from onecycle.core.defaults import defaults
from onecycle.core.errors import ImageError, SizeError, listing
from onecycle.core.files import write_atomically
from onecycle.core.missing import hint_of_missing
from onecycle.core.progress import bar
from onecycle.spec.pixels import FORMATS, SUFFIXES, open_size, sniff, verify

_SHOW_FROM = 5000  # files; below that the check takes no time worth a bar


def check_files(paths: Sequence[Any], sized: bool) -> None:
    """Raise ImageError for every file that cannot be a picture, naming the first five.

    Only the first and last bytes are read, and the whole picture where these are odd. Unless the
    pictures are `sized` later, files of different sizes raise SizeError.
    """
    unique = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(defaults.cpus) as pool:
        found = pool.map(sniff, unique, chunksize=64)
        shown = bar(found, len(unique), "checking files", len(unique) >= _SHOW_FROM)
        faults = {p: fault for p, fault in zip(unique, shown, strict=True) if fault}
        if faults:
            raise ImageError(_report(faults, len(unique)))
        if not sized:
            _same_size(unique, list(pool.map(open_size, unique, chunksize=64)))


def _report(faults: dict[Any, str], total: int) -> str:
    missing = [path for path, fault in faults.items() if fault == "no such file"]
    if missing:
        return (
            f"{len(missing)} of {total} pictures are missing: {listing(missing)}. "
            f"Are `folder` and `suffix` right?{hint_of_missing(missing)}"
        )
    named = list(faults.items())[:5]
    lines = [f"  {path}: {fault.removeprefix(f'{path}: ')}" for path, fault in named]
    more = f"\n  and {len(faults) - 5} more" if len(faults) > 5 else ""
    return (
        f"{len(faults)} of {total} files are no pictures that can be read:\n"
        + "\n".join(lines)
        + f"{more}\nverify_images(folder, delete=True) removes such files, or leave them out with "
        "filter_by_func"
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
    delete: bool = True,
    max_workers: int | None = None,
    max_size: int | None = None,
    recurse: bool = False,
) -> list[Path]:
    """Decode every picture of a folder; returns those that fail, and deletes them if asked to.

    With `max_size` pictures with a longer side are shrunk in place to that many pixels.
    """
    folder = Path(path)
    entries = folder.rglob("*") if recurse else folder.iterdir()
    files = sorted(p for p in entries if p.suffix.lower() in SUFFIXES)
    with ThreadPoolExecutor(max_workers or defaults.cpus) as pool:
        faults = list(bar(pool.map(verify, files), len(files), "verifying"))
    bad = [file for file, fault in zip(files, faults, strict=True) if fault]
    for file, fault in zip(files, faults, strict=True):
        if fault:
            print(fault)
            if delete:
                file.unlink()
        elif max_size is not None:
            _shrink(file, max_size)
    return bad


def _shrink(file: Path, max_size: int) -> None:
    """Write a picture anew with its longer side at `max_size`, upright, in its own format."""
    from PIL import Image, ImageOps

    with Image.open(file, formats=FORMATS) as picture:
        if max(picture.size) <= max_size:
            return
        kind, small = picture.format, ImageOps.exif_transpose(picture)
    small.thumbnail((max_size, max_size))
    write_atomically(file, lambda to: small.save(to, kind))
