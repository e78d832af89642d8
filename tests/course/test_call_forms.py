"""Every form in which the course's image lessons call a name runs; both star imports give it."""

import ast
import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onecycle.samples import butterflies_sample, planet_sample

pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")
PATTERN = r"/([^/]+)_\d+.jpg$"


@pytest.fixture
def c(monkeypatch):
    """What `from onecycle.course import *` gives, with a tiny network and short range tests."""
    import timm

    from onecycle import defaults
    from onecycle.learn import learner

    create = timm.create_model
    tiny = lambda name, pretrained=False, **more: create("test_resnet", **more)  # noqa: E731
    monkeypatch.setattr(timm, "create_model", tiny)
    monkeypatch.setattr("onecycle.models.weights._require_hub", lambda name: None)
    monkeypatch.setattr(defaults, "device", "cpu")
    monkeypatch.setattr(defaults, "progress", False)
    find = learner.find_lr
    short = lambda learn, first, last, count, *more: find(learn, first, last, 12, *more)  # noqa: E731
    monkeypatch.setattr(learner, "find_lr", short)
    module = importlib.import_module("onecycle.course")
    return type("Star", (), {name: staticmethod(getattr(module, name)) for name in module.__all__})


def test_the_names_of_these_forms_are_the_same_things_in_both_modules():
    """So that what runs through one runs through the other."""
    course, vision = (importlib.import_module(f"onecycle.{name}") for name in ("course", "vision"))
    used = {
        node.attr
        for node in ast.walk(ast.parse(Path(__file__).read_text()))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "c"
    }
    assert len(used) > 15
    assert used <= {*course.__all__} & {*vision.__all__}
    assert [n for n in used if getattr(course, n) is not getattr(vision, n)] == []


@pytest.fixture(scope="module")
def planet(tmp_path_factory):
    return planet_sample(tmp_path_factory.mktemp("p") / "planet", n=30, n_test=5, size=40)


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """images/Breed_n.jpg, and labels.csv and cleaned.csv beside it."""
    root = butterflies_sample(tmp_path_factory.mktemp("b") / "pets", n=40, size=40)
    rows = [f"{p.name},{p.name.rpartition('_')[0]}" for p in sorted((root / "images").iterdir())]
    for name, folder in (("labels.csv", "images/"), ("images/cleaned.csv", "")):
        lines = ["name,label", *(folder + row for row in rows)]
        (root / name).write_text("\n".join(lines))
    return root


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return butterflies_sample(tmp_path_factory.mktemp("f") / "set", n=40, size=40, layout="folders")


def sizes(data):
    return len(data.train_ds), len(data.valid_ds), data.c


def shown(figure):
    return sum(ax.axison or bool(ax.images) for ax in figure.axes)


