"""A fit that is cut off anywhere, and begun again by the same lines, ends as one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import resumable
import torch
from learn_helpers import differences, tiny_learner, weights
from resumable import Cut, prepare, train
from safetensors.torch import save_file

from onecycle import (
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    GradientClipping,
    accuracy,
    get_transforms,
    mlp,
)
from onecycle.core.errors import CheckpointError, OnecycleError, OnecycleWarning, UsageError
from onecycle.data.arrays import from_arrays
from onecycle.learn import checkpoint, interrupt
from onecycle.learn.callback import Callback
from onecycle.learn.learner import Learner
from onecycle.learn.packing import from_bytes, to_bytes

few = pytest.mark.filterwarnings("ignore:1 of 2 classes have no validation item")


class CutOffError(Exception):
    """What ends a fit in these tests, as a power failure would."""


def cut_off():
    raise CutOffError


def never(name):
    return []


def often(name):
    return [Checkpoint(name, minutes=None, steps=2)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What each kind of training leaves that nobody cuts off, made once."""
    made = {}

    def of(kind):
        if kind not in made:
            before = Cut.steps
            made[kind] = train(kind, prepare(tmp_path_factory.mktemp(kind)), never)
            of.steps[kind] = Cut.steps - before
        return made[kind]

    of.steps = {}
    return of


CUTS = {  # the last one is in the second fit of the program
    "images": [
        "after_step:1",
        "after_loss:9",
        "before_validate:2",
        "after_epoch:2",
        "after_epoch:4",
    ],
    "masks": ["after_step:4", "after_backward:13"],
    "language": ["before_batch:8", "after_step:11", "after_loss:60"],
    "classifier": ["after_step:4", "after_step:25"],
    "series": ["after_fit:1", "after_step:22"],
}


@few
@pytest.mark.parametrize(("kind", "cut"), [(k, cut) for k, cuts in CUTS.items() for cut in cuts])
def test_a_fit_that_is_cut_off_ends_as_one_that_is_not(kind, cut, whole, tmp_path):
    folder, expected, before = prepare(tmp_path / "here"), whole(kind), Cut.steps
    with pytest.raises(CutOffError):
        train(kind, folder, often, cut, cut_off)
    at_cut = Cut.steps
    left = train(kind, folder, often)
    assert left == expected
    again = Cut.steps - at_cut
    assert again <= whole.steps[kind] - (at_cut - before) + 2  # and not from the beginning


def test_it_may_be_cut_off_again_and_again(whole, tmp_path):
    folder, cuts = prepare(tmp_path / "here"), 0
    for _ in range(20):
        try:
            left = train("images", folder, often, "after_step:3", cut_off)
            break
        except CutOffError:
            cuts += 1
    assert cuts > 8
    assert left == whole("images")


def program(folder, *cut):
    """The same in a process of its own."""
    env = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    env["PYTHONPATH"] = os.pathsep.join([str(Path(resumable.__file__).parent), *sys.path])
    command = [sys.executable, resumable.__file__, "images", str(folder), *cut]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


def test_killed_for_good_it_goes_on_in_another_process(whole, tmp_path):
    folder = prepare(tmp_path / "here")
    killed = program(folder, "after_step:13")
    assert killed.returncode == -signal.SIGKILL
    about, _ = checkpoint.read(folder / "models" / "first.resume.safetensors")
    assert about["at"]["epoch"] == 2
    done = program(folder)
    assert json.loads(done.stdout.splitlines()[-1]) == whole("images")


# --- the file -------------------------------------------------------------------------------


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(48, 6)).astype(np.float32)
    return lambda: from_arrays(x, (x[:, 0] > x[:, 1]).astype(int), bs=8, device="cpu")


@pytest.fixture
def make(data, tmp_path):
    """A learner on numbers, always the same."""

    def learner(**options):
        torch.manual_seed(1)
        how = {"path": tmp_path, "metrics": accuracy, "silent": True} | options
        return Learner(data(), mlp([6, 8, 2], dropout=0.2), **how)

    return learner


