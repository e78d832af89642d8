"""What 255 means in masks whose classes do not have it, judged by all masks together."""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from onecycle.core.display import in_threads
from onecycle.core.errors import ImageError, warn
from onecycle.core.file_cache import look_at_files
from onecycle.runtime.inputs.pixels import open_indexes
from onecycle.vision.image import ImageSegment

Kind = TypeVar("Kind", bound=Any)
Pairs = list[tuple[int, int]]
_MARK = 255
_MOST = 300  # different numbers of a mask that are kept: more than any such classes have
_SHOW_FROM = 500  # masks; each is decoded


def settle_255(labels: Sequence[Any], target: Kind, say: bool = True) -> Kind:
    """The kind of masks with `void=255`, or `div=True`, where nothing else is said of 255.

    Of two classes and masks that hold nothing but 0 and 255, it is the second class; beside
    numbers of classes it is what does not count. In both cases a warning says so, with counts.
    Where other numbers are in the masks nothing is settled.
    """
    classes = target.classes
    said = target.void is not None or target.div or target.colours is not None
    if said or len(classes) > _MARK:
        return target
    files = [label for label in labels if isinstance(label, str | PathLike)]
    others = [label for label in labels if not isinstance(label, str | PathLike)]
    shown = "numbers in masks"
    found: list[Pairs | None] = look_at_files(shown, _numbers, files, shown, _SHOW_FROM)
    counts = [dict(pairs) for pairs in (*found, *in_threads(_numbers, others)) if pairs]
    numbers = {number for own in counts for number in own}
    if _MARK not in numbers or not numbers <= {*range(len(classes)), _MARK}:
        return target
    of_255 = [own[_MARK] for own in counts if _MARK in own]
    where = f"({sum(of_255):,} pixels in {len(of_255)} of {len(labels)} masks)"
    halves = numbers <= {0, _MARK} and len(classes) == 2
    if halves and say:
        warn(
            f"the masks hold nothing but 0 and 255, for two classes: 255 {where} is taken for "
            f"{classes[1]!r}. label_cls=Mask(div=True) says so without this warning; where it "
            "means 'do not count', Mask(void=255)",
            5,
        )
    elif say:
        warn(
            f"255 {where} is none of the {len(classes)} classes: it is taken for 'do not count', "
            "and is in no loss and no metric. label_cls=Mask(void=255) says so without this "
            "warning; where it is a class, write the number of that class into the masks",
            5,
        )
    return replace(target, div=True) if halves else replace(target, void=_MARK)


def stored_numbers(label: Any, colours: Any = None) -> np.ndarray:
    """The numbers (h, w) that a raw label stores: a path, an array, a tensor or an ImageSegment."""
    source = label.data[0] if isinstance(label, ImageSegment) else label
    return open_indexes(source.numpy() if isinstance(source, Tensor) else source, colours)


def _numbers(label: Any) -> Pairs | None:
    """The numbers of a mask and their pixels; None where it is none (`check_masks` says so)."""
    try:
        values, counts = np.unique(stored_numbers(label), return_counts=True)
    except ImageError:
        return None
    return list(zip(values[:_MOST].tolist(), counts[:_MOST].tolist(), strict=True))
