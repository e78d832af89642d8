"""Rates, momenta and steps of the weights beside the formulas, one number at a time in float64."""

from math import cos, pi, sqrt

import numpy as np
import pytest
import torch
from learn_helpers import tiny_learner
from torch import nn

from onecycle.learn.callback import Callback
from onecycle.learn.optimizer import SGD, AdamW, GroupedOptimizer


class Steps(Callback):
    """The rates of all groups and the momentum with which each step was taken."""

    def __init__(self):
        self.rows = []

    def after_step(self, run):
        self.rows.append((run.optimizer.rates(), run.optimizer.momentum))


def half_wave(a, b, done, steps):
    """From a to b by half a cosine wave."""
    return b + (a - b) * (1 + cos(pi * done / steps)) / 2


def cycle(n, pct_start, start, peak, end):
    """Smith 2018's cycle with cosines: up in the first steps, down to `end` in the others."""
    up, values = int(n * pct_start), []
    for step in range(n):
        if step < up:
            values.append(half_wave(start, peak, step, up))
        else:
            values.append(half_wave(peak, end, step - up, n - up))
    return values


@pytest.mark.parametrize("seed", range(6))
def test_rates_and_momenta_of_every_step_of_a_cycle(multi, seed):
    rng = np.random.default_rng(seed)
    epochs, pct_start = int(rng.integers(1, 5)), float(rng.uniform(0, 1))
    moms = float(rng.uniform(0.9, 0.99)), float(rng.uniform(0.5, 0.9))
    div, final = float(rng.uniform(2, 50)), [None, float(rng.uniform(1, 1e5))][seed % 2]
    low, high = sorted(float(v) for v in 10 ** rng.uniform(-6, -3, 2))
    given, peaks = [
        (high, [high] * 3),
        (slice(high), [high / 10, high / 10, high]),
        (slice(low, high), [low, sqrt(low * high), high]),
    ][seed % 3]
    steps = Steps()
    learn = tiny_learner(multi)
    learn.fit_one_cycle(epochs, given, moms, div, pct_start, final, callbacks=[steps])
    n, last = 3 * epochs, div * 1e4 if final is None else final
    groups = [cycle(n, pct_start, peak / div, peak, peak / last) for peak in peaks]
    assert len(steps.rows) == n
    for step, (rates, momentum) in enumerate(steps.rows):
        assert rates == pytest.approx([group[step] for group in groups], rel=1e-9)
        assert momentum == pytest.approx(cycle(n, pct_start, *moms, moms[0])[step], rel=1e-9)


class Literal:
    """The textbook's step of one number after another; a part has its own rate and decay.

    Decoupled decay (Loshchilov & Hutter 2019) shrinks the weight before the step; otherwise it is
    a part of the gradient.
    """

    def __init__(self, values, adam, true_wd):
        self.values = [list(v) for v in values]
        self.adam, self.true_wd, self.count = adam, true_wd, 0
        self.first = [[0.0] * len(v) for v in values]
        self.second = [[0.0] * len(v) for v in values]

    def step(self, grads, rates, decays, momentum):
        self.count += 1
        for part, (rate, decay) in enumerate(zip(rates, decays, strict=True)):
            for i, value in enumerate(self.values[part]):
                grad = grads[part][i]
                if self.true_wd:
                    value *= 1 - rate * decay
                else:
                    grad += decay * value
                move = self._adam if self.adam else self._sgd
                self.values[part][i] = value - rate * move(part, i, grad, momentum)

    def _adam(self, part, i, grad, beta1):
        """Kingma & Ba 2015, algorithm 1, with the product's second beta."""
        beta2, m, v = 0.99, self.first[part], self.second[part]
        m[i] = beta1 * m[i] + (1 - beta1) * grad
        v[i] = beta2 * v[i] + (1 - beta2) * grad * grad
        return m[i] / (1 - beta1**self.count) / (sqrt(v[i] / (1 - beta2**self.count)) + 1e-8)

    def _sgd(self, part, i, grad, momentum):
        m = self.first[part]
        m[i] = grad if self.count == 1 else momentum * m[i] + grad
        return m[i]


@pytest.mark.parametrize("true_wd", [True, False])
@pytest.mark.parametrize("bn_wd", [True, False])
@pytest.mark.parametrize("kind", ["AdamW", "SGD"])
def test_steps_of_groups_with_their_rates_and_decays(kind, bn_wd, true_wd):
    rng = np.random.default_rng(7)
    torch.manual_seed(0)
    frozen, conv, norm, last = nn.Linear(3, 2), nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)
    model = nn.Sequential(frozen, conv, norm, last).double()
    frozen.requires_grad_(False)
    groups = [
        [*frozen.parameters()],
        [*conv.parameters(), *norm.parameters()],
        [*last.parameters()],
    ]
    made = {"AdamW": AdamW, "SGD": SGD}[kind]
    optimizer = GroupedOptimizer(groups, model, made, 0.3, true_wd, bn_wd)
    parts = [(conv, 1), (norm, 1), (last, 2)]
    flat = [torch.cat([p.detach().flatten() for p in m.parameters()]).tolist() for m, _ in parts]
    literal = Literal(flat, kind == "AdamW", true_wd)
    before = [p.clone() for p in frozen.parameters()]
    for step in range(7):
        rates, momentum, wd = 10 ** rng.uniform(-3, -1, 3), float(rng.uniform(0.8, 0.95)), 0.3
        if step > 3:
            wd = 0.05
            optimizer.set_wd(wd)
        optimizer.set_rates([float(rate) for rate in rates])
        optimizer.set_momentum(momentum)
        grads = []
        for module, _ in parts:
            for p in module.parameters():
                p.grad = torch.tensor(rng.normal(size=tuple(p.shape)))
            grads.append(torch.cat([p.grad.flatten() for p in module.parameters()]).tolist())
        optimizer.inner.step()
        decays = [0.0 if m is norm and not bn_wd else wd for m, _ in parts]
        literal.step(grads, [float(rates[g]) for _, g in parts], decays, momentum)
        for (module, _), wanted in zip(parts, literal.values, strict=True):
            found = torch.cat([p.detach().flatten() for p in module.parameters()])
            assert found.tolist() == pytest.approx(wanted, rel=1e-10, abs=1e-13)
    assert all(torch.equal(a, b) for a, b in zip(before, frozen.parameters(), strict=True))
