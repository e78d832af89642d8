"""A fit of so many minutes, by a clock that moves as the test says."""

import math

import pytest
import torch
from learn_helpers import differences, tiny_learner, weights

from onecycle import Checkpoint
from onecycle.core.errors import CheckpointError, UsageError
from onecycle.learn import budget
from onecycle.learn.budget import steps_in
from onecycle.learn.callback import Callback


class Clock(Callback):
    """Time passes in batches and validations only; a batch may take longer from a step on."""

    order = -(10**9)

    def __init__(self, monkeypatch, step=1.0, validation=5.0, slow_from=10**9, slow=None):
        self.now, self.step, self.validation = 100.0, step, validation
        self.slow_from, self.slow = slow_from, slow
        self.rates, self.ends, self.epochs = [], [], 0
        monkeypatch.setattr(budget, "perf_counter", lambda: self.now)

    def state_dict(self):
        return {}

    def before_batch(self, run):
        self.now += self.slow if run.step >= self.slow_from else self.step

    def after_loss(self, run):
        self.rates.append(run.optimizer.rates()[-1])

    def before_validate(self, run):
        self.ends.append(run.step)
        self.waiting = True

    def after_epoch(self, run):
        self.now += self.validation  # the first of all, so that a Budget sees it
        self.epochs += 1


@pytest.fixture
def learn(single):
    """3 batches an epoch."""
    return tiny_learner(single.with_task(single.task))


def test_the_steps_of_a_budget_by_hand():
    # 10 steps of 2 s and a validation of 5 s are an epoch of 25 s
    assert steps_in(75, 0, 10, 2, 5) == 30
    assert steps_in(74.9, 0, 10, 2, 5) == 29  # the third validation needs its 5 s, too
    assert steps_in(56.5, 0, 10, 2, 5) == 20  # 6.5 s after two epochs: no step and validation
    assert steps_in(57, 0, 10, 2, 5) == 21
    assert steps_in(19, 4, 10, 2, 5) == 11 - 1  # to the end of this epoch, and 2 s left over
    assert steps_in(12, 4, 10, 2, 5) == 7
    assert steps_in(0, 7, 10, 2, 5) == steps_in(-40, 7, 10, 2, 5) == 7


@pytest.mark.parametrize("minutes", [0.5, 1.0, 3.1])
def test_the_schedule_ends_in_time_and_the_time_is_used(learn, monkeypatch, minutes):
    clock = Clock(monkeypatch)
    learn.fit_one_cycle(None, 1e-2, callbacks=[clock], minutes=minutes)
    took = clock.now - 100
    assert took <= 60 * minutes
    assert took > 60 * minutes - 2 * (1 + 5)
    steps = len(clock.rates)
    assert clock.ends == [*range(3, steps, 3), steps]  # the last epoch may be a part of one
    assert clock.rates[-1] < 0.06 * max(clock.rates)
    assert clock.rates.index(max(clock.rates)) == pytest.approx(0.3 * steps, abs=2)


def test_a_fit_never_takes_longer_than_a_step_and_a_validation(learn, monkeypatch, capsys):
    learn.silent = False
    clock = Clock(monkeypatch, slow_from=30, slow=40.0)
    learn.fit_one_cycle(None, 1e-2, callbacks=[clock], minutes=4)
    assert clock.now - 100 <= 240 + 40 + 5
    printed = capsys.readouterr().out
    assert "now that more is measured" in printed or "the time was over" in printed


def test_what_was_decided_is_said(learn, monkeypatch, capsys):
    learn.silent = False
    clock = Clock(monkeypatch, step=2.0, validation=0.0)
    learn.fit(lr=1e-3, callbacks=[clock], minutes=1)
    assert "1 minutes: 30 steps of 2 s (3 are an epoch), a validation about 0 s" in (
        capsys.readouterr().out
    )
    assert len(clock.rates) == 30


def test_time_for_less_than_one_step_is_one_step_and_a_validation(learn, monkeypatch):
    clock = Clock(monkeypatch, step=9.0)
    learn.fit(lr=1e-3, callbacks=[clock], minutes=0.1)
    assert (len(clock.rates), clock.epochs) == (1, 1)
    assert math.isfinite(learn.history[-1]["valid_loss"])


