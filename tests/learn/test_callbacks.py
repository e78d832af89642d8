"""Callbacks: what each one does to training, and the order in which all of them hear of it."""

import csv

import pytest
import torch
from learn_helpers import Scripted, differences, tiny_learner, weights

from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.learn.callback import Callback, StopFit
from onecycle.learn.callbacks import (
    EarlyStopping,
    GradientClipping,
    MixUp,
    ReduceLROnPlateau,
    SaveModel,
)
from onecycle.learn.losses import LabelSmoothingCrossEntropy
from onecycle.learn.recorder import CSVLogger, TensorBoardLogger

MOMENTS = [name for name in vars(Callback) if name.startswith(("before", "after"))]


class Diary(Callback):
    """Notes every moment, under a name."""

    def __init__(self, name, heard, order=0):
        self.name, self.heard, self.order = name, heard, order

    def __getattribute__(self, moment):
        if moment in MOMENTS:
            return lambda run: self.heard.append(f"{self.name}{moment}")
        return super().__getattribute__(moment)


class At(Callback):
    """Does something at one moment of one step."""

    def __init__(self, moment, step, do):
        setattr(self, moment, lambda run: do(run) if run.step == step else None)


def raising(error):
    def do(run):
        raise error

    return do


def test_the_moments_come_in_this_order(multi):
    heard = []
    tiny_learner(multi).fit(2, 1e-3, callbacks=[Diary("", heard)])
    step = ["before_batch", "after_loss", "after_backward", "after_step"]
    epoch = ["before_epoch", *step, *step, *step, "before_validate", "after_epoch"]
    assert heard == ["before_fit", *epoch, *epoch, "after_fit"]


def test_small_orders_come_first_and_equal_ones_as_given(multi):
    heard = []
    late, first, second = Diary("late ", heard, 5), Diary("a ", heard, -5), Diary("b ", heard, -5)
    tiny_learner(multi, callbacks=[late]).fit(1, 1e-3, callbacks=[first, second])
    assert heard[:3] == ["a before_fit", "b before_fit", "late before_fit"]
    assert heard[-3:] == ["a after_fit", "b after_fit", "late after_fit"]


@pytest.mark.parametrize("moment", [m for m in MOMENTS if m != "after_fit"])
@pytest.mark.parametrize("error", [RuntimeError("broken"), StopFit(), KeyboardInterrupt()])
def test_after_fit_comes_for_everyone_whatever_happens(multi, moment, error):
    heard = []
    culprit = Callback()
    setattr(culprit, moment, raising(error))
    learn = tiny_learner(multi, callbacks=[Diary("", heard), culprit])
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError, match="broken"):
            learn.fit(1, 1e-3)
    else:
        learn.fit(1, 1e-3)
    assert heard[-1] == "after_fit"
    assert heard.count("after_fit") == 1


def test_an_error_in_one_after_fit_does_not_cheat_the_others_of_theirs(multi):
    heard = []
    culprit = Callback()
    culprit.after_fit = raising(RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        tiny_learner(multi, callbacks=[culprit, Diary("", heard)]).fit(1, 1e-3)
    assert heard[-1] == "after_fit"


def test_stop_fit_in_a_step_keeps_what_was_trained(multi):
    learn = tiny_learner(multi)
    before = weights(learn)
    learn.fit(3, 1e-2, callbacks=[At("after_step", 3, raising(StopFit()))])
    assert len(learn.recorder.losses) == 4
    assert len(learn.history) == 1
    assert "1.3.weight" in differences(before, weights(learn))


def test_everyone_hears_of_the_epoch_after_which_one_stops(multi, tmp_path, capsys):
    learn = tiny_learner(multi, metrics=[Scripted(3.0, 2.0, 2.5, 1.0)])
    stop, log = EarlyStopping("figure", mode="min"), CSVLogger(tmp_path / "log.csv")
    learn.fit(4, 1e-3, callbacks=[stop, log])
    assert [row["figure"] for row in learn.history] == [3.0, 2.0, 2.5]
    assert [row["figure"] for row in read(tmp_path / "log.csv")] == ["3.0", "2.0", "2.5"]
    assert "epoch 2: stopping early, figure improves no more" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "options", "epochs"),
    [
        ((5.0, 4.0, 4.5, 4.4, 3.0), {"mode": "min", "patience": 1}, 3),
        ((5.0, 4.0, 4.5, 4.4, 3.0), {"mode": "min", "patience": 2}, 4),
        ((5.0, 4.0, 4.5, 3.0, 3.5), {"mode": "min", "patience": 2}, 5),
        ((5.0, 5.5, 4.0, 4.5, 3.0), {"mode": "min", "patience": 2}, 5),  # never two in a row
        ((5.0, 4.0, 4.5, 3.0, 3.5), {"mode": "min", "patience": 0}, 3),
        ((0.5, 0.6, 0.55, 0.7, 0.8), {"mode": "max"}, 3),
        ((5.0, 4.95, 1.0, 0.5, 0.1), {"mode": "min", "min_delta": 0.1}, 2),
    ],
)
def test_early_stopping_waits_as_long_as_it_is_told(multi, values, options, epochs):
    learn = tiny_learner(multi, metrics=[Scripted(*values)])
    learn.fit(5, 1e-3, callbacks=[EarlyStopping("figure", **options)])
    assert len(learn.history) == epochs


