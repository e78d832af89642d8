"""Transforms of other libraries, run after our own warp, with their luck kept apart from ours."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from onecycle.core.chance import untouched
from onecycle.core.errors import SizeError, UsageError
from onecycle.vision.transform import Foreign

if TYPE_CHECKING:
    from onecycle.vision.input import Sample

_HALF = 0.5 / 255  # of a grey level: what rounding takes


def run_foreign(sample: Sample, size: tuple[int, int] | None = None) -> Sample:
    """The sample through the foreign transforms of its plan, each seeded by the plan.

    torchvision's v2 transforms see the picture as `tv_tensors.Image`, uint8 (3, h, w), masks and
    points as its types too, so that they move together. Runs where the batch is collated, not in
    a worker: these transforms draw from torch's global generator.

    UsageError, with the name of the transform, for a result that is no image of bytes or of floats
    in 0-1; SizeError for another size than `size` (h, w), where that is given.
    """
    if sample.plan is None or not sample.plan.foreign:
        return sample
    from torchvision import tv_tensors

    image = tv_tensors.Image(torch.from_numpy(sample.x).permute(2, 0, 1).contiguous())
    label = sample.target.as_tv_tensor(sample.y, sample.x.shape[:2])
    given: Any = image if label is None else (image, label)
    culprit = sample.plan.foreign[-1][0]
    for tfm, seed in sample.plan.foreign:
        before = _is_in_range(_image_of(given, label))
        given = _called(tfm, seed, given, label)
        if before and not _is_in_range(_image_of(given, label)):
            culprit = tfm
    x = _bytes(_image_of(given, label), culprit.name)
    if size is not None and x.shape[:2] != size:
        raise SizeError(
            f"the transform {culprit.name} made an image of {x.shape[0]} x {x.shape[1]}, wanted is "
            f"{size[0]} x {size[1]}: give that size to transform(size=...) and leave such "
            "transforms out, crop() and rand_resize_crop() do the same"
        )
    y = sample.y if label is None else sample.target.from_tv_tensor(given[1], x.shape[:2])
    return replace(sample, x=x, y=y, plan=replace(sample.plan, foreign=()))


def _called(tfm: Foreign, seed: int, given: Any, label: Any) -> Any:
    """What a transform makes of an image, or of the pair of an image and its label."""
    with untouched(torch):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        try:
            out = tfm.call(given)
        except Exception as error:  # whatever another library raises
            of = "an image" if label is None else "a pair of an image and its label"
            raise UsageError(
                f"the transform {tfm.name} failed on {of} ({type(error).__name__}: {error}); those "
                "of torchvision.transforms.v2 take both"
            ) from error
    pair = isinstance(out, tuple | list) and len(out) == 2
    if label is not None and not (pair and type(out[1]) is type(label)):
        raise UsageError(
            f"the transform {tfm.name} gave back no pair of an image and its label: only those "
            "that move both, as torchvision.transforms.v2 have them, go with masks and points"
        )
    return out


def _image_of(given: Any, label: Any) -> Any:
    return given if label is None else given[0]


def _is_in_range(out: Any) -> bool:
    """Whether a tensor of floats lies in 0-1; of anything else nothing is known yet."""
    if not isinstance(out, Tensor) or not out.is_floating_point():
        return True
    return bool(((out >= -_HALF) & (out <= 1 + _HALF)).all())  # not a NaN either


def _bytes(out: Any, name: str) -> np.ndarray:
    """What a transform gave back, as uint8 (h, w, 3)."""
    wanted = "wanted is (3, h, w) of uint8, or of floats in 0-1"
    if not isinstance(out, Tensor):
        values = np.asarray(out)
        if values.dtype.kind not in "bufi" or values.ndim not in {2, 3}:
            raise UsageError(f"the transform {name} returned {type(out).__name__}, {wanted}")
        out = torch.from_numpy(np.atleast_3d(values).copy()).permute(2, 0, 1)
    if out.ndim != 3 or out.shape[0] != 3:
        raise UsageError(f"the transform {name} returned shape {tuple(out.shape)}, {wanted}")
    if not _is_in_range(out):
        raise UsageError(
            f"the transform {name} returned values from {float(out.min()):.3g} to "
            f"{float(out.max()):.3g}, {wanted}: what lies outside would be cut off, and the "
            "exported file would not do the same. Normalising is data.normalize(stats), after "
            "databunch(); v2.ToDtype(torch.float32) wants scale=True"
        )
    if out.is_floating_point():
        out = (out * 255).round().clamp(0, 255).to(torch.uint8)
    if out.dtype != torch.uint8:
        raise UsageError(f"the transform {name} returned {out.dtype}, {wanted}")
    return out.permute(1, 2, 0).contiguous().numpy()
