"""The plan of one sample: everything that was drawn, and the one matrix and curve it comes to."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import exp, hypot
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from onecycle.core.errors import ModelError, SizeError, UsageError, listing
from onecycle.core.rng import preserve_rng
from onecycle.data.targets import NoLabel, Target
from onecycle.export.image import resize
from onecycle.runtime.inputs.image import ImageSpec, Size, fit, parse_size, seen_part
from onecycle.runtime.sources import Remarks
from onecycle.vision import geometry as geo
from onecycle.vision.transform import Crop, Foreign, Geometric, Lighting, Params, Pixels, Transform


@dataclass(frozen=True, eq=False)
class Plan:
    """What happens to one image of size `source` (h, w); replayed by `warp` as often as wanted.

    `matrix` maps pixel indexes of the output to those of the source; `lighting` is (factor,
    summand) for the logits of the values; `pixels` and `foreign` come after, with their seeds.
    """

    source: Size
    out: Size
    matrix: np.ndarray
    padding_mode: str = "reflection"
    lighting: tuple[float, float] = (1.0, 0.0)
    mirrored: bool = False
    pixels: tuple[tuple[Pixels, Params, int], ...] = ()
    foreign: tuple[tuple[Foreign, int], ...] = ()
    record: tuple[tuple[str, Params], ...] = ()

    def for_source(self, source: Size) -> Plan:
        """The same plan for the same image, decoded or resized to another size (h, w)."""
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


@dataclass(frozen=True, eq=False)
class Sample:
    """One loaded image, its label, and what is still to be done with it.

    `x` is uint8 (h, w, 3), or of bands float32 0-1 (h, w, c). `remarks` are on what was
    reinterpreted as it was read.
    """

    x: np.ndarray
    y: np.ndarray
    target: Any
    plan: Plan | None = None
    source: Any = None
    remarks: Remarks = field(default_factory=Remarks)


UNLABELLED: tuple[np.ndarray, Target] = (np.zeros((), np.float32), NoLabel())


def make_sample(
    pixels: np.ndarray,
    tfms: Sequence[Transform],
    spec: ImageSpec,
    rng: np.random.Generator,
    label: tuple[np.ndarray, Target] = UNLABELLED,
) -> Sample:
    """An image (see `warp`) and its label through `tfms`; with none as in the exported file."""
    plan = draw_plan(tfms, spec, _size(pixels), rng) if tfms else exact_plan(_size(pixels), spec)
    x = warp(pixels, plan) if tfms else exact(pixels, spec)
    y, target = label
    return Sample(x, target.move(y, plan), target, plan)


def draw_plan(
    tfms: Sequence[Transform], spec: ImageSpec, source: Size, rng: np.random.Generator
) -> Plan:
    """Draw every transform for an image of size `source` (h, w)."""
    drawn = [pair for tfm in tfms for pair in tfm.draw_all(rng)]
    crops = [(tfm, params) for tfm, params in drawn if isinstance(tfm, Crop)]
    sizes = [tfm.size for tfm, _ in crops if tfm.size]
    method = spec.resize_method if spec.size is not None else "none"
    out = spec.size or (sizes[-1] if sizes else source)
    places = [params for tfm, params in crops if not tfm.padding]
    place = places[-1] if places else {}
    matrix = geo.source_matrix(_chain(drawn, out), source, out, method, **place)
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


def resizing(
    sides: Sequence[Sequence[Transform]],
    size: Any,
    resize_method: str | None = None,
    padding_mode: str | None = None,
) -> dict[str, Any]:
    """The fields of an ImageSpec that the arguments of `transform()` stand for.

    UsageError where these do not go together, and where the crops of one side name another size
    than `size`, or several: an image is cut to one.
    """
    wanted, method = parse_size(size)
    if resize_method is not None and (wanted is None) != (resize_method == "none"):
        raise UsageError(
            f"size={size} and resize_method={resize_method!r}: a way of resizing goes with a "
            'size, and "none" with none'
        )
    for tfms in sides:
        named = [wanted, *(tfm.size for tfm in tfms if isinstance(tfm, Crop))]
        if len(sizes := dict.fromkeys(filter(None, named))) > 1:
            raise UsageError(
                f"an image is cut to one size, but transform(size=) and the crops name "
                f"{listing(sizes)} (h, w): give one"
            )
    return {
        "size": wanted,
        "resize_method": resize_method or method,
        "padding_mode": padding_mode or "reflection",
    }


def _chain(drawn: Sequence[tuple[Transform, Params]], out: Size) -> geo.Matrix:
    """The product of the geometric transforms and of the padding that a crop adds."""
    chain = np.eye(3)
    for tfm, params in drawn:
        if isinstance(tfm, Geometric):
            chain = chain @ tfm.matrix(*out, **params)
        elif isinstance(tfm, Crop) and tfm.padding:
            x, y = params["col_pct"] - 0.5, params["row_pct"] - 0.5
            chain = geo.shift(2 * tfm.padding * x, 2 * tfm.padding * y) @ chain
    return chain


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _size(pixels: np.ndarray) -> Size:
    return pixels.shape[0], pixels.shape[1]


# Pixels through a plan, in the loader's workers.
#
# A plan costs one antialiased shrinking at most, one interpolation and one table of 256 values.
# Bands (float32, 0-1) go the same way, each as if it were alone.

SHRINK_FROM = 1.5  # an image this much larger than its output is shrunk before the warp
_ROUNDING = 1e-9  # of half a side: a window's own edge is inside it
_EPS = 1e-3  # keeps logits finite: black and white stay within a grey level
_VALUES = (np.arange(256) / 255).clip(_EPS, 1 - _EPS)
_LOGITS = np.log(_VALUES / (1 - _VALUES))
_BORDERS = {
    "reflection": cv2.BORDER_REFLECT,
    "border": cv2.BORDER_REPLICATE,
    "zeros": cv2.BORDER_CONSTANT,
}


def warp(pixels: np.ndarray, plan: Plan) -> np.ndarray:
    """A uint8 (h, w, 3) or float32 0-1 (h, w, c) image through its plan: the same, (*out, c)."""
    pixels, plan = shrink(pixels, plan)
    pixels = by_bands(lambda part: _remap(part, plan, nearest=False), pixels)
    if plan.lighting != (1.0, 0.0):
        pixels = _light(pixels, *plan.lighting)
    for tfm, params, seed in plan.pixels:
        pixels = tfm.change(pixels, np.random.default_rng(seed), **params)
    return pixels


def _light(pixels: np.ndarray, factor: float, summand: float) -> np.ndarray:
    """Logits times `factor` plus `summand`, of each value by itself."""
    if pixels.dtype == np.uint8:
        curve = 255.5 - 255 / (1 + np.exp(_LOGITS * factor + summand))
        return cv2.LUT(pixels, curve.astype(np.uint8))
    shares = pixels.clip(_EPS, 1 - _EPS)
    with np.errstate(over="ignore"):  # infinite odds against white are black
        against = ((1 - shares) / shares) ** np.float32(factor) * np.float32(exp(-summand))
    return 1 / (1 + against)


def warp_mask(mask: np.ndarray, plan: Plan, void: int | None) -> np.ndarray:
    """An integer (h, w) mask through the plan of its image: nearest, `void` outside it."""
    return _remap(mask, plan.for_source(_size(mask)), nearest=True, outside=void)


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
    moved = F.grid_sample(maps[None], places, padding_mode="border", align_corners=False)[0]
    return moved, torch.from_numpy(covered)[None].to(maps.device)


def shrink(pixels: np.ndarray, plan: Plan) -> tuple[np.ndarray, Plan]:
    """The image area-averaged to about the scale of its output, with the plan that fits it."""
    size = _size(pixels)
    plan = plan if size == plan.source else plan.for_source(size)
    steps = [hypot(*row[:2]) for row in plan.matrix[1::-1].tolist()]  # of rows, of columns
    rows, cols = (
        max(1, round(length / step)) if step >= SHRINK_FROM else length
        for length, step in zip(size, steps, strict=True)
    )
    if (rows, cols) == size:
        return pixels, plan
    area = cv2.INTER_AREA
    small = by_bands(lambda part: cv2.resize(part, (cols, rows), interpolation=area), pixels)
    return small, plan.for_source((rows, cols))


def by_bands(change: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray) -> np.ndarray:
    """OpenCV's `change` of an image (h, w, c), each band as if it were alone.

    OpenCV takes at most four bands, drops the axis of one, and places pixels of two or of five in
    steps of 1/32 where it is exact for one, three and four.
    """
    bands = pixels.shape[2]
    if bands in {3, 4}:
        return change(pixels)
    ends = [*range(0, bands - 2, 3), *range(bands - bands % 3, bands), bands]
    parts = [np.ascontiguousarray(pixels[:, :, a:b]) for a, b in pairwise(ends)]
    return np.dstack([change(part) for part in parts])


def _remap(pixels: np.ndarray, plan: Plan, nearest: bool, outside: int | None = 0) -> np.ndarray:
    nearest = nearest or geo.is_pixel_exact(plan.matrix)
    return cv2.warpPerspective(
        pixels,
        plan.matrix,
        plan.out[::-1],
        flags=cv2.WARP_INVERSE_MAP | (cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR),
        borderMode=_BORDERS[plan.padding_mode],
        borderValue=outside or 0,
    )


def exact(pixels: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """An image (see `warp`) prepared as in the exported file: crop or pad, antialiased resize.

    Every validation image and every prediction goes this way, unless validation transforms have
    no place in a file (`spec.in_python`).
    """
    if spec.view:
        part = seen_part(pixels, spec.rectangle(_size(pixels)), spec.padding_mode)
        return resize(part, spec.fixed_size or _size(pixels))
    if spec.fixed_size is None:
        return pixels
    if spec.resize_method == "pad":
        return _pad(pixels, spec.fixed_size, spec.padding_mode)
    if spec.resize_method == "crop":
        h, w = _size(pixels)
        ch, cw = fit(spec.fixed_size, (h, w))
        top, left = (h - ch) // 2, (w - cw) // 2
        pixels = pixels[top : top + ch, left : left + cw]
    return resize(pixels, spec.fixed_size)


def exact_plan(source: Size, spec: ImageSpec) -> Plan:
    """Where `exact` puts each pixel, for the masks and points of the image."""
    out, mode = spec.fixed_size or source, spec.padding_mode
    if not spec.view and spec.fixed_size is None:
        return Plan(source, source, np.eye(3))
    if not spec.view and spec.resize_method == "pad":
        inner = fit(source, out)
        top, left = _middle(out, inner)
        matrix = geo.source_matrix(np.eye(3), source, inner, "squish") @ geo.shift(-left, -top)
        return Plan(source, out, matrix, mode)
    if spec.view:
        top, left, *box = spec.rectangle(source)
    else:
        box = [*(source if spec.resize_method == "squish" else fit(out, source))]
        top, left = _middle(source, box)
    matrix = geo.shift(left, top) @ geo.source_matrix(np.eye(3), (box[0], box[1]), out, "squish")
    return Plan(source, out, matrix, mode)


def _middle(whole: Sequence[int], part: Sequence[int]) -> Size:
    """Where (top, left) a part of size (h, w) lies in the middle of the whole."""
    return (whole[0] - part[0]) // 2, (whole[1] - part[1]) // 2


def _pad(pixels: np.ndarray, size: Size, mode: str) -> np.ndarray:
    """The whole image in the middle of `size`, the rest filled as the padding `mode` says."""
    inner = fit(_size(pixels), size)
    top, left = _middle(size, inner)
    widths = ((top, size[0] - inner[0] - top), (left, size[1] - inner[1] - left), (0, 0))
    modes: dict[str, Any] = {"reflection": "symmetric", "border": "edge", "zeros": "constant"}
    return np.pad(resize(pixels, inner), widths, mode=modes[mode])


# Transforms of other libraries, run after our own warp, with a random state of their own.

_HALF = 0.5 / 255  # of a grey level: what rounding takes


def run_foreign(sample: Sample, size: Size | None = None) -> Sample:
    """The sample through the foreign transforms of its plan, each seeded by the plan.

    torchvision's v2 transforms see the image as `tv_tensors.Image` (c, h, w), masks and
    points as its types too, so that they move together. Runs where the batch is collated, not in
    a worker: these transforms draw from torch's global generator.

    UsageError, with the name of the transform, for a result that is no image of bytes or of floats
    in 0-1; SizeError for another size than `size` (h, w), where that is given.
    """
    if sample.plan is None or not sample.plan.foreign:
        return sample
    from torchvision import tv_tensors

    image: Any = tv_tensors.Image(torch.from_numpy(sample.x).permute(2, 0, 1).contiguous())
    label = sample.target.as_tv_tensor(sample.y, _size(sample.x))
    culprit = sample.plan.foreign[-1][0]
    for tfm, seed in sample.plan.foreign:
        before = _is_in_range(image)
        image, label = _call(tfm, seed, image, label)
        if before and not _is_in_range(image):
            culprit = tfm
    x = _array(image, culprit.name, sample.x)
    if size is not None and _size(x) != size:
        raise SizeError(
            f"the transform {culprit.name} made an image of {x.shape[0]} x {x.shape[1]}, wanted is "
            f"{size[0]} x {size[1]}: give that size to transform(size=...) and leave such "
            "transforms out, crop() and rand_resize_crop() do the same"
        )
    y = sample.y if label is None else sample.target.from_tv_tensor(label, _size(x))
    return replace(sample, x=x, y=y, plan=replace(sample.plan, foreign=()))


def _call(tfm: Foreign, seed: int, image: Any, label: Any) -> tuple[Any, Any]:
    """What a transform makes of an image, or of the pair of an image and its label."""
    if label is not None and not tfm.moves_labels:
        raise UsageError(
            f"{tfm.name} would leave masks, points and boxes behind: trivial_augment() and "
            "rand_augment() move them along"
        )
    with preserve_rng(torch):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            out = tfm.call(image if label is None else (image, label))
        except Exception as error:  # whatever another library raises
            of = "an image" if label is None else "a pair of an image and its label"
            raise UsageError(
                f"the transform {tfm.name} failed on {of} ({type(error).__name__}: {error}); those "
                "of torchvision.transforms.v2 take both"
            ) from error
    if label is None:
        return out, None
    if isinstance(out, tuple | list) and len(out) == 2 and type(out[1]) is type(label):
        return out[0], out[1]
    raise UsageError(
        f"the transform {tfm.name} gave back no pair of an image and its label: only those "
        "that move both, as torchvision.transforms.v2 have them, go with masks and points"
    )


def _is_in_range(out: Any) -> bool:
    """Whether a tensor of floats lies in 0-1; of anything else nothing is known yet."""
    if not isinstance(out, Tensor) or not out.is_floating_point():
        return True
    return bool(((out >= -_HALF) & (out <= 1 + _HALF)).all())  # not a NaN either


def _array(out: Any, name: str, given: np.ndarray) -> np.ndarray:
    """What a transform gave back, as an array of the type and number of bands of what it got."""
    bands = given.shape[2]
    wanted = f"wanted is ({bands}, h, w) of uint8, or of floats in 0-1"
    if not isinstance(out, Tensor):
        values = np.asarray(out)
        if values.dtype.kind not in "bufi" or values.ndim not in {2, 3}:
            raise UsageError(f"the transform {name} returned {type(out).__name__}, {wanted}")
        out = torch.from_numpy(np.atleast_3d(values).copy()).permute(2, 0, 1)
    if out.ndim != 3 or out.shape[0] != bands:
        raise UsageError(f"the transform {name} returned shape {tuple(out.shape)}, {wanted}")
    if not _is_in_range(out):
        raise UsageError(
            f"the transform {name} returned values from {float(out.min()):.3g} to "
            f"{float(out.max()):.3g}, {wanted}: what lies outside would be cut off, and the "
            "exported file would not do the same. Normalising is data.normalize(stats), after "
            "databunch(); v2.ToDtype(torch.float32) wants scale=True"
        )
    if not out.is_floating_point() and out.dtype != torch.uint8:
        raise UsageError(f"the transform {name} returned {out.dtype}, {wanted}")
    if given.dtype != np.uint8:
        out = (out if out.is_floating_point() else out / 255).float().clamp(0, 1)
    elif out.is_floating_point():
        out = (out * 255).round().clamp(0, 255).to(torch.uint8)
    return out.permute(1, 2, 0).contiguous().numpy()
