"""Python values as JSON and tensors, and back: what a checkpoint keeps beside the weights."""

import json
import random
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import torch as files
from torch import Tensor

_PLAIN = (type(None), bool, int, float, str)
_LISTS: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset}


def can_pack(value: Any) -> bool:
    """Whether `pack` takes the value."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset, deque):
        return all(map(can_pack, value))
    if kind is dict:
        return all(type(key) in _PLAIN and can_pack(each) for key, each in value.items())
    numeric = isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf"
    return numeric or kind in (*_PLAIN, Tensor) or isinstance(value, Path)


def pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value as JSON; what is a tensor in it goes into `tensors`, as `name` and a number.

    Takes numbers, texts, None, paths, tensors, numeric arrays, and lists, tuples, sets, deques and
    dicts (with plain keys) of these, of exactly these types. TypeError for any other.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [pack(each, name, tensors) for each in value]
    if kind is dict:
        return {"kind": "dict", "rows": [[k, pack(v, name, tensors)] for k, v in value.items()]}
    if kind is deque:
        return {"kind": "deque", "rows": pack([*value], name, tensors), "most": value.maxlen}
    if kind.__name__ in _LISTS and kind is _LISTS[kind.__name__]:
        return {"kind": kind.__name__, "rows": pack([*value], name, tensors)}
    if isinstance(value, Path):
        return {"kind": "path", "text": str(value)}
    own = f"{name}.{len(tensors)}"
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        tensors[own] = torch.from_numpy(np.array(value))
        return {"kind": "array" if isinstance(value, np.ndarray) else "number", "name": own}
    if kind is Tensor:
        tensors[own] = value.detach().cpu().clone()
        return {"kind": "tensor", "name": own, "device": str(value.device)}
    raise TypeError(f"a checkpoint cannot hold {kind}")


def unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `pack` was given."""
    if isinstance(packed, list):
        return [unpack(each, tensors) for each in packed]
    if not isinstance(packed, dict):
        return packed
    match packed["kind"]:
        case "dict":
            return {key: unpack(each, tensors) for key, each in packed["rows"]}
        case "deque":
            return deque(unpack(packed["rows"], tensors), packed["most"])
        case "path":
            return Path(packed["text"])
        case "tensor":
            return tensors[packed["name"]].clone().to(packed["device"])
        case "array":
            return tensors[packed["name"]].numpy().copy()
        case "number":
            return tensors[packed["name"]].numpy()[()]
        case kind:
            return _LISTS[kind](unpack(packed["rows"], tensors))


def to_bytes(value: Any) -> bytes:
    """What `pack` takes as one string of bytes."""
    tensors: dict[str, Tensor] = {}
    text = json.dumps(pack(value, "value", tensors))
    return text.encode() + b"\n" + files.save(tensors)


def from_bytes(data: bytes) -> Any:
    """What `to_bytes` was given."""
    text, _, tensors = data.partition(b"\n")
    return unpack(json.loads(text), files.load(tensors))


# The global random generators, which dropout and callbacks draw from.


def random_states() -> dict[str, Any]:
    """Those of torch (on the CPU and on CUDA devices), numpy and Python."""
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "numpy": np.random.get_state(),
        "python": random.getstate(),
    }


def set_random_states(states: Mapping[str, Any]) -> None:
    """Go back to what `random_states` gave."""
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
    np.random.set_state(states["numpy"])
    random.setstate(states["python"])
