"""Metrics equal scikit-learn's over the whole set, and never touch training."""

import random
import re
from functools import partial

import numpy as np
import pytest
import torch
from learn_helpers import differences, tiny_learner, weights
from sklearn import metrics as sk

from onecycle.core.errors import EmptyDataError, OnecycleWarning, UsageError
from onecycle.data.arrays import from_arrays
from onecycle.data.targets import Category, MultiCategory
from onecycle.learn import metrics as ours
from onecycle.learn.evaluate import evaluate
from onecycle.learn.learner import Learner
from onecycle.learn.metric import (
    name_of,
    names_of,
    needs_whole_set,
    warn_of_thresholds,
    whole_set,
)
from onecycle.models.head import mlp

NEAR = {"rel": 0, "abs": 1e-6}
N, C = 103, 5  # the batches of 8 leave 7 over


@pytest.fixture
def tags():
    """(outputs, y) for several labels: one label nearly always true, one rarely."""
    rng = torch.Generator().manual_seed(1)
    rates = torch.tensor([0.9, 0.5, 0.3, 0.2, 0.05])
    y = (torch.rand(N, C, generator=rng) < rates).float()
    outputs = (y - 0.5) * 1.5 + torch.randn(N, C, generator=rng)
    return (outputs * 4).round() / 4, y  # rounded, so that scores are tied


@pytest.fixture
def classes():
    """(outputs, y) for one class of five, class 0 most often."""
    rng = torch.Generator().manual_seed(2)
    y = torch.multinomial(torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05]), N, True, generator=rng)
    return torch.eye(C)[y] * 1.2 + torch.randn(N, C, generator=rng), y


@pytest.fixture
def numbers():
    rng = torch.Generator().manual_seed(3)
    y = torch.randn(N, 2, generator=rng) * torch.tensor([1.0, 7.0]) + 3
    return y + torch.randn(N, 2, generator=rng), y


def whole(metric, pair):
    """The metric as a learner computes it, over batches of 8."""
    outputs, y = pair
    batches = zip(outputs.split(8), y.split(8), strict=True)
    (_, value) = evaluate(batches, None, [metric])
    return value


def mean_of_batches(metric, pair):
    outputs, y = pair
    values = [float(metric(o, t)) for o, t in zip(outputs.split(8), y.split(8), strict=True)]
    return sum(values) / len(values)


def predicted(pair, thresh):
    return (pair[0].sigmoid() > thresh).numpy(), pair[1].numpy() > 0.5


def test_accuracy_and_its_kin(classes):
    outputs, y = classes
    right = sk.accuracy_score(y, outputs.argmax(1))
    assert whole(ours.accuracy, classes) == pytest.approx(right, **NEAR)
    assert whole(ours.error_rate, classes) == pytest.approx(1 - right, **NEAR)
    best = sk.top_k_accuracy_score(y, outputs.numpy(), k=2)
    assert whole(partial(ours.top_k_accuracy, k=2), classes) == pytest.approx(best, **NEAR)


@pytest.mark.parametrize("thresh", [0.2, 0.5])
def test_the_share_of_right_decisions(tags, thresh):
    p, t = predicted(tags, thresh)
    metric = partial(ours.accuracy_thresh, thresh=thresh)
    assert whole(metric, tags) == pytest.approx((p == t).mean(), **NEAR)


@pytest.mark.parametrize("beta", [0.5, 1, 2])
@pytest.mark.parametrize("thresh", [0.2, 0.6])
def test_fbeta_is_the_mean_over_items(tags, beta, thresh):
    p, t = predicted(tags, thresh)
    wanted = sk.fbeta_score(t, p, beta=beta, average="samples", zero_division=0)
    metric = partial(ours.fbeta, beta=beta, thresh=thresh)
    assert whole(metric, tags) == pytest.approx(wanted, **NEAR)


def test_fbeta_by_default_is_planets_f2_at_a_fifth(tags):
    p, t = predicted(tags, 0.2)
    wanted = sk.fbeta_score(t, p, beta=2, average="samples", zero_division=0)
    assert whole(ours.fbeta, tags) == pytest.approx(wanted, **NEAR)


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_of_several_labels(tags, name, average):
    p, t = predicted(tags, 0.3)
    wanted = getattr(sk, f"{name}_score")(t, p, average=average, zero_division=0)
    metric = partial(getattr(ours, name), average=average, thresh=0.3)
    assert whole(metric, tags) == pytest.approx(wanted, **NEAR)


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_of_one_class(classes, name, average):
    p, t = classes[0].argmax(1), classes[1]
    wanted = getattr(sk, f"{name}_score")(t, p, average=average, zero_division=0)
    assert whole(partial(getattr(ours, name), average=average), classes) == pytest.approx(
        wanted, **NEAR
    )


