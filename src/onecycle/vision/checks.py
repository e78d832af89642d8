"""Faults in picture files, found before training: missing, empty, cut off, not a picture."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from onecycle.core.defaults import defaults
from onecycle.core.errors import ImageError, SizeError, listing
from onecycle.core.progress import bar
from onecycle.spec.pixels import SUFFIXES, open_size, sniff, verify

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
            "Are `folder` and `suffix` right?"
        )
    lines = [f"  {path}: {fault}" for path, fault in list(faults.items())[:5]]
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
    path: str | Path, delete: bool = True, recurse: bool = False, max_workers: int | None = None
) -> list[Path]:
    """Decode every picture of a folder; returns those that fail, and deletes them if asked to."""
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
                os.unlink(file)  # noqa: PTH108 - asked for by name
    return bad
