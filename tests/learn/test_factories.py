"""What `cnn_learner`, `unet_learner` and their kin begin with: what is frozen, dropout, groups."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from onecycle import from_arrays, models
from onecycle.learn.cnn import build_cnn
from onecycle.learn.learner import Learner
from onecycle.models.head import create_head
from onecycle.series.learner import series_learner
from onecycle.series.lists import SeriesList
from onecycle.vision.input import half_stats
from onecycle.vision.learner import cnn_learner, create_cnn_model, unet_learner
from onecycle.vision.lists import ImageList, SegmentationItemList

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
MAKERS = ["cnn", "unet", "series"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six images of two kinds, each with a mask beside it."""
    root = tmp_path_factory.mktemp("pairs")
    for name in ("images", "masks"):
        (root / name).mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"images/{'ab'[i % 2]}{i}.png")
        mask = (pixels[..., 0] > 120).astype(np.uint8)
        Image.fromarray(mask).save(root / f"masks/{'ab'[i % 2]}{i}.png")
    return root


def make(kind, folder, pretrained, **options):
    """A learner of the small body, on images, masks or series."""
    how = {"bs": 2, "num_workers": 0, "device": "cpu"}
    options |= {"pretrained": pretrained, "silent": True}
    if kind == "series":
        x = np.random.default_rng(1).normal(size=(8, 1, 40)).astype(np.float32)
        items = SeriesList.from_array(x, ["a", "b"] * 4).split_by_idx([0, 1])
        data = items.label_from_df("label").databunch(**how)
        return series_learner(data, models.small, **options)
    items = (SegmentationItemList if kind == "unet" else ImageList).from_folder(folder / "images")
    split = items.split_by_idx([0, 1])
    if kind == "unet":
        labelled = split.label_from_func(lambda f: folder / "masks" / f.name, classes=["x", "y"])
    else:
        labelled = split.label_from_func(lambda file: file.name[0])
    data = labelled.transform(None, size=32).databunch(**how).normalize(half_stats)
    return (unet_learner if kind == "unet" else cnn_learner)(data, models.small, **options)


def body_of(learn):
    model = learn.model
    return model.encoder.body if hasattr(model, "encoder") else model[0]


def trains(module):
    """By kind: whether the batch norms and whether the other parameters of a module are trained."""
    norms = {id(p) for m in module.modules() if isinstance(m, NORMS) for p in m.parameters()}
    found = {True: set(), False: set()}
    for parameter in module.parameters():
        found[id(parameter) in norms].add(parameter.requires_grad)
    return found[True], found[False]


@pytest.mark.parametrize("kind", MAKERS)
def test_a_pretrained_body_is_frozen_but_for_its_batch_norm(folder, kind):
    learn = make(kind, folder, "small")
    assert trains(body_of(learn)) == ({True}, {False})
    ours = {id(p) for p in body_of(learn).parameters()}
    rest = [p for p in learn.model.parameters() if id(p) not in ours]
    assert rest
    assert all(p.requires_grad for p in learn.layer_groups[-1])
    frozen = [p for p in rest if not p.requires_grad]
    assert kind == "unet" or frozen == []
    before = {k: v.clone() for k, v in body_of(learn).state_dict().items()}
    head = [p.detach().clone() for p in learn.layer_groups[-1]]
    learn.fit(1, 1e-2)
    still = {n for n, m in body_of(learn).named_modules() if isinstance(m, nn.Conv2d)}
    after = body_of(learn).state_dict()
    assert still
    assert all(torch.equal(before[f"{n}.weight"], after[f"{n}.weight"]) for n in still)
    assert any((a != b).any() for a, b in zip(head, learn.layer_groups[-1], strict=True))


@pytest.mark.parametrize("kind", MAKERS)
def test_without_pretrained_weights_nothing_is_frozen(folder, kind):
    learn = make(kind, folder, False)
    assert all(p.requires_grad for p in learn.model.parameters())


def dropouts(module):
    return [layer.p for layer in module.modules() if isinstance(layer, nn.Dropout)]


@pytest.mark.parametrize("kind", ["cnn", "series"])
def test_the_head_drops_a_quarter_and_a_half_by_default(folder, kind):
    assert dropouts(make(kind, folder, False).model[1]) == [0.25, 0.5]
    assert dropouts(make(kind, folder, False, ps=0.2).model[1]) == [0.1, 0.2]
    assert dropouts(make(kind, folder, False, ps=[0.3, 0.1]).model[1]) == [0.3, 0.1]


def test_so_do_its_parts_when_they_are_called_alone():
    assert dropouts(create_head(8, 3)) == [0.25, 0.5]
    assert dropouts(create_head(8, 3, lin_ftrs=[6, 5])) == [0.25, 0.25, 0.5]
    assert dropouts(create_cnn_model(models.small, 3, False)[1]) == [0.25, 0.5]
    x = np.zeros((6, 3, 16, 16), np.float32)
    data = from_arrays(x, [0, 1] * 3, bs=2, device="cpu")
    assert dropouts(build_cnn(Learner, data, models.small, pretrained=False).model[1]) == [
        0.25,
        0.5,
    ]


def test_the_last_group_is_the_new_part(folder):
    learn = make("cnn", folder, "small")
    assert [id(p) for p in learn.layer_groups[-1]] == [id(p) for p in learn.model[1].parameters()]
    assert len(learn.layer_groups) >= 2
    sizes = [sum(p.numel() for p in group) for group in learn.layer_groups]
    assert sum(sizes) == sum(p.numel() for p in learn.model.parameters())