@pytest.mark.parametrize("name", ["accuracy_thresh", "fbeta", "precision"])
def test_probabilities_where_logits_are_wanted_are_counted(tags, name):
    metric, (outputs, y) = getattr(ours, name), tags
    shares = outputs.sigmoid()
    with pytest.warns(OnecycleWarning, match=f"all {N * C} outputs lie in 0-1.*sigmoid=False"):
        wrong = metric(shares, y, thresh=0.4)
    right = metric(shares, y, thresh=0.4, sigmoid=False)  # and nothing is said of these
    assert float(right) == pytest.approx(float(metric(outputs, y, thresh=0.4)))
    assert float(wrong) != pytest.approx(float(right))
    metric(shares[:9, :2], y[:9, :2])  # few values may all lie in 0-1
    metric(torch.zeros(N, C), y)  # as a network's that has learned nothing


def test_a_remark_on_probabilities_points_at_the_line_that_asked(tags):
    with pytest.warns(OnecycleWarning) as caught:
        ours.accuracy_thresh(tags[0].sigmoid(), tags[1])
    assert caught[0].filename == __file__


def test_areas_of_several_labels(tags):
    p, t = tags[0].sigmoid(), tags[1]
    assert whole(ours.auroc, tags) == pytest.approx(sk.roc_auc_score(t, p), **NEAR)
    wanted = sk.average_precision_score(t, p, average="macro")
    assert whole(ours.average_precision, tags) == pytest.approx(wanted, **NEAR)


def test_areas_of_one_class_are_one_against_the_rest(classes):
    p, t = classes[0].softmax(1), classes[1]
    wanted = sk.roc_auc_score(t, p, multi_class="ovr", average="macro")
    assert whole(ours.auroc, classes) == pytest.approx(wanted, **NEAR)
    wanted = sk.average_precision_score(t, p, average="macro")
    assert whole(ours.average_precision, classes) == pytest.approx(wanted, **NEAR)


def test_areas_of_two_classes_are_those_of_the_second():
    rng = torch.Generator().manual_seed(4)
    y = (torch.rand(N, generator=rng) < 0.2).long()
    outputs = torch.randn(N, 2, generator=rng) + torch.eye(2)[y]
    p = outputs.softmax(1)[:, 1]
    assert whole(ours.auroc, (outputs, y)) == pytest.approx(sk.roc_auc_score(y, p), **NEAR)
    wanted = sk.average_precision_score(y, p)
    assert whole(ours.average_precision, (outputs, y)) == pytest.approx(wanted, **NEAR)


def test_a_label_that_is_never_true_is_left_out_of_the_areas(tags):
    outputs, y = tags
    y[:, 2] = 0
    kept = [0, 1, 3, 4]
    wanted = sk.roc_auc_score(y[:, kept], outputs[:, kept])
    assert whole(ours.auroc, (outputs, y)) == pytest.approx(wanted, **NEAR)


def test_errors_of_numbers(numbers):
    given, wanted = numbers
    assert whole(ours.mse, numbers) == pytest.approx(sk.mean_squared_error(wanted, given), **NEAR)
    assert whole(ours.mae, numbers) == pytest.approx(sk.mean_absolute_error(wanted, given), **NEAR)
    root = sk.mean_squared_error(wanted, given) ** 0.5
    assert whole(ours.rmse, numbers) == pytest.approx(root, **NEAR)
    assert whole(ours.r2, numbers) == pytest.approx(sk.r2_score(wanted, given), **NEAR)


def test_the_value_of_the_whole_set_is_not_the_mean_of_the_batches(tags, numbers):
    for metric in (ours.auroc, ours.average_precision, ours.f1, ours.precision, ours.recall):
        assert abs(whole(metric, tags) - mean_of_batches(metric, tags)) > 1e-3
    for metric in (ours.rmse, ours.r2):
        assert abs(whole(metric, numbers) - mean_of_batches(metric, numbers)) > 1e-3


def test_a_function_is_averaged_by_items_and_not_by_batches():
    """Batches of 8 and 1: (8 * 1 + 1 * 10) / 9 = 2."""
    values = torch.tensor([1.0] * 8 + [10.0])[:, None]
    batches = [(values[:8], values[:8]), (values[8:], values[8:])]
    assert evaluate(batches, None, [lambda outputs, y: outputs.mean()]) == [None, 2.0]


