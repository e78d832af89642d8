"""A learner: freezing, looking without touching, swapping data, and ends of training."""

import copy
import random
import signal
import threading
from dataclasses import replace
from math import nan

import numpy as np
import pandas as pd
import pytest
import torch
from learn_helpers import differences, order_of, tiny_learner, tiny_net, weights
from torch import nn

from onecycle.core.errors import (
    DataError,
    DivergedError,
    OnecycleWarning,
    TrainingError,
    UsageError,
)
from onecycle.core.machine import defaults
from onecycle.data.databunch import DatasetType
from onecycle.learn import predictions
from onecycle.learn.callback import Callback
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import accuracy, accuracy_thresh, fbeta
from onecycle.learn.recorder import CSVLogger
from onecycle.vision.augment import get_transforms, zoom

NORM = {"0.1.weight", "0.1.bias", "0.4.weight", "0.4.bias", "1.2.weight", "1.2.bias"}
EARLY, LATE, HEAD = {"0.0.weight"}, {"0.3.weight"}, {"1.3.weight", "1.3.bias"}


def trainable(learn):
    return {name for name, p in learn.model.named_parameters() if p.requires_grad}


# --- freezing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "free"),
    [
        (-1, HEAD),
        (2, HEAD),
        (-2, LATE | HEAD),
        (1, LATE | HEAD),
        (0, EARLY | LATE | HEAD),
        (-3, EARLY | LATE | HEAD),
    ],
)
def test_freeze_to_trains_the_groups_from_n_on_and_all_batch_norm(multi, n, free):
    learn = tiny_learner(multi)
    learn.fit(1, 1e-3)
    assert learn.freeze_to(n) is learn
    assert trainable(learn) == free | NORM
    assert learn.opt is None


def test_freeze_and_unfreeze_are_its_two_ends(multi):
    learn = tiny_learner(multi).freeze()
    assert trainable(learn) == HEAD | NORM
    assert trainable(learn.unfreeze()) == EARLY | LATE | HEAD | NORM


@pytest.mark.parametrize("n", [3, -4])
def test_a_group_that_is_not_there_is_refused(multi, n):
    with pytest.raises(UsageError, match=r"3 layer groups, so n lies in -3\.\.2"):
        tiny_learner(multi).freeze_to(n)


def test_without_train_bn_frozen_batch_norm_stands_still(multi):
    learn = tiny_learner(multi, train_bn=False).freeze()
    assert trainable(learn) == HEAD | {"1.2.weight", "1.2.bias"}
    before = weights(learn)
    learn.fit(1, 1e-2)
    moved = set(differences(before, weights(learn)))
    assert moved == HEAD | {
        f"1.2.{n}" for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }


def test_layer_norm_is_frozen_with_its_group(multi):
    net = nn.Sequential(
        nn.Sequential(nn.Flatten(), nn.LayerNorm(3 * 32 * 32)), nn.Linear(3 * 32 * 32, multi.c)
    )
    groups = [list(net[0].parameters()), list(net[1].parameters())]
    learn = Learner(multi, net, groups=groups, silent=True).freeze()
    assert trainable(learn) == {"1.weight", "1.bias"}


def test_everything_frozen_is_an_error_that_says_so(multi):
    learn = tiny_learner(multi)
    for parameter in learn.model.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(TrainingError, match="unfreeze"):
        learn.fit(1, 1e-3)


# --- looking ------------------------------------------------------------------------------------


def broken_metric(outputs, y):
    torch.rand(1)
    raise ValueError("broken")


def test_training_works_while_an_error_in_a_metric_is_held(multi):
    learn = tiny_learner(multi)
    with pytest.raises(ValueError, match="broken") as held:
        learn.validate(metrics=[broken_metric])
    learn.fit(1, 1e-3)
    assert held.tb is not None


def test_validate_is_loss_and_metrics_of_the_whole_set(multi):
    learn = tiny_learner(multi, metrics=[fbeta])
    x, y = (torch.cat(column) for column in zip(*multi.valid_dl, strict=True))
    outputs = learn.model.eval()(x).detach()
    wanted = [multi.loss_func(outputs, y), fbeta(outputs, y)]
    assert learn.validate() == pytest.approx([float(v) for v in wanted], rel=1e-5)
    assert len(multi.valid_dl) == 2
    assert len(y) == 12


