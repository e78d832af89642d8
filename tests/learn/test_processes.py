"""Several processes train as one does: same batches, same weights, same figures, one file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PROGRAM = Path(__file__).with_name("several_processes.py")


def started(folder, processes):
    """Run the program in `processes` processes on this machine."""
    luck = np.random.default_rng(0)
    for i in range(14):
        side, kind = ("train", "valid")[i >= 9], "ab"[i % 2]
        place = folder / "images" / side / kind
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(luck.integers(0, 256, (8, 8, 3), np.uint8)).save(place / f"{i}.png")
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


def test_only_the_first_process_writes(two):
    """Each process was given a folder of its own: checkpoint and log are in the first's alone."""
    rows = (two[0] / "files0/history.csv").read_text().splitlines()
    assert len(rows) == 4  # the head and the three epochs of the last fit
    assert (two[0] / "files0/models/kept.safetensors").is_file()
    assert not [path for path in (two[0] / "files1").rglob("*") if path.is_file()]


def test_different_data_is_an_error_in_every_process(two):
    for rank in range(2):
        assert "different data: give the split a seed" in (two[0] / f"split{rank}.txt").read_text()


def test_a_batch_that_cannot_be_shared_is_an_error(two):
    assert "bs=7 cannot be shared by 2 processes" in (two[0] / "odd0.txt").read_text()


def test_each_process_reads_its_own_pictures_only(two):
    """9 pictures in batches of 4 train, 5 validate: of the last one, both read the same."""
    for rank in range(2):
        assert json.loads((two[0] / f"rows{rank}.json").read_text()) == [[2, 2], [2, 1]]
