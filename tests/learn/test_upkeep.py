"""What was changed behind a learner takes effect, and settings that would not are refused."""

from functools import partial

import numpy as np
import pytest
import torch
from learn_helpers import tiny_learner
from torch import nn
from torch.nn import functional as F

from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.data.arrays import from_arrays
from onecycle.data.databunch import DatasetType
from onecycle.interpret.classification import ClassificationInterpretation, MultiLabelInterpretation
from onecycle.learn.callback import Callback
from onecycle.learn.checks import Layers, on_device
from onecycle.learn.learner import Learner
from onecycle.vision.lists import ImageList


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    return from_arrays(x, (x[:, 0] > 0).astype(int), bs=6, device="cpu")


def three_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(3, 2))


def learner(data, model=None, **options):
    return Learner(data, model or three_layers(), silent=True, **options)


def moved(layer, train):
    """Whether `train()` moves the layer's weights."""
    before = layer.weight.detach().clone()
    train()
    return not torch.equal(before, layer.weight)


# --- layers and weights ---------------------------------------------------------------------------


@pytest.mark.parametrize("trained_before", [False, True])
def test_a_layer_that_is_put_in_place_of_another_is_trained(rows, trained_before):
    learn = learner(rows)
    learn.split([learn.model[1], learn.model[2]])
    if trained_before:
        learn.fit(1, 1e-2)
    learn.model[1] = nn.Linear(5, 3)
    with pytest.warns(OnecycleWarning, match=r"2 of its tensors .* are new, 2 .* are gone"):
        assert moved(learn.model[1], lambda: learn.fit(1, 1e-2))
    assert [[id(p) for p in group] for group in learn.layer_groups] == [
        [id(p) for p in layer.parameters()] for layer in learn.model
    ]


def test_frozen_groups_stay_frozen_beside_a_new_layer(rows):
    learn = learner(rows)
    learn.split([learn.model[2]]).freeze()
    learn.model[2] = nn.Linear(3, 2)
    with pytest.warns(OnecycleWarning, match="layers were changed"):
        assert not moved(learn.model[0], lambda: learn.fit(1, 1e-2))
    assert moved(learn.model[2], lambda: learn.fit(1, 1e-2))


def test_a_model_that_is_assigned_is_trained(rows):
    learn = learner(rows)
    learn.fit(1, 1e-2)
    learn.model = nn.Sequential(nn.Linear(4, 7), nn.Linear(7, 2))
    assert moved(learn.model[0], lambda: learn.fit(1, 1e-2))
    assert learn.lr_range(slice(1e-3, 1e-2)) == [1e-2], "one group of its own"


def test_weights_that_are_set_trainable_by_hand_are_trained(rows):
    learn = learner(rows)
    for parameter in learn.model[0].parameters():
        parameter.requires_grad_(False)
    assert not moved(learn.model[0], lambda: learn.fit(1, 1e-2))
    for parameter in learn.model[0].parameters():
        parameter.requires_grad_(True)
    assert moved(learn.model[0], lambda: learn.fit(1, 1e-2))


def test_weights_left_out_of_the_groups_stay_out(rows):
    model = three_layers()
    learn = learner(rows, model, groups=[list(model[2].parameters())])
    assert not moved(model[0], lambda: learn.fit(1, 1e-2))
    assert Layers(model, learn.layer_groups).of(model) == learn.layer_groups


def test_an_optimizer_goes_on_where_nothing_was_changed(rows):
    learn = learner(rows)
    learn.fit(1, 1e-2)
    before = learn.opt
    learn.fit_one_cycle(1, 1e-2)
    assert learn.opt is before


@pytest.mark.parametrize(
    ("name", "value", "shows"),
    [
        ("opt_func", torch.optim.SGD, lambda opt: isinstance(opt.inner, torch.optim.SGD)),
        ("true_wd", False, lambda opt: opt.param_groups[0]["weight_decay"] == 1e-2),
        ("bn_wd", False, lambda opt: {p["wd"] for p in opt.param_groups} == {0.0, 1e-2}),
    ],
)
def test_settings_that_are_changed_between_two_fits_take_effect(rows, name, value, shows):
    learn = learner(rows, nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)))
    learn.fit(1, 1e-2)
    assert not shows(learn.opt)
    setattr(learn, name, value)
    learn.fit(1, 1e-2)
    assert shows(learn.opt)


@pytest.mark.parametrize(
    ("opt_func", "named"),
    [
        (partial(torch.optim.AdamW, weight_decay=0.3), "weight_decay=0.3"),
        (lambda parts: torch.optim.SGD(parts, lr=0.5), "lr=0.5"),
        (partial(torch.optim.Adam, weight_decay=0.2), "weight_decay=0.2"),
    ],
)
def test_a_decay_or_rate_of_the_optimizer_itself_is_refused(rows, opt_func, named):
    with pytest.raises(UsageError, match=named):
        learner(rows, opt_func=opt_func).fit(1, 1e-2)


def test_other_settings_of_the_optimizer_are_its_own(rows):
    learn = learner(rows, opt_func=partial(torch.optim.AdamW, betas=(0.7, 0.8), eps=1e-3))
    learn.create_opt(1e-2)
    assert learn.opt.param_groups[0]["betas"] == (0.7, 0.8)
    assert learn.opt.param_groups[0]["eps"] == 1e-3


# --- steps that are left out ----------------------------------------------------------------------


class Overflow(Callback):
    """The first step's gradients overflow; keeps the weights before it and after it."""

    def before_batch(self, run):
        if run.step == 0:
            self.before = [p.detach().clone() for p in run.model.parameters()]

    def after_loss(self, run):
        run.loss = run.loss * (float("inf") if run.step == 0 else 1.0)

    def after_step(self, run):
        if run.step == 0:
            self.after = [p.detach().clone() for p in run.model.parameters()]


