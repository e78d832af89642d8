"""Faults in masks, found before training: missing, unknown class numbers, another size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from onecycle.core.defaults import defaults
from onecycle.core.errors import ImageError, LabelError, SizeError, listing
from onecycle.core.missing import hint_of_missing
from onecycle.core.progress import bar
from onecycle.core.remembered import Remembered
from onecycle.data.targets import Target
from onecycle.spec.pixels import open_pixels, open_size

_SHOW_FROM = 500  # masks; each is decoded


def check_masks(sources: Sequence[Any], labels: Sequence[Any], target: Target) -> None:
    """Raise for masks that are missing, hold unknown numbers, or lie over another size.

    All masks are decoded, on all cores; a set of files that passed is remembered.
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
        found = pool.map(partial(_fault, target), sources, labels)
        shown = bar(found, len(labels), "checking masks", len(labels) >= _SHOW_FROM)
        faults = [fault for fault in shown if fault]
    if faults:
        kinds = {type(fault) for fault in faults}
        kind = SizeError if kinds == {SizeError} else LabelError
        lines = "\n".join(f"  {fault}" for fault in faults[:5])
        more = f"\n  and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise kind(f"{len(faults)} of {len(labels)} masks cannot be used:\n{lines}{more}")
    if whole:
        passed.keep()


def _fault(target: Any, source: Any, label: Any) -> Exception | None:
    """What is wrong with one mask."""
    try:
        mask = target.encode(label)[0]
    except ImageError as error:
        return error
    name = label if isinstance(label, str | os.PathLike) else "a mask"
    n = len(target.classes)
    if mask.min() < 0 or mask.max() >= n:
        values, counts = np.unique(mask[(mask < 0) | (mask >= n)], return_counts=True)
        held = [f"{v} ({count} pixels)" for v, count in zip(values, counts, strict=True)]
        hint = ": a mask of 0 and 255 wants label_cls=Mask(div=True)" if 255 in values else ""
        return LabelError(
            f"{name} holds {', '.join(held[:5])}, but the classes are 0-{n - 1}{hint}"
        )
    size = _size(source)
    if size != mask.shape:
        return SizeError(f"{name} is {mask.shape} (h, w), its picture {source} is {size}")
    return None


def _size(source: Any) -> tuple[int, int]:
    if isinstance(source, str | os.PathLike):
        return open_size(source)
    pixels = getattr(source, "size", None)
    return pixels if isinstance(pixels, tuple) else open_pixels(source).shape[:2]
