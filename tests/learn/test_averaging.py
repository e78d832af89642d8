"""Averaged weights and patches of other images, against sums written out."""

import copy

import numpy as np
import pytest
import torch
from learn_helpers import differences, scripted, tiny_learner, weights
from torch.nn import functional as F

from onecycle import (
    Checkpoint,
    CSVLogger,
    CutMix,
    EarlyStopping,
    GradientClipping,
    MixUp,
    ModelEMA,
    ReduceLROnPlateau,
    SaveModel,
    from_arrays,
    mlp,
)
from onecycle.core.errors import UsageError
from onecycle.learn.callback import Callback
from onecycle.learn.learner import Learner


class Watch(Callback):
    """Keeps the weights after each step, and those that are validated."""

    order = 500

    def bind(self, learner):
        self.learner, self.steps, self.validated = learner, [weights(learner)], []

    def state_dict(self):
        return {}

    def after_step(self, run):
        self.steps.append(weights(self.learner))

    def after_epoch(self, run):
        self.validated.append(weights(self.learner))


def average(steps, decay):
    """Written out, as the class says; whole numbers are those of the last step."""
    found = copy.deepcopy(steps[0])
    for number, now in enumerate(steps[1:], 1):
        far = 1.0 if number == 1 else max(1 - decay, number ** (-2 / 3))
        for name, value in now.items():
            whole = not value.is_floating_point()
            found[name] = value if whole else found[name] + far * (value - found[name])
    return found


def close(one, other):
    return all(torch.allclose(one[k].float(), other[k].float(), atol=1e-5) for k in one)


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_what_is_validated_and_stays_is_the_average_and_training_does_not_see_it(single, decay):
    plain, watched = Watch(), Watch()
    first = tiny_learner(single)
    first.fit(3, 1e-2, callbacks=[plain])
    again = tiny_learner(single.with_task(single.task))
    again.fit(3, 1e-2, callbacks=[watched, ModelEMA(decay)])
    for ours, theirs in zip(watched.steps, plain.steps, strict=True):
        assert differences(ours, theirs) == []
    per_epoch = (len(plain.steps) - 1) // 3
    for epoch, found in enumerate(watched.validated, 1):
        assert close(found, average(plain.steps[: 1 + epoch * per_epoch], decay))
    assert differences(weights(again), watched.validated[-1]) == []
    assert not close(weights(again), plain.steps[-1])
    assert again.recorder.metrics == [] or again.validate()[0] != first.validate()[0]
    assert again.history[-1]["valid_loss"] == pytest.approx(again.validate()[0], rel=1e-5)


def test_the_best_average_is_saved_and_comes_back(single, tmp_path):
    learn, watch = tiny_learner(single, path=tmp_path), Watch()
    learn.metrics = scripted(0.1, 0.9, 0.2, 0.3)
    best = SaveModel(monitor="figure", mode="max")
    learn.fit(4, 1e-2, callbacks=[watch, ModelEMA(0.5), best])
    assert differences(weights(learn), watch.validated[1]) == []
    assert not close(weights(learn), watch.validated[3])


def test_a_fit_that_is_stopped_early_keeps_the_average(single):
    learn, watch = tiny_learner(single), Watch()
    learn.fit(9, 0.3, callbacks=[watch, ModelEMA(0.5), EarlyStopping(min_delta=9.0)])
    assert len(watch.validated) < 9
    assert differences(weights(learn), watch.validated[-1]) == []


class CutOffError(Exception):
    """What ends a fit here."""


class Cut(Callback):
    """Ends a fit at a moment of its second epoch."""

    def __init__(self, moment):
        self.moment = moment

    def _end(self, moment, run):
        if moment == self.moment and run.epoch == 1:
            raise CutOffError

    def after_step(self, run):
        self._end("step", run)

    def before_validate(self, run):
        self._end("validate", run)


@pytest.mark.parametrize("moment", ["step", "validate"])
def test_a_fit_that_is_cut_off_goes_on_with_the_same_average(single, tmp_path, moment):
    def trained(folder, cut, *more):
        learn = tiny_learner(single.with_task(single.task), path=folder)
        kept = Checkpoint("night", minutes=None, steps=1)
        learn.fit(3, 1e-2, callbacks=[ModelEMA(0.6), kept, Cut(cut), *more])
        return weights(learn)

    whole = trained(tmp_path / "whole", "step of no epoch")
    with pytest.raises(CutOffError):
        trained(tmp_path / "cut", moment)
    original, Cut._end = Cut._end, lambda self, moment, run: None
    try:
        found = trained(tmp_path / "cut", moment)
        again = trained(tmp_path / "cut", moment)  # it is complete: its result is back
    finally:
        Cut._end = original
    assert differences(found, whole) == []
    assert differences(again, whole) == []


