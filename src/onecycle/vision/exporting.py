"""A network of images as one ONNX graph: what it is checked with."""

from __future__ import annotations

from typing import Any

import numpy as np

from onecycle.deploy.export import Examples
from onecycle.deploy.prelude import image_prelude
from onecycle.learn.exporting import own_side, paired, pictured, sources_of
from onecycle.spec.pixels import open_pixels
from onecycle.vision.image import Image

_SIZES = ((61, 83), (128, 96), (33, 240))  # besides the items' own: odd, upright, long


def examples(learner: Any, precision: str, calibrate: int | None = None) -> Examples:
    """Noise of three sizes, and items of the validation set as the user has them."""
    prelude = image_prelude(learner.task.input.shipped)
    rng = np.random.default_rng(0)
    sources: list[Any] = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in _SIZES]
    side = own_side(learner)
    sources += sources_of(side) if side is not None else []
    return pictured(learner, precision, paired(learner, sources, _pixels), prelude, calibrate)


def _pixels(source: Any) -> np.ndarray:
    return source.pixels if isinstance(source, Image) else open_pixels(source)