def test_a_metric_may_use_gradients(single):
    def slope(outputs, y):
        scale = torch.ones((), requires_grad=True)
        ((outputs * scale).sum()).backward()
        return scale.grad

    assert tiny_learner(single).validate(metrics=[slope])[1] != 0


@pytest.mark.parametrize("ds_type", [DatasetType.Train, DatasetType.Valid])
def test_get_preds_is_in_the_sets_order_and_complete(multi_src, make_bunch, ds_type):
    data = make_bunch(multi_src.transform(get_transforms(), size=32))
    learn = tiny_learner(data)
    learn.fit(1, 1e-2)
    side = data.train_ds if ds_type is DatasetType.Train else data.valid_ds
    probabilities, y, losses = learn.get_preds(ds_type, with_loss=True)
    assert y.tolist() == side.y.items.tolist()
    assert len(probabilities) == len(losses) == len(side)
    for i in (0, 7, len(side) - 1):
        one = learn.predict(side.items[i])[2]
        torch.testing.assert_close(probabilities[i], one, rtol=0, atol=1e-5)
    by_hand = -(y * probabilities.log() + (1 - y) * (1 - probabilities).log()).mean(1)
    torch.testing.assert_close(losses, by_hand, rtol=1e-4, atol=1e-5)


def squared(outputs, y):
    return (outputs - y).square().mean()


@pytest.mark.parametrize("loss_func", [squared, nn.SoftMarginLoss()])
def test_losses_of_items_are_of_the_learners_own_loss(multi, loss_func):
    learn = Learner(multi, tiny_net(multi.c), loss_func=loss_func, silent=True)
    x, y = next(iter(multi.valid_dl))
    with torch.no_grad():
        outputs = learn.model.eval()(x)
    single = [float(loss_func(outputs[i : i + 1], y[i : i + 1])) for i in range(len(y))]
    assert learn.get_preds(with_loss=True)[2][: len(y)].tolist() == pytest.approx(single, rel=1e-4)


def test_get_preds_of_the_test_set_has_no_labels_to_be_wrong_about(multi_src, make_bunch):
    names = [multi_src.valid.items[i] for i in (5, 2, 9)]
    learn = tiny_learner(make_bunch(multi_src.add_test(names)))
    learn.fit(1, 1e-2)
    probabilities, y = learn.get_preds(ds_type=DatasetType.Test)
    valid, _ = learn.get_preds()
    torch.testing.assert_close(probabilities, valid[[5, 2, 9]], rtol=0, atol=1e-6)
    assert y.tolist() == [0, 0, 0]
    with pytest.raises(UsageError, match="these 3 items have no labels"):
        learn.get_preds(ds_type=DatasetType.Test, with_loss=True)


def test_predictions_can_be_edited(single):
    probabilities, y = tiny_learner(single).get_preds()
    assert probabilities.sum(1).tolist() == pytest.approx([1.0] * 12)
    probabilities += 1
    y += 1
    tiny_learner(single).predict(single.valid_ds.items[0])[2].zero_()


def test_a_missing_side_is_an_error_that_names_it(multi):
    with pytest.raises(UsageError, match=r"no test set.*add_test"):
        tiny_learner(multi).get_preds(DatasetType.Test)


def with_outputs(data, *outputs):
    """A learner whose model says the same of everything."""
    net = tiny_net(data.c)
    nn.init.zeros_(net[1][3].weight)
    net[1][3].bias.data = torch.tensor(outputs)
    return Learner(data, net, silent=True)


def test_predict_gives_the_answer_its_code_and_the_probabilities(multi):
    learn = with_outputs(multi, 2.0, -0.4, -3.0)  # sigmoid: .881, .401, .047
    answer, code, probabilities = learn.predict(multi.valid_ds.items[0])
    assert (answer.obj, str(answer)) == (["dots"], "dots")
    assert answer.data.tolist() == code.tolist() == [1, 0, 0]
    assert probabilities.tolist() == pytest.approx([0.880797, 0.401312, 0.047426], abs=1e-6)
    answer, code, _ = learn.predict(multi.valid_ds.items[0], thresh=0.4)
    assert (answer.obj, str(answer), code.tolist()) == (["dots", "lines"], "dots;lines", [1, 1, 0])
    assert learn.predict(multi.valid_ds.items[0], thresh=0.9)[0].obj == []


def test_the_learners_own_threshold_decides_where_none_is_given(multi):
    learn = with_outputs(multi, 2.0, -0.4, -3.0).with_threshold(0.4)
    assert learn.predict(multi.valid_ds.items[0])[0].obj == ["dots", "lines"]


