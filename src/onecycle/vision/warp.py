"""The plan of one sample: everything that was drawn, and the one matrix and curve it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from onecycle.core.errors import ModelError, UsageError, listing
from onecycle.export.image import resize
from onecycle.runtime.inputs.image import ImageSpec, fit, seen_part
from onecycle.vision import geometry as geo
from onecycle.vision.geometry import is_pixel_exact, shift, source_matrix
from onecycle.vision.transform import Crop, Foreign, Geometric, Lighting, Params, Pixels, Transform


@dataclass(frozen=True, eq=False)
class Plan:
    """What happens to one picture of size `source` (h, w); replayed by `warp` as often as wanted.

    `matrix` maps pixel indexes of the output to those of the source; `lighting` is (factor,
    summand) for the logits of the values; `pixels` and `foreign` come after, with their seeds.
    """

    source: tuple[int, int]
    out: tuple[int, int]
    matrix: np.ndarray
    padding_mode: str = "reflection"
    lighting: tuple[float, float] = (1.0, 0.0)
    mirrored: bool = False
    pixels: tuple[tuple[Pixels, Params, int], ...] = ()
    foreign: tuple[tuple[Foreign, int], ...] = ()
    record: tuple[tuple[str, Params], ...] = ()

    def for_source(self, source: tuple[int, int]) -> Plan:
        """The same plan for the same picture, decoded or resized to another size (h, w)."""
        scale = geo.scaling(source[1] / self.source[1], source[0] / self.source[0])
        there = geo.to_index(source) @ scale @ geo.from_index(self.source)
        return replace(self, source=source, matrix=there @ self.matrix)

    def back_to(self, kept: Plan) -> Plan:
        """The way back: what this plan's output shows, seen through the window of `kept`.

        Both are plans of one image. The matrix maps pixel indexes of the output of `kept` to
        those of this plan's output; only the geometry comes back.
        """
        there = kept.for_source(self.source).matrix
        matrix = np.linalg.inv(self.matrix) @ there
        return Plan(self.out, kept.out, matrix, mirrored=self.mirrored != kept.mirrored)


def draw_plan(
    tfms: Sequence[Transform],
    spec: ImageSpec,
    source: tuple[int, int],
    rng: np.random.Generator,
) -> Plan:
    """Draw every transform for a picture of size `source` (h, w)."""
    drawn = [(tfm, params) for tfm in tfms if (params := tfm.draw(rng)) is not None]
    crops = [(tfm, params) for tfm, params in drawn if isinstance(tfm, Crop)]
    out, method = _window(spec, crops, source)
    matrix = geo.source_matrix(_chain(drawn, out), source, out, method, **_place(crops))
    factor, summand = 1.0, 0.0
    for tfm, params in drawn:
        if isinstance(tfm, Lighting):
            times, plus = tfm.logits(**params)
            factor, summand = factor * times, summand * times + plus
    modes = [tfm.padding_mode for tfm, _ in crops if tfm.padding_mode]
    return Plan(
        source,
        out,
        matrix,
        modes[-1] if modes else spec.padding_mode,
        (factor, summand),
        bool(matrix[0, 0] * matrix[1, 1] < matrix[0, 1] * matrix[1, 0]),
        tuple((t, p, _seed(rng)) for t, p in drawn if isinstance(t, Pixels)),
        tuple((t, _seed(rng)) for t, _ in drawn if isinstance(t, Foreign)),
        tuple((t.name, p) for t, p in drawn),
    )


def is_plain(tfms: Sequence[Transform]) -> bool:
    """Whether the transforms only cut out the middle: then nothing needs to be drawn or warped."""
    middle = {"row_pct": 0.5, "col_pct": 0.5}
    return all(
        isinstance(tfm, Crop)
        and tfm.size is None
        and not tfm.padding
        and tfm.padding_mode is None
        and {name: getattr(draw, "value", None) for name, draw in tfm.draws.items()} == middle
        for tfm in tfms
    )


def one_window(tfms: Sequence[Transform], size: tuple[int, int] | None) -> None:
    """Raise where crops name another size than `transform(size=)` does, or several: one is cut."""
    named = [tfm.size for tfm in tfms if isinstance(tfm, Crop) and tfm.size]
    wanted = dict.fromkeys([*([size] if size else []), *named])
    if len(wanted) > 1:
        raise UsageError(
            f"an image is cut to one size, but transform(size=) and the crops name "
            f"{listing(wanted)} (h, w): give one"
        )


def _chain(drawn: Sequence[tuple[Transform, Params]], out: tuple[int, int]) -> geo.Matrix:
    """The product of the geometric transforms and of the padding that a crop adds."""
    chain = np.eye(3)
    for tfm, params in drawn:
        if isinstance(tfm, Geometric):
            chain = chain @ tfm.matrix(*out, **params)
        elif isinstance(tfm, Crop) and tfm.padding:
            x, y = params["col_pct"] - 0.5, params["row_pct"] - 0.5
            chain = geo.shift(2 * tfm.padding * x, 2 * tfm.padding * y) @ chain
    return chain


def _window(
    spec: ImageSpec, crops: Sequence[tuple[Crop, Params]], source: tuple[int, int]
) -> tuple[tuple[int, int], str]:
    """The size of the output and the way of resizing to it."""
    if spec.size is not None:
        return spec.size, spec.resize_method
    sizes = [tfm.size for tfm, _ in crops if tfm.size]
    return (sizes[-1], "none") if sizes else (source, "none")


def _place(crops: Sequence[tuple[Crop, Params]]) -> dict[str, Any]:
    """Where the last crop without padding of its own puts the window."""
    places = [params for tfm, params in crops if not tfm.padding]
    return places[-1] if places else {}


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


# Pixels through a plan, in the loader's workers.
#
# A plan costs one antialiased shrinking at most, one interpolation and one table of 256 values.

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
    resized = plan.for_source((mask.shape[0], mask.shape[1]))
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
    plan = plan if (h, w) == plan.source else plan.for_source((h, w))
    (a, b, _), (c, d, _), _ = plan.matrix.tolist()
    step_x, step_y = hypot(a, b), hypot(c, d)
    small = (_fewer(h, step_y), _fewer(w, step_x))
    if small == (h, w):
        return pixels, plan
    import cv2

    return cv2.resize(pixels, small[::-1], interpolation=cv2.INTER_AREA), plan.for_source(small)


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
        return _pad(pixels, spec)
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


def _pad(pixels: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """The whole picture in the middle of `size`, the rest filled as `padding_mode` says."""
    assert spec.size is not None
    rows, cols = spec.size
    inner = fit((pixels.shape[0], pixels.shape[1]), spec.size)
    small = resize(pixels, inner)
    top, left = (rows - inner[0]) // 2, (cols - inner[1]) // 2
    widths = ((top, rows - inner[0] - top), (left, cols - inner[1] - left), (0, 0))
    modes: dict[str, Any] = {"reflection": "symmetric", "border": "edge", "zeros": "constant"}
    return np.pad(small, widths, mode=modes[spec.padding_mode])
