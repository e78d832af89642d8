"""What is written for COCO is read again as it was, and pycocotools reads the same."""

import json

import numpy as np
import pytest
import torch
from annotated import MASK, SIZE, coco, cvat, save_image

from onecycle import Points
from onecycle.core.errors import ModelError, OnecycleWarning, UsageError
from onecycle.data.splits import by_index
from onecycle.learn.predictions import Predictions
from onecycle.vision import (
    Category,
    ImageList,
    Mask,
    MultiCategory,
    ObjectItemList,
    PointsItemList,
    SegmentationItemList,
    to_coco,
)
from onecycle.vision.annotations.shapes import Runs, decode_counts, encode_counts, fill, runs_of


def side_of(found, size=SIZE):
    """All items as the training side of data."""
    made = found.split(by_index([])) if len(found) == 0 else found.split_none()
    return made.label_from_annotations().transform(size=size).databunch(bs=1, check=False).train_ds


def labels(found):
    return {file.name: label for file, label in zip(found, found.frame["annotation"], strict=True)}


def test_boxes_come_back_as_they_were(tmp_path):
    first = ObjectItemList.from_annotations(cvat(tmp_path))
    file = to_coco(side_of(first), "again.json")
    assert file == tmp_path / "again.json"
    again = ObjectItemList.from_annotations(file)
    assert again.label_cls.classes == first.label_cls.classes
    for name, (boxes, names) in labels(first).items():
        found, others = labels(again)[name]
        assert others == names
        assert np.allclose(found, boxes, atol=1e-4)
    assert set(labels(again)) == {"lamp.png", "none.png"}


def test_masks_come_back_as_they_were(tmp_path):
    first = SegmentationItemList.from_annotations(cvat(tmp_path))
    again = SegmentationItemList.from_annotations(to_coco(side_of(first), "again.json"))
    assert again.label_cls.classes == first.label_cls.classes
    for name, mask in labels(first).items():
        assert labels(again)[name].data.tolist() == mask.data.tolist()
    assert labels(again)["lamp.png"].data[0].tolist() == MASK.tolist()


def test_points_classes_and_tags_come_back_as_they_were(tmp_path):
    marks = [[1.25, 2.0], [3.0, 5.5]]
    for name in "ab":
        save_image(tmp_path / f"{name}.png")
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    listed = PointsItemList.from_paths(files, tmp_path).split_none()
    made = listed.label_from_func(lambda file: marks, label_cls=Points(unit="pixels"))
    again = PointsItemList.from_annotations(to_coco(made.train, "p.json"))
    for points in labels(again).values():
        assert np.allclose(points.pixels, marks, atol=1e-5)
    for kind, given in ((Category, "xy"), (MultiCategory, (["y", "x"], []))):
        answers = dict(zip(files, given, strict=True))
        made = (
            ImageList.from_paths(files, tmp_path)
            .split_none()
            .label_from_func(answers.__getitem__, label_cls=kind)
        )
        again = ImageList.from_annotations(to_coco(made.train, "t.json"))
        assert type(again.label_cls) is kind
        found = [set(labels(again)[file.name]) for file in files]
        assert found == [set(answers[file]) for file in files]


def predictions(side, target, probabilities):
    """As a learner gives them."""
    task = side.task.__class__(side.task.input, target)
    zeros = torch.zeros(len(side))
    return Predictions(torch.as_tensor(probabilities), zeros, zeros, side, task)


def test_a_predicted_mask_is_laid_over_the_whole_image(tmp_path):
    first = SegmentationItemList.from_annotations(coco(tmp_path), unlabelled="drop")
    side = side_of(first, (10, 14))  # the lamp's image at twice its size
    side = side.take([i for i, file in enumerate(side.items) if file.name == "lamp.png"])
    wide = MASK.repeat(2, 0).repeat(2, 1)
    shares = np.where(np.arange(3)[:, None, None] == wide, 0.75, 0.125).astype(np.float32)
    target = Mask(classes=("background", "cat", "lamp"))
    file = to_coco(predictions(side, target, shares[None]), "p.json")
    rows = json.loads(file.read_text())["annotations"]
    assert [row["score"] for row in rows] == [0.75, 0.75]
    assert [row["area"] for row in rows] == [6, 9]
    assert rows[1]["bbox"] == [1, 1, 5, 3]
    again = SegmentationItemList.from_annotations(file, unlabelled="drop")
    assert labels(again)["lamp.png"].data[0].tolist() == MASK.tolist()


def test_predicted_classes_and_points_have_their_scores_and_pixels(tmp_path):
    save_image(tmp_path / "a.png", (10, 20))
    listed = ImageList.from_paths(["a.png"], tmp_path).split_none()
    side = listed.label_const("x").transform(size=(40, 40)).databunch(bs=1).train_ds
    found = predictions(side, Category(classes=("x", "y")), [[0.25, 0.75]])
    content = json.loads(to_coco(found, "c.json").read_text())
    (row,) = content["annotations"]
    assert (row["category_id"], row["score"]) == (2, 0.75)
    assert [kind["name"] for kind in content["categories"]] == ["x", "y"]
    side = listed.label_const("x").transform(size=(40, 40), resize_method="squish").databunch(bs=1)
    found = predictions(side.train_ds, Points(count=1), [[[0.0, 0.5]]])
    (row,) = json.loads(to_coco(found, "c.json").read_text())["annotations"]
    assert np.allclose(row["keypoints"], [14.5, 4.5, 2])


