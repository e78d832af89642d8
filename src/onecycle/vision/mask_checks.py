"""Faults in masks, found before training: missing, unknown class numbers, another size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from warnings import warn

import numpy as np

from onecycle.core.defaults import defaults
from onecycle.core.errors import ImageError, LabelError, OnecycleWarning, SizeError, listing
from onecycle.core.missing import hint_of_missing
from onecycle.core.progress import bar
from onecycle.core.remembered import Remembered
from onecycle.data.targets import Target
from onecycle.spec.pixels import open_turn
from onecycle.vision.image import size_of

IGNORED = -100  # torch's own default: no loss where the target has this value
_SHOW_FROM = 500  # masks; each is decoded


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
        looks = list(bar(found, len(labels), "checking masks", len(labels) >= _SHOW_FROM))
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
