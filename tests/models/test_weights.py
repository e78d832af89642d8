"""Weights from files: what must not be taken for the weights of a model."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from onecycle.core.errors import ModelError, WeightsError
from onecycle.models.body import create_body
from onecycle.models.weights import load_weights, read_weights


def whole(name, seed=0, **options):
    torch.manual_seed(seed)
    return timm.create_model(name, **options)


def test_a_larger_model_of_the_same_family_is_not_cut_down_in_silence(tmp_path):
    """Every tensor of a resnet18 is in a resnet34's file, under its name and with its shape."""
    path = tmp_path / "resnet34.safetensors"
    save_file(whole("resnet34").state_dict(), path)
    with pytest.raises(WeightsError, match=r"resnet34\.safetensors.*not the weights of this model"):
        create_body("resnet18", pretrained=str(path))


def test_a_smaller_model_of_the_same_family_is_refused(tmp_path):
    path = tmp_path / "resnet18.safetensors"
    save_file(whole("resnet18").state_dict(), path)
    net = whole("resnet34", seed=1)
    before = net.conv1.weight.clone()
    with pytest.raises(WeightsError, match="are missing"):
        load_weights(net, path)
    assert torch.equal(net.conv1.weight, before)


def test_equal_names_with_other_shapes_are_refused(tmp_path):
    path = tmp_path / "grey.safetensors"
    save_file(whole("resnet18", in_chans=1, num_classes=0).state_dict(), path)
    with pytest.raises(WeightsError, match=r"conv1\.weight.*\(64, 1, 7, 7\).*\(64, 3, 7, 7\)"):
        create_body("resnet18", pretrained=path)


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "mobilenetv3_small_050", "convnext_atto"])
def test_a_file_with_its_classifier_fills_a_body_without_one(tmp_path, name):
    net, path = whole(name), tmp_path / "weights.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}, path)
    body = create_body(name, pretrained=str(path)).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(body(x), net.eval().forward_features(x), rtol=0, atol=1e-5)
    assert body.stats is None


def test_weights_without_tensors_are_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    torch.save([1, 2], tmp_path / "b.pth")
    for name in ("a.pth", "b.pth"):
        with pytest.raises(WeightsError, match=f"{name}.*no tensors"):
            read_weights(tmp_path / name)


def test_the_small_networks_weights_are_no_others(tmp_path):
    with pytest.raises(ModelError, match=r"models\.small"):
        create_body("resnet18", pretrained="small")
