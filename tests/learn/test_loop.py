"""A plain-torch loop, written out, moves every weight as `fit_one_cycle` does, step by step."""

import copy
from math import cos, pi

import pytest
import torch
from learn_helpers import tiny_learner, tiny_net
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from onecycle.learn.callback import Callback, StopFit
from onecycle.learn.callbacks import GradientClipping
from onecycle.learn.engine import lay_channels_last
from onecycle.learn.learner import Learner

TOLERANCE = 1e-6
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class Weights(Callback):
    """Keeps all weights and buffers after each step."""

    def __init__(self):
        self.after = []

    def after_step(self, run):
        self.after.append({k: v.clone() for k, v in run.model.state_dict().items()})


class Textbook:
    """Plain torch: three groups, AdamW, and the 1cycle formulas."""

    def __init__(self, n_outputs, wd, frozen=0, bn_wd=True):
        self.net = tiny_net(n_outputs)
        self.wd, self.bn_wd, self.frozen = wd, bn_wd, frozen
        self.optimizer = None

    def parts(self):
        """One part per group and kind: its parameters, decay and number."""
        groups = [self.net[0][:3], self.net[0][3:], self.net[1]]
        parts = []
        for number, group in enumerate(groups):
            norms = [p for m in group.modules() if isinstance(m, NORMS) for p in m.parameters()]
            others = [
                p
                for m in group.modules()
                if not isinstance(m, NORMS)
                for p in m._parameters.values()
                if p is not None
            ]
            for p in others:
                p.requires_grad = number >= self.frozen
            kept = norms + ([] if number < self.frozen else others)
            plain = [p for p in kept if not any(p is q for q in norms)]
            parts.append(
                {"params": norms, "weight_decay": self.wd if self.bn_wd else 0.0, "group": number}
            )
            if plain:
                parts.append({"params": plain, "weight_decay": self.wd, "group": number})
        return parts

    def fit(self, data, epochs, rates, start=0.3):
        """Weights after each step."""
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(self.parts(), lr=1.0, betas=(0.95, 0.99))
        n = epochs * len(data.train_dl)
        up = int(start * n)
        step, found = 0, []
        for _ in range(epochs):
            self.net.train()
            for x, y in data.train_dl:
                if step < up:
                    share = (1 + cos(pi * step / up)) / 2  # 1 at the start, 0 at the peak
                    factor, momentum = 1 + (1 / 25 - 1) * share, 0.85 + 0.1 * share
                else:
                    share = (
                        1 + cos(pi * (step - up) / (n - up))
                    ) / 2  # 1 at the peak, 0 at the end
                    factor = 1 / 250_000 + (1 - 1 / 250_000) * share
                    momentum = 0.95 - 0.1 * share
                for part in self.optimizer.param_groups:
                    part["lr"] = rates[part["group"]] * factor
                    part["betas"] = (momentum, 0.99)
                loss = binary_cross_entropy_with_logits(self.net(x), y, reduction="none").mean()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                found.append({k: v.clone() for k, v in self.net.state_dict().items()})
                step += 1
        return found


def compare(ours, theirs):
    """Every tensor after every step, buffers included."""
    assert len(ours) == len(theirs) > 0
    for step, (mine, wanted) in enumerate(zip(ours, theirs, strict=True)):
        assert mine.keys() == wanted.keys()
        for name in mine:
            torch.testing.assert_close(
                mine[name], wanted[name], rtol=0, atol=TOLERANCE, msg=f"step {step}: {name}"
            )


def test_one_cycle_with_rates_by_depth(multi, multi_src, make_bunch):
    learn, book, kept = tiny_learner(multi), Textbook(multi.c, 1e-2), Weights()
    learn.fit_one_cycle(3, slice(1e-3, 4e-2), callbacks=[kept])
    wanted = book.fit(make_bunch(multi_src), 3, [1e-3, 40**0.5 * 1e-3, 4e-2])
    compare(kept.after, wanted)
    assert len(wanted) == 9


