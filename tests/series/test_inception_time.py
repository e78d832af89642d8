"""A network for series: what it computes, learns, and answers from its file."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from test_series import waves
from torch.nn import functional

from onecycle import models
from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.learn.callback import Callback
from onecycle.learn.metrics import accuracy
from onecycle.learn.resume import Checkpoint
from onecycle.models.inception_time import inception_time
from onecycle.runtime.predictor import Predictor
from onecycle.series.learner import series_learner
from onecycle.series.lists import SeriesList


def bunch(x, y, path=".", tfms=None, **options):
    items = SeriesList.from_array(x, y, path=path, **options).split_by_rand_pct(0.3, seed=1)
    return items.label_from_df("label").transform(tfms).databunch(bs=8, device="cpu")


def made(channels=2, path=".", **options):
    data = bunch(*waves(40, channels=channels), path, **options)
    torch.manual_seed(0)
    return series_learner(data, arch="inception_time", silent=True)


# What it computes.


def textbook(state, x):
    """The papers' network, layer by layer, of the weights in the order they have in a file."""
    weights = iter([v for name, v in state.items() if not name.endswith("num_batches_tracked")])

    def convolve(x, size=1):
        weight = next(weights)
        assert weight.shape[1:] == (x.shape[1], size)
        return functional.conv1d(functional.pad(x, [size // 2] * 2), weight)

    def normalize(x):
        scale, shift, mean, var = (next(weights)[:, None] for _ in range(4))
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    def module(x):
        narrow = convolve(x) if x.shape[1] > 1 else x
        parts = [convolve(narrow, size) for size in (39, 19, 9)]
        padded = functional.pad(x, [1, 1], value=-torch.inf)
        highest = torch.stack([padded[..., i : i + x.shape[2]] for i in range(3)]).amax(0)
        return normalize(torch.cat([*parts, convolve(highest)], 1)).clamp(min=0)

    for _ in range(2):
        given = x
        for _ in range(3):
            x = module(x)
        x = (x + normalize(convolve(given))).clamp(min=0)
    weight, bias = next(weights), next(weights)
    return x.mean(2) @ weight.T + bias


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_network_of_the_paper(channels):
    torch.manual_seed(1)
    net = inception_time(channels, 5).double()
    x = torch.randn(4, channels, 50, dtype=torch.double)
    with torch.no_grad():
        net(3 * x)  # the statistics of batch norm are no longer 0 and 1
        torch.testing.assert_close(net.eval()(x), textbook(net.state_dict(), x))


def test_its_network_sees_scaled_series_and_no_image():
    learn = made(by="train")
    x, _ = learn.data.one_batch()
    assert x.shape == (8, 2, 40)
    given, series = learn.task.input, np.stack(learn.data.train_ds.items).astype(np.float32)
    low, high = series.min((0, 2))[:, None], series.max((0, 2))[:, None]
    wanted = 2 * (series - low) / (high - low) - 1
    torch.testing.assert_close(given.prepare(torch.tensor(series)), torch.tensor(wanted))
    assert given.size is None
    learn.data.show_batch(rows=1)


def test_a_list_without_encodings_is_what_the_learner_makes_of_its_data():
    x, y = waves(40)
    options = {"arch": "inception_time", "silent": True}
    learners = []
    for encodings in ({}, {"encodings": ()}):
        torch.manual_seed(3)
        learners.append(series_learner(bunch(x, y, **encodings), **options).fit(1, 1e-3))
    one, other = (learn.model.state_dict() for learn in learners)
    assert all(torch.equal(one[name], other[name]) for name in one)


# What it learns.


def motifs(n, t, channels):
    """Bumps at any place; classes differ by how steep the ends of a bump are."""
    rng = np.random.default_rng(4)
    kind, place = np.arange(n) % 2, rng.integers(0, t - 30, n)
    x = rng.normal(0, 0.3, (n, channels, t))
    ramps = np.stack([np.linspace(0, 3, 24), np.linspace(3, 0, 24)])
    for i in range(n):
        x[i, i % channels, place[i] : place[i] + 24] += ramps[kind[i]]
    return x, np.array(["rising", "falling"])[kind]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A learner that was trained on two channels of motifs."""
    data = bunch(*motifs(80, 100, 2), tmp_path_factory.mktemp("set"), by="train", scale="zscore")
    torch.manual_seed(0)
    learn = series_learner(data, arch="inception_time", metrics=accuracy, silent=True)
    return learn.fit_one_cycle(6, 3e-3)


def test_it_tells_apart_what_is_small_beside_a_series(learned):
    assert learned.validate()[1] > 0.9


def test_frozen_its_head_alone_learns_and_the_rates_are_by_depth():
    learn = made()
    assert [len(group) > 0 for group in learn.layer_groups] == [True] * 3
    body, head = learn.model
    assert {id(p) for p in learn.layer_groups[2]} == {id(p) for p in head.parameters()}
    assert [id(p) for group in learn.layer_groups[:2] for p in group] == list(
        map(id, body.parameters())
    )
    assert all(p.requires_grad for p in learn.model.parameters())
    assert learn.lr_range(slice(1e-4, 1e-2)) == pytest.approx([1e-4, 1e-3, 1e-2])
    learn.freeze()
    before = {name: value.clone() for name, value in learn.model.state_dict().items()}
    learn.fit(1, 1e-2)
    moved = {
        name for name, value in learn.model.state_dict().items() if (value != before[name]).any()
    }
    assert {"1.2.weight", "1.2.bias"} <= moved
    assert not [name for name in moved if name.startswith("0.") and "convolutions" in name]


class CutOffError(Exception):
    pass


class Cut(Callback):
    where = 4

    def after_step(self, run):
        if run.step == self.where:
            raise CutOffError


def test_a_fit_that_was_cut_off_goes_on(tmp_path, monkeypatch):
    def fit(name):
        learn = made(path=tmp_path)
        kept = [Cut(), Checkpoint(name, minutes=None, steps=2)]
        return learn.fit_one_cycle(2, 1e-3, callbacks=kept).model.state_dict()

    with pytest.raises(CutOffError):
        fit("cut")
    monkeypatch.setattr(Cut, "where", -1)
    whole, rest = fit("whole"), fit("cut")
    assert all(torch.equal(whole[name], rest[name]) for name in whole)


# What its file answers.


def test_its_file_answers_as_the_learner_for_series_of_any_length_without_torch(learned):
    file = learned.export("motifs.onnx")
    rng = np.random.default_rng(2)
    series = [3 + rng.normal(size=(2, t)).cumsum(1) for t in (50, 99, 100, 101, 200)]
    series += [*motifs(4, 100, 2)[0], np.stack([np.full(90, 3.0), np.arange(90.0)])]
    code = (
        "import json, sys; sys.modules['torch'] = sys.modules['pandas'] = None\n"
        "from onecycle.runtime.predictor import Predictor\n"
        f"p, series = Predictor({str(file)!r}), json.load(sys.stdin)\n"
        "answers = [p.predict(x) for x in series]\n"
        "print(json.dumps([(str(a), a.probabilities.tolist()) for a in answers]))"
    )
    given = json.dumps([x.tolist() for x in series])
    ask = [sys.executable, "-c", code]
    done = subprocess.run(ask, capture_output=True, text=True, check=True, input=given)
    wanted = [learned.predict(x) for x in series]
    for (name, shares), (category, _, probabilities) in zip(
        json.loads(done.stdout), wanted, strict=True
    ):
        np.testing.assert_allclose(shares, probabilities.numpy(), atol=1e-4)
        assert name == str(category)
    assert len({str(category) for category, _, _ in wanted}) == 2


@pytest.mark.slow
def test_its_small_files_answer_nearly_the_same(learned, tmp_path):
    whole = Predictor(learned.export(tmp_path / "whole.onnx"))
    size = (tmp_path / "whole.onnx").stat().st_size
    series = list(learned.data.valid_ds.items)
    for precision, share, apart in (("fp16", 0.6, 0.02), ("int8", 0.4, 0.2)):
        path = learned.export(tmp_path / f"{precision}.onnx", precision=precision)
        assert path.stat().st_size < share * size
        found = Predictor(path).probabilities(series)
        np.testing.assert_allclose(found, whole.probabilities(series), atol=apart)


# What is said, and what is refused.


def test_where_images_are_likely_to_lose_it_is_named_once():
    x, y = waves(20, t=300)
    build = lambda data, **how: series_learner(data, silent=True, **how)  # noqa: E731
    with pytest.warns(
        OnecycleWarning, match=r'300 steps on 32 pixels.*arch="inception_time"'
    ) as of:
        build(bunch(x, y), base_arch=models.small, pretrained=False)
    assert len(of) == 1
    x, y = waves(20, channels=4)
    with pytest.warns(OnecycleWarning, match="of 4 channels"):
        build(bunch(x, y), base_arch=models.small, pretrained=False)
    build(bunch(x, y), arch="inception_time")  # warnings are errors in these tests
    build(bunch(*waves(20, t=250, channels=3)), base_arch=models.small, pretrained=False)


def test_what_belongs_to_images_is_refused():
    data = bunch(*waves(20))
    for options in (
        {},
        {"arch": "resnet18"},
        {"base_arch": models.small, "arch": "inception_time"},
    ):
        with pytest.raises(UsageError, match="give base_arch, a network for images, or arch="):
            series_learner(data, **options)
    for options in ({"pretrained": "small"}, {"ps": 0.1}, {"cut": 3}, {"concat_pool": False}):
        with pytest.raises(UsageError, match="are for networks for images"):
            series_learner(data, arch="inception_time", **options)
    with pytest.raises(UsageError, match=r"\('gasf',\) make images.*encodings=\(\)"):
        series_learner(bunch(*waves(20), encodings="gasf"), arch="inception_time")
    data = bunch(*waves(20), encodings=())
    with pytest.raises(UsageError, match=r'arch="inception_time"'):
        series_learner(data, models.small, pretrained=False)
    items = SeriesList.from_array(*waves(20), encodings=()).split_none().label_from_df("label")
    with pytest.raises(UsageError, match="size= is that of images"):
        items.transform(None, size=16)
    with pytest.raises(UsageError, match="layout is that of images"):
        SeriesList.from_array(*waves(20), encodings=(), layout="planes")
