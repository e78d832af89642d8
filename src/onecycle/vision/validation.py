"""What validation does to an image, as the plain data that checkpoints and exported files hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onecycle.export.graph import Examples
from onecycle.export.image import image_prelude
from onecycle.learn.exporting import examples_of, own_side, pairs_of, sources_of
from onecycle.runtime.inputs.image import ImageSpec, View
from onecycle.vision.image import Image
from onecycle.vision.transform import Always, Crop, Foreign, Geometric, Pixels, Transform
from onecycle.vision.warp import is_plain


def validation_spec(spec: ImageSpec, tfms: Sequence[Transform]) -> ImageSpec:
    """How validation prepares an image: `spec` with what its transforms look at.

    Crops, zooms, squishes and pads without chance become a `view`; the names of all others are in
    `in_python`, with the reason: they run in the learner only.
    """
    acting = [tfm for tfm in tfms if tfm.p > 0]
    if is_plain(acting):
        return spec
    strange = tuple(f"{name_of(tfm)} ({why})" for tfm in acting if (why := _not_plain(tfm)))
    if strange:
        return replace(spec, in_python=strange)
    crops = [tfm for tfm in acting if isinstance(tfm, Crop)]
    place = _values(crops[-1]) if crops else {}
    chain = np.eye(3)
    for tfm in acting:
        if isinstance(tfm, Geometric):
            chain = chain @ tfm.matrix(1.0, 1.0, **_values(tfm))
    numbers = (chain[1, 1], chain[0, 0], chain[1, 2], chain[0, 2])
    view = View(place.get("row_pct", 0.5), place.get("col_pct", 0.5), *map(float, numbers))
    window = None if spec.size else next((t.size for t in reversed(crops) if t.size), None)
    modes = [tfm.padding_mode for tfm in crops if tfm.padding_mode]
    padding_mode = modes[-1] if modes else spec.padding_mode
    middle = view == View() and window is None
    return replace(
        spec, padding_mode=padding_mode, view=() if middle else tuple(view), window=window
    )


def name_of(tfm: Transform) -> str:
    """The transform's name; of a foreign one that of its class or function."""
    if isinstance(tfm, Foreign):
        return str(getattr(tfm.call, "__name__", tfm.name))
    return tfm.name


def _values(tfm: Transform) -> dict[str, float]:
    return {name: draw.value for name, draw in tfm.draws.items() if isinstance(draw, Always)}


def _not_plain(tfm: Transform) -> str | None:
    """Why a transform is no fixed crop, zoom, squish or pad, or None."""
    if isinstance(tfm, Foreign):
        return "a Python function"
    if tfm.p < 1 or len(_values(tfm)) < len(tfm.draws):
        return "draws at random"
    if isinstance(tfm, Crop):
        return "adds pixels around" if tfm.padding else None
    if isinstance(tfm, Geometric):
        return None if _is_upright(tfm) else "turns, mirrors or bends"
    return "edits single pixels" if isinstance(tfm, Pixels) else "changes colours"


def _is_upright(tfm: Geometric) -> bool:
    """Whether a transform only stretches and shifts, by shares of the window."""
    unit, other = tfm.matrix(1.0, 1.0, **_values(tfm)), tfm.matrix(30.0, 70.0, **_values(tfm))
    shares = other / [[1, 1, 70.0], [1, 1, 30.0], [1, 1, 1]]
    across = np.abs([unit[0, 1], unit[1, 0], *unit[2, :2], unit[2, 2] - 1]).max()
    straight = across < 1e-9 and min(unit[0, 0], unit[1, 1]) > 0
    return bool(straight and np.allclose(shares, unit, atol=1e-9))


# A network of images as one ONNX graph: what it is checked with.

_SIZES = ((61, 83), (128, 96), (33, 240))  # besides the items' own: odd, upright, long


def examples(learner: Any, precision: str, calibrate: int | None = None) -> Examples:
    """Noise of three sizes, and items of the validation set as the user has them."""

    def read(source: Any) -> np.ndarray:
        return source.pixels if isinstance(source, Image) else learner.task.input.array(source)

    prelude = image_prelude(learner.task.input.shipped)
    rng = np.random.default_rng(0)
    sources: list[Any] = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in _SIZES]
    side = own_side(learner)
    sources += sources_of(side) if side is not None else []
    return examples_of(learner, precision, pairs_of(learner, sources, read), prelude, calibrate)