def test_predict_of_one_class(single):
    learn = with_outputs(single, 0.0, 0.0, 1.0)
    answer, code, probabilities = learn.predict(single.valid_ds.items[0])
    assert (answer.obj, answer.data, str(answer), int(code)) == ("warm", 2, "warm", 2)
    assert code.ndim == 0
    assert float(probabilities[2]) == pytest.approx(2.718282 / 4.718282, abs=1e-6)
    item, share = single.valid_ds.items[0], float(probabilities[2])
    assert learn.predict(item, thresh=share - 1e-4)[0] == "warm"
    answer, code, probabilities = learn.predict(item, thresh=share)
    assert (answer.obj, str(answer), int(code)) == (None, "not sure", -1)
    assert float(probabilities[2]) == share


def test_predict_takes_paths_bytes_images_arrays_and_rows(single):
    from PIL import Image

    learn = tiny_learner(single)
    path = single.valid_ds.items[4]
    image = Image.open(path)
    wanted = learn.predict(path)[2].tolist()
    row = pd.DataFrame({"label": ["warm"], "name": [str(path)]}).iloc[0]
    items = str(path), path.read_bytes(), image, np.array(image), single.valid_ds[4][0], row
    for item in items:
        assert learn.predict(item)[2].tolist() == pytest.approx(wanted, abs=1e-6)
    shown = learn.predict(path, return_x=True)
    assert len(shown) == 4
    assert shown[0].size == (32, 32)
    with pytest.raises(DataError, match="row has the columns 'a', 'b'"):
        learn.predict(pd.Series({"a": 1, "b": 2}))


def test_the_summary_counts_what_is_there_and_what_is_trained(multi):
    text = tiny_learner(multi).freeze().summary()
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    # convolutions 6*3*9 + 10*6*9, batch norm 2 * (6 + 10 + 10), linear 3 * 10 + 3
    assert "parameters: 787 in all, 85 trained, 702 frozen" in text
    assert lines["Linear"] == ["Linear", "3", "33", "yes"]
    assert ["Conv2d", "10x8x8", "540", "no"] in [line.split() for line in text.splitlines()]
    assert "layer groups: 3" in text


def test_show_results_writes_truth_over_answer(multi_src, make_bunch):
    learn = with_outputs(make_bunch(multi_src), 2.0, -0.4, 1.0)
    figure = learn.show_results(rows=2)
    assert len(figure.axes) == 4
    truth = [str(label) for label in multi_src.valid.y]
    for ax, label in zip(figure.axes, truth[:4], strict=True):
        lines = ax.get_title().splitlines()
        assert lines == ["actual / predicted", label.replace(";", "; "), "dots; warm"]


def test_long_answers_are_folded_over_their_image(multi_src, make_bunch):
    learn = with_outputs(make_bunch(multi_src), 2.0, 2.0, 2.0)
    names = tuple(f"{name} with a long name" for name in ("dots", "lines", "warm"))
    target = replace(learn.task.target, classes=names)
    data = learn.data.with_task(replace(learn.task, target=target))
    ones = torch.ones(1, 3)
    found = predictions.Predictions(ones, ones, torch.zeros(1), data.src.valid, data.task)
    title = predictions.draw(found, [0], 1).axes[0].get_title()
    assert max(map(len, title.splitlines())) <= 32
    assert " ".join(title.split()).count("; ".join(names)) == 2


def test_layer_groups_can_be_chosen_afterwards(multi):
    learn = tiny_learner(multi)
    learn.fit(1, 1e-3)
    assert learn.split(lambda net: [net[1]]) is learn
    assert [len(group) for group in learn.layer_groups] == [6, 4]
    assert learn.opt is None
    learn.freeze()
    assert trainable(learn) == NORM | HEAD


# --- other data ---------------------------------------------------------------------------------


def test_the_data_can_be_swapped_for_another_size(multi, multi_src, make_bunch):
    learn = tiny_learner(multi)
    learn.fit(1, 1e-3)
    before = weights(learn)
    learn.data = make_bunch(multi_src.transform(None, size=48), bs=4)
    assert differences(before, weights(learn)) == []
    seen = []

    class Shapes(Callback):
        def before_batch(self, run):
            seen.append(tuple(run.x.shape))

    learn.fit(1, 1e-3, callbacks=[Shapes()])
    assert seen == [(4, 3, 48, 48)] * 7


