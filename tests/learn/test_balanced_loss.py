"""Losses whose rare classes weigh as much as frequent ones, against scikit-learn's weights."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from onecycle import Learner, balanced_loss, from_arrays, mlp
from onecycle.core.errors import UsageError
from onecycle.data.targets import Category, MultiCategory, Numbers

X = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
ONE = ["a"] * 20 + ["b"] * 3 + ["c"] * 7
SEVERAL = [["x", "y"]] * 4 + [["y"]] * 2 + [["x"]] * 18 + [[]] * 6


def bunch(labels, **options):
    how = {"bs": 10, "num_workers": 0, "device": "cpu", "no_check": True} | options
    return from_arrays(X, labels, X[:3], labels[:3], **how)


def test_the_weights_of_one_class_per_item_are_scikit_learns():
    loss = balanced_loss(bunch(ONE))
    wanted = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=ONE)
    np.testing.assert_allclose(loss.weight, wanted, rtol=1e-6)
    outputs, y = torch.randn(9, 3), torch.tensor([0, 0, 0, 0, 0, 1, 2, 2, 0])
    each = F.cross_entropy(outputs, y, reduction="none") * torch.as_tensor(wanted)[y]
    assert float(loss(outputs, y)) == pytest.approx(float(each.sum() / loss.weight[y].sum()))


def test_of_several_labels_what_is_there_weighs_as_much_as_what_is_not():
    loss = balanced_loss(bunch(SEVERAL, label_cls=MultiCategory))
    assert loss.pos_weight.tolist() == pytest.approx([8 / 22, 24 / 6])


def test_a_learner_trains_and_validates_with_it():
    data = bunch(ONE)
    learn = Learner(data, mlp([3, 4, 3]), loss_func=balanced_loss(data), silent=True)
    learn.fit(2, 1e-2)
    x, y = next(iter(data.valid_dl))
    with torch.no_grad():
        outputs = learn.model.eval()(x)
    weights = torch.tensor(compute_class_weight("balanced", classes=np.array(list("abc")), y=ONE))
    wanted = F.cross_entropy(outputs, y, weight=weights.float())
    assert learn.validate()[0] == pytest.approx(float(wanted), rel=1e-5)


def test_what_has_no_classes_to_weigh_says_so():
    numbers = bunch(X[:, :1], label_cls=Numbers)
    with pytest.raises(UsageError, match="labels that name classes, not a numbers"):
        balanced_loss(numbers)
    split = bunch(ONE, label_cls=Category(("a", "b", "c", "d")))
    with pytest.raises(UsageError, match="no training item has the class 'd'"):
        balanced_loss(split)
