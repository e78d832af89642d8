"""How a step is computed: device, precision and processes, so that the loop need not know."""

import gc
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from onecycle.core.errors import UsageError, warn
from onecycle.learn.compiler import Compiler

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
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
    rank = 0  # which of them this is
    in_parts: ClassVar[bool] = True  # large outputs of an evaluation may come a few rows at a time
    compiler: Compiler | None = None

    def __init__(self, device: torch.device, precision: str = "fp32") -> None:
        if precision not in DTYPES:
            raise UsageError(f"precision is one of {', '.join(DTYPES)}, not {precision!r}")
        if precision == "fp16" and device.type == "cpu":
            warn("no fp16 arithmetic on the CPU: bf16 is used", 3)
            precision = "bf16"
        self.device, self.precision = device, precision
        enabled = precision == "fp16"
        self.scaler = torch.amp.GradScaler(device.type, growth_interval=1000, enabled=enabled)

    def at(self, precision: str) -> Self:
        """The same in another precision."""
        return type(self)(self.device, precision).compiling(self.compiler)

    def compiling(self, compiler: Compiler | None) -> Self:
        """This engine, running models as the compiler made them."""
        self.compiler = compiler
        return self

    def runner(self, model: nn.Module) -> nn.Module:
        """The model itself, or what runs in its place with the same weights."""
        return model if self.compiler is None else self.compiler.runner(model)

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

    def mean(self, loss: Tensor, weight: float = 1.0) -> float:
        """The loss of a whole batch, of that of the share of it which has this weight."""
        return float(loss.detach())

    def total(self, weight: float) -> float:
        """The weight of a whole batch, of that of the share of it which this process computes."""
        return weight

    def agree(self, wish: bool) -> bool:
        """Whether any process wishes it; the same in all of them."""
        return wish

    def collect(self, data: bytes) -> list[bytes]:
        """What each process has, in their order."""
        return [data]

    def share(self, batches: Any) -> Any:
        """What of each batch this process computes."""
        return batches

    def require_shared(self, data: Any) -> None:
        """UsageError for a batch size that the processes cannot share, DataError for other data."""

    def gradients(self, model: nn.Module, last: bool) -> AbstractContextManager[object]:
        """The context of a batch of training, which is the `last` one of its step or not."""
        return nullcontext()

    def whole(self, pairs: Pairs, share: Any) -> Pairs:
        """(outputs, y) of whole batches, of those that each process computed for its share."""
        return pairs

    def rest(self, model: nn.Module) -> None:
        """After an evaluation: give back what the model needs only while it computes."""

    def plain(self, model: nn.Module) -> nn.Module:
        """The model with all its weights in this process."""
        return model

    def say(self, text: str) -> None:
        """Print it, once for all processes."""
        if self.main:
            print(text, flush=True)

    def by_first(self, work: Callable[[], object]) -> None:
        """Done by the first process while the others wait; its error is one in all of them."""
        work()

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the model runs."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, DTYPES[self.precision])

    def forward(self, model: nn.Module, x: Tensor) -> Tensor:
        """The model's outputs, float32 whatever the precision inside."""
        with self.autocast():
            outputs = self.runner(model)(x)
        return whole_precision(outputs)

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


def whole_precision(outputs: Any) -> Any:
    """Outputs of 16 bits as float32; those that are no tensors know by themselves."""
    return outputs.float() if isinstance(outputs, Tensor) else outputs


def lay_channels_last(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Lay the weights of convolutions as batches of images lie, which is faster on CUDA.

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


def free_memory() -> None:
    """Give back what nobody holds any more, on the device too."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
