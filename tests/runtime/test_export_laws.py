"""The law of an export: file, server and learner answer alike, whatever the options are.

The networks are tiny and untrained, with batch norm whose statistics are far from 0 and 1.
"""

import base64
import io
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from starlette.testclient import TestClient
from torch import nn

from onecycle.learn.calibration import tune
from onecycle.learn.learner import Learner
from onecycle.runtime.http.server import application
from onecycle.runtime.inputs.subwords import train_subwords
from onecycle.runtime.predictor import Predictor
from onecycle.series.lists import SeriesList
from onecycle.text.learner import text_classifier_learner
from onecycle.text.lists import TextList
from onecycle.vision import augment
from onecycle.vision.image import FlowField, ImagePoints
from onecycle.vision.lists import ImageList, PointsItemList, SegmentationItemList
from onecycle.vision.warp import exact_plan

SHAPES = [(33, 47), (60, 20), (24, 40), (7, 90), (51, 51), (80, 64)]
QUICK = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=300)
pytestmark = pytest.mark.usefixtures("traced_once")
KINDS = ("category", "multi", "numbers", "points", "mask")
CLASSES = {"mask": 5, "points": 6, "numbers": 2}


# --- images ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Smooth images of several shapes, PNG and JPEG, one of them turned by its EXIF mark."""
    root, rng = tmp_path_factory.mktemp("shapes"), np.random.default_rng(1)
    for i, (h, w) in enumerate(SHAPES):
        coarse = Pillow.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
        img = coarse.resize((w, h), Pillow.Resampling.BICUBIC)
        exif = Pillow.Exif()
        exif[274] = 6 if i == 3 else 1
        img.save(root / f"{'ab'[i % 2]}_{i}.{'jpg' if i > 2 else 'png'}", exif=exif, quality=90)
    return root


@cache
def network(outputs, whole=False, planes=3):
    """Convolution, batch norm, and a head: for each image, or (`whole`) for each pixel."""
    torch.manual_seed(outputs)
    layers = [nn.Conv2d(planes, 6, 3, 1 if whole else 2, 1), nn.BatchNorm2d(6), nn.ReLU()]
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, outputs)]
    head = [nn.Conv2d(6, outputs, 1)] if whole else pooled
    return shaken(nn.Sequential(*layers, *head)).eval()


