"""Networks of segmentation_models_pytorch: groups of layers, training, export."""

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from onecycle.core.errors import ModelError, UsageError
from onecycle.learn.metrics import foreground_acc
from onecycle.models.groups import norm_parameters
from onecycle.runtime.predictor import Predictor
from onecycle.vision.learner import unet_learner
from onecycle.vision.lists import SegmentationItemList

smp = pytest.importorskip("segmentation_models_pytorch")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Bright squares on dark grounds, other ones on each image; 40 x 70 pixels."""
    root, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    masks = {}
    for i in range(24):
        image, mask = rng.integers(0, 90, (40, 70, 3)), np.zeros((40, 70), np.uint8)
        y, x, side = rng.integers(0, 22), rng.integers(0, 52), rng.integers(10, 18)
        kind = i % 2
        image[y : y + side, x : x + side, 2 * kind] = 230
        mask[y : y + side, x : x + side] = 1 + kind
        masks[f"{i}.png"] = mask
        Pillow.fromarray(image.astype(np.uint8)).save(root / f"{i}.png")
    return (
        SegmentationItemList.from_folder(root)
        .split_by_idx(range(6))
        .label_from_func(lambda f: masks[f.name], classes=["ground", "red", "blue"])
        .transform(size=(32, 64))
        .databunch(bs=6, num_workers=0, device="cpu")
        .normalize(([0.2] * 3, [0.2] * 3))
    )


def network(kind="FPN", **options):
    torch.manual_seed(0)
    given = {"classes": 3, "encoder_weights": None} | options
    return getattr(smp, kind)("resnet18", **given)


def test_the_encoder_is_two_groups_and_decoder_and_head_are_the_new_one(data):
    net = network()
    early, late, new = unet_learner(data, net, pretrained=False).layer_groups
    ids = [{id(p) for p in group} for group in (early, late, new)]
    assert ids[0] | ids[1] == {id(p) for p in net.encoder.parameters()}
    assert id(net.encoder.conv1.weight) in ids[0]
    assert id(net.encoder.layer4[1].conv2.weight) in ids[1]
    rest = [*net.decoder.parameters(), *net.segmentation_head.parameters()]
    assert ids[2] == {id(p) for p in rest}


def test_a_pretrained_encoder_is_frozen_and_its_norms_learn(data):
    net = network()
    unet_learner(data, net)
    trained = {id(p) for p in net.parameters() if p.requires_grad}
    new = {id(p) for part in (net.decoder, net.segmentation_head) for p in part.parameters()}
    assert trained == new | norm_parameters(net, batch_only=True)


def test_one_learns_and_its_file_answers_as_it_does(data, tmp_path):
    net = network("Unet", encoder_depth=3, decoder_channels=(32, 16, 16))
    learn = unet_learner(data, net, pretrained=False, metrics=foreground_acc, silent=True)
    before = learn.validate()[1]
    learn.fit_one_cycle(8, 4e-3)
    after = learn.validate()[1]
    assert after > max(0.6, before + 0.2)
    predictor = Predictor(learn.export(tmp_path / "smp.onnx"), threads=1)
    for item in data.valid_ds.x.items[:3]:
        *_, shares = learn.predict(item)
        found = predictor.predict(item)
        assert np.abs(found.probabilities - shares.numpy()).max() < 1e-4
        inside = found.answer.data[0] != 255
        assert inside.mean() == pytest.approx(64 / 70, abs=0.2)
        assert set(np.unique(found.answer.data[0][inside])) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": 2}, "has 2 classes, the data 3"),
        ({"activation": "softmax2d"}, "leave its activation= out"),
        ({"aux_params": {"classes": 4}}, "a second head"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_before_training(data, options, words):
    with pytest.raises(ModelError, match=words):
        unet_learner(data, network(**options))


def test_sizes_that_the_network_does_not_take_are_refused(data):
    other = data.src.transform(size=40).databunch(bs=4, num_workers=0, device="cpu")
    with pytest.raises(ModelError, match=r"takes no images of \(40, 40\).*divisible by 32"):
        unet_learner(other, network(), pretrained=False)


@pytest.mark.parametrize("option", [{"blur": True}, {"blur_final": False}, {"cut": 3}])
def test_options_of_our_unet_are_refused(data, option):
    with pytest.raises(UsageError, match=f"'{next(iter(option))}' has no effect"):
        unet_learner(data, network(), pretrained=False, **option)