def test_a_fit_that_is_interrupted_while_it_validates_has_the_weights_of_training(single):
    class Interrupt(Callback):
        order = 2000

        def before_validate(self, run):
            raise CutOffError

    learn, watch = tiny_learner(single), Watch()
    with pytest.raises(CutOffError):
        learn.fit(2, 1e-2, callbacks=[watch, ModelEMA(0.5), Interrupt()])
    assert differences(weights(learn), watch.steps[-1]) == []


def test_a_decay_is_a_share_and_one_average_is_enough(single):
    for wrong in (1.0, -0.1, 99):
        with pytest.raises(UsageError, match="decay"):
            ModelEMA(wrong)
    with pytest.raises(UsageError, match="validate an average"):
        tiny_learner(single).fit(1, callbacks=[ModelEMA(), ModelEMA(0.5)])


# --- patches of other images -------------------------------------------------------------------


class Seen(Callback):
    """Keeps the batches as they come, and as they are mixed, with the loss of each."""

    order = -25

    def before_fit(self, run):
        self.rows = []

    def before_batch(self, run):
        self.plain = run.x.clone()

    def after_loss(self, run):
        row = self.plain, run.x, run.y, run.outputs.detach(), float(run.loss.detach())
        self.rows.append(row)


def test_each_image_gets_a_patch_of_its_neighbour_and_both_labels_count_by_pixels(single):
    learn = tiny_learner(single).cutmix()
    seen = Seen()
    torch.manual_seed(3)
    learn.fit(3, 1e-3, callbacks=[seen])
    shares = set()
    for plain, mixed, y, outputs, loss in seen.rows:
        other = torch.arange(len(y)).roll(1)
        own = (mixed == plain).all(1)
        patch = (mixed == plain[other]).all(1)
        assert bool((own | patch).all())
        share = 1 - float((~own).float().mean((1, 2)).max())
        shares.add(round(share, 3))
        each = [F.cross_entropy(outputs, labels) for labels in (y, y[other])]
        assert loss == pytest.approx(float(share * each[0] + (1 - share) * each[1]), abs=0.02)
    assert len(shares) > 4


def test_cutmix_and_mixup_take_each_others_place(single):
    learn = tiny_learner(single).mixup().cutmix(0.5)
    assert [type(callback) for callback in learn.callbacks] == [CutMix]
    assert learn.callbacks[0].alpha == 0.5
    assert learn.cutmix(0).callbacks == []


def test_what_is_no_image_has_no_patches():
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    learn = Learner(from_arrays(x, ["a", "b"] * 6, bs=4, num_workers=0), mlp([3, 2]), silent=True)
    with pytest.raises(UsageError, match=r"images \(n, c, h, w\), not for items \[3\]"):
        learn.cutmix().fit(1, 1e-3)


class Refused(Callback):
    order = -(10**9)

    def before_fit(self, run):
        raise UsageError("refused before all others")


@pytest.mark.parametrize(
    "make",
    [
        ModelEMA,
        lambda: SaveModel(monitor="valid_loss"),
        lambda: SaveModel(monitor="valid_loss", reset_on_fit=False),
        lambda: EarlyStopping(monitor="valid_loss"),
        lambda: ReduceLROnPlateau(monitor="valid_loss"),
        lambda: Checkpoint("cut"),
        lambda: CSVLogger("rows.csv"),
        MixUp,
        CutMix,
        GradientClipping,
    ],
)
def test_an_error_at_the_beginning_of_a_fit_is_the_one_that_is_seen(
    single, make, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="refused before all others") as caught:
        tiny_learner(single).fit(1, callbacks=[make(), Refused()])
    assert caught.value.__context__ is None
    learn = tiny_learner(single)
    with pytest.raises(UsageError, match="acuracy"):
        learn.fit(1, callbacks=[make(), EarlyStopping(monitor="acuracy")])
