"""How a step is computed: device, precision and processes, so that the loop need not know."""

import atexit
import gc
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from hashlib import sha256
from typing import Any, ClassVar, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from onecycle.core.errors import DataError, UsageError, warn
from onecycle.core.path_list import plain_items
from onecycle.data.databunch import DataBunch

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

    def agree(self, wish: bool) -> bool:
        """Whether any process wishes it; the same in all of them."""
        return wish

    def collect(self, data: bytes) -> list[bytes]:
        """What each process has, in their order."""
        return [data]

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
        return torch.autocast(self.device.type, DTYPES[self.precision])

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


# Training by several processes, on one machine or many: each takes its share of every batch.
#
# Processes are started by `accelerate launch` or `torchrun`; all run the same program.


class Share:
    """The rows of each batch that are this process's: row `rank`, and every `world`-th after it.

    All processes get equally many rows: where a batch does not divide, the last row is repeated.
    `count` is the number of rows that the whole of the latest batch has.
    """

    def __init__(self, batches: Any, rank: int, world: int) -> None:
        self.batches, self.rank, self.world, self.count = batches, rank, world, 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        if hasattr(self.batches, "parts"):
            for count, x, y in self.batches.parts(self.rows):
                self.count = count
                yield x, y
        else:
            for x, y in self.batches:
                self.count = len(y)
                mine = torch.as_tensor(self.rows(len(y)), device=y.device)
                yield x[mine], y[mine]

    def rows(self, count: int) -> list[int]:
        """The positions, in a batch of `count`, of this process's rows."""
        padded = -(-count // self.world) * self.world
        return [min(i, count - 1) for i in range(self.rank, padded, self.world)]


class Processes(Engine):
    """An engine whose gradients are averaged over all processes, step by step (data parallel)."""

    in_parts: ClassVar[bool] = False

    def __init__(
        self, device: torch.device, precision: str = "fp32", timeout: float = 600.0
    ) -> None:
        super().__init__(device, precision)
        try:
            from accelerate import PartialState
        except ImportError as error:
            raise UsageError(
                "several processes need Accelerate: pip install 'onecycle[scale]'"
            ) from error
        limit = timedelta(seconds=timeout)
        self.state = PartialState(cpu=device.type == "cpu", timeout=limit)
        atexit.register(leave_group)
        self.timeout, self.main = timeout, self.state.is_main_process
        self.processes, self.rank = self.state.num_processes, self.state.process_index
        self._parallel: nn.Module | None = None

    def at(self, precision: str) -> Self:
        return type(self)(self.device, precision, self.timeout)

    def begin(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().begin(model, optimizer)
        self._parallel = None
        if self.processes > 1:
            where = [self.state.device] if self.device.type == "cuda" else None
            self._parallel = nn.parallel.DistributedDataParallel(model, device_ids=where)

    def end(self) -> None:
        self._parallel = None

    def forward(self, model: nn.Module, x: Tensor) -> Tensor:
        """As `Engine.forward`; in training, gradients will be those of all processes."""
        parallel = self._parallel if model.training and torch.is_grad_enabled() else None
        return super().forward(parallel or model, x)

    def mean(self, loss: Tensor) -> float:
        return self._reduce(loss.detach().float(), "mean")

    def total(self, weight: float) -> float:
        given = torch.tensor(weight, dtype=torch.float32, device=self.state.device)
        return self._reduce(given, "sum")

    def agree(self, wish: bool) -> bool:
        return self.total(float(wish)) > 0

    def collect(self, data: bytes) -> list[bytes]:
        from accelerate.utils import gather

        own = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        lengths = gather(torch.tensor([len(own)], device=self.state.device)).tolist()
        padded = own.new_zeros(max(lengths))
        padded[: len(own)] = own
        rows = gather(padded.to(self.state.device)[None]).cpu().numpy()
        return [row[:n].tobytes() for row, n in zip(rows, lengths, strict=True)]

    def _reduce(self, value: Tensor, how: str) -> float:
        from accelerate.utils import reduce

        return float(reduce(value.reshape(1), how))

    def share(self, batches: Any) -> Any:
        if batches.train and batches.batch_size % self.processes:
            raise UsageError(
                f"bs={batches.batch_size} cannot be shared by {self.processes} processes: use a "
                f"multiple of {self.processes}"
            )
        return Share(batches, self.state.process_index, self.processes)

    def whole(self, pairs: Pairs, share: Any) -> Pairs:
        from accelerate.utils import gather

        def join(part: Tensor) -> Tensor:
            rows = gather(part.contiguous()).unflatten(0, (self.processes, -1))
            return rows.transpose(0, 1).flatten(0, 1)[: share.count]

        for outputs, y in pairs:
            yield join(outputs), join(y)

    def wait(self) -> None:
        self.state.wait_for_everyone()

    @property
    def one_item(self) -> str:  # type: ignore[override]
        """What a process has of a batch that is too small."""
        return f"one item in each of {self.processes} processes"

    @torch.no_grad()
    def synchronize(self, model: nn.Module) -> None:
        """Averages the running statistics of batch norm; other buffers are the first process's."""
        if self.processes < 2:
            return
        norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        averaged = {id(value) for norm in norms for value in (norm.running_mean, norm.running_var)}
        for buffer in model.buffers():
            if id(buffer) in averaged:
                dist.all_reduce(buffer)
                buffer /= self.processes
            else:
                dist.broadcast(buffer, 0)


def leave_group() -> None:
    """Before Python goes: its group's threads would let go of tensors when Python is no longer.

    Without it one program in about twelve, whose work was done, ended by SIGABRT ("terminate called
    without an active exception"). Source: pytorch/pytorch#179291.
    """
    if dist.is_initialized():
        gc.collect()  # what still holds the group, as a network that was trained in parallel
        dist.destroy_process_group()


def require_same_data(data: DataBunch) -> None:
    """DataError where processes differ: each made its data itself, and a split may lack a seed."""
    from accelerate.utils import gather_object

    sides = (data.train_ds, data.valid_ds)
    total = sha256(repr(sorted(data.options.items(), key=str)).encode("utf-8", "replace"))
    for side in sides:
        total.update(f"{len(side)}\0".encode())
        for item in plain_items(side.items):
            total.update(f"{item}\0".encode("utf-8", "replace"))
    found = gather_object([total.hexdigest()])
    if len(set(found)) > 1:
        raise DataError(
            "the processes have different data: give the split a seed, for example "
            "split_by_rand_pct(0.2, seed=42), and databunch() the same seed everywhere"
        )


# Batch norm over the items of all processes: mean and spread are those of the whole batch.
#
# On CUDA torch's own SyncBatchNorm does it; that has no CPU, where this one takes its place, so
# that a program can be tried, and tested, without a GPU.


def distribute(learner: Any, timeout: float, sync_bn: bool) -> Engine:
    """The engine of a learner that trains in several processes; see its method."""
    engine = Processes(learner.data.device, learner.engine.precision, timeout)
    require_same_data(learner.data)
    if sync_bn and engine.processes > 1:
        share_norms(learner.model, learner.data.device)
    learner.model.to(learner.data.device)
    return engine


def share_norms(model: nn.Module, device: torch.device) -> None:
    """Synchronize every batch norm in place: all modules and parameters stay the same objects.

    UsageError, before any is changed, for norms that do something of their own.
    """
    kinds = _kinds(device)
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and not isinstance(module, SharedNorm | nn.SyncBatchNorm)
    }
    for name, norm in found.items():
        if type(norm) not in kinds:
            raise UsageError(
                f"{name or 'the model'} is a {type(norm).__module__}.{type(norm).__name__}, and "
                "sync_bn=True knows torch's BatchNorm and timm's BatchNormAct2d only: leave "
                "sync_bn out (running statistics are averaged over the processes all the same)"
            )
    for norm in found.values():
        norm.__class__ = kinds[type(norm)]  # submodules, hooks and mode stay where they are
        if isinstance(norm, nn.SyncBatchNorm):
            norm.process_group = None


class _Sum(torch.autograd.Function):
    """The sum over all processes, whose gradient is the sum of all gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total


class SharedNorm(_BatchNorm):
    """Batch norm of (n, c, ...) that, in training, counts the items of all processes."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; eval mode is torch's own."""
        if not self.training or not dist.is_initialized():
            return super().forward(input)
        axes = [i for i in range(input.ndim) if i != 1]
        x = input.float()
        wide = (1, -1, *[1] * (input.ndim - 2))
        n = x.new_tensor([x.numel() / x.shape[1]])
        total, count = _Sum.apply(torch.cat([x.sum(axes), n])).split([x.shape[1], 1])
        centred = x - (total / count).reshape(wide)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        self._note((total / count).detach(), (variance * count / (count - 1)).detach())
        normal = centred * (variance + self.eps).rsqrt().reshape(wide)
        if self.weight is not None and self.bias is not None:
            normal = normal * self.weight.reshape(wide) + self.bias.reshape(wide)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _note(self, mean: Tensor, variance: Tensor) -> None:
        """Into the running statistics."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class SharedNorm1d(SharedNorm, nn.BatchNorm1d):
    """Of (n, c) or (n, c, length)."""


class SharedNorm2d(SharedNorm, nn.BatchNorm2d):
    """Of (n, c, h, w)."""


class SharedNorm3d(SharedNorm, nn.BatchNorm3d):
    """Of (n, c, d, h, w)."""


class SharedNormAct2d(SharedNorm2d):
    """Of (n, c, h, w), with the dropout and the activation that timm puts into its norms."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        """Normalise, drop, activate."""
        return self.act(self.drop(super().forward(input)))


def _kinds(device: torch.device) -> dict[type[_BatchNorm], type[_BatchNorm]]:
    """What each kind of batch norm becomes on a device."""
    from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct

    if device.type != "cpu":
        plain = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
        return {**dict.fromkeys(plain, nn.SyncBatchNorm), BatchNormAct2d: SyncBatchNormAct}
    return {
        nn.BatchNorm1d: SharedNorm1d,
        nn.BatchNorm2d: SharedNorm2d,
        nn.BatchNorm3d: SharedNorm3d,
        BatchNormAct2d: SharedNormAct2d,
    }


def free_memory() -> None:
    """Give back what nobody holds any more, on the device too."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
