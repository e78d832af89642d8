"""How a learner computes: in which precision, in how many processes, compiled or not."""

from typing import Any, Self

from onecycle.learn.compiler import Compiler
from onecycle.learn.engine import Engine
from onecycle.learn.processes import distribute


class Execution:
    """The part of a `Learner` that chooses its engine."""

    engine: Engine
    data: Any

    def to_fp16(self) -> Self:
        """Train and predict in 16-bit floats with loss scaling (on a CPU: bfloat16)."""
        return self._to("fp16")

    def to_bf16(self) -> Self:
        """Train and predict in bfloat16."""
        return self._to("bf16")

    def to_fp32(self) -> Self:
        """Train and predict in 32-bit floats."""
        return self._to("fp32")

    def _to(self, precision: str) -> Self:
        self.engine = self.engine.at(precision)
        return self

    def distributed(
        self, timeout: float = 600.0, sync_bn: bool = False, shard: bool = False
    ) -> Self:
        """Train with all the processes that `accelerate launch` or `torchrun` has started.

        Each takes its share of every batch, so `bs` and the rates stay as they are for one. What
        trains, looks at a whole set, saves or exports is called in all of them, and files are
        written by the first. Batch norm normalises by each process's own items, with `sync_bn` by
        those of all; running statistics are averaged before every validation. With `shard` each
        holds a part of every weight, gradient and average of the optimizer (FSDP). Needs Accelerate
        (`onecycle[scale]`); a process that is silent for `timeout` seconds ends all.
        """
        self.engine = distribute(self, timeout, sync_bn, shard)
        return self

    def compile(self, mode: str = "default", backend: Any = "inductor") -> Self:
        """Run the model as torch compiles it; weights and files stay as they are without.

        Each kind of step (training or not, frozen or not, another size or precision) is compiled
        when it first comes, for half a minute to minutes, so it pays in long trainings only; random
        numbers of dropout are other ones. `mode` and `backend` are torch's.
        """
        self.engine.compiling(Compiler(self.data.device, mode, backend))
        return self