def test_a_function_of_the_user_can_ask_for_the_whole_set():
    @whole_set
    def most(outputs, y, factor=1):
        return outputs.max() * factor * (len(y) == 9)

    pairs = [(torch.arange(8.0), torch.zeros(8)), (torch.tensor([3.0]), torch.zeros(1))]
    assert evaluate(pairs, None, [most, partial(most, factor=2)]) == [None, 7.0, 14.0]


class LikeTorchmetrics:
    """Counts items; as torchmetrics' objects it has reset, update and compute."""

    def __init__(self):
        self.count = 99

    def reset(self):
        torch.rand(1)
        self.count = 0

    def update(self, outputs, y):
        self.count += len(y)

    def compute(self):
        return torch.tensor(float(self.count))


def test_an_object_like_torchmetrics_starts_afresh_each_time(multi):
    learn = tiny_learner(multi, metrics=LikeTorchmetrics())
    learn.fit(2, 1e-3)
    assert [row["liketorchmetrics"] for row in learn.history] == [12.0, 12.0]


def test_the_column_of_a_partial_has_the_inner_functions_name():
    assert name_of(partial(partial(ours.fbeta, thresh=0.2), beta=1)) == "fbeta"
    assert name_of(partial(ours.precision, average="micro")) == "precision"
    assert name_of(LikeTorchmetrics()) == "liketorchmetrics"
    assert needs_whole_set(partial(ours.f1, average="micro"))
    assert not needs_whole_set(partial(ours.fbeta, beta=1))


def test_two_columns_never_share_a_name(multi):
    strict, lax = (partial(ours.accuracy_thresh, thresh=t) for t in (0.0, 1.0))
    assert names_of([strict, lax, ours.fbeta, lax]) == [
        "accuracy_thresh",
        "accuracy_thresh 2",
        "fbeta",
        "accuracy_thresh 3",
    ]
    learn = tiny_learner(multi, metrics=[strict, lax])
    learn.fit(1, 1e-3)
    row = learn.history[0]
    assert row["accuracy_thresh"] + row["accuracy_thresh 2"] == pytest.approx(1, **NEAR)
    assert learn.recorder.metrics == [[row["accuracy_thresh"], row["accuracy_thresh 2"]]]


def test_one_function_a_list_or_a_tuple(multi):
    for given in (ours.fbeta, [ours.fbeta], (ours.fbeta,)):
        learn = tiny_learner(multi, metrics=given)
        assert learn.validate() == tiny_learner(multi).validate(metrics=given)
        assert len(learn.validate()) == 2


def test_an_unknown_average_is_refused(tags):
    with pytest.raises(UsageError, match=r"macro, weighted, micro.*'harmonic'"):
        ours.f1(*tags, average="harmonic")


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(EmptyDataError):
        evaluate([], None, [ours.accuracy])


# --- looking does not touch training ----------------------------------------------------------


def meddling(outputs, y):
    """Draws from every generator there is, and edits what it is given."""
    np.random.shuffle(np.arange(5))
    value = torch.rand(1) + random.random() + np.random.rand()
    torch.manual_seed(int(value * 1000))
    outputs.zero_()
    y.fill_(7)
    return value


class MeddlingObject(LikeTorchmetrics):
    def reset(self):
        super().reset()
        meddling(torch.ones(2), torch.ones(2))

    def update(self, outputs, y):
        meddling(outputs, y)

    def compute(self):
        return meddling(torch.ones(2), torch.ones(2))


@pytest.mark.parametrize("metric", [meddling, whole_set(meddling), MeddlingObject()])
def test_a_metric_that_draws_and_edits_leaves_the_weights_bit_identical(
    multi_src, make_bunch, metric
):
    learners = []
    for metrics in ([], [metric, ours.fbeta], [ours.fbeta]):
        learn = tiny_learner(make_bunch(multi_src), dropout=0.5, metrics=metrics)
        torch.manual_seed(11)
        np.random.seed(11)
        random.seed(11)
        learn.mixup().fit_one_cycle(2, 1e-2)
        drawn = torch.rand(1).item(), np.random.rand(), random.random()
        learners.append((weights(learn), drawn, learn))
    plain, meddled, honest = learners
    assert differences(plain[0], meddled[0]) == []
    assert plain[1] == meddled[1]
    for with_metric, alone in zip(meddled[2].history, honest[2].history, strict=True):
        assert with_metric["fbeta"] == alone["fbeta"]
        assert with_metric["valid_loss"] == alone["valid_loss"]


