"""The head on stored features learns as it would behind a body that stands still."""

import numpy as np
import pytest
import torch
from torch import nn

from onecycle import Callback, SaveModel, set_seed
from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.learn.features import train_on_features
from onecycle.vision import ImageList, accuracy, cnn_learner, get_transforms, half_stats, models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    from PIL import Image

    for i in range(60):  # one class is red, one is green, both are noisy
        pixels = rng.integers(0, 120, (24, 24, 3), dtype=np.uint8)
        pixels[..., i % 2] += 60
        file = root / ("red", "green")[i % 2] / f"{i:02}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(file)
    return root


def learner(folder, tfms=None, drop=0.0, sampler=None, **options):
    items = ImageList.from_folder(folder).split_by_idx(range(0, 60, 4)).label_from_folder()
    how = {"bs": 8, "device": "cpu", "num_workers": 0, "check": False, "sampler": sampler}
    data = items.transform(tfms, size=24).databunch(**how)
    set_seed(3)
    return cnn_learner(
        data.normalize(half_stats), models.small, pretrained="small", metrics=accuracy,
        ps=drop, silent=True, **options,
    )  # fmt: skip


class StillBody(Callback):
    """What caching does to the body, without it."""

    def before_epoch(self, run):
        run.model[0].eval()

    def after_epoch(self, run):
        run.model[0].eval()


def still(learn):
    for parameter in learn.model[0].parameters():
        parameter.requires_grad_(False)
    learn.opt = None
    return learn


def weights(learn):
    return {name: value.clone() for name, value in learn.model.state_dict().items()}


def close(ours, theirs, atol=1e-5):
    return all(torch.allclose(v.float(), theirs[k].float(), atol=atol) for k, v in ours.items())


@pytest.mark.parametrize(("drop", "sampler"), [(0.0, None), (0.5, None), (0.0, "balanced")])
def test_the_head_ends_as_behind_a_body_that_stands_still(folder, drop, sampler):
    plain = still(learner(folder, drop=drop, sampler=sampler))
    set_seed(5)
    plain.fit_one_cycle(3, 1e-2, callbacks=[StillBody()])
    cached = learner(folder, drop=drop, sampler=sampler)
    set_seed(5)
    cached.fit_one_cycle(3, 1e-2, cache_features=True)
    assert close(weights(cached), weights(plain))
    for ours, theirs in zip(cached.history, plain.history, strict=True):
        for name in ("train_loss", "valid_loss", "accuracy"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-4)
    assert cached.validate() == pytest.approx(plain.validate(), abs=1e-4)


def test_with_a_number_each_epoch_has_its_look(folder):
    tfms = get_transforms(max_rotate=20.0)
    plain = still(learner(folder, tfms))
    plain.fit(3, 1e-2, callbacks=[StillBody()])
    cached = learner(folder, tfms)
    cached.fit(3, 1e-2, cache_features=3)
    assert close(weights(cached), weights(plain))
    two = learner(folder, tfms)
    two.fit(3, 1e-2, cache_features=2)
    assert not close(weights(two), weights(plain))


def test_the_body_runs_once_and_stays_as_it_is(folder):
    learn = learner(folder)
    counts, body = [], weights(learn)
    hook = learn.model[0].register_forward_hook(lambda *_: counts.append(1))
    learn.fit(4, 1e-2, cache_features=True)
    hook.remove()
    assert len(counts) == 6 + 2  # batches of 8 of 45 and of 15 items
    after = weights(learn)
    assert all(torch.equal(v, after[k]) for k, v in body.items() if k.startswith("0."))
    assert any(not torch.equal(v, after[k]) for k, v in body.items() if k.startswith("1."))


def test_it_learns_and_is_trained_as_before_afterwards(folder):
    learn = learner(folder)
    learn.fit_one_cycle(8, 1e-2, cache_features=True)
    assert learn.history[-1]["accuracy"] > 0.9
    norms = [p for p in learn.model[0].parameters() if p.requires_grad]
    assert norms  # the batch norms of the body learn again
    before = [p.detach().clone() for p in norms]
    learn.fit(1, 1e-2)
    assert any(not torch.equal(a, b) for a, b in zip(before, norms, strict=True))
    assert len(learn.history) == 9


