"""Raw labels of points and boxes: which unit they are in, and whether they lie on their image."""

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onecycle.core.display import in_threads
from onecycle.core.errors import LabelError, listing, warn
from onecycle.data.looks import Finding
from onecycle.vision.image import FlowField, ImagePoints, size_of

UNITS = (None, "pixels", "shares")
_LEVEL = 7  # frames from here to the user's label_from_...()
_EDGE = 1e-6  # of half a side, by which a point may pass it through rounding
_LEAST = 8  # pixels of a side; on smaller images shares and pixels look alike


def as_points(label: Any) -> np.ndarray | None:
    """The numbers of a label as (k, 2) float64, or None for what is no list of pairs."""
    given = label.data if isinstance(label, ImagePoints) else label
    try:
        given = given.detach().cpu() if isinstance(given, Tensor) else given
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if values.ndim not in {1, 2} or values.size % 2 or (values.ndim == 2 and values.shape[1] != 2):
        return None
    return values.reshape(-1, 2)


def located_points(sources: Sequence[Any], labels: Sequence[Any], unit: str | None) -> list[Any]:
    """The labels as ImagePoints in shares of their image; what is no list of pairs as it is.

    Without a `unit` all labels together decide: values within -1 to 1 are shares, others pixels.
    LabelError where they fit neither; OnecycleWarning where what is usual is not what is done, and
    for points outside their image.
    """
    ready = [isinstance(label, ImagePoints) for label in labels]
    found = [None if done else as_points(x) for x, done in zip(labels, ready, strict=True)]
    raw = [values for values in found if values is not None]
    top = max((float(np.abs(v[np.isfinite(v)]).max(initial=0)) for v in raw), default=0.0)
    in_pixels = top > 1 if unit is None else unit == "pixels"
    sizes = [(2, 2)] * len(labels)  # of no use where all are shares already
    if in_pixels or any(ready):
        sizes = in_threads(size_of, sources)
    if unit is None and raw:
        pairs = zip(labels, found, strict=True)
        tensors = {isinstance(label, Tensor) for label, values in pairs if values is not None}
        _agree_on_unit(tensors, top, in_pixels, min(map(min, sizes)))
    made = []
    for label, values, size in zip(labels, found, sizes, strict=True):
        if isinstance(label, ImagePoints):
            _refuse_swapped(label, size)
        elif values is not None:
            label = ImagePoints(FlowField(size, torch.from_numpy(values)), scale=in_pixels)
        made.append(label)
    _warn_outside(sources, made, sizes)
    return made


def _agree_on_unit(tensors: set[bool], top: float, in_pixels: bool, side: int) -> None:
    """Say what the values were read as where it is not what their type is usually used for."""
    if in_pixels and top < 2 and side > _LEAST:
        raise LabelError(
            f"points go up to {top:.4g}: too far for shares of an image (-1 to 1), not far enough "
            'for pixels. Say which they are: label_cls=Points(unit="shares") or "pixels"'
        )
    if tensors == {in_pixels}:  # tensors in pixels, as in the course; arrays and lists in shares
        return
    read = "pixels, (y, x)" if in_pixels else "shares of the image, (y, x) from -1 to 1"
    unit, other = ("pixels", "shares") if in_pixels else ("shares", "pixels")
    warn(
        f"the points go up to {top:.4g} and were read as {read}. "
        f'label_cls=Points(unit="{unit}") says so without this '
        f'warning, Points(unit="{other}") reads them as {other}',
        _LEVEL,
    )


def _refuse_swapped(label: ImagePoints, size: tuple[int, int]) -> None:
    if label.size != size and label.size == size[::-1]:
        raise LabelError(
            f"points are given for an image of {label.size}, but it is {size} (h, w): give "
            "FlowField((h, w), points), as image.size has it"
        )


def _warn_outside(
    sources: Sequence[Any], labels: Sequence[Any], sizes: Sequence[tuple[int, int]]
) -> None:
    """Count points beyond the edge of their image; say where all lie in the corner of theirs."""
    none = np.zeros((0, 2))
    places = [x.data.numpy() if isinstance(x, ImagePoints) else none for x in labels]
    pixels = [(place + 1) / 2 * size - 0.5 for place, size in zip(places, sizes, strict=True)]
    large = [p for p, size in zip(pixels, sizes, strict=True) if p.size and min(size) > _LEAST]
    if len(large) > 1 and max(float(p.max()) for p in large) <= 1 + _EDGE:
        warn(  # shares that were taken for pixels lie there
            f"all points of {len(large)} images lie within one pixel of the upper left corner: if "
            'they are shares of the image, from -1 to 1, say Points(unit="shares"), or '
            "ImagePoints(..., scale=False)",
            _LEVEL,
        )
    counts = [int(_is_outside(place).sum()) for place in places]
    if not any(counts):
        return
    swapped = set(sizes) != {(2, 2)} and all(
        (np.abs((p[:, ::-1] + 0.5) / size * 2 - 1) <= 1 + _EDGE).all()
        for p, size in zip(pixels, sizes, strict=True)
    )
    turned = ": they would all lie inside as (x, y), but (y, x) is wanted" if swapped else ""
    warn(
        f"{sum(counts)} points of {sum(map(bool, counts))} images lie outside their image (of "
        f"{_first(sources, counts)}){turned}",
        _LEVEL,
    )


def _first(sources: Sequence[Any], counts: Sequence[int]) -> str:
    """The first sources whose count is not 0: paths, and the places of what is in memory."""
    named = (s if isinstance(s, str | PathLike) else f"item {i}" for i, s in enumerate(sources))
    return listing([name for name, count in zip(named, counts, strict=True) if count], 3)


def _is_outside(shares: np.ndarray) -> np.ndarray:
    """Which rows of shares (n, ...) are beyond an edge of their image."""
    return (np.abs(shares) > 1 + _EDGE).any(1)


OUTSIDE = {"outside": "correct the numbers, (y, x) in pixels or shares, or leave the item out"}


def outside(labels: Sequence[np.ndarray | None], what: str) -> Iterator[Finding]:
    """Located labels, in shares of their image, that lie beyond its edge."""
    for i, shares in enumerate(labels):
        if shares is not None and (count := int(_is_outside(shares).sum())):
            yield i, "outside", f"{count} of {len(shares)} {what}"


def located_boxes(
    sources: Sequence[Any], labels: Sequence[tuple[np.ndarray, list[Any]]]
) -> list[tuple[np.ndarray, list[Any]]]:
    """Boxes (n, 4) in pixels from edge to edge, with names, as shares from -1 to 1.

    LabelError where they look like fractions; OnecycleWarning for boxes beyond their image.
    """
    sizes = in_threads(size_of, sources)
    every = [boxes for boxes, _ in labels if boxes.size]
    top = max((float(np.nanmax(boxes)) for boxes in every), default=0.0)
    if every and top <= 1 and min(map(min, sizes)) > _LEAST:
        raise LabelError(
            f"no edge of a box is beyond {top:.4g}: boxes are (top, left, bottom, right) in "
            "pixels; multiply fractions by the height and width of each image"
        )
    found = [
        (boxes / np.tile(size, 2) * 2 - 1, names)
        for (boxes, names), size in zip(labels, sizes, strict=True)
    ]
    counts = [int(_is_outside(edges).sum()) for edges, _ in found]
    if any(counts):
        warn(
            f"{sum(counts)} boxes reach beyond their image and are cut at its edge, of "
            f"{_first(sources, counts)}. Are they (top, left, bottom, right) in pixels?",
            _LEVEL,
        )
    return found
