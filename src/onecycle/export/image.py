"""What comes before the network, as ONNX: raw pixels of any size become its input.

The same steps as `vision.warp.exact`: look at a part, cut or pad, resize with antialiasing on
bytes, normalise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from onecycle.core.errors import ExportError
from onecycle.core.machine import onnx_runtime
from onecycle.runtime.inputs.image import ImageSpec, View

if TYPE_CHECKING:
    from onnx import ModelProto


OPSET = 18
HEADER = f'<ir_version: 9, opset_import: ["" : {OPSET}]>'
# on bytes, where memory is a quarter of that of floats; `resampling` runs the same operator
RESIZE = """Resize <mode = "linear", antialias = 1, exclude_outside = 1,
        coordinate_transformation_mode = "half_pixel">"""
_MEASURE = """
    shape = Shape (image)
    h = Gather (shape, i1)
    w = Gather (shape, i2)
"""
# the largest (fh, fw) of the proportions of (sh, sw) within (rh, rw), in whole numbers
_FIT = """
    rw_h = Mul (rw, sh)
    rh_w = Mul (rh, sw)
    tall = LessOrEqual (rh_w, rw_h)
    two_h = Mul (two, sh)
    two_w = Mul (two, sw)
    w_1 = Mul (two, rh_w)
    w_2 = Add (w_1, sh)
    w_3 = Div (w_2, two_h)
    w_4 = Max (w_3, one)
    w_fit = Min (w_4, rw)
    h_1 = Mul (two, rw_h)
    h_2 = Add (h_1, sw)
    h_3 = Div (h_2, two_w)
    h_4 = Max (h_3, one)
    h_fit = Min (h_4, rh)
    fh = Where (tall, rh, h_fit)
    fw = Where (tall, w_fit, rw)
"""
_CENTRE = """
    y_room = Sub ({outer_h}, fh)
    x_room = Sub ({outer_w}, fw)
    top = Div (y_room, two)
    left = Div (x_room, two)
"""
_CUT = """
    bottom = Add (top, fh)
    right = Add (left, fw)
    starts = Concat <axis = 0> (top, left)
    ends = Concat <axis = 0> (bottom, right)
    cut = Slice (image, starts, ends, i12)
"""
_PLANES = """
    planes = Transpose <perm = [0, 3, 1, 2]> ({pixels})
"""
_RESIZE = (
    """
    nc = Slice (shape, i0, i1)
    sizes = Concat <axis = 0> (nc, bands, {height}, {width})
    whole = """
    + RESIZE
    + """ (planes, , , sizes)
"""
)
# rows (or columns) of the padded image, as rows of the image inside it
_PAD = {
    "reflection": """
    {a}_twice = Mul ({n}, two)
    {a}_in = Mod ({a}_i, {a}_twice)
    {a}_last = Sub ({a}_twice, one)
    {a}_back = Sub ({a}_last, {a}_in)
    {a}_first = Less ({a}_in, {n})
    {a}_at = Where ({a}_first, {a}_in, {a}_back)
""",
    "border": """
    {a}_last = Sub ({n}, one)
    {a}_low = Max ({a}_i, zero)
    {a}_at = Min ({a}_low, {a}_last)
""",
}
_PAD["zeros"] = (
    _PAD["border"]
    + """
    {a}_same = Equal ({a}_i, {a}_at)
    {a}_keep = Cast <to = 1> ({a}_same)
"""
)
# planes [n, 3, h, w], black where a row or a column lies outside
_KEPT = """
    i_last = Constant <value = int64[1] {{-1}}> ()
    y_column = Unsqueeze (y_keep, i_last)
    both = Mul (y_column, x_keep)
    shown = Cast <to = {number}> (both)
    {kept} = Mul ({given}, shown)
"""
_NUMBERS = {"float32": 1, "uint8": 2}  # ONNX's, of kinds of numbers
_AXIS = """
    {a}_total = Constant <value = int64 {{{total}}}> ()
    {a}_range = Range (s0, {a}_total, s1)
    {a}_i = Sub ({a}_range, {start})