def test_an_answer_that_is_not_sure_has_no_annotation_and_is_counted(tmp_path):
    for name in ("a.png", "b.png"):
        save_image(tmp_path / name, (10, 20))
    listed = ImageList.from_paths(["a.png", "b.png"], tmp_path).split_none()
    side = listed.label_from_func(lambda file: file.stem).databunch(bs=1).train_ds
    found = predictions(side, Category(("x", "y"), thresh=0.7), [[0.5, 0.5], [0.25, 0.75]])
    with pytest.warns(OnecycleWarning, match='1 of 2 answers are "not sure"'):
        content = json.loads(to_coco(found, "c.json").read_text())
    assert [row["image_id"] for row in content["annotations"]] == [2]
    assert len(content["images"]) == 2


def test_what_has_no_place_or_is_no_number_is_refused(tmp_path):
    save_image(tmp_path / "a.png")
    made = ImageList.from_paths(["a.png"], tmp_path).split_none().label_const("x").databunch(bs=1)
    found = predictions(made.train_ds, Category(classes=("x", "y")), [[float("nan"), 0.75]])
    with pytest.raises(ModelError, match="no finite numbers"):
        to_coco(found, "c.json")
    made = ImageList.from_paths(["a.png"], tmp_path).split_none().label_const(0.5).databunch(bs=1)
    with pytest.raises(UsageError, match="Numbers have no place in a COCO file"):
        to_coco(made.train_ds, "c.json")
    assert not (tmp_path / "c.json").exists()


# pycocotools, the reference; of numpy 2 it is warned.

OLD = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept:DeprecationWarning"
)


def odd_masks():
    rng = np.random.default_rng(5)
    for i in range(60):
        h, w = rng.integers(1, 40, 2)
        yield np.full((h, w), i == 3) if i < 5 else rng.random((h, w)) < rng.random()


def test_runs_of_our_own_come_back():
    for mask in odd_masks():
        runs = runs_of(mask, True)
        again = decode_counts(encode_counts(runs.counts))
        assert Runs(again, mask.shape, True).region().inside.tolist() == mask.tolist()


@OLD
def test_compressed_runs_are_those_of_pycocotools():
    reference = pytest.importorskip("pycocotools.mask")
    for mask in odd_masks():
        coded = reference.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        assert encode_counts(runs_of(mask, True).counts) == coded
        assert (
            Runs(decode_counts(coded), mask.shape, True).region().inside.tolist() == mask.tolist()
        )


@OLD
def test_polygons_of_whole_numbers_are_pycocotools_own_but_for_their_slanting_edges():
    reference = pytest.importorskip("pycocotools.mask")
    rng, wrong, all_pixels = np.random.default_rng(7), 0, 0
    for _ in range(80):
        h, w = (int(side) for side in rng.integers(20, 60, 2))
        angles, reach = np.sort(rng.random(7)) * 2 * np.pi, rng.uniform(4, 25, 7)
        corners = np.stack([h / 2 + reach * np.sin(angles), w / 2 + reach * np.cos(angles)], 1)
        ours = np.zeros((h, w), np.uint8)
        fill((corners,), (h, w)).paint(ours, 1)
        coded = reference.frPyObjects([corners[:, ::-1].ravel().tolist()], h, w)
        theirs = reference.decode(reference.merge(coded))
        wrong, all_pixels = wrong + (ours != theirs).sum(), all_pixels + theirs.sum()
    assert wrong < 0.03 * all_pixels  # pixels that an edge passes through
    steps = np.array([[1, 1], [1, 3], [3, 3], [3, 6], [4, 6], [4, 1]], float)
    ours = np.zeros((5, 7), np.uint8)
    fill((steps,), (5, 7)).paint(ours, 1)
    coded = reference.frPyObjects([steps[:, ::-1].ravel().tolist()], 5, 7)
    assert ours.tolist() == reference.decode(reference.merge(coded)).tolist()


@OLD
def test_pycocotools_reads_what_is_written_and_finds_it_without_fault(tmp_path, capsys):
    tools = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    for i in range(3):
        coco(tmp_path / f"{i}")
        (tmp_path / f"{i}/labels.json").rename(tmp_path / f"{i}.json")
    found = SegmentationItemList.from_annotations(tmp_path / "0.json", images=tmp_path / "0")
    side = side_of(found)
    truth = tools.COCO(str(to_coco(side, "truth.json")))
    rows = json.loads((tmp_path / "0/truth.json").read_text())["annotations"]
    masks = {tuple(truth.annToMask(row).ravel()) for row in truth.loadAnns(truth.getAnnIds())}
    assert masks == {tuple((number == MASK).ravel()) for number in (1, 2)}
    guessed = truth.loadRes([row | {"score": 0.5} for row in rows])
    judge = evaluation.COCOeval(truth, guessed, "segm")
    judge.evaluate(), judge.accumulate(), judge.summarize()
    assert judge.stats[0] == pytest.approx(1)
    capsys.readouterr()
