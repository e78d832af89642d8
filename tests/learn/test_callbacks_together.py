"""Callbacks that would undo, double or overwrite one another say so, and nothing good is lost."""

from pathlib import Path

import numpy as np
import pytest
from learn_helpers import differences, scripted, tiny_learner, weights

from onecycle import from_arrays, mlp
from onecycle.core.errors import CheckpointError, OnecycleWarning, UsageError
from onecycle.learn.callback import Callback
from onecycle.learn.callbacks import (
    ActivationRegularization,
    GradientClipping,
    MixUp,
    OneCycle,
    ReduceLROnPlateau,
    SaveModel,
)
from onecycle.learn.checkpoint import checkpoint_path, read
from onecycle.learn.learner import Learner
from onecycle.learn.optimizer import SGD, AdamW
from onecycle.learn.recorder import CSVLogger, TensorBoardLogger

# --- twice what may be there once ---------------------------------------------------------------


def test_mixup_asked_for_again_takes_the_place_of_the_first(single):
    learn = tiny_learner(single)
    learn.mixup().mixup(0.2).mixup(0.3)
    assert [callback.alpha for callback in learn.callbacks] == [0.3]
    learn.fit(1, 1e-3)
    assert learn.mixup(0).callbacks == []
    with pytest.raises(UsageError, match=r"above 0, not -0\.1"):
        learn.mixup(-0.1)


def pairs(learn, tmp_path):
    """Two callbacks each that a fit must not have both, and what both would do."""
    cycle = [OneCycle([1e-3] * 3, (0.95, 0.85), 25, 0.3, 1e5) for _ in range(2)]
    return {
        "mix the items": [MixUp(0.1), MixUp(0.4)],
        "write to": [CSVLogger(tmp_path / "a.csv"), CSVLogger(tmp_path / "a.csv", append=True)],
        "before every batch": cycle,
        "save to 'bestmodel'": [SaveModel(learn), SaveModel(learn, "train_loss")],
        "lower the rate when 'valid_loss'": [ReduceLROnPlateau(), ReduceLROnPlateau(factor=0.5)],
        "write to .*runs": [TensorBoardLogger(tmp_path / "runs") for _ in range(2)],
        "activations": [ActivationRegularization(), ActivationRegularization(1.0)],
    }


@pytest.mark.parametrize("what", list(pairs(None, Path())))
@pytest.mark.parametrize("split", [True, False])
def test_two_that_would_do_the_same_are_refused_before_training(multi, tmp_path, what, split):
    learn = tiny_learner(multi, path=tmp_path)
    first, second = pairs(learn, tmp_path)[what]
    learn.callbacks = [first] if split else [first, second]
    before = weights(learn)
    name = type(first).__name__
    with pytest.raises(UsageError, match=rf"{name} is there twice, and both .*{what}"):
        learn.fit(1, 1e-3, callbacks=[second] if split else [])
    assert differences(before, weights(learn)) == []
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_two_that_do_the_same_elsewhere_are_fine(multi, tmp_path):
    learn = tiny_learner(multi, path=tmp_path)
    two = [SaveModel(learn), SaveModel(learn, name="other")]
    two += [CSVLogger(tmp_path / "a.csv"), CSVLogger(tmp_path / "b.csv")]
    learn.fit(1, 1e-3, callbacks=two)
    assert (tmp_path / "models/other.safetensors").is_file()
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


def test_one_and_the_same_callback_given_twice_is_refused(multi):
    class Own(Callback):
        pass

    own = Own()
    learn = tiny_learner(multi, callbacks=[own])
    with pytest.raises(UsageError, match=r"same Own is there twice.*learn\.callbacks"):
        learn.fit(1, 1e-3, callbacks=[own])
    learn.fit(1, 1e-3, callbacks=[Own()])


def test_a_schedule_of_the_users_beside_one_cycle_is_refused(multi):
    other = OneCycle([1e-3] * 3, (0.95, 0.85), 25, 0.3, 1e5)
    with pytest.raises(UsageError, match="OneCycle is there twice"):
        tiny_learner(multi).fit_one_cycle(1, 1e-3, callbacks=[other])


# --- what is no callback, or nothing calls ------------------------------------------------------


@pytest.mark.parametrize("fit", [Learner.fit, Learner.fit_one_cycle])
def test_one_callback_may_be_given_without_a_list(multi, fit):
    class Counts(Callback):
        steps = 0

        def after_step(self, run):
            self.steps += 1

    counts = Counts()
    fit(tiny_learner(multi), 1, 1e-3, callbacks=counts)
    assert counts.steps == 3


