"""Calibrated probabilities and thresholds, against sums by hand, scikit-learn and SciPy."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from learn_helpers import order_of, tiny_learner, tiny_net, weights
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve
from sklearn.metrics import f1_score, fbeta_score, log_loss
from torch import nn

from onecycle import (
    Learner,
    MultiLabelInterpretation,
    Predictor,
    accuracy,
    accuracy_thresh,
    auroc,
    calibration_error,
    f1,
    fbeta,
    from_arrays,
    perplexity,
)
from onecycle.core.errors import CheckpointError, OnecycleWarning, UsageError
from onecycle.data.targets import MultiCategory, Numbers
from onecycle.interpret.report import _look_at_items
from onecycle.learn.calibration import best_temperature, best_thresholds, reliability
from onecycle.learn.metric import whole_set

RNG = np.random.default_rng(7)
SHARP = 3.0  # how many times too large the outputs of the models here are


def drawn(n, classes, several=False):
    """Logits (n, classes) and labels that were drawn by them."""
    logits = RNG.normal(0, 1.5, (n, classes)).astype(np.float32)
    if several:
        shares = 1 / (1 + np.exp(-logits + 1))
        return logits - 1, (RNG.random((n, classes)) < shares).astype(np.float32)
    return logits, (logits + RNG.gumbel(size=logits.shape)).argmax(1)


class Sharp(nn.Module):
    """Gives what it is given, `SHARP` times as large."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(SHARP))

    def forward(self, x):
        return x * self.scale


def tags_of(rows):
    return [[f"t{i}" for i in np.flatnonzero(row)] for row in rows]


def overconfident(several=False, n=900, classes=4):
    """A learner whose outputs are too large, and the logits and labels that it validates on."""
    torch.manual_seed(0)
    logits, y = drawn(n, classes, several)
    half = n // 3
    labels = tags_of(y) if several else [f"t{i}" for i in y]
    kind = {"label_cls": MultiCategory} if several else {}
    how = {"bs": 50, "num_workers": 0, "device": "cpu", "no_check": True} | kind
    data = from_arrays(logits[:half], labels[:half], logits[half:], labels[half:], **how)
    return Learner(data, Sharp(), silent=True), logits[half:], y[half:]


# --- how far probabilities are from frequencies ------------------------------------------------


def test_the_calibration_error_by_hand():
    shares = torch.tensor([[0.95, 0.05], [0.9, 0.1], [0.62, 0.38], [0.45, 0.55]])
    found = reliability(shares, torch.tensor([0, 1, 1, 1]), bins=5)
    assert found.number.tolist() == [0, 0, 1, 1, 2]
    assert found.said[2:].tolist() == pytest.approx([0.55, 0.62, 0.925])
    assert found.seen[2:].tolist() == [1, 0, 0.5]
    assert found.said[:2].isnan().all()
    assert found.error == pytest.approx((0.45 + 0.62 + 2 * 0.425) / 4)


def test_a_share_on_the_edge_of_two_bins_is_in_the_lower_one():
    shares = torch.tensor([[0.25], [0.5], [0.75], [1.0], [0.0]])
    found = reliability(shares, torch.ones(5, 1), bins=4)
    assert found.number.tolist() == [2, 1, 1, 1]


@pytest.mark.parametrize("bins", [4, 15])
def test_the_bins_are_scikit_learns(bins):
    shares, y = torch.from_numpy(RNG.random((200, 3)).astype(np.float32)), RNG.random((200, 3))
    y = torch.from_numpy((y < 0.4).astype(np.float32))
    found = reliability(shares, y, bins)
    seen, said = calibration_curve(y.numpy().ravel(), shares.numpy().ravel(), n_bins=bins)
    there = found.number > 0
    np.testing.assert_allclose(found.seen[there], seen)
    np.testing.assert_allclose(found.said[there], said, rtol=1e-6)


def test_shapes_that_are_compared_otherwise_are_refused():
    with pytest.raises(UsageError, match=r"not \(4, 3\) with \(4, 2\)"):
        reliability(torch.rand(4, 3), torch.zeros(4, 2))


