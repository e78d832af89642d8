"""The range test gives everything back, ends in time, and its curve is read as one would."""

import json
import random
from math import inf, log10, nan
from pathlib import Path

import numpy as np
import pytest
import torch
from learn_helpers import changed, differences, state_of, tiny_learner, weights

from onecycle.core.errors import OnecycleError, UsageError
from onecycle.learn.callback import Callback
from onecycle.learn.lr_find import RateCurve, find_lr, lr_find

CURVES = sorted(Path(__file__).with_name("curves").glob("*.json"))


class Chance:
    """A loss that draws from every generator, and breaks down at call number `at`."""

    def __init__(self, loss, error=None, at=10**9):
        self.loss, self.error, self.at, self.calls = loss, error, at, 0

    def __call__(self, outputs, y):
        torch.rand(1), np.random.rand(), random.random()
        self.calls += 1
        if self.calls == self.at:
            raise self.error
        return self.loss(outputs, y)


def trained(data, **options):
    """A learner in the middle of its life: trained, partly frozen, one layer in evaluation mode."""
    learn = tiny_learner(data, dropout=0.3, **options)
    learn.freeze_to(1)
    learn.fit(1, 1e-3)
    learn.model.train()
    learn.model[0][1].eval()
    return learn


def test_everything_is_as_before(multi):
    learn = trained(multi)
    learn.loss_func = Chance(multi.loss_func)
    before = state_of(learn)
    curve = learn.lr_find()
    assert changed(before, state_of(learn)) == []
    assert learn.loss_func.calls == len(curve.losses) > 20


@pytest.mark.parametrize("at", [1, 4, 11])
@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_everything_is_as_before_also_after_an_error_or_ctrl_c(multi, error, at):
    learn = trained(multi)
    learn.loss_func = Chance(multi.loss_func, error, at)
    before = state_of(learn)
    with pytest.raises(type(error)):
        learn.lr_find()
    assert changed(before, state_of(learn)) == []


def test_training_goes_on_as_if_it_had_not_been_looked(single, single_src, make_bunch):
    ours, theirs = (
        tiny_learner(single, dropout=0.3),
        tiny_learner(make_bunch(single_src), dropout=0.3),
    )
    for learn, looks in ((ours, True), (theirs, False)):
        torch.manual_seed(5)
        for _ in range(2):
            if looks:
                learn.lr_find(num_it=7)
            learn.fit_one_cycle(1, 1e-2)
    assert differences(weights(ours), weights(theirs)) == []
    assert ours.recorder.losses == theirs.recorder.losses