@pytest.mark.parametrize("wrong", [SaveModel, print, "SaveModel", None])
def test_what_is_no_callback_is_refused_before_training(multi, wrong):
    learn = tiny_learner(multi)
    name = wrong.__name__ if isinstance(wrong, type) else repr(wrong)
    with pytest.raises(UsageError, match=f"subclass of Callback.*not {name}"):
        learn.fit(1, 1e-3, callbacks=[wrong])
    assert learn.history == []


@pytest.mark.parametrize(
    "name", ["after_batch", "on_epoch_end", "begin_fit", "before_step", "on_train_begin"]
)
def test_a_moment_of_another_library_is_said_to_be_none(multi, name):
    own = type("Own", (Callback,), {name: lambda self, run: 1 / 0})()
    learn = tiny_learner(multi)
    with pytest.warns(OnecycleWarning, match=f"Own has {name}, which nothing calls.*after_step"):
        learn.fit(1, 1e-3, callbacks=[own])


def test_helpers_with_other_names_are_not(multi):
    class Own(Callback):
        def online(self):
            pass

        def afterwards(self):
            pass

        def on_improvement(self):
            pass

    tiny_learner(multi).fit(1, 1e-3, callbacks=[Own()])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"moms": 0.9}, "two momenta"),
        ({"moms": (0.9, 1.0)}, "two momenta"),
        ({"moms": (0.9, 0.8, 0.7)}, "two momenta"),
        ({"div_factor": 0}, "div_factor"),
        ({"final_div": -1}, "final_div"),
        ({"pct_start": 1.1}, "pct_start"),
    ],
)
def test_a_cycle_that_is_none_is_refused(multi, options, words):
    with pytest.raises(UsageError, match=words):
        tiny_learner(multi).fit_one_cycle(1, 1e-3, **options)


@pytest.mark.parametrize("clip", [0, -1, float("nan")])
def test_a_norm_that_leaves_no_gradient_is_refused(clip):
    with pytest.raises(UsageError, match=r"clip is (above 0|a number from 0)"):
        GradientClipping(clip)


@pytest.mark.parametrize("count", [0, -1, 1.5, "2"])
def test_a_number_of_batches_that_is_none_is_refused(multi, count):
    learn = tiny_learner(multi)
    with pytest.raises(UsageError, match="accumulate is a whole number"):
        learn.accumulate = count
    with pytest.raises(UsageError, match="accumulate is a whole number"):
        tiny_learner(multi, accumulate=count)


# --- what a schedule overwrites -----------------------------------------------------------------


@pytest.mark.parametrize("kept", [True, False])
def test_a_plateau_beside_one_cycle_is_left_out_with_a_warning_that_names_both(multi, capsys, kept):
    plateau = ReduceLROnPlateau("figure", mode="min", factor=0.1)
    learn = tiny_learner(multi, metrics=[scripted(1, 2, 3, 4)], callbacks=[plateau] * kept)
    with pytest.warns(OnecycleWarning, match=r"OneCycle .*ReduceLROnPlateau.*learn\.fit"):
        learn.fit_one_cycle(4, 1e-2, callbacks=[plateau] * (not kept))
    assert "lowered" not in capsys.readouterr().out
    alone = tiny_learner(multi)
    alone.fit_one_cycle(4, 1e-2)
    assert learn.recorder.lrs == alone.recorder.lrs


class Meddler(Callback):
    """Changes rate or momentum at one moment of the second epoch (or before the first)."""

    def __init__(self, moment, what):
        def change(run):
            if moment == "before_fit" or run.epoch == 1:
                if what == "learning rate":
                    run.optimizer.param_groups[0]["lr"] *= 0.5
                else:
                    run.optimizer.set_momentum(0.5)

        setattr(self, moment, change)


@pytest.mark.parametrize("what", ["learning rate", "momentum"])
@pytest.mark.parametrize("moment", ["before_fit", "before_epoch", "after_step", "after_epoch"])
@pytest.mark.parametrize("opt_func", [SGD, AdamW])
def test_a_change_that_one_cycle_undoes_is_said_once_with_both_names(multi, moment, what, opt_func):
    learn = tiny_learner(multi, opt_func=opt_func)
    with pytest.warns(OnecycleWarning, match=f"Meddler changed the {what} .*OneCycle") as messages:
        learn.fit_one_cycle(3, 1e-2, callbacks=[Meddler(moment, what)])
    assert len(messages) == 1
    alone = tiny_learner(multi, opt_func=opt_func)
    alone.fit_one_cycle(3, 1e-2)
    if moment != "after_step":  # what was recorded there is what was set just then
        assert learn.recorder.lrs == alone.recorder.lrs
        assert learn.recorder.moms == alone.recorder.moms


