"""The same training on every fold, against scikit-learn's own loop."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from torch import nn

from onecycle import Learner, accuracy, cross_validate
from onecycle.core.errors import UsageError
from onecycle.data.arrays import TensorList

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(0, 1, (60, 2)), RNG.normal(1, 1, (30, 2))]).astype(np.float32)
Y = ["a"] * 60 + ["b"] * 30


def fitted(split, metrics=accuracy):
    """A learner whose layer is scikit-learn's logistic regression of the training side."""
    data = split.label_from_df("label").databunch(bs=8, find_copies=False)
    theirs = LogisticRegression().fit(np.stack(data.train_ds.items), data.train_ds.y.items)
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight[:] = torch.tensor(np.concatenate([-theirs.coef_, theirs.coef_]) / 2)
        layer.bias[:] = torch.tensor(np.concatenate([-theirs.intercept_, theirs.intercept_]) / 2)
    return Learner(data, layer, metrics=metrics, silent=True)


def test_mean_and_spread_are_those_of_scikit_learn():
    folds = TensorList.from_arrays(X, Y).kfold(5, seed=3, stratify="label")
    found = cross_validate(folds, fitted)
    how = StratifiedKFold(5, shuffle=True, random_state=3)
    theirs = cross_val_score(LogisticRegression(), X, Y, cv=how)
    assert [row["accuracy"] for row in found.folds] == pytest.approx(theirs)
    assert found.mean["accuracy"] == pytest.approx(theirs.mean())
    assert found.spread["accuracy"] == pytest.approx(theirs.std(ddof=1))
    assert f"accuracy {theirs.mean():.4f} ± {theirs.std(ddof=1):.4f}" in repr(found)
    assert found.to_frame().shape == (5, 2)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (lambda split: None, "returns a trained Learner, not None"),
        (lambda split: fitted(split, accuracy if len(split.valid) == 30 else None), "figures"),
    ],
)
def test_what_gives_no_comparable_figures_is_an_error(train, message):
    items = TensorList.from_arrays(X, Y)
    splits = [items.split_by_idx(range(0, 90, 3)), items.split_by_idx(range(0, 90, 2))]
    with pytest.raises(UsageError, match=message):
        cross_validate(splits, train)


def test_one_fold_has_no_spread():
    with pytest.raises(UsageError, match="two folds or more have a spread, not 1"):
        cross_validate([TensorList.from_arrays(X, Y).split_by_idx(range(0, 90, 3))], fitted)
