"""Plain arrays with the same learner: classes and numbers are learned."""

import numpy as np
import pytest
import torch
from torch import nn

from onecycle.core.errors import DataError, ModelError, UsageError
from onecycle.data.arrays import TensorList, from_arrays
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import accuracy
from onecycle.models.mlp import mlp


@pytest.fixture
def plane():
    return np.random.default_rng(0).uniform(-1, 1, (400, 2)).astype(np.float32)


def test_a_net_learns_xor_where_a_line_is_at_chance(plane):
    torch.manual_seed(0)
    data = from_arrays(plane, (plane[:, 0] * plane[:, 1] > 0).astype(int), bs=32)
    learn = Learner(data, mlp([2, 32, 2]), metrics=accuracy)
    learn.fit_one_cycle(10, 0.03)
    line = Learner(data, mlp([2, 2]), metrics=accuracy)
    line.fit_one_cycle(10, 0.03)
    assert learn.validate()[1] > 0.9 > 0.75 > line.validate()[1]


def test_numbers_are_met(plane):
    torch.manual_seed(0)
    data = from_arrays(plane, plane[:, 0] ** 2, bs=32)
    learn = Learner(data, mlp([2, 32, 1], nn.Tanh))
    learn.fit_one_cycle(30, 0.03)
    assert learn.validate()[0] < 0.1 * float((plane[:, 0] ** 2).var())


def test_normalize_takes_the_training_sets_statistics(plane):
    data = from_arrays(plane * [3, 0] + 5, plane[:, 0], bs=320).normalize()
    x, _ = data.one_batch()
    assert abs(x.mean()) < 1e-3
    assert abs(x[:, 0].std() - 1) < 1e-2


def test_rows_of_other_shapes_and_gaps_are_refused(plane):
    split = TensorList.from_arrays(np.where(plane > 0.99, np.nan, plane), plane[:, 0]).split_none()
    with pytest.raises(DataError, match="NaN"):
        split.label_from_df("label").databunch(bs=4)
    with pytest.raises(UsageError, match="3 in y"):
        TensorList.from_arrays(plane, [1, 2, 3])


def test_one_width_is_no_network():
    with pytest.raises(ModelError, match="two"):
        mlp([3])
