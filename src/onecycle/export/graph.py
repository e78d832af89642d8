"""From a trained network to one ONNX file that answers from raw pixels, checked before it stays."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from onecycle.core.errors import CheckpointError, ExportError, UsageError, warn
from onecycle.core.files import write_atomically
from onecycle.core.machine import onnx_runtime
from onecycle.export.image import OPSET, mask_postlude
from onecycle.runtime import file as form
from onecycle.runtime.kinds import InputSpec
from onecycle.runtime.task import task_from_json, task_to_json
from onecycle.version import __version__

PRECISIONS = ("fp32", "fp16", "int8")
_TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
_PREPARED = 1e-3  # of the network's inputs, which are a few units large
_MAX_LOSS = 0.01  # of the validation figure
_NOTABLE = 0.01  # of the spread of numbers and points
_LARGEST_HALF = 65504.0  # in 16 bits
Run = Callable[[Tensor], Tensor]  # prepared inputs to probabilities


@dataclass(frozen=True)
class Cost:
    """What another precision costs on `items` of the validation set.

    The figure `before` and `after`, how much `worse` it is, the share of answers that are `changed`
    (of masks: of pixels), and where answers are numbers, by how much of their spread they `moved`.
    """

    before: float
    after: float
    items: int
    worse: float
    changed: float = 0.0
    moved: float = 0.0


@dataclass(frozen=True, eq=False)
class Examples:
    """What an export is made of and checked with.

    `pairs` are items as the kind's `array` reads them, of three shapes at least, each with what the
    learner's own way prepares of it (1, ...): the user's own items among them. `prepared` are
    batches of inputs as in training, for tracing and calibration; `cost` compares two functions
    from prepared inputs to probabilities on the validation set. `prelude` (an ONNX model) turns raw
    batches into prepared ones, where they differ; `body` makes an ONNX model of the network.
    """

    pairs: Sequence[tuple[np.ndarray, Tensor]]
    prepared: Sequence[Tensor]
    cost: Callable[[Run, Run], Cost] | None = None
    prelude: Any = None
    body: Callable[[Answering, Tensor], Any] | None = None


class Answering(nn.Module):
    """The network with its activation."""

    def __init__(self, model: nn.Module, target: Any) -> None:
        super().__init__()
        self.model, self.target = model, target

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities (or values) of prepared inputs."""
        return self.target.activate(self.model(x))


