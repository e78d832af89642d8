"""Bodies, heads and layer groups of a dozen families."""

from functools import partial

import pytest
import timm
import torch
import torchvision
from torch import nn

from onecycle import models
from onecycle.core.errors import ModelError, UsageError
from onecycle.models.architectures import Architecture, find
from onecycle.models.body import create_body
from onecycle.models.groups import layer_groups
from onecycle.models.head import AdaptiveConcatPool2d, create_head
from onecycle.vision.learner import create_cnn_model

FAMILIES = {  # name: (side of the images, channels of the last features)
    "resnet18": (40, 512),
    "resnext50_32x4d": (40, 2048),
    "densenet121": (40, 1024),
    "vgg11_bn": (40, 512),
    "efficientnet_b0": (40, 1280),
    "mobilenetv2_100": (40, 1280),
    "mobilenetv3_small_050": (40, 288),
    "convnext_atto": (40, 320),
    "regnetx_002": (40, 368),
    "vit_tiny_patch16_224": (64, 192),
    "swin_tiny_patch4_window7_224": (64, 768),
    "squeezenet1_1": (40, 512),
    "alexnet": (64, 256),
    "small": (40, 256),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_runs_and_falls_into_three_groups_that_cover_it_once(name):
    side, channels = FAMILIES[name]
    model = create_cnn_model(name, 5, pretrained=False, size=(side, side))
    assert model[0].channels == channels
    assert model.training
    with torch.no_grad():
        assert model.eval()(torch.randn(2, 3, side, side)).shape == (2, 5)
    groups = layer_groups(model)
    assert len(groups) == 3
    assert all(groups)
    grouped = [id(p) for group in groups for p in group]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in model.parameters()}
    assert {id(p) for p in groups[2]} == {id(p) for p in model[1].parameters()}


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "squeezenet1_1", "small"])
def test_the_first_layer_is_in_the_first_group_and_the_last_one_in_the_second(name):
    model = create_cnn_model(name, 2, pretrained=False)
    early, late, _ = ([id(p) for p in group] for group in layer_groups(model))
    body = list(model[0].parameters())
    assert id(body[0]) in early
    assert id(body[-1]) in late


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "mobilenetv3_small_050", "convnext_atto"])
def test_every_parameter_of_the_body_is_used(name):
    model = create_cnn_model(name, 3, pretrained=False, size=(64, 64))
    model(torch.randn(2, 3, 64, 64)).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_the_split_of_a_resnet_is_the_courses():
    """The body up to the second of its four stages, then the rest, as at child 6."""
    model = create_cnn_model("resnet18", 2, pretrained=False)
    early, late, _ = ({id(p) for p in group} for group in layer_groups(model))
    names = {id(p): n for n, p in model.named_parameters()}
    assert {names[i].split(".")[2] for i in early} == {"conv1", "bn1", "layer1", "layer2"}
    assert {names[i].split(".")[2] for i in late} == {"layer3", "layer4"}


def test_resnet50_with_17_classes_has_as_many_parameters_as_the_courses():
    model = create_cnn_model(models.resnet50, 17, pretrained=False)
    assert sum(p.numel() for p in model.parameters()) == 25_623_633


@pytest.mark.parametrize(
    "arch",
    [
        "resnet18",
        models.resnet18,
        timm.models.resnet18,
        torchvision.models.resnet18,
        partial(timm.create_model, "resnet18"),
        partial(models.resnet18, pretrained=True),
        Architecture("resnet18"),
        torchvision.models.resnet18(),
    ],
)
def test_a_name_a_constructor_a_partial_and_a_module_give_the_same_body(arch):
    body = create_body(arch, pretrained=False)
    assert sum(p.numel() for p in body.parameters()) == 11_176_512
    with torch.no_grad():
        assert body(torch.zeros(1, 3, 64, 64)).shape == (1, 512, 2, 2)


def test_the_options_of_a_partial_are_passed_on():
    body = create_body(partial(models.resnet18, output_stride=8), pretrained=False)
    assert body(torch.zeros(1, 3, 64, 64)).shape == (1, 512, 8, 8)
    outer = partial(partial(timm.create_model, "resnet18", output_stride=8), drop_rate=0.1)
    assert find(outer).options == {"output_stride": 8, "drop_rate": 0.1}


@pytest.mark.parametrize("size", [None, (64, 64)])
def test_an_option_that_the_model_does_not_know_is_named(size):
    with pytest.raises(ModelError, match="depht"):
        create_body(partial(models.resnet18, depht=3), pretrained=False, size=size)