def shaken(model):
    """Batch norm with statistics and weights far from those that it begins with."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.uniform_(-2, 2)
                module.running_var.uniform_(0.1, 4)
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-1, 1)
    return model


def labelled(kind, root):
    lists = {"mask": SegmentationItemList, "points": PointsItemList}
    split = lists.get(kind, ImageList).from_folder(root).split_by_idx([1, 3, 4])

    def size(file):
        with Pillow.open(file) as img:
            upright = img.getexif().get(274, 1) == 1
            return img.size[::-1] if upright else img.size

    def points(file):
        corner = torch.tensor([[1.0, 2.0], [3.0, 5.0], [6.0, 4.0]])
        return ImagePoints(FlowField(size(file), corner))

    def mask(file):
        return np.arange(np.prod(size(file))).reshape(size(file)) % 5

    return {
        "category": lambda: split.label_from_re(r"([ab])_\d"),
        "multi": lambda: split.label_from_func(lambda f: [f.name[0], "z"]),
        "numbers": lambda: split.label_from_func(lambda f: [float(f.stem[-1]), 1.5]),
        "points": lambda: split.label_from_func(points),
        "mask": lambda: split.label_from_func(mask, classes=list("vwxyz")),
    }[kind]()


shares = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1)
scales = st.sampled_from([0.5, 1.0, 1.5, 2.0]) | st.floats(0.4, 2.5)
transforms = st.one_of(
    st.just([]),
    st.builds(lambda row, col: [augment.crop(None, row, col)], shares, shares),
    st.builds(lambda s, row, col: [augment.zoom(s, row, col)], scales, shares, shares),
    st.builds(lambda s, row, col: [augment.squish(s, row, col)], scales, shares, shares),
    st.builds(
        lambda s, row, mode: [augment.zoom(s), augment.crop_pad(None, mode, row, 0.0)],
        *(scales, shares, st.sampled_from([None, "reflection", "border", "zeros"])),
    ),
)
sizes = st.one_of(
    st.tuples(st.integers(8, 40), st.integers(8, 40)),
    st.integers(8, 40),
    st.builds(lambda n: (n, n + 1), st.integers(8, 40)),
)
statistics = st.one_of(
    st.none(),
    st.tuples(
        st.lists(st.floats(0, 1), min_size=3, max_size=3),
        st.lists(st.floats(0.05, 1), min_size=3, max_size=3),
    ),
)
options = st.fixed_dictionaries(
    {
        "tfms": transforms,
        "size": sizes,
        "resize_method": st.sampled_from(["crop", "pad", "squish", None]),
        "padding_mode": st.sampled_from(["reflection", "border", "zeros"]),
        "stats": statistics,
        "thresh": st.floats(0.01, 0.99),
        "of_one": st.booleans(),
        "temperature": st.sampled_from([1.0, 0.4, 2.5]),
        "window": st.none() | st.tuples(st.integers(6, 30), st.integers(6, 30)),
    }
)


def learner_of(kind, files, chosen):
    """An untrained learner on the files; with a window instead of a size now and then."""
    tfms, size, method = chosen["tfms"], chosen["size"], chosen["resize_method"]
    if chosen["window"]:
        tfms, size, method = [*tfms, augment.crop(chosen["window"], 0.0, 1.0)], None, None
    src = labelled(kind, files).transform(
        ([], tfms), size=size, resize_method=method, padding_mode=chosen["padding_mode"]
    )
    data = src.databunch(bs=1, num_workers=0, no_check=True, device="cpu")
    if chosen["stats"]:
        data = data.normalize(chosen["stats"])
    outputs = CLASSES.get(kind) or len(data.classes)
    learn = Learner(data, network(outputs, kind == "mask"), silent=True)
    if data.task.target.whole_classes:
        of_one = kind == "multi" and chosen["of_one"]
        learn.with_threshold({data.classes[1]: chosen["thresh"]} if of_one else chosen["thresh"])
        tune(learn, learn.task.target.with_temperature(chosen["temperature"]))
    return learn


def on_the_line(shares, thresh):
    """Whether rounding may decide: a share lies within 1e-4 of its threshold."""
    return np.abs(shares - np.asarray(thresh)).min() < 1e-4


def check_images(kind, files, folder, chosen, seed):
    learn = learner_of(kind, files, chosen)
    predictor = Predictor(learn.export(folder / "m.onnx"))
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (*rng.integers(1, 70, 2), 3), dtype=np.uint8)
    for source in [*sorted(files.iterdir()), noise]:
        answer, _, wanted = learn.predict(source)
        found, wanted = predictor.predict(source), wanted.numpy()
        shares = found.probabilities
        np.testing.assert_allclose(shares, wanted.reshape(shares.shape), atol=1e-4)
        img = predictor.input.array(source)
        if kind == "points":
            ours = in_the_image(learn, img, answer)
            assert found.answer.data == pytest.approx(ours, abs=1e-2)
        elif kind == "mask":
            plan = exact_plan(img.shape[:2], learn.task.input.file_spec)
            lies_where_the_learner_looked(plan, answer, found.answer.data[0])
        elif kind == "numbers":
            assert found.answer.obj == pytest.approx(answer.obj, abs=1e-4)
        else:
            assert on_the_line(wanted, learn.task.target.thresh) or found.answer == answer


def in_the_image(learn, img, answer):
    """Points of -1 to 1 in the learner's input as (y, x) in pixels of the image."""
    plan = exact_plan(img.shape[:2], learn.task.input.file_spec)
    here = ((answer.data + 1) / 2 * plan.out - 0.5)[:, ::-1]
    return (np.c_[here, np.ones(len(here))] @ plan.matrix.T)[:, 1::-1]


def lies_where_the_learner_looked(plan, answer, mask):
    """Inside the view the file's mask is the learner's, enlarged; outside it is 255."""
    assert mask.shape == plan.source
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    there = np.linalg.inv(plan.matrix) @ [x.ravel(), y.ravel(), np.ones(mask.size)]
    row, col = there[1].reshape(mask.shape), there[0].reshape(mask.shape)
    h, w = plan.out
    pixel = 1 / min(plan.matrix[0, 0], plan.matrix[1, 1])  # an image's, in the input
    margin = 0.5 + pixel
    inside = (row > margin) & (row < h - 1 - margin) & (col > margin) & (col < w - 1 - margin)
    outside = (row < -margin) | (row > h + margin) | (col < -margin) | (col > w + margin)
    assert (mask[outside] == 255).all()
    assert (mask[inside] < 5).all()
    near = answer.data[0][row[inside].round().astype(int), col[inside].round().astype(int)]
    if inside.sum() > 100:
        assert (mask[inside] == near).mean() > 0.6