def test_data_with_other_classes_is_refused(multi, items, make_bunch, single):
    learn = tiny_learner(multi)
    other = items.label_from_df("tags", label_delim=" ", classes=["dots", "lines", "warm", "x"])
    with pytest.raises(UsageError, match=r"other answers: classes.*'x'"):
        learn.data = make_bunch(other.transform(None, size=32))
    with pytest.raises(UsageError, match="other answers"):
        learn.data = single
    assert learn.data is multi


def test_data_that_nobody_has_normalised_is_as_the_learners_own(multi, multi_src):
    """The slip of progressive resizing: the larger data, and no normalize() on it."""
    learn = tiny_learner(multi)
    plain = multi_src.databunch(bs=8, num_workers=0, device="cpu", no_check=True)
    with pytest.warns(OnecycleWarning, match="it is now, as this learner's was, with"):
        learn.data = plain
    assert learn.data.task.input.mean == multi.task.input.mean
    assert plain.task.input.mean is None


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (([0.5] * 3, [0.25] * 3), r"std was \[0\.5, 0\.5, 0\.5\], here it is \[0\.25"),
        (([0.5, 0.4, 0.5], [0.5] * 3), r"mean was .*, here it is \[0\.5, 0\.4, 0\.5\]"),
    ],
)
def test_each_of_the_statistics_is_compared(multi, multi_src, other, words):
    learn = tiny_learner(multi)
    data = multi_src.databunch(bs=8, num_workers=0, device="cpu", no_check=True).normalize(other)
    with pytest.warns(OnecycleWarning, match=words) as messages:
        learn.data = data
    assert ("mean" in str(messages[0].message)) != ("std" in str(messages[0].message))


def test_what_validation_looks_at_is_compared_but_not_its_size(multi, multi_src):
    plain = {"bs": 8, "num_workers": 0, "device": "cpu", "no_check": True}

    def zoomed(size, scale):
        tfms = [], [zoom(scale=scale)]
        return multi_src.transform(tfms, size=size).databunch(**plain).normalize(([0.5] * 3,) * 2)

    learn = tiny_learner(zoomed(32, 1.25))
    learn.data = zoomed(48, 1.25)  # warnings are errors
    with pytest.warns(OnecycleWarning, match=r"view was \[0\.5, 0\.5, 0\.8, .*, here it is \[\]"):
        learn.data = multi


def test_a_destroyed_learner_says_so(multi):
    learn = tiny_learner(multi)
    learn.destroy()
    for use in (lambda: learn.fit(1), lambda: learn.model, learn.validate, lambda: learn.data):
        with pytest.raises(UsageError, match="was destroyed"):
            use()


def test_a_learner_can_be_copied_and_an_unknown_attribute_is_an_attribute_error(multi):
    learn = tiny_learner(multi)
    assert copy.copy(learn).model is learn.model
    assert not hasattr(learn, "fits")


# --- how training ends --------------------------------------------------------------------------


class Last(Callback):
    """The weights at the end of each epoch."""

    order = 99

    def __init__(self):
        self.weights = []

    def after_epoch(self, run):
        self.weights.append({k: v.clone() for k, v in run.model.state_dict().items()})


def test_a_loss_that_is_no_number_ends_training_with_the_weights_of_the_last_epoch(multi):
    learn = tiny_learner(multi)
    last, calls = Last(), []

    def loss(outputs, y):
        calls.append(outputs.requires_grad)
        return multi.loss_func(outputs, y) * (nan if sum(calls) == 5 else 1.0)

    learn.loss_func = loss
    with pytest.raises(
        DivergedError, match=r"epoch 1, step 4.*learning rate 1\.00e-02.*loss function"
    ):
        learn.fit(3, 1e-2, callbacks=[last])
    assert differences(last.weights[0], weights(learn)) == []
    assert len(learn.history) == 1
    learn.loss_func = None
    learn.fit(1, 1e-3)
    assert np.isfinite(learn.history[-1]["valid_loss"])


def test_the_likely_cause_is_named(multi):
    class Spoil(Callback):
        def before_batch(self, run):
            run.x[0] = nan

    with pytest.raises(DivergedError, match="inputs of the batch already"):
        tiny_learner(multi).fit(1, 1e-3, callbacks=[Spoil()])
    wild = tiny_learner(multi, opt_func=torch.optim.SGD)
    start = weights(wild)
    with pytest.raises(DivergedError, match="outputs overflowed, so the rate is probably too high"):
        wild.fit(9, 1e30)
    assert differences(start, weights(wild)) == []