def export(
    model: nn.Module,
    task: Any,
    path: Path,
    examples: Examples,
    precision: str = "fp32",
    trained: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write `model` with its preprocessing and its task to `path`; returns what the file says.

    `trained` is what the file says of its training: items, figures, the day.

    Raises ExportError, and leaves no file, where the written file prepares or answers an item
    otherwise than the learner does (fp32: by more than 1e-4), or where fp16 or int8 costs more than
    a point of the validation figure. The file says as `made` what a precision costs: the figure
    before and after, and the share of answers that are `changed`; a warning says so too.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
    given: InputSpec = task.input
    answering = Answering(model, task.target).cpu().eval()
    body = (examples.body or trace)(answering, examples.prepared[0])
    made: dict[str, Any] = {"precision": precision}
    if precision == "fp16":
        body = store_in_half(body)
    elif precision == "int8":
        from onecycle.export.quantize import quantize

        body = quantize(body, examples.prepared if examples.prelude is not None else None)
    if precision != "fp32":
        made |= _cost(answering, body, examples, precision)
    mask_dtype = task.target.mask_dtype
    whole = _join(examples.prelude, body, bool(mask_dtype), given.tensor, mask_dtype or "uint8")
    about = {
        "format": form.FORMAT,
        "library": __version__,
        "task": task_to_json(task.input, task.target),
        "input": {"name": given.tensor, "type": given.dtype, "shape": list(given.axes)},
        "outputs": [output.name for output in whole.graph.output],
        "made": made,
        **({} if trained is None else {"trained": trained}),
    }
    data = _seal(whole, about)
    _compare(data, given, answering, examples, precision)
    write_atomically(path, lambda to: _write(to, data))
    return form.read(path)[1]


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def trace(
    model: nn.Module, x: Tensor, output: str = "probabilities", longest: int | None = None
) -> Any:
    """The network as ONNX from `x` to `output`, any number of items at once.

    With `longest` the second axis may have any length up to it.
    """
    x = x[:1].expand(2, *x.shape[1:]).contiguous()
    axes = {0: torch.export.Dim("n", min=1)}
    if longest is not None:
        axes[1] = torch.export.Dim("t", min=1, max=longest)
    free = {"x": axes}
    with _quiet():
        try:
            program = torch.onnx.export(
                model,
                (x,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["x"],
                output_names=[output],
                dynamic_shapes=free,
                verbose=False,
            )
        except Exception as error:  # torch.export and its passes raise many kinds
            raise ExportError(
                f"torch cannot turn this {type(model).__name__} into ONNX: {error}"
            ) from error
    assert program is not None
    return _bare(program.model_proto)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's remarks are about its own insides."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    log.setLevel(level)


def _bare(model: Any) -> Any:
    """Without the stack traces and paths that the exporter leaves in the graph."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    del model.graph.value_info[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.metadata_props[:]
    return model


def store_in_half(model: Any) -> Any:
    """Weights stored in 16 bits and widened when the file is loaded; half the size."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < 64:
            continue
        name = tensor.name
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > _LARGEST_HALF:  # a running variance, say: it stays as it is
            continue
        small = values.astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(small, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    return model


def _join(prelude: Any, body: Any, masks: bool, name: str = "image", dtype: str = "uint8") -> Any:
    """Prelude, body, and for masks what brings these to the image's size, as one graph."""
    import onnx
    from onnx.compose import merge_models

    if prelude is None:
        whole = _rename_input(body, "x", name)
    else:
        first, second = _add_prefix(prelude, "pre/", body), _add_prefix(body, "net/", body)
        whole = merge_models(first, second, io_map=[("x", "x")])
    if masks:
        last = _add_prefix(mask_postlude(dtype), "post/", body)
        names = ["probabilities", "box", "inner"]
        io_map = [(name, f"of {name}") for name in names]
        for value in last.graph.input:
            value.name = f"of {value.name}"
        for node in last.graph.node:
            node.input[:] = [f"of {n}" if n in names else n for n in node.input]
        outputs = [*names, "mask"]
        whole = merge_models(whole, last, io_map=io_map, outputs=outputs)
    whole.producer_name, whole.producer_version = "onecycle", __version__
    onnx.checker.check_model(whole)
    return whole


def _rename_input(model: Any, old: str, new: str) -> Any:
    """The model with another name for its input."""
    for value in model.graph.input:
        value.name = new if value.name == old else value.name
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
    return model


def _add_prefix(model: Any, prefix: str, like: Any) -> Any:
    """The model with a prefix before the names of its insides."""
    from onnx.compose import add_prefix

    model.ir_version = like.ir_version
    return add_prefix(model, prefix, rename_inputs=False, rename_outputs=False)


def _seal(model: Any, about: dict[str, Any]) -> bytes:
    """The file's bytes, with `about` and the digest in its metadata."""
    graph = model.graph.SerializeToString(deterministic=True)
    about = json.loads(json.dumps(about))
    about["sha256"] = form.digest(graph, about)
    entry = model.metadata_props.add()
    entry.key, entry.value = form.KEY, json.dumps(about)
    return model.SerializeToString(deterministic=True)


def session(data: bytes) -> Any:
    """A runtime session that computes on the CPU."""
    ort = onnx_runtime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _compare(
    data: bytes, given: InputSpec, model: nn.Module, examples: Examples, precision: str
) -> None:
    """Run the file on the raw items, and the model on what the learner prepares of them."""
    about = form.examine(data, "the exported model")
    target = _target_of(about, model)
    limit, prelude = _TOLERANCE.get(precision), examples.prelude
    run, first = session(data), prelude and session(prelude.SerializeToString())
    for i, (item, x) in enumerate(examples.pairs):
        batch = given.stack([item] * (1 + i % 3))
        prepared = first.run(["x"], {given.tensor: batch})[0] if first else batch
        _same_inputs(prepared[:1], x.numpy(), item)
        try:
            (probabilities,) = run.run(["probabilities"], {given.tensor: batch})
        except Exception as error:  # the runtime raises many kinds
            raise ExportError(
                f"the exported model cannot take an item of shape {item.shape} ({error}): give "
                "transform() a size; nothing was written"
            ) from error
        with torch.no_grad():
            wanted = model(x).numpy()
        if probabilities.shape[1:] != wanted.shape[1:]:
            raise ExportError(
                f"the model makes {wanted.shape[1:]} outputs of an item of shape {item.shape}, and "
                "of other items another number: give transform() a size; nothing was written"
            )
        apart = float(np.abs(probabilities - wanted).max())
        if not np.isfinite(probabilities).all() or (limit is not None and apart > limit):
            raise ExportError(
                f"the exported model answers otherwise than the learner, by {apart:.2g} on an "
                f"item of shape {item.shape}; nothing was written"
            )
        ours: Any = model.target
        if target.decode(wanted[0]) != ours.decode(wanted[0]):
            raise ExportError(
                "the learner makes an answer of its outputs by Python code of its own "
                f"({type(ours).__name__}): of the same numbers the exported file says "
                f"{target.decode(wanted[0])}, not {ours.decode(wanted[0])}; nothing was written"
            )
    if len({item.shape for item, _ in examples.pairs}) < 3:
        raise ExportError("an export is checked with items of three shapes at least")


def _target_of(about: dict[str, Any], model: Any) -> Any:
    """The target as a reader of the file will have it."""
    try:
        return task_from_json(about["task"])[1]
    except CheckpointError as error:
        name = type(model.target).__name__
        raise ExportError(f"answers of kind {name} cannot be exported ({error})") from error


def _same_inputs(prepared: np.ndarray, wanted: np.ndarray, item: np.ndarray) -> None:
    """ExportError where the file and the learner prepare another input of one item."""
    if prepared.shape == wanted.shape:
        apart = float(np.abs(prepared - wanted).max(initial=0))
        if apart <= _PREPARED * max(1.0, float(np.abs(wanted).max(initial=0))):
            return
        differ = f"by up to {apart:.2g}"
    else:
        differ = f"{prepared.shape[1:]} instead of {wanted.shape[1:]}"
    raise ExportError(
        f"the exported file prepares an item of shape {item.shape} otherwise than the learner does "
        f"({differ}): something that the learner does in Python is not in the file. Nothing was "
        "written"
    )


def _cost(model: nn.Module, body: Any, examples: Examples, precision: str) -> dict[str, float]:
    """Report what the precision costs; ExportError where it is more than a point."""
    if examples.cost is None:
        if precision == "int8":
            raise ExportError("int8 needs validation data, to measure what it costs")
        warn(f"what {precision} changes was not measured: the learner has no validation data", 8)
        return {}
    run = session(body.SerializeToString())

    def whole(x: Tensor) -> Tensor:
        with torch.no_grad():
            return model(x)

    def small(x: Tensor) -> Tensor:
        return torch.from_numpy(run.run(["probabilities"], {"x": x.numpy()})[0])

    cost = examples.cost(whole, small)
    other = "fp16" if precision == "int8" else "fp32"
    if not cost.worse <= _MAX_LOSS:  # also where it is no number
        raise ExportError(
            f"{precision} costs {100 * cost.worse:.1f} points of the validation figure "
            f"({cost.before:.3f} to {cost.after:.3f}): export {other} instead; nothing was written"
        )
    if cost.changed > 0 or cost.moved > _NOTABLE:
        warn(_changes(cost, precision, other), 8)
    return {
        "validation_fp32": cost.before,
        f"validation_{precision}": cost.after,
        "changed": cost.changed,
        "moved": cost.moved,
        "items": cost.items,
    }


def _changes(cost: Cost, precision: str, other: str) -> str:
    what = (
        f"changes {100 * cost.changed:.2g} % of the answers"
        if cost.changed
        else f"moves the answers by {100 * cost.moved:.2g} % of their spread"
    )
    more = "give calibrate= more training items, or " if precision == "int8" else ""
    return (
        f"{precision} {what} on the {cost.items} validation items; their figure goes from "
        f"{cost.before:.4f} to {cost.after:.4f}. For answers nearer to the learner's {more}export "
        f"{other}"
    )