padded = {"tfms": [], "size": (40, 24), "resize_method": "pad", "padding_mode": "zeros"}
padded |= {"stats": None, "thresh": 0.4, "window": None, "of_one": True, "temperature": 0.4}


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(chosen=options, seed=st.integers(0, 2**31))
@example(chosen=padded, seed=0)  # the view begins outside the image, on either axis
def test_a_file_answers_images_as_predict_does(kind, files, tmp_path_factory, chosen, seed):
    check_images(kind, files, tmp_path_factory.getbasetemp(), chosen, seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@LONG
@given(chosen=options, seed=st.integers(0, 2**31))
def test_a_file_answers_images_as_predict_does_under_many_options(
    kind, files, tmp_path_factory, chosen, seed
):
    check_images(kind, files, tmp_path_factory.getbasetemp(), chosen, seed)


# --- texts ---------------------------------------------------------------------------------

WORDS = "film plot GREAT awful n't Very dull !!!! über 你好 a &amp; 3.5 don't".split()
LABELS = {
    "category": (["x", "y", "z"] * 4, "label"),
    "multi": (["x y", "z", "y"] * 4, "label"),
    "numbers": ([0.5, 1.25, -3.0] * 4, "label"),
}


def texts_of(seed, count):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 40))) for _ in range(count)]


@cache
def pieces(model):
    return train_subwords(texts_of(0, 60), 40, model)


def short_on_purpose(test):  # few words, and fewer of them read
    for reported in (
        ".* texts have more than max_len",
        ".*holds no word of the model's vocabulary",
    ):
        test = pytest.mark.filterwarnings(f"ignore:{reported}")(test)
    return test


written = st.fixed_dictionaries(
    {
        "tokenizer": st.sampled_from(["", "unigram", "bpe"]),
        "backwards": st.booleans(),
        "label": st.sampled_from(sorted(LABELS)),
        "thresh": st.floats(0.3, 0.7),
        "temperature": st.sampled_from([1.0, 0.4]),
        "max_len": st.integers(1, 50),
        "lin_ftrs": st.sampled_from([[], [5], [4, 3]]),
        "seed": st.integers(0, 2**31),
    }
)


def check_texts(folder, chosen):
    labels, column = LABELS[chosen["label"]]
    messages = {"tokenizer": chosen["tokenizer"] and pieces(chosen["tokenizer"])}
    frame = pd.DataFrame({"text": texts_of(1, 12), column: labels})
    items = TextList.from_df(frame, folder, "text", backwards=chosen["backwards"], **messages)
    if not chosen["tokenizer"]:
        items = items.with_vocab(min_freq=1)
    split = items.split_by_idx([2, 5, 7])
    delimiter = {"label_delim": " "} if chosen["label"] == "multi" else {}
    data = split.label_from_df(column, **delimiter).databunch(bs=4, num_workers=0, device="cpu")
    sizes = {"emb_sz": 6, "n_hid": 7, "n_layers": 2}
    more = {"max_len": chosen["max_len"], "bptt": 9, "lin_ftrs": chosen["lin_ftrs"]}
    torch.manual_seed(chosen["seed"])
    learn = text_classifier_learner(data, config=sizes, pretrained=False, silent=True, **more)
    shaken(learn.model)
    if chosen["label"] != "numbers":
        learn.with_threshold(chosen["thresh"])
        tune(learn, learn.task.target.with_temperature(chosen["temperature"]))
    predictor = Predictor(learn.export(folder / "t.onnx"))
    texts = [*texts_of(chosen["seed"], 5), *frame.text[:2], "", "unseen\n<br />words"]
    together = predictor.predict_batch(texts)
    with TestClient(application(folder / "t.onnx")) as client:
        replies = client.post("/api/predict", json={"texts": texts}).json()["predictions"]
    for text, found, reply in zip(texts, together, replies, strict=True):
        answer, _, wanted = learn.predict(text)
        np.testing.assert_allclose(found.probabilities, wanted.numpy(), atol=1e-4)
        close = on_the_line(wanted.numpy(), chosen["thresh"])
        assert chosen["label"] == "numbers" or close or found.answer == answer
        if chosen["label"] == "numbers":
            assert reply["answer"] == pytest.approx(answer.obj, abs=1e-4)
        else:
            assert found.answer == reply["answer"] or close
            shares = list(reply["probabilities"].values())
            np.testing.assert_allclose(shares, wanted.numpy(), atol=1e-4)