def test_factories(c, pets, folders):
    images = pets / "images"
    fnames, tfms = c.get_image_files(images), c.get_transforms(do_flip=False)
    bs, label = 8, lambda x: x.name.rpartition("_")[0]
    labels = [label(x) for x in fnames]
    kinds = c.ImageDataBunch
    made = [
        kinds.from_name_re(images, fnames, PATTERN, ds_tfms=c.get_transforms(), size=24, bs=bs),
        kinds.from_name_re(images, fnames, PATTERN, ds_tfms=tfms, size=29, bs=bs // 2),
        kinds.from_name_re(images, fnames, pat=PATTERN, ds_tfms=tfms, size=24, bs=bs),
        kinds.from_csv(pets, ds_tfms=tfms, size=28, bs=bs),
        kinds.from_csv(images, folder=".", valid_pct=0.2, csv_labels="cleaned.csv",
                       ds_tfms=c.get_transforms(), size=24, num_workers=4, bs=bs),
        kinds.from_df(pets, pd_frame(pets), ds_tfms=tfms, size=24, bs=bs),
        kinds.from_name_func(images, fnames, ds_tfms=tfms, size=24, label_func=label, bs=bs),
        kinds.from_lists(images, fnames, labels=labels, ds_tfms=tfms, size=24, bs=bs),
        kinds.from_folder(folders, train=".", valid_pct=0.2, ds_tfms=tfms, size=24, num_workers=4,
                          bs=bs),
    ]  # fmt: skip
    assert [sizes(data) for data in made] == [(32, 8, 5)] * len(made)
    given = kinds.from_folder(folders, ds_tfms=tfms, size=26, bs=bs)
    n_valid = len(list((folders / "valid").rglob("*.jpg")))
    assert sizes(given) == (40 - n_valid, n_valid, 5)  # its `valid` folder is not ignored
    assert made[1].train_ds[0][0].shape == (3, 29, 29)


def test_most_of_a_folder_may_validate(c, tmp_path):
    for i in range(20):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.new("RGB", (30, 30), (9 * i, 50, 99)).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    np.random.seed(42)
    data = c.ImageDataBunch.from_folder(
        tmp_path, train=".", valid_pct=0.8, bs=2, ds_tfms=c.get_transforms(), size=24
    )
    assert sizes(data) == (4, 16, 2)


def pd_frame(pets):
    import pandas as pd

    return pd.read_csv(pets / "labels.csv")


def test_transforms(c):
    names = [
        [tfm.name for tfm in c.get_transforms(**options)[0]]
        for options in (
            {},
            {"do_flip": False},
            {"flip_vert": True, "max_lighting": 0.1, "max_zoom": 1.05, "max_warp": 0.0},
            {"do_flip": False, "max_rotate": 0, "max_zoom": 1, "max_lighting": 0, "max_warp": 0},
            {"max_rotate": 20, "max_zoom": 1.5, "max_lighting": 0.5, "max_warp": 0.4,
             "p_affine": 1.0, "p_lighting": 1.0},
        )
    ]  # fmt: skip
    assert [len(n) for n in names] == [7, 6, 6, 1, 7]
    assert "dihedral" in names[2]


def test_pets(c, pets, capsys):
    images = pets / "images"
    data = c.ImageDataBunch.from_name_re(
        images, c.get_image_files(images), PATTERN, ds_tfms=c.get_transforms(), size=24, bs=8
    ).normalize(c.imagenet_stats)
    assert shown(data.show_batch(rows=3, figsize=(7, 6))) == 8  # all that the batch holds
    assert shown(data.show_batch(2, figsize=(10, 7), ds_type=c.DatasetType.Valid)) == 4
    assert shown(data.show_batch()) == 8
    assert (len(data.classes), data.c) == (5, 5)
    learn = c.cnn_learner(data, c.models.resnet34, metrics=c.error_rate)
    learn.fit_one_cycle(1)
    learn.save("stage-1")
    interp = c.ClassificationInterpretation.from_learner(learn)
    losses, idxs = interp.top_losses()
    assert len(data.valid_ds) == len(losses) == len(idxs)
    assert len(interp.plot_top_losses(4, figsize=(15, 11)).axes) == 4
    assert interp.plot_confusion_matrix(figsize=(12, 12), dpi=60).dpi == 60
    interp.plot_confusion_matrix()
    assert all(n >= 2 for *_, n in interp.most_confused(min_val=2))
    learn.unfreeze()
    learn.fit(1)
    learn.fit(1, 1e-2)
    assert learn.load("stage-1") is learn
    learn.lr_find(num_it=12)
    c.lr_find(learn, num_it=12)
    learn.lr_find(start_lr=1e-5, end_lr=1e-1)
    learn.recorder.plot()
    learn.recorder.plot(skip_end=15)
    learn.fit_one_cycle(1, max_lr=slice(1e-6, 1e-4))
    learn.recorder.plot_losses()
    assert "parameters" in learn.summary()
    assert len(learn.history[-1]) == 5
    learn.destroy()


def test_planet(c, planet):
    from functools import partial

    tfms = c.get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    np.random.seed(42)
    src = (
        c.ImageList.from_csv(planet, "train_v2.csv", folder="train-jpg", suffix=".jpg")
        .split_by_rand_pct(0.2)
        .label_from_df(label_delim=" ")
    )
    data = src.transform(tfms, size=24).databunch(bs=8).normalize(c.imagenet_stats)
    data.show_batch(rows=3, figsize=(12, 9))
    acc, f_score = partial(c.accuracy_thresh, thresh=0.2), partial(c.fbeta, thresh=0.2)
    learn = c.cnn_learner(data, c.models.resnet50, metrics=[acc, f_score])
    lr = 0.01
    learn.fit_one_cycle(1, slice(lr))
    assert list(learn.history[-1])[3:5] == ["accuracy_thresh", "fbeta"]
    learn.unfreeze()
    learn.fit_one_cycle(1, slice(1e-5, lr / 5))
    bigger = src.transform(tfms, size=32).databunch(bs=8).normalize(c.imagenet_stats)
    learn.data = bigger
    assert (data.train_ds[0][0].shape, bigger.train_ds[0][0].shape) == ((3, 24, 24), (3, 32, 32))
    learn.freeze()
    learn.fit_one_cycle(1, slice(lr / 2), pct_start=0.9)
    learn.export()
    test = c.ImageList.from_folder(planet / "test-jpg").add(
        c.ImageList.from_folder(planet / "test-jpg")
    )
    assert len(test) == 10
    learn = c.load_learner(planet, test=test)
    preds, _ = learn.get_preds(ds_type=c.DatasetType.Test)
    assert preds.shape == (10, len(learn.data.classes))
    assert len(learn.data.test_ds) == 10
    assert learn.data.test_ds.items[0].name[:-4] == Path(test.items[0]).stem
    pred_class, _, outputs = learn.predict(c.open_image(test.items[0]))
    assert pred_class.obj == [
        n for n, p in zip(learn.data.classes, outputs, strict=True) if p > 0.5
    ]


def test_own_images(c, folders, pets):
    c.verify_images(folders / "train" / "Eyed_Satyr", delete=True, max_size=500)
    items = c.ImageList.from_folder(folders).split_none().label_from_folder()
    data = items.transform(c.get_transforms(), size=24).databunch(bs=8)
    assert len(data.valid_ds) == 0
    cleaned = c.ImageList.from_csv(pets / "images", "cleaned.csv", folder=".").split_none()
    data = cleaned.label_from_df().transform(c.get_transforms(), size=24).databunch(bs=8)
    normal = data.normalize(c.imagenet_stats)
    learn = c.cnn_learner(normal, c.models.resnet18, metrics=c.accuracy, pretrained=False)
    assert learn.fit_one_cycle(1, max_lr=0.5).history[-1].get("valid_loss") is None
    c.create_cnn(normal, c.models.resnet50, metrics=c.error_rate, ps=0, wd=0)
    image = c.open_image(data.train_ds.items[0])
    image.show()
    image.show(figsize=(5, 5))
    assert image.size == tuple(image.shape[1:]) == (40, 40)