"""
# the smallest (by, bx) of the proportions of (H, W) around (h, w), as `spec.views.cover`
_COVER = """
    h_W = Mul (h, W)
    w_H = Mul (w, H)
    upright = LessOrEqual (w_H, h_W)
    two_H = Mul (two, H)
    two_W = Mul (two, W)
    wide_1 = Mul (two, h_W)
    wide_2 = Add (wide_1, H)
    wide_3 = Div (wide_2, two_H)
    high_1 = Mul (two, w_H)
    high_2 = Add (high_1, W)
    high_3 = Div (high_2, two_W)
    by = Where (upright, h, high_3)
    bx = Where (upright, wide_3, w)
"""
# one axis of `View.rectangle`, in its order: {a}_len pixels from {a}_from on, as indexes {a}_i
_INTERVAL = """
    {a}_base = Cast <to = 11> (b{a})
    {a}_source = Cast <to = 11> ({n})
    {a}_share = Constant <value = double[1] {{{share}}}> ()
    {a}_place = Constant <value = double[1] {{{place}}}> ()
    {a}_off = Constant <value = double[1] {{{off}}}> ()
    {a}_shared = Mul ({a}_share, {a}_base)
    {a}_above = Add ({a}_shared, half)
    {a}_floor = Floor ({a}_above)
    {a}_length = Cast <to = 7> ({a}_floor)
    {a}_len = Max ({a}_length, one)
    {a}_room = Sub ({a}_source, {a}_base)
    {a}_placed = Mul ({a}_place, {a}_room)
    {a}_inside = Mul ({a}_off, {a}_base)
    {a}_middle = Add ({a}_placed, {a}_inside)
    {a}_long = Cast <to = 11> ({a}_len)
    {a}_arm = Mul ({a}_long, half)
    {a}_edge = Sub ({a}_middle, {a}_arm)
    {a}_below = Sub ({a}_edge, half)
    {a}_ceil = Ceil ({a}_below)
    {a}_from = Cast <to = 7> ({a}_ceil)
    {a}_count = Squeeze ({a}_len)
    {a}_range = Range (s0, {a}_count, s1)
    {a}_i = Add ({a}_range, {a}_from)
"""


def image_prelude(spec: ImageSpec) -> ModelProto:
    """Pixels [n, h, w, bands] to float32 `x` [n, bands, H, W], and where what lies.

    The pixels are the uint8 `image` in RGB, or the float32 `raw` values of other bands.

    `box` [top, left, h, w] is the part of the image that `x` shows, `inner` the same part in `x`;
    the box of a `view` may reach beyond the image. ExportError for a spec with transforms that
    only Python knows.
    """
    import onnx

    if spec.in_python:
        raise ExportError(
            f"an exported file cannot hold the validation transforms {'; '.join(spec.in_python)}: "
            "it knows crops, zooms, squishes and pads without chance. Leave them out of the second "
            "list of transform((train, valid), ...), or do them to the files beforehand"
        )
    method = "view" if spec.view else "none" if spec.size is None else spec.resize_method
    steps = _shares(spec) + _MEASURE + _STEPS[method](spec) + _normalise(spec, method)
    body, n = _constants(spec) + steps, spec.planes
    size = spec.fixed_size or ("H", "W")
    signature = f"""prelude ({spec.dtype.removesuffix("32")}[n, h, w, {n}] {spec.tensor})
        => (float[n, {n}, {size[0]}, {size[1]}] x, int64[4] box, int64[4] inner)"""
    model = onnx.parser.parse_model(f"{HEADER}\n{signature} {{{body}}}")
    used = {name for node in model.graph.node for name in node.input} | {"x", "box", "inner"}
    for node in [n for n in model.graph.node if not used.intersection(n.output)]:
        model.graph.node.remove(node)
    return model


def mask_postlude(dtype: str = "uint8") -> ModelProto:
    """`probabilities` [n, c, H, W] also as `mask` of `dtype` [n, h, w], at the size of the box."""
    import onnx

    return onnx.parser.parse_model(f"""{HEADER}
        postlude (float[n, c, H, W] probabilities, int64[4] box, int64[4] inner)
            => ({dtype}[n, y, x] mask) {{
        i0 = Constant <value = int64[1] {{0}}> ()
        i2 = Constant <value = int64[1] {{2}}> ()
        i4 = Constant <value = int64[1] {{4}}> ()
        axes = Constant <value = int64[2] {{2, 3}}> ()
        starts = Slice (inner, i0, i2)
        lengths = Slice (inner, i2, i4)
        ends = Add (starts, lengths)
        shown = Slice (probabilities, starts, ends, axes)
        shape = Shape (shown)
        nc = Slice (shape, i0, i2)
        size = Slice (box, i2, i4)
        sizes = Concat <axis = 0> (nc, size)
        large = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel">
            (shown, , , sizes)
        index = ArgMax <axis = 1, keepdims = 0> (large)
        mask = Cast <to = {onnx.TensorProto.DataType.Value(dtype.upper())}> (index)
    }}""")


def _constants(spec: ImageSpec) -> str:
    rows, cols = spec.fixed_size or (1, 1)
    whole = {
        "i0": 0,
        "i1": 1,
        "i2": 2,
        "i3": 3,
        "zero": 0,
        "one": 1,
        "two": 2,
        "bands": spec.planes,
        "H": rows,
        "W": cols,
    }
    lines = [f"{name} = Constant <value = int64[1] {{{v}}}> ()" for name, v in whole.items()]
    lines += [f"{name} = Constant <value = int64 {{{v}}}> ()" for name, v in (("s0", 0), ("s1", 1))]
    lines.append("i12 = Constant <value = int64[2] {1, 2}> ()")
    lines.append("half = Constant <value = double[1] {0.5}> ()")
    return "\n" + "\n".join(lines)


def _shares(spec: ImageSpec) -> str:
    """Stored values as shares of each band's range, where there is one; see `BandsSpec.shares`."""
    if not spec.value_range:
        return ""
    low, high = np.array(spec.value_range, np.float32).T
    text = _table("low", [spec.planes], low) + _table("span", [spec.planes], high - low)
    return f"""{text}
    nought = Constant <value = float {{0.0}}> ()
    full = Constant <value = float {{1.0}}> ()
    above = Sub ({spec.tensor}, low)
    share = Div (above, span)
    image = Clip (share, nought, full)
"""


