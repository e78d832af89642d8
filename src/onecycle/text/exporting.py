"""A text classifier as an ONNX graph from token ids to probabilities, texts of any length."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from onecycle.core.errors import ExportError, UsageError
from onecycle.export.graph import Answering, Examples
from onecycle.export.image import OPSET
from onecycle.learn.exporting import cost_on, own_side, paired, sources_of
from onecycle.models.awd_lstm import TextClassifier

_LENGTHS = (1, 7, 40, 160)  # tokens of the texts that an export is checked with
_GATES = (0, 3, 1, 2)  # input, output, forget, cell, as ONNX has them, among torch's
_ACTIVATIONS = {"softmax": "Softmax <axis = 1>", "sigmoid": "Sigmoid", "identity": "Identity"}


def examples(learner: Any, precision: str, calibrate: int | None = None) -> Examples:
    """Random ids of several lengths and texts of the validation set."""
    if not isinstance(learner.model, TextClassifier):
        raise UsageError(
            "an AWD-LSTM classifier is exported; a language model only gives its encoder, and a "
            "Hugging Face model stays in Python (learn.save)"
        )
    if calibrate is not None:
        raise UsageError("calibrate= is for images and series: texts are scaled as they come")
    if precision == "int8" and learner.data.valid_dl is None:
        raise UsageError("int8 needs the data: export it from the learner that was trained")
    rng = np.random.default_rng(0)
    raw = [rng.integers(0, len(learner.vocab), n) for n in _LENGTHS]
    pairs = [(ids, torch.as_tensor(ids)[None]) for ids in raw]
    side = own_side(learner)
    if side is not None:
        given = learner.task.input
        texts = [given.text_of(source) for source in sources_of(side)]
        pairs += paired(learner, texts, given.ids)
    return Examples(pairs, [pairs[1][1]], cost_on(learner), None, graph)


def graph(answering: Answering, x: Tensor) -> Any:
    """The ONNX model: `x` int64 (n, t) to `probabilities` (n, classes), without windows.

    Padding comes last, so that LSTMs over the whole length give what windows with a carried state
    do; what is padded is left out where features are pooled.
    """
    import onnx
    from onnx import numpy_helper

    model = answering.model
    assert isinstance(model, TextClassifier)
    weights: dict[str, np.ndarray] = {"table": _array(model.encoder.embedding.weight)}
    lines, name = ["f0 = Gather (table, x)", "s0 = Transpose <perm = [1, 0, 2]> (f0)"], "s0"
    for i, rnn in enumerate(model.encoder.rnns):
        weights |= _lstm(rnn.inner, i)  # type: ignore[arg-type]
        hidden = rnn.inner.hidden_size  # type: ignore[union-attr]
        lines += [
            f"y{i}, , = LSTM <hidden_size = {hidden}> ({name}, w{i}, r{i}, b{i})",
            f"s{i + 1} = Squeeze (y{i}, one)",
        ]
        name = f"s{i + 1}"
    lines += [*_pooling(name)]
    name = "pooled"
    for i, layer in enumerate(model.head):
        made, more, name = _layer(layer, i, name)
        lines, weights = [*lines, *made], weights | more
    activation = _ACTIVATIONS.get(answering.target.activation)
    if activation is None:
        raise ExportError(f"{answering.target.kind} has no export from texts")
    lines.append(f"probabilities = {activation} ({name})")
    text = "\n".join(lines)
    classes = answering.target.n_outputs
    made_model = onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["" : {OPSET}]>
        text (int64[n, t] x) => (float[n, {classes}] probabilities)
        <int64[1] one = {{1}}, int64[1] two = {{2}}, int64[1] zero = {{0}}, int64 none = {{0}},
         int64 step = {{1}}, int64 pad = {{{model.encoder.padding}}}, float lowest = {{-3.4e38}},
         float nothing = {{0.0}}, int64[1] limit = {{{model.max_len}}}> {{
        {text}
    }}""")
    made_model.graph.initializer.extend(
        numpy_helper.from_array(value, key) for key, value in weights.items()
    )
    return made_model


def _pooling(name: str) -> list[str]:
    """Last, maximum and mean of the features of the last `limit` tokens: `pooled` (n, 3 d)."""
    return [
        f"h = Transpose <perm = [1, 0, 2]> ({name})",
        "isPad = Equal (x, pad)",
        "real = Not (isPad)",
        "ones = Cast <to = 7> (real)",
        "shape = Shape (x)",
        "t1 = Slice (shape, one, two, zero)",
        "t = Squeeze (t1)",
        "row = Range (none, t, step)",
        "at = Unsqueeze (row, zero)",
        "place = Add (at, one)",
        "filled = Mul (ones, place)",
        "longest = ReduceMax <keepdims = 1> (filled, one)",
        "ends = Max (longest, one)",
        "before = Less (at, ends)",
        "begin = Sub (ends, limit)",
        "after = GreaterOrEqual (at, begin)",
        "both = And (before, after)",
        "seen = Unsqueeze (both, two)",
        "final = Sub (ends, one)",
        "isLast = Equal (at, final)",
        "lastMask = Unsqueeze (isLast, two)",
        "lastOnly = Where (lastMask, h, nothing)",
        "last = ReduceSum <keepdims = 0> (lastOnly, one)",
        "high = Where (seen, h, lowest)",
        "top = ReduceMax <keepdims = 0> (high, one)",
        "low = Where (seen, h, nothing)",
        "total = ReduceSum <keepdims = 0> (low, one)",
        "seenFloat = Cast <to = 1> (seen)",
        "count = ReduceSum <keepdims = 0> (seenFloat, one)",
        "mean = Div (total, count)",
        "pooled = Concat <axis = 1> (last, top, mean)",
    ]


def _lstm(inner: nn.LSTM, i: int) -> dict[str, np.ndarray]:
    """A layer's weights with the gates in ONNX's order."""

    def ordered(key: str) -> np.ndarray:
        parts = np.split(_array(getattr(inner, f"{key}_l0")), 4)
        return np.concatenate([parts[gate] for gate in _GATES])

    biases = np.concatenate([ordered("bias_ih"), ordered("bias_hh")])
    return {
        f"w{i}": ordered("weight_ih")[None],
        f"r{i}": ordered("weight_hh")[None],
        f"b{i}": biases[None],
    }


def _layer(layer: nn.Module, i: int, name: str) -> tuple[list[str], dict[str, np.ndarray], str]:
    """A layer of the head as ONNX: its lines, its weights, and the name of what comes out."""
    out = f"head{i}"
    if isinstance(layer, nn.Dropout):
        return [], {}, name
    if isinstance(layer, nn.ReLU):
        return [f"{out} = Relu ({name})"], {}, out
    if isinstance(layer, nn.Linear):
        weights = {f"lw{i}": _array(layer.weight), f"lb{i}": _array(layer.bias)}
        return [f"{out} = Gemm <transB = 1> ({name}, lw{i}, lb{i})"], weights, out
    if isinstance(layer, nn.BatchNorm1d | nn.SyncBatchNorm):  # the second: trained by many GPUs
        keys = ("weight", "bias", "running_mean", "running_var")
        weights = {f"n{i}{key}": _array(getattr(layer, key)) for key in keys}
        given = ", ".join(weights)
        line = f"{out} = BatchNormalization <epsilon = {layer.eps}> ({name}, {given})"
        return [line], weights, out
    raise ExportError(f"a head with {type(layer).__name__} has no export from texts")


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().float().numpy()
