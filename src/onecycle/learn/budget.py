"""A budget of time in place of a number of epochs: `fit(minutes=20)`."""

from collections.abc import Mapping
from math import ceil
from time import perf_counter
from typing import Any

import torch

from onecycle.core.errors import UsageError, require_number
from onecycle.learn.callback import Callback, Run

UNDECIDED = 10**6  # epochs, until the first steps are measured: so long a schedule hardly moves
_FIRST = 8  # steps before the first plan; there are others at four times as many, and so on
_COLD = 2  # steps that are not measured, since they wait for the first batches


class Budget(Callback):
    """Ends a fit, and its schedule, after `minutes`, validations included.

    The first steps are measured, and the number of steps follows from them; more is known later,
    so it is decided anew after four times as many, and so on, and after each epoch, and said where
    it changes by more than a tenth. Where the time is over earlier all the same, the step at hand
    is the last one: no fit takes longer than its minutes, a step and a validation. The last epoch
    may be a part of one. A fit that goes on from a checkpoint has the minutes that were left.
    """

    order = 10**6 - 1  # after all whose time counts, before a Checkpoint keeps what is decided

    def __init__(self, minutes: float) -> None:
        if not require_number("minutes", minutes, 0):
            raise UsageError("minutes is above 0: in no time nothing can be trained")
        self.minutes, self.seconds = minutes, 60 * minutes
        self.begun, self.spent = perf_counter(), 0.0
        self.steps = self.said = 0  # 0: not decided yet
        self.cold = self.validating = 0.0  # seconds until _COLD steps were done; of validations
        self.validations = 0

    def claims(self) -> tuple[str, ...]:
        """Two could not both be kept."""
        return ("decide how long the fit is",)

    def bind(self, learner: Any) -> None:
        """Whether what is decided is printed."""
        self.shown = not learner.silent and learner.engine.main

    def before_fit(self, run: Run) -> None:
        """Room for as many steps as there will be."""
        self.run = run
        self.of_epoch = ceil(len(run.data.train_dl) / run.accumulate)

    def state_dict(self) -> dict[str, Any]:
        """What was decided, and the seconds that are measured."""
        kept = ("steps", "said", "cold", "validating", "validations")
        return {name: getattr(self, name) for name in kept} | {"spent": self._elapsed()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the time that is left."""
        vars(self).update(state)
        self.begun = perf_counter()
        if self.steps:
            self._set(self.run, self.steps)

    def _elapsed(self) -> float:
        return self.spent + perf_counter() - self.begun

    def after_step(self, run: Run) -> None:
        """Measure; decide where it is time to; end the fit where the time is over."""
        done = run.step + 1
        if done == _COLD:
            self.cold = self._elapsed()
        if run.engine.agree(self._elapsed() >= self.seconds):
            self._set(run, done)
        elif done % self.of_epoch and done in {_FIRST * 4**power for power in range(20)}:
            self._decide(run, done)

    def before_validate(self, run: Run) -> None:
        """Start the clock of a validation."""
        self.start = perf_counter()

    def after_epoch(self, run: Run) -> None:
        """Decide anew, now that it is known what a validation takes."""
        self.validating += perf_counter() - self.start
        self.validations += 1
        if not self.steps or run.step < self.steps:
            self._decide(run, run.step)

    def after_fit(self, run: Run) -> None:
        """Say what came of it."""
        if run.complete and self.shown and 0 < self.steps < 0.9 * self.said:
            print(f"the time was over after {self.steps} of the {self.said} steps")

    def _decide(self, run: Run, done: int) -> None:
        """The number of steps that there is time for, the same in all processes."""
        cold = min(_COLD, done - 1)
        measured = self._elapsed() - self.validating - (self.cold if cold == _COLD else 0)
        step = measured / (done - cold if cold == _COLD else done)
        validation = self.validating / self.validations if self.validations else 0.0
        if not self.validations and run.data.valid_dl is not None:
            validation = step / run.accumulate * len(run.data.valid_dl) / 2
        left = self.seconds - self._elapsed()
        fitting = steps_in(left, done, self.of_epoch, step, validation)
        self._set(run, round(run.engine.mean(torch.tensor(fitting, device=run.engine.device))))
        if abs(self.steps - self.said) > 0.1 * self.said:
            self._say(step, validation)

    def _set(self, run: Run, steps: int) -> None:
        self.steps = run.n_steps = steps
        run.epochs = max(run.epoch + 1, ceil(steps / self.of_epoch))

    def _say(self, step: float, validation: float) -> None:
        again = ", now that more is measured" if self.said else ""
        self.said = self.steps
        if self.shown:
            print(
                f"{self.minutes:g} minutes: {self.steps} steps of {step:.2g} s ({self.of_epoch} "
                f"are an epoch), a validation about {validation:.2g} s{again}"
            )


def steps_in(seconds: float, done: int, of_epoch: int, step: float, validation: float) -> float:
    """How many steps a fit has that has `done` some and ends in `seconds`, with a validation.

    An epoch is `of_epoch` steps of `step` seconds and a validation of `validation`.
    """
    within = done % of_epoch
    whole, rest = divmod(seconds + within * step, of_epoch * step + validation)
    more = whole * of_epoch + min(of_epoch, max(0.0, rest - validation) // step) - within
    return float(done + max(0, more))


def length(epochs: int | None, minutes: float | None) -> Any:
    """The epochs, or a Budget in their place; UsageError for both and for neither."""
    if (epochs is None) is (minutes is None):
        given = "both" if minutes is not None else "neither"
        raise UsageError(f"a fit is so many epochs long, or so many minutes=: here {given} is said")
    return epochs if minutes is None else Budget(minutes)
