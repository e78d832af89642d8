"""Metrics of scikit-learn and torchmetrics as they are: over the whole set, or a clear word."""

import sys
from functools import partial
from types import ModuleType

import numpy as np
import pytest
import torch
from learn_helpers import tiny_learner
from sklearn import metrics as sk
from torch import nn

from onecycle import Learner, from_arrays, mlp
from onecycle.core.errors import UsageError
from onecycle.learn.callbacks import SaveModel
from onecycle.learn.evaluate import evaluate
from onecycle.learn.metrics import accuracy, f1, whole_set
from onecycle.vision.targets import Mask


def arrays(kind, n=44):
    """30 rows to train on, 14 to validate; classes, two classes, tags or numbers."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    y = {
        "three": np.array(["a", "b", "c"])[x[:, :3].argmax(1)],
        "two": np.where(x[:, 0] > 0.5, "yes", "no"),
        "tags": [[t for t, v in zip("pqr", row[:3], strict=True) if v > 0] for row in x],
        "numbers": x[:, :2] @ np.float32([[1, 2], [3, 4]]),
        "number": x[:, 0] * 2 + 0.1,
    }[kind]
    return from_arrays(x[:30], y[:30], x[30:], y[30:], bs=8, device="cpu")


def learner(kind, metrics, **options):
    data = arrays(kind)
    torch.manual_seed(1)
    return Learner(data, mlp([4, 8, data.c]), metrics=metrics, silent=True, **options)


def outputs_said(learn):
    """(probabilities, labels) of the validation set, and the classes, by the learner itself."""
    probabilities, y = learn.get_preds()
    return probabilities.numpy(), y.numpy()


# --- scikit-learn's -----------------------------------------------------------------------------


def test_functions_of_decided_classes_see_the_whole_set():
    macro = partial(sk.f1_score, average="macro")
    learn = learner("three", [macro, sk.cohen_kappa_score, sk.matthews_corrcoef, accuracy])
    learn.fit(1, 1e-2)
    p, y = outputs_said(learn)
    row = learn.history[-1]
    predicted = p.argmax(1)
    assert row["f1_score"] == pytest.approx(sk.f1_score(y, predicted, average="macro"))
    assert row["cohen_kappa_score"] == pytest.approx(sk.cohen_kappa_score(y, predicted))
    assert row["matthews_corrcoef"] == pytest.approx(sk.matthews_corrcoef(y, predicted))
    assert learn.validate()[1:4] == [row[n] for n in list(row)[3:6]]


def test_what_is_actual_comes_first():
    """Precision and recall would change places."""
    learn = learner("two", [sk.precision_score, sk.recall_score])
    learn.model[-1].bias.data = torch.tensor([0.0, 0.3])  # "yes" more often than it is true
    p, y = outputs_said(learn)
    assert 0 < p.argmax(1).mean() != y.mean()
    wanted = [f(y, p.argmax(1), zero_division=0) for f in (sk.precision_score, sk.recall_score)]
    assert wanted[0] != wanted[1]
    assert learn.validate()[1:] == pytest.approx(wanted)


def test_functions_of_scores_get_probabilities_of_two_classes_the_second():
    learn = learner("two", [sk.roc_auc_score, sk.average_precision_score, sk.log_loss])
    learn.fit(2, 1e-2)
    p, y = outputs_said(learn)
    wanted = [sk.roc_auc_score(y, p[:, 1]), sk.average_precision_score(y, p[:, 1])]
    assert learn.validate()[1:] == pytest.approx([*wanted, sk.log_loss(y, p)], rel=1e-5)


def test_functions_of_scores_of_more_classes():
    over = partial(sk.roc_auc_score, multi_class="ovr")
    learn = learner("three", [over, sk.log_loss])
    p, y = outputs_said(learn)
    assert learn.validate()[1:] == pytest.approx(
        [sk.roc_auc_score(y, p, multi_class="ovr"), sk.log_loss(y, p)], rel=1e-5
    )


@pytest.mark.parametrize("thresh", [0.3, 0.6])
def test_of_several_labels_the_learners_threshold_decides(thresh):
    how = {"average": "samples", "zero_division": 0}
    learn = learner("tags", [sk.hamming_loss, partial(sk.f1_score, **how), sk.roc_auc_score])
    learn.with_threshold(thresh)
    p, y = outputs_said(learn)
    wanted = [sk.hamming_loss(y, p > thresh), sk.f1_score(y, p > thresh, **how)]
    assert learn.validate()[1:] == pytest.approx([*wanted, sk.roc_auc_score(y, p)])


@pytest.mark.parametrize("kind", ["number", "numbers"])
def test_of_numbers_the_values(kind):
    learn = learner(kind, [sk.r2_score, sk.mean_absolute_error, sk.median_absolute_error])
    p, y = outputs_said(learn)
    functions = (sk.r2_score, sk.mean_absolute_error, sk.median_absolute_error)
    assert learn.validate()[1:] == pytest.approx([f(y, p) for f in functions], rel=1e-5)


def test_of_masks_the_pixels_that_count():
    target = Mask(classes=("a", "b", "void"), void=2)
    y = torch.tensor([[[[0, 1], [2, 1]]], [[[-100, 0], [0, 1]]]])
    outputs = nn.functional.one_hot(torch.tensor([[[0, 0], [1, 1]], [[1, 0], [0, 1]]]), 3).float()
    outputs = outputs.movedim(-1, 1)
    metrics = [sk.accuracy_score, partial(sk.jaccard_score, average="macro")]
    _, right, shared = evaluate([(outputs, y)], None, metrics, target)
    assert right == pytest.approx(5 / 6)
    assert shared == pytest.approx((3 / 4 + 2 / 3) / 2)


def test_a_mark_of_the_user_changes_nothing():
    found = learner("two", [whole_set(sk.recall_score), sk.recall_score]).validate()
    assert found[1] == found[2]


def test_what_scikit_learn_refuses_says_how_to_give_options():
    learn = learner("three", sk.f1_score)
    with pytest.raises(UsageError, match=r"f1_score cannot .*average=.*partial\(f1_score, \.\.\."):
        learn.validate()


def test_a_scorer_is_refused_before_training_with_what_to_write():
    with pytest.raises(UsageError, match=r"scores estimators.*partial\(sklearn\.metrics\.f1_score"):
        learner("two", sk.get_scorer("f1_macro"))


def test_their_direction_is_known(tmp_path):
    learn = learner("two", [sk.brier_score_loss, sk.f1_score], path=tmp_path)
    save = [SaveModel(learn, "brier_score_loss", name="a"), SaveModel(learn, "f1_score", name="b")]
    learn.fit(1, 1e-2, callbacks=save)
    assert [callback.sign for callback in save] == [-1, 1]
    other = learner("two", sk.matthews_corrcoef, path=tmp_path)
    with pytest.raises(UsageError, match='mode="max"'):
        other.fit(1, 1e-2, callbacks=[SaveModel(other, "matthews_corrcoef")])


# --- torchmetrics' ------------------------------------------------------------------------------


class Share(nn.Module):
    """Right answers, as an object of torchmetrics counts them; a module, as theirs are."""

    higher_is_better = True

    def __init__(self, turned=False):
        super().__init__()
        self.turned, self.seen = turned, []
        self.reset()

    def reset(self):
        self.right = self.count = 0

    def update(self, preds, target):
        self.seen.append((preds, target))
        self.right += int((preds.argmax(1) == target).sum())
        self.count += len(target)

    def compute(self):
        share = torch.tensor(self.right / self.count)
        return 1 - share if self.turned else share


class Collection(nn.ModuleDict):
    """What torchmetrics' MetricCollection does: several metrics, results as a dict."""

    def __init__(self, metrics):
        super().__init__()
        for name, metric in metrics.items():
            self[name] = metric

    def reset(self):
        for metric in self.values():
            metric.reset()

    def update(self, *args):
        for metric in self.values():
            metric.update(*args)

    def compute(self):
        return {name: metric.compute() for name, metric in self.items()}


