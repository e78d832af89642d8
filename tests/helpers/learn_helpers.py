"""What the tests of learning share: a tiny net, and everything about a learner that may change."""

import random

import numpy as np
import torch
from torch import nn

from onecycle.learn.callback import Callback
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import whole_set
from onecycle.models.groups import layer_groups

HALF = ([0.5] * 3, [0.5] * 3)


def tiny_net(n_outputs, seed=0, dropout=0.0):
    """Three convolutions with batch norm and a head."""
    torch.manual_seed(seed)
    body = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 10, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(10),
        nn.ReLU(),
    )
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(10)]
    head += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(body, nn.Sequential(*head, nn.Linear(10, n_outputs)))


def tiny_learner(data, seed=0, dropout=0.0, **options):
    """A learner on `tiny_net` with three layer groups: each convolution, and the head."""
    net = tiny_net(data.c, seed, dropout)
    groups = layer_groups(net, [net[0][3], net[1]])
    return Learner(data, net, groups=groups, silent=True, **options)


def scripted(*values, name="figure"):
    """A metric of given values, one for each validation."""
    rest = iter(values)

    def metric(outputs, y):
        return next(rest)

    metric.__name__ = name
    return whole_set(metric)


class Scripted:
    """A metric of given values, one per validation (of two batches)."""

    __name__ = "figure"

    def __init__(self, *values):
        self.values = iter(values)

    def reset(self):
        self.value = next(self.values)

    def update(self, outputs, y):
        pass

    def compute(self):
        return self.value


def weights(learn):
    """Parameters and buffers, copied."""
    return {k: v.detach().clone() for k, v in learn.model.state_dict().items()}


def differences(ours, theirs):
    """The names of the tensors that are not bit-identical."""
    assert ours.keys() == theirs.keys()
    return [k for k in ours if not torch.equal(ours[k], theirs[k])]


def order_of(loader):
    """The labels of the next pass, in their order; the loader stays where it is."""
    state = loader.state()
    labels = [row for _, y in loader for row in y.tolist()]
    loader.restore(state)
    return labels


def state_of(learn):
    """Everything that looking must not change, as values that compare."""
    words, model = np.random.get_state(), learn.model
    recorder = learn.recorder
    return {
        "parameters": {k: v.tolist() for k, v in model.named_parameters()},
        "buffers": {k: v.tolist() for k, v in model.named_buffers()},
        "layout": [(p.dtype, p.device.type, p.stride()) for p in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "trainable": [p.requires_grad for p in model.parameters()],
        "gradients": [p.grad is None for p in model.parameters()],
        "hooks": [_hooks(module) for module in model.modules()],
        "history": [dict(row) for row in learn.history],
        "recorder": [list(recorder.lrs), list(recorder.losses), [*recorder.metrics]],
        "callbacks": [id(callback) for callback in learn.callbacks],
        "order": order_of(learn.data.train_dl),
        "epoch": [getattr(loader, "epoch", 0) for loader in _loaders(learn.data)],
        "optimizer": (id(learn.opt), optimizer_state(learn)),
        "loss scale": learn.engine.scaler.state_dict(),
        "task": (learn.task.input.to_json(), learn.task.target.to_json()),
        "torch": torch.get_rng_state().tolist(),
        "numpy": (words[1].tolist(), *words[2:]),
        "python": random.getstate(),
        "inference": torch.is_inference_mode_enabled(),
        "gradients on": torch.is_grad_enabled(),
    }


def _hooks(module):
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    return [len(getattr(module, name)) for name in names]


def _loaders(data):
    return [loader for loader in (data.train_dl, data.valid_dl, data.test_dl) if loader is not None]


def optimizer_state(learn):
    """The optimizer's tensors and rates as lists."""
    if learn.opt is None:
        return None
    found = learn.opt.inner.state_dict()
    state = {
        i: {k: torch.as_tensor(v).tolist() for k, v in s.items()} for i, s in found["state"].items()
    }
    rates = [(g["lr"], g.get("betas"), g["wd"]) for g in found["param_groups"]]
    return state, rates


def changed(before, after):
    """The names of what differs."""
    return [name for name in before if before[name] != after[name]]


class Cut(Callback):
    """Ends the fit as a signal would, in the middle of its second epoch; later it does nothing."""

    acts = False

    def after_step(self, run):
        if self.acts and run.step == 5:
            raise KeyboardInterrupt


def resumes_bit_for_bit(learner, monkeypatch):
    """Whether three epochs that are cut off and resumed end as three that were not."""
    whole, cut, resumed = learner(), learner(), learner()
    whole.fit(3, 1e-2)
    monkeypatch.setattr(Cut, "acts", True)
    cut.fit(3, 1e-2, resume="night", callbacks=[Cut()])
    monkeypatch.undo()
    wanted = weights(whole)
    assert not all(torch.equal(value, wanted[name]) for name, value in weights(cut).items())
    resumed.fit(3, 1e-2, resume="night", callbacks=[Cut()])
    return all(torch.equal(value, wanted[name]) for name, value in weights(resumed).items())