def test_a_figure_that_is_no_number_is_no_improvement_and_said(multi):
    learn = tiny_learner(multi, metrics=[Scripted(5.0, 4.0, float("nan"), 1.0, 0.5)])
    stop = EarlyStopping("figure", mode="min")
    with pytest.warns(OnecycleWarning, match="figure is not a number in epoch 2, .*EarlyStopping"):
        learn.fit(5, 1e-3, callbacks=[stop])
    assert len(learn.history) == 3


def test_watching_what_is_not_there_is_an_error_that_says_what_is(multi):
    with pytest.raises(UsageError, match=r"no 'f2'.*valid_loss"):
        tiny_learner(multi).fit(1, 1e-3, callbacks=[EarlyStopping("f2")])
    with pytest.raises(UsageError, match="'best'"):
        EarlyStopping(mode="best")


class Kept(Callback):
    """The weights after each epoch."""

    order = -50

    def __init__(self):
        self.weights = []

    def after_epoch(self, run):
        self.weights.append({k: v.clone() for k, v in run.model.state_dict().items()})


@pytest.mark.parametrize("error", [None, RuntimeError("late")])
def test_the_best_weights_come_back(multi, tmp_path, error):
    learn = tiny_learner(multi, metrics=[Scripted(0.2, 0.7, 0.6, 0.7)], path=tmp_path)
    kept = Kept()
    callbacks = [SaveModel(learn, "figure", mode="max", name="best"), kept]
    if error is None:
        learn.fit(4, 1e-2, callbacks=callbacks)
    else:
        with pytest.raises(RuntimeError, match="late"):
            learn.fit(4, 1e-2, callbacks=[*callbacks, At("after_loss", 11, raising(error))])
    now = weights(learn)
    assert differences(kept.weights[1], now) == []
    assert differences(kept.weights[2], now) != []
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["best.safetensors"]


def test_the_rate_is_lowered_on_a_plateau(multi, capsys):
    learn = tiny_learner(multi, metrics=[Scripted(3.0, 2.0, 2.1, 2.2, 2.3, 1.0)])
    lower = ReduceLROnPlateau("figure", mode="min", patience=2, factor=0.1)
    learn.fit(6, slice(1e-4, 1e-2), callbacks=[lower])
    assert learn.recorder.lrs[2::3] == pytest.approx([1e-2] * 4 + [1e-3] * 2)
    assert learn.opt.rates() == pytest.approx([1e-5, 1e-4, 1e-3])
    assert "epoch 3: learning rate lowered to 1.00e-03" in capsys.readouterr().out


class Norms(Callback):
    """The norm of all gradients together, as the step will use them."""

    order = 99

    def __init__(self):
        self.found = []

    def after_backward(self, run):
        parts = [p.grad.norm() for p in run.model.parameters() if p.grad is not None]
        self.found.append(float(torch.stack(parts).norm()))


def test_clipping_bounds_the_norm(multi, multi_src, make_bunch):
    free, bound = Norms(), Norms()
    tiny_learner(multi).fit(1, 1e-3, callbacks=[free])
    limit = min(free.found) / 2
    clipped = [GradientClipping(limit), bound]
    tiny_learner(make_bunch(multi_src)).fit(1, 1e-3, callbacks=clipped)
    assert bound.found == pytest.approx([limit] * 3, rel=1e-4)
    loose, same = GradientClipping(1e6), Norms()
    tiny_learner(make_bunch(multi_src)).fit(1, 1e-3, callbacks=[loose, same])
    assert same.found == free.found


class Blends(Callback):
    """What MixUp made of each batch."""

    order = 1

    def __init__(self):
        self.seen = []

    def after_loss(self, run):
        self.seen.append(
            (run.x.clone(), run.y, run.outputs.detach(), run.loss_value, run.loss_func)
        )


