"""Transforms of other libraries, run after our own warp, with their luck kept apart from ours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from onecycle.core.chance import untouched
from onecycle.core.errors import UsageError

if TYPE_CHECKING:
    from onecycle.vision.input import Sample


def run_foreign(sample: Sample) -> Sample:
    """The sample through the foreign transforms of its plan, each seeded by the plan.

    torchvision's v2 transforms see the picture as `tv_tensors.Image`, uint8 (3, h, w), masks and
    points as its types too, so that they move together. Runs where the batch is collated, not in
    a worker: these transforms draw from torch's global generator.
    """
    if sample.plan is None or not sample.plan.foreign:
        return sample
    from torchvision import tv_tensors

    picture = tv_tensors.Image(torch.from_numpy(sample.x).permute(2, 0, 1).contiguous())
    label = sample.target.as_tv_tensor(sample.y, sample.x.shape[:2])
    given: Any = picture if label is None else (picture, label)
    for tfm, seed in sample.plan.foreign:
        with untouched(torch):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            given = tfm.call(given)
    x = _bytes(given if label is None else given[0])
    y = sample.y if label is None else sample.target.from_tv_tensor(given[1], x.shape[:2])
    return replace(sample, x=x, y=y, plan=replace(sample.plan, foreign=()))


def _bytes(out: Any) -> np.ndarray:
    """What a transform gave back, as uint8 (h, w, 3)."""
    if not isinstance(out, torch.Tensor):
        out = torch.from_numpy(np.array(out)).permute(2, 0, 1)
    if out.is_floating_point():
        out = (out * 255).round().clamp(0, 255).to(torch.uint8)
    if out.ndim != 3 or out.shape[0] != 3:
        raise UsageError(f"a transform returned shape {tuple(out.shape)}, wanted is (3, h, w)")
    return out.permute(1, 2, 0).contiguous().numpy()
