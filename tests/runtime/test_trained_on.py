"""What an exported file says of its training: the page shows it to its visitors."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from trained_models import body

from onecycle.learn.exporting import training_of
from onecycle.learn.metrics import accuracy, fbeta
from onecycle.runtime.predictor import Predictor
from onecycle.vision.input import half_stats
from onecycle.vision.learner import cnn_learner, load_cnn
from onecycle.vision.lists import ImageList

pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")


@pytest.fixture(scope="module")
def learn(images):
    split = ImageList.from_folder(images[0]).split_by_rand_pct(0.25, seed=0)
    src = split.label_from_re(r"([a-z]+)_\d+").transform(None, size=32)
    data = src.databunch(bs=6, num_workers=0).normalize(half_stats)
    return cnn_learner(data, body(), pretrained=False, metrics=[accuracy], silent=True)


def test_the_day_the_items_and_the_last_epochs_metrics_are_in_the_file(learn, tmp_path):
    learn.fit_one_cycle(2, 1e-2)
    learn.recorder.metrics[0] = [0.125]  # of the first epoch: not these
    said = Predictor(learn.export(tmp_path / "m.onnx")).about["trained"]
    day = datetime.fromisoformat(said.pop("date")).replace(tzinfo=UTC)
    assert timedelta(0) <= datetime.now(UTC) - day < timedelta(days=2)
    wanted = float(learn.recorder.metrics[1][0])
    assert said == {"items": 18, "validation_items": 6, "metrics": {"accuracy": wanted}}


def test_of_a_learner_that_has_no_fit_or_no_data_the_file_says_less(learn, tmp_path):
    learn.recorder.metrics = []
    assert set(training_of(learn)) == {"date", "items", "validation_items"}
    learn.recorder.metric_names = ["accuracy", "f"]
    learn.recorder.metrics = [[0.5, float("nan")]]
    assert training_of(learn)["metrics"] == {"accuracy": 0.5}  # JSON has no word for nan
    split = cnn_learner(learn.data, "small", pretrained=False, metrics=partial(fbeta, beta=1))
    split.save(tmp_path / "kept.safetensors")
    assert set(training_of(load_cnn(tmp_path / "kept.safetensors"))) == {"date"}
