"""What a fit was begun with: the same program, started again, begins with the same."""

import json
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from inspect import signature
from itertools import chain
from typing import Any

import numpy as np
from torch import Tensor

from onecycle.core.path_list import plain_items
from onecycle.learn.callback import Callback, Run
from onecycle.learn.packing import can_pack

_SHORT = 200  # characters of a value in a message
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def settings_of(run: Run, without: tuple[type[Callback], ...]) -> dict[str, Any]:
    """As JSON, by names for people; callbacks of the kinds `without` do not count."""
    data, engine = run.data, run.engine
    trained = [name for name, p in run.model.named_parameters() if p.requires_grad]
    return {
        "the number of epochs": run.epochs,
        "the number of batches of an epoch": len(data.train_dl),
        "bs": data.batch_size,
        "the seed of the data": data.options["seed"],
        "accumulate": run.accumulate,
        "the number of processes": engine.processes,
        "the device": engine.device.type,
        "the precision": engine.precision,
        "the list of layers that are trained": trained,
        "the optimizer": f"{type(run.optimizer.inner).__name__} {settings_of_groups(run)}",
        "the loss": _text(run.loss_func),
        "the training set": contents_of(data.train_ds),
        "the sampler": getattr(data.train_ds, "sampler", None),
        "the validation set": contents_of(data.valid_ds),
        "the way items are read and augmented": _digest([_text(data.task.input)]),
        "the list of callbacks": [
            f"{type(callback).__name__}({_options(callback)})"
            for callback in run.callbacks
            if not isinstance(callback, without)
        ],
    }


def _options(callback: Callback) -> str:
    """What it was made with, as far as its attributes have the names of the arguments."""
    have = vars(callback)
    names = [name for name in signature(type(callback)).parameters if name in have]
    return ", ".join(f"{name}={have[name]!r}" for name in names if can_pack(have[name]))


def contents_of(side: Any) -> str:
    """How many items, and a digest of their names (or numbers) and labels."""
    labels = side.labels if side.labels is not None else ()
    return f"{len(side)} items ({_digest(chain(plain_items(side.items), labels))})"


def _digest(values: Iterable[Any]) -> str:
    total = sha256()
    for value in values:
        numbers = isinstance(value, np.ndarray | Tensor)
        total.update(
            np.asarray(value).tobytes() if numbers else str(value).encode("utf-8", "replace")
        )
        total.update(b"\0")
    return total.hexdigest()[:12]


def _text(value: Any) -> str:
    """Its repr without addresses, which differ from run to run."""
    return _ADDRESS.sub("", repr(value))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}..."


def settings_of_groups(run: Run) -> list[dict[str, Any]]:
    """Rates, momenta, decay and whatever else the optimizer's groups hold beside weights."""
    return [
        {name: value for name, value in part.items() if name != "params" and can_pack(value)}
        for part in run.optimizer.param_groups
    ]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between settings, in words."""
    new = json.loads(json.dumps(new))
    found = []
    for name in {**new, **old}:
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        if isinstance(before, list) and isinstance(now, list):
            alone = (
                [each for each in before if each not in now],
                [e for e in now if e not in before],
            )
            before, now = alone if any(alone) else (before, now)
        found.append(f"{name} was {_short(before)}, here it is {_short(now)}")
    return found