def test_several_batches_a_step_count_as_one(single, monkeypatch):
    learn = tiny_learner(single.with_task(single.task), accumulate=2)
    clock = Clock(monkeypatch, validation=0.0)
    learn.fit(lr=1e-3, callbacks=[clock], minutes=1)  # 3 batches of 1 s are 2 steps
    assert len(clock.rates) == 60


class CutOffError(Exception):
    """What ends a fit here."""


class Cut(Callback):
    """Ends a fit after a step, or before the validation after it."""

    def __init__(self, *where):
        self.moment, self.step = where

    def state_dict(self):
        return {}

    def after_step(self, run):
        if (self.moment, self.step) == ("step", run.step):
            raise CutOffError

    def before_validate(self, run):
        if (self.moment, self.step) == ("validation", run.step):
            raise CutOffError


@pytest.mark.parametrize(
    "cut", [("step", 4), ("step", 20), ("step", 21), ("validation", 6), ("validation", 22)]
)
def test_a_fit_that_goes_on_has_the_time_that_was_left(single, monkeypatch, tmp_path, cut):
    def train(name):
        learn = tiny_learner(single.with_task(single.task), path=tmp_path / name)
        clock, kept = Clock(monkeypatch), Checkpoint("night", minutes=None, steps=1)
        try:
            learn.fit_one_cycle(None, 1e-2, callbacks=[clock, ending, kept], minutes=62.5 / 60)
        except CutOffError:
            return clock, None
        return clock, weights(learn)

    ending = Cut("nowhere", 0)
    whole, wanted = train("whole")
    assert whole.ends[-2:] == [21, 22]  # the last epoch is a part of one
    ending.moment, ending.step = cut
    assert train("cut")[1] is None
    ending.moment = "nowhere"
    second, found = train("cut")
    assert differences(found, wanted) == []
    assert len(second.rates) == 22 - cut[1]  # a step that was cut is not in the file
    again, complete = train("cut")
    assert (again.rates, differences(complete, wanted)) == ([], [])


def test_another_budget_is_another_fit(learn, monkeypatch, tmp_path):
    learn.path = tmp_path
    clock = Clock(monkeypatch)
    learn.fit(lr=1e-3, callbacks=[clock], minutes=0.5, resume="night")
    with pytest.raises(CheckpointError, match=r"Budget\(minutes=0.5\)"):
        learn.fit(lr=1e-3, callbacks=[clock], minutes=1.5, resume="night")


@pytest.mark.parametrize(
    ("how", "message"),
    [({"cyc_len": 3, "minutes": 3}, "both is said"), ({}, "neither is said"),
     ({"minutes": 0}, "minutes is above 0"), ({"minutes": "20"}, "minutes is a number")],
)  # fmt: skip
def test_epochs_or_minutes_and_not_both(learn, how, message):
    before = weights(learn)
    with pytest.raises(UsageError, match=message):
        learn.fit_one_cycle(**how)
    assert differences(weights(learn), before) == []


def test_the_next_fit_has_another_order(learn, monkeypatch):
    clock = Clock(monkeypatch)
    learn.fit(lr=1e-3, callbacks=[clock], minutes=0.2)
    assert learn.data.train_dl.state() == clock.epochs


def test_flat_then_a_cosine_and_the_momentum_stays(learn):
    rates, momenta = [], []

    class Seen(Callback):
        def after_loss(self, run):
            rates.append(run.optimizer.rates())
            momenta.append(run.optimizer.momentum)

    learn.fit_flat_cos(8, slice(1e-3, 1e-2), callbacks=Seen())
    first = torch.tensor([row[0] for row in rates])
    last = torch.tensor([row[-1] for row in rates])
    assert len(rates) == 24
    assert torch.allclose(last[:18], torch.full((18,), 1e-2))
    falling = [1e-7 + (1e-2 - 1e-7) * (1 + math.cos(math.pi * i / 6)) / 2 for i in range(6)]
    assert last[18:].tolist() == pytest.approx(falling, rel=1e-4)
    assert torch.allclose(first * 10, last, rtol=1e-4)
    assert set(momenta) == {0.9}


def test_accumulation_says_its_steps(single, capsys):
    learn = tiny_learner(single, accumulate=2)
    learn.silent = False
    learn.fit(1, 1e-3)
    assert "accumulate=2: a step after as many batches of 8, as with bs=16; 2 steps an epoch" in (
        capsys.readouterr().out
    )
