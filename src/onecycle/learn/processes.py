"""Training by several processes, on one machine or many: each takes its share of every batch.

Processes are started by `accelerate launch`, `torchrun` or whatever sets their variables; all run
the same program. Accelerate makes the group of them, wraps the model, gathers and waits. The
precision is the engine's own, as in one process: an Accelerator has one for the whole life of a
program, and a learner may change its precision between two fits.
"""

import atexit
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from hashlib import sha256
from typing import Any, ClassVar, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn

from onecycle.core import errors
from onecycle.data.databunch import DataBunch
from onecycle.learn.compiler import Compiler
from onecycle.learn.engine import Engine, Pairs, whole_precision
from onecycle.learn.settings import contents_of
from onecycle.learn.sharding import gathered, shard
from onecycle.learn.shared_norm import share_norms


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
            from accelerate import Accelerator
            from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
        except ImportError as error:
            raise errors.UsageError(
                "several processes need Accelerate: pip install 'onecycle[scale]'"
            ) from error
        limit = InitProcessGroupKwargs(timeout=timedelta(seconds=timeout))
        # Else each batch begins with the first process's buffers, and `synchronize` averages those.
        own = DistributedDataParallelKwargs(broadcast_buffers=False)
        self.accelerator = Accelerator(
            cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[limit, own]
        )
        atexit.register(leave_group)
        self.timeout, self.main = timeout, self.accelerator.is_main_process
        self.processes, self.rank = self.accelerator.num_processes, self.accelerator.process_index
        require_all(self.processes)
        self._parallel: nn.Module | None = None
        self._learns: dict[str, nn.Parameter] = {}
        self._compared: DataBunch | None = None  # data that is known to be the same in all

    def at(self, precision: str) -> Self:
        return type(self)(self.device, precision, self.timeout).compiling(self.compiler)

    def begin(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().begin(model, optimizer)
        self._parallel = self.accelerator.prepare_model(self.runner(model))
        self._learns = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """As `Engine.unscale`; TrainingError where the processes had no gradients to average."""
        if idle := [name for name, weight in self._learns.items() if weight.grad is None]:
            raise errors.TrainingError(
                f"the loss does not depend on {errors.listing(idle, 3)}, which several processes "
                "cannot train: freeze what the model does not use "
                f"(learn.model.get_parameter({idle[0]!r}).requires_grad_(False)), or take it out"
            )
        super().unscale(optimizer)

    def end(self) -> None:
        self._parallel, self._learns = None, {}
        self.accelerator.free_memory()  # which held the model too

    def forward(self, model: nn.Module, x: Tensor) -> Tensor:
        """As `Engine.forward`; in training, gradients will be those of all processes."""
        if self._parallel is None or not model.training or not torch.is_grad_enabled():
            return super().forward(model, x)
        with self.autocast():
            return whole_precision(self._parallel(x))

    def gradients(self, model: nn.Module, last: bool) -> AbstractContextManager[object]:
        """They are averaged over the processes on the way back of the last batch of a step."""
        if last or self._parallel is None:
            return nullcontext()
        return self.accelerator.no_sync(self._parallel)

    def mean(self, loss: Tensor, weight: float = 1.0) -> float:
        part, weight = loss.detach().float(), max(weight, 1e-30)  # a plain mean if nothing counts
        value, whole = self._sum(torch.stack([part * weight, torch.full_like(part, weight)]))
        return value / whole

    def total(self, weight: float) -> float:
        return self._sum(torch.tensor([weight], device=self.accelerator.device))[0]

    def agree(self, wish: bool) -> bool:
        return self.total(float(wish)) > 0

    def collect(self, data: bytes) -> list[bytes]:
        own = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        length = torch.tensor([len(own)], device=self.accelerator.device)
        lengths = self._gather(length).tolist()
        padded = own.new_zeros(max(lengths))
        padded[: len(own)] = own
        rows = self._gather(padded.to(self.accelerator.device)[None]).cpu().numpy()
        return [row[:n].tobytes() for row, n in zip(rows, lengths, strict=True)]

    def _gather(self, value: Tensor) -> Any:
        return self.accelerator.gather(value.contiguous())

    def _sum(self, values: Tensor) -> list[float]:
        found: Any = self.accelerator.reduce(values, "sum")
        return found.tolist()

    def share(self, batches: Any) -> Any:
        return Share(batches, self.rank, self.processes)

    def require_shared(self, data: DataBunch) -> None:
        if data.batch_size % self.processes:
            raise errors.UsageError(
                f"bs={data.batch_size} cannot be shared by {self.processes} processes: use a "
                f"multiple of {self.processes}"
            )
        if data is not self._compared:
            require_same_data(self, data)
            self._compared = data

    def whole(self, pairs: Pairs, share: Any) -> Pairs:
        for outputs, y in pairs:
            yield self._join(outputs, share.count), self._join(y, share.count)

    def _join(self, part: Tensor, count: int) -> Tensor:
        """The rows of all processes in the order of their batch, of which there are `count`."""
        shape = torch.tensor([part.shape], device=self.accelerator.device)
        shapes = {*map(tuple, self._gather(shape).tolist())}
        if len(shapes) > 1:
            raise errors.UsageError(
                f"the processes have parts of one batch that differ in shape ({sorted(shapes)}): "
                "give the data one size, or evaluate in one process"
            )
        rows: Tensor = self._gather(part).unflatten(0, (self.processes, -1))
        return rows.transpose(0, 1).flatten(0, 1)[:count]

    def by_first(self, work: Callable[[], object]) -> None:
        caught: Exception | None = None
        if self.main:
            try:
                work()
            except Exception as error:  # of whatever kind: the others wait to hear of it
                caught = error
        told = f"{type(caught).__name__}\0{caught}" if caught else "\0"
        kind, _, message = self.collect(told.encode())[0].decode().partition("\0")
        if caught:
            raise caught
        if kind:  # of the same kind, so that a program that catches it does so in every process
            known = getattr(errors, kind, errors.OnecycleError)
            told = known.__new__(known)  # whatever its own __init__ wants
            errors.OnecycleError.__init__(told, f"in the first process: {message}")
            raise told

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


class Sharded(Processes):
    """Processes that hold weights, gradients and the optimizer's state together, a part in each."""

    empty: nn.Module  # the model, without its weights

    def __init__(
        self, device: torch.device, precision: str = "fp32", timeout: float = 600.0
    ) -> None:
        super().__init__(device, precision, timeout)
        if self.precision == "fp16":
            raise errors.UsageError(
                "shard=True has no scale of the loss that all processes share: use to_bf16()"
            )

    def compiling(self, compiler: Compiler | None) -> Self:
        if compiler is not None:
            raise errors.UsageError(
                "learn.compile() is not for distributed(shard=True): leave one out"
            )
        return self

    def at(self, precision: str) -> Self:
        other = super().at(precision)
        other.empty = self.empty
        return other

    def begin(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """The model does the rest by itself."""
        self.rest(model)

    def rest(self, model: nn.Module) -> None:
        model.reshard()  # type: ignore[operator]

    def gradients(self, model: nn.Module, last: bool) -> AbstractContextManager[object]:
        model.set_requires_gradient_sync(last)  # type: ignore[operator]
        return nullcontext()

    def plain(self, model: nn.Module) -> nn.Module:
        return gathered(model, self.empty)


def require_all(processes: int) -> None:
    """UsageError where a launcher started more than have found each other.

    Without LOCAL_RANK Accelerate takes a process with a GPU for the only one: each of them would
    train alone, on all the data.
    """
    wanted = os.environ.get("WORLD_SIZE", "1")
    if wanted.isdecimal() and int(wanted) > 1 and processes == 1:
        lacking = [n for n in _VARIABLES if n not in os.environ]
        raise errors.UsageError(
            f"WORLD_SIZE={wanted} says that there are several processes, and this one found no "
            f"other: {', '.join(lacking) or 'one of its variables'} is missing. Start the program "
            "by torchrun or accelerate launch, or set RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR "
            "and MASTER_PORT for each process"
        )


_VARIABLES = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def leave_group() -> None:
    """Before Python goes: its group's threads would let go of tensors when Python is no longer.

    Without it one program in about twelve, whose work was done, ended by SIGABRT ("terminate called
    without an active exception"). Source: pytorch/pytorch#179291.
    """
    if dist.is_initialized():
        gc.collect()  # what still holds the group, as a network that was trained in parallel
        dist.destroy_process_group()


def require_same_data(engine: Engine, data: DataBunch) -> None:
    """DataError where processes differ: each made its data itself, and a split may lack a seed."""
    found = {
        "items or labels of the training set": contents_of(data.train_ds),
        "items or labels of the validation set": contents_of(data.valid_ds),
        "options of databunch()": sorted(data.options.items(), key=str),
        "classes": data.task.target.to_json(),
        "vocabularies": data.task.input.vocab,
    }
    for what, value in found.items():
        if len({*engine.collect(sha256(repr(value).encode("utf-8", "replace")).digest())}) > 1:
            raise errors.DataError(
                f"the processes have different data, that is, other {what}: give the split a "
                "seed, for example split_by_rand_pct(0.2, seed=42), and databunch() the same seed "
                "everywhere; take no names from the order of a set(), which differs by process"
            )


def distribute(learner: Any, timeout: float, sync_bn: bool, shards: bool) -> Engine:
    """The engine of a learner that trains in several processes; see its method."""
    kind = Sharded if shards else Processes
    engine = kind(learner.data.device, learner.engine.precision, timeout)
    engine.compiling(learner.engine.compiler)
    require_same_data(engine, learner.data)
    if sync_bn and engine.processes > 1:
        share_norms(learner.model, learner.data.device)
    learner.model.to(learner.data.device)
    for value in (*learner.model.parameters(), *learner.model.buffers()):
        if engine.processes > 1:
            dist.broadcast(value.detach(), 0)
    if isinstance(engine, Sharded):
        if engine.processes < 2:
            return Processes(learner.data.device, engine.precision, timeout)
        engine.empty = shard(learner, engine.processes)
    return engine
