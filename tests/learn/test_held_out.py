"""Intervals of a labelled test side against distributions known otherwise, and looks counted."""

import json
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import nn

from onecycle import DatasetType, Learner, accuracy, auroc, f1, from_arrays, whole_set
from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.data.arrays import TensorList


def scores(n=200, seed=0, right=0.8):
    """Outputs (n, 2) of a classifier that is its input, and labels; so many are right."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    said = np.where(np.arange(n) < round(right * n), y, 1 - y)
    x = np.stack([-said, said], 1) * rng.uniform(0.2, 2, (n, 1))
    return x.astype(np.float32), ["no yes".split()[i] for i in y], y


@pytest.fixture
def learn(tmp_path):
    return learner(*scores()[:2], tmp_path)


def learner(x, names, path, metrics=accuracy, **options):
    """One whose test side is these outputs, in this order."""
    test = TensorList.from_arrays(x, names)
    two = TensorList.from_arrays(x[:2] * 0, ["no", "yes"])
    labelled = two.split_by_list(two, two).with_test(test).label_from_df("label")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OnecycleWarning)
        data = labelled.databunch(bs=2, val_bs=64, path=path, **options)
    return Learner(data, nn.Identity(), metrics=metrics, silent=True)


def test_the_interval_of_an_accuracy_is_that_of_the_binomial_distribution(learn):
    found = learn.evaluate(resamples=20_000)["accuracy"]
    assert found.value == pytest.approx(0.8)
    wanted = stats.binom.ppf([0.025, 0.975], 200, 0.8) / 200
    assert [found.low, found.high] == pytest.approx(wanted, abs=1.01 / 200)
    narrow = learner(*scores()[:2], learn.path / "b").evaluate(resamples=20_000, level=0.5)
    wanted = stats.binom.ppf([0.25, 0.75], 200, 0.8) / 200
    assert [narrow["accuracy"].low, narrow["accuracy"].high] == pytest.approx(
        wanted, abs=1.01 / 200
    )


def test_figures_are_those_of_validate_and_intervals_hold_them(tmp_path):
    x, names, _ = scores(150)
    metrics = [accuracy, auroc, f1, partial(f1, average="macro")]
    learn = learner(x, names, tmp_path, metrics)
    found = learn.evaluate()
    wanted = learn.validate(learn.data.test_dl)
    assert [figure.value for figure in found.figures.values()] == pytest.approx(wanted)
    assert list(found.figures) == ["loss", "accuracy", "auroc", "f1", "f1 2"]
    assert all(figure.low < figure.value < figure.high for figure in found.figures.values())


def test_whole_set_metrics_are_computed_of_the_same_draws_by_scikit_learn(tmp_path):
    x, names, y = scores(90, seed=4)
    found = learner(x, names, tmp_path, auroc).evaluate(resamples=300, seed=11)["auroc"]
    rng, drawn = np.random.default_rng(11), []
    for _ in range(300):
        i = rng.integers(90, size=90)
        drawn.append(roc_auc_score(y[i], x[i, 1] - x[i, 0]))
    assert [found.low, found.high] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=1e-6)


def test_the_loss_is_drawn_with_the_weights_of_its_classes(tmp_path):
    x, names, y = scores(80, seed=2)
    weights = torch.tensor([1.0, 5.0])
    learn = learner(x, names, tmp_path)
    learn.loss_func = nn.CrossEntropyLoss(weights)
    found = learn.evaluate(resamples=200, seed=3)["loss"]
    rng, drawn = np.random.default_rng(3), []
    for _ in range(200):
        i = rng.integers(80, size=80)
        drawn.append(float(learn.loss_func(torch.tensor(x[i]), torch.tensor(y[i]))))
    assert [found.low, found.high] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), rel=1e-5)


def test_groups_are_drawn_whole(tmp_path):
    x, names, _ = scores(200)  # the first 160 are right: of 20 groups of ten 16 are right whole
    learn = learner(x, names, tmp_path)
    groups = [i // 10 for i in range(200)]
    found = learn.evaluate(resamples=20_000, group_by=groups)
    wanted = stats.binom.ppf([0.025, 0.975], 20, 0.8) / 20
    ends = [found["accuracy"].low, found["accuracy"].high]
    assert ends == pytest.approx(wanted, abs=1.01 / 20)
    assert "20 groups of items" in repr(found)


def test_the_seed_says_which_items_are_drawn_and_nothing_else_moves(tmp_path):
    learn = learner(*scores()[:2], tmp_path, accuracy)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), learn.model.training
    with pytest.warns(OnecycleWarning, match="look"):
        found = [learn.evaluate(resamples=200, seed=s)["loss"] for s in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), learn.model.training) == before[1:]


class Right:
    """The share of right answers, in the form of torchmetrics."""

    def reset(self):
        self.right = self.count = 0

    def update(self, outputs, y):
        self.right, self.count = self.right + (outputs.argmax(1) == y).sum(), self.count + len(y)

    def compute(self):
        return self.right / self.count


def test_objects_that_keep_a_state_see_the_same_draws(tmp_path):
    learn = learner(*scores()[:2], tmp_path, [accuracy, Right()])
    _, ours, theirs = learn.evaluate(resamples=200).figures.values()
    found = [(figure.value, figure.low, figure.high) for figure in (ours, theirs)]
    assert found[0] == pytest.approx(found[1])


def spread(outputs, y):
    return outputs[:, 0].std()


def test_what_is_no_mean_of_items_has_no_interval_until_it_is_marked(tmp_path):
    learn = learner(*scores()[:2], tmp_path, [spread, whole_set(spread)])
    rows = list(learn.evaluate(resamples=100).figures.values())
    assert rows[1].low is None
    assert "whole_set" in rows[1].note
    assert rows[2].low < rows[2].value < rows[2].high


def test_draws_without_a_value_are_counted(tmp_path):
    x = scores(12, right=1)[0]
    lone = learner(x, ["yes", *["no"] * 11], tmp_path, auroc).evaluate(resamples=400)["auroc"]
    lost = int(lone.note.split()[1])
    assert lost / 400 == pytest.approx((11 / 12) ** 12, abs=0.1)  # none of 12 is the only positive


def test_all_right_has_no_spread_and_says_what_that_means(tmp_path):
    learn = learner(*scores(30, right=1)[:2], tmp_path)
    found = learn.evaluate(resamples=100)["accuracy"]
    assert (found.value, found.low, found.high) == (1, 1, 1)
    assert found.note == "all 30 agree: what is rarer than 3 in 30 does not show"


def test_a_second_look_is_counted_over_learners_and_programs(tmp_path):
    given = scores(40)[:2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert learner(*given, tmp_path).evaluate(resamples=100).looks == 1
        other = learner(*scores(40, seed=9)[:2], tmp_path)
        assert other.evaluate(resamples=100).looks == 1  # another test side
    with pytest.warns(OnecycleWarning, match=r"look 2 at .* 40 items \(the first: time 20.*, loss"):
        assert learner(*given, tmp_path).evaluate(resamples=100).looks == 2
    noted = json.loads((tmp_path / "models/test_looks.json").read_text())
    assert sorted(map(len, noted.values())) == [1, 2]


def undefined(outputs, y):
    return float("nan")


def test_a_figure_without_a_value_is_noted_too(tmp_path):
    learn = learner(*scores(40)[:2], tmp_path, whole_set(undefined))
    assert learn.evaluate(resamples=100)["undefined"].low is None
    with pytest.warns(OnecycleWarning, match="look 2 .*undefined None"):
        learn.evaluate(resamples=100)


def test_looks_that_cannot_be_read_or_written_are_told(tmp_path):
    learn = learner(*scores(40)[:2], tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/test_looks.json").write_text("[]")
    with pytest.warns(OnecycleWarning, match="counted anew"):
        assert learn.evaluate(resamples=100).looks == 1
    learn.model_dir = "file/below"
    (tmp_path / "file").write_text("")
    with pytest.warns(OnecycleWarning, match="this look at the test set is not counted"):
        learn.evaluate(resamples=100)


def test_a_side_that_was_labelled_elsewhere_is_measured_by_the_learners_own_classes(tmp_path):
    x, names, _ = scores(60)
    learn = learner(x, names, tmp_path)
    items = TensorList.from_arrays(x[:50], names[:50])
    split = items.split_none().with_test(items)
    other = split.label_from_df("label", classes=["yes", "no"]).test  # the other way round
    assert learn.evaluate(other, resamples=100)["accuracy"].value == pytest.approx(48 / 50)


def test_what_has_no_labels_or_no_items_is_an_error(tmp_path):
    x, names, _ = scores(40)
    data = from_arrays(x, names, path=tmp_path)
    learn = Learner(data, nn.Identity(), metrics=accuracy, silent=True)
    with pytest.raises(UsageError, match="there is no test set"):
        learn.evaluate()
    labelled = TensorList.from_arrays(x, names).split_by_rand_pct(0.2, 0).label_from_df("label")
    bunch = labelled.add_test(list(x)).databunch(path=tmp_path, find_copies=False)
    learn = Learner(bunch, nn.Identity(), metrics=accuracy, silent=True)
    with pytest.raises(UsageError, match=r"no labels.*test_pct="):
        learn.evaluate()
    assert learn.evaluate(DatasetType.Valid, resamples=100).looks == 0
    for options in ({"level": 95}, {"resamples": 10}, {"group_by": ["one"] * 8}):
        with pytest.raises(UsageError):
            learn.evaluate(DatasetType.Valid, **options)
    with pytest.raises(UsageError, match="there is no figure 'acc': there are loss, accuracy"):
        learn.evaluate(DatasetType.Valid, resamples=100)["acc"]


def test_groups_of_texts_go_with_their_texts_though_these_come_by_length(tmp_path):
    from onecycle.text import TextList, text_classifier_learner

    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdef"), n)) for n in rng.integers(3, 30, 60)]
    frame = pd.DataFrame({"text": texts, "y": rng.choice(["no", "yes"], 60)})
    split = TextList.from_df(frame, tmp_path, cols="text", min_freq=1).split_by_idx(range(30, 60))
    data = split.with_test(split.valid).label_from_df("y").databunch(bs=8, find_copies=False)
    torch.manual_seed(1)
    learn = text_classifier_learner(
        data, config={"emb_sz": 8, "n_hid": 8, "n_layers": 1}, silent=True, metrics=accuracy
    )
    groups = np.arange(30) // 3
    found = learn.evaluate(resamples=300, group_by=groups)["accuracy"]
    shown, y = learn.get_preds(DatasetType.Test)
    right = (shown.argmax(1) == y).numpy()
    rng, drawn = np.random.default_rng(0), []
    for _ in range(300):
        drawn.append(np.mean([right[groups == g] for g in rng.integers(10, size=10)]))
    assert 0.2 < found.value < 0.8
    assert [found.low, found.high] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=1e-6)
