"""A number that is not finite is named by step, and by the item, layer, weight or gradient."""

import re
from math import inf, nan

import numpy as np
import pytest
import torch
from learn_helpers import differences, tiny_learner, weights
from torch import nn

from onecycle.core.errors import DivergedError, UsageError
from onecycle.data.arrays import from_arrays
from onecycle.learn.callback import Callback
from onecycle.learn.callbacks import MixUp
from onecycle.learn.finite import bad_rows, is_finite
from onecycle.learn.learner import Learner


def at(step, change):
    """A callback that does `change(run)` to the batch of one step."""

    class Spoil(Callback):
        def before_batch(self, run):
            if run.step == step:
                change(run)

    return Spoil()


def message(learn, *callbacks, epochs=2, lr=1e-3):
    """What is said when the training diverges; the weights are those before the epoch."""
    with pytest.raises(DivergedError) as error:
        learn.fit(epochs, lr, callbacks=callbacks)
    for value in weights(learn).values():
        assert is_finite(value)
    assert learn.opt.inner.state == {}
    assert not [m for m in learn.model.modules() if m._forward_hooks or m._forward_pre_hooks]
    return str(error.value)


# --- what was in the batch ------------------------------------------------------------------------


@pytest.mark.parametrize("value", [nan, inf, -inf])
@pytest.mark.parametrize("side", ["inputs", "labels"])
def test_items_of_a_batch_are_named_by_their_positions(multi, side, value):
    def spoil(run):
        rows = run.x if side == "inputs" else run.y
        rows[2][(0,) * (rows.ndim - 1)] = value
        rows[7][(-1,) * (rows.ndim - 1)] = value

    said = message(tiny_learner(multi), at(4, spoil))
    assert f"the {side} of the batch already hold values not finite: items 2, 7 of its 8" in said
    assert "in epoch 1, step 4, at learning rate 1.00e-03" in said


def test_positions_are_of_the_first_axis_in_whatever_holds_the_tensors():
    x = torch.zeros(4, 3, 2)
    x[1, 2, 0] = nan
    y = torch.tensor([0.0, 1.0, 2.0, -inf])
    assert bad_rows(x) == [1]
    assert bad_rows({"a": [x, y], "b": (torch.arange(9),)}) == [1, 3]
    assert bad_rows(torch.arange(5)) == bad_rows("text") == []
    assert is_finite([torch.ones(2), torch.ones(2, dtype=torch.bool)])
    assert not is_finite({"a": (torch.ones(2), y)})


# --- layers, on the way forward -------------------------------------------------------------------


class Log(nn.Module):
    """The logarithm, which is not finite from 0 down."""

    def forward(self, x):
        return x.log()


class Inner(nn.Module):
    """A part whose own forward, between its layers, does what layers do not."""

    def __init__(self, function):
        super().__init__()
        self.first, self.last, self.function = nn.Linear(4, 6), nn.Linear(6, 6), function

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def arrays(n=24, **options):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 4)).astype("float32"), rng.integers(0, 3, n)
    return from_arrays(x, y, x, y, bs=8, num_workers=0, device="cpu", **options)


def learner(*layers, **options):
    torch.manual_seed(0)
    return Learner(arrays(), nn.Sequential(*layers), silent=True, **options)


def test_the_first_layer_that_gives_nan_is_named_and_not_those_after_it():
    body = nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.Tanh(), Log()), nn.Linear(6, 6))
    said = message(learner(body, nn.ReLU(inplace=True), nn.Linear(6, 3)))
    count = int(re.search(r"nan among (\d+) of its 48 values", said)[1])
    assert 0 < count < 48
    assert "The first on the way is 0.1.1 (Log), with nan" in said
    assert "before any step" in said
    assert "in epoch 0, step 0" in said


def test_a_function_between_layers_is_named_by_the_module_that_calls_it_and_the_next_layer():
    said = message(learner(Inner(torch.log), nn.Linear(6, 3)))
    assert "is what 0 (Inner) computes before 0.last (Linear)" in said


def test_a_function_after_the_last_layer_is_that_of_the_module():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            return self.layer(x).log()

    assert "way is 0 (Last), with nan among" in message(learner(Last(), nn.Linear(3, 3)))
    said = message(Learner(arrays(), Last(), silent=True))
    assert "way is the model (Last), with nan among" in said