@pytest.mark.parametrize(
    ("wrong", "near"), [("resnet35", "resnet34"), ("mobilnetv2_100", "mobilenetv2_100")]
)
def test_an_unknown_name_is_an_error_with_near_names(wrong, near):
    with pytest.raises(ModelError, match=f"no model '{wrong}'.*{near}"):
        create_body(wrong, pretrained=False)
    with pytest.raises(AttributeError, match=near):
        getattr(models, wrong)


class Odd(nn.Module):
    """A user's own net: the features are its first three children."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.act = nn.ReLU()
        self.late = nn.Conv2d(8, 12, 3)
        self.tail = nn.Conv2d(12, 100, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(100, 10)


@pytest.mark.parametrize(("cut", "channels"), [(3, 12), (-3, 12), (1, 8), (None, 100)])
def test_a_module_of_ones_own_can_be_cut(cut, channels):
    assert create_cnn_model(Odd(), 4, cut=cut)[0].channels == channels


def test_a_cut_can_be_a_function():
    model = create_cnn_model(Odd(), 4, cut=lambda net: nn.Sequential(net.stem, net.act))
    assert model[0].channels == 8
    assert model(torch.zeros(2, 3, 20, 20)).shape == (2, 4)


def test_a_body_that_gives_no_map_asks_for_a_cut():
    with pytest.raises(ModelError, match="cut"):
        create_body(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 5)), cut=2)


def test_groups_begin_at_the_modules_that_split_on_names():
    model = create_cnn_model(Odd(), 4, cut=3)
    net = model[0].net
    for given in ([net[2], model[1]], lambda m: [m[0].net[2], m[1]]):
        groups = layer_groups(model, given)
        assert [len(group) for group in groups] == [2, 2, 8]
        assert groups[1][0] is net[2].weight
    with pytest.raises(UsageError, match="not part of the model"):
        layer_groups(model, [nn.Linear(1, 1)])


# --- heads --------------------------------------------------------------------------------------


def test_the_pool_gives_the_maxima_first_and_then_the_means():
    x = torch.tensor([[[[1.0, 3.0], [0.0, 8.0]], [[-1.0, -2.0], [-3.0, -6.0]]]])
    assert AdaptiveConcatPool2d()(x).flatten().tolist() == [8, -1, 3, -3]


def kinds(head):
    return [type(layer).__name__ for layer in head]


def test_the_default_head_is_the_courses():
    head = create_head(512, 7)
    one = ["BatchNorm1d", "Dropout", "Linear"]
    assert kinds(head) == ["AdaptiveConcatPool2d", "Flatten", *one, "ReLU", *one]
    assert [head[3].p, head[7].p] == [0.25, 0.5]
    assert [head[4].in_features, head[4].out_features] == [1024, 512]
    assert [head[8].in_features, head[8].out_features] == [512, 7]


def test_widths_dropouts_pooling_and_a_last_batch_norm_can_be_chosen():
    head = create_head(10, 3, lin_ftrs=[8, 6], ps=[0.1, 0.2, 0.3], concat_pool=False, bn_final=True)
    drops = [layer.p for layer in head if isinstance(layer, nn.Dropout)]
    widths = [layer.in_features for layer in head if isinstance(layer, nn.Linear)]
    assert (drops, widths) == ([0.1, 0.2, 0.3], [10, 8, 6])
    assert isinstance(head[0], nn.AdaptiveAvgPool2d)
    assert head[-1].momentum == 0.01
    assert head[-1].num_features == 3
    assert head.eval()(torch.randn(2, 10, 4, 5)).shape == (2, 3)


def test_one_dropout_is_the_last_layers_and_none_leaves_none():
    drops = [m.p for m in create_head(4, 2, [5, 5], ps=0.4) if isinstance(m, nn.Dropout)]
    assert drops == [0.2, 0.2, 0.4]
    assert "Dropout" not in kinds(create_head(4, 2, ps=0))
    assert kinds(create_head(4, 2, []))[2:] == ["BatchNorm1d", "Dropout", "Linear"]


def test_too_many_dropouts_are_refused():
    with pytest.raises(UsageError, match="3 values for 2 linear layers"):
        create_head(4, 2, ps=[0.1, 0.2, 0.3])


def test_the_head_starts_from_kaiming_normal_weights_and_zero_biases():
    torch.manual_seed(0)
    linear = create_head(512, 400)[4]
    assert linear.bias.abs().max() == 0
    assert float(linear.weight.detach().std()) == pytest.approx((2 / 1024) ** 0.5, rel=0.01)


def test_a_custom_head_takes_the_place_of_the_whole_head():
    own = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 6))
    model = create_cnn_model("resnet18", 99, pretrained=False, custom_head=own)
    assert model[1][0] is own
    assert model.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 6)
    assert len(layer_groups(model)[-1]) == 2