def test_frozen_groups_stay_and_their_batch_norm_learns(multi, multi_src, make_bunch):
    learn, book, kept = tiny_learner(multi), Textbook(multi.c, 0.1, frozen=2), Weights()
    start = {k: v.clone() for k, v in learn.model.state_dict().items()}
    learn.freeze()
    learn.fit_one_cycle(2, slice(3e-2), wd=0.1, callbacks=[kept])
    compare(kept.after, book.fit(make_bunch(multi_src), 2, [3e-3, 3e-3, 3e-2]))
    last = kept.after[-1]
    moved = {k for k in last if not torch.equal(start[k], last[k])}
    assert not moved & {"0.0.weight", "0.3.weight"}
    assert {"0.1.weight", "0.4.bias", "0.1.running_mean", "1.2.weight", "1.3.weight"} <= moved


def test_the_optimizer_goes_on_in_a_second_fit(multi, multi_src, make_bunch):
    learn, book = tiny_learner(multi), Textbook(multi.c, 1e-2)
    other, kept = make_bunch(multi_src), Weights()
    learn.fit_one_cycle(2, 1e-2, callbacks=[kept])
    learn.fit_one_cycle(1, slice(1e-4, 1e-2), callbacks=[kept])
    wanted = book.fit(other, 2, [1e-2] * 3) + book.fit(other, 1, [1e-4, 1e-3, 1e-2])
    compare(kept.after, wanted)


@pytest.mark.parametrize("bn_wd", [False, True])
def test_decay_spares_batch_norm_where_it_is_told_to(multi, multi_src, make_bunch, bn_wd):
    learn, kept = tiny_learner(multi, wd=0.5, bn_wd=bn_wd), Weights()
    learn.fit_one_cycle(1, 2e-2, callbacks=[kept])
    wanted = Textbook(multi.c, 0.5, bn_wd=bn_wd).fit(make_bunch(multi_src), 1, [2e-2] * 3)
    compare(kept.after, wanted)
    other = Textbook(multi.c, 0.5, bn_wd=not bn_wd).fit(make_bunch(multi_src), 1, [2e-2] * 3)
    with pytest.raises(AssertionError):
        compare(kept.after, other)


def test_a_fresh_optimizer_after_unfreezing(multi, multi_src, make_bunch):
    learn, kept = tiny_learner(multi), Weights()
    book, other = Textbook(multi.c, 1e-2, frozen=2), make_bunch(multi_src)
    learn.freeze()
    learn.fit_one_cycle(1, 1e-2, callbacks=[kept])
    wanted = book.fit(other, 1, [1e-2] * 3)
    learn.unfreeze()
    learn.fit_one_cycle(1, 1e-3, callbacks=[kept])
    book.optimizer, book.frozen = None, 0
    compare(kept.after, wanted + book.fit(other, 1, [1e-3] * 3))


def test_without_true_decay_the_optimizers_own_term_is_used(multi, multi_src, make_bunch):
    learn = tiny_learner(multi, wd=0.3, true_wd=False)
    learn.fit(1, 1e-2)
    net = tiny_net(multi.c)
    plain = torch.optim.Adam(net.parameters(), lr=1e-2, betas=(0.9, 0.99), weight_decay=0.3)
    for x, y in make_bunch(multi_src).train_dl:
        plain.zero_grad()
        binary_cross_entropy_with_logits(net(x), y).backward()
        plain.step()
    compare([learn.model.state_dict()], [net.state_dict()])


def test_the_decay_of_one_fit_is_not_that_of_the_next(multi):
    learn = tiny_learner(multi, wd=1e-2)
    learn.fit(1, 1e-3, wd=0.0)
    assert {part["wd"] for part in learn.opt.param_groups} == {0.0}
    learn.fit(1, 1e-3, wd=0.2)
    assert {part["wd"] for part in learn.opt.param_groups} == {0.2}
    learn.fit(1, 1e-3)
    assert {part["wd"] for part in learn.opt.param_groups} == {1e-2}