def test_overflow_after_some_steps_is_a_matter_of_the_rate_and_named_by_its_layer(multi):
    def grow(run):
        with torch.no_grad():
            run.model[0][3].weight.fill_(3e38)

    said = message(tiny_learner(multi), at(5, grow))
    assert "so the rate is probably too high: try a tenth" in said
    assert "the first on the way is 0.3 (conv2d), with" in said.lower()
    assert "epoch 1, step 5" in said


def test_weights_that_are_spoilt_are_named_with_the_layer(multi):
    def spoil(run):
        run.model[0][3].weight.data[1, 2] = nan

    said = message(tiny_learner(multi), at(2, spoil))
    assert "the weights '0.3.weight' were not finite before" in said
    assert "is 0.3 (Conv2d), with nan" in said


def test_what_dropout_alone_has_done_is_said_to_be_so():
    class Once(nn.Module):
        def forward(self, x):
            self.count = getattr(self, "count", 0) + 1
            return x * (nan if self.count == 2 else 1)

    said = message(learner(nn.Linear(4, 3), Once()))
    assert "with other random numbers (dropout) gives finite ones" in said


def test_the_batch_of_a_mixup_is_run_again_as_it_was(multi):
    def spoil(run):
        run.x[3] = inf

    learn = tiny_learner(multi)
    said = message(learn, at(1, spoil), MixUp(0.4))
    assert re.search(r"inputs of the batch .* items .*3.* of its 8", said)


# --- gradients, on the way back -------------------------------------------------------------------


def root(x):
    """0, whose root has no slope there."""
    return (x * 0).sqrt() + x


@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_are_named_before_they_move_the_weights(accumulate):
    learn = learner(nn.Linear(4, 4), Inner(root), nn.Linear(6, 3), accumulate=accumulate)
    said = message(learn)
    assert "the gradients are no longer numbers, with a loss of 1" in said
    assert "4 of 8 are not finite ('0.weight', '0.bias', '1.first.weight' and 1 more)" in said
    assert "way back is what 1 (Inner) computes after 1.first (Linear)" in said
    assert "in epoch 0, step 0, at learning rate" in said


class Root(nn.Module):
    """`root` as a layer."""

    def forward(self, x):
        return root(x)


@pytest.mark.parametrize("inplace", [False, True])
def test_the_first_layer_on_the_way_back_is_named(inplace):
    layers = [nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace), Root()), nn.ReLU(inplace)]
    said = message(learner(*layers, nn.Linear(5, 3)))
    assert "way back is 0.2 (Root)" in said
    assert "2 of 4 are not finite ('0.0.weight' and '0.0.bias')" in said.replace(", '", " and '")


def test_of_two_branches_that_take_one_tensor_both_are_named():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Sequential(Root(), nn.Linear(5, 3)), nn.Linear(5, 3)

        def forward(self, x):
            return self.a(x) + self.b(x)

    assert "is 1.a.0 (Root) or 1.b (Linear)" in message(learner(nn.Linear(4, 5), Branches()))


def test_a_loss_without_a_slope_is_named():
    def loss(outputs, y):
        return root(outputs).square().mean()

    said = message(learner(nn.Linear(4, 5), nn.Linear(5, 3), loss_func=loss))
    assert "4 of 4 are not finite" in said
    assert "way back is the loss function" in said


def test_the_loss_is_looked_at_as_callbacks_have_made_it():
    def change(run):
        plain = run.loss_func
        run.loss_func = lambda outputs, y: plain(outputs, y) + root(outputs).mean()

    said = message(learner(nn.Linear(4, 3)), at(4, change))
    assert "way back is the loss function" in said
    assert "epoch 1, step 4" in said


def test_what_callbacks_add_to_the_loss_is_named_as_such():
    class Add(Callback):
        def after_loss(self, run):
            run.loss = run.loss + root(run.outputs).mean()

    said = message(learner(nn.Linear(4, 3)), Add())
    assert "is not found in this batch: in what callbacks add, or by random numbers" in said


def test_a_layer_that_gives_back_what_it_took_is_not_blamed():
    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Identity())

        def forward(self, x):
            return root(self.inner(x))

    assert "is 1 (Around):" in message(learner(nn.Linear(4, 5), Around(), nn.Linear(5, 3)))


class Decoder(nn.Module):
    """A model with a parameter of its own, which is used last and listed first."""

    def __init__(self, middle):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))
        self.first, self.middle, self.last = nn.Linear(4, 5), middle, nn.Linear(5, 3)

    def forward(self, x):
        return self.last(self.middle(self.first(x))) + self.bias


