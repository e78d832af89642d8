"""The transforms by name, with the ranges and defaults of the course; all are optional.

A range is (low, high), a single value is always used. `p` is the chance that the transform acts.
"""

from collections.abc import Sequence
from math import inf, isfinite, log
from typing import Any

import cv2
import numpy as np

from onecycle.core.errors import UsageError
from onecycle.runtime.inputs.image import parse_size
from onecycle.vision import geometry as geo
from onecycle.vision.policies import by_name
from onecycle.vision.transform import (
    Always,
    Crop,
    Draw,
    Geometric,
    Lighting,
    LogUniform,
    Pixels,
    Transform,
    Uniform,
    Whole,
    as_draw,
    within,
)
from onecycle.vision.warp import by_bands

Range = float | tuple[float, float]
WholeRange = int | tuple[int, int]
_ANYWHERE = (0.0, 1.0)
Tfms = tuple[list[Any], list[Any]]


def get_transforms(
    do_flip: bool = True,
    flip_vert: bool = False,
    max_rotate: float = 10.0,
    max_zoom: float = 1.1,
    max_lighting: float = 0.2,
    max_warp: float = 0.2,
    p_affine: float = 0.75,
    p_lighting: float = 0.75,
    xtra_tfms: Sequence[Any] | None = None,
    policy: str | None = None,
) -> Tfms:
    """(train, valid) transforms that suit most photographs.

    `flip_vert` draws one of the 8 symmetries of the square (satellite images); a magnitude of
    zero leaves the transform out; `max_lighting` 0.2 shifts brightness by up to logit(0.6) and
    scales contrast by 0.8 to 1.25; `xtra_tfms` come after, torchvision's v2 transforms too.
    With `policy`, "trivialaugment", "randaugment" or "augmix" (see `trivial_augment`,
    `rand_augment`, `aug_mix`), that takes the place of rotation, zoom, warp and lighting.
    """
    if policy is not None:
        usual = max_rotate, max_zoom, max_lighting, max_warp, p_affine, p_lighting
        max_rotate = max_zoom = max_lighting = max_warp = _no_tuning(policy, usual)
    if flip_vert and not do_flip:
        raise UsageError(
            "flip_vert=True goes with do_flip=True; flip_ud() alone mirrors top-bottom"
        )
    if max_zoom < 1 and max_zoom != 0:
        raise UsageError(f"max_zoom enlarges: it is 1 or more (1 and 0: none), not {max_zoom}")
    tfms: list[Any] = [rand_crop()]
    if do_flip:
        tfms.append(dihedral_affine() if flip_vert else flip_lr(p=0.5))
    if max_warp:
        tfms.append(symmetric_warp(magnitude=(-max_warp, max_warp), p=p_affine))
    if max_rotate:
        tfms.append(rotate(degrees=(-max_rotate, max_rotate), p=p_affine))
    if max_zoom > 1:
        tfms.append(rand_zoom(scale=(1.0, max_zoom), p=p_affine))
    if max_lighting:
        if not 0 < max_lighting < 1:
            raise UsageError(f"max_lighting lies between 0 and 1, not {max_lighting}")
        change = (0.5 * (1 - max_lighting), 0.5 * (1 + max_lighting))
        tfms.append(brightness(change=change, p=p_lighting))
        tfms.append(contrast(scale=(1 - max_lighting, 1 / (1 - max_lighting)), p=p_lighting))
    chosen = [by_name(policy)] if policy is not None else []
    return tfms + chosen + list(xtra_tfms or ()), [crop_pad()]


def _no_tuning(policy: str, given: tuple[float, ...]) -> float:
    """UsageError where a policy was given ranges that it would not use."""
    if given != (10.0, 1.1, 0.2, 0.2, 0.75, 0.75):
        raise UsageError(
            f"policy={policy!r} takes the place of rotation, zoom, warp and lighting: leave these "
            "out, or put trivial_augment() and its kind into xtra_tfms"
        )
    return 0.0


def rotate(degrees: Range = 0.0, p: float = 1.0) -> Transform:
    """Turn counter-clockwise by `degrees`."""
    _require("degrees", degrees)
    return Geometric("rotate", {"degrees": as_draw(degrees)}, p, matrix=geo.rotation)


def flip_lr(p: float = 1.0) -> Transform:
    """Mirror left-right."""
    return Geometric("flip_lr", {"axis": Always(1)}, p, matrix=geo.mirroring)


def flip_ud(p: float = 1.0) -> Transform:
    """Mirror top-bottom."""
    return Geometric("flip_ud", {"axis": Always(0)}, p, matrix=geo.mirroring)


flip_affine = flip_lr


def dihedral(k: WholeRange = (0, 7), p: float = 1.0) -> Transform:
    """One of the 8 symmetries of the square."""
    _require("k", k, range(8))
    return Geometric("dihedral", {"k": as_draw(k, Whole)}, p, matrix=geo.dihedral)


dihedral_affine = dihedral


