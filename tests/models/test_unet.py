"""The U-Net: sizes, counts, groups, and options that do what they say."""

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from onecycle.core.errors import ModelError, UsageError
from onecycle.models.body import Pyramid, create_body
from onecycle.models.groups import layer_groups
from onecycle.models.unet import PixelShuffle, SelfAttention, UNet, match_size


def unet(arch="small", n=3, **options):
    torch.manual_seed(0)
    return UNet(Pyramid(create_body(arch, False)), n, **options)


@pytest.fixture(scope="module")
def small():
    return unet()


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_resnet34_with_12_classes_and_a_bottleneck_has_the_parameters_of_the_reference():
    model = unet("resnet34", 12, bottle=True)
    assert count(model) == 41_133_018
    groups = layer_groups(model)
    assert len(groups) == 3
    assert sum(p.numel() for group in groups for p in group) == 41_133_018


def test_resnet34_with_32_classes_and_no_bottleneck_has_the_parameters_of_the_reference():
    assert count(unet("resnet34", 32, bottle=False)) == 41_224_168


@settings(max_examples=12, deadline=None)
@given(st.integers(97, 131), st.integers(97, 131))
def test_any_size_comes_out_as_it_went_in_and_trains(small, h, w):
    x = torch.randn(1, 3, h, w)
    small.train()
    y = small(x.expand(2, -1, -1, -1))
    assert y.shape == (2, 3, h, w)
    y.logsumexp(1).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in small.parameters())
    small.zero_grad()


needs_maps_of_vgg = pytest.mark.skipif(
    not hasattr(timm.models.vgg.VGG, "forward_intermediates"), reason="needs a newer timm"
)


@pytest.mark.parametrize(
    ("arch", "finest"),
    [
        ("mobilenetv2_100", 2),
        ("convnext_atto", 4),
        pytest.param("vgg11", 1, marks=needs_maps_of_vgg),
        ("efficientnet_b0", 2),
    ],
)
def test_bodies_of_other_families_give_maps_at_falling_sizes(arch, finest):
    model = unet(arch)
    assert model.encoder.reductions[0] == finest
    assert model.encoder.reductions == sorted(set(model.encoder.reductions))
    model(torch.randn(2, 3, 70, 90)).mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_a_sequence_of_layers_is_a_body_as_well():
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2)
    )
    pyramid = Pyramid(create_body(layers, False))
    assert (pyramid.channels, pyramid.reductions) == ([4, 6, 6], [2, 4, 8])
    x = torch.randn(2, 3, 32, 48)
    assert torch.equal(pyramid(x)[0], layers[:2](x))
    assert torch.equal(pyramid(x)[-1], layers(x))


def test_a_body_without_falling_sizes_is_refused_with_what_to_take():
    with pytest.raises(ModelError, match=r"one size.*resnet"):
        Pyramid(create_body("vit_tiny_patch16_224", False, size=(64, 64)))


def test_the_maps_are_those_of_timms_own_feature_extractor():
    import timm

    ours = Pyramid(create_body("mobilenetv2_100", False))
    theirs = timm.create_model("mobilenetv2_100", pretrained=False, features_only=True)
    theirs.load_state_dict(ours.body.net.state_dict(), strict=False)
    x = torch.randn(2, 3, 64, 96)
    for a, b in zip(ours.eval()(x), theirs.eval()(x), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_the_four_pixels_of_a_doubling_start_out_equal():
    up = PixelShuffle(5, 3)(torch.randn(1, 5, 4, 6))
    for dy, dx in ((0, 1), (1, 0), (1, 1)):
        assert torch.equal(up[:, :, ::2, ::2], up[:, :, dy::2, dx::2])
    assert PixelShuffle(5, 3, blur=True)(torch.randn(1, 5, 4, 6)).shape == (1, 3, 8, 12)


def test_attention_begins_as_the_identity_and_looks_at_all_pixels_once_it_has_a_share():
    attention = SelfAttention(16).eval()
    x = torch.randn(1, 16, 5, 5, requires_grad=True)
    assert torch.equal(attention(x), x)
    attention.share.data.fill_(1.0)
    attention(x)[0, :, 0, 0].sum().backward()
    assert (x.grad.abs().sum((0, 1)) > 0).all()


def test_what_a_pixel_gets_is_a_mean_of_all_pixels_by_its_own_weights():
    """Written out for each pixel j: softmax over i of query i . key j, which sums to 1."""
    attention = SelfAttention(16).eval()
    attention.share.data.fill_(0.5)
    x = 3 * torch.randn(2, 16, 3, 4)
    with torch.no_grad():
        found = attention(x).flatten(2)
        flat = x.flatten(2)
        query, key, value = (f(flat) for f in (attention.query, attention.key, attention.value))
        wanted = flat.clone()
        for n in range(2):
            for j in range(12):
                weights = torch.tensor([float(query[n, :, i] @ key[n, :, j]) for i in range(12)])
                weights = weights.exp() / weights.exp().sum()
                wanted[n, :, j] += 0.5 * sum(weights[i] * value[n, :, i] for i in range(12))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert float((wanted - flat).std()) > 0.01  # the weights are not all alike, nor all nothing


def test_options_change_the_network_as_they_say():
    plain = count(unet())
    assert count(unet(bottle=True)) < plain
    assert count(unet(self_attention=True)) > plain
    assert count(unet(last_cross=False)) < plain
    assert count(unet(blur=True)) == plain
    blurred = [block.up for block in unet(blur=True, blur_final=False).blocks]
    assert [isinstance(up[-1], nn.AvgPool2d) for up in blurred] == [True, True, True, False]
    low, high = -1.0, 2.0
    out = unet(y_range=(low, high)).eval()(10 * torch.randn(1, 3, 40, 40))
    assert low <= out.min()
    assert out.max() <= high
    for norm in ("batch", "weight", "spectral"):
        assert unet(norm=norm)(torch.randn(2, 3, 40, 40)).shape == (2, 3, 40, 40)
    with pytest.raises(UsageError, match="norm"):
        unet(norm="layer")


def test_computing_activations_anew_changes_neither_gradients_nor_batch_norm():
    x = torch.randn(2, 3, 48, 64)
    results = []
    for checkpoint in (False, True):
        model = unet(checkpoint=checkpoint).train()
        model(x).square().mean().backward()
        results.append(({n: p.grad for n, p in model.named_parameters()}, model.state_dict()))
    (grads, state), (grads_anew, state_anew) = results
    assert all(torch.allclose(grads[n], grads_anew[n], atol=1e-6) for n in grads)
    assert all(torch.equal(state[n], state_anew[n]) for n in state)


def test_maps_are_cut_or_continued_to_fit():
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert torch.equal(match_size(x, torch.zeros(1, 1, 1, 2)), x[..., :1, :2])
    wider = match_size(x, torch.zeros(1, 1, 3, 4))
    assert torch.equal(wider[..., :2, :3], x)
    assert wider[0, 0, 2, 3] == 5
