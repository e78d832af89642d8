"""1cycle as a callback: rate and momentum of every step."""

from __future__ import annotations

from collections.abc import Sequence

from onecycle.core.errors import UsageError
from onecycle.learn.callback import Callback, Run
from onecycle.learn.schedule import one_cycle


class OneCycle(Callback):
    """Sets each layer group's rate, and the momentum, before every step."""

    order = -30

    def __init__(
        self,
        max_rates: Sequence[float],
        moms: tuple[float, float],
        div_factor: float,
        pct_start: float,
        final_div: float,
    ) -> None:
        if not 0 <= pct_start <= 1:
            raise UsageError(f"pct_start is a share of the steps from 0 to 1, not {pct_start}")
        self.ends = [(rate / div_factor, rate, rate / final_div) for rate in max_rates]
        self.moms, self.pct_start = (*moms, moms[0]), pct_start

    def before_batch(self, run: Run) -> None:
        """The values of this step."""
        where = run.step, run.n_steps
        run.optimizer.set_rates([one_cycle(*where, ends, self.pct_start) for ends in self.ends])
        run.optimizer.set_momentum(one_cycle(*where, self.moms, self.pct_start))
