"""Fixed features of series: what they count, and what a linear layer learns and answers by them."""

from itertools import combinations

import numpy as np
import pytest
import torch
from test_inception_time import bunch, motifs

from onecycle.learn.metrics import accuracy
from onecycle.models.mini_rocket import MiniRocket
from onecycle.runtime.predictor import Predictor
from onecycle.series.learner import series_learner


def counted(x, kernel, dilation, limit, padded, channels):
    """The share of places at which a kernel over some channels is above a limit, step by step."""
    t, reach = x.shape[1], 4 * dilation
    places = range(t) if padded else range(reach, t - reach)
    values = []
    for at in places:
        total = 0.0
        for weight, offset in zip(kernel, range(-reach, reach + 1, dilation), strict=True):
            if 0 <= at + offset < t:
                total += weight * sum(x[c, at + offset] for c in channels)
        values.append(total)
    return np.mean([min(max((v - limit) / 0.05 + 0.5, 0), 1) for v in values])


def test_a_feature_is_the_share_of_steps_above_a_threshold():
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(5, 3, 43)), dtype=torch.float32)
    net = MiniRocket(x[:3], features=420, seed=7)
    assert net.dilations == [1, 2, 3, 5]
    found = net(x)
    assert found.shape == (5, net.channels) == (5, 420)
    kernels = np.full((84, 9), -1.0)
    for row, three in zip(kernels, combinations(range(9), 3), strict=True):
        row[list(three)] = 2
    start = 0
    for i, dilation in enumerate(net.dilations):
        limits = getattr(net, f"limits{i}").numpy()
        count = limits.shape[1]
        for k in (0, 1, 50, 83):  # the even ones come first, each with all its thresholds
            place = start + (k % 2 * 42 + k // 2) * count
            channels = np.flatnonzero(net.chosen[i, k, :, 0])
            assert 1 <= len(channels) <= 3
            for j in range(count):
                how = kernels[k], dilation, limits[k, j], k % 2 == 0, channels
                wanted = [counted(one.numpy().astype(float), *how) for one in x]
                np.testing.assert_allclose(found[:, place + j], wanted, atol=1e-4)
        start += 84 * count


def test_thresholds_are_quantiles_of_the_training_series():
    x = torch.randn(4, 1, 64, generator=torch.manual_seed(1))
    net = MiniRocket(x, features=84 * 8)
    assert torch.equal(net.kernels.sum(-1), torch.zeros(84, 1))
    again = MiniRocket(x, features=84 * 8)
    assert all(torch.equal(a, b) for a, b in zip(net.buffers(), again.buffers(), strict=True))
    means = net(x).mean(0)  # of so many features, thresholds lie everywhere alike
    assert 0.45 < means.mean() < 0.55
    assert means.std() > 0.2
    other = MiniRocket(x * 3, features=84 * 8)
    torch.testing.assert_close(other.limits0, net.limits0 * 3)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    data = bunch(*motifs(80, 100, 2), tmp_path_factory.mktemp("set"), by="train")
    torch.manual_seed(0)
    learn = series_learner(data, arch="mini_rocket", metrics=accuracy, silent=True)
    return learn.fit_one_cycle(10, 1e-3, cache_features=True)


def test_a_linear_layer_on_kept_features_tells_motifs_apart(learned):
    assert learned.validate()[1] > 0.9
    assert [len(group) for group in learned.layer_groups] == [4]
    examples = torch.cat([x for x, _ in learned.data.in_order("train")])
    body = MiniRocket(examples, seed=learned.data.options["seed"]).state_dict()
    assert all(torch.equal(body[k], v) for k, v in learned.model[0].state_dict().items())


def test_weights_and_file_hold_the_thresholds(learned):
    learned.save("rocket")
    other = series_learner(bunch(*motifs(60, 100, 2), learned.path, by="train"), arch="mini_rocket")
    x = 3 + np.random.default_rng(2).normal(size=(2, 130)).cumsum(1)
    before = other.predict(x)[2]
    other.load("rocket", differences="ignore")
    other.model.eval()
    wanted = learned.predict(x)[2]
    assert not torch.allclose(before, wanted, atol=1e-3)
    for name, value in learned.model.state_dict().items():
        assert torch.equal(other.model.state_dict()[name], value)
    predictor = Predictor(learned.export("rocket.onnx"))
    for one in (x, *motifs(3, 100, 2)[0], np.arange(160.0).reshape(2, 80)):
        found = predictor.predict(one)
        np.testing.assert_allclose(found.probabilities, learned.predict(one)[2].numpy(), atol=1e-4)


def test_a_ridge_tells_them_apart_without_rates_and_epochs(tmp_path):
    data = bunch(*motifs(80, 100, 2), tmp_path, by="train")
    learn = series_learner(data, arch="mini_rocket", metrics=accuracy, silent=True).fit_ridge()
    row = learn.history[-1]
    assert row["accuracy"] > 0.95
    assert [row["valid_loss"], row["accuracy"]] == pytest.approx(learn.validate(), abs=1e-6)
    predictor = Predictor(learn.export("ridge.onnx"))
    for x in motifs(4, 100, 2)[0]:
        answer, _, shares = learn.predict(x)
        found = predictor.predict(x)
        assert found.answer == answer
        np.testing.assert_allclose(found.probabilities, shares.numpy(), atol=1e-3)
