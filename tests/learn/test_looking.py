"""Looking changes nothing: each thing that looks, and each thing that must be as it was."""

import random

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from learn_helpers import changed, state_of, tiny_learner
from PIL import Image
from torch import nn

from onecycle import TextClasDataBunch, TextLMDataBunch, from_arrays, mlp
from onecycle.course.tools import DatasetFormatter
from onecycle.data.databunch import DatasetType
from onecycle.interpret.classification import (
    ClassificationInterpretation,
    MultiLabelInterpretation,
    SegmentationInterpretation,
    grad_cam,
)
from onecycle.interpret.words import word_scores
from onecycle.learn.learner import Learner
from onecycle.learn.metrics import accuracy, f1, fbeta, whole_set
from onecycle.models.groups import layer_groups
from onecycle.text.learner import language_model_learner, text_classifier_learner
from onecycle.vision.augment import get_transforms
from onecycle.vision.lists import ImageList, SegmentationItemList
from onecycle.vision.tta import TTA

Train, Fix = DatasetType.Train, DatasetType.Fix


@pytest.fixture(autouse=True)
def _no_window():
    mpl.use("Agg")


# --- learners in the middle of their life -------------------------------------------------------


def lived(learn):
    """Trained, partly frozen, with a loss scale, a layer in evaluation mode, drawn from chance."""
    learn.engine.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1)
    learn.freeze_to(-1)
    learn.fit(1, 1e-3)
    learn.model.train()
    next(m for m in learn.model.modules() if not list(m.children())).eval()
    np.random.rand()
    random.random()
    return learn


@pytest.fixture
def tagged(multi_src, make_bunch, tmp_path):
    """Several labels, augmented."""
    data = make_bunch(multi_src.transform(get_transforms(), size=32))
    return lived(tiny_learner(data, dropout=0.4, metrics=[fbeta, f1], path=tmp_path))


@pytest.fixture
def sorted_(single_src, make_bunch, tmp_path):
    """One class, augmented."""
    data = make_bunch(single_src.transform(get_transforms(), size=32))
    return lived(tiny_learner(data, dropout=0.4, metrics=accuracy, path=tmp_path))


