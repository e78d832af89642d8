"""A text classifier as an ONNX graph from token ids to probabilities, texts of any length."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from onecycle.core.errors import ExportError
from onecycle.export.graph import Answering, trace
from onecycle.export.image import OPSET

_GATES = (0, 3, 1, 2)  # input, output, forget, cell, as ONNX has them, among torch's
_ACTIVATIONS = {"softmax": "Softmax <axis = 1>", "sigmoid": "Sigmoid", "identity": "Identity"}
_LAYERS: dict[type[nn.Module], tuple[str, tuple[str, ...]]] = {  # of a head: operator, weights
    nn.ReLU: ("Relu", ()),
    nn.Linear: ("Gemm <transB = 1>", ("weight", "bias")),
} | dict.fromkeys(
    (nn.BatchNorm1d, nn.SyncBatchNorm),  # the second: trained by many GPUs
    (
        "BatchNormalization <epsilon = {eps}>",
        ("weight", "bias", "running_mean", "running_var"),
    ),
)
# last, maximum and mean of the features of the last `limit` tokens: `pooled` (n, 3 d)
_POOLING = """
    t1 = Shape <start = 1> (x)
    t = Squeeze (t1)
    at = Range (none, t, step)
    place = Add (at, step)
    isPad = Equal (x, pad)
    filled = Where (isPad, none, place)
    longest = ReduceMax <keepdims = 1> (filled, one)
    ends = Max (longest, step)
    before = Less (at, ends)
    begin = Sub (ends, limit)
    after = GreaterOrEqual (at, begin)
    both = And (before, after)
    seen = Unsqueeze (both, two)
    final = Sub (ends, step)
    isLast = Equal (at, final)
    lastMask = Unsqueeze (isLast, two)
    lastOnly = Where (lastMask, h, nothing)
    last = ReduceSum <keepdims = 0> (lastOnly, one)
    high = Where (seen, h, lowest)
    top = ReduceMax <keepdims = 0> (high, one)
    low = Where (seen, h, nothing)
    total = ReduceSum <keepdims = 0> (low, one)
    seenFloat = Cast <to = 1> (seen)
    count = ReduceSum <keepdims = 0> (seenFloat, one)
    mean = Div (total, count)
    pooled = Concat <axis = 1> (last, top, mean)
"""


def classifier_graph(answering: Answering, x: Tensor) -> Any:
    """The ONNX model: `x` int64 (n, t) to `probabilities` (n, classes), without windows.

    Padding comes last, so that LSTMs over the whole length give what windows with a carried state
    do; what is padded is left out where features are pooled.
    """
    import onnx

    model: Any = answering.model
    target = answering.target
    if target.activation not in _ACTIVATIONS:
        raise ExportError(f"{target.kind} has no export from texts")
    weights = {"table": _array(model.encoder.embedding.weight)}
    lines = ["f0 = Gather (table, x)", "s0 = Transpose <perm = [1, 0, 2]> (f0)"]
    for i, rnn in enumerate(model.encoder.rnns):
        weights |= _lstm(rnn.inner, i)
        lines += [
            f"y{i}, , = LSTM <hidden_size = {rnn.inner.hidden_size}> (s{i}, w{i}, r{i}, b{i})",
            f"s{i + 1} = Squeeze (y{i}, one)",
        ]
    lines.append(f"h = Transpose <perm = [1, 0, 2]> (s{len(model.encoder.rnns)})")
    head, head_weights, name = _head(model.head)
    text = "\n".join(lines) + _POOLING + "\n".join(head)
    made = onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["" : {OPSET}]>
        text (int64[n, t] x) => (float[n, {target.n_outputs}] probabilities)
        <int64[1] one = {{1}}, int64[1] two = {{2}}, int64 none = {{0}}, int64 step = {{1}},
         int64 pad = {{{model.encoder.padding}}}, int64[1] limit = {{{model.max_len}}},
         float lowest = {{-3.4e38}}, float nothing = {{0.0}}> {{
        {text}
        temperature = Constant <value_float = {target.temperature or 1.0}> ()
        cooled = Div ({name}, temperature)
        probabilities = {_ACTIVATIONS[target.activation]} (cooled)
    }}""")
    tensors = {**weights, **head_weights}
    made.graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in tensors.items())
    return made


def encoder_graph(longest: int) -> Callable[[Answering, Tensor], Any]:
    """Makes the ONNX model of a transformer's classifier, for batches of up to `longest` tokens.

    Which tokens are padding is asked inside the graph, of `x` int64 (n, t) itself.
    """
    return partial(trace, longest=longest)


def _lstm(inner: nn.LSTM, i: int) -> dict[str, np.ndarray]:
    """A layer's weights with the gates in ONNX's order."""

    def gates(key: str) -> np.ndarray:
        parts = np.split(_array(getattr(inner, f"{key}_l0")), 4)
        return np.concatenate([parts[gate] for gate in _GATES])

    bias = np.concatenate([gates("bias_ih"), gates("bias_hh")])
    named = {"w": gates("weight_ih"), "r": gates("weight_hh"), "b": bias}
    return {f"{name}{i}": value[None] for name, value in named.items()}


def _head(head: nn.Module) -> tuple[list[str], dict[str, np.ndarray], str]:
    """The head as ONNX: its lines, its weights, and the name of what comes out."""
    lines, weights, name = list[str](), dict[str, np.ndarray](), "pooled"
    for i, layer in enumerate(head.children()):
        if isinstance(layer, nn.Dropout):
            continue
        known = next((kind for kind in _LAYERS if isinstance(layer, kind)), None)
        if known is None:
            raise ExportError(f"a head with {type(layer).__name__} has no export from texts")
        operator, keys = _LAYERS[known]
        own = {f"n{i}{key}": _array(getattr(layer, key)) for key in keys}
        inputs = ", ".join([name, *own])
        name, weights = f"head{i}", weights | own
        lines.append(f"{name} = {operator.format(**vars(layer))} ({inputs})")
    return lines, weights, name


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().float().numpy()