# --- the temperature ---------------------------------------------------------------------------


def by_scipy(logits, y, several):
    def nll(temperature):
        z = logits.astype(np.float64) * SHARP / temperature
        if several:
            return np.logaddexp(0, np.where(y > 0.5, -z, z)).mean()
        shares = np.exp(z - z.max(1, keepdims=True))
        return log_loss(y, shares / shares.sum(1, keepdims=True))

    return minimize_scalar(nll, bounds=(0.1, 15), method="bounded", options={"xatol": 1e-7}), nll


@pytest.mark.parametrize("several", [False, True])
def test_the_temperature_is_scipys_and_near_the_truth(several):
    learn, logits, y = overconfident(several)
    wanted, nll = by_scipy(logits, y, several)
    found = learn.calibrate()
    assert found.temperature == pytest.approx(wanted.x, rel=1e-4)
    assert SHARP * 0.8 < found.temperature < SHARP * 1.2
    assert found.log_loss == pytest.approx((nll(1), nll(found.temperature)), rel=1e-5)
    assert found.items == 600
    assert found.error[1] < found.error[0] / 2
    assert f"temperature {found.temperature:.3f} ± {found.spread:.3f}: " in str(found)
    assert learn.task.target.temperature == found.temperature


@pytest.mark.parametrize("several", [False, True])
def test_its_spread_is_that_of_temperatures_of_items_drawn_again(several):
    learn, logits, y = overconfident(several)
    outputs, y, target = torch.from_numpy(logits) * SHARP, torch.as_tensor(y), learn.task.target
    found = []
    for _ in range(120):  # the bootstrap
        rows = torch.from_numpy(RNG.integers(0, len(y), len(y)))
        found.append(best_temperature(target, outputs[rows], y[rows]))
    assert learn.calibrate().spread == pytest.approx(np.std(found), rel=0.25)


def test_a_temperature_that_might_as_well_be_1_says_so():
    logits, y = drawn(40, 3)
    labels = [f"t{i}" for i in y]
    data = from_arrays(logits / SHARP, labels, logits / SHARP, labels, bs=5, num_workers=0)
    learn = Learner(data, Sharp(), silent=True)
    with pytest.warns(OnecycleWarning, match=r"± .* of 40 validation items might as well be 1"):
        found = learn.calibrate()
    assert abs(found.temperature - 1) < 2 * found.spread


@pytest.mark.parametrize("several", [False, True])
def test_everything_that_answers_gives_the_calibrated_probabilities(several, tmp_path):
    learn, logits, y = overconfident(several)
    before = learn.get_preds()[0]
    temperature = learn.calibrate().temperature
    outputs = torch.from_numpy(logits) * SHARP / temperature
    wanted = outputs.sigmoid() if several else outputs.softmax(1)
    after = learn.get_preds()[0]
    torch.testing.assert_close(after, wanted)
    assert (before - after).abs().max() > 0.1
    assert torch.equal(before.argmax(1), after.argmax(1))
    torch.testing.assert_close(learn.predict(logits[3])[2], wanted[3])
    said = learn.validate(metrics=[calibration_error])[1]
    assert said == pytest.approx(reliability(after, torch.as_tensor(y)).error, rel=1e-4)
    assert said == pytest.approx(learn.calibrate().error[1], rel=1e-4)


class Kept:
    """A metric with a state of its own, which sees outputs as the network gives them."""

    def reset(self):
        self.rows = []

    def update(self, outputs, y):
        self.rows += (outputs.softmax(1).amax(1) + y.reshape(len(y), -1)[:, 0]).tolist()

    def compute(self):
        return sum(self.rows) / len(self.rows)


def surest(outputs, y):
    return outputs.softmax(1).amax(1).mean()


def metrics_of(several):
    theirs = partial(f1_score, average="macro"), brier if several else log_loss
    if several:
        fixed = partial(fbeta, thresh=0.2), accuracy_thresh, partial(f1, thresh=0.3), auroc
        return [*fixed, surest, calibration_error, Kept(), *theirs]
    ours = accuracy, whole_set(surest), nn.CrossEntropyLoss(), perplexity, calibration_error
    return [*ours, Kept(), *theirs]