def cut(make, moment, *fit, **options):
    with pytest.raises(CutOffError):
        make().fit(*fit, callbacks=[Cut(moment, cut_off)], **options)


def same_cut():
    """The same list of callbacks, of which none cuts."""
    return [Cut("never:0", cut_off)]


def test_the_same_line_after_the_end_gives_back_what_was_trained_and_trains_no_more(make, capsys):
    learn = make()
    learn.fit_one_cycle(2, 1e-2, resume="a")
    at_end, rows = weights(learn), list(learn.history)
    learn.fit(1, 1e-3)
    again = make(silent=False)
    again.fit_one_cycle(2, 1e-2, resume="a")
    assert differences(at_end, weights(again)) == []
    assert again.history == rows
    out = capsys.readouterr().out
    assert "a.resume.safetensors" in out
    assert "that fit is complete" in out
    again.fit(1, 1e-3)
    assert differences(weights(learn), weights(again)) == []


def test_a_fit_that_stopped_early_is_complete(make):
    class Count(Callback):
        def after_step(self, run):
            steps.append(run.step)

    steps = []
    for _ in range(2):
        early = EarlyStopping(min_delta=1e3, patience=1)
        make().fit(9, 1e-3, callbacks=[early, Count()], resume="early")
    assert len(steps) == 2 * 4  # four steps make an epoch; the second call adds none


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 4}, "the number of epochs was 3, here it is 4"),
        ({"lr": 2e-3}, r"the optimizer was .*0\.001.* here it is .*0\.002"),
        ({"wd": 0.3}, "the optimizer was"),
        ({"accumulate": 2}, "accumulate was 1, here it is 2"),
        ({"bs": 4}, "bs was 8, here it is 4"),
        ({"items": 47}, "the training set was 39 items .* here it is 38 items"),
        ({"label": 1}, "the training set was 39 items .* here it is 39 items"),
        ({"seed": 5}, "the seed of the data was 0, here it is 5"),
        ({"clip": True}, r"the list of callbacks was .*, here it is .*GradientClipping\(clip=1.0"),
        ({"frozen": True}, "the list of layers that are trained was"),
        ({"precision": "bf16"}, "the precision was fp32, here it is bf16"),
    ],
)
def test_what_was_begun_otherwise_is_refused_and_named(tmp_path, change, said):
    def fit(epochs=3, lr=1e-3, wd=None, items=48, label=None, clip=False, frozen=False, **more):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(items, 6)).astype(np.float32)
        y = (x[:, 0] > x[:, 1]).astype(int)
        y[0] = y[0] if label is None else 1 - y[0]
        how = {"bs": more.get("bs", 8), "seed": more.get("seed", 0), "device": "cpu"}
        cuts = [] if change.get("clip") else same_cut()
        torch.manual_seed(1)
        net = mlp([6, 8, 2])
        options = {"path": tmp_path, "silent": True, "accumulate": more.get("accumulate", 1)}
        learn = Learner(from_arrays(x, y, **how), net, **options)
        net[1].weight.requires_grad_(not frozen)
        if "precision" in more:
            learn.to_bf16()
        cuts = [GradientClipping()] if clip else cuts
        learn.fit(epochs, lr, wd, callbacks=cuts, resume="begun")

    fit()
    with pytest.raises(CheckpointError, match=said) as caught:
        fit(**change)
    assert "begun.resume.safetensors" in str(caught.value)
    assert "give resume= another name or delete the file" in str(caught.value)


def test_another_network_is_refused_by_the_names_of_its_tensors(make, data, tmp_path):
    make().fit(1, resume="net")
    how = {"path": tmp_path, "metrics": accuracy, "silent": True}
    wider = Learner(data(), mlp([6, 9, 2], dropout=0.2), **how)
    before = weights(wider)
    with pytest.raises(CheckpointError, match=r"another model: .* 3 have another shape"):
        wider.fit(1, resume="net")
    assert differences(before, weights(wider)) == []
    deeper = Learner(data(), mlp([6, 8, 8, 2]), **how)
    with pytest.raises(CheckpointError, match=r"layers that are trained was \['4.weight', "):
        deeper.fit(1, resume="net")


