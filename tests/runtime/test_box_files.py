"""An exported detector answers as its learner does, in Python, from a server and in a browser."""

import json

import numpy as np
import pytest
import torch
from drawn_boxes import boxes_data, drawn
from hostile import NAMES
from PIL import Image as Pillow
from starlette.testclient import TestClient
from test_page import asked, opened

from onecycle.core.errors import CheckpointError, OnecycleWarning, UsageError
from onecycle.runtime.http.server import application
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.runtime.targets.boxes import BoxesSpec, hit
from onecycle.vision.annotations.write import to_coco
from onecycle.vision.learner import detection_learner

pytestmark = pytest.mark.filterwarnings("ignore:boxes leave their image")
HOSTILE = {"bar": NAMES[0], "disc": NAMES[3]}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Drawn images of two sizes, whose classes have names that are markup."""
    root = tmp_path_factory.mktemp("shapes")
    labels = drawn(root, 24)
    for file in sorted(labels)[-2:]:  # larger than the others, and upright
        image = Pillow.open(root / file).resize((120, 192))
        image.save(root / file)
        scale = np.array([192 / 64, 120 / 80] * 2)
        labels[file][0] = (np.array(labels[file][0]).reshape(-1, 4) * scale).tolist()
    for boxes_and_names in labels.values():
        boxes_and_names[1] = [HOSTILE[name] for name in boxes_and_names[1]]
    return root, labels


@pytest.fixture(scope="module")
def learn(shapes):
    torch.manual_seed(0)
    made = detection_learner(boxes_data(*shapes), "small", width=32, silent=True)
    made.unfreeze().fit_one_cycle(3, 1e-2)
    return made.with_threshold(0.15)


@pytest.fixture(scope="module")
def file(learn, tmp_path_factory):
    return learn.export(tmp_path_factory.mktemp("exported") / "boxes.onnx")


def learners_boxes(learn, source, thresh=None):
    """The names and the boxes (k, 6) that the learner finds, in pixels of the whole image."""
    _answer, data, _ = learn.predict(source, thresh)
    placed = learn.task.target.in_pixels(data.numpy(), source, learn.task.input)
    return [learn.task.target.classes[int(row[4])] for row in placed], placed


@pytest.mark.parametrize("method", ["squish", "crop", "pad"])
def test_a_file_finds_the_boxes_of_its_learner(
    method, learn, shapes, tmp_path, traced_once, monkeypatch
):
    root, labels = shapes
    monkeypatch.setattr(learn, "_data", boxes_data(root, labels, resize_method=method))
    learn.with_threshold(0.15)
    predictor = Predictor(learn.export(tmp_path / "boxes.onnx"))
    total = 0
    for name in sorted(labels)[-4:]:
        for thresh in (None, 0.2, 0.35):
            names, wanted = learners_boxes(learn, root / name, thresh)
            found = predictor.predict(root / name, thresh)
            assert found.answer.obj == names
            np.testing.assert_allclose(found.answer.data, wanted, atol=0.02)
            total += len(names)
    assert total > 12


def test_nothing_that_travels_is_lost(file, learn, shapes):
    predictor = Predictor(file)
    assert (predictor.thresh, predictor.target.overlap, predictor.target.most) == (0.15, 0.6, 100)
    assert list(predictor.classes) == learn.data.classes
    name = sorted(shapes[1])[-1]
    few = learn.predict(shapes[0] / name, thresh=0.9)
    assert len(few[0].obj) <= len(predictor.predict(shapes[0] / name).answer.obj)


def test_a_server_gives_classes_scores_and_edges(file, shapes):
    root, labels = shapes
    data = (root / sorted(labels)[-1]).read_bytes()
    wanted = Predictor(file).predict(data).answer
    with TestClient(application(file)) as client:
        (found,) = client.post("/api/predict", content=data).json()["predictions"]
        (none,) = client.post("/api/predict?thresh=1", content=data).json()["predictions"]
    assert found["answer"] == wanted.obj
    rows = [[*b["box"], b["score"]] for b in found["boxes"]]
    assert [b["class"] for b in found["boxes"]] == wanted.obj
    np.testing.assert_allclose(rows, wanted.data[:, [0, 1, 2, 3, 5]], rtol=1e-6)
    assert (none["boxes"], none["text"]) == ([], "no boxes")


def test_the_page_finds_what_python_finds_and_shows_names_as_text(browser, file, shapes, tmp_path):
    from axe_playwright_python.sync_playwright import Axe
    from folder_server import served

    root, labels = shapes
    image = root / sorted(labels)[-1]
    wanted = Predictor(file).predict(image).answer
    with served(write_site(file, tmp_path / "site")) as address:
        page = opened(browser, address)
        found = asked(page, image)
        shown = page.locator("#answer li").all_inner_texts()
        assert page.evaluate("window.evil") is None
        assert page.locator("#answer img[onerror], #answer script").count() == 0
        violations = Axe().run(page).response["violations"]
        faults = page.faults
        page.context.close()
    assert [box["name"] for box in found["boxes"]] == wanted.obj
    np.testing.assert_allclose([b["box"] for b in found["boxes"]], wanted.data[:, :4], atol=0.1)
    assert len(shown) == len(wanted.obj)
    for text, name in zip(shown, wanted.obj, strict=True):
        assert text.startswith(name.split("\n")[0])
    assert violations == []
    assert faults == []


def test_predictions_are_written_as_coco(learn, shapes, tmp_path):
    from onecycle.vision.lists import ObjectItemList

    root, _labels = shapes
    found = learn.predictions()
    file = to_coco(found, tmp_path / "found.json")
    content = json.loads(file.read_text())
    assert {c["name"] for c in content["categories"]} == set(HOSTILE.values())
    rows = content["annotations"]
    wanted = [learners_boxes(learn, source) for source in found.items.x.items]
    assert len(rows) == sum(len(names) for names, _ in wanted) > 0
    first = next(placed for _, placed in wanted if len(placed))[0]
    top, left, bottom, right = first[:4]
    assert rows[0]["bbox"] == pytest.approx([left, top, right - left, bottom - top], abs=0.01)
    assert rows[0]["score"] == pytest.approx(first[5], abs=1e-5)
    again = ObjectItemList.from_annotations(file, images=root, unlabelled="keep")
    assert sum(len(names) for _, names in again.frame["annotation"]) == len(rows)


@pytest.mark.slow
def test_int8_says_how_many_boxes_it_changes(learn, file, tmp_path):
    with pytest.warns(OnecycleWarning, match="int8 changes .* of the answers"):
        small = learn.export(tmp_path / "small.onnx", precision="int8")
    assert 0 < Predictor(small).about["made"]["changed"] < 0.5
    assert small.stat().st_size < 0.5 * file.stat().st_size


# --- the answer itself -----------------------------------------------------------------------

SPEC = BoxesSpec(("cat", "dog", 3), thresh=0.5, overlap=0.5, most=3)


def probabilities(*boxes):
    """(4 + classes, places): each box (top, left, bottom, right, {class: score}) at a place."""
    found = np.zeros((7, len(boxes)), np.float32)
    for at, (*edges, scores) in enumerate(boxes):
        found[:4, at] = edges
        for kind, score in scores.items():
            found[4 + kind, at] = score
    return found


def test_of_boxes_of_one_class_that_overlap_the_better_one_is_kept():
    given = probabilities(
        (-0.5, -0.5, 0.5, 0.5, {1: 0.7}),
        (-0.5, -0.4, 0.5, 0.5, {1: 0.8, 0: 0.6}),  # overlaps by 0.9
        (-0.5, 0.0, 0.5, 1.0, {1: 0.6}),  # by 0.4 and a third: another one
        (0.6, 0.6, 0.9, 0.9, {2: 0.5}),  # on the threshold: not above
    )
    found = SPEC.decode(given)
    assert found.obj == ["dog", "cat", "dog"]
    assert found.data[:, 5].tolist() == pytest.approx([0.8, 0.6, 0.6])
    assert found.data[0, 1] == pytest.approx(-0.4)
    assert found.text == "dog 0.80; cat 0.60; dog 0.60"
    assert SPEC.with_threshold(0.65).decode(given).obj == ["dog"]
    assert SPEC.decode(probabilities()).text == "no boxes"


def test_suppression_is_torchvisions():
    from torchvision.ops import batched_nms

    rng = np.random.default_rng(7)
    corner = rng.uniform(-1, 0.6, (2, 400))
    given = np.concatenate([corner, corner + rng.uniform(0.05, 0.5, (2, 400))])
    given = np.concatenate([given, rng.uniform(0, 1, (3, 400))]).astype(np.float32)
    spec = BoxesSpec((0, 1, 2), thresh=0.4, overlap=0.45)
    kinds, places = np.nonzero(given[4:] > np.float32(0.4))
    boxes = torch.from_numpy(given[:4, places].T)
    scores = torch.from_numpy(given[4:][kinds, places])
    kept = batched_nms(boxes, scores, torch.from_numpy(kinds), 0.45)[:100].numpy()
    found = spec.found(given)
    assert found[:, 5] == pytest.approx(scores.numpy()[kept])
    assert found[:, 4].tolist() == kinds[kept].tolist()
    assert len(found) > 60


def test_boxes_outside_the_image_go_and_others_are_cut():
    given = probabilities((-1, -1, 0.5, -0.9, {0: 0.9}), (-1, 0.5, 0.2, 1, {1: 0.8}))
    values = {"probabilities": given[None], "box": np.array([0, 0, 30, 60])}
    values["inner"] = np.array([10, 8, 20, 40])  # a padded input of 40 x 56
    found = SPEC.place(values, 0, (30, 60), (40, 56))
    assert found.obj == ["dog"]
    assert found.data[0, :4].tolist() == pytest.approx([0, (42 - 8) * 1.5, (24 - 10) * 1.5, 60])


def test_what_a_precision_costs_is_counted_in_boxes():
    actual = np.array([[[-0.5, -0.5, 0.5, 0.5, 1], [0.5, 0.5, 1, 1, 0], [0, 0, 0, 0, -1]]])
    right = SPEC.decide(probabilities((-0.5, -0.4, 0.5, 0.5, {1: 0.9}))[None])
    wrong = SPEC.decide(probabilities((-0.5, -0.4, 0.5, 0.5, {0: 0.9}))[None])
    assert SPEC.right(right, actual).tolist() == [True, False]
    assert SPEC.right(wrong, actual).tolist() == [False, False, False]
    assert SPEC.changes(right, wrong).tolist() == [1]
    assert SPEC.changes(right, right).tolist() == [0]
    both = SPEC.decide(
        probabilities((-0.5, -0.4, 0.5, 0.5, {1: 0.9}), (0.5, 0.5, 1, 1, {0: 0.7}))[None]
    )
    assert SPEC.changes(both, right).tolist() == [0.5]
    twice = np.array([[-0.5, -0.5, 0.5, 0.5, 1, 0.9], [-0.5, -0.5, 0.5, 0.5, 1, 0.8]])
    assert hit(twice, actual[0][:2]).tolist() == [True, False]
    near = np.array([[-0.5, -0.5, 0.5, 0.5, 1], [-0.5, -0.3, 0.5, 0.5, 1]])
    assert hit(twice, near).tolist() == [True, True]  # the second takes what is left
    assert hit(twice[:1], near[::-1]).tolist() == [False, True]


def test_a_file_with_options_that_make_no_sense_is_refused():
    for odd in ({"overlap": 2.0}, {"most": 0}):
        with pytest.raises(CheckpointError, match="overlap is a share"):
            BoxesSpec.from_json(SPEC.to_json() | odd)
    with pytest.raises(UsageError, match="thresh"):
        SPEC.with_threshold(1.5)
    assert BoxesSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC
