"""Pixels through a plan, in the loader's workers.

A plan costs one antialiased shrinking at most, one interpolation and one table of 256 values.
"""

from __future__ import annotations

from math import hypot
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from onecycle.core.errors import ModelError
from onecycle.deploy.resampling import resize
from onecycle.spec.inputs import ImageSpec
from onecycle.spec.views import fit, seen_part
from onecycle.vision.geometry import is_pixel_exact, shift, source_matrix
from onecycle.vision.plan import Plan

SHRINK_FROM = 1.5  # a picture this much larger than its output is shrunk before the warp
_ROUNDING = 1e-9  # of half a side: a window's own edge is inside it
_EPS = 1e-3  # keeps logits finite: black and white stay within a grey level
_VALUES = (np.arange(256) / 255).clip(_EPS, 1 - _EPS)
_LOGITS = np.log(_VALUES / (1 - _VALUES))


def warp(pixels: np.ndarray, plan: Plan) -> np.ndarray:
    """A uint8 (h, w, 3) picture through its plan: uint8 (*plan.out, 3)."""
    pixels, plan = shrunk(pixels, plan)
    pixels = _remap(pixels, plan, nearest=False)
    if plan.lighting != (1.0, 0.0):
        import cv2

        pixels = cv2.LUT(pixels, _curve(*plan.lighting))
    for tfm, params, seed in plan.pixels:
        pixels = tfm.change(pixels, np.random.default_rng(seed), **params)
    return pixels


def warp_mask(mask: np.ndarray, plan: Plan, void: int | None) -> np.ndarray:
    """An integer (h, w) mask through the plan of its picture: nearest, `void` outside it."""
    resized = plan.resized((mask.shape[0], mask.shape[1]))
    return _remap(mask, resized, nearest=True, outside=void)


def warp_maps(maps: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """Maps (c, h, w) of a network through a plan: (c, *plan.out), and which pixels they cover.

    Bilinear. A pixel is covered, True in (1, *plan.out), where it looks at the maps themselves:
    neither beyond their edge nor, through a perspective, behind the eye.
    """
    if tuple(maps.shape[-2:]) != plan.source:
        raise ModelError(
            f"the network gives maps of {tuple(maps.shape[-2:])} for images of {plan.source} "
            "(h, w): they cannot be laid over each other"
        )
    (rows, cols), (h, w) = plan.out, plan.source
    y, x = np.mgrid[:rows, :cols].astype(np.float64)
    u, v, depth = np.einsum("ij,jhw->ihw", plan.matrix, np.stack([x, y, np.ones_like(x)]))
    front = plan.matrix[2] @ [(cols - 1) / 2, (rows - 1) / 2, 1]
    visible = depth * np.sign(front) > 1e-9
    depth = np.where(visible, depth, 1)
    share_x, share_y = (2 * u / depth + 1) / w - 1, (2 * v / depth + 1) / h - 1
    covered = visible & (np.abs(share_x) <= 1 + _ROUNDING) & (np.abs(share_y) <= 1 + _ROUNDING)
    places = torch.from_numpy(np.stack([share_x, share_y], -1)).to(maps)[None]
    options = {"mode": "bilinear", "padding_mode": "border", "align_corners": False}
    moved = F.grid_sample(maps[None], places, **options)[0]  # type: ignore[arg-type]
    return moved, torch.from_numpy(covered)[None].to(maps.device)


def shrunk(pixels: np.ndarray, plan: Plan) -> tuple[np.ndarray, Plan]:
    """The picture area-averaged to about the scale of its output, with the plan that fits it."""
    h, w = pixels.shape[:2]
    plan = plan if (h, w) == plan.source else plan.resized((h, w))
    (a, b, _), (c, d, _), _ = plan.matrix.tolist()
    step_x, step_y = hypot(a, b), hypot(c, d)
    small = (_fewer(h, step_y), _fewer(w, step_x))
    if small == (h, w):
        return pixels, plan
    import cv2

    return cv2.resize(pixels, small[::-1], interpolation=cv2.INTER_AREA), plan.resized(small)


def _fewer(length: int, step: float) -> int:
    return max(1, round(length / step)) if step >= SHRINK_FROM else length


def _remap(pixels: np.ndarray, plan: Plan, nearest: bool, outside: int | None = None) -> np.ndarray:
    import cv2

    borders = {
        "reflection": cv2.BORDER_REFLECT,
        "border": cv2.BORDER_REPLICATE,
        "zeros": cv2.BORDER_CONSTANT,
    }
    nearest = nearest or is_pixel_exact(plan.matrix)
    flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR)
    return cv2.warpPerspective(
        pixels,
        plan.matrix,
        plan.out[::-1],
        flags=flags,
        borderMode=borders[plan.padding_mode],
        borderValue=0 if outside is None else outside,
    )


def _curve(factor: float, summand: float) -> np.ndarray:
    """The table that scales and shifts the logits of the values 0-255."""
    return (255.5 - 255 / (1 + np.exp(_LOGITS * factor + summand))).astype(np.uint8)


def exact(pixels: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """A uint8 (h, w, 3) picture prepared as in the exported file: crop or pad, antialiased resize.

    Every validation picture and every prediction goes this way, unless validation transforms have
    no place in a file (`spec.in_python`).
    """
    if spec.view:
        part = seen_part(pixels, spec.rectangle(_size(pixels)), spec.padding_mode)
        return resize(part, spec.fixed or _size(pixels))
    if spec.size is None or spec.resize_method == "none":
        return pixels
    if spec.resize_method == "crop":
        pixels = cut_out(pixels, spec.size)
    elif spec.resize_method == "pad":
        return _padded(pixels, spec)
    return resize(pixels, spec.size)


def exact_plan(source: tuple[int, int], spec: ImageSpec) -> Plan:
    """Where `exact` puts each pixel, for the masks and points of the picture."""
    if spec.view:
        top, left, h, w = spec.rectangle(source)
        out = spec.fixed or source
        matrix = shift(left, top) @ source_matrix(np.eye(3), (h, w), out, "squish")
        return Plan(source, out, matrix, spec.padding_mode)
    if spec.size is None or spec.resize_method == "none":
        return Plan(source, source, np.eye(3))
    if spec.resize_method == "pad":
        inner = fit(source, spec.size)
        top, left = (spec.size[0] - inner[0]) // 2, (spec.size[1] - inner[1]) // 2
        matrix = source_matrix(np.eye(3), source, inner, "squish") @ shift(-left, -top)
        return Plan(source, spec.size, matrix, spec.padding_mode)
    box = source if spec.resize_method == "squish" else fit(spec.size, source)
    top, left = (source[0] - box[0]) // 2, (source[1] - box[1]) // 2
    matrix = shift(left, top) @ source_matrix(np.eye(3), box, spec.size, "squish")
    return Plan(source, spec.size, matrix, spec.padding_mode)


def _size(pixels: np.ndarray) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]


def cut_out(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The largest centred part of (h, w, ...) pixels with the shape of `size`."""
    h, w = pixels.shape[:2]
    ch, cw = fit(size, (h, w))
    top, left = (h - ch) // 2, (w - cw) // 2
    return pixels[top : top + ch, left : left + cw]


def _padded(pixels: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """The whole picture in the middle of `size`, the rest filled as `padding_mode` says."""
    assert spec.size is not None
    rows, cols = spec.size
    inner = fit((pixels.shape[0], pixels.shape[1]), spec.size)
    small = resize(pixels, inner)
    top, left = (rows - inner[0]) // 2, (cols - inner[1]) // 2
    widths = ((top, rows - inner[0] - top), (left, cols - inner[1] - left), (0, 0))
    modes: dict[str, Any] = {"reflection": "symmetric", "border": "edge", "zeros": "constant"}
    return np.pad(small, widths, mode=modes[spec.padding_mode])
