"""Numbers that make a figure or a decision meaningless are refused: per cents, too large a k."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from learn_helpers import tiny_learner

from onecycle.core.errors import UsageError
from onecycle.data.targets import MultiCategory
from onecycle.learn.metrics import accuracy_thresh, f1, fbeta, precision, recall, top_k_accuracy
from onecycle.runtime.targets.multi_category import MultiCategorySpec

PER_CENT = [50, 1.01, -0.1, float("nan")]


@pytest.mark.parametrize("k", [0, -1, 3, 5])
def test_a_k_of_which_every_class_is_part_is_refused(k):
    outputs, y = torch.eye(3)[[0, 1, 2, 2]], torch.tensor([0, 1, 2, 0])
    assert float(top_k_accuracy(outputs, y, k=1)) == 0.75
    with pytest.raises(UsageError, match=rf"k={k} says nothing of 3 classes.*from 1 to 2"):
        top_k_accuracy(outputs, y, k=k)


@pytest.mark.parametrize("thresh", PER_CENT)
@pytest.mark.parametrize("metric", [accuracy_thresh, fbeta, f1, precision, recall])
def test_a_threshold_of_a_metric_is_a_probability(metric, thresh):
    outputs, y = torch.randn(6, 3), torch.ones(6, 3)
    with pytest.raises(UsageError, match=r"probability,? from 0 to 1"):
        metric(outputs, y, thresh=thresh)


def test_a_threshold_of_outputs_that_are_no_probabilities_may_be_any_number():
    outputs, y = torch.tensor([[-3.0, 4.0]]), torch.tensor([[0.0, 1.0]])
    assert float(accuracy_thresh(outputs, y, thresh=-5, sigmoid=False)) == 0.5
    assert float(accuracy_thresh(outputs, y, thresh=3.5, sigmoid=False)) == 1


@pytest.mark.parametrize("thresh", PER_CENT)
def test_a_decision_threshold_is_a_probability(thresh, multi):
    learn = tiny_learner(multi)
    for decide in (
        lambda: MultiCategory(thresh=thresh),
        lambda: replace(MultiCategorySpec(classes=("a", "b")), thresh=thresh),
        lambda: multi.with_threshold(thresh),
        lambda: learn.with_threshold(thresh),
        lambda: learn.predict(multi.valid_ds.items[0], thresh=thresh),
        lambda: learn.validate(metrics=[partial(fbeta, thresh=thresh)]),
    ):
        with pytest.raises(UsageError, match=r"probability,? from 0 to 1"):
            decide()


def test_both_ends_are_thresholds():
    every, none = MultiCategory(("a", "b"), thresh=0.0), MultiCategory(("a", "b"), thresh=1.0)
    shares = torch.tensor([0.001, 0.999]).numpy()
    assert every.decode(shares).obj == ["a", "b"]
    assert none.decode(shares).obj == []
