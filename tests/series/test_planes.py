"""Networks on images of more planes than three: an encoding of a channel each."""

import pytest
import torch
from test_series import waves
from torchvision.models import alexnet

from onecycle import models
from onecycle.core.errors import ModelError
from onecycle.models.body import create_body
from onecycle.series.learner import series_learner
from onecycle.series.lists import SeriesList


def bunch(channels=2):
    x, y = waves(24, channels=channels)
    items = SeriesList.from_array(x, y, layout="planes").split_by_rand_pct(0.3, seed=1)
    return items.label_from_df("label").transform(None, size=32).databunch(bs=8, device="cpu")


@pytest.mark.parametrize(
    ("arch", "pretrained"), [("resnet18", False), ("vit_tiny_patch16_224", False)]
)
def test_networks_of_timm_train_on_six_planes(arch, pretrained):
    learn = series_learner(bunch(), arch, pretrained=pretrained, silent=True)
    assert learn.fit_one_cycle(1, 1e-3).recorder.losses[-1] < 10


def test_the_small_networks_weights_serve_six_planes():
    learn = series_learner(bunch(), models.small, pretrained="small", silent=True)
    assert learn.fit_one_cycle(1, 1e-3).recorder.losses[-1] < 10


def test_six_grey_planes_get_the_features_of_three():
    three, six = (
        create_body(models.find("small"), "small"),
        create_body(models.Architecture("small", "onecycle", {"in_chans": 6}), "small"),
    )
    grey = torch.randn(2, 1, 64, 64, generator=torch.manual_seed(0))
    with torch.no_grad():
        wanted = three.eval()(grey.expand(-1, 3, -1, -1))
        found = six.eval()(grey.expand(-1, 6, -1, -1))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_networks_that_take_three_planes_only_say_what_to_do():
    with pytest.raises(ModelError, match=r'three planes.*layout="grid"'):
        series_learner(bunch(), alexnet, pretrained=False)
