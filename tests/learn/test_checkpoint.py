"""A saved learner goes on as if it had never stopped; anything else in its place is an error."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from learn_helpers import differences, optimizer_state, tiny_learner, weights
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from onecycle import Category, Learner, MultiCategory, from_arrays, mlp
from onecycle.core.errors import CheckpointError, OnecycleWarning, UsageError, WeightsError
from onecycle.learn.checkpoint import read
from onecycle.vision.augment import rotate, zoom

HELPERS = Path(__file__).parents[1] / "helpers"


@pytest.fixture
def saved(multi, tmp_path):
    """(learner, path) after one epoch and `save`."""
    learn = tiny_learner(multi, path=tmp_path, dropout=0.3)
    learn.fit_one_cycle(1, 1e-2)
    return learn, learn.save("stage-1", return_path=True)


def test_the_file_lies_below_path_and_model_dir(saved, tmp_path):
    learn, path = saved
    assert path == tmp_path / "models" / "stage-1.safetensors"
    learn.model_dir = "other"
    assert learn.save("v1.5", return_path=True) == tmp_path / "other" / "v1.5.safetensors"
    assert learn.save(tmp_path / "here", return_path=True) == tmp_path / "here.safetensors"
    assert learn.save("again") is None


def test_nothing_pickled_is_written(saved, tmp_path):
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.suffix for path in files] == [".safetensors"]
    assert b"onecycle" in files[0].read_bytes()[:200_000]
    assert load_file(files[0]).keys() > {"model.0.0.weight", "opt.0.exp_avg"}


def go_on(learn):
    """One more epoch from the second pass over the data, with fixed luck."""
    learn.data.train_dl.restore(1)
    torch.manual_seed(9)
    learn.fit_one_cycle(1, slice(1e-3, 1e-2))
    return weights(learn)


def test_going_on_after_load_equals_never_having_stopped(saved, multi_src, make_bunch, tmp_path):
    learn, _ = saved
    stopped = tiny_learner(make_bunch(multi_src), seed=5, path=tmp_path, dropout=0.3)
    assert stopped.load("stage-1") is stopped
    assert differences(weights(learn), weights(stopped)) == []
    assert optimizer_state(stopped)[0] == optimizer_state(learn)[0]
    assert differences(go_on(learn), go_on(stopped)) == []


def test_without_the_optimizer_it_starts_afresh(saved, multi_src, make_bunch, tmp_path):
    learn, _ = saved
    learn.save("bare", with_opt=False)
    learners = [tiny_learner(make_bunch(multi_src), path=tmp_path, dropout=0.3) for _ in range(2)]
    learners[0].load("bare")
    learners[1].load("stage-1", with_opt=False)
    assert learners[0].opt is learners[1].opt is None
    first, second = (go_on(other) for other in learners)
    assert differences(first, second) == []
    assert differences(first, go_on(learn)) != []


def test_load_forgets_the_optimizer_that_was_there(saved):
    learn, _ = saved
    learn.save("bare", with_opt=False)
    assert learn.load("bare").opt is None


@pytest.mark.parametrize("group", [1, 2])
def test_an_optimizer_of_other_frozen_groups_is_left_out_with_a_warning(saved, group):
    learn, _ = saved
    learn.freeze_to(group)
    learn.train_bn = False
    learn.freeze_to(group)
    with pytest.warns(OnecycleWarning, match="other frozen groups"):
        learn.load("stage-1")
    assert learn.opt is None
    learn.fit(1, 1e-3)


def test_a_parameter_that_never_had_a_gradient_does_not_cost_the_optimizer(multi, tmp_path):
    def learner():
        learn = tiny_learner(multi, path=tmp_path)
        last = learn.layer_groups[-1]
        learn.model[1].register_parameter("unused", torch.nn.Parameter(torch.ones(3)))
        last.append(learn.model[1].unused)
        return learn

    learn = learner()
    learn.fit(1, 1e-3)
    learn.save("a")
    other = learner().load("a")
    assert optimizer_state(other)[0] == optimizer_state(learn)[0]


def test_a_learner_at_another_size_and_batch_size_can_load(saved, multi_src, make_bunch, tmp_path):
    learn, _ = saved
    data = make_bunch(multi_src.transform(None, size=40), bs=5)
    other = tiny_learner(data, seed=3, path=tmp_path, dropout=0.3)
    with pytest.warns(OnecycleWarning, match=r"size was \[32, 32\], here it is \[40, 40\]"):
        other.load("stage-1")
    assert differences(weights(learn), weights(other)) == []


def test_another_threshold_is_no_obstacle(saved):
    learn, _ = saved
    with pytest.warns(OnecycleWarning, match=r"thresh was 0\.5, here it is 0\.2"):
        learn.with_threshold(0.2).load("stage-1")
    assert learn.task.target.thresh == 0.2


# --- what must not be loaded ------------------------------------------------------------------


def refuses(learn, path, *words):
    """Loading is an error that names the file, and the learner stays as it was."""
    before, opt = weights(learn), learn.opt
    with pytest.raises(CheckpointError) as caught:
        learn.load(path)
    assert str(path) in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value
    assert differences(before, weights(learn)) == []
    assert learn.opt is opt


def test_a_missing_file_is_named_and_so_are_those_that_are_there(saved, tmp_path):
    learn, _ = saved
    refuses(learn, tmp_path / "models" / "stage-2.safetensors", "no such file", "'stage-1'")


def test_a_folder_is_no_checkpoint(saved, tmp_path):
    (tmp_path / "models" / "folder.safetensors").mkdir()
    refuses(saved[0], tmp_path / "models" / "folder.safetensors")


def test_any_flipped_byte_is_seen(saved):
    """Everywhere in the header, where a digit or a type may still make sense, and in the data."""
    learn, path = saved
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [*range(0, header, 41), header, (header + len(whole)) // 2, len(whole) - 1]
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refuses(learn, path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"F32"', b'"I32"'),  # the same bytes as whole numbers
        (b'\\"train_loss\\": 0', b'\\"train_loss\\": 9'),  # the history
        (b"[10,6,3,3]", b"[6,10,3,3]"),
    ],
)
def test_a_header_that_still_makes_sense_is_seen(saved, old, new):
    learn, path = saved
    whole = path.read_bytes()
    assert old in whole
    path.write_bytes(whole.replace(old, new))
    refuses(learn, path)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_seen(saved, share):
    learn, path = saved
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refuses(learn, path, "damaged")


def test_weights_of_another_program_are_no_checkpoint(saved, tmp_path):
    learn, _ = saved
    foreign = tmp_path / "models" / "foreign.safetensors"
    save_file(learn.model.state_dict(), foreign)
    refuses(learn, foreign, "not written by learn.save()", "pretrained=")
    save_file(learn.model.state_dict(), foreign, {"onecycle": "[1]"})
    refuses(learn, foreign, "not written by learn.save()")
    save_file(learn.model.state_dict(), foreign, {"onecycle": '{"format": 1}'})
    refuses(learn, foreign)


def test_a_newer_format_is_refused(saved):
    learn, path = saved
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    about = json.loads(metadata["onecycle"]) | {"format": 2, "onecycle": "9.1"}
    save_file(load_file(path), path, metadata | {"onecycle": json.dumps(about)})
    refuses(learn, path, "newer", "9.1")


def test_other_classes_are_refused(saved, items, make_bunch, tmp_path):
    _, path = saved
    labels = items.label_from_df("tags", label_delim=" ", classes=["dots", "lines", "warm", "x"])
    other = tiny_learner(make_bunch(labels.transform(None, size=32)), path=tmp_path, dropout=0.3)
    refuses(other, path, "classes", "'x'")


@pytest.mark.parametrize("classes", [["lines", "dots", "warm"], ["dots", "lines", "cold"]])
def test_classes_in_another_order_or_of_other_names_are_refused(
    saved, items, make_bunch, tmp_path, classes
):
    """The weights would fit: every answer would have another's name."""
    learn, path = saved
    labels = items.label_from_func(
        lambda file: [classes[0]], label_cls=MultiCategory(tuple(classes))
    )
    other = tiny_learner(make_bunch(labels.transform(None, size=32)), path=tmp_path, dropout=0.3)
    refuses(other, path, "classes was ['dots', 'lines', 'warm']", str(classes))
    other.load(path, differences="ignore")
    assert differences(weights(learn), weights(other)) == []