def test_at_a_constant_rate_a_callback_may_change_it(multi):
    learn = tiny_learner(multi)
    learn.fit(3, 1e-2, callbacks=[Meddler("after_epoch", "learning rate")])
    assert learn.opt.rates()[0] == pytest.approx(5e-3)


# --- the best of several fits -------------------------------------------------------------------


def stored(learn, name="bestmodel"):
    """The figure in the file."""
    about, _ = read(checkpoint_path(learn.path, learn.model_dir, name))
    return about["history"][-1]["figure"]


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("anew", [True, False])
def test_a_better_file_of_an_earlier_fit_is_not_replaced_without_a_word(
    multi, tmp_path, mode, anew
):
    turn = 1 if mode == "max" else -1
    values = [turn * value for value in (0.8, 0.95, 0.6, 0.7, 0.65)]
    learn = tiny_learner(multi, metrics=[scripted(*values)], path=tmp_path)
    save = SaveModel(learn, "figure", mode=mode)
    learn.fit(2, 1e-3, callbacks=[save])
    again = SaveModel(learn, "figure", mode=mode) if anew else save
    with pytest.warns(OnecycleWarning, match=r"earlier fit, with figure -?0\.95.*-?0\.7.*reset_on"):
        learn.fit(3, 1e-3, callbacks=[again])
    assert stored(learn) == turn * 0.7


def test_a_file_that_is_surpassed_is_replaced_without_a_warning(multi, tmp_path):
    learn = tiny_learner(multi, metrics=[scripted(0.8, 0.6, 0.7, 0.9)], path=tmp_path)
    save = SaveModel(learn, "figure", mode="max")
    learn.fit(2, 1e-3, callbacks=[save])
    learn.fit(2, 1e-3, callbacks=[save])
    assert stored(learn) == 0.9


@pytest.mark.parametrize("anew", [True, False])
def test_the_best_of_all_fits_is_kept_where_that_is_asked_for(multi, tmp_path, anew, capsys):
    learn = tiny_learner(multi, metrics=[scripted(0.8, 0.95, 0.6, 0.7, 0.99, 0.9)], path=tmp_path)

    def save():
        return SaveModel(learn, "figure", mode="max", reset_on_fit=False)

    first = save()
    learn.fit(2, 1e-3, callbacks=[first])
    best = weights(learn)
    learn.fit(2, 1e-2, callbacks=[save() if anew else first])
    assert stored(learn) == 0.95
    assert differences(best, weights(learn)) == []
    assert "best figure, 0.95, is still that of an earlier fit" in capsys.readouterr().out
    learn.fit(2, 1e-3, callbacks=[save() if anew else first])
    assert stored(learn) == 0.99


def test_a_file_of_another_model_is_not_replaced_without_a_word(multi, single, tmp_path):
    learn = tiny_learner(single, metrics=[scripted(0.1)], path=tmp_path)
    learn.fit(1, 1e-3, callbacks=[SaveModel(learn, "figure", mode="max")])
    other = tiny_learner(multi, metrics=[scripted(0.5, 0.6)], path=tmp_path)
    keeping = SaveModel(other, "figure", mode="max", reset_on_fit=False)
    with pytest.raises(CheckpointError, match=r"of a model with other answers.*another name="):
        other.fit(1, 1e-3, callbacks=[keeping])
    assert other.history == []
    with pytest.warns(OnecycleWarning, match="of a model with other answers, is replaced"):
        other.fit(1, 1e-3, callbacks=[SaveModel(other, "figure", mode="max")])


@pytest.mark.parametrize("width", [5, 9])
def test_of_another_width_is_of_another_model(tmp_path, width):
    x = np.random.default_rng(0).normal(size=(40, 4))
    data = from_arrays(x, (x[:, 0] > 0).astype(int), bs=8, device="cpu")
    for n, says in ((7, False), (width, True)):
        learn = Learner(data, mlp([4, n, 2]), path=tmp_path, silent=True)
        if says:
            with pytest.warns(OnecycleWarning, match="of another model, is replaced"):
                learn.fit(1, 1e-3, callbacks=[SaveModel(learn)])
        else:
            learn.fit(1, 1e-3, callbacks=[SaveModel(learn)])


