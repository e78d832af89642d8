"""Training by several processes, on one machine or many: each takes its share of every batch.

Processes are started by `accelerate launch` or `torchrun`; all run the same program.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn

from onecycle.core.errors import DataError, UsageError
from onecycle.learn.engine import Engine, Pairs
from onecycle.learn.shared_norm import share_norms

if TYPE_CHECKING:
    from onecycle.learn.learner import Learner


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
        self.timeout, self.main = timeout, self.state.is_main_process
        self.processes = self.state.num_processes
        self._parallel: nn.Module | None = None

    def at(self, precision: str) -> Self:
        return type(self)(self.device, precision, self.timeout)

    def begin(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().begin(model, optimizer)
        self._parallel = None
        if self.state.num_processes > 1:
            where = [self.state.device] if self.device.type == "cuda" else None
            self._parallel = nn.parallel.DistributedDataParallel(model, device_ids=where)

    def end(self) -> None:
        self._parallel = None

    def forward(self, model: nn.Module, x: Tensor) -> Tensor:
        """As `Engine.forward`; in training, gradients will be those of all processes."""
        parallel = self._parallel if model.training and torch.is_grad_enabled() else None
        return super().forward(parallel or model, x)

    def mean(self, loss: Tensor) -> float:
        from accelerate.utils import reduce

        return float(reduce(loss.detach().float().reshape(1), "mean"))

    def total(self, weight: float) -> float:
        from accelerate.utils import reduce

        given = torch.tensor([weight], dtype=torch.float32, device=self.state.device)
        return float(reduce(given, "sum"))

    def share(self, batches: Any) -> Any:
        if batches.train and batches.batch_size % self.state.num_processes:
            raise UsageError(
                f"bs={batches.batch_size} cannot be shared by {self.state.num_processes} "
                f"processes: use a multiple of {self.state.num_processes}"
            )
        return Share(batches, self.state.process_index, self.state.num_processes)

    def whole(self, pairs: Pairs, share: Any) -> Pairs:
        from accelerate.utils import gather

        world = self.state.num_processes
        for pair in pairs:
            columns = (gather(part.contiguous()) for part in pair)
            outputs, y = (
                part.unflatten(0, (world, -1)).transpose(0, 1).flatten(0, 1)[: share.count]
                for part in columns
            )
            yield outputs, y

    def wait(self) -> None:
        self.state.wait_for_everyone()

    @property
    def one_item(self) -> str:  # type: ignore[override]
        """What a process has of a batch that is too small."""
        return f"one item in each of {self.state.num_processes} processes"

    @torch.no_grad()
    def synchronize(self, model: nn.Module) -> None:
        """Averages the running statistics of batch norm; other buffers are the first process's."""
        if self.state.num_processes < 2:
            return
        norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        averaged = {
            id(value)
            for norm in norms
            for value in (norm.running_mean, norm.running_var)
            if value is not None
        }
        for buffer in model.buffers():
            if id(buffer) in averaged:
                dist.all_reduce(buffer)
                buffer /= self.state.num_processes
            else:
                dist.broadcast(buffer, 0)


def distribute(learner: Learner, timeout: float, sync_bn: bool) -> None:
    """Give the learner an engine for several processes, and check that all have the same data."""
    engine = Processes(learner.data.device, learner.engine.precision, timeout)
    _same_everywhere(learner)
    if sync_bn and engine.state.num_processes > 1:
        share_norms(learner.model, learner.data.device)
    learner.engine = engine
    learner.model.to(learner.data.device)


def _same_everywhere(learner: Learner) -> None:
    """Each process made its data by itself: a split without a seed would differ."""
    from accelerate.utils import gather_object

    sides = (learner.data.train_ds, learner.data.valid_ds)
    text = repr([[str(item) for item in side.items] for side in sides])
    text += repr(sorted(learner.data.options.items(), key=str))
    found = gather_object([sha256(text.encode("utf-8", "replace")).hexdigest()])
    if len(set(found)) > 1:
        raise DataError(
            "the processes have different data: give the split a seed, for example "
            "split_by_rand_pct(0.2, seed=42), and databunch() the same seed everywhere"
        )