@short_on_purpose
@QUICK
@given(chosen=written)
def test_a_file_and_the_server_answer_texts_as_predict_does(tmp_path_factory, chosen):
    check_texts(tmp_path_factory.getbasetemp(), chosen)


@pytest.mark.slow
@short_on_purpose
@LONG
@given(chosen=written)
def test_texts_are_answered_as_predict_does_under_many_options(tmp_path_factory, chosen):
    check_texts(tmp_path_factory.getbasetemp(), chosen)


# --- series --------------------------------------------------------------------------------

curves = st.fixed_dictionaries(
    {
        "encodings": st.lists(
            st.sampled_from(["gasf", "gadf", "mtf", "recurrence"]),
            min_size=1,
            max_size=3,
            unique=True,
        ),
        "scale": st.sampled_from(["minmax", "zscore"]),
        "by": st.sampled_from(["series", "train"]),
        "layout": st.sampled_from(["grid", "planes"]),
        "channels": st.integers(1, 3),
        "length": st.none() | st.integers(12, 30),
        "bins": st.integers(2, 9),
        "size": st.integers(6, 12),
        "seed": st.integers(0, 2**31),
    }
)


def check_series(folder, chosen):
    rng = np.random.default_rng(chosen["seed"])
    channels = chosen["channels"]
    x = rng.normal(size=(12, channels, 24)).cumsum(2)
    ranks = "mtf" in chosen["encodings"]  # they alone have bins, and no scale
    names = ["layout", "length", *["bins"] * ranks]
    names += [] if chosen["encodings"] == ["mtf"] else ["scale", "by"]
    items = SeriesList.from_array(
        x,
        np.array(["u", "v"] * 6),
        path=folder,
        encodings=tuple(chosen["encodings"]),
        **{name: chosen[name] for name in names},
    )
    labels = items.split_by_idx([1, 4]).label_from_df("label")
    data = labels.transform(None, size=chosen["size"]).databunch(bs=4, device="cpu")
    learn = Learner(data, network(2, planes=data.task.input.planes), silent=True)
    predictor = Predictor(learn.export(folder / "s.onnx"))
    own = [np.round(x[0], 1), x[1] * 50, *(rng.normal(size=(channels, t)) for t in (2, 23, 70))]
    found = predictor.predict_batch(own)
    with TestClient(application(folder / "s.onnx")) as client:
        asked = {"series": [series.tolist() for series in own]}
        replies = client.post("/api/predict", json=asked).json()["predictions"]
    for series, one, reply in zip(own, found, replies, strict=True):
        answer, _, wanted = learn.predict(series)
        np.testing.assert_allclose(one.probabilities, wanted.numpy(), atol=1e-4)
        np.testing.assert_allclose(list(reply["probabilities"].values()), wanted, atol=1e-4)
        assert one.answer == answer == reply["answer"] or np.ptp(wanted.numpy()) < 1e-4


@settings(QUICK, max_examples=2)
@given(chosen=curves)
def test_a_file_and_the_server_answer_series_as_predict_does(tmp_path_factory, chosen):
    check_series(tmp_path_factory.getbasetemp(), chosen)


@pytest.mark.slow
@settings(LONG, max_examples=60)
@given(chosen=curves)
def test_series_are_answered_as_predict_does_under_many_options(tmp_path_factory, chosen):
    check_series(tmp_path_factory.getbasetemp(), chosen)


# --- the server ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_replies_what_the_predictor_says(kind, files, tmp_path):
    chosen = {
        "tfms": [augment.zoom(0.8, 0.3, 0.2)],
        "size": (20, 28),
        "resize_method": "crop",
        "padding_mode": "border",
        "stats": ([0.3, 0.5, 0.6], [0.2, 0.3, 0.4]),
        "thresh": 0.55,
        "of_one": True,
        "temperature": 0.4,
        "window": None,
    }
    learn = learner_of(kind, files, chosen)
    file = learn.export(tmp_path / "m.onnx")
    predictor, sources = Predictor(file), sorted(files.iterdir())
    uploads = [("file", (f.name, f.read_bytes(), "image/png")) for f in sources]
    with TestClient(application(file)) as client:
        replies = client.post("/api/predict", files=uploads).json()["predictions"]
    for source, reply in zip(sources, replies, strict=True):
        found = predictor.predict(source)
        assert reply["text"] == str(found)
        if kind == "mask":
            with Pillow.open(io.BytesIO(base64.b64decode(reply["mask"]))) as img:
                assert found.answer == np.asarray(img)
        else:
            assert found.answer == reply["answer"]