def test_of_one_class_an_item_as_well(single, items, make_bunch, tmp_path):
    learn = tiny_learner(single, path=tmp_path)
    path = learn.save("one", return_path=True)
    order = ("warm", "lines", "dots")
    labels = items.label_from_df("kind", label_cls=Category(order))
    other = tiny_learner(make_bunch(labels.transform(None, size=32)), seed=1, path=tmp_path)
    assert tuple(other.data.classes) == order
    refuses(other, path, "['dots', 'lines', 'warm']", "['warm', 'lines', 'dots']")


def unlike(multi_src, what):
    """The same items, prepared otherwise, and what a warning should say."""
    plain = {"bs": 8, "num_workers": 0, "device": "cpu", "no_check": True}
    half, other = ([0.5] * 3, [0.5] * 3), ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    if what == "nothing":
        return multi_src.databunch(**plain), r"mean was \[0\.5, .*here it is None; std was"
    if what == "mean":
        return multi_src.databunch(**plain).normalize(other), r"here it is \[0\.485, "
    if what == "std":
        data = multi_src.databunch(**plain).normalize((half[0], other[1]))
        return data, r"data: std was \[0\.5, 0\.5, 0\.5\], here it is \[0\.229"
    if what == "size":
        data = multi_src.transform(None, size=24).databunch(**plain).normalize(half)
        return data, r"size was \[32, 32\], here it is \[24, 24\]"
    if what in {"view", "in_python"}:
        tfms = [zoom(scale=1.25)] if what == "view" else [rotate(degrees=9)]
        data = multi_src.transform(([], tfms), size=32).databunch(**plain).normalize(half)
        here = r"\[0\.5, 0\.5, 0\.8" if what == "view" else r"\['rotate"
        return data, rf"data: {what} was \[\], here it is {here}"
    data = multi_src.transform(None, size=(32, 32)).databunch(**plain).normalize(half)
    return data, "resize_method was crop, here it is squish"


