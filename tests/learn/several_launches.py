"""A small training that `test_launches.py` starts in the ways of several environments."""

import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from onecycle import from_arrays
from onecycle.learn.callback import Callback
from onecycle.learn.learner import Learner


class Fail(Callback):
    """One process cannot go on, where the other is about to wait for its gradients."""

    def __init__(self, where):
        self.where = where

    def before_batch(self, run):
        if run.step == 2 and run.engine.rank == self.where:
            raise OSError("the disk of this machine is gone")


def train(out, fails=-1):
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(4)
    x = rng.normal(size=(50, 6)).astype(np.float32)
    y = x[:, 0] > 0
    data = from_arrays(x[:40], y[:40], x[40:], y[40:], bs=8, device="cpu")
    torch.manual_seed(int(os.environ["RANK"]))
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
    learn = Learner(data, model, path=out, silent=True, callbacks=[Fail(int(fails))])
    learn.distributed(60).fit(2, 0.05)
    learn.save("kept")
    seen = {"processes": learn.engine.processes, "weights": learn.model[0].weight.tolist()}
    (Path(out) / f"launch{learn.engine.rank}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    if os.environ.get("GROUP_IS_THERE"):  # as Ray Train makes it before it calls the function
        torch.distributed.init_process_group("gloo")
    train(*sys.argv[1:])