def zoom(
    scale: Range = 1.0, row_pct: Range = 0.5, col_pct: Range = 0.5, p: float = 1.0
) -> Transform:
    """Enlarge `scale` times towards the focus at (row_pct, col_pct)."""
    within("the scale of a zoom", scale, 0, inf, ends=False)
    draws = {"scale": as_draw(scale), **_place(row_pct, col_pct)}
    return Geometric("zoom", draws, p, matrix=geo.zooming)


def rand_zoom(scale: Range = (1.0, 1.1), p: float = 1.0) -> Transform:
    """Enlarge towards a focus drawn anywhere in the window."""
    return zoom(scale, _ANYWHERE, _ANYWHERE, p)


def squish(
    scale: Range = 1.0, row_pct: Range = 0.5, col_pct: Range = 0.5, p: float = 1.0
) -> Transform:
    """Stretch one axis: the width for a scale below 1, the height above."""
    within("the scale of a squish", scale, 0, inf, ends=False)
    draws = {"scale": as_draw(scale), **_place(row_pct, col_pct)}
    return Geometric("squish", draws, p, matrix=geo.squishing)


def symmetric_warp(magnitude: Range = (-0.2, 0.2), p: float = 1.0) -> Transform:
    """Perspective: each pair of corners moves together, by `magnitude` of half a side."""
    draws = {"magnitude": as_draw(magnitude, Uniform, count=4)}
    return Geometric("symmetric_warp", draws, p, matrix=_symmetric_warp)


def perspective_warp(magnitude: Range = (-0.2, 0.2), p: float = 1.0) -> Transform:
    """Perspective: the four corners move apart from one another, each in both directions."""
    draws = {"magnitude": as_draw(magnitude, Uniform, count=8)}
    return Geometric("perspective_warp", draws, p, matrix=_perspective_warp)


def tilt(
    direction: WholeRange = (0, 3), magnitude: Range = (-0.2, 0.2), p: float = 1.0
) -> Transform:
    """Lean the image to the left, right, forward or backward (direction 0-3)."""
    return Geometric("tilt", _pull(direction, range(4), magnitude), p, matrix=_tilt)


def skew(
    direction: WholeRange = (0, 7), magnitude: Range = (-0.2, 0.2), p: float = 1.0
) -> Transform:
    """Pull one corner along one of its two sides (direction 0-7)."""
    return Geometric("skew", _pull(direction, range(8), magnitude), p, matrix=_skew)


def _pull(direction: WholeRange, allowed: range, magnitude: Range) -> dict[str, Draw]:
    _require("direction", direction, allowed)
    _require("magnitude", magnitude)
    return {"direction": as_draw(direction, Whole), "magnitude": as_draw(magnitude)}


def brightness(change: Range = 0.5, p: float = 1.0) -> Transform:
    """A grey of one half becomes `change` (0-1)."""
    within("the change of brightness", change, 0, 1, ends=False)
    return Lighting("brightness", {"change": as_draw(change)}, p, logits=_brightness)


def contrast(scale: Range = 1.0, p: float = 1.0) -> Transform:
    """Logits times `scale`, drawn on a logarithmic scale; below 1 is flatter."""
    within("the scale of contrast", scale, 0, inf, ends=False)
    return Lighting("contrast", {"scale": as_draw(scale, LogUniform)}, p, logits=_contrast)


def crop(size: Any = None, row_pct: Range = 0.5, col_pct: Range = 0.5) -> Transform:
    """The window sits at (row_pct, col_pct) of the room beside it."""
    return Crop("crop", _place(row_pct, col_pct), size=parse_size(size)[0])


def crop_pad(
    size: Any = None, padding_mode: str | None = None, row_pct: Range = 0.5, col_pct: Range = 0.5
) -> Transform:
    """As `crop`; where the image is smaller than the window, `padding_mode` fills the rest."""
    window = parse_size(size)[0]
    return Crop("crop_pad", _place(row_pct, col_pct), size=window, padding_mode=padding_mode)


def rand_crop(size: Any = None) -> Transform:
    """The window sits anywhere in the room beside it."""
    return crop(size, _ANYWHERE, _ANYWHERE)


def rand_pad(padding: int, size: Any = None, mode: str = "reflection") -> list[Transform]:
    """A window drawn from the image with `padding` pixels added on every side."""
    place, window = _place(_ANYWHERE, _ANYWHERE), parse_size(size)[0]
    return [Crop("rand_pad", place, size=window, padding=padding, padding_mode=mode)]


def zoom_crop(scale: Range, do_rand: bool = False, p: float = 1.0) -> list[Transform]:
    """Zoom and crop, both at random places with `do_rand`, else in the middle."""
    if do_rand:
        return [rand_zoom(scale, p), rand_crop()]
    return [zoom(scale, p=p), crop_pad()]


def rand_resize_crop(
    size: Any = None, max_scale: float = 2.0, ratios: tuple[float, float] = (0.75, 1.33)
) -> list[Transform]:
    """A part of the image of random place, scale (up to `max_scale`) and shape."""
    within("max_scale", max_scale, 1, inf)
    within("ratios", ratios, 0, inf, ends=False)
    draws: dict[str, Draw] = {"scale": Uniform(1.0, max_scale), "ratio": LogUniform(*ratios)}
    draws |= _place(_ANYWHERE, _ANYWHERE)
    return [Geometric("rand_resize_crop", draws, matrix=_part), crop(size)]


