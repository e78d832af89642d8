"""Bodies of the common families: features, layer groups, sizes."""

from functools import partial

import pytest
import torch
import torchvision
from torch import nn

from onecycle import models
from onecycle.core.errors import ModelError
from onecycle.models.body import create_body
from onecycle.models.groups import layer_groups
from onecycle.models.head import AdaptiveConcatPool2d, create_head
from onecycle.vision.learner import create_cnn_model

FAMILIES = [
    "resnet10t",
    "resnext26ts",
    "densenet121",
    "vgg11_bn",
    "efficientnet_lite0",
    "mobilenetv2_035",
    "mobilenetv3_small_050",
    "convnext_atto",
    "regnetx_002",
    "vit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "squeezenet1_1",
]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_gives_outputs_and_three_groups_that_hold_every_parameter_once(name):
    model = create_cnn_model(name, 7, pretrained=False, size=(64, 64)).eval()
    with torch.inference_mode():
        assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 7)
        assert model[0](torch.zeros(2, 3, 64, 64)).shape[1] == model[0].channels
    groups = layer_groups(model)
    assert len(groups) == 3
    assert all(groups)
    held = [id(p) for group in groups for p in group]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    assert {id(p) for p in groups[2]} == {id(p) for p in model[1].parameters()}


def test_resnet50_for_17_classes_has_the_reference_parameter_count():
    model = create_cnn_model(models.resnet50, 17, pretrained=False)
    assert sum(p.numel() for p in model.parameters()) == 25_623_633


def test_the_early_group_of_a_resnet_ends_after_its_second_stage():
    model = create_cnn_model("resnet18", 2, pretrained=False)
    early = {id(p) for p in layer_groups(model)[0]}
    net = model[0].net
    assert id(net.layer2[1].conv2.weight) in early
    assert id(net.layer3[0].conv1.weight) not in early


@pytest.mark.parametrize(
    "arch", ["resnet10t", models.resnet10t, partial(models.resnet10t, in_chans=3)]
)
def test_names_constructors_and_partials_stand_for_the_same_network(arch):
    assert create_body(arch, False).channels == 512


def test_torchvisions_functions_and_own_modules_work_too():
    assert create_body(torchvision.models.resnet18, False).channels == 512
    own = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert create_body(own).channels == 5
    assert create_body(own, cut=1).channels == 5
    assert create_body(own, cut=lambda net: net[0]).channels == 5


def test_options_in_a_partial_reach_the_network():
    plain = create_body("mobilenetv2_035", False).net
    same = create_body(partial(models.mobilenetv2_035, pad_type="same"), False).net
    assert type(plain.conv_stem) is not type(same.conv_stem)


def test_an_unknown_name_is_an_error_that_names_near_ones():
    with pytest.raises(ModelError, match="resnet18"):
        create_body("resnet19", False)
    with pytest.raises(AttributeError, match="resnet18"):
        _ = models.resnet19


def test_split_on_begins_a_group_at_each_named_module():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 5))
    groups = layer_groups(model, [model[1], model[2]])
    assert [[tuple(p.shape) for p in g] for g in groups] == [
        [(3, 2), (3,)],
        [(4, 3), (4,)],
        [(5, 4), (5,)],
    ]


def test_concat_pool_gives_the_maximum_first_and_then_the_mean():
    x = torch.tensor([[[[1.0, 2.0], [3.0, 10.0]], [[0.0, 0.0], [0.0, -4.0]]]])
    assert AdaptiveConcatPool2d()(x).flatten().tolist() == [10, 0, 4, -1]


def test_the_head_has_the_reference_layers():
    kinds = [type(layer).__name__ for layer in create_head(8, 3)]
    assert kinds == [
        "AdaptiveConcatPool2d",
        "Flatten",
        "BatchNorm1d",
        "Dropout",
        "Linear",
        "ReLU",
        "BatchNorm1d",
        "Dropout",
        "Linear",
    ]
    assert [layer.p for layer in create_head(8, 3) if isinstance(layer, nn.Dropout)] == [0.25, 0.5]
    bare = create_head(8, 3, lin_ftrs=[], ps=0, concat_pool=False, bn_final=True)
    assert [type(layer).__name__ for layer in bare][2:] == ["BatchNorm1d", "Linear", "BatchNorm1d"]
    assert bare[3].in_features == 8
    assert bare[-1].momentum == 0.01
