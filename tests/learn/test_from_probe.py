"""Fine-tuning that begins with the head alone ends no worse than it, and keeps its best epoch."""

from dataclasses import replace

import pytest
import torch
from learn_helpers import differences, weights
from test_cached_features import folder, learner

from onecycle import Callback
from onecycle.core.errors import UsageError

__all__ = ["folder"]  # the fixture


class Spoil(Callback):
    """Turns the answers round at each step in which all layers are there."""

    def before_fit(self, run):
        last = [m for m in run.model.modules() if isinstance(m, torch.nn.Linear)][-1]
        self.last, self.first = last, {k: -v.clone() for k, v in last.state_dict().items()}
        self.whole = any(isinstance(m, torch.nn.Conv2d) for m in run.model.modules())

    def after_step(self, run):
        if self.whole:
            self.last.load_state_dict(self.first)


def test_what_gets_worse_with_all_layers_ends_as_the_head_alone(folder):
    alone = learner(folder).freeze().fit_one_cycle(6, slice(1e-2), cache_features=True)
    learn = learner(folder, callbacks=[Spoil()])
    learn.fine_tune(2, 2e-3, freeze_epochs=6, from_probe=True)
    figures = [row["accuracy"] for row in learn.history]
    assert len(figures) == 8
    assert figures[5] > 0.9
    assert figures[-1] < 0.2
    assert differences(weights(learn), weights(alone)) == []
    assert learn.validate()[1] == figures[5]


def test_the_best_epoch_of_all_layers_stays(folder):
    learn = learner(folder)
    learn.metrics = []  # then it is the validation loss that chooses
    learn.fine_tune(3, 2e-4, freeze_epochs=1, lr_mult=1, from_probe=True)
    losses = [row["valid_loss"] for row in learn.history]
    assert min(losses) < losses[0]
    assert learn.validate()[0] == pytest.approx(min(losses), rel=1e-5)
    assert all(p.requires_grad for p in learn.model.parameters())


def test_without_validation_items_or_with_resume_nothing_can_be_chosen(folder):
    learn = learner(folder)
    with pytest.raises(UsageError, match="goes without resume="):
        learn.fine_tune(1, resume="a", from_probe=True)
    learn._data = replace(learn.data, valid_dl=None)
    with pytest.raises(UsageError, match="not without a validation side"):
        learn.fine_tune(1, from_probe=True)
    assert learn.history == []