@pytest.mark.parametrize(
    "what", ["nothing", "mean", "std", "size", "resize_method", "view", "in_python"]
)
def test_data_that_is_prepared_otherwise_is_said_with_what_differs(
    saved, multi_src, tmp_path, what
):
    learn, _ = saved
    data, words = unlike(multi_src, what)
    with pytest.warns(OnecycleWarning, match=words) as messages:
        other = tiny_learner(data, seed=3, path=tmp_path, dropout=0.3).load("stage-1")
    assert len(messages) == 1
    assert "differences=" in str(messages[0].message)
    assert differences(weights(learn), weights(other)) == []
    strict = tiny_learner(data, seed=3, path=tmp_path, dropout=0.3)
    before = weights(strict)
    with pytest.raises(CheckpointError, match=words):
        strict.load("stage-1", differences="error")
    assert differences(before, weights(strict)) == []
    strict.load("stage-1", differences="ignore")
    assert differences(weights(learn), weights(strict)) == []


def test_of_arrays_as_well(tmp_path):
    x = np.random.default_rng(0).normal(2, 3, size=(20, 4))
    data = from_arrays(x, [0, 1] * 10, bs=4, device="cpu")
    learn = Learner(data.normalize(), mlp([4, 2]), path=tmp_path, silent=True)
    learn.save("a")
    again = Learner(data, mlp([4, 2]), path=tmp_path, silent=True)
    with pytest.warns(OnecycleWarning, match="mean was .* here it is None"):
        again.load("a")
    learn.load("a")