def test_weights_spoilt_in_the_last_step_of_an_epoch_do_not_become_the_last_good_ones(multi):
    class Spoil(Callback):
        def after_backward(self, run):
            if run.step == 5:
                run.model[1][3].weight.grad.fill_(nan)

    learn, last = tiny_learner(multi), Last()
    with pytest.raises(DivergedError, match="epoch 1, step 5"):
        learn.fit(2, 1e-3, callbacks=[Spoil(), last])
    assert differences(last.weights[0], weights(learn)) == []
    learn.fit(1, 1e-3)
    assert np.isfinite(learn.validate()[0])


@pytest.fixture
def ctrl_c():
    """Python's own answer to Ctrl-C, also in a job of the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_training_with_the_weights_as_they_are(multi, capsys):
    learn = tiny_learner(multi, metrics=fbeta)
    kept = []

    class Interrupt(Callback):
        def after_step(self, run):
            kept.append(weights(learn))
            if run.step == 4:
                signal.raise_signal(signal.SIGINT)

    assert learn.fit(5, 1e-2, callbacks=[Interrupt()]) is learn
    assert len(kept) == 5
    assert differences(kept[-1], weights(learn)) == []
    assert len(learn.history) == 1
    assert "stopped by hand in epoch 1, after 5 steps" in capsys.readouterr().out
    learn.fit(1, 1e-3)
    assert len(learn.history) == 2


def test_ctrl_c_in_validation_leaves_a_model_that_trains_on(multi):
    learn = tiny_learner(multi)

    def stop(outputs, y):
        raise KeyboardInterrupt

    learn.metrics = [stop]
    learn.fit(2, 1e-3)
    assert learn.history == []
    assert learn.model.training
    assert not torch.is_inference_mode_enabled()
    learn.metrics = []
    learn.fit(1, 1e-3)


def test_ctrl_c_does_not_leave_loader_threads(multi_src, make_bunch):
    learn = tiny_learner(make_bunch(multi_src, num_workers=2))

    class Interrupt(Callback):
        def after_step(self, run):
            raise KeyboardInterrupt

    learn.fit(2, 1e-3, callbacks=[Interrupt()])
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("onecycle-loader")]


@pytest.mark.parametrize("rate", [0, -1e-3, nan, slice(0, 1e-3), [1e-3, 1e-3]])
def test_a_rate_out_of_range_is_refused_before_training(multi, rate):
    learn = tiny_learner(multi)
    for fit in (learn.fit, learn.fit_one_cycle):
        with pytest.raises(UsageError, match="learning rate"):
            fit(1, rate)
    assert learn.opt is None


@pytest.mark.parametrize("epochs", [0, -1, 1.5, "2"])
def test_no_epochs_are_refused(multi, epochs):
    with pytest.raises(UsageError, match="whole number of epochs"):
        tiny_learner(multi).fit_one_cycle(epochs)


def test_without_validation_it_trains_and_says_na(tiles, make_bunch, capsys, monkeypatch):
    from onecycle.vision.lists import ImageList

    root, frame = tiles
    whole = ImageList.from_df(frame, root).split_none().label_from_df("kind")
    monkeypatch.setattr(defaults, "progress", True)
    learn = tiny_learner(make_bunch(whole.transform(None, size=32)), metrics=accuracy)
    learn.silent = False
    learn.fit_one_cycle(2, 1e-2)
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["epoch", "train_loss", "valid_loss", "accuracy", "time"]
    assert (first.split()[0], second.split()[0]) == ("0", "1")
    assert first.split()[2:4] == second.split()[2:4] == ["#na#", "#na#"]
    assert float(first.split()[1]) == pytest.approx(learn.history[0]["train_loss"], abs=1e-6)
    assert len(learn.recorder.losses) == 10
    with pytest.raises(UsageError, match="valid"):
        learn.validate()
    assert learn.recorder.plot_losses().axes[0].get_lines()


def test_the_table_has_six_decimals(single, capsys):
    learn = tiny_learner(single, metrics=accuracy)
    learn.silent = False
    learn.fit(1, 1e-3)
    row = learn.history[0]
    cells = capsys.readouterr().out.splitlines()[1].split()
    shown = [f"{row[name]:.6f}" for name in ("train_loss", "valid_loss", "accuracy")]
    assert cells[:4] == ["0", *shown]


def test_sixteen_bits_train_about_as_well(single, single_src, make_bunch):
    exact = tiny_learner(single).fit_one_cycle(4, 1e-2)
    short = tiny_learner(make_bunch(single_src)).to_bf16().fit_one_cycle(4, 1e-2)
    assert differences(weights(exact), weights(short)) != []
    pairs = zip(exact.recorder.losses, short.recorder.losses, strict=True)
    assert all(abs(a - b) < 0.05 for a, b in pairs)
    assert short.get_preds()[0].dtype == torch.float32
    assert {p.dtype for p in short.model.parameters()} == {torch.float32}
    assert short.to_fp32().engine.precision == "fp32"


def test_half_floats_on_a_cpu_are_bf16_with_a_warning(multi):
    with pytest.warns(OnecycleWarning, match="bf16"):
        learn = tiny_learner(multi).to_fp16()
    assert learn.engine.precision == "bf16"
    learn.fit(1, 1e-3)


def test_out_of_memory_says_what_to_try(multi):
    def loss(outputs, y):
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(TrainingError, match="bs=4"):
        tiny_learner(multi, loss_func=loss).fit(1, 1e-3)


def test_each_epoch_sees_the_items_in_another_order_and_each_seed_in_its_own(multi_src, make_bunch):
    learn = tiny_learner(make_bunch(multi_src))
    first = order_of(learn.data.train_dl)
    learn.fit(1, 1e-3)
    second = order_of(learn.data.train_dl)
    assert first != second
    assert first == order_of(make_bunch(multi_src).train_dl)
    assert first != order_of(make_bunch(multi_src, seed=1).train_dl)


def test_the_same_seed_gives_the_same_training(multi_src, make_bunch):
    found = []
    for _ in range(2):
        data = make_bunch(multi_src.transform(get_transforms(), size=32))
        learn = tiny_learner(data, dropout=0.5)
        random.seed(len(found))
        np.random.seed(len(found))
        torch.manual_seed(0)
        found.append(weights(learn.fit_one_cycle(2, 1e-2)))
    assert differences(*found) == []


def test_plots_of_a_fit_show_what_was_recorded(multi):
    learn = tiny_learner(multi, metrics=[fbeta, lambda o, y: o.mean()])
    learn.fit_one_cycle(2, 1e-2)
    losses = learn.recorder.plot_losses().axes[0].get_lines()
    assert losses[0].get_ydata().tolist() == pytest.approx(learn.recorder.losses)
    assert losses[1].get_ydata().tolist() == [row["valid_loss"] for row in learn.history]
    assert losses[1].get_xdata().tolist() == [3, 6]
    left, right = learn.recorder.plot_lr(show_moms=True).axes
    assert left.get_lines()[0].get_ydata().tolist() == learn.recorder.lrs
    assert right.get_lines()[0].get_ydata().tolist() == learn.recorder.moms
    assert len(learn.recorder.plot_lr().axes) == 1
    panels = [ax for ax in learn.recorder.plot_metrics().axes if ax.get_ylabel()]
    assert [ax.get_ylabel() for ax in panels] == learn.recorder.metric_names
    assert panels[0].get_lines()[0].get_ydata().tolist() == [row["fbeta"] for row in learn.history]


def test_metrics_that_are_assigned_later_leave_the_record_of_the_fit_before(multi):
    learn = tiny_learner(multi, metrics=[fbeta, lambda o, y: o.mean()])
    learn.fit(1, 1e-2)
    names = list(learn.recorder.metric_names)
    learn.metrics = [accuracy_thresh]
    with pytest.raises(UsageError, match="both write to"):
        learn.fit(1, 1e-2, callbacks=[CSVLogger("a"), CSVLogger("a")])
    panels = [ax for ax in learn.recorder.plot_metrics().axes if ax.get_ylabel()]
    assert [ax.get_ylabel() for ax in panels] == names
    assert panels[0].get_lines()[0].get_ydata().tolist() == [learn.history[0]["fbeta"]]
    learn.metrics.append(fbeta)
    learn.fit(1, 1e-2)
    panels = [ax for ax in learn.recorder.plot_metrics().axes if ax.get_ylabel()]
    assert [ax.get_ylabel() for ax in panels] == ["accuracy_thresh", "fbeta"]


def test_plots_before_any_fit_say_what_to_do(multi):
    recorder = tiny_learner(multi).recorder
    for plot in (recorder.plot_losses, recorder.plot_lr, recorder.plot_metrics):
        with pytest.raises(UsageError, match="fit"):
            plot()