def test_where_the_newest_file_is_damaged_the_one_before_it_is_used(make, tmp_path):
    wanted = make()
    wanted.fit(3, 1e-2, callbacks=same_cut())
    cut(make, "after_step:12", 3, 1e-2, resume="d")
    newest = tmp_path / "models" / "d.resume.safetensors"
    assert newest.with_suffix(".1.safetensors").is_file()
    content = bytearray(newest.read_bytes())
    content[-9] ^= 1
    newest.write_bytes(content)
    learn = make()
    with pytest.warns(OnecycleWarning, match="damaged.*the checkpoint before it is used"):
        learn.fit(3, 1e-2, callbacks=same_cut(), resume="d")
    assert differences(weights(wanted), weights(learn)) == []


def test_where_all_are_damaged_nothing_is_trained_and_nothing_is_lost(make, tmp_path):
    cut(make, "after_step:12", 3, 1e-2, resume="d")
    for path in (tmp_path / "models").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-20])
    before = {path.name: path.read_bytes() for path in (tmp_path / "models").glob("*.safetensors")}
    with (
        pytest.warns(OnecycleWarning, match="before it"),
        pytest.raises(CheckpointError, match="delete the file, to begin anew"),
    ):
        make().fit(3, 1e-2, callbacks=same_cut(), resume="d")
    assert {p.name: p.read_bytes() for p in (tmp_path / "models").glob("*.safetensors")} == before


@pytest.mark.parametrize("keep", [1, 3])
def test_so_many_files_stay_as_are_wanted(make, tmp_path, keep):
    make().fit(4, callbacks=[Checkpoint("k", steps=1, keep=keep)])
    assert len(list((tmp_path / "models").glob("*.safetensors"))) == keep


def test_what_a_checkpoint_cannot_be_is_refused(make):
    for bad in ({"steps": 0}, {"minutes": -1}, {"keep": 0}, {"epochs": 0}):
        with pytest.raises(UsageError, match=next(iter(bad))):
            Checkpoint("a", **bad)
    made = make()
    with pytest.raises(UsageError, match="both go on from a checkpoint"):
        made.fit(1, callbacks=[Checkpoint("a")], resume="b")


def test_a_file_that_cannot_be_written_is_an_error_before_training_and_a_warning_later(
    make, tmp_path, monkeypatch
):
    (tmp_path / "models").write_text("no folder")
    learn = make()
    with pytest.raises(OnecycleError, match="cannot be written"):
        learn.fit(2, resume="a")
    assert learn.history == []
    (tmp_path / "models").unlink()
    real, calls = checkpoint.write_atomically, []

    def full(*what):
        calls.append(what)
        if len(calls) in {2, 3}:
            raise OSError(28, "No space left on device")
        return real(*what)

    monkeypatch.setattr(checkpoint, "write_atomically", full)
    with pytest.warns(OnecycleWarning) as caught:
        learn.fit(4, 1e-2, resume="a")
    assert [str(w.message)[:13] for w in caught] == ["checkpoint 1 ", "checkpoint 2 "]
    assert "No space left" in str(caught[0].message)
    assert len(learn.history) == 4
    assert make().fit(4, 1e-2, resume="a").history == learn.history


def test_two_programs_do_not_train_into_the_same_files(make):
    first = make()

    class Second(Callback):
        def after_step(self, run):
            with pytest.raises(UsageError, match=r"another process trains with .*'one.resume'"):
                make().fit(1, resume="one")

    first.fit(1, callbacks=[Second()], resume="one")
    assert len(make().fit(1, callbacks=[Second()], resume="one").history) == 1


# --- signals --------------------------------------------------------------------------------