@pytest.mark.parametrize("true_wd", [True, False])
def test_weights_do_not_decay_in_a_step_that_the_loss_scaler_leaves_out(rows, true_wd):
    learn = learner(rows, wd=0.5, true_wd=true_wd, opt_func=torch.optim.SGD)
    learn.engine.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    overflow = Overflow()
    learn.fit(1, 0.1, callbacks=[overflow])
    assert all(torch.equal(a, b) for a, b in zip(overflow.before, overflow.after, strict=True))
    after = [p.detach() for p in learn.model.parameters()]
    assert not any(torch.equal(a, b) for a, b in zip(after, overflow.after, strict=True))


def test_weights_decay_once_in_a_step_that_is_taken(rows):
    learn = learner(rows, wd=0.5, opt_func=torch.optim.SGD)
    learn.create_opt(0.1)
    weight = learn.model[0].weight
    before = weight.detach().clone()
    for parameter in learn.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    learn.engine.step(learn.opt.inner)
    assert torch.allclose(weight, before * (1 - 0.1 * 0.5))


def test_a_fused_optimizer_that_is_told_of_an_overflow_does_not_decay(rows):
    learn = learner(rows, wd=0.5)
    learn.create_opt(0.1)
    weight = learn.model[0].weight
    weight.grad = torch.zeros_like(weight)
    before = weight.detach().clone()
    learn.opt.inner.found_inf = torch.tensor(1.0)  # as the scaler sets it on CUDA
    learn.opt.decay()
    assert torch.equal(weight, before)
    learn.opt.inner.found_inf = torch.tensor(0.0)
    learn.opt.decay()
    assert torch.allclose(weight, before * (1 - 0.1 * 0.5))


# --- what a network gives -------------------------------------------------------------------------


class Shares(nn.Module):
    """A softmax within forward, where no layer shows it."""

    def __init__(self):
        super().__init__()
        self.inner = three_layers()

    def forward(self, x):
        return F.softmax(self.inner(x), dim=1)


@pytest.mark.parametrize("make", [lambda: nn.Sequential(three_layers(), nn.Softmax(1)), Shares])
def test_a_network_that_ends_in_a_softmax_is_told(rows, make):
    with pytest.warns(OnecycleWarning, match="end in a softmax, and a softmax follows") as reported:
        learner(rows, make()).fit(2, 1e-2)
    assert len(reported) == 1


def test_a_network_that_ends_in_a_sigmoid_is_told():
    rng = np.random.default_rng(0)
    tags = [["a"] if i % 3 else ["a", "b"] for i in range(20)]
    data = from_arrays(rng.normal(size=(20, 4)), tags, bs=5, device="cpu")
    with pytest.warns(OnecycleWarning, match="end in a sigmoid, and a sigmoid follows"):
        learner(data, nn.Sequential(nn.Linear(4, 2), nn.Sequential(nn.Sigmoid()))).fit(1, 1e-2)


def test_logits_and_numbers_are_as_they_should_be(rows):
    learner(rows, nn.Sequential(three_layers(), nn.LogSoftmax(1))).fit(1, 1e-2)
    x = np.random.default_rng(0).normal(size=(20, 4))
    numbers = from_arrays(x, x[:, 0] ** 2, bs=5, device="cpu")
    learner(numbers, nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())).fit(1, 1e-2)


class Elsewhere(nn.CrossEntropyLoss):
    """Remembers where it was sent."""

    def to(self, device):
        self.sent = device
        return self


def test_a_loss_goes_where_the_data_is(rows):
    loss = Elsewhere()
    learner(rows, loss_func=loss).fit(1, 1e-2)
    assert loss.sent == torch.device("cpu")
    held = partial(F.cross_entropy, weight=torch.ones(2), label_smoothing=0.1)
    there = on_device(held, torch.device("meta"))
    assert there.keywords["weight"].device.type == "meta"
    assert there.keywords["label_smoothing"] == 0.1
    assert on_device(held, torch.device("cpu")) is held


# --- what is measured -----------------------------------------------------------------------------


def bunch_of(tiles, valid, **options):
    root, frame = tiles
    items = (
        ImageList.from_df(frame, root).split_by_idx(valid).label_from_df("tags", label_delim=" ")
    )
    made = items.transform(None, size=16)
    made = made.add_test(ImageList.from_df(frame, root)) if options else made
    return made.databunch(bs=4, num_workers=0, device="cpu", no_check=True)


def test_other_data_that_validates_on_what_was_trained_is_told(tiles):
    learn = tiny_learner(bunch_of(tiles, range(30, 40)))
    with pytest.warns(OnecycleWarning, match=r"7 of the 10 validation items .*seed=42"):
        learn.data = bunch_of(tiles, range(23, 33))


def test_other_data_of_the_same_split_is_taken(tiles):
    learn = tiny_learner(bunch_of(tiles, range(30, 40)))
    learn.data = bunch_of(tiles, range(35, 40))
    assert len(learn.data.valid_ds) == 5


def test_items_without_labels_are_not_measured(tiles):
    data = bunch_of(tiles, range(30, 40), test=True)
    learn = tiny_learner(data)
    assert len(learn.get_preds(DatasetType.Test)[0]) == 40
    for measure in (
        lambda: learn.validate(data.test_dl),
        lambda: learn.get_preds(DatasetType.Test, with_loss=True),
        lambda: MultiLabelInterpretation.from_learner(learn, DatasetType.Test),
        lambda: ClassificationInterpretation.from_learner(learn, DatasetType.Test),
    ):
        with pytest.raises(UsageError, match="40 items have no labels"):
            measure()