def test_a_collection_has_a_column_for_each_of_its_metrics(tmp_path):
    wrong = Share(turned=True)
    wrong.higher_is_better = False
    learn = learner("three", [Collection({"Right": Share(), "Wrong": wrong}), accuracy],
                    path=tmp_path)  # fmt: skip
    save = SaveModel(learn, "Wrong")
    learn.fit(2, 1e-2, callbacks=[save])
    row = learn.history[-1]
    assert list(row) == ["epoch", "train_loss", "valid_loss", "Right", "Wrong", "accuracy",
                         "seconds"]  # fmt: skip
    assert row["Right"] == pytest.approx(row["accuracy"])
    assert row["Wrong"] == pytest.approx(1 - row["accuracy"])
    assert save.sign == -1
    assert learn.recorder.metrics[-1] == [row["Right"], row["Wrong"], row["accuracy"]]
    assert learn.validate()[1:] == [row["Right"], row["Wrong"], row["accuracy"]]


def test_two_collections_do_not_share_columns():
    both = [Collection({"Right": Share()}), Collection({"Right": Share(), "Other": Share()})]
    assert learner("three", both).recorder.metric_names == ["Right", "Right 2", "Other"]


def test_a_collection_that_computes_something_else_says_so():
    class Odd(Collection):
        def compute(self):
            return {"a": 1.0, "b": 2.0}

    with pytest.raises(UsageError, match="collection of Right computes a, b"):
        learner("three", Odd({"Right": Share()})).validate()