def _table(name: str, shape: Sequence[int], values: Iterable[float]) -> str:
    """A constant of floats."""
    numbers = ", ".join(repr(float(value)) for value in values)
    return f"\n    {name} = Constant <value = float{list(shape)} {{{numbers}}}> ()"


def _bind_names(text: str, **names: str) -> str:
    """The text with some of its values bound to others first."""
    bound = "\n".join(f"    {name} = Identity ({value})" for name, value in names.items())
    return "\n" + bound + text


def _crop(spec: ImageSpec) -> str:
    fit = _bind_names(_FIT, sh="H", sw="W", rh="h", rw="w")
    cut = _CENTRE.format(outer_h="h", outer_w="w") + _CUT
    resize = _PLANES.format(pixels="cut") + _RESIZE.format(height="H", width="W")
    return fit + cut + resize + _where(box="top, left, fh, fw", inner="zero, zero, H, W")


def _pad(spec: ImageSpec) -> str:
    assert spec.size is not None
    fit = _bind_names(_FIT, sh="h", sw="w", rh="H", rw="W")
    resize = _PLANES.format(pixels="image") + _RESIZE.format(height="fh", width="fw")
    text = fit + _CENTRE.format(outer_h="H", outer_w="W") + resize
    for a, total, start, n in (("y", 0, "top", "fh"), ("x", 1, "left", "fw")):
        text += _AXIS.format(a=a, total=spec.size[total], start=start)
        text += _PAD[spec.padding_mode].format(a=a, n=n)
    text += """
    tall_pad = Gather <axis = 2> (whole, y_at)
    padded = Gather <axis = 3> (tall_pad, x_at)
"""
    text += _where(box="zero, zero, h, w", inner="top, left, fh, fw")
    if spec.padding_mode != "zeros":
        return text
    return text + _KEPT.format(given="padded", kept="laid", number=_NUMBERS[spec.dtype])


def _squish(spec: ImageSpec) -> str:
    resize = _PLANES.format(pixels="image") + _RESIZE.format(height="H", width="W")
    return resize + _where(box="zero, zero, h, w", inner="zero, zero, H, W")


def _none(spec: ImageSpec) -> str:
    planes = _PLANES.format(pixels="image")
    return planes + _where(box="zero, zero, h, w", inner="zero, zero, h, w")


