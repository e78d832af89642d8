"""What an export is compared with, and what smaller files say about themselves."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn
from trained_models import trained

from onecycle.core.errors import ExportError, OnecycleWarning, UsageError
from onecycle.data.arrays import from_arrays
from onecycle.data.targets import Category, Numbers
from onecycle.data.task import Task
from onecycle.export.graph import Cost, store_in_half
from onecycle.learn import exporting
from onecycle.learn.learner import Learner
from onecycle.runtime.kinds import Answer
from onecycle.runtime.predictor import Predictor
from onecycle.vision.input import ImageInput

pytestmark = pytest.mark.usefixtures("traced_once")

# --- the user's own items ------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sharpened(ImageInput):
    """Treats the files whose names hold `but` in Python; arrays, and all others, as ever."""

    but: str = "green"

    def load(self, source, y, target, rng):
        sample = super().load(source, y, target, rng)
        if self.but not in str(getattr(source, "name", "")):
            return sample
        return replace(sample, x=255 - sample.x)


class Loud(Category):
    """Answers in capitals, by code that no file holds."""

    def decode(self, probabilities):
        found = super().decode(probabilities)
        return Answer(str(found.obj).upper(), found.data, str(found.obj).upper())


def with_task(learn, task):
    return Learner(learn.data.with_task(task), learn.model, silent=True)


def test_what_the_learner_does_to_its_own_items_in_python_is_noticed(learners, tmp_path):
    learn = learners["numbers"]
    given, target = learn.task.input, learn.task.target
    fields = {name: getattr(given, name) for name in ("size", "mean", "std", "resize_method")}
    learn = with_task(learn, Task(Sharpened(**fields), target))
    assert any("green" in f.name for f in exporting.sources_of(learn.data.valid_ds))
    with pytest.raises(ExportError, match="otherwise than the learner does"):
        learn.export(tmp_path / "m.onnx")
    plain = with_task(learn, Task(Sharpened(**fields, but="no such name"), target))
    plain.export(tmp_path / "m.onnx")  # nothing of it acts: the file is right


def test_answers_made_in_python_are_noticed(learners, tmp_path):
    learn = learners["category"]
    loud = with_task(learn, Task(learn.task.input, Loud(learn.task.target.classes)))
    with pytest.raises(ExportError, match=r"Python code of its own \(Loud\)"):
        loud.export(tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


class Strange(Numbers):
    """A kind of answer that has no half without torch."""

    kind = "strange"


def test_a_kind_of_answer_that_no_file_knows_is_refused_by_name(learners, tmp_path):
    learn = learners["numbers"]
    strange = with_task(learn, Task(learn.task.input, Strange(learn.task.target.names)))
    with pytest.raises(ExportError, match="kind Strange"):
        strange.export(tmp_path / "m.onnx")


def test_the_items_to_compare_lie_all_over_the_set(learners):
    side = learners["category"].data.train_ds
    chosen = exporting.sources_of(side, 5)
    at = [list(side.x.items).index(source) for source in chosen]
    assert at == [0, 4, 8, 13, 17]
    assert exporting.sources_of(side, 500) == list(side.x.items)


# --- what a precision costs ----------------------------------------------------------------


def shares(rows):
    return lambda x: torch.tensor(rows, dtype=torch.float32)[x[:, 0].long()]


def deciding(classes):
    """Probabilities by which item i is decided to be classes[i] of three."""
    return shares(np.eye(3)[classes] * 0.6 + 0.2)


def data_of(y, **options):
    x = np.arange(float(len(y)))[:, None]
    return from_arrays(x, y, x, y, bs=2, num_workers=0, device="cpu", **options)


def test_the_cost_counts_answers_that_change_also_where_none_gets_worse():
    learn = Learner(data_of([0, 0, 1, 1, 2]), nn.Linear(1, 3), silent=True)
    found = exporting.cost(learn, deciding([0, 1, 1, 1, 0]), deciding([0, 1, 1, 2, 2]))
    assert (found.before, found.after, found.items) == pytest.approx((0.6, 0.6, 5))
    assert found.worse == pytest.approx(0)
    assert found.changed == pytest.approx(0.4)
    worse = exporting.cost(learn, deciding([0, 0, 1, 1, 2]), deciding([0, 0, 1, 0, 0]))
    assert (worse.before, worse.after, worse.worse) == pytest.approx((1.0, 0.6, 0.4))


def test_of_several_labels_a_changed_one_changes_the_answer():
    data = data_of([["a"], ["a", "b"], ["b"], ["a"]]).with_threshold(0.3)
    learn = Learner(data, nn.Linear(1, 2), silent=True)
    before = shares([[0.4, 0.1], [0.4, 0.9], [0.1, 0.9], [0.2, 0.1]])
    after = shares([[0.4, 0.1], [0.2, 0.2], [0.1, 0.9], [0.31, 0.2]])
    found = exporting.cost(learn, before, after)
    assert found.changed == pytest.approx(0.5)
    assert (found.before, found.after) == pytest.approx((7 / 8, 6 / 8))


def test_numbers_move_in_units_of_their_spread():
    learn = Learner(data_of([0.0, 2.0, 4.0, 6.0]), nn.Linear(1, 1), silent=True)
    spread = np.var([0, 2, 4, 6], ddof=1)
    near = exporting.cost(learn, shares([[0], [2], [4], [6]]), shares([[0], [2], [4], [7]]))
    assert near.before == 1
    assert near.after == pytest.approx(1 - 0.25 / spread)
    assert near.worse == pytest.approx(0.25 / spread)
    assert near.moved == pytest.approx(np.sqrt(0.25 / spread))
    assert near.changed == 0
    far = exporting.cost(learn, shares([[90]] * 4), shares([[91]] * 4))
    assert -1 < far.after < far.before < -0.99
    error = np.mean((np.array([0, 2, 4, 6]) - 90) ** 2) / spread
    later = np.mean((np.array([0, 2, 4, 6]) - 91) ** 2) / spread
    assert far.worse == pytest.approx((later - error) / error, rel=1e-4)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_changed_answer_is_said_and_written_into_the_file(
    precision, learners, tmp_path, monkeypatch
):
    def cost(*_):
        return Cost(0.9, 0.895, 427, 0.005, changed=45 / 427)

    monkeypatch.setattr(exporting, "cost", cost)
    reported = rf"{precision} changes 11 % of the answers on the 427 .*0.9000 to 0.8950"
    with pytest.warns(OnecycleWarning, match=reported) as caught:
        file = learners["category"].export(tmp_path / "m.onnx", precision=precision)
    assert ("calibrate=" in str(caught[0].message)) == (precision == "int8")
    assert caught[0].filename == __file__  # where export was called
    made = Predictor(file).about["made"]
    assert made["changed"] == pytest.approx(45 / 427)
    assert (made["items"], made[f"validation_{precision}"]) == (427, 0.895)


def test_numbers_that_move_are_said_above_a_hundredth_of_their_spread(
    learners, tmp_path, monkeypatch
):
    for moved in (0.009, 0.03):
        cost = Cost(0.9, 0.9, 6, 0.0, moved=moved)
        monkeypatch.setattr(exporting, "cost", lambda *_, cost=cost: cost)
        reported = pytest.warns(OnecycleWarning, match="moves the answers by 3 % of their spread")
        with reported if moved > 0.01 else nullcontext():  # where a warning would be an error
            learners["numbers"].export(tmp_path / "m.onnx", precision="fp16")


def test_int8_is_calibrated_on_as_many_training_items_as_are_asked_for(
    learners, tmp_path, monkeypatch
):
    learn, seen = learners["numbers"], []

    def recorded(model, batches):
        seen.append(torch.cat(list(batches)))
        return model

    monkeypatch.setattr("onecycle.export.quantize.quantize", recorded)
    side = learn.data.train_ds
    for count, wanted in ((None, 18), (5, 5), (1000, 18)):
        learn.export(tmp_path / "m.onnx", precision="int8", calibrate=count)
        assert len(seen[-1]) == wanted
    at = [0, 4, 8, 13, 17]  # evenly spread, as they are in validation: not augmented
    own = torch.cat([next(iter(learn.data.single([side.x.items[i]])))[0] for i in at])
    assert torch.equal(seen[1], own)
    for precision, count in (("fp32", 5), ("fp16", 5), ("int8", 0)):
        with pytest.raises(UsageError, match="calibrate= is a number of training items"):
            learn.export(tmp_path / "m.onnx", precision=precision, calibrate=count)


def test_without_validation_data_the_cost_of_fp16_is_said_to_be_unknown(images, tmp_path):
    learn = trained("numbers", images)
    data = replace(learn.data, valid_dl=None)
    alone = Learner(data, learn.model, silent=True)
    with pytest.warns(OnecycleWarning, match="fp16 changes was not measured"):
        file = alone.export(tmp_path / "m.onnx", precision="fp16")
    assert Predictor(file).about["made"] == {"precision": "fp16"}


def test_numbers_beyond_16_bits_are_kept_in_32(learners, tmp_path):
    learn = learners["numbers"]
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.AdaptiveAvgPool2d(1))
    net = nn.Sequential(*net, nn.Flatten(), nn.Linear(64, 1))
    with torch.no_grad():
        net[1].running_var.fill_(1e6)
        net[1].running_mean.fill_(-9e4)
    huge = Learner(learn.data, net.eval(), silent=True)
    source = learn.data.valid_ds.items[0]
    file = huge.export(tmp_path / "m.onnx", precision="fp16")
    wanted = huge.predict(source)[2].numpy()
    assert Predictor(file).predict(source).probabilities == pytest.approx(wanted, rel=0.01)


def test_halving_rounds_to_the_nearest_number_of_16_bits():
    import onnx
    from onnx import numpy_helper

    values = np.linspace(-3, 3, 100).astype(np.float32)
    tensor = numpy_helper.from_array(values, "w")
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    (half,) = store_in_half(onnx.helper.make_model(graph)).graph.initializer
    found = numpy_helper.to_array(half)
    assert found.dtype == np.float16
    assert np.array_equal(found, values.astype(np.float16))


def test_numbers_that_16_bits_cannot_hold_stay_as_they_are():
    import onnx
    from onnx import numpy_helper

    values = np.linspace(0, 7e4, 100).astype(np.float32)
    tensor = numpy_helper.from_array(values, "variance")
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    (kept,) = store_in_half(onnx.helper.make_model(graph)).graph.initializer
    assert np.array_equal(numpy_helper.to_array(kept), values)
