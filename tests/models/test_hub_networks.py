"""Networks that a repository of the hub describes: safetensors alone, never a pickle."""

import json

import pytest
import timm
import torch
from hub_stub import hub_stub
from safetensors.torch import save

from onecycle.core.errors import HubError, WeightsError
from onecycle.learn.cnn import create_cnn_model, recipe_of
from onecycle.models.architectures import Architecture, find
from onecycle.models.body import create_body

STATS = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_stub(monkeypatch, tmp_path) as running:
        yield running


def described(hub, repo="ada/net"):
    """A repository with a network of seven classes and its config; its weights, to compare."""
    torch.manual_seed(3)
    net = timm.create_model("test_resnet", num_classes=7)
    mean, std = STATS
    about = {
        "architecture": "test_resnet",
        "num_classes": 7,
        "pretrained_cfg": {"mean": mean, "std": std, "num_classes": 7, "input_size": [3, 64, 64]},
        "model_args": {"num_classes": 7, "drop_path_rate": 0.1},
    }
    hub.files[repo, "config.json"] = json.dumps(about).encode()
    return net.state_dict()


def test_weights_and_statistics_are_those_of_the_repository(hub):
    weights = described(hub)
    hub.files["ada/net", "model.safetensors"] = save(weights)
    body = create_body("hf-hub:ada/net")
    assert body.stats == STATS
    found = body.net.state_dict()
    assert (found["conv1.0.weight"] == weights["conv1.0.weight"]).all()
    assert all((weights[name] == value).all() for name, value in found.items())
    assert not any(name.startswith("fc.") for name in found)


def test_pickled_weights_are_refused_and_not_even_fetched(hub):
    described(hub)
    hub.files["ada/net", "pytorch_model.bin"] = b"a program"
    with pytest.raises(WeightsError, match=r"no model\.safetensors.*pickled.*not loaded"):
        create_body("hf-hub:ada/net")
    assert not [path for _, path, _ in hub.requests if "pytorch_model" in path]
    assert create_body("hf-hub:ada/net", pretrained=False).channels > 0


def test_what_a_saved_learner_needs_names_no_repository(hub):
    described(hub)
    recipe = recipe_of("cnn", "hf-hub:ada/net", None, {})
    assert recipe["arch"] == "test_resnet"
    assert recipe["options"] == {"drop_path_rate": 0.1}
    asked = len(hub.requests)
    create_cnn_model(Architecture(recipe["arch"], recipe["source"], recipe["options"]), 2, False)
    assert len(hub.requests) == asked


def test_a_repository_that_is_not_there_is_named(hub):
    with pytest.raises(HubError, match="hf-hub:ada/none cannot be had"):
        find("hf-hub:ada/none")


def test_names_of_timms_own_repositories_are_timms_names():
    assert find("timm/test_resnet.r160_in1k") == find("test_resnet.r160_in1k")