def test_the_option_is_one_of_three(saved):
    with pytest.raises(UsageError, match="'warn', 'error', 'ignore', not 'no'"):
        saved[0].load("stage-1", differences="no")


def test_another_kind_of_answer_is_refused(saved, single, tmp_path):
    refuses(tiny_learner(single, path=tmp_path), saved[1], "kind")


def test_another_model_is_refused(saved, multi, tmp_path):
    _, path = saved
    other = tiny_learner(multi, path=tmp_path)
    other.model[0][0] = torch.nn.Conv2d(3, 6, 5, padding=2)
    refuses(other, path, "another model", "'0.0.bias'", "'0.0.weight'")


def test_not_strict_takes_what_fits_by_name(saved, multi, tmp_path):
    learn, _ = saved
    other = tiny_learner(multi, seed=4, path=tmp_path, dropout=0.3)
    other.model.add_module("more", torch.nn.Linear(3, 3))
    other.load("stage-1", with_opt=False, strict=False)
    assert differences(weights(learn), {k: weights(other)[k] for k in weights(learn)}) == []


def test_a_checkpoint_error_is_a_weights_error():
    assert issubclass(CheckpointError, WeightsError)


# --- writing ------------------------------------------------------------------------------------


@contextmanager
def as_nobody():
    """Root may write anywhere, so be somebody else for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_that_cannot_be_written_is_an_error_that_says_what_to_do(saved, tmp_path):
    learn, path = saved
    before = path.read_bytes()
    path.parent.chmod(0o555)
    try:
        with as_nobody(), pytest.raises(CheckpointError) as caught:
            learn.save("stage-1")
    finally:
        path.parent.chmod(0o755)
    assert str(path) in str(caught.value)
    assert "learn.model_dir" in str(caught.value)
    assert path.read_bytes() == before


def test_a_file_in_the_place_of_the_folder_is_an_error(saved, tmp_path):
    learn, _ = saved
    (tmp_path / "file").touch()
    learn.model_dir = "file"
    with pytest.raises(CheckpointError, match=r"file/a\.safetensors cannot be written"):
        learn.save("a")


def test_a_full_disk_leaves_the_old_file_and_no_rubbish(saved):
    learn, path = saved
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CheckpointError) as caught:
            learn.save("stage-1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


SAVE_FOR_EVER = """
import sys
sys.path.insert(0, {here!r})
import torch
from pathlib import Path
from learn_helpers import tiny_learner
from onecycle.vision.lists import ImageList
import numpy as np
from PIL import Image
root = Path({root!r})
for i in range(4):
    Image.fromarray(np.full((32, 32, 3), 60 * i, np.uint8)).save(root / f"{{i}}_{{i % 2}}.png")
data = ImageList.from_folder(root).split_by_idx([0, 1]).label_from_re(r"_(.)").transform(
    None, size=32).databunch(bs=2, num_workers=0, device="cpu")
learn = tiny_learner(data, path=root)
learn.model.register_buffer("ballast", torch.zeros(2_000_000))
number = 0
while True:
    learn.model.ballast.fill_(number)
    learn.save("model")
    print(number, flush=True)
    number += 1
"""


def test_a_process_killed_while_saving_leaves_the_old_file_or_the_new_one(tmp_path):
    code = SAVE_FOR_EVER.format(here=str(HELPERS), root=str(tmp_path))
    path = tmp_path / "models" / "model.safetensors"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        lines = [process.stdout.readline()]
        for wait in (0.003, 0.011, 0.024, 0.041):
            time.sleep(wait)
            os.kill(process.pid, signal.SIGSTOP)  # frozen wherever it is: what lies there now?
            _, tensors = read(path)
            assert tensors["model.ballast"].unique().numel() == 1
            os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.02)
        process.kill()
        lines += process.stdout.readlines()
    # What was printed was saved before; the last line may have been cut off by the kill.
    done = int([line for line in lines if line.endswith("\n")][-1])
    _, tensors = read(path)
    (number,) = tensors["model.ballast"].unique().tolist()
    assert number in (done, done + 1)
