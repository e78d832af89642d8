"""What comes before a network of series, as ONNX: they are stretched, and encoded as images."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from onecycle.core.errors import ExportError
from onecycle.export.graph import session, trace
from onecycle.export.image import OPSET

_TOLERANCE = 1e-4  # of pixels in [-1, 1]


class _Encoding(nn.Module):
    """Series of the right length become images."""

    def __init__(self, given: Any) -> None:
        super().__init__()
        self.given = given

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, length) to (n, planes, h, w)."""
        return self.given.prepare(x)


def series_prelude(given: Any, series: Iterable[np.ndarray]) -> Any:
    """float32 `series` [n, channels, t] of any length t > 1 to images `x`, as ONNX.

    `given` is the task's input: `stretched` and `prepare` do the same in Python. ExportError where
    one of `series` (channels, t) is encoded otherwise than there.
    """
    from onnx.compose import add_prefix, merge_models

    example = torch.zeros(1, given.channels, given.length or 2)
    encoding = add_prefix(trace(_Encoding(given), example, "image"), "encode/")
    first = _stretch(given, encoding.ir_version)
    pair = [("stretched", "encode/x")]
    joined = merge_models(first, encoding, io_map=pair, outputs=["encode/image"])
    for node in joined.graph.node:
        node.output[:] = ["x" if name == "encode/image" else name for name in node.output]
    joined.graph.output[0].name = "x"
    run = session(joined.SerializeToString())
    for x in series:
        (found,) = run.run(["x"], {"series": x[None]})
        wanted = given.prepare(torch.from_numpy(given.stretch(x))[None]).numpy()
        apart = float(np.abs(found - wanted).max())
        if not apart <= _TOLERANCE:
            raise ExportError(
                f"the exported encoding differs from the learner's by {apart:.2g} on a series of "
                f"{x.shape[1]} steps; nothing was written"
            )
    return joined


def _stretch(given: Any, ir_version: int) -> Any:
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