def test_no_file_is_left(multi, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    learn = tiny_learner(multi, path=tmp_path)
    learn.lr_find(num_it=5)
    assert list(tmp_path.iterdir()) == []


def test_the_rates_grow_by_one_factor_from_the_start_to_just_below_the_end(multi):
    curve = tiny_learner(multi).lr_find(1e-6, 1e-2, num_it=8)
    assert curve.rates == pytest.approx([1e-6 * 10 ** (i / 2) for i in range(8)], rel=1e-9)


def test_a_slice_runs_every_group_over_its_own_rates(multi):
    learn = tiny_learner(multi)
    seen = []
    learn.opt_func = lambda parts: seen.append(torch.optim.Adam(parts)) or seen[-1]
    learn.lr_find(slice(1e-8, 1e-6), slice(1e-3, 1e-1), num_it=4)
    last = [part["lr"] for part in seen[0].param_groups]
    assert last == pytest.approx([1e-8 * 1e5**0.75, 1e-7 * 1e5**0.75, 1e-6 * 1e5**0.75])


def test_the_test_goes_round_the_data_until_it_has_its_steps(multi):
    assert len(multi.train_dl) == 3
    assert len(tiny_learner(multi).lr_find(1e-6, 1e-4, num_it=10).losses) == 10


def scripted(values):
    """A loss of given values, one per call, with a gradient of zero."""
    rest = iter(values)
    return lambda outputs, y: outputs.sum() * 0 + next(rest)


def test_it_stops_after_four_times_the_best_smoothed_loss(multi):
    """1, then 1, then x with (.98² + .98 + x) / (.98² + .98 + 1) of the weights above 4."""
    weight = 0.98**2 + 0.98
    over = 4 * (weight + 1) - weight
    learn = tiny_learner(multi, loss_func=scripted([1.0, 1.0, over - 0.01, 1.0, 1.0]))
    assert len(learn.lr_find(num_it=5).losses) == 5
    learn = tiny_learner(multi, loss_func=scripted([1.0, 1.0, over + 0.01, 1.0]))
    assert len(learn.lr_find().losses) == 3


def test_without_stop_div_it_goes_to_the_end(multi):
    learn = tiny_learner(multi, loss_func=scripted([1.0, 1.0, 90.0, 99.0, 2.0]))
    assert len(learn.lr_find(num_it=5, stop_div=False).losses) == 5


@pytest.mark.parametrize("bad", [nan, inf])
@pytest.mark.parametrize("stop_div", [True, False])
def test_a_loss_that_is_no_number_stops_it_and_is_not_on_the_curve(multi, bad, stop_div):
    learn = tiny_learner(multi, loss_func=scripted([1.0, 0.9, bad, 0.8]))
    curve = learn.lr_find(stop_div=stop_div)
    assert len(curve.rates) == len(curve.losses) == 2


def test_a_loss_that_is_no_number_from_the_start_is_an_error(multi):
    with pytest.raises(UsageError, match="first step"):
        tiny_learner(multi, loss_func=scripted([nan])).lr_find()


def test_the_method_and_both_functions_measure_the_same(multi):
    learn = tiny_learner(multi)
    assert learn.lr_find(num_it=6) == lr_find(learn, num_it=6) == find_lr(learn, num_it=6)
    assert learn.recorder.curve == learn.lr_find(num_it=6)


@pytest.mark.parametrize("accumulate", [2, 3, 5])
@pytest.mark.parametrize("num_it", [4, 7])
def test_accumulated_batches_are_one_point_of_the_curve(multi, accumulate, num_it):
    """Three batches an epoch: by twos two steps, by threes (or fives) one."""
    learn = tiny_learner(multi, accumulate=accumulate)
    seen = []
    plain = multi.loss_func
    learn.loss_func = lambda outputs, y: seen.append(plain(outputs, y)) or seen[-1]
    curve = learn.lr_find(1e-6, 1e-2, num_it=num_it)
    assert len(curve.losses) == num_it
    assert curve.rates == pytest.approx([1e-6 * 1e4 ** (i / num_it) for i in range(num_it)])
    first = min(accumulate, 3)
    assert curve.losses[0] == pytest.approx(float(sum(seen[:first]).detach() / first), rel=1e-5)


def test_the_loss_scale_is_put_back(multi):
    """A scaler that grows at every good step; torch's works on a CPU as well."""
    learn = tiny_learner(multi)
    learn.engine.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1)
    before = learn.engine.scaler.state_dict()
    learn.lr_find(num_it=5)
    assert learn.engine.scaler.state_dict() == before
    assert learn.engine.scaler.get_scale() == 8
    learn.fit(1, 1e-3)
    assert learn.engine.scaler.get_scale() == 64


def test_what_a_callback_of_the_test_freezes_is_thawed(multi):
    learn = tiny_learner(multi)
    with learn.preserve_state():
        learn.freeze()
    assert all(parameter.requires_grad for parameter in learn.model.parameters())


def test_the_learners_own_callbacks_are_left_out(multi):
    class Loud(Callback):
        def before_batch(self, run):
            raise AssertionError("not in a range test")

    tiny_learner(multi, callbacks=[Loud()]).lr_find(num_it=3)


@pytest.mark.parametrize(
    "wrong", [{"num_it": 1}, {"num_it": 0}, {"start_lr": 0}, {"end_lr": -1}, {"start_lr": nan}]
)
def test_arguments_that_make_no_curve_are_refused(multi, wrong):
    with pytest.raises(OnecycleError):
        tiny_learner(multi).lr_find(**wrong)


# --- reading the curve ----------------------------------------------------------------------


def stored(path):
    about = json.loads(path.read_text())
    losses = tuple(nan if v is None else v for v in about["losses"])
    return about["human"], RateCurve(tuple(about["rates"]), losses)


def test_there_are_six_stored_curves():
    assert len(CURVES) == 6


@pytest.mark.parametrize("path", CURVES, ids=lambda path: path.stem)
def test_the_suggestion_is_within_half_a_decade_of_what_a_person_picked(path):
    human, curve = stored(path)
    assert abs(log10(curve.suggestion) - log10(human)) <= 0.5, f"{curve.suggestion:.1e}"


@pytest.mark.parametrize("path", CURVES, ids=lambda path: path.stem)
def test_only_the_curves_of_a_trained_model_are_flat(path):
    flat = {"unfrozen_after_training", "flat_with_a_late_bump"}
    assert stored(path)[1].is_flat == (path.stem in flat)


