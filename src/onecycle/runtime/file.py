"""The exported file: an ONNX model whose metadata say what it takes and answers, and its digest.

Reading needs neither torch nor onnx: the few fields that matter are walked by hand.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onecycle.core.errors import ModelError, UsageError
from onecycle.core.json_text import parse_json

KEY = "onecycle"
FORMAT = 1
MAX_BYTES = 2_000_000_000
# field numbers of onnx.proto
_GRAPH, _METADATA, _FUNCTIONS = 7, 14, 25
_DESCRIBED = ("library", "task")  # what servers and pages read
# message field -> fields that lead to tensors, by kind of message
_PATHS = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
# Operators of any number of inputs, and the first of those that all have to be there: ONNX Runtime
# (1.32) does not ask, and reads memory that is not its own.
_SEVERAL = dict.fromkeys(("Concat", "Einsum", "Max", "Mean", "Min", "Scan", "Sum"), 0) | {"Loop": 2}
_DOMAINS = {"", "ai.onnx", "com.microsoft", "ai.onnx.ml"}


def digest(graph: bytes, about: dict[str, Any]) -> str:
    """SHA-256 over the graph and everything else in its metadata."""
    rest = {k: v for k, v in about.items() if k != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(graph + text.encode()).hexdigest()


def read(path: str | Path, sha256: str | None = None) -> tuple[bytes, dict[str, Any]]:
    """The bytes of the file and what its metadata say, checked.

    Raises ModelError for a file that is missing, cut off, changed, foreign, newer than this
    library, that keeps its weights in other files, or whose bytes have another `sha256`.
    """
    data = read_exactly(path, sha256)
    return data, examine(data, str(path))


def read_exactly(path: str | Path, sha256: str | None = None) -> bytes:
    """The bytes of a model file; ModelError where they have not this SHA-256 (64 hex digits)."""
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"a SHA-256 is 64 digits of 0-9 and a-f, not {sha256!r}")
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path} is larger than {MAX_BYTES:,} bytes: not a model of onecycle")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    found = hashlib.sha256(data).hexdigest() if sha256 else ""
    if sha256 and found != sha256.lower():
        raise ModelError(
            f"{path} has the SHA-256 {found}, not {sha256.lower()}: it is another file, or was "
            "changed on its way. It was not loaded"
        )
    return data


def examine(data: bytes, name: str) -> dict[str, Any]:
    """What the metadata of an exported file say; see `read`."""
    try:
        parts = list(_fields(data))
        entries = [_entry(part) for number, part in parts if number == _METADATA]
        graphs = [part for number, part in parts if number == _GRAPH]
        text = dict(entries).get(KEY)
        if any(number == _FUNCTIONS for number, _ in parts):  # they could be operators' names
            raise ModelError(f"{name} brings functions of its own: that is refused")
        _refuse_strange(data, "model", name)
    except (ValueError, IndexError, RecursionError) as error:
        raise ModelError(f"{name} is no ONNX file, or it is cut off ({error})") from error
    if text is None or len(graphs) != 1:
        raise ModelError(f"{name} was not written by onecycle: learn.export() writes such files")
    try:
        about = parse_json(text)
        version, wanted = int(about["format"]), str(about["sha256"])
        missing = [name for name in _DESCRIBED if name not in about]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelError(f"{name}: its description is damaged ({error})") from error
    if version > FORMAT:
        raise ModelError(
            f"{name} has format {version}, this onecycle reads up to {FORMAT}: update onecycle"
        )
    if digest(bytes(graphs[0]), about) != wanted:
        raise ModelError(f"{name} was changed or damaged after it was exported: export it again")
    if missing:
        raise ModelError(f"{name}: its description lacks {', '.join(missing)}")
    return about


def _fields(data: memoryview | bytes) -> Iterator[tuple[int, memoryview]]:
    """(number, content) of each field of a protobuf message; numbers have empty content."""
    view, at = memoryview(data), 0
    while at < len(view):
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        length = {1: 8, 5: 4}.get(kind, 0)
        if kind == 0:
            value, at = _varint(view, at)
            yield number, memoryview(b"\1" if value else b"")
            continue
        if kind == 2:
            length, at = _varint(view, at)
        elif kind not in {1, 5}:
            raise ValueError(f"wire type {kind}")
        if at + length > len(view):
            raise ValueError("a field is longer than the file")
        yield number, view[at : at + length]
        at += length


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if not byte & 128:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")


def _entry(part: memoryview) -> tuple[str, str]:
    pair = {number: bytes(value).decode("utf-8", "strict") for number, value in _fields(part)}
    return pair.get(1, ""), pair.get(2, "")


def _refuse_strange(data: memoryview | bytes, kind: str, name: str) -> None:
    """No weights in other files, no operators of unknown libraries or without inputs, anywhere."""
    if kind == "tensor":
        if any(number == 13 or (number == 14 and value) for number, value in _fields(data)):
            raise ModelError(f"{name} keeps weights in other files: that is refused")
        return
    if kind == "node":
        _refuse_nameless(data, name)
    for number, part in _fields(data):
        if kind == "node" and number == 7:
            domain = bytes(part).decode("utf-8", "replace")
            if domain not in _DOMAINS:
                raise ModelError(f"{name} uses operators of {domain!r}: that is refused")
        inner = _PATHS[kind].get(number)
        if inner:
            _refuse_strange(part, inner, name)


def _refuse_nameless(node: memoryview | bytes, name: str) -> None:
    fields = list(_fields(node))
    operators = [bytes(part).decode("utf-8", "replace") for number, part in fields if number == 4]
    operator = "".join(operators[-1:])
    given = [bool(part) for number, part in fields if number == 1]
    if not all(given[_SEVERAL.get(operator, len(given)) :]):
        raise ModelError(f"{name} has a {operator} whose inputs are not all there: that is refused")