def test_the_order_of_the_data_goes_on(folder):
    """A fit after two cached epochs sees the third epoch's batches."""
    cached, plain = learner(folder), learner(folder)
    cached.fit(2, 1e-2, cache_features=True)
    plain.fit(2, 1e-2)
    assert cached.data.train_dl.state() == plain.data.train_dl.state() == 2


def test_what_is_saved_in_between_is_the_whole_model(folder, tmp_path):
    learn = learner(folder, path=tmp_path)
    learn.fit(3, 1e-2, callbacks=[SaveModel(learn, name="best")], cache_features=True)
    saved = learner(folder, path=tmp_path).load("best", with_opt=False)
    assert set(weights(saved)) == set(weights(learn))
    assert close(weights(saved), weights(learn))


def test_dropout_before_the_first_weights_is_drawn_in_each_epoch(folder):
    learn = learner(folder)
    channels = learn.model[0].channels
    head = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(channels, 2)
    )
    learn.model = nn.Sequential(learn.model[0], head)
    with train_on_features(learn, True) as trained:
        assert [type(layer) for layer in trained.model] == [nn.Dropout, nn.Linear]
        x, _ = next(iter(trained.data.train_dl))
        assert x.shape == (8, channels)


class Brighter(Callback):
    def before_batch(self, run):
        run.x = run.x + 1


class InPlace(Callback):
    def before_batch(self, run):
        run.x.add_(1)


def test_what_it_cannot_do_is_refused(folder):
    learn = learner(folder)
    with pytest.raises(UsageError, match="cache_features"):
        learn.fit(1, cache_features=0.5)
    with pytest.raises(UsageError, match="resume="):
        learn.fit(1, cache_features=True, resume="a")
    for changing in (Brighter(), InPlace()):
        with pytest.raises(UsageError, match="changes the items"):
            learn.fit(1, 1e-2, callbacks=[changing], cache_features=True)
    with pytest.raises(UsageError, match="changes the items"):
        learner(folder).mixup().fit(1, 1e-2, cache_features=True)
    count = sum(p.requires_grad for p in learn.model.parameters())
    assert count == sum(p.requires_grad for p in learner(folder).model.parameters())
    with pytest.raises(UsageError, match=r"weights of this one learn: freeze\(\)"):
        learn.unfreeze().fit(1, 1e-2, cache_features=True)
    learn.model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Flatten(), nn.Linear(3 * 24 * 24, 2))
    with pytest.raises(UsageError, match="a body with a head"):
        learn.fit(1, 1e-2, cache_features=True)


@pytest.mark.filterwarnings("ignore:the temperature")
def test_a_fit_that_is_refused_leaves_the_calibration_and_one_that_begins_drops_it(folder):
    learn, plain = learner(folder), learner(folder)
    plain.fit(3, 1e-2, cache_features=True)
    learn.fit(1, 1e-2, cache_features=True)
    learn.calibrate()
    temperature = learn.task.target.temperature
    assert temperature != 1
    for wrong, refused in ((True, "freeze"), (0.5, "cache_features")):
        with pytest.raises(UsageError, match=refused):
            learn.unfreeze().fit(1, 1e-2, cache_features=wrong)
        assert learn.task.target.temperature == temperature
    with pytest.raises(UsageError, match="rate"):
        learn.fit(1, "fast")
    assert learn.task.target.temperature == temperature
    seen = []

    class Look(Callback):
        def after_epoch(self, run):
            seen.append(run.data.task.target.temperature)

    with pytest.warns(OnecycleWarning, match="this fit changes the weights"):
        learn.freeze().fit(2, 1e-2, callbacks=[Look()], cache_features=True)
    assert seen == [1, 1]
    assert learn.task.target.temperature == 1
    assert learn.data.train_dl.state() == plain.data.train_dl.state() == 3
