"""The plan of one sample: everything that was drawn, and the one matrix and curve it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onecycle.core.errors import UsageError, listing
from onecycle.spec.inputs import ImageSpec
from onecycle.vision import geometry as geo
from onecycle.vision.transform import (
    Crop,
    Foreign,
    Geometric,
    Lighting,
    Params,
    Pixels,
    Transform,
)


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

    def resized(self, source: tuple[int, int]) -> Plan:
        """The same plan for the same picture, decoded or resized to another size (h, w)."""
        scale = geo.scaling(source[1] / self.source[1], source[0] / self.source[0])
        there = geo.to_index(source) @ scale @ geo.from_index(self.source)
        return replace(self, source=source, matrix=there @ self.matrix)

    def back_to(self, kept: Plan) -> Plan:
        """The way back: what this plan's output shows, seen through the window of `kept`.

        Both are plans of one image. The matrix maps pixel indexes of the output of `kept` to
        those of this plan's output; only the geometry comes back.
        """
        there = kept.resized(self.source).matrix
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
