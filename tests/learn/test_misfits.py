"""What does not fit (a loss, a network, a batch of one item) is said in the words of the user."""

import numpy as np
import pandas as pd
import pytest
import torch
from learn_helpers import tiny_learner, tiny_net
from PIL import Image
from torch import nn
from torch.nn import functional as F

from onecycle import TextClasDataBunch, from_arrays, mlp, models, text_classifier_learner
from onecycle.core.errors import ModelError, OnecycleError, TrainingError, UsageError
from onecycle.interpret.classification import ClassificationInterpretation
from onecycle.learn.learner import Learner
from onecycle.learn.losses import (
    CrossEntropyFlat,
    DiceLoss,
    FocalLoss,
    LabelSmoothingCrossEntropy,
    per_item_loss,
)
from onecycle.vision.learner import cnn_learner, unet_learner
from onecycle.vision.lists import PointsItemList, SegmentationItemList


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six images of 16 x 16, each with a mask of two classes beside it."""
    root = tmp_path_factory.mktemp("pairs")
    for name in ("images", "masks"):
        (root / name).mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        mask = np.zeros((16, 16), np.uint8)
        mask[3 : 9 + i % 3, 4:10] = 1
        Image.fromarray(mask).save(root / f"masks/{i}.png")
        pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"images/{i}.png")
    return root


def masks(root, bs=2):
    return (
        SegmentationItemList.from_folder(root / "images")
        .split_by_idx([0, 1])
        .label_from_func(lambda file: root / "masks" / file.name, classes=["a", "b"])
        .transform(None, size=16)
        .databunch(bs=bs, num_workers=0, device="cpu")
    )


def points(root, count=1, bs=2):
    return (
        PointsItemList.from_folder(root / "images")
        .split_by_idx([0, 1])
        .label_from_func(lambda file: np.linspace(-0.5, 0.5, 2 * count).reshape(count, 2))
        .transform(None, size=16)
        .databunch(bs=bs, num_workers=0, device="cpu")
    )


def arrays(kind, bs=4, n=16):
    x = np.random.default_rng(1).normal(size=(n, 3)).astype(np.float32)
    y = {
        "one": x.argmax(1),
        "two": (x[:, 0] > 0).astype(int),
        "tags": [[t for t, v in zip("abc", row, strict=True) if v > 0] for row in x],
        "numbers": x[:, :2],
        "number": x[:, 0],
    }[kind]
    return from_arrays(x, y, bs=bs, device="cpu")


# --- losses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "loss", "advice"),
    [
        ("masks", nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0])), "CrossEntropyFlat"),
        ("masks", F.cross_entropy, "CrossEntropyFlat"),
        ("masks", nn.BCEWithLogitsLoss(), "DiceLoss"),
        ("masks", nn.MSELoss(), "FocalLoss"),
        ("masks", LabelSmoothingCrossEntropy(), "CombinedLoss"),
        ("one", nn.BCEWithLogitsLoss(), r"nn\.CrossEntropyLoss\(weight=\.\.\.\)"),
        ("one", nn.MSELoss(), r"nn\.CrossEntropyLoss"),
        ("one", nn.L1Loss(), r"nn\.CrossEntropyLoss"),
        ("one", nn.NLLLoss(), r"log-probabilities, these are none.*nn\.CrossEntropyLoss"),
        ("one", nn.CrossEntropyLoss(weight=torch.ones(2)), "weight.*nn.CrossEntropyLoss"),
        ("one", DiceLoss(), r"nn\.CrossEntropyLoss"),
        ("tags", nn.CrossEntropyLoss(), r"shares of one class.*BCEWithLogitsLoss\(pos_weight"),
        ("tags", F.cross_entropy, r"shares of one class.*BCEWithLogitsLoss"),
        ("tags", nn.BCELoss(), r"between 0 and 1.*BCEWithLogitsLoss"),
        ("tags", nn.NLLLoss(), "BCEWithLogitsLoss"),
        ("numbers", nn.CrossEntropyLoss(), r"nn\.MSELoss\(\)"),
        ("numbers", FocalLoss(), r"nn\.MSELoss\(\)"),
        ("points", nn.MSELoss(), r"outputs\.reshape\(y\.shape\)"),
        ("points", nn.L1Loss(), r"outputs\.reshape\(y\.shape\)"),
        ("points", F.smooth_l1_loss, r"outputs\.reshape\(y\.shape\)"),
    ],
)
def test_a_loss_that_does_not_fit_says_which_do(folder, kind, loss, advice):
    """One point: outputs (n, 2) and labels (n, 1, 2) would be broadcast to (n, n, 2)."""
    learn = learner(folder, kind, loss)
    name = getattr(loss, "__name__", type(loss).__name__)
    with pytest.raises(OnecycleError, match=f"{name} does not fit outputs .*{advice}") as caught:
        learn.fit(1, 1e-3)
    x, y = learn.data.one_batch()
    assert str(tuple(y.shape)) in str(caught.value)
    assert str(tuple(learn.model(x).shape)) in str(caught.value)
    for look in (learn.validate, learn.lr_find, lambda: learn.get_preds(with_loss=True)):
        with pytest.raises(OnecycleError, match=advice):
            look()


def learner(folder, kind, loss=None):
    if kind == "masks":
        return Learner(masks(folder), nn.Conv2d(3, 2, 1), loss_func=loss, silent=True)
    if kind == "points":
        net = nn.Sequential(nn.Flatten(), nn.Linear(768, 2))
        return Learner(points(folder), net, loss_func=loss, silent=True)
    data = arrays(kind)
    return Learner(data, mlp([3, data.c]), loss_func=loss, silent=True)


@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        ("one", nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2, 3]))),
        ("one", nn.CrossEntropyLoss(label_smoothing=0.1)),
        ("one", CrossEntropyFlat(weight=[1, 2, 3])),
        ("tags", nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0, 1, 1]))),
        ("numbers", nn.HuberLoss()),
        ("number", nn.L1Loss()),
        ("masks", CrossEntropyFlat(weight=[1, 5])),
    ],
)
def test_a_loss_that_fits_trains_and_has_a_loss_of_each_item(folder, kind, loss):
    learn = learner(folder, kind, loss)
    learn.fit(1, 1e-3)
    y, losses = learn.get_preds(with_loss=True)[1:]
    assert len(losses) == len(y)
    assert losses.isfinite().all()


def test_log_probabilities_of_a_network_fit_their_loss():
    data = arrays("one")
    net = nn.Sequential(mlp([3, data.c]), nn.LogSoftmax(1))
    Learner(data, net, loss_func=nn.NLLLoss(), silent=True).fit(1, 1e-3)


def test_mixup_says_the_same_of_a_loss_that_does_not_fit(folder):
    learn = learner(folder, "masks", nn.CrossEntropyLoss()).mixup()
    with pytest.raises(UsageError, match=r"CrossEntropyLoss does not fit.*CrossEntropyFlat"):
        learn.fit(1, 1e-3)


def test_an_error_of_a_loss_of_the_users_stays_and_gets_a_note(folder):
    def mine(outputs, y):
        return F.cross_entropy(outputs, y)

    with pytest.raises(RuntimeError, match="spatial targets") as caught:
        learner(folder, "masks", mine).fit(1, 1e-3)
    (note,) = caught.value.__notes__
    assert "outputs (2, 2, 16, 16) and labels (2, 1, 16, 16): for masks" in note


@pytest.mark.parametrize(
    "loss", [nn.CrossEntropyLoss(reduction="none"), lambda o, y: (o.sum(1) - y) ** 2]
)
def test_a_loss_of_several_values_is_refused(loss):
    learn = learner(None, "one", loss)
    for look in (lambda: learn.fit(1, 1e-3), learn.validate):
        with pytest.raises(UsageError, match=r"the loss gave \d values .*reduction=\"mean\""):
            look()


def test_the_loss_of_each_item_of_classes_is_that_of_the_item_alone():
    outputs, y = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.arange(5) % 3
    loss = CrossEntropyFlat(weight=[0.5, 2, 1])
    alone = [float(loss(outputs[[i]], y[[i]])) for i in range(5)]
    assert per_item_loss(loss, outputs, y).tolist() == pytest.approx(alone)


# --- networks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("width", [2, 5])
@pytest.mark.parametrize("kind", ["one", "tags"])
def test_a_network_of_another_width_says_the_right_one(kind, width, own):
    fitting = {"one": nn.CrossEntropyLoss(), "tags": nn.BCEWithLogitsLoss()}[kind]
    learn = Learner(arrays(kind), mlp([3, width]), loss_func=fitting if own else None, silent=True)
    for use in (lambda: learn.fit(1, 1e-3), learn.validate, learn.lr_find):
        with pytest.raises(ModelError, match=rf"gives \(\d, {width}\) .* 3 classes.*3 outputs"):
            use()


@pytest.mark.parametrize(
    ("make", "net", "words"),
    [
        (lambda root: arrays("numbers"), lambda: mlp([3, 1]), r"\(4, 1\) .* 2 numbers"),
        (lambda root: arrays("number"), lambda: mlp([3, 4]), r"\(4, 4\) .* 1 numbers"),
        (masks, lambda: nn.Conv2d(3, 5, 1), r"\(2, 5, 16, 16\) .* 2 classes"),
        (masks, lambda: nn.Conv2d(3, 1, 1), r"\(2, 1, 16, 16\) .* 2 classes"),
        (masks, lambda: nn.Conv2d(3, 2, 2, 2), r"\(2, 2, 8, 8\) .* not \(2, 2, 16, 16\)"),
        (
            lambda root: points(root, 3),
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 4)),
            r"\(2, 4\) .* 6 coordinates",
        ),
    ],
)
def test_of_numbers_masks_and_points_as_well(folder, make, net, words):
    with pytest.raises(ModelError, match=f"the network gives {words}"):
        Learner(make(folder), net(), silent=True).fit(1, 1e-3)


def test_a_network_that_gives_no_tensor_says_so():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = mlp([3, 3])

        def forward(self, x):
            return self.layer(x), x

    with pytest.raises(ModelError, match="gives a tuple, not a tensor"):
        Learner(arrays("one"), Two(), silent=True).fit(1, 1e-3)


# --- batches of one item ------------------------------------------------------------------------


def texts(bs):
    words = "good fine great nice bad poor awful sad".split()
    frame = pd.DataFrame({"label": [w in words[:4] for w in words], "text": words})
    frame["label"] = frame["label"].map({True: "yes", False: "no"})
    return TextClasDataBunch.from_df(".", frame, frame, bs=bs, min_freq=1, num_workers=0,
                                     device="cpu")  # fmt: skip


def single_nets(folder):
    """Learners with batch norm, by the number of items in a batch."""
    small = {"emb_sz": 6, "n_hid": 8, "n_layers": 1}
    return {
        "images": lambda bs: cnn_learner(
            points(folder, 2, bs), models.small, pretrained=False, silent=True
        ),
        "masks": lambda bs: unet_learner(
            masks(folder, bs), models.small, pretrained=False, silent=True
        ),
        "arrays": lambda bs: Learner(arrays("one", bs), mlp([3, 8, 3], batch_norm=True),
                                     silent=True),
        "numbers": lambda bs: Learner(arrays("number", bs), mlp([3, 8, 1], batch_norm=True),
                                      silent=True),
        "texts": lambda bs: text_classifier_learner(
            texts(bs), config=small, pretrained=False, silent=True
        ),
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(single_nets(None)))
@pytest.mark.parametrize("accumulate", [1, 3])
def test_batch_norm_on_batches_of_one_item_names_bs_and_the_way_out(folder, kind, accumulate):
    learn = single_nets(folder)[kind](1)
    learn.accumulate = accumulate
    for use in (lambda: learn.fit_one_cycle(1, 1e-3), learn.lr_find):
        with pytest.raises(TrainingError, match=r"batch of one item \(bs=1\).*bs=.*accumulate="):
            use()
    learn.validate()  # needs no spread
    single_nets(folder)[kind](2).fit(1, 1e-3)


def test_other_errors_of_a_network_stay_as_they_are(multi):
    class Broken(nn.Module):
        def forward(self, x):
            raise ValueError("mine")

    net = tiny_net(multi.c)
    net.insert(0, Broken())
    with pytest.raises(ValueError, match=r"^mine$"):
        Learner(multi, net, silent=True).fit(1, 1e-3)


def test_a_last_item_alone_in_validation_is_no_obstacle(single_src, make_bunch):
    learn = tiny_learner(make_bunch(single_src, val_bs=11))
    assert [len(y) for _, y in learn.data.valid_dl] == [11, 1]
    learn.fit(1, 1e-3)
    interp = ClassificationInterpretation.from_learner(learn)
    assert len(interp.y_true) == 12