def cutout(n_holes: WholeRange = 1, length: WholeRange = 40, p: float = 1.0) -> Transform:
    """Black squares with sides of `length` pixels. Source: DeVries & Taylor 2017."""
    within("the number of holes", n_holes, 0, inf)
    within("the length of a hole", length, 1, inf)
    draws = {"n_holes": as_draw(n_holes, Whole), "length": as_draw(length, Whole)}
    return Pixels("cutout", draws, p, change=_cutout)


def jitter(magnitude: Range = 0.01, p: float = 1.0) -> Transform:
    """Each pixel looks up to `magnitude` of half a side away from its place."""
    return Pixels("jitter", {"magnitude": as_draw(magnitude)}, p, change=_jitter)


def rgb_randomize(channel: WholeRange = (0, 2), thresh: Range = 0.3, p: float = 1.0) -> Transform:
    """One colour channel becomes noise between 0 and `thresh`."""
    within("the channel", channel, 0, 2)
    within("thresh", thresh, 0, 1)
    draws = {"channel": as_draw(channel, Whole), "thresh": as_draw(thresh)}
    return Pixels("rgb_randomize", draws, p, change=_noise_channel)


def _place(row_pct: Range, col_pct: Range) -> dict[str, Draw]:
    return {"row_pct": as_draw(row_pct), "col_pct": as_draw(col_pct)}


def _require(name: str, value: Any, allowed: range | None = None) -> None:
    """UsageError for what is not finite, or not one of the `allowed` whole numbers."""
    for number in value if isinstance(value, tuple | list) else (value,):
        if number not in allowed if allowed else not isfinite(number):
            wanted = f"from {allowed[0]} to {allowed[-1]}" if allowed else "a finite number"
            raise UsageError(f"{name} is {wanted}, not {number!r}")


def _symmetric_warp(h: float, w: float, magnitude: Any) -> geo.Matrix:
    a, b, c, d = np.broadcast_to(magnitude, 4)
    return geo.corners(h, w, geo.CORNERS * (1 + np.array([[d, b], [d, a], [c, b], [c, a]])))


def _perspective_warp(h: float, w: float, magnitude: Any) -> geo.Matrix:
    return geo.corners(h, w, geo.CORNERS + np.broadcast_to(magnitude, 8).reshape(4, 2))


def _tilt(h: float, w: float, direction: int, magnitude: float) -> geo.Matrix:
    along, side = divmod(direction, 2)  # which axis grows, on which of the two other sides
    moved = geo.CORNERS.copy()
    moved[moved[:, 1 - along] == (1 if side else -1), along] *= 1 + magnitude
    return geo.corners(h, w, moved)


def _skew(h: float, w: float, direction: int, magnitude: float) -> geo.Matrix:
    moved = geo.CORNERS.copy()
    moved[divmod(direction, 2)] *= 1 + magnitude  # a corner, and one of its two axes
    return geo.corners(h, w, moved)


def _part(
    h: float, w: float, scale: float, ratio: float, row_pct: float, col_pct: float
) -> geo.Matrix:
    x, y = min(1.0, ratio) / scale, min(1.0, 1 / ratio) / scale
    placed = geo.shift((1 - x) * (col_pct - 0.5) * w, (1 - y) * (row_pct - 0.5) * h)
    return placed @ geo.scaling(x, y)


def _brightness(change: float) -> tuple[float, float]:
    return 1.0, log(change / (1 - change))


def _contrast(scale: float) -> tuple[float, float]:
    return scale, 0.0


def _cutout(pixels: np.ndarray, rng: np.random.Generator, n_holes: int, length: int) -> np.ndarray:
    pixels = pixels.copy()
    for _ in range(n_holes):
        row, col = rng.integers(0, pixels.shape[0]), rng.integers(0, pixels.shape[1])
        top, left = max(0, row - length // 2), max(0, col - length // 2)
        pixels[top : row - length // 2 + length, left : col - length // 2 + length] = 0
    return pixels


def _jitter(pixels: np.ndarray, rng: np.random.Generator, magnitude: float) -> np.ndarray:
    h, w = pixels.shape[:2]
    rows, cols = np.mgrid[:h, :w].astype(np.float32)
    rows += rng.uniform(-1, 1, (h, w)).astype(np.float32) * magnitude * h / 2
    cols += rng.uniform(-1, 1, (h, w)).astype(np.float32) * magnitude * w / 2
    edge = cv2.BORDER_REFLECT
    return by_bands(
        lambda part: cv2.remap(part, cols, rows, cv2.INTER_LINEAR, borderMode=edge), pixels
    )


def _noise_channel(
    pixels: np.ndarray, rng: np.random.Generator, channel: int, thresh: float
) -> np.ndarray:
    pixels = pixels.copy()
    white = 255 if pixels.dtype == np.uint8 else 1
    pixels[:, :, channel] = rng.uniform(0, white * thresh, pixels.shape[:2])
    return pixels
