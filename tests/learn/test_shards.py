"""Two processes that hold weights, gradients and averages together train as one that has all."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from learn.several_shards import made, resumed, trained
from learn.test_shared_looks import launched

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::onecycle.OnecycleWarning"),
]
PROGRAM = __file__.replace("test_shards", "several_shards")
CLOSE = {"rtol": 2e-4, "atol": 2e-6}  # sums of halves are rounded otherwise than sums of all


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    for i in range(12):
        place = folder / f"images/{('train', 'valid')[i >= 8]}/{'ab'[i % 2]}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(place / f"{i}.png")
    launched(PROGRAM, 2, folder)
    return folder, [json.loads((folder / f"shards{i}.json").read_text()) for i in (0, 1)]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return trained(folder)


def test_sharded_training_is_that_of_one_process(one, two):
    for seen in two[1]:
        for name, values in one[1].items():
            np.testing.assert_allclose(seen[name], values, **CLOSE, err_msg=name)


def test_each_process_holds_about_half_of_weights_and_averages(two):
    first, second = two[1]
    pairs = zip(first["held"], second["held"], strict=True)
    assert [a + b for a, b in pairs] == first["all"] == [96, 16, 16, 16, 48, 3]
    assert first["averages"] == first["held"] == [48, 8, 8, 8, 32, 2]


def test_what_sharded_processes_saved_is_a_file_for_one(one, two, tmp_path):
    learn = made(tmp_path).load(two[0] / "models/kept")
    reference = made(one[0].path).load("kept")
    expected = reference.model.state_dict()
    for name, ours in learn.model.state_dict().items():
        np.testing.assert_allclose(ours, expected[name], **CLOSE, err_msg=name)
    kept = [row["exp_avg"].shape for row in learn.opt.inner.state.values()]
    assert kept == [torch.Size(s) for s in ([16, 6], [16], [16], [16], [3, 16], [3])]


def test_a_sharded_fit_goes_on_where_it_was_cut_off(two, tmp_path):
    for seen in two[1]:
        np.testing.assert_allclose(seen["resumed"], resumed(tmp_path), **CLOSE)


def test_the_exported_file_answers_as_the_sharded_model(two):
    for seen in two[1]:
        assert seen["exported"]["before"] != seen["exported"]["file"]
        np.testing.assert_allclose(seen["exported"]["file"], seen["exported"]["model"], atol=1e-4)
