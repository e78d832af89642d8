"""Raw labels of points and boxes: which unit they are in, and whether they lie on their image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from typing import Any
from warnings import warn

import numpy as np
import torch
from torch import Tensor

from onecycle.core.errors import LabelError, OnecycleWarning, listing
from onecycle.core.machine import defaults
from onecycle.vision.image import FlowField, ImagePoints, size_of

UNITS = (None, "pixels", "shares")
_LEVEL = 7  # frames from here to the user's label_from_...()
_EDGE = 1e-6  # of half a side, by which a point may pass it through rounding


def as_points(label: Any) -> np.ndarray | None:
    """The numbers of a label as (k, 2) float64, or None for what is no list of pairs."""
    if isinstance(label, ImagePoints):
        label = label.data
    try:
        given = label.detach().cpu() if isinstance(label, Tensor) else label
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
    found = [as_points(label) for label in labels]
    raw = [
        None if isinstance(label, ImagePoints) else values
        for label, values in zip(labels, found, strict=True)
    ]
    top = _largest(raw)
    in_pixels = top > 1 if unit is None else unit == "pixels"
    sizes = [(2, 2)] * len(labels)  # of no use where all are shares already
    if in_pixels or any(isinstance(label, ImagePoints) for label in labels):
        with ThreadPoolExecutor(defaults.cpus) as pool:
            sizes = list(pool.map(size_of, sources))
    if unit is None and any(values is not None for values in raw):
        _agree_on_unit(labels, raw, top, in_pixels, sizes)
    made = []
    for label, values, size in zip(labels, found, sizes, strict=True):
        if isinstance(label, ImagePoints):
            _refuse_swapped(label, size)
        elif values is not None:
            flow = FlowField(size, torch.from_numpy(values))
            label = ImagePoints(flow, scale=in_pixels)
        made.append(label)
    _warn_outside(sources, made, sizes)
    return made


def _largest(raw: Sequence[np.ndarray | None]) -> float:
    finite = [v[np.isfinite(v)] for v in raw if v is not None]
    return float(max((np.abs(v).max(initial=0) for v in finite), default=0.0))


def _agree_on_unit(
    labels: Sequence[Any],
    raw: Sequence[np.ndarray | None],
    top: float,
    in_pixels: bool,
    sizes: Sequence[tuple[int, int]],
) -> None:
    """Say what the values were read as where it is not what their type is usually used for."""
    kinds = {isinstance(x, Tensor) for x, v in zip(labels, raw, strict=True) if v is not None}
    if in_pixels and top < 2 and min(map(min, sizes)) > 8:
        raise LabelError(
            f"points go up to {top:.4g}: too far for shares of an image (-1 to 1), not far enough "
            'for pixels. Say which they are: label_cls=Points(unit="shares") or "pixels"'
        )
    if kinds == {in_pixels}:  # tensors in pixels, as in the course; arrays and lists in shares
        return
    read = "pixels, (y, x)" if in_pixels else "shares of the image, (y, x) from -1 to 1"
    other = "shares" if in_pixels else "pixels"
    warn(
        f"the points go up to {top:.4g} and were read as {read}. "
        f'label_cls=Points(unit="{"pixels" if in_pixels else "shares"}") says so without this '
        f'warning, Points(unit="{other}") reads them as {other}',
        OnecycleWarning,
        stacklevel=_LEVEL,
    )


def _refuse_swapped(label: ImagePoints, size: tuple[int, int]) -> None:
    if label.size != size and label.size == size[::-1]:
        raise LabelError(
            f"points are said to lie on an image of {label.size}, but it is {size} (h, w): give "
            "FlowField((h, w), points), as image.size has it"
        )


def _warn_outside(
    sources: Sequence[Any], labels: Sequence[Any], sizes: Sequence[tuple[int, int]]
) -> None:
    """Count points that lie beyond the edge of their image."""
    places = [
        label.data.numpy() if isinstance(label, ImagePoints) else np.zeros((0, 2))
        for label in labels
    ]
    _warn_of_corner(places, sizes)
    outside = [int((np.abs(place) > 1 + _EDGE).any(1).sum()) for place in places]
    if not any(outside):
        return
    swapped = set(sizes) != {(2, 2)} and all(
        (np.abs(_swap(place, size)) <= 1 + _EDGE).all()
        for place, size in zip(places, sizes, strict=True)
    )
    warn(
        f"{sum(outside)} points of {sum(map(bool, outside))} images lie outside their image (of "
        f"{_first(sources, outside)})"
        + (": they would all lie inside as (x, y), but (y, x) is wanted" if swapped else ""),
        OnecycleWarning,
        stacklevel=_LEVEL,
    )


def _first(sources: Sequence[Any], counts: Sequence[int]) -> str:
    """The first sources whose count is not 0: paths, and the places of what is in memory."""
    named = (s if isinstance(s, str | PathLike) else f"item {i}" for i, s in enumerate(sources))
    return listing([name for name, count in zip(named, counts, strict=True) if count], 3)


def _warn_of_corner(places: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]) -> None:
    """Say where all points lie on the first pixels, as shares do that were taken for pixels."""
    pixels = [
        (place + 1) / 2 * size - 0.5
        for place, size in zip(places, sizes, strict=True)
        if place.size and min(size) > 8
    ]
    if len(pixels) > 1 and max(float(p.max()) for p in pixels) <= 1 + _EDGE:
        warn(
            f"all points of {len(pixels)} images lie within one pixel of the upper left corner: if "
            'they are shares of the image, from -1 to 1, say Points(unit="shares"), or '
            "ImagePoints(..., scale=False)",
            OnecycleWarning,
            stacklevel=_LEVEL + 1,
        )


def _swap(places: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Shares of points whose pixels were given as (x, y)."""
    pixels = (places + 1) / 2 * size - 0.5
    return (pixels[:, ::-1] + 0.5) / size * 2 - 1


def located_boxes(
    sources: Sequence[Any], labels: Sequence[tuple[np.ndarray, list[Any]]]
) -> list[tuple[np.ndarray, list[Any]]]:
    """Boxes (n, 4) in pixels from edge to edge, with names, as shares from -1 to 1.

    LabelError where they look like fractions; OnecycleWarning for boxes beyond their image.
    """
    with ThreadPoolExecutor(defaults.cpus) as pool:
        sizes = list(pool.map(size_of, sources))
    every = [boxes for boxes, _ in labels if boxes.size]
    top = max((float(np.nanmax(boxes)) for boxes in every), default=0.0)
    if every and top <= 1 and min(map(min, sizes)) > 8:
        raise LabelError(
            f"no edge of a box is beyond {top:.4g}: boxes are (top, left, bottom, right) in "
            "pixels; multiply fractions by the height and width of each image"
        )
    found = []
    outside = []
    for (boxes, names), size in zip(labels, sizes, strict=True):
        edges = boxes / np.tile(size, 2) * 2 - 1
        beyond = int((np.abs(edges) > 1 + _EDGE).any(1).sum())
        outside.append(beyond)
        found.append((edges, names))
    if any(outside):
        warn(
            f"{sum(outside)} boxes reach beyond their image and are cut at its edge, of "
            f"{_first(sources, outside)}. Are they (top, left, bottom, right) in pixels?",
            OnecycleWarning,
            stacklevel=_LEVEL,
        )
    return found