def test_the_recorder_holds_the_rates_and_momenta_that_were_used(multi):
    learn = tiny_learner(multi)
    learn.fit_one_cycle(2, slice(1e-3, 1e-2))
    assert learn.recorder.lrs[0] == pytest.approx(1e-2 / 25)
    assert learn.recorder.lrs[1] == pytest.approx(1e-2, rel=1e-9)  # int(.3 * 6) = 1 step up
    assert learn.recorder.moms[:2] == pytest.approx([0.95, 0.85])
    assert len(learn.recorder.lrs) == len(learn.recorder.losses) == 6


def test_batches_that_are_accumulated_move_the_weights_as_large_ones_do(multi_src, make_bunch):
    def after(bs, n):
        data = make_bunch(multi_src, bs=bs)
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3, 4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(data.c))
        net(data.one_batch()[0])
        seen = Weights()
        learn = Learner(data, net, silent=True, accumulate=n)
        learn.fit_one_cycle(2, 1e-2, callbacks=[seen])
        return seen.after

    large, small = after(14, 1), after(7, 2)
    assert len(large) == len(small)
    for ours, theirs in zip(large, small, strict=True):
        assert all(torch.allclose(ours[k], theirs[k], atol=1e-5) for k in ours)


@pytest.mark.parametrize(("accumulate", "groups"), [(2, [2, 2, 1]), (3, [3, 2]), (4, [4, 1])])
def test_a_part_group_at_the_end_is_the_mean_of_its_own_batches(
    multi_src, make_bunch, accumulate, groups
):
    """Five batches. Plain SGD, whose steps show the scale of a gradient as Adam's do not."""
    data = make_bunch(multi_src, bs=5)
    assert len(data.train_dl) == 5
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, data.c))
    book, kept = copy.deepcopy(net), Weights()
    sgd = torch.optim.SGD(book.parameters(), lr=0.1)
    wanted = []
    for _ in range(2):
        batches = iter(list(data.train_dl))
        for count in groups:
            parts = [next(batches) for _ in range(count)]
            losses = [binary_cross_entropy_with_logits(book(x), y) for x, y in parts]
            sgd.zero_grad()
            torch.stack(losses).mean().backward()
            sgd.step()
            wanted.append({k: v.clone() for k, v in book.state_dict().items()})
    data.train_dl.restore(0)
    learn = Learner(data, net, opt_func=torch.optim.SGD, wd=0, silent=True, accumulate=accumulate)
    learn.fit(2, 0.1, callbacks=[kept])
    compare(kept.after, wanted)


def test_one_cycle_counts_the_steps_of_accumulated_batches(multi):
    """Three batches by twos are two steps an epoch, four in all: int(.3 * 4) = 1 climbs."""
    learn = tiny_learner(multi, accumulate=2)
    learn.fit_one_cycle(2, 1e-2)
    rates = learn.recorder.lrs
    assert len(rates) == 4
    assert rates[:2] == pytest.approx([1e-2 / 25, 1e-2])
    low = 1e-2 / 25e4
    assert rates[3] == pytest.approx(low + (1e-2 - low) * (1 + cos(pi * 2 / 3)) / 2)


@pytest.mark.parametrize(("accumulate", "steps"), [(1, 3), (2, 2), (3, 1)])
def test_losses_are_recorded_smoothed(multi, accumulate, steps):
    """An average of the steps' with weights .98^age, divided by the sum of the weights."""

    class Raw(Callback):
        def __init__(self):
            self.losses, self.batches = [], []

        def after_loss(self, run):
            self.batches.append(float(run.loss.detach()))

        def after_step(self, run):
            self.losses.append(sum(self.batches) / len(self.batches))
            self.batches = []

    raw, learn = Raw(), tiny_learner(multi, accumulate=accumulate)
    learn.fit(2, 1e-2, callbacks=[raw])
    assert len(learn.recorder.losses) == 2 * steps
    for n, smoothed in enumerate(learn.recorder.losses, 1):
        weights = [0.98 ** (n - 1 - i) for i in range(n)]
        pairs = zip(weights, raw.losses[:n], strict=True)
        assert smoothed == pytest.approx(sum(w * v for w, v in pairs) / sum(weights), rel=1e-5)
    assert learn.recorder.losses[1:] != pytest.approx(raw.losses[1:], rel=1e-4)
    ends = learn.recorder.losses[steps - 1 :: steps]
    assert [row["train_loss"] for row in learn.history] == ends


