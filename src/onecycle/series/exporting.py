"""A network of series as one ONNX graph: stretching and encoding come before the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from onecycle.core.errors import ExportError
from onecycle.export.graph import Examples, session, trace
from onecycle.export.image import OPSET
from onecycle.learn.exporting import own_side, paired, pictured, sources_of
from onecycle.runtime.inputs.series import series_of
from onecycle.series.input import Series, SeriesInput

_TOLERANCE = 1e-4  # of pixels in [-1, 1]


class Encoding(nn.Module):
    """Series of the right length become pictures."""

    def __init__(self, given: SeriesInput) -> None:
        super().__init__()
        self.given = given

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, length) to (n, planes, h, w)."""
        return self.given.prepare(x)


def examples(learner: Any, precision: str, calibrate: int | None = None) -> Examples:
    """Walks of several lengths and series of the validation set; the pictures are compared."""
    given: SeriesInput = learner.task.input
    assert given.length is not None
    luck = np.random.default_rng(0)
    centre, spread = (np.array(v, np.float32)[:, None] for v in (given.centre, given.spread))
    sources: list[Any] = []
    for t in (2, given.length, given.length + 1, 3 * given.length + 2):
        walk = luck.normal(size=(given.channels, t)).cumsum(1) / t**0.5
        sources.append((centre + spread * walk).astype(np.float32))
    side = own_side(learner)
    sources += sources_of(side) if side is not None else []

    def read(source: Any) -> np.ndarray:
        source = source.data if isinstance(source, Series) else source
        return series_of(source, given.channels, given.by == "series")

    pairs = paired(learner, sources, read)
    prelude = series_prelude(given)
    run = session(prelude.SerializeToString())
    for x, _ in pairs:
        (found,) = run.run(["x"], {"series": x[None]})
        wanted = given.prepare(torch.from_numpy(given.stretched(x))[None]).numpy()
        apart = float(np.abs(found - wanted).max())
        if not apart <= _TOLERANCE:
            raise ExportError(
                f"the exported encoding differs from the learner's by {apart:.2g} on a series of "
                f"{x.shape[1]} steps; nothing was written"
            )
    return pictured(learner, precision, pairs, prelude, calibrate)


def series_prelude(given: SeriesInput) -> Any:
    """float32 `series` [n, channels, t] of any length t > 1 to pictures `x`, as ONNX."""
    from onnx.compose import add_prefix, merge_models

    encoding = trace(Encoding(given), torch.zeros(1, given.channels, given.length or 2), "picture")
    encoding = add_prefix(encoding, "encode/")
    first = _stretch(given, encoding.ir_version)
    pair = [("stretched", "encode/x")]
    joined = merge_models(first, encoding, io_map=pair, outputs=["encode/picture"])
    for node in joined.graph.node:
        node.output[:] = ["x" if name == "encode/picture" else name for name in node.output]
    joined.graph.output[0].name = "x"
    return joined


def _stretch(given: SeriesInput, ir_version: int) -> Any:
    """Straight lines between neighbours, on `length` steps; places are counted in whole numbers."""
    import onnx

    c, length = given.channels, given.length or 2
    parts = max(length - 1, 1)
    return onnx.parser.parse_model(f"""<ir_version: {ir_version}, opset_import: ["" : {OPSET}]>
    stretch (float[n, {c}, t] series) => (float[n, {c}, {length}] stretched)
    <int64 none = {{0}}, int64 step = {{1}}, int64 length = {{{length}}},
     int64 parts = {{{parts}}}, float whole = {{{float(parts)}}}> {{
        t = Shape <start = 2> (series)
        last = Sub (t, step)
        row = Range (none, length, step)
        far = Mul (row, last)
        low = Div (far, parts)
        next = Add (low, step)
        high = Min (next, last)
        rest = Mod (far, parts)
        restFloat = Cast <to = 1> (rest)
        share = Div (restFloat, whole)
        before = Gather <axis = 2> (series, low)
        after = Gather <axis = 2> (series, high)
        rise = Sub (after, before)
        more = Mul (rise, share)
        stretched = Add (before, more)
    }}""")