def test_a_fit_that_is_refused_brings_no_older_weights_back(multi, tmp_path):
    """The first fit saved; the second never begins, and must not load what the first left."""
    learn = tiny_learner(multi, metrics=[scripted(*range(9))], path=tmp_path)
    save = SaveModel(learn, "figure", mode="max")
    learn.fit(1, 1e-2, callbacks=[save])
    learn.fit(1, 1e-2)
    before = weights(learn)

    class Refuses(Callback):
        order = -99

        def before_fit(self, run):
            raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        learn.fit(1, 1e-2, callbacks=[Refuses(), save])
    assert differences(before, weights(learn)) == []


# --- a log that goes on -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["a", "b"], ["b", "c"]),
        (["a", "b"], ["a"]),
        (["a"], ["a", "b"]),
        ([], ["a"]),
    ],
)
def test_a_log_with_other_columns_is_refused_as_soon_as_they_are_known(
    multi, tmp_path, first, second
):
    class Begun(Callback):
        epochs = 0

        def before_epoch(self, run):
            self.epochs += 1

    begun = Begun()

    def run(names):
        metrics = [scripted(0.25, name=name) for name in names]
        learn = tiny_learner(multi, metrics=metrics)
        learn.fit(1, 1e-3, callbacks=[begun, CSVLogger(tmp_path / "log.csv", append=True)])

    run(first)
    before = (tmp_path / "log.csv").read_bytes()
    only = [name for name in (*first, *second) if (name in first) != (name in second)]
    with pytest.raises(UsageError, match=rf"log\.csv has the columns.*only.*'{only[0]}'") as caught:
        run(second)
    assert "append=False" in str(caught.value)
    assert (tmp_path / "log.csv").read_bytes() == before
    later = set(second) < set(first)  # a callback could still bring what is missing
    assert begun.epochs == 1 + later


def test_columns_that_nobody_will_write_are_refused_before_training(multi, tmp_path):
    path = tmp_path / "log.csv"
    log = CSVLogger(path, append=True)
    tiny_learner(multi, metrics=[scripted(0.5, name="a")]).fit(1, 1e-3, callbacks=[log])
    learn = tiny_learner(multi)
    before = weights(learn)
    with pytest.raises(UsageError, match="only there: 'a'"):
        learn.fit(1, 1e-3, callbacks=[log])
    assert differences(before, weights(learn)) == []


def test_the_same_columns_in_another_order_go_under_their_names(multi, tmp_path):
    from csv import DictReader

    path = tmp_path / "log.csv"
    for names in (["a", "b"], ["b", "a"]):
        values = {"a": 0.25, "b": 0.75}
        metrics = [scripted(values[name], name=name) for name in names]
        tiny_learner(multi, metrics=metrics).fit(1, 1e-3, callbacks=[CSVLogger(path, append=True)])
    with path.open(newline="") as file:
        assert [(row["a"], row["b"]) for row in DictReader(file)] == [("0.25", "0.75")] * 2


def test_a_log_without_validation_does_not_go_on_in_one_with_it(multi, tmp_path, tiles, make_bunch):
    from onecycle.vision.lists import ImageList

    path = tmp_path / "log.csv"
    tiny_learner(multi).fit(1, 1e-3, callbacks=[CSVLogger(path)])
    root, frame = tiles
    whole = ImageList.from_df(frame, root).split_none().label_from_df("kind")
    learn = tiny_learner(make_bunch(whole.transform(None, size=32)))
    with pytest.raises(UsageError, match="only there: 'valid_loss'"):
        learn.fit(1, 1e-3, callbacks=[CSVLogger(path, append=True)])


def test_columns_that_come_later_are_refused_with_their_names(multi, tmp_path):
    class Late(Callback):
        def after_epoch(self, run):
            if run.epoch:
                run.row["late"] = 1.0

    learn = tiny_learner(multi)
    with pytest.raises(UsageError, match="only here: 'late'"):
        learn.fit(2, 1e-3, callbacks=[Late(), CSVLogger(tmp_path / "log.csv")])


def test_a_last_line_without_an_end_is_ended(multi, tmp_path):
    path = tmp_path / "log.csv"
    tiny_learner(multi).fit(1, 1e-3, callbacks=[CSVLogger(path)])
    path.write_bytes(path.read_bytes().rstrip())
    tiny_learner(multi).fit(1, 1e-3, callbacks=[CSVLogger(path, append=True)])
    rows = path.read_text().splitlines()
    assert len(rows) == 3
    assert {row.count(",") for row in rows} == {3}
