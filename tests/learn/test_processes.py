"""Several processes train as one does: same batches, same weights, same figures, one file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

PROGRAM = Path(__file__).with_name("several_processes.py")


def started(folder, processes):
    """Run the program in `processes` processes on this machine."""
    rng = np.random.default_rng(0)
    for i in range(14):
        side, kind = ("train", "valid")[i >= 9], "ab"[i % 2]
        place = folder / "images" / side / kind
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(place / f"{i}.png")
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, "-W", "ignore", *launch, str(PROGRAM), str(folder)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=180, env=env, check=False
    )
    assert not done.returncode, done.stderr[-3000:]
    return [json.loads(path.read_text()) for path in sorted(folder.glob("rank*.json"))]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return folder, started(folder, 1)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return folder, started(folder, 2)


@pytest.mark.parametrize("what", ["weights", "history", "smoothed", "curve", "alone"])
def test_two_processes_train_as_one_does(one, two, what):
    """The validation set has 10 rows in batches of 8, so its last batch is shared unevenly."""
    (single,), both = one[1], two[1]
    assert [seen["processes"] for seen in both] == [2, 2]
    for seen in both:
        for ours, theirs in zip(seen[what], single[what], strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-6, rtol=2e-5)


def test_processes_leave_their_group_before_python_ends(two):
    """Else threads of the group now and then end a program whose work is done by SIGABRT."""
    assert [(two[0] / f"group{rank}.txt").read_text() for rank in (0, 1)] == ["False", "False"]


def test_two_processes_go_on_where_they_were_cut_off(two):
    for rank in (0, 1):
        whole, again = json.loads((two[0] / f"resumed{rank}.json").read_text())
        assert whole == again
    files = [path.name for path in (two[0] / "models").iterdir()]
    assert sorted(files) == ["shared.resume.1.safetensors", "shared.resume.safetensors"]


def norms(folder, processes):
    """Of each process, what it saw without and with batch norm of all processes."""
    return [json.loads((folder / f"norms{rank}.json").read_text()) for rank in range(processes)]


@pytest.mark.parametrize("synchronized", [False, True])
def test_what_fit_reports_is_of_the_model_that_every_process_has_and_saves(two, synchronized):
    """Running statistics differ by process while training: they are averaged before validation."""
    both = [seen[synchronized] for seen in norms(two[0], 2)]
    for seen in both:
        assert seen["alone"] == pytest.approx(seen["reported"], rel=1e-6)
        assert seen["reported"] == both[0]["reported"]
    from safetensors.torch import load_file

    kept = load_file(both[0]["saved"])
    x, y, model = normed_data()
    model.load_state_dict({k.removeprefix("model."): v for k, v in kept.items() if k[0] == "m"})
    with torch.no_grad():
        loss = F.cross_entropy(model.eval()(x), y)
    assert both[0]["reported"][0] == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize("synchronized", [False, True])
def test_a_fit_that_stops_within_an_epoch_leaves_every_process_the_same_model(two, synchronized):
    first, second = (seen[synchronized] for seen in norms(two[0], 2))
    for what in ("buffers", "weights"):
        for ours, theirs in zip(first[what], second[what], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def normed_data():
    """The validation set and the network of `several_processes.normed`, made alone."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(50, 6)).astype(np.float32)
    x[::2] += 3 * rng.normal(size=6).astype(np.float32)
    torch.manual_seed(1)
    first, last = nn.Linear(6, 16, bias=False), nn.Linear(16, 3, bias=False)
    model = nn.Sequential(first, nn.BatchNorm1d(16), nn.Tanh(), last, nn.BatchNorm1d(3))
    return torch.from_numpy(x[40:]), torch.from_numpy(x[40:, :3].argmax(1)), model


@pytest.mark.parametrize("what", ["reported", "weights", "buffers"])
def test_with_batch_norm_of_all_processes_two_train_as_one_does(one, two, what):
    (single,), both = norms(one[0], 1), norms(two[0], 2)
    assert [seen[1]["norms"] for seen in both] == [[True, True]] * 2
    assert [seen[1]["groups"] for seen in both] == [[3, 3]] * 2
    assert [seen[1]["recipe"] for seen in both] == [{"kind": "mine"}] * 2
    for seen in both:
        for ours, theirs in zip(seen[1][what], single[1][what], strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-5, rtol=2e-4)
    if what == "buffers":  # which is not so where each process looks at its own items
        apart = [np.abs(np.subtract(a, b)).max() for a, b in
                 zip(both[0][0]["buffers"], single[0]["buffers"], strict=True)]  # fmt: skip
        assert max(apart) > 1e-3


def test_a_process_with_one_item_of_a_batch_is_told_so(two):
    messages = (two[0] / "lonely0.txt").read_text()
    assert "one item in each of 2 processes (bs=2)" in messages


def test_only_the_first_process_writes(two):
    """Each process was given a folder of its own: checkpoint and log are in the first's alone."""
    rows = (two[0] / "files0/history.csv").read_text().splitlines()
    assert len(rows) == 4  # the head and the three epochs of the last fit
    assert (two[0] / "files0/models/kept.safetensors").is_file()
    assert not [path for path in (two[0] / "files1").rglob("*") if path.is_file()]


def test_different_data_is_an_error_in_every_process(two):
    for rank in range(2):
        assert "different data, that is, other items" in (two[0] / f"split{rank}.txt").read_text()


def test_a_batch_that_cannot_be_shared_is_an_error(two):
    assert "bs=7 cannot be shared by 2 processes" in (two[0] / "odd0.txt").read_text()


@pytest.mark.parametrize("name", ["broken", "broken_norms"])
def test_numbers_that_are_not_finite_end_every_process_and_are_named_by_the_one_that_has_them(
    two, name
):
    """Also where layers wait for those of the other process while the batch is run again."""
    first, second = ((two[0] / f"{name}{rank}.txt").read_text() for rank in range(2))
    assert "the inputs of the batch already hold values not finite: items 2 of its 4" in second
    assert "the loss became nan in epoch 0, step 1" in first
    assert ("the items of another process do" in first) is (name == "broken")


def test_each_process_reads_its_own_images_only(two):
    """9 images in batches of 4 train, 5 validate: of the last one, both read the same."""
    for rank in range(2):
        assert json.loads((two[0] / f"rows{rank}.json").read_text()) == [[2, 2], [2, 1]]
