"""Several processes look at a whole set as one does, each at its share of every batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from learn.several_looks import KINDS, looks

PROGRAM = Path(__file__).with_name("several_looks.py")


def launched(program, processes, *args, **env):
    """Run a program by torchrun; every process ends, and well."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, "-W", "ignore", *launch, str(program), *map(str, args)]
    env = os.environ | {"OMP_NUM_THREADS": "1"} | env
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=env, check=False
    )
    assert not done.returncode, done.stderr[-3000:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for i in range(11):
        pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"images/{i:02}.png")
        Image.fromarray(pixels[..., 0] % 3).save(folder / f"masks/{i:02}.png")
    return folder


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def several(request, folder, tmp_path_factory):
    """Of each process what it saw."""
    out = tmp_path_factory.mktemp("several")
    launched(PROGRAM, request.param, out, folder)
    return [json.loads((out / f"looks{i}.json").read_text()) for i in range(request.param)]


def same(ours, theirs):
    """Equal but for the last bits, in nests of lists."""
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[k], theirs[k]) for k in theirs)
    ours, theirs = (json.loads(json.dumps(value)) for value in (ours, theirs))
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs if theirs is None else ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::onecycle.OnecycleWarning")
def test_every_process_gets_the_values_of_the_whole_set_in_its_order(several, folder, kind):
    alone = looks(kind, folder)
    for seen in several:
        for name, values in alone.items():
            assert same(seen[kind][name], values), (kind, name)


def test_each_process_reads_its_share_of_the_files_only(several):
    """7 images in batches of 4 and 3."""
    assert [seen["read"] for seen in several] == {2: [4, 4], 3: [3, 3, 3]}[len(several)]


def test_a_file_that_the_first_process_cannot_write_is_an_error_in_all(several):
    kinds, messages = zip(*(seen["unwritable"] for seen in several), strict=True)
    assert set(kinds) == {"CheckpointError"}
    assert "cannot be written" in messages[0]
    assert all(text == f"in the first process: {messages[0]}" for text in messages[1:])


def test_one_process_may_predict_alone(several):
    assert several[0]["alone"] == pytest.approx(1)