def test_a_decoders_own_bias_is_not_taken_for_the_first_layer():
    torch.manual_seed(0)
    said = message(Learner(arrays(), Decoder(Root()), silent=True))
    assert "2 of 5 are not finite ('first.weight', 'first.bias')" in said
    assert "way back is middle (Root)" in said


def test_a_model_that_carries_a_state_is_run_again_without_it():
    class Carries(Decoder):
        def reset(self):
            self.state = 0.0

        def forward(self, x):
            y = self.first(x + self.state)
            self.state = y.detach().mean()
            return self.last(self.middle(y)) + self.bias

    def spoil(run):
        run.model.first.weight.data[1, 2] = nan

    torch.manual_seed(0)
    said = message(Learner(arrays(), Carries(nn.Tanh()), silent=True), at(2, spoil))
    assert "first on the way is first (Linear), with nan among 8 of its 40 values" in said


def test_layers_that_are_computed_anew_on_the_way_back_are_looked_at_as_well():
    from torch.utils.checkpoint import checkpoint

    class Anew(Decoder):
        def forward(self, x):
            y = checkpoint(self.middle, self.first(x), use_reentrant=False)
            return self.last(y) + self.bias

    torch.manual_seed(0)
    middle = nn.Sequential(nn.Linear(5, 5), Root(), nn.ReLU(inplace=True))
    said = message(Learner(arrays(), Anew(middle), silent=True))
    assert "way back is middle.1 (Root)" in said


def test_a_first_layer_that_is_frozen_is_passed_over():
    learn = learner(nn.Linear(4, 5), nn.Linear(5, 5), Root(), nn.Linear(5, 3))
    learn.model[0].requires_grad_(False)
    assert "the gradients are no longer numbers" in message(learn)


def test_buffers_that_are_spoilt_in_an_epoch_are_named_at_its_end(multi):
    def spoil(run):
        run.model[0][1].running_var[2] = inf

    learn = tiny_learner(multi)
    said = message(learn, at(4, spoil))
    assert (
        "the weights '0.1.running_var' are no longer numbers in epoch 1, step 5 or before" in said
    )


def test_buffers_that_are_meant_to_be_infinite_are_left_alone():
    class Masked(nn.Linear):
        def __init__(self):
            super().__init__(4, 3)
            self.register_buffer("mask", torch.tensor([0.0, -inf, 0.0]))

    learner(Masked()).fit(1, 1e-3)


# --- 16 bits --------------------------------------------------------------------------------------


def scaled(learn, scale=2.0**16):
    learn.engine.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return learn


def test_steps_that_overflow_with_a_scale_are_left_out_as_usual():
    def large(run):
        plain = run.loss_func
        run.loss_func = lambda outputs, y: plain(outputs, y) * 3e37

    learn = scaled(learner(nn.Linear(4, 3)))
    learn.fit(2, 1e-3, callbacks=[at(1, large), at(3, large)])
    assert learn.engine.scaler.get_scale() == 2.0**14


def test_an_epoch_all_of_whose_steps_are_left_out_is_an_error_once_no_scale_is_left():
    learn = scaled(learner(nn.Linear(4, 5), Root(), nn.Linear(5, 3)), scale=2.0)
    said = message(learn)
    assert (
        "no step was taken, since all overflowed down to a loss scale of 0.25, in epoch 0" in said
    )
    assert "2 of 4 are not finite ('0.weight', '0.bias')" in said
    assert "is 1 (Root)" in said
    learn = scaled(learner(nn.Linear(4, 5), Root(), nn.Linear(5, 3)), scale=2.0**4)
    said = message(learn)
    assert "loss scale of 0.25, in epoch 1, step 5" in said


def test_a_small_scale_with_steps_that_are_taken_goes_on():
    learn = scaled(learner(nn.Linear(4, 3)), scale=0.5)
    learn.fit(1, 1e-3)
    assert len(learn.history) == 1


# --- looking for a rate ---------------------------------------------------------------------------


def test_a_range_test_without_a_first_loss_names_the_layer():
    learn = learner(nn.Linear(4, 6), Log(), nn.Linear(6, 3))
    before = weights(learn)
    with pytest.raises(UsageError, match=r"at the first step: .*The first on the way is 1 \(Log\)"):
        learn.lr_find()
    assert differences(before, weights(learn)) == []
