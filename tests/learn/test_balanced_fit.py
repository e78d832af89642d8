"""A fit on balanced passes that is cut off goes on as one that was not, and on no others."""

import numpy as np
import pytest
import torch
from learn_helpers import differences, weights

from onecycle import Checkpoint, Learner, from_arrays, mlp
from onecycle.core.errors import CheckpointError
from onecycle.learn.callback import Callback

LABELS = ["a"] * 20 + ["b"] * 3 + ["c"] * 7


class CutOffError(Exception):
    """What ends a fit here."""


class Cut(Callback):
    """Ends the fit after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def state_dict(self):
        return {}  # a fit that goes on is not cut again

    def after_step(self, run):
        self.left -= 1
        if not self.left:
            raise CutOffError


def learner(folder, sampler="balanced"):
    x = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)
    torch.manual_seed(2)
    how = {"bs": 7, "num_workers": 0, "device": "cpu", "no_check": True, "sampler": sampler}
    data = from_arrays(x, LABELS, x, LABELS, path=folder, **how)
    return Learner(data, mlp([3, 8, 3]), silent=True)


def test_it_goes_on_with_the_batches_that_were_left(tmp_path):
    whole = learner(tmp_path / "whole")
    whole.fit_one_cycle(3, 1e-1)
    kept = [Checkpoint("night", minutes=None, steps=1)]
    with pytest.raises(CutOffError):
        learner(tmp_path / "cut").fit_one_cycle(3, 1e-1, callbacks=[*kept, Cut(6)])
    again = learner(tmp_path / "cut")
    again.fit_one_cycle(3, 1e-1, callbacks=[Checkpoint("night", minutes=None, steps=1), Cut(0)])
    assert differences(weights(whole), weights(again)) == []
    plain = learner(tmp_path / "plain", None)
    plain.fit_one_cycle(3, 1e-1)
    assert differences(weights(whole), weights(plain))
    with pytest.raises(CheckpointError, match="the sampler was balanced, here it is None"):
        learner(tmp_path / "cut", None).fit_one_cycle(3, 1e-1, callbacks=[*kept, Cut(0)])