def test_an_object_of_the_users_own_gets_outputs_and_labels_as_they_are(multi):
    class Kept(Share):
        def update(self, preds, target):
            self.seen.append((preds, target))
            self.count = 1

    own = Kept()
    tiny_learner(multi).validate(metrics=own)
    assert {target.dtype for _, target in own.seen} == {torch.float32}
    assert any(float(preds.min()) < 0 for preds, _ in own.seen)


def test_an_object_of_torchmetrics_gets_probabilities_and_whole_numbers(multi, monkeypatch):
    """As torchmetrics wants several labels; outputs that all lie in 0-1 would be taken for such."""
    monkeypatch.setitem(sys.modules, "torchmetrics", ModuleType("torchmetrics"))
    theirs = type("F1", (Share,), {"__module__": "torchmetrics.classification"})()
    theirs.update = lambda preds, target: theirs.seen.append((preds, target))
    theirs.count = 1
    theirs.compute = lambda: torch.tensor(0.5)
    learn = tiny_learner(multi, metrics=theirs)
    p, y = learn.get_preds()
    assert learn.validate()[1] == 0.5
    preds, target = (torch.cat(column) for column in zip(*theirs.seen, strict=True))
    torch.testing.assert_close(preds, p)
    assert target.dtype == torch.int64
    assert torch.equal(target, y.long())


# --- what is no metric, or no number ------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["accuracy", ["accuracy"], [accuracy, "F1 score"]])
def test_a_name_is_refused_wherever_it_is_given(single, wrong):
    text = wrong if isinstance(wrong, str) else wrong[-1]
    learn = tiny_learner(single, metrics=accuracy)
    with pytest.raises(UsageError, match=f"not its name '{text}'.*importing"):
        learn.metrics = wrong
    assert learn.metrics == [accuracy]
    with pytest.raises(UsageError, match=f"not its name '{text}'"):
        learn.validate(metrics=wrong)
    with pytest.raises(UsageError, match=f"not its name '{text}'"):
        tiny_learner(single, metrics=wrong)
    learn.metrics.append(text)  # behind the learner's back
    with pytest.raises(UsageError, match=f"not its name '{text}'"):
        learn.fit(1, 1e-3)
    assert learn.history == []


@pytest.mark.parametrize("wrong", [Share, 3, {"a": accuracy}, nn.L1Loss])
def test_what_cannot_be_called_or_is_a_class_is_refused(single, wrong):
    with pytest.raises(UsageError, match="a metric is a function"):
        tiny_learner(single, metrics=wrong)


def test_metrics_can_be_assigned_later(single):
    learn = tiny_learner(single)
    learn.metrics = accuracy
    learn.fit(1, 1e-3)
    assert learn.metrics == [accuracy]
    assert learn.history[0]["accuracy"] == learn.recorder.metrics[0][0]
    learn.metrics = None
    learn.fit(1, 1e-3)
    assert "accuracy" not in learn.history[1]
    learn.metrics.append(accuracy)
    learn.fit(1, 1e-3)
    assert learn.recorder.metrics == [[learn.history[2]["accuracy"]]]


def each_class(outputs, y):
    return (outputs.argmax(1) == y).float()


@pytest.mark.parametrize(
    ("metric", "name"),
    [(partial(f1, average="none"), "f1"), (each_class, "each_class"),
     (whole_set(each_class), "each_class"), (lambda o, y: np.ones(3), "<lambda>"),
     (lambda o, y: [1.0, 2.0], "<lambda>")],
)  # fmt: skip
def test_a_metric_of_several_values_says_how_to_make_one_of_them(single, metric, name):
    with pytest.raises(UsageError, match=rf"'{name}' gave \d+ values .*average=\"macro\""):
        tiny_learner(single, metrics=metric).fit(1, 1e-3)


@pytest.mark.parametrize("wrong", [None, "good", {"f1": 0.5}])
def test_a_metric_that_gives_no_number_says_what_it_gave(single, wrong):
    def odd(outputs, y):
        return wrong

    with pytest.raises(UsageError, match=f"'odd' gave the {type(wrong).__name__}"):
        tiny_learner(single).validate(metrics=odd)


@pytest.mark.parametrize(
    "value", [0.1, np.float64(0.1), np.float32(0.5), np.array([0.25]), torch.tensor([[0.75]]), True]
)
def test_one_number_of_any_kind_is_taken_as_it_is(single, value):
    wanted = value.item() if hasattr(value, "item") else float(value)
    assert tiny_learner(single).validate(metrics=whole_set(lambda o, y: value))[1] == wanted


def test_batches_that_make_no_whole_say_so():
    pairs = [(torch.zeros(2, 3, 4), torch.zeros(2, 4)), (torch.zeros(1, 3, 2), torch.zeros(1, 2))]
    with pytest.raises(UsageError, match=r"'most' wants the whole set.*differ in shape"):
        evaluate(pairs, None, [whole_set(most)])


def most(outputs, y):
    return outputs.max()