def brier(outputs, y):
    return (outputs.sigmoid() - y).square().mean()


def of_answers(metric, outputs, shares, y, decided):
    """The same metric by hand: of outputs by which the answers are given, or of the answers."""
    if isinstance(metric, Kept):
        metric.reset()
        metric.update(outputs, y)
        return metric.compute()
    if metric is log_loss:
        return log_loss(y.numpy(), shares.numpy())
    if isinstance(metric, partial) and metric.func is f1_score:
        return metric(y.long().numpy(), decided.numpy())
    return float(metric(outputs, y))


@pytest.mark.parametrize("several", [False, True])
def test_metrics_are_those_of_the_answers_before_calibration_and_after(several):
    learn, logits, _ = overconfident(several)
    if several:
        learn.with_threshold({"t0": 0.3, "t1": 0.6})
    seen = []
    for calibrated in (False, True):
        if calibrated:
            learn.calibrate()
        shares, y = learn.get_preds()
        for row in range(3):
            torch.testing.assert_close(learn.predict(logits[row])[2], shares[row])
        outputs = torch.logit(shares.double()) if several else shares.double().log()
        limits = torch.tensor(learn.task.target.thresh) if several else None
        decided = (shares > limits).long() if several else shares.argmax(1)
        metrics = metrics_of(several)
        wanted = [of_answers(metric, outputs, shares, y, decided) for metric in metrics]
        assert learn.validate(metrics=metrics)[1:] == pytest.approx(wanted, rel=1e-3)
        found = learn.evaluate("valid", metrics=metrics, resamples=100).figures.values()
        assert [figure.value for figure in found][1:] == pytest.approx(wanted, rel=1e-3)
        learn.metrics = metrics
        intervals = list(_look_at_items(learn).intervals.values())
        assert [value for value, _, _ in intervals][:-1] == pytest.approx(wanted, rel=1e-3)
        seen.append(wanted)
    apart = [abs(a - b) > 0.005 for a, b in zip(*seen, strict=True)]
    assert sum(apart) >= 3, seen


def test_calibrating_twice_is_as_once():
    learn, _, _ = overconfident()
    first = learn.calibrate()
    assert learn.calibrate() == first


def test_loss_and_training_see_the_outputs_as_they_are():
    learn = overconfident()[0]
    plain = learn.validate()[0]
    learn.calibrate()
    assert learn.validate()[0] == plain


def test_where_every_answer_is_right_no_temperature_says_so():
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    labels = ["t0", "t1", "t2"] * 2
    data = from_arrays(logits, labels, logits, labels, bs=2, num_workers=0, no_check=True)
    learn = Learner(data, Sharp(), silent=True)
    with pytest.warns(
        OnecycleWarning, match=r"outputs for 6 validation items every answer is right"
    ):
        found = learn.calibrate()
    assert found.temperature == pytest.approx(1 / 20)


def test_what_cannot_be_calibrated_says_so(single_src, make_bunch):
    x, y = RNG.random((20, 2), np.float32), RNG.random((20, 1), np.float32)
    numbers = Learner(from_arrays(x, y, label_cls=Numbers, bs=4), nn.Linear(2, 1), silent=True)
    with pytest.raises(UsageError, match="a numbers cannot be calibrated"):
        numbers.calibrate()
    with pytest.raises(UsageError, match="finite number above 0"):
        single_src.task.target.with_temperature(0)


# --- what becomes of it when the weights change ------------------------------------------------


few = pytest.mark.filterwarnings("ignore:the temperature .* might as well be 1")


@pytest.fixture
def calibrated(single):
    learn = tiny_learner(single)
    learn.fit(1, 1e-2)
    with pytest.warns(OnecycleWarning, match="of 12 validation items might as well be 1"):
        learn.calibrate()
    assert learn.task.target.temperature != 1
    return learn