def _view(spec: ImageSpec) -> str:
    """A part of the image, and of what lies around it, as one more square cut and resize."""
    view = View(*spec.view)
    text = _base(spec)
    axes = (("y", "h", view.row, view.high, view.down), ("x", "w", view.col, view.wide, view.right))
    for a, n, place, share, off in axes:
        numbers = {"place": place, "share": share, "off": 0.5 + off}
        text += _INTERVAL.format(a=a, n=n, **{k: repr(float(v)) for k, v in numbers.items()})
        text += _PAD[spec.padding_mode].format(a=a, n=n)
    dark = spec.padding_mode == "zeros"
    text += f"""
    tall_part = Gather <axis = 1> (image, y_at)
    part = Gather <axis = 2> (tall_part, x_at)
    {"bright" if dark else "planes"} = Transpose <perm = [0, 3, 1, 2]> (part)
"""
    number = _NUMBERS[spec.dtype]
    text += _KEPT.format(given="bright", kept="planes", number=number) if dark else ""
    rows, cols = ("H", "W") if spec.fixed_size else ("h", "w")
    text += _RESIZE.format(height=rows, width=cols)
    inner = f"zero, zero, {rows}, {cols}"
    return text + _where(box="y_from, x_from, y_len, x_len", inner=inner)


def _where(**places: str) -> str:
    return "".join(f"\n    {k} = Concat <axis = 0> ({v})" for k, v in places.items())


def _normalise(spec: ImageSpec, method: str) -> str:
    """(value - white mean) / (white std) of what the steps ended with.

    Written as a batch norm: of a difference and a quotient, runtimes that lay an int8 network's
    channels last make two passes over rows of three values, a sixth of a resnet18's time.
    """
    last = {"none": "planes", "pad": "laid" if spec.padding_mode == "zeros" else "padded"}
    n, white = spec.planes, spec.white
    mean, std = spec.mean or (0,) * n, spec.std or (1,) * n
    columns = {
        "mean": [white * v for v in mean],
        "rise": [1 / (white * v) for v in std],
        "none": [0.0] * n,
        "ones": [1.0] * n,
    }
    tables = "".join(_table(name, [n], values) for name, values in columns.items())
    return f"""{tables}
    values = Cast <to = 1> ({last.get(method, "whole")})
    x = BatchNormalization <epsilon = 0.0> (values, rise, none, mean, ones)
"""


def _base(spec: ImageSpec) -> str:
    """The size (by, bx) of a view's window in pixels of the image, as `ImageSpec._base`."""
    if spec.size is not None and spec.resize_method in {"crop", "pad"}:
        if spec.resize_method == "pad":
            return _COVER
        return _bind_names(_FIT, sh="H", sw="W", rh="h", rw="w") + _bind_names("", by="fh", bx="fw")
    whole = spec.fixed_size is None or (spec.size is not None and spec.resize_method == "squish")
    return _bind_names("", by="h", bx="w") if whole else _bind_names("", by="H", bx="W")


_STEPS = {"crop": _crop, "pad": _pad, "squish": _squish, "none": _none, "view": _view}


# The one way in which whole images are resized: by the operator that exported files hold.
#
# Other antialiased resizes on bytes (torch's, Pillow's) differ from it by single grey levels, at
# some ratios in three pixels of a hundred and always downwards, which moves a network's points.


@lru_cache(maxsize=2)
def _session(dtype: str) -> Any:
    """The operator alone, on "uint8" or "float".

    One thread: it is run in many at once, and in forked processes.
    """
    import onnx

    ort = onnx_runtime()
    model = onnx.parser.parse_model(f"""{HEADER}
        resize ({dtype}[1, c, h, w] planes, int64[4] sizes) => ({dtype}[1, c, y, x] whole) {{
        whole = {RESIZE} (planes, , , sizes)
    }}""")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    data = model.SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 or float32 (h, w, c) to `size`, antialiased, equal to an exported file's exactly."""
    if pixels.shape[:2] == size:
        return pixels
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]
    given = {"planes": planes, "sizes": np.array([1, planes.shape[1], *size], np.int64)}
    (whole,) = _session(str(pixels.dtype).removesuffix("32")).run(None, given)
    return np.ascontiguousarray(whole[0].transpose(1, 2, 0))
