"""1cycle as a callback: rate and momentum of every step."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any
from warnings import warn

from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.learn.callback import Callback, Run
from onecycle.learn.optimizer import GroupedOptimizer
from onecycle.learn.schedule import one_cycle


class OneCycle(Callback):
    """Sets each layer group's rate, and the momentum, before every step.

    Warns, once a fit, where another callback has set them meanwhile.
    """

    order = -30
    schedules = True

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
        if (
            not isinstance(moms, tuple | list)
            or len(moms) != 2
            or not all(0 <= m < 1 for m in moms)
        ):
            raise UsageError(f"moms are two momenta from 0 to below 1, (high, low), not {moms!r}")
        if not (0 < div_factor < inf and 0 < final_div < inf):
            raise UsageError(
                f"div_factor and final_div are finite numbers above 0, not {div_factor!r} and "
                f"{final_div!r}"
            )
        self.ends = [(rate / div_factor, rate, rate / final_div) for rate in max_rates]
        self.moms, self.pct_start = (*moms, moms[0]), pct_start

    def claims(self) -> tuple[str, ...]:
        """Of two schedules the last would win."""
        return ("set rate and momentum before every batch",)

    def before_fit(self, run: Run) -> None:
        """Set the first values, so that it is seen where others change them."""
        self.warned = False
        self._set(run)

    def before_batch(self, run: Run) -> None:
        """The values of this step."""
        if not self.warned:
            self._compare(run)
        self._set(run)

    def _set(self, run: Run) -> None:
        where = run.step, run.n_steps
        run.optimizer.set_rates([one_cycle(*where, ends, self.pct_start) for ends in self.ends])
        run.optimizer.set_momentum(one_cycle(*where, self.moms, self.pct_start))
        self.values = _values(run.optimizer)

    def _compare(self, run: Run) -> None:
        """Warn where rates or momenta are not those that were set."""
        found = _values(run.optimizer)
        changed = [name for name, value in found.items() if value != self.values[name]]
        if not changed:
            return
        self.warned = True
        own = type(self).__module__.partition(".")[0]
        others = [type(c).__name__ for c in run.callbacks if not _is_of(own, c)]
        who = " or ".join(dict.fromkeys(others)) or "something outside the callbacks"
        what = " and ".join(changed)
        warn(
            f"{who} changed the {what} (in epoch {run.epoch}, before step {run.step}), which does "
            f"not last: {type(self).__name__}, as in fit_one_cycle, sets both before every batch. "
            "Use learn.fit(epochs, rate), or leave one of the two out",
            OnecycleWarning,
            stacklevel=2,
        )


def _values(optimizer: GroupedOptimizer) -> dict[str, Any]:
    parts = optimizer.param_groups
    momenta = [part.get("betas", part.get("momentum")) for part in parts]
    return {"learning rate": [part["lr"] for part in parts], "momentum": momenta}


def _is_of(package: str, callback: Callback) -> bool:
    return type(callback).__module__.partition(".")[0] == package