@pytest.mark.parametrize("path", CURVES, ids=lambda path: path.stem)
def test_no_reading_lies_at_or_beyond_a_loss_that_is_no_number(path):
    _, curve = stored(path)
    good = [rate for rate, loss in zip(curve.rates, curve.losses, strict=True) if loss == loss]
    assert all(rate is None or rate < good[-1] for rate in curve.suggestions().values())


def curve_of(*pieces, n=100):
    """A curve over 1e-7 .. 10 through (exponent, loss) points, straight between them."""
    at = np.linspace(-7, 1, n)
    losses = np.interp(at, *zip(*pieces, strict=True))
    return RateCurve(tuple(float(v) for v in 10**at), tuple(float(v) for v in losses))


def test_the_three_readings_of_a_curve_drawn_by_hand():
    """Level to 1e-4, slow fall, the fast one from 1e-3 to 1e-2, minimum at 1e-1, up from there."""
    curve = curve_of((-7, 1.0), (-4, 1.0), (-3, 0.95), (-2, 0.5), (-1, 0.4), (0, 0.45), (1, 2.0))
    readings = curve.suggestions()
    assert -3 < log10(readings["steepest"]) < -2
    assert log10(readings["minimum/10"]) == pytest.approx(-2, abs=0.05)
    assert log10(readings["rise/10"]) == pytest.approx(-1.2, abs=0.1)  # .44 lies at 10^-.2
    assert readings["suggestion"] == readings["steepest"]


@pytest.mark.parametrize(("level", "flat"), [(1.04, True), (1.06, False)])
def test_less_than_five_per_cent_before_the_rise_is_flat(level, flat):
    curve = curve_of((-7, level), (-4, level), (-2, 1.0), (-1, 1.05), (0, 2.0), (1, 4.0))
    assert curve.is_flat is flat
    rise = curve.shoots_up
    assert log10(rise) == pytest.approx(-0.95, abs=0.1)
    assert (curve.suggestion == rise / 10) is flat


def test_noise_at_the_start_is_no_rise():
    curve = curve_of((-7, 0.7), (-6.9, 0.9), (-6.5, 0.8), (-3, 0.8), (-1, 0.5), (0, 0.6), (1, 2))
    assert log10(curve.shoots_up) > -1


def test_a_lucky_first_batch_is_not_the_minimum():
    points = (-7, 0.6), (-6.9, 0.9), (-6.5, 0.8), (-3, 0.8), (-1, 0.79), (0, 0.9), (1, 2)
    curve = curve_of(*points)
    assert curve.losses[0] == min(curve.losses)
    assert log10(curve.minimum) > -3
    assert log10(curve.suggestion) == pytest.approx(log10(curve.shoots_up) - 1)
    assert -2.5 < log10(curve.suggestion) < 0


def test_a_curve_of_three_points_can_be_read():
    curve = RateCurve((1e-3, 1e-2, 1e-1), (1.0, 0.5, 0.9))
    assert curve.suggestion in curve.rates
    assert curve.shoots_up == 1e-1
    assert RateCurve((1e-3,), (1.0,)).suggestion == 1e-3


def test_the_plot_marks_every_reading(multi, capsys):
    learn = tiny_learner(multi)
    curve = learn.lr_find()
    figure = learn.recorder.plot(suggestion=True, return_fig=True)
    (ax,) = figure.axes
    assert ax.get_xscale() == "log"
    lines = ax.get_lines()
    assert tuple(lines[0].get_xdata()) == curve.rates[10:-5]
    assert tuple(lines[0].get_ydata()) == curve.losses[10:-5]
    wanted = [rate for rate in curve.suggestions().values() if rate]
    assert [line.get_xdata()[0] for line in lines[1:]] == wanted
    assert f"suggestion: {curve.suggestion:.2e}" in capsys.readouterr().out


def test_a_short_curve_is_drawn_whole(multi):
    learn = tiny_learner(multi)
    learn.lr_find(num_it=6)
    figure = learn.recorder.plot(return_fig=True)
    assert len(figure.axes[0].get_lines()[0].get_xdata()) == 6
    assert learn.recorder.plot(skip_end=15) is None


def test_nothing_to_plot_is_an_error(multi):
    with pytest.raises(UsageError, match="lr_find"):
        tiny_learner(multi).recorder.plot()
