"""In several processes nothing is doubled, lost, or another's, in any precision."""

import json
import os
import sys

import numpy as np
import pytest

from learn.several_ways import SHAPES, alone
from learn.test_shared_looks import launched

PROGRAM = __file__.replace("test_several_ways", "several_ways")
EIGHT_BITS = 2.0**-8  # of a bfloat16, by which a gradient or an output may be rounded otherwise
pytestmark = pytest.mark.filterwarnings("ignore::onecycle.OnecycleWarning")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ways")
    launched(PROGRAM, 2, folder, PYTHONPATH=os.pathsep.join(sys.path))
    return [json.loads((folder / f"ways{i}.json").read_text()) for i in (0, 1)]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return alone(tmp_path_factory.mktemp("alone"), lambda learn: learn)


def close(ours, theirs, **tolerance):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("what", ["weights", "preds", "history", "validate"])
def test_two_processes_in_bfloat16_train_as_one_in_bfloat16_does(one, two, shape, what):
    """Sums of halves are rounded to other 8 bits than sums of all."""
    for seen in two:
        ours = seen[{"together": "halves"}.get(shape, shape)][what]
        close(ours, one["halves"][what], atol=EIGHT_BITS / 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_process_computes_in_bfloat16_and_keeps_its_weights_in_32_bits(one, two, shape):
    for seen in two:
        kinds = seen[{"together": "halves"}.get(shape, shape)]["kinds"]
        assert kinds == one["halves"]["kinds"] == ["torch.bfloat16", "torch.float32"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_of_a_training_in_bfloat16_gives_its_weights_back_bit_for_bit(two, shape):
    for seen in two:
        found = seen[{"together": "halves"}.get(shape, shape)]
        assert found["loaded"]
        assert found["resumed"][0] == found["resumed"][1]


def test_before_any_fit_all_processes_have_the_weights_of_the_first(two):
    assert two[0]["first"] == two[1]["first"]


def test_running_statistics_are_averaged_over_the_processes(one, two):
    """Means of halves average to those of all, where a process's own do not."""
    for seen in two:
        close(seen["statistics"], one["statistics"], atol=1e-6)


def test_a_loss_with_class_weights_is_reported_as_by_one_process(one, two):
    for seen in two:
        close(seen["figures"]["losses"], one["figures"]["losses"], rtol=1e-5)


def test_a_metric_that_adds_up_over_processes_counts_each_item_once(one, two):
    assert [seen["figures"]["counted"] for seen in (one, *two)] == [11.0] * 3


def test_a_callback_that_ends_a_fit_in_one_process_ends_it_in_all(one, two):
    for seen in two:
        close(seen["stopped"], one["stopped"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("what", ["stream", "average"])
def test_what_each_process_has_of_its_own_is_there_again_after_a_cut(two, what):
    """The state of its rows of a stream; statistics in an average of the weights."""
    for seen in two:
        whole, resumed = seen[what]
        assert whole == resumed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("labels", "DataError: the processes have different data, that is, other items or labels"),
        ("long rows", "DataError: the processes have different data, that is, other items or"),
        ("classes", "DataError: the processes have different data, that is, other classes"),
        ("later", "DataError: the processes have different data, that is, other items or labels"),
        ("idle", "TrainingError: the loss does not depend on 'idle.weight', 'idle.bias'"),
        ("average", "UsageError: ModelEMA is not for distributed(shard=True)"),
    ],
)
def test_what_processes_cannot_share_is_an_error_in_all(two, name, message):
    for seen in two:
        assert seen["refused"][name].startswith(message)


@pytest.mark.parametrize(
    ("name", "kind"), [("log", "WriteError"), ("tracker", "UsageError: arrays cannot be exported")]
)
def test_what_the_first_process_cannot_write_is_an_error_in_all(two, name, kind):
    first, second = (seen["refused"][name] for seen in two)
    assert first.startswith(kind)
    assert second == first.replace(": ", ": in the first process: ", 1)


def test_a_stream_is_trained_on_with_weights_in_parts(two):
    for seen in two:
        assert seen["perplexed"][0] == pytest.approx(seen["perplexed"][1], rel=1e-6)


def test_the_first_process_alone_writes_an_encoder_and_speaks(two):
    assert [seen["encoders"] for seen in two] == [["words.safetensors"], []]
    assert "stopping early" in two[0]["printed"]
    assert "LR Finder" in two[0]["printed"]
    assert two[1]["printed"] == ""


def test_a_signal_to_one_process_ends_the_program_in_all(two):
    assert [seen["ended"] for seen in two] == [143, 143]