@pytest.fixture
def handlers():
    """Python's own answer to Ctrl-C, and the default for SIGTERM."""
    kept = [(n, signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, before in kept:
        signal.signal(number, before)


def send(number, times=1):
    def now():
        for _ in range(times):
            signal.raise_signal(number)

    return now


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("moment", ["before_batch:7", "after_loss:8", "before_validate:2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_everything_and_ends_the_fit(make, moment, number, capsys):
    wanted = make().fit_one_cycle(3, 1e-2, callbacks=same_cut())
    learn = make()
    fit = {"callbacks": [Cut(moment, send(number))], "resume": "s"}
    if number == signal.SIGTERM:
        with pytest.raises(SystemExit) as caught:
            learn.fit_one_cycle(3, 1e-2, **fit)
        assert caught.value.code == 128 + signal.SIGTERM
    else:
        learn.fit_one_cycle(3, 1e-2, **fit)
    assert len(learn.history) == 1
    assert "stopped by hand in epoch 1" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    steps, other, counting = [], make(), Cut("never:0", cut_off)
    counting.after_step = lambda run: steps.append(run.step)
    other.fit_one_cycle(3, 1e-2, callbacks=[counting], resume="s")
    first = 8 if moment.startswith("before_validate") else int(moment[-1])
    assert steps[0] == first  # it goes on after the step in which the signal came
    assert differences(weights(wanted), weights(other)) == []


@pytest.mark.usefixtures("handlers")
def test_a_second_ctrl_c_ends_it_at_once(make):
    learn, seen = make(), []
    learn.model.register_forward_hook(lambda *_: seen.append(1))
    learn.fit(3, 1e-2, callbacks=[Cut("before_batch:4", send(signal.SIGINT, 2))], resume="s")
    assert len(seen) == 3  # the fourth batch is not computed any more


@pytest.mark.usefixtures("handlers")
def test_a_handler_of_the_program_is_called_after_the_file_is_written(make, tmp_path):
    called = []
    file = tmp_path / "models" / "s.resume.safetensors"
    signal.signal(signal.SIGTERM, lambda *_: called.append(checkpoint.read(file)[0]["at"]["batch"]))
    fit = {"callbacks": [Cut("after_loss:2", send(signal.SIGTERM))], "resume": "s"}
    make().fit(2, **fit)
    assert called == [2]


@pytest.mark.usefixtures("handlers")
def test_the_signal_of_another_system_ends_a_fit_and_reaches_the_program(make, monkeypatch):
    """On Windows it is SIGBREAK, and os.kill would end the process whatever handles it."""

    def kill(pid, number):
        raise AssertionError("the process is gone")

    called, before = [], signal.getsignal(signal.SIGUSR1)
    monkeypatch.setattr(interrupt, "ENDS", signal.SIGUSR1)
    monkeypatch.setattr(os, "kill", kill)
    signal.signal(signal.SIGUSR1, lambda *_: called.append(True))
    try:
        learn = make()
        learn.fit(2, callbacks=[Cut("after_loss:2", send(signal.SIGUSR1))], resume="s")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert called == [True]
    assert len(learn.history) == 0


@pytest.mark.usefixtures("handlers")
def test_without_a_checkpoint_sigterm_is_left_to_the_system(make):
    seen = []

    class Look(Callback):
        def after_step(self, run):
            seen.append(signal.getsignal(signal.SIGTERM))

    make().fit(1, callbacks=[Look()])
    assert set(seen) == {signal.SIG_DFL}


# --- callbacks ------------------------------------------------------------------------------


def test_what_a_callback_keeps_is_packed_and_comes_back_as_it_was():
    value = {
        "plain": [1, 2.5, float("-inf"), None, True, "x"],
        3: (1, (2, "y")),
        "paths": Path("a/b"),
        "sets": {1, 2},
        "deque": deque([1, 2], maxlen=3),
        "arrays": {"w": np.arange(6, dtype=np.uint16).reshape(2, 3), "n": np.float32(0.1)},
        "tensors": [torch.arange(3), torch.tensor(2.5, dtype=torch.bfloat16)],
        "alike": {1: torch.ones(1), "1": torch.zeros(1)},
        "a": {"b": torch.full((1,), 7.0)},
        "a.b": torch.full((1,), 9.0),
    }
    found = from_bytes(to_bytes(value))
    assert str(found) == str(value)
    assert found["arrays"]["w"].dtype == np.uint16
    assert type(found["arrays"]["n"]) is np.float32
    assert found["deque"].maxlen == 3


def test_what_cannot_be_kept_of_a_callback_is_named_before_training(make):
    class Odd(Callback):
        def __init__(self):
            self.count, self.thing, self.log = 3, object(), print

    with pytest.warns(OnecycleWarning, match=r"do not hold 'Odd\.thing'.*state_dict\(\)"):
        make().fit(1, callbacks=[Odd()], resume="odd")


def test_rows_of_a_log_that_came_after_the_checkpoint_come_once(make, tmp_path):
    def fit(moment):
        callbacks = [CSVLogger(tmp_path / "log.csv"), Cut(moment, cut_off)]
        rarely = Checkpoint("log", minutes=None, epochs=None, steps=6)
        make().fit(3, callbacks=[*callbacks, rarely])

    with pytest.raises(CutOffError):
        fit("after_step:10")
    assert list(pd.read_csv(tmp_path / "log.csv").epoch) == [0, 1]
    fit("never:0")
    assert list(pd.read_csv(tmp_path / "log.csv").epoch) == [0, 1, 2]


def test_a_log_whose_end_is_lost_is_told_and_goes_on(make, tmp_path):
    def fit(*extra):
        make().fit(3, callbacks=[CSVLogger(tmp_path / "log.csv"), *extra], resume="log")

    with pytest.raises(CutOffError):
        fit(Cut("after_step:10", cut_off))
    (tmp_path / "log.csv").write_text("")
    with pytest.warns(OnecycleWarning, match=r"log\.csv has 0 of the \d+ bytes"):
        fit(*same_cut())
    assert list(pd.read_csv(tmp_path / "log.csv").epoch) == [2]


# --- save and load --------------------------------------------------------------------------


def test_load_brings_the_history_and_the_order_of_the_data(make):
    learn = make()
    learn.fit(2, 1e-2)
    learn.save("two")
    other = make().load("two")
    assert other.history == learn.history
    assert other.data.train_dl.state() == 2
    assert make().load("two", with_opt=False).history == []


def test_a_checkpoint_is_a_saved_model_too(make):
    learn = make()
    learn.fit(2, 1e-2, resume="a")
    assert differences(weights(make().load("a.resume")), weights(learn)) == []


def test_images_are_compared_by_their_transforms(multi_src, make_bunch, tmp_path):
    src = [multi_src.transform(tfms, size=24) for tfms in (get_transforms(), get_transforms(False))]
    same = multi_src.transform(get_transforms(), size=24)
    learners = [tiny_learner(make_bunch(s), path=tmp_path) for s in (src[0], same, src[1])]
    for learn in learners[:2]:
        learn.fit(1, resume="t")
    with pytest.raises(CheckpointError, match="the way items are read and augmented was"):
        learners[2].fit(1, resume="t")
    shutil.rmtree(tmp_path / "models")


@pytest.mark.parametrize("change", ["at", "run", "settings", "packed"])
def test_a_file_that_somebody_has_changed_is_refused_by_name(make, tmp_path, change):
    cut(make, "after_step:5", 3, 1e-2, resume="x")
    path = tmp_path / "models" / "x.resume.safetensors"
    about, tensors = checkpoint.read(path)
    if change == "packed":
        about["run"]["rows"][0] = ["step", {"kind": "os.system", "rows": []}]
    else:
        about[change] = 7
    text = json.dumps(about)
    save_file(tensors, path, {"onecycle": text, "sha256": checkpoint.digest(tensors, text)})
    with pytest.raises(CheckpointError, match=r"x\.resume\.safetensors.*delete the file"):
        make().fit(3, 1e-2, callbacks=same_cut(), resume="x")