@pytest.fixture
def masked(tmp_path):
    """A class for every pixel."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(0)
    for i in range(8):
        pixels = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{i}.png")
        Image.fromarray((pixels[..., 0] > 99).astype(np.uint8)).save(tmp_path / f"masks/{i}.png")
    data = (
        SegmentationItemList.from_folder(tmp_path / "images")
        .split_by_idx([0, 1, 2])
        .label_from_func(lambda file: tmp_path / "masks" / file.name, classes=["a", "b"])
        .transform(get_transforms(), size=16, tfm_y=True)
        .databunch(bs=2, num_workers=0, device="cpu")
    )
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    return lived(Learner(data, net, groups=layer_groups(net, [net[2]]), silent=True, path=tmp_path))


SMALL = {"emb_sz": 6, "n_hid": 8, "n_layers": 1}


def sentences():
    words = "good fine great nice bad poor awful sad".split()
    frame = pd.DataFrame({"text": [f"a {w} film of {w} people" for w in words * 2]})
    frame.insert(0, "label", ["yes" if w in words[:4] else "no" for w in words * 2])
    return frame


@pytest.fixture
def texts(tmp_path):
    how = {"bs": 4, "min_freq": 1, "num_workers": 0, "device": "cpu"}
    data = TextClasDataBunch.from_df(tmp_path, sentences(), sentences(), **how)
    return lived(text_classifier_learner(data, config=SMALL, pretrained=False, silent=True))


@pytest.fixture
def language(tmp_path):
    how = {"bs": 4, "bptt": 5, "min_freq": 1, "num_workers": 0, "device": "cpu"}
    data = TextLMDataBunch.from_df(tmp_path, sentences(), sentences(), **how)
    return lived(language_model_learner(data, config=SMALL, pretrained=False, silent=True))


@pytest.fixture
def rows(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 4))
    data = from_arrays(x, x[:, :2], bs=4, device="cpu")
    net = mlp([4, 8, 2], batch_norm=True)
    return lived(
        Learner(data, net, groups=layer_groups(net, [net[-1]]), silent=True, path=tmp_path)
    )


# --- things that look ---------------------------------------------------------------------------


def broken(outputs, y):
    torch.rand(1)
    raise ValueError("broken")


def greedy(outputs, y):
    """Draws, edits what it is given, and switches gradients off."""
    np.random.rand(), random.random(), torch.rand(1)
    outputs.zero_()
    torch.set_grad_enabled(True)
    return 0.0


def interpreted(kind, *looks):
    """An interpretation, and what is done with it."""

    def look(learn):
        interp = kind.from_learner(learn)
        for name, *args in looks:
            getattr(interp, name)(*args)

    return look


def first(learn):
    return learn.data.valid_ds.items[0]


FAILS = {
    "a broken metric",
    "nothing",
    "a loss of nothing",
    "an unknown item",
    "no room",
    "export of arrays",
}
LOOKS = {
    "tagged": {
        "validate": lambda learn: learn.validate(),
        "validate on training batches": lambda learn: learn.validate(learn.data.train_dl),
        "validate on a loader": lambda learn: learn.validate(learn.data.in_order(Train)),
        "validate with a greedy metric": lambda learn: learn.validate(metrics=whole_set(greedy)),
        "a broken metric": lambda learn: learn.validate(metrics=[broken]),
        "get_preds": lambda learn: learn.get_preds(),
        "get_preds of train": lambda learn: learn.get_preds(Train, with_loss=True),
        "predict": lambda learn: learn.predict(first(learn), thresh=0.3),
        "predict with the image": lambda learn: learn.predict(first(learn), return_x=True),
        "nothing": lambda learn: learn.predict("nowhere.png"),
        "lr_find": lambda learn: learn.lr_find(num_it=5),
        "lr_find with accumulate": lambda learn: accumulated(learn).lr_find(num_it=3),
        "a loss of nothing": lambda learn: broken_loss(learn).lr_find(num_it=3),
        "TTA": TTA,
        "TTA with losses": lambda learn: TTA(learn, beta=0.3, with_loss=True),
        "show_results": lambda learn: learn.show_results(rows=2),
        "show_results of train": lambda learn: learn.show_results(Train, rows=1),
        "summary": lambda learn: learn.summary(),
        "show_batch": lambda learn: learn.data.show_batch(2),
        "one_batch": lambda learn: learn.data.one_batch(),
        "lists": lambda learn: (len(learn.data.train_dl), repr(learn.data), repr(learn.data.src)),
        "per label": interpreted(
            MultiLabelInterpretation,
            ("per_label",), ("plot_per_label",), ("best_threshold",), ("plot_thresholds",),
        ),
        "save": lambda learn: learn.save("kept"),
        "export": lambda learn: learn.export("a.onnx"),
        "export in 16 bits": lambda learn: learn.export("a.onnx", "fp16"),
        "no room": lambda learn: learn.export(a_file(learn) / "a.onnx"),
    },
    "sorted_": {
        "validate": lambda learn: learn.validate(),
        "worst items": interpreted(
            ClassificationInterpretation,
            ("top_losses",), ("plot_top_losses", 2, True, None, True), ("most_confused",),
            ("plot_confusion_matrix",),
        ),
        "heat map": lambda learn: grad_cam(learn, learn.predictions(), 1),
        "worst of the training set": lambda learn: DatasetFormatter.from_toplosses(learn, 3),
        "look-alikes": lambda learn: DatasetFormatter.from_similars(learn),
        "export in whole numbers": lambda learn: learn.export("a.onnx", "int8"),
        "plots": lambda learn: (
            learn.recorder.plot_losses(), learn.recorder.plot_lr(True), learn.recorder.plot(),
        ),
    },
    "masked": {
        "validate": lambda learn: learn.validate(),
        "get_preds": lambda learn: learn.get_preds(Fix, with_loss=True),
        "lr_find": lambda learn: learn.lr_find(num_it=3),
        "show_results": lambda learn: learn.show_results(rows=1),
        "per class": interpreted(
            SegmentationInterpretation, ("per_class",), ("plot_per_class",), ("top_losses", 2),
            ("plot_top_losses", 1),
        ),
        "export": lambda learn: learn.export("a.onnx"),
    },
    "texts": {
        "validate": lambda learn: learn.validate(),
        "get_preds of train": lambda learn: learn.get_preds(Train, with_loss=True),
        "predict": lambda learn: learn.predict("a good film"),
        "an unknown item": lambda learn: learn.predict(3),
        "word scores": lambda learn: word_scores(learn, "a good film"),
        "lr_find": lambda learn: learn.lr_find(num_it=3),
        "show_results": lambda learn: learn.show_results(rows=1),
        "worst items": interpreted(ClassificationInterpretation, ("plot_top_losses", 2)),
        "summary": lambda learn: learn.summary(),
        "export": lambda learn: learn.export("a.onnx"),
        "save encoder": lambda learn: learn.save_encoder("enc"),
    },
    "language": {
        "validate": lambda learn: learn.validate(),
        "predict": lambda learn: learn.predict("a good", 4, seed=1),
        "lr_find": lambda learn: learn.lr_find(num_it=3),
        "show_results": lambda learn: learn.show_results(rows=1),
        "summary": lambda learn: learn.summary(),
        "one_batch": lambda learn: learn.data.one_batch(),
    },
    "rows": {
        "validate": lambda learn: learn.validate(),
        "predict": lambda learn: learn.predict(np.zeros(4)),
        "lr_find": lambda learn: learn.lr_find(num_it=3),
        "summary": lambda learn: learn.summary(),
        "show_results": lambda learn: learn.show_results(rows=1),
        "export of arrays": lambda learn: learn.export("a.onnx"),
    },
}  # fmt: skip


def a_file(learn):
    """What cannot be a folder."""
    (learn.path / "file").touch()
    return learn.path / "file"


def accumulated(learn):
    learn.accumulate = 2
    return learn


def broken_loss(learn):
    calls = []
    loss = learn.loss_func

    def fails(outputs, y):
        calls.append(torch.rand(1))
        if len(calls) > 2:
            raise ValueError("broken")
        return loss(outputs, y)

    learn.loss_func = fails
    return learn


@pytest.mark.parametrize(
    ("kind", "thing"), [(kind, thing) for kind, things in LOOKS.items() for thing in things]
)
def test_looking_changes_nothing(request, kind, thing):
    """Also where it fails, and while somebody still holds the error."""
    learn = request.getfixturevalue(kind)
    before, held = state_of(learn), None
    try:
        LOOKS[kind][thing](learn)
    except Exception as error:  # kept on purpose: its traceback holds every frame
        held = error
    assert (held is not None) == (thing in FAILS), held
    assert changed(before, state_of(learn)) == []


# --- and each of them would be seen -------------------------------------------------------------


def bump(tensor):
    tensor.data.view(-1)[0] += 1


CHANGES = {
    "parameters": lambda learn: bump(next(learn.model.parameters())),
    "buffers": lambda learn: bump(next(learn.model.buffers())),
    "layout": lambda learn: learn.model.double(),
    "modes": lambda learn: learn.model[0][1].train(not learn.model[0][1].training),
    "trainable": lambda learn: learn.unfreeze(),
    "gradients": lambda learn: learn.model(learn.data.one_batch()[0]).sum().backward(),
    "hooks": lambda learn: learn.model[0].register_forward_hook(print),
    "history": lambda learn: learn.history.pop(),
    "recorder": lambda learn: learn.recorder.losses.append(0.0),
    "callbacks": lambda learn: learn.mixup(),
    "order": lambda learn: next(iter(learn.data.train_dl)),
    "epoch": lambda learn: next(iter(learn.data.train_dl)),
    "optimizer": lambda learn: learn.fit(1, 1e-3),
    "loss scale": lambda learn: learn.engine.scaler.update(4.0),
    "task": lambda learn: learn.with_threshold(0.1),
    "torch": lambda learn: torch.rand(1),
    "numpy": lambda learn: np.random.rand(),
    "python": lambda learn: random.random(),
    "gradients on": lambda learn: torch.set_grad_enabled(False),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_any_of_it_is_seen(tagged, what):
    before = state_of(tagged)
    assert set(before) - {"inference"} == set(CHANGES)
    try:
        CHANGES[what](tagged)
        assert what in changed(before, state_of(tagged))
    finally:
        torch.set_grad_enabled(True)


def test_what_has_changed_inside_is_put_back(tagged):
    """`restored` is what things that look are built on."""
    before = state_of(tagged)
    apart = {"layout", "hooks", "recorder", "callbacks", "task", "gradients on"}
    with tagged.preserve_state():
        for what in [what for what in CHANGES if what not in apart]:
            CHANGES[what](tagged)
    found = changed(before, state_of(tagged))
    assert set(found) <= {"recorder"}  # a fit inside is recorded


def test_a_fit_inside_leaves_the_optimizer_that_was_there_as_it_was(tagged):
    """Its averages and rates, not only which object it is."""
    kept, before = tagged.opt, state_of(tagged)["optimizer"]
    assert before[1][0]  # it has averages to lose
    with tagged.preserve_state():
        tagged.fit(1, 1e-2)
        assert tagged.opt is not kept
    assert tagged.opt is kept
    assert state_of(tagged)["optimizer"] == before


def test_long_answers_are_told_apart_and_short_ones_take_one_heading(tiles, make_bunch):
    root, frame = tiles
    long = frame.assign(tags=[f"{tags} with_a_rather_long_name" for tags in frame.tags])
    for table, apart in ((long, True), (frame, False)):
        src = ImageList.from_df(table, root).split_from_df("is_valid")
        src = src.label_from_df("tags", label_delim=" ").transform(None, size=32)
        learn = tiny_learner(make_bunch(src))
        found = learn.predictions()
        figure = learn.show_results(rows=2)
        for index, ax in enumerate(figure.axes):
            title = " ".join(ax.get_title().split())
            pair = found.actual(index).text, found.predicted(index).text
            actual, predicted = (text.replace(";", "; ") for text in pair)
            heading = f"actual: {actual} predicted:" if apart else f"actual / predicted {actual}"
            assert title == f"{heading} {predicted}".strip()
