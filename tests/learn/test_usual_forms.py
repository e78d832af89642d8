"""Calls as people know them from other libraries: each works, or says what to do."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from onecycle.core.errors import UsageError
from onecycle.data.arrays import from_arrays
from onecycle.learn.callbacks import EarlyStopping, ReduceLROnPlateau, SaveModel
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import accuracy

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = np.where(X[:, 1] > 0.3, "up", "down")


def made(path=".", seed=0):
    """A learner with three layer groups, the same for a seed."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    data = from_arrays(X, Y, bs=8, device="cpu")
    learn = Learner(data, model, metrics=accuracy, path=path, silent=True)
    return learn.split([model[2], model[4]])


def weights(learn):
    return torch.cat([p.detach().flatten() for p in learn.model.parameters()])


def test_lr_is_another_name_of_max_lr():
    one, other = made(), made()
    one.fit_one_cycle(1, 0.03)
    other.fit_one_cycle(1, lr=0.03)
    assert one.recorder.lrs == other.recorder.lrs
    assert max(one.recorder.lrs) == pytest.approx(0.03)
    with pytest.raises(UsageError, match="max_lr and lr are the same rate"):
        other.fit_one_cycle(1, 0.03, lr=0.03)


def test_the_best_of_the_learner_that_trains_is_saved(tmp_path):
    """The rate is absurd from the second epoch on, so that the first one is the best."""
    for name, given in (("with", True), ("without", False)):
        learn = made(tmp_path / name)
        learn.fit(6, 0.03)
        keep = SaveModel(learn) if given else SaveModel()
        learn.fit(3, 3.0, callbacks=[keep])
        losses = [row["valid_loss"] for row in learn.history[-3:]]
        assert learn.validate()[0] == pytest.approx(min(losses))
        assert losses[-1] > min(losses)
        assert (tmp_path / name / "models/bestmodel.safetensors").is_file()
    assert torch.equal(weights(learn), weights(made(tmp_path / "with").load("bestmodel")))


def test_one_callback_serves_one_learner_after_another(tmp_path):
    keep = SaveModel(monitor="accuracy")
    first, second = made(tmp_path / "first"), made(tmp_path / "second", seed=1)
    first.fit(1, 0.01, callbacks=keep)
    before = weights(first)
    second.fit(1, 0.01, callbacks=keep)
    assert torch.equal(weights(first), before)
    assert torch.equal(weights(second), weights(made(tmp_path / "second").load("bestmodel")))


def test_fine_tuning_is_a_cycle_for_the_head_and_one_for_all():
    one, other = made(), made()
    begin = other.model[0].weight.detach().clone()
    one.fine_tune(3, 0.01, freeze_epochs=2, lr_mult=50)
    other.freeze().fit_one_cycle(2, slice(0.01), pct_start=0.99)
    assert torch.equal(other.model[0].weight, begin)
    other.unfreeze().fit_one_cycle(3, slice(0.0001, 0.005), div_factor=5)
    assert torch.equal(weights(one), weights(other))
    assert not torch.equal(one.model[0].weight, begin)
    assert [len(one.history), len(other.history)] == [5, 5]


def test_fine_tuning_learns():
    torch.manual_seed(0)
    learn = made().fine_tune(20, 0.1, lr_mult=2)
    assert learn.validate()[1] > 0.8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Learner(DataLoader(TensorDataset(torch.tensor(X)), 8), nn.Linear(4, 2)),
            r"trains on a DataBunch, not .*DataLoader.*from_arrays",
        ),
        (lambda: EarlyStopping(made()), r"made without a learner, and given as callbacks="),
        (lambda: ReduceLROnPlateau(made()), r"ReduceLROnPlateau is made without a learner"),
        (lambda: made().show_results(2), r"not 2; to see that many items, rows=2"),
    ],
)
def test_what_is_meant_is_said(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_members_of_other_learners_say_what_takes_their_place():
    with pytest.raises(AttributeError, match=r"no attribute 'dls': learn\.data is"):
        made().dls  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        made().nothing  # noqa: B018


def test_a_partial_of_a_metric_is_watched_by_its_name(tmp_path):
    learn = made(tmp_path)
    learn.metrics = [partial(accuracy)]
    learn.fit(1, 0.01, callbacks=[SaveModel(monitor="accuracy")])
    assert (tmp_path / "models/bestmodel.safetensors").is_file()
