"""Batch norm of all processes takes the place of each process's own, and nothing else changes."""

from copy import deepcopy

import pytest
import timm
import torch
from torch import nn
from torch.nn.utils import parametrize

from onecycle.core.errors import UsageError
from onecycle.learn.shared_norm import share_norms

DEVICES = [torch.device("cpu"), torch.device("cuda")]  # for the second no GPU is needed here


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_the_activations_within_norms_of_timm_stay(device):
    torch.manual_seed(3)
    own = timm.create_model("mobilenetv3_small_050").eval()
    other = deepcopy(own)
    share_norms(other, device)
    share_norms(other, device)  # a second call finds nothing to do
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(other(x), own(x), rtol=1e-5, atol=1e-6)
    assert list(other.state_dict()) == list(own.state_dict())
    kinds = {type(m) for m in other.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    assert all("S" in kind.__name__[0] for kind in kinds), kinds


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_hooks_and_mode_of_a_norm_stay(device):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model[1].register_forward_hook(lambda norm, x, y: y + 7)
    before = model.eval()(torch.ones(2, 3))
    share_norms(model, device)
    torch.testing.assert_close(model(torch.ones(2, 3)), before)


class Doubled(nn.BatchNorm1d):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_a_norm_that_does_more_is_refused_by_name_and_nothing_is_changed(device):
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Sequential(Doubled(4)))
    with pytest.raises(UsageError, match=r"1\.0 is a .*Doubled.*BatchNorm"):
        share_norms(model, device)
    assert type(model[0]) is nn.BatchNorm1d
    weighed = nn.utils.parametrizations.weight_norm(nn.BatchNorm1d(4), "weight", dim=None)
    assert parametrize.is_parametrized(weighed)
    with pytest.raises(UsageError, match="ParametrizedBatchNorm1d"):
        share_norms(weighed, device)
