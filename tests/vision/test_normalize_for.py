"""Data that nobody has normalised, with pretrained weights: as the weights expect, and said."""

import numpy as np
import pytest
import torch
from PIL import Image

from onecycle import ImageList, Predictor, cnn_learner, imagenet_stats, models, unet_learner
from onecycle.core.errors import OnecycleWarning
from onecycle.vision.lists import SegmentationItemList

RAW = ([0.0] * 3, [1.0] * 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    rng = np.random.default_rng(4)
    for i in range(12):
        kind = ("red", "blue")[i % 2]
        pixels = rng.integers(0, 120, (40, 40, 3), dtype=np.uint8)
        pixels[..., 0 if kind == "red" else 2] += 100
        (root / kind).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / kind / f"{i}.png")
    return root


def make(folder, size=32):
    src = ImageList.from_folder(folder).split_by_rand_pct(0.4, seed=1).label_from_folder()
    return src.transform(None, size=size).databunch(bs=4, num_workers=0, device="cpu")


def test_validation_predict_and_the_exported_file_go_by_the_weights(folder, tmp_path):
    data = make(folder)
    with pytest.warns(OnecycleWarning, match=r"this learner's is, as its pretrained weights"):
        learn = cnn_learner(data, models.small, pretrained="small", path=tmp_path, silent=True)
    stats = learn.model[0].stats
    assert (learn.data.task.input.mean, learn.data.task.input.std) == stats
    assert stats != imagenet_stats
    assert data.task.input.mean is None  # other learners have it as it was
    asked = cnn_learner(data.normalize(stats), models.small, pretrained="small", silent=True)
    x, y = learn.data.one_batch()
    asked_x, asked_y = asked.data.one_batch()
    assert torch.equal(x, asked_x)
    assert torch.equal(y, asked_y)
    learn.fit(1, 1e-3)
    item = folder / "red" / "0.png"
    found = Predictor(learn.export("m.onnx")).predict(item)
    assert np.allclose(found.probabilities, learn.predict(item)[2], atol=1e-4)
    assert learn.task.input.to_json()["mean"] == pytest.approx(stats[0])


def test_without_pretrained_weights_nothing_is_normalised(folder):
    learn = cnn_learner(make(folder), models.small, pretrained=False, silent=True)
    assert learn.data.task.input.mean is None


@pytest.mark.filterwarnings("ignore:the data is normalised with")
def test_who_decides_otherwise_before_has_it_so(folder):
    learn = cnn_learner(make(folder).normalize(RAW), models.small, pretrained="small")
    assert learn.data.task.input.mean == (0.0, 0.0, 0.0)


def test_the_same_set_at_another_size_goes_the_same_way(folder):
    with pytest.warns(OnecycleWarning):
        learn = cnn_learner(make(folder), models.small, pretrained="small", silent=True)
    other = make(folder, size=48)
    with pytest.warns(OnecycleWarning, match="the other data is not normalised: it is now") as seen:
        learn.data = other
    assert len(seen) == 1
    assert (learn.data.task.input.mean, learn.data.task.input.std) == learn.model[0].stats
    assert (learn.data.task.input.size, other.task.input.mean) == ((48, 48), None)


def test_a_unet_goes_the_same_way(folder, tmp_path):
    for i in range(4):
        Image.fromarray(np.full((32, 32, 3), 60 * i, np.uint8)).save(tmp_path / f"{i}.png")
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(np.eye(32, dtype=np.uint8)).save(tmp_path / "masks" / f"{i}.png")
    src = SegmentationItemList.from_folder(tmp_path, recurse=False).split_by_idx([3])
    named = src.label_from_func(lambda p: p.parent / "masks" / p.name, classes=["back", "line"])
    data = named.transform(None, size=32).databunch(bs=2, num_workers=0, device="cpu")
    with pytest.warns(OnecycleWarning, match="as its pretrained weights"):
        learn = unet_learner(data, models.small, pretrained="small", silent=True)
    assert learn.data.task.input.mean == learn.model.encoder.body.stats[0]
