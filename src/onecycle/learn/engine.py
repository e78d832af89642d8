"""How a step is computed: device and precision, so that the loop need not know."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Self
from warnings import warn

import torch
from torch import Tensor, nn

from onecycle.core.errors import OnecycleWarning, UsageError

PRECISIONS = ("fp32", "fp16", "bf16")
Pairs = Iterable[tuple[Tensor, Tensor]]


class Engine:
    """Forward, backward and step on one device in one precision.

    fp16 scales the loss (it starts at 2**16, halves at an overflow, whose step is left out, and
    doubles after 1000 good steps); weights stay float32. Source: Micikevicius et al. 2018.
    `main` is True where this process may print and write files.
    """

    main = True
    one_item = "one item"  # what a process has of a batch that is too small
    processes = 1  # that train together

    in_parts: ClassVar[bool] = True  # large outputs of an evaluation may come a few rows at a time

    def __init__(self, device: torch.device, precision: str = "fp32") -> None:
        if precision not in PRECISIONS:
            raise UsageError(f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
        if precision == "fp16" and device.type == "cpu":
            warn("no fp16 arithmetic on the CPU: bf16 is used", OnecycleWarning, stacklevel=3)
            precision = "bf16"
        self.device, self.precision = device, precision
        scales = precision == "fp16"
        self.scaler = torch.amp.GradScaler(device.type, growth_interval=1000, enabled=scales)

    def at(self, precision: str) -> Self:
        """The same in another precision."""
        return type(self)(self.device, precision)

    def begin(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Before each fit, when it is known which weights are frozen."""
        if self.scaler.is_enabled():  # a fit that was stopped in a step has left half of one in it
            state = self.scaler.state_dict()
            self.scaler = torch.amp.GradScaler(self.device.type)
            self.scaler.load_state_dict(state)
        if self.device.type == "cuda":
            lay_channels_last(model, optimizer)

    def end(self) -> None:
        """After each fit."""

    def synchronize(self, model: nn.Module) -> None:
        """Give the model the same buffers in every process."""

    def mean(self, loss: Tensor) -> float:
        """The loss of a whole batch."""
        return float(loss.detach())

    def total(self, weight: float) -> float:
        """The weight of a whole batch, of that of the share of it which this process computes."""
        return weight

    def share(self, batches: Any) -> Any:
        """What of each batch this process computes."""
        return batches

    def whole(self, pairs: Pairs, share: Any) -> Pairs:
        """(outputs, y) of whole batches, of those that each process computed for its share."""
        return pairs

    def wait(self) -> None:
        """Until every process has come here."""

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the model runs."""
        if self.precision == "fp32":
            return nullcontext()
        dtype = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype)

    def forward(self, model: nn.Module, x: Tensor) -> Tensor:
        """The model's outputs, float32 whatever the precision inside."""
        with self.autocast():
            outputs = model(x)
        return outputs.float() if isinstance(outputs, Tensor) else outputs

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of the loss, scaled, to those that are there."""
        self.scaler.scale(loss).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Once before each step: the gradients as they are."""
        self.scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Move the weights, unless there was an fp16 overflow."""
        self.scaler.step(optimizer)
        self.scaler.update()


def lay_channels_last(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Lay the weights of convolutions as batches of pictures lie, which is faster on CUDA.

    What the optimizer keeps of them goes along: fused ones need it, also if it came from a file.
    """
    for weight in model.parameters():
        if weight.ndim != 4:
            continue
        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        state = optimizer.state.get(weight, {})
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                state[name] = torch.empty_like(weight, requires_grad=False).copy_(value)
