"""The mean of several trainings, against sums written out."""

import copy

import pytest
import torch
from learn_helpers import differences, tiny_learner, weights

from onecycle import soup
from onecycle.core.errors import CheckpointError, UsageError
from onecycle.data.databunch import DatasetType


@pytest.fixture
def learn(single, tmp_path):
    """A learner with three models that went on from one, saved as a, b and c."""
    learn = tiny_learner(single.with_task(single.task), path=tmp_path, dropout=0.5)
    start = copy.deepcopy(learn.model.state_dict())
    for name, rate, epochs in (("a", 1e-3, 1), ("b", 3e-2, 8), ("c", 1e-2, 3)):
        learn.model.load_state_dict(start)
        torch.manual_seed(epochs)
        learn.fit(epochs, rate)
        learn.save(name)
    learn.opt = None
    return learn


def parts(learn, names):
    return [weights(learn.load(name, with_opt=False)) for name in names]


def test_weights_are_means_and_batch_norm_sees_the_training_side_again(learn):
    states = parts(learn, "cab")
    assert soup(learn, ["c", "a", "b"], greedy=False) == ["c", "a", "b"]
    found = weights(learn)
    for name, _ in learn.model.named_parameters():
        mean = sum(state[name] for state in states) / 3
        assert torch.allclose(found[name], mean, atol=1e-6)
    x = torch.cat([x for x, _ in learn.data.dl(DatasetType.Train)])[:24]
    before = learn.model[0][0](x).transpose(0, 1).flatten(1)
    assert torch.allclose(found["0.1.running_mean"], before.mean(1), atol=1e-2)
    means = sum(state["0.1.running_mean"] for state in states) / 3
    assert not torch.allclose(means, before.mean(1), atol=1e-2)
    assert not learn.model.training or learn.opt is None


def test_a_greedy_soup_is_no_worse_than_the_best_of_them(learn):
    losses = {}
    for name in "abc":
        losses[name] = learn.load(name, with_opt=False).validate()[0]
    chosen = soup(learn, ["a", "b", "c"])
    best = min(losses, key=losses.get)
    assert chosen[0] == best
    assert learn.validate()[0] <= losses[best] + 1e-6
    assert chosen == sorted(chosen, key=losses.get)


def test_a_soup_of_one_that_makes_it_worse_is_the_other(learn, tmp_path):
    learn.load("b", with_opt=False)
    wanted = weights(learn)
    with torch.no_grad():
        for value in learn.model.parameters():
            value.mul_(-3)
    learn.save("wrong")
    assert soup(learn, ["wrong", "b"]) == ["b"]
    assert differences(weights(learn), wanted) == []


def test_what_cannot_be_mixed_changes_nothing(learn, tmp_path):
    before = weights(learn)
    with pytest.raises(UsageError, match="two saved models"):
        soup(learn, ["a"])
    with pytest.raises(CheckpointError):
        soup(learn, ["a", "nowhere"])
    assert differences(weights(learn), before) == []
