"""A ridge in closed form: as scikit-learn's, chosen by leaving one out, and sure with reason."""

import numpy as np
import pytest
import torch
from learn_helpers import differences, weights
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.preprocessing import StandardScaler
from test_cached_features import folder, learner
from torch import nn

from onecycle import Learner, SaveModel, accuracy, accuracy_thresh, balanced_loss, from_arrays
from onecycle.core.errors import OnecycleWarning, TrainingError, UsageError
from onecycle.data.targets import Numbers
from onecycle.learn.calibration import tune
from onecycle.learn.engine import Engine
from onecycle.learn.ridge import ALPHAS, solve
from onecycle.runtime.predictor import Predictor

__all__ = ["folder"]  # the fixture
GRID = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


def drawn(n, d, classes, noise=1.0, seed=0):
    """Rows of which a few directions tell classes apart, on scales of their own."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    middles = np.random.default_rng(99).normal(size=(classes, d)) * (np.arange(d) % 7 == 0)
    x = middles[y] + noise * rng.normal(size=(n, d))
    return (x * 10 ** (np.arange(d) % 3 - 1.0) + 2).astype(np.float32), y


def rows(x, y, head=None, train=None, **options):
    """A learner whose body gives the rows as they are."""
    train = len(x) * 3 // 4 if train is None else train
    how = {"bs": min(16, train), "device": "cpu", **options}
    data = from_arrays(x[:train], y[:train], x[train:], y[train:], **how)
    head = head or nn.Sequential(nn.BatchNorm1d(x.shape[1]), nn.Linear(x.shape[1], data.c))
    return Learner(data, nn.Sequential(nn.Identity(), head), silent=True)


def outputs(learn, x):
    learn.model.eval()
    with torch.no_grad():
        return learn.model(torch.as_tensor(x)).numpy()


# The closed form.


@pytest.mark.parametrize(("n", "d"), [(12, 30), (25, 6), (9, 9)])
@pytest.mark.parametrize("alpha", [0.01, 3.0])
def test_what_is_left_out_is_what_a_ridge_says_that_has_not_seen_it(n, d, alpha):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, 2)) + 5
    x -= x.mean(0)
    found = solve(torch.tensor(x), torch.tensor(y), [alpha])
    for i in range(n):
        others = np.arange(n) != i
        mean_x, mean_y = x[others].mean(0), y[others].mean(0)
        a, b = x[others] - mean_x, y[others] - mean_y
        w = np.linalg.solve(a.T @ a + alpha * np.eye(d), a.T @ b)
        np.testing.assert_allclose(found.left_out[i], (x[i] - mean_x) @ w + mean_y, rtol=1e-6)
    np.testing.assert_allclose(found.scores, torch.tensor(x) @ found.weight.T + found.bias)


@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize(("n", "d", "classes"), [(120, 300, 4), (400, 30, 3), (60, 80, 2)])
def test_answers_and_strength_are_those_of_scikit_learn(n, d, classes, normed):
    x, y = drawn(n, d, classes, noise=1.5)
    train = n * 3 // 4
    learn = rows(x, y, None if normed else nn.Linear(d, classes))
    for part in learn.model[1].parameters():  # as another training may have left them
        nn.init.normal_(part)
    learn.fit_ridge(GRID)
    scaler = StandardScaler().fit(x[:train])
    theirs = RidgeClassifierCV(alphas=GRID).fit(scaler.transform(x[:train]), y[:train])
    assert learn.history[-1]["alpha"] == theirs.alpha_
    ours, wanted = outputs(learn, x[train:]), theirs.decision_function(scaler.transform(x[train:]))
    assert (ours.argmax(1) == theirs.predict(scaler.transform(x[train:]))).all()
    wanted = np.stack([-wanted, wanted], 1) if classes == 2 else wanted
    np.testing.assert_allclose(ours / learn.history[-1]["factor"], wanted, atol=2e-3)


def test_several_labels_are_those_of_scikit_learn():
    x, y = drawn(200, 40, 8, noise=0.5)
    several = np.stack([y & 1, y & 2, y & 4], 1) > 0
    names = [[name for name, there in zip("abc", row, strict=True) if there] for row in several]
    learn = rows(x, names)
    learn.metrics = accuracy_thresh
    learn.fit_ridge(GRID)
    scaler = StandardScaler().fit(x[:150])
    theirs = RidgeClassifierCV(alphas=GRID).fit(
        scaler.transform(x[:150]), several[:150].astype(int)
    )
    wanted = theirs.predict(scaler.transform(x[150:]))
    assert learn.history[-1]["alpha"] == theirs.alpha_
    assert ((outputs(learn, x[150:]) > 0) == wanted).all()
    assert 0.7 < (wanted == several[150:]).mean() == pytest.approx(learn.validate()[1])


def test_numbers_of_other_units_are_met_alike():
    x, _ = drawn(200, 20, 2)
    rng = np.random.default_rng(1)
    y = (x / x.std(0)) @ rng.normal(size=(20, 2)) + rng.normal(size=(200, 2)) * [0.1, 50]
    y = (y * [1.0, 1e4] + [0.0, 3e5]).astype(np.float32)
    learn = rows(x, y).fit_ridge(GRID)
    scaler, unit = StandardScaler().fit(x[:150]), y[:150].std(0)
    theirs = RidgeCV(alphas=GRID).fit(scaler.transform(x[:150]), y[:150] / unit)
    wanted = theirs.predict(scaler.transform(x[150:]))
    assert learn.history[-1]["alpha"] == theirs.alpha_
    np.testing.assert_allclose(outputs(learn, x[150:]) / unit, wanted, atol=2e-3)
    assert "factor" not in learn.history[-1]
    assert learn.validate()[0] == pytest.approx(learn.history[-1]["valid_loss"])


# How sure it is.


@pytest.mark.filterwarnings("ignore:the temperature")  # it might as well be 1
@pytest.mark.parametrize("several", [False, True])
def test_probabilities_are_honest_on_items_that_it_has_not_seen(several):
    x, y = drawn(1500, 120, 4, noise=2.0)
    y = [["ab", "a", "b", ""][c] for c in y] if several else y
    y = [list(tags) for tags in y] if several else y
    learn = rows(x, y, train=300).fit_ridge()
    factor = learn.history[-1]["factor"]
    assert not 0.5 < factor < 2  # the scores themselves are no logits
    found = learn.calibrate()
    assert 0.8 < found.temperature < 1.25
    assert found.error[0] < 0.06


def test_where_all_are_right_it_is_as_sure_as_so_many_items_allow():
    for n in (20, 200):
        x, y = drawn(n + 20, 60, 2, noise=0.05)
        learn = rows(x, y, train=n)
        learn.metrics = accuracy
        learn.fit_ridge()
        assert learn.history[-1]["accuracy"] == 1.0
        sure = float(learn.get_preds()[0].max(1).values.mean())
        assert sure == pytest.approx((n + 1) / (n + 2), abs=0.5 / n)


def test_scores_that_say_nothing_are_told_and_make_no_difference():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(60, 30)).astype(np.float32), np.arange(60) % 2
    learn = rows(x, y)
    with pytest.warns(OnecycleWarning, match="the scores of 45 training items, each by a layer"):
        learn.fit_ridge([1e3])
    assert float((learn.get_preds()[0] - 0.5).abs().max()) < 0.1


# The learner afterwards.


@pytest.fixture(scope="module")
def fitted(folder, tmp_path_factory):
    learn = learner(folder, lin_ftrs=[], drop=0.5, path=tmp_path_factory.mktemp("ridge"))
    return weights(learn), learn.fit_ridge()


def test_it_learns_and_leaves_the_body(fitted):
    before, learn = fitted
    assert learn.history[-1]["accuracy"] > 0.9
    changed = differences(weights(learn), before)
    assert changed
    assert all(name.startswith("1.") for name in changed)


def test_validation_file_and_one_item_answer_alike(fitted, folder):
    _, learn = fitted
    row = learn.history[-1]
    assert [row["valid_loss"], row["accuracy"]] == pytest.approx(learn.validate(), abs=1e-6)
    assert learn.recorder.val_losses == [row["valid_loss"]]
    assert learn.recorder.metrics == [[row["accuracy"]]]
    assert 0 < row["train_loss"] < row["valid_loss"] + 1
    predictor = Predictor(learn.export("ridge.onnx"))
    for file in sorted(folder.glob("*/*.png"))[::9]:
        answer, _, shares = learn.predict(file)
        found = predictor.predict(file)
        assert found.answer == answer
        np.testing.assert_allclose(found.probabilities, shares.numpy(), atol=2e-3)
    learn.save("ridge")
    other = learner(folder, lin_ftrs=[], drop=0.5, path=learn.path).load("ridge")
    assert other.validate() == pytest.approx(learn.validate())


def test_training_goes_on_from_it(folder):
    learn = learner(folder, lin_ftrs=[])
    learn.fit(1, 1e-2)
    learn.fit_ridge()
    assert learn.opt is None
    before = learn.history[-1]["valid_loss"]
    learn.fit(1, 1e-6, cache_features=True)
    assert learn.history[-1]["valid_loss"] == pytest.approx(before, rel=0.2)
    assert [row["epoch"] for row in learn.history] == [0, 0, 0]


def test_what_was_chosen_is_said(folder, capsys):
    learn = learner(folder, lin_ftrs=[])
    learn.silent = False
    learn.fit_ridge([5.0, 0.5])
    text, row = capsys.readouterr().out, learn.history[-1]
    end = {0.5: "the least given", 5.0: "the largest given"}[row["alpha"]]
    said = f"45 training items, alpha {row['alpha']:.4g}, {end}, by leaving one out; scores times"
    assert f"{said} {row['factor']:.4g} for probabilities" in text
    assert f"{row['accuracy']:.6f}" in text
    learn.silent = True
    learn.fit_ridge([2.0])
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("ignore:the temperature")
def test_a_temperature_of_other_weights_is_dropped(folder):
    learn = learner(folder, lin_ftrs=[])
    learn.fit(1, 1e-3, cache_features=True)
    learn.calibrate()
    assert learn.task.target.temperature != 1
    with pytest.raises(UsageError, match="alphas"):
        learn.fit_ridge([])
    assert learn.task.target.temperature != 1
    with pytest.warns(OnecycleWarning, match=r"fit_ridge\(\) changes the weights") as caught:
        learn.fit_ridge()
    assert caught[0].filename == __file__
    assert learn.task.target.temperature == 1


# What it refuses, with all left as it was.


def refused(learn, match, alphas=ALPHAS, kind=UsageError):
    before, rows = weights(learn), list(learn.history)
    with pytest.raises(kind, match=match):
        learn.fit_ridge(alphas)
    assert differences(weights(learn), before) == []
    assert learn.history == rows


def test_other_bodies_and_heads_are_refused(folder):
    refused(learner(folder), r"one linear layer.* BatchNorm1d, Linear, ReLU.*lin_ftrs=\[\]")
    refused(learner(folder, lin_ftrs=[]).unfreeze(), r"fit_ridge\(\) stores .*freeze\(\)")
    refused(learner(folder, lin_ftrs=[], bn_final=True), "one linear layer")
    x, y = drawn(40, 6, 2)
    for head in (
        nn.Linear(6, 2, bias=False),
        nn.Sequential(nn.BatchNorm1d(6, track_running_stats=False), nn.Linear(6, 2)),
        nn.Flatten(),
    ):
        refused(rows(x, y, head), "one linear layer")
    learn = rows(x[:, None], y, nn.Linear(6, 2))
    refused(learn, r"takes 6 features an item, .* gives \(1, 6\)")
    learn.model = nn.Linear(6, 2)
    refused(learn, r"fit_ridge\(\) is for a body with a head")


def test_other_losses_samplers_callbacks_and_processes_are_refused(folder):
    learn = learner(folder, lin_ftrs=[])
    learn.loss_func = balanced_loss(learn.data)
    refused(learn, "a loss of its own")
    learn.loss_func = None
    learn.engine.processes = 2
    refused(learn, r"fit_ridge\(\) is for one process")
    learn.engine = Engine(learn.data.device)
    refused(learner(folder, lin_ftrs=[], sampler="balanced"), "takes each item once")
    refused(learner(folder, lin_ftrs=[]).mixup(), "so that MixUp would have no part")
    learn.callbacks = [SaveModel()]
    refused(learn, "so that SaveModel would")
    learn.callbacks.clear()
    for wrong in ((), "12", 3.0, (1.0, 0.0), (float("nan"),)):
        refused(learn, "alphas", wrong)


class Squared(Numbers):
    """Numbers with a loss of their own."""

    def loss(self, outputs, y, reduction="mean"):
        return super().loss(outputs, y.square(), reduction)


class Inverse(nn.Module):
    """A body that divides by what may be zero."""

    def forward(self, x):
        return 1 / x


def test_labels_and_features_that_nothing_can_be_learnt_from_are_refused():
    x, y = drawn(40, 6, 2)
    one = [["a", "b"]] * 30 + [["a"]] * 10
    refused(rows(x, one), "all 30 .* the same label")
    refused(rows(x, np.arange(40) % 2, train=2), "three or more, not 2")
    learn = rows(x, x[:, 0] / 2)
    learn.fit_ridge()
    tune(learn, Squared(learn.task.target.names))
    refused(learn, "not for a numbers")
    x[[3, 5], 1] = 0
    learn = rows(x, y)
    learn.model = nn.Sequential(Inverse(), learn.model[1])
    refused(learn, "no finite numbers, of 2 of 30 training", kind=TrainingError)
