"""Where numbers that are not finite came from: the item, layer, weight or gradient that had them.

Called once training is over: the batch at hand is run again, with a look at every layer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import is_dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from onecycle.core.errors import listing
from onecycle.core.rng import preserve_rng
from onecycle.learn.callback import Run
from onecycle.learn.losses import loss_of

_SLOWER = "so the rate is probably too high: try a tenth"
_LOOK = "Look at the labels, the transforms and the callbacks that they come from"


def loss_cause(run: Run) -> str:
    """What made the loss of the batch at hand no number, and what to do."""
    # In every process and to its end, since layers may wait for those of the other processes.
    found = _run_again(run)
    for name, value in (("inputs", run.x), ("labels", run.y)):
        if rows := bad_rows(value):
            where = f"items {listing(rows)} of its {len(run.y)}, counted from 0"
            return f"the {name} of the batch already hold values not finite: {where}. {_LOOK}"
    layer = f". The first on the way is {found.forward}" if found.forward else ""
    if weights := spoilt(run.model):
        return f"the weights {listing(weights, 3)} were not finite before, {_SLOWER}{layer}"
    if not is_finite(run.outputs):
        if not found.forward:
            layer = ". The same batch with other random numbers (dropout) gives finite ones"
        if not run.step:
            why = "a root, a logarithm or a division, or inputs that want normalize()"
            return f"the model's outputs overflowed before any step: {why}{layer}"
        wider = ", or to_bf16()" if run.engine.precision == "fp16" else ""
        return f"the model's outputs overflowed, {_SLOWER}{wider}{layer}"
    if run.loss is not None and is_finite(run.loss):
        return "the items of another process do, which names them"
    return "the loss function itself does, on finite outputs and labels"


def gradient_cause(run: Run, loss_func: Callable[..., Tensor]) -> str:
    """Which gradients of the step at hand are not finite, what made the first, and what to do."""
    alone = run.engine.processes == 1  # layers would wait for other processes on the way back
    first = _run_again(run, loss_func).backward if alone else None
    named = [(name, p.grad) for name, p in run.model.named_parameters() if p.grad is not None]
    bad = [name for name, grad in named if not is_finite(grad)]
    if not bad:
        return "they overflow in 16 bits only, where to_bf16() has room"
    where = first or "not found in this batch: in what callbacks add, or by random numbers"
    return (
        f"{len(bad)} of {len(named)} are not finite ({listing(bad, 3)}). The first on the way back "
        f"is {where}: a root, a norm or a division has no slope at 0, and wants a small number "
        "added; else the rate is too high: try a tenth"
    )


def spoilt(model: nn.Module, before: Mapping[str, Tensor] | None = None) -> list[str]:
    """Names of the weights that are not finite, and of the buffers that were so `before`."""
    weights = {name for name, _ in model.named_parameters()}
    bad = [name for name, value in model.state_dict().items() if not is_finite(value)]
    return [n for n in bad if n in weights or (before is not None and is_finite(before[n]))]


def is_finite(value: Any) -> bool:
    """Whether all numbers are, of a tensor or of those in tuples, lists, dicts, dataclasses."""
    return all(bool(tensor.detach().isfinite().all()) for tensor in _tensors(value))


def bad_rows(value: Any) -> list[int]:
    """The positions on axis 0 that hold anything not finite, counted from 0."""
    found: set[int] = set()
    for tensor in _tensors(value):
        bad = torch.atleast_1d(tensor.isfinite().logical_not())
        found |= set(bad.reshape(len(bad), -1).any(1).nonzero().flatten().tolist())
    return sorted(found)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        yield from _tensors(vars(value))
    elif isinstance(value, dict | tuple | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _run_again(run: Run, loss_func: Callable[..., Tensor] | None = None) -> _Watch:
    """The batch through the model once more, and with `loss_func` back again."""
    if hasattr(run.model, "reset"):  # a state that is carried on has seen this batch
        run.model.reset()  # type: ignore[operator]
    with preserve_rng(torch), _Watch(run.model) as watch:
        with torch.set_grad_enabled(loss_func is not None):
            outputs = run.engine.forward(run.model, run.x)
        if loss_func is not None:
            loss_of(loss_func, outputs, run.y, run.data.task.target).backward()
    return watch


_Key = tuple[int, int]  # a tensor, and how often it was changed in place


class _Watch(ExitStack):
    """Notes what first gives values, or gradients, that are not finite while a model runs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.forward: str | None = None
        self.backward: str | None = None
        self._names = {
            module: f"{name or 'the model'} ({type(module).__name__})"
            for name, module in model.named_modules()
        }
        self._inside: list[str] = []  # the modules whose forward is running
        self._after: dict[_Key, str] = {}  # what follows a tensor that no module takes
        self._takers: dict[_Key, list[nn.Module]] = defaultdict(list)
        self._held: list[Tensor] = []  # so that no two tensors have one id

    def __enter__(self) -> Self:
        for module in self._names:
            enters = module.register_forward_pre_hook(self._enters, with_kwargs=True)
            leaves = module.register_forward_hook(self._leaves)
            self.callback(enters.remove)
            self.callback(leaves.remove)
        return self

    def _enters(self, module: nn.Module, args: Any, options: Any) -> None:
        name = self._names[module]
        if self.forward is None and self._inside and not is_finite((args, options)):
            self.forward = f"what {self._inside[-1]} computes before {name}"
        self._inside.append(name)
        for key in self._hooked((args, options)):
            self._takers[key].append(module)

    def _leaves(self, module: nn.Module, args: Any, out: Any) -> None:
        name = self._inside.pop()
        if self.forward is None and not is_finite(out):
            values = torch.cat([tensor.detach().flatten() for tensor in _tensors(out)])
            kind = "nan" if values.isnan().any() else "inf"
            count = int(values.isfinite().logical_not().sum())
            self.forward = f"{name}, with {kind} among {count} of its {len(values)} values"
        around = f"what {self._inside[-1]} computes after {name}" if self._inside else None
        for key in self._hooked(out):
            self._after[key] = around or "the loss function"
            if module in self._takers[key]:  # it gives what it took, and is not on the way
                self._takers[key].remove(module)

    def _hooked(self, value: Any) -> Iterator[_Key]:
        """The keys of all tensors with a gradient, each of which is looked at when it is there."""
        for tensor in _tensors(value):
            if tensor.requires_grad:
                key = id(tensor), tensor._version
                if key not in self._after and key not in self._takers:
                    self._held.append(tensor)
                    tensor.register_hook(partial(self._returns, key))
                yield key

    def _returns(self, key: _Key, grad: Tensor) -> None:
        if self.backward is None and not is_finite(grad):
            takers = dict.fromkeys(self._takers[key])
            inner = [self._names[m] for m in takers if len(takers.keys() & {*m.modules()}) == 1]
            self.backward = " or ".join(inner) or self._after[key]