def test_a_later_fit_drops_it_and_says_so(calibrated):
    with pytest.warns(OnecycleWarning, match=r"this fit changes the weights.*dropped"):
        calibrated.fit(1, 1e-3)
    assert calibrated.task.target.temperature == 1


def test_what_only_looks_keeps_it(calibrated):
    temperature = calibrated.task.target.temperature
    calibrated.lr_find(num_it=3)
    assert calibrated.task.target.temperature == temperature
    with calibrated.preserve_state(), pytest.warns(OnecycleWarning, match="dropped"):
        calibrated.fit(1, 1e-3)
    assert calibrated.task.target.temperature == temperature


def test_another_model_has_none(calibrated):
    with pytest.warns(OnecycleWarning, match="another model"):
        calibrated.model = tiny_net(3, seed=5)
    assert calibrated.task.target.temperature == 1


def test_it_is_saved_with_the_weights_and_comes_back_with_them(calibrated, single, tmp_path):
    temperature = calibrated.task.target.temperature
    calibrated.save(tmp_path / "warm")
    other = tiny_learner(single, seed=1)
    other.save(tmp_path / "plain")
    other.load(tmp_path / "warm")
    assert other.task.target.temperature == temperature
    assert torch.equal(other.get_preds()[0], calibrated.get_preds()[0])
    with pytest.warns(OnecycleWarning, match=r"plain.*were saved uncalibrated"):
        other.load(tmp_path / "plain")
    assert other.task.target.temperature == 1


def test_it_stays_with_the_model_when_the_data_is_another(calibrated, single_src, make_bunch):
    temperature = calibrated.task.target.temperature
    calibrated.data = make_bunch(single_src.transform(None, size=24))
    assert calibrated.task.target.temperature == temperature


def test_what_was_decided_stays_when_the_data_is_another(multi, multi_src, make_bunch):
    learn = tiny_learner(multi).with_threshold({"lines": 0.25})
    learn.data = make_bunch(multi_src.transform(None, size=24))  # warnings are errors here
    assert learn.task.target.thresholds == (0.5, 0.25, 0.5)
    assert learn.data.train_ds[0][0].shape[-1] == 24
    other = make_bunch(multi_src).with_threshold(0.4)
    with pytest.warns(OnecycleWarning, match=r"keeps its own, \(0\.5, 0\.25, 0\.5\).* is 0\.4"):
        learn.data = other
    assert learn.task.target.thresholds == (0.5, 0.25, 0.5)
    learn = tiny_learner(multi)  # which nobody has told how to decide
    learn.data = other
    assert learn.task.target.thresh == 0.4


def test_not_sure_stays_when_the_data_is_another(single, single_src, make_bunch):
    learn = tiny_learner(single).with_threshold(0.9)
    learn.data = make_bunch(single_src)
    assert learn.task.target.thresh == 0.9


@few
def test_it_changes_nothing_of_the_training_that_follows(single_src, make_bunch):
    def trained(between):
        learn = tiny_learner(make_bunch(single_src))
        learn.fit(1, 1e-2)
        between(learn)
        order = order_of(learn.data.train_dl)
        return order, weights(learn.fit(1, 1e-2))

    def tune(learn):
        learn.calibrate()
        learn.with_threshold(0.6)

    wanted, plain = trained(lambda learn: None)
    with pytest.warns(OnecycleWarning, match="dropped"):
        order, found = trained(tune)
    assert order == wanted
    assert all(torch.equal(found[name], plain[name]) for name in plain)