def test_mixup_blends_images_and_losses_by_the_same_shares(single, single_src, make_bunch):
    plain = next(iter(make_bunch(single_src).train_dl))
    torch.manual_seed(4)
    share = torch.distributions.Beta(0.4, 0.4).sample((8,))
    share, other = share.maximum(1 - share), torch.randperm(8)
    blends = Blends()
    learn = tiny_learner(single)
    torch.manual_seed(4)
    learn.fit(1, 1e-3, callbacks=[MixUp(0.4), blends])
    x, y, outputs, loss, _ = blends.seen[0]
    s = share[:, None, None, None]
    torch.testing.assert_close(x, plain[0] * s + plain[0][other] * (1 - s))
    assert torch.equal(y, plain[1])
    logs = outputs.log_softmax(1)
    by_hand = [
        -float(share[i]) * logs[i, y[i]] - (1 - float(share[i])) * logs[i, y[other[i]]]
        for i in range(8)
    ]
    assert loss == pytest.approx(float(sum(by_hand) / 8), rel=1e-5)
    assert float(share.min()) >= 0.5
    assert (other != torch.arange(8)).any()


def test_mixup_is_for_training_alone(single, single_src, make_bunch):
    learn = tiny_learner(single).mixup(0.4)
    loss = learn.validate()[0]
    other = tiny_learner(make_bunch(single_src))
    assert loss == other.validate()[0]
    learn.fit(1, 1e-3)
    assert learn.history[0]["valid_loss"] == pytest.approx(learn.validate()[0])


@pytest.mark.parametrize("loss", [LabelSmoothingCrossEntropy(0.1), torch.nn.CrossEntropyLoss()])
def test_mixup_works_with_other_losses(single, loss):
    blends = Blends()
    learn = tiny_learner(single, loss_func=loss)
    learn.fit(1, 1e-3, callbacks=[MixUp(), blends])
    assert all(0 < row[3] < 9 for row in blends.seen)
    assert getattr(loss, "reduction", "mean") == "mean"


def test_mixup_with_a_loss_that_has_no_items_says_what_it_needs(single):
    learn = tiny_learner(single, loss_func=lambda outputs, y: outputs.mean())
    with pytest.raises(UsageError, match="reduction"):
        learn.mixup().fit(1, 1e-3)


def test_label_smoothing_by_hand():
    """Three classes, eps .1: the true class weighs .9 + .1/3, the others .1/3."""
    outputs = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.5, 0.0]])
    logs = outputs.log_softmax(1)
    each = [-(logs[0] * torch.tensor([0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3])).sum()]
    each += [-(logs[1] * torch.tensor([0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3])).sum()]
    loss, y = LabelSmoothingCrossEntropy(0.1), torch.tensor([1, 0])
    torch.testing.assert_close(loss(outputs, y, reduction="none"), torch.stack(each))
    torch.testing.assert_close(loss(outputs, y), torch.stack(each).mean())


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_csv_log_is_the_history(multi, tmp_path):
    learn = tiny_learner(multi, metrics=[Scripted(0.25, 0.5, 0.125)])
    path = tmp_path / "logs" / "run.csv"
    learn.fit_one_cycle(2, 1e-3, callbacks=[CSVLogger(path)])
    as_text = [{k: str(v) for k, v in row.items()} for row in learn.history]
    assert read(path) == as_text
    assert list(as_text[0]) == ["epoch", "train_loss", "valid_loss", "figure", "seconds"]
    learn.fit(1, 1e-3, callbacks=[CSVLogger(path, append=True)])
    assert [row["figure"] for row in read(path)] == ["0.25", "0.5", "0.125"]


def test_the_csv_log_starts_afresh_unless_told_otherwise(multi, tmp_path):
    for _ in range(2):
        tiny_learner(multi).fit(1, 1e-3, callbacks=[CSVLogger(tmp_path / "run.csv")])
    assert len(read(tmp_path / "run.csv")) == 1


def test_tensorboard_can_read_its_log(multi, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    learn = tiny_learner(multi, metrics=[Scripted(0.25, 0.5)])
    learn.fit(2, slice(1e-3, 1e-2), callbacks=[TensorBoardLogger(tmp_path / "runs")])
    events = EventAccumulator(str(tmp_path / "runs")).Reload()
    rates = events.Scalars("batch/lr")
    assert [event.step for event in rates] == list(range(6))
    assert [event.value for event in rates] == pytest.approx([1e-2] * 6)
    figures = [(event.step, event.value) for event in events.Scalars("epoch/figure")]
    assert figures == [(3, 0.25), (6, 0.5)]
    wanted = [row["valid_loss"] for row in learn.history]
    found = [event.value for event in events.Scalars("epoch/valid_loss")]
    assert found == pytest.approx(wanted, rel=1e-6)
