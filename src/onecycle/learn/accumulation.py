"""Several batches before one step: each counts by its weight, as it would in one large batch."""

from __future__ import annotations

from torch import Tensor

from onecycle.learn.batch_weight import Weight
from onecycle.learn.engine import Engine
from onecycle.learn.optimizer import GroupedOptimizer


class Accumulation:
    """Shares of the `total` batches of a pass in the steps that `accumulate` of them make each.

    The gradients of a step are sum(w * g) / sum(w) over its batches, also where the last ones are
    fewer, and over the shares of all processes, whose gradients are averaged on the way back.
    Losses go backward relative to the first batch of their step, so that 16-bit floats are as wide
    as without accumulation.
    """

    def __init__(self, engine: Engine, weight: Weight, accumulate: int, total: int) -> None:
        self.engine, self.weight = engine, weight
        self.accumulate, self.total = accumulate, total
        self.whole = accumulate * engine.processes == 1  # nothing has to be put together
        self.weights: list[float] = []

    def part(self, loss: Tensor, y: Tensor, number: int) -> Tensor:
        """What goes backward for batch `number` of the pass."""
        if self.whole:
            return loss
        if not number % self.accumulate:
            self.weights = []
        first = number - number % self.accumulate
        count = min(first + self.accumulate, self.total) - first
        mine = float(self.weight(y))
        self.weights.append(self.engine.total(mine))
        return loss * (mine * self.engine.processes / (count * self._first()))

    def ends(self, number: int) -> bool:
        """Whether batch `number` is the last one of its step."""
        return number + 1 >= self.total or not (number + 1) % self.accumulate

    def level(self, optimizer: GroupedOptimizer) -> None:
        """Before the step: gradients divided by the weight of all its batches."""
        whole = sum(self.weights)
        factor = len(self.weights) * self._first() / whole if whole > 0 else 1.0
        if factor != 1:
            for part in optimizer.param_groups:
                for parameter in part["params"]:
                    if parameter.grad is not None:
                        parameter.grad.mul_(factor)

    def _first(self) -> float:
        """The weight of the step's first batch, by which the others are measured."""
        return self.weights[0] if self.weights and self.weights[0] > 0 else 1.0