# --- thresholds --------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_no_threshold_is_better_for_any_label_by_scikit_learn(beta):
    shares = RNG.random((80, 3))
    y = (RNG.random((80, 3)) < shares ** [1, 2, 4]).astype(np.float32)
    found = best_thresholds(torch.from_numpy(shares), torch.from_numpy(y), beta)
    steps = [(i + 1) / 100 for i in range(99)]
    for label, thresh in enumerate(found):
        curve = [fbeta_score(y[:, label], shares[:, label] > t, beta=beta) for t in steps]
        best = [t for t, value in zip(steps, curve, strict=True) if value > max(curve) - 1e-6]
        assert thresh == best[(len(best) - 1) // 2]
    assert len(set(found)) == 3


def test_each_label_is_decided_by_its_own_threshold(tmp_path):
    learn, logits, _ = overconfident(several=True)
    learn.calibrate()
    found = learn.fit_thresholds(beta=1)
    assert list(found) == learn.data.classes == ["t0", "t1", "t2", "t3"]
    assert learn.task.target.thresholds == tuple(found.values())
    limits = np.float32(list(found.values()))
    assert len(set(found.values())) > 1
    for row in range(30):
        answer, marks, shares = learn.predict(logits[row])
        assert marks.tolist() == (shares.numpy() > limits).astype(float).tolist()
        assert answer.obj == [f"t{i}" for i in np.flatnonzero(shares.numpy() > limits)]
    table = MultiLabelInterpretation.from_learner(learn).per_label()
    assert table["predicted"].tolist() == (learn.get_preds()[0].numpy() > limits).sum(0).tolist()


def test_a_dict_sets_the_thresholds_of_some_labels(multi):
    learn = tiny_learner(multi).with_threshold({"lines": 0.25, "warm": 0.75})
    assert learn.task.target.thresholds == (0.5, 0.25, 0.75)
    learn.with_threshold({"dots": 0.125})
    assert learn.task.target.thresh == (0.125, 0.25, 0.75)
    assert learn.with_threshold(0.3).task.target.thresholds == (0.3,) * 3
    for wrong, reported in (
        ({"blue": 0.5}, "'blue'"),
        ([0.5, 0.5], "2 thresholds are given for 3 classes"),
        ({"dots": 50}, "probability from 0 to 1"),
        ([0.2, "a", 0.1], "probability from 0 to 1"),
    ):
        with pytest.raises(UsageError, match=reported):
            learn.with_threshold(wrong)
    assert learn.task.target.thresholds == (0.3,) * 3


def test_a_label_that_no_item_has_keeps_its_threshold(multi_src, make_bunch):
    seen = [i for i in range(12) if "dots" not in multi_src.valid.labels[i]]
    learn = tiny_learner(make_bunch(replace(multi_src, valid=multi_src.valid.take(seen))))
    with pytest.warns(OnecycleWarning, match=r"1 of 3 labels \('dots'\) are on no validation item"):
        found = learn.with_threshold(0.35).fit_thresholds()
    assert list(found) == ["lines", "warm"]
    assert learn.task.target.thresholds[0] == 0.35


def test_thresholds_are_for_several_labels_and_one_class_has_not_sure(single):
    with pytest.raises(UsageError, match=r"learn\.with_threshold\(0\.7\)"):
        tiny_learner(single).fit_thresholds()


def test_thresholds_of_labels_are_saved_exported_and_named_where_they_differ(multi, tmp_path):
    learn = tiny_learner(multi).with_threshold({"lines": 0.25})
    learn.save(tmp_path / "kept")
    other = tiny_learner(multi)
    with pytest.warns(OnecycleWarning, match=r"thresh was \[0\.5, 0\.25, 0\.5\], here it is 0\.5"):
        other.load(tmp_path / "kept")
    file = learn.export(tmp_path / "m.onnx")
    assert Predictor(file).thresh == (0.5, 0.25, 0.5)


def test_not_sure_is_saved_and_exported(single, tmp_path):
    learn = tiny_learner(single).with_threshold(0.99)
    assert learn.predict(single.valid_ds.items[0])[0].text == "not sure"
    assert Predictor(learn.export(tmp_path / "m.onnx")).thresh == 0.99
    learn.save(tmp_path / "kept")
    with pytest.raises(CheckpointError, match=r"thresh was 0\.99, here it is None"):
        tiny_learner(single).load(tmp_path / "kept", differences="error")


def test_a_class_may_not_be_called_as_the_answer_without_one(single):
    target = single.task.target
    with pytest.raises(UsageError, match="give the class another name"):
        type(target)(("cat", "Not sure"), thresh=0.5)
    assert type(target)(("cat", "Not sure")).classes == ("cat", "Not sure")