# --- the scale of the loss, as with 16 bits; torch's scaler works on a CPU as well ----------------


def scaled(learn, scale=1024.0, growth=10**6):
    """The learner, with a loss scale."""
    learn.engine.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=growth)
    return learn


@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_are_clipped_as_they_are_and_not_as_they_are_scaled(
    multi_src, make_bunch, accumulate
):
    found = []
    for prepare in (lambda learn: learn, scaled):
        learn = tiny_learner(make_bunch(multi_src), opt_func=torch.optim.SGD, wd=0)
        learn.accumulate = accumulate
        kept = Weights()
        prepare(learn).fit(1, 0.5, callbacks=[GradientClipping(0.05), kept])
        found.append(kept.after)
    compare(*found)
    free = Weights()
    learn = tiny_learner(make_bunch(multi_src), opt_func=torch.optim.SGD, wd=0)
    learn.accumulate = accumulate
    learn.fit(1, 0.5, callbacks=[free])
    with pytest.raises(AssertionError):  # the limit is one that bites
        compare(free.after, found[0])


@pytest.mark.parametrize("moment", ["after_loss", "after_backward"])
@pytest.mark.parametrize("error", [StopFit(), KeyboardInterrupt(), RuntimeError("broken")])
def test_a_fit_that_ends_within_a_step_leaves_a_scaler_that_goes_on(multi, moment, error):
    def stop(run):
        raise error

    learn, culprit = scaled(tiny_learner(multi)), Callback()
    setattr(culprit, moment, stop)
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError, match="broken"):
            learn.fit(1, 1e-3, callbacks=[culprit])
    else:
        learn.fit(1, 1e-3, callbacks=[culprit])
    learn.fit(1, 1e-3)
    assert learn.engine.scaler.get_scale() == 1024
    assert len(learn.recorder.losses) == 3


def test_an_overflow_leaves_its_step_out_and_halves_the_scale(multi):
    class Overflow(Callback):
        def before_batch(self, run):
            if run.step == 1:
                loss = run.loss_func
                run.loss_func = lambda outputs, y: loss(outputs, y) * 3e37

    learn, kept = scaled(tiny_learner(multi, wd=0)), Weights()
    learn.fit(1, 1e-3, callbacks=[Overflow(), kept])
    assert learn.engine.scaler.get_scale() == 512
    names = [name for name, _ in learn.model.named_parameters()]
    assert all(torch.equal(kept.after[0][name], kept.after[1][name]) for name in names)
    assert any(not torch.equal(kept.after[1][name], kept.after[2][name]) for name in names)


def test_weights_laid_channels_last_train_as_before(multi):
    """A fused optimizer reads weights and what it keeps of them in the order of the memory."""
    ways = []
    for laid in (False, True):
        net = tiny_net(3)
        optimizer = torch.optim.Adam(net.parameters(), 1e-2, fused=True)
        for step, (x, y) in enumerate(multi.train_dl):
            if laid and step == 1:  # there is a state now, as one that was loaded
                lay_channels_last(net, optimizer)
            binary_cross_entropy_with_logits(net(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
        multi.train_dl.restore(0)
        assert net[0][0].weight.is_contiguous(memory_format=torch.channels_last) is laid
        ways.append([value.detach().clone() for value in net.parameters()])
    for plain, other in zip(*ways, strict=True):
        torch.testing.assert_close(other, plain, atol=1e-5, rtol=1e-4)