def test_a_metric_for_the_other_kind_of_labels_says_which_suit(tags, classes):
    for metric in (ours.accuracy, ours.error_rate, ours.top_k_accuracy):
        with pytest.raises(UsageError, match="accuracy_thresh"):
            metric(*tags)
    for metric in (ours.accuracy_thresh, ours.fbeta):
        with pytest.raises(UsageError, match="error_rate"):
            metric(*classes)


def test_a_name_is_no_metric_and_refused_before_training(multi):
    with pytest.raises(UsageError, match="'accuracy'"):
        tiny_learner(multi, metrics="accuracy")


@pytest.mark.parametrize(
    ("metrics", "by"),
    [
        ([partial(ours.fbeta, thresh=0.3)], "'fbeta by 0.3'"),
        ([ours.fbeta, partial(ours.f1, thresh=0.4)], "'fbeta by 0.2', 'f1 by 0.4'"),
        ([ours.fbeta, partial(ours.accuracy_thresh, thresh=0.5)], None),
        ([ours.auroc, ours.accuracy_thresh, ours.f1], None),
        ([], None),
    ],
)
def test_metrics_that_decide_otherwise_than_the_answers_are_named(metrics, by):
    tags, one = MultiCategory(("a", "b", "c")), Category(("a", "b", "c"))
    if by is None:
        warn_of_thresholds(metrics, tags, 1)  # warnings are errors here
    else:
        with pytest.warns(OnecycleWarning, match=re.escape(f"by others ({by})")):
            warn_of_thresholds(metrics, tags, 1)
    warn_of_thresholds(metrics, one, 1)
    warn_of_thresholds(metrics, one.with_threshold(0.7), 1)  # where it means "not sure"


def test_thresholds_that_were_chosen_are_compared_too_also_by_label():
    tags = MultiCategory(("a", "b", "c"))
    chosen, by_label = tags.with_threshold(0.7), tags.with_threshold({"a": 0.2, "b": 0.3})
    with pytest.warns(OnecycleWarning, match=r"threshold of 0\.7, .*'accuracy_thresh by 0\.5'"):
        warn_of_thresholds([ours.accuracy_thresh], chosen, 1)
    with pytest.warns(OnecycleWarning, match=r"by thresholds by label, .*'fbeta by 0\.2'"):
        warn_of_thresholds([ours.fbeta, ours.accuracy_thresh], by_label, 1)
    own = partial(ours.fbeta, thresh=by_label.thresh)
    warn_of_thresholds([own, ours.accuracy_thresh], by_label, 1)
    warn_of_thresholds([partial(ours.fbeta, thresh=0.7)], chosen, 1)
    warn_of_thresholds([ours.fbeta], tags.with_threshold([0.2] * 3), 1)
    with pytest.warns(OnecycleWarning, match="by others"):
        warn_of_thresholds([partial(ours.fbeta, thresh=(0.2, 0.3))], by_label, 1)


@pytest.mark.parametrize("metric", [ours.fbeta, ours.accuracy_thresh, ours.f1])
def test_a_metric_may_have_a_threshold_for_each_label(metric):
    shares = torch.tensor([[0.25, 0.35, 0.9], [0.1, 0.5, 0.4], [0.8, 0.1, 0.6]])
    y = torch.tensor([[1.0, 0, 1], [0, 1, 0], [1, 1, 1]])
    limits = (0.2, 0.4, 0.5)
    decided = (shares > torch.tensor(limits)).float()
    wanted = metric(decided, y, thresh=0.5, sigmoid=False)
    assert metric(shares.logit(), y, thresh=limits) == wanted
    assert metric(shares.logit(), y) != wanted
    with pytest.raises(UsageError, match="from 0 to 1"):
        metric(shares, y, thresh=(0.2, 0.4, 50))


def test_an_export_says_that_its_metrics_decide_otherwise(tmp_path, monkeypatch):
    tags = [["a", "b"], ["b"], ["a"], ["c", "a"]] * 5
    data = from_arrays(np.eye(4)[np.arange(20) % 4], tags, bs=4)
    learn = Learner(data, mlp([4, 3]), metrics=partial(ours.fbeta, thresh=0.3), silent=True)
    write = lambda learner, path, *options: path.write_bytes(b"")  # noqa: E731
    monkeypatch.setattr("onecycle.learn.exporting.export", write)
    with pytest.warns(OnecycleWarning, match=r"with_threshold\(0\.3\)") as caught:
        learn.export(tmp_path / "m.onnx")
    assert caught[0].filename == __file__
    learn.with_threshold(0.3).export(tmp_path / "m.onnx")  # and nothing is said
