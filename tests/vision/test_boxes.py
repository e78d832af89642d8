"""Boxes move with their image, are cut at its edge, and go when nothing of them is seen."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_geometry import FAMILY, drawn, law, methods, seeds, sizes

from onecycle.core.errors import LabelError
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.vision import augment
from onecycle.vision.boxes import Boxes
from onecycle.vision.lists import ObjectItemList
from onecycle.vision.transform import flatten
from onecycle.vision.warp import draw_plan, warp

TARGET = Boxes(classes=("cat", "dog"), count=2)


@law
@given(name=st.sampled_from(sorted(FAMILY)), source=sizes, out=sizes, method=methods, seed=seeds)
def test_a_box_holds_its_object_after_every_transform(name, source, out, method, seed):
    plan = drawn([name], source, out, method, seed)
    rng = np.random.default_rng(seed)
    (top, bottom), (left, right) = (np.sort(rng.choice(n, 2, replace=False)) for n in source)
    assume(bottom - top >= 8 and right - left >= 8)
    pixels = np.zeros((*source, 3), np.uint8)
    pixels[top:bottom, left:right] = 255
    box = np.array([[top, left, bottom, right]]) / np.tile(source, 2) * 2 - 1
    moved = TARGET.answer(TARGET.move(TARGET.encode((box, ["dog"])), plan))
    rows, cols = np.nonzero(warp(pixels, plan)[:, :, 0] > 127)
    assume(len(rows) > 20)
    assert moved.obj == ["dog"]
    seen = np.array([rows.min(), cols.min(), rows.max() + 1, cols.max() + 1])
    edges = (moved.data[0, :4] + 1) / 2 * np.tile(out, 2)
    apart = np.r_[seen[:2] - edges[:2], edges[2:] - seen[2:]]
    assert apart.min() > -1.5  # nothing of the object outside
    if name in {"flip_lr", "flip_ud", "dihedral", "zoom", "squish", "rand_crop", "crop_pad"}:
        assert apart.max() < 2  # and no wider than the object, where it stays upright


def test_a_box_is_cut_at_the_edge_and_dropped_outside():
    zoom = augment.zoom(2.0, row_pct=0, col_pct=0)  # the upper left quarter remains
    plan = draw_plan(flatten([zoom]), ImageSpec(), (40, 80), np.random.default_rng(0))
    y = TARGET.encode((np.array([[-0.5, -0.75, 0.5, 0.25], [0.2, 0.3, 0.4, 0.9]]), ["dog", "cat"]))
    moved = TARGET.move(y, plan)
    assert moved[0] == pytest.approx([0, -0.5, 1, 1, 1], abs=1e-5)
    assert moved[1].tolist() == [0, 0, 0, 0, -1]


@pytest.fixture
def objects(tmp_path):
    """Four grey images 20 x 40, and the label of each."""
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((20, 40, 3), 99, np.uint8))
    boxes = [[5, 10, 15, 30], [0, 0, 20, 10], [10, 20, 20, 40]]
    names = ["dog", "cat", "dog"]
    return tmp_path, {f"{i}.png": [boxes[:i], names[:i]] for i in range(4)}


def test_boxes_are_loaded_in_batches_of_different_numbers(objects):
    root, labels = objects
    src = ObjectItemList.from_folder(root).split_by_valid_func(lambda o: o.stem in "01")
    src = src.label_from_func(lambda o: labels[o.name])
    data = src.transform(None, tfm_y=True, size=(10, 20)).databunch(bs=2, num_workers=0)
    assert data.classes == ["cat", "dog"]
    assert data.one_batch()[1].shape == (2, 3, 5)
    assert data.valid_ds[1][1].data.tolist() == [[-0.5, -0.5, 0.5, 0.5, 1]]
    assert len(data.valid_ds[0][1].data) == 0
    drawn_boxes = [ax.patches for ax in data.show_batch(2).axes]
    assert sorted(map(len, drawn_boxes))[-2:] == [2, 3]


@pytest.mark.parametrize(
    ("label", "reported"),
    [
        ([[[5, 10, 15, 30]], ["cow"]], "cow"),
        ([[[15, 10, 5, 30]], ["dog"]], "top, left, bottom, right"),
        ([[[5, 10, 15, 30]], []], "1 boxes and 0 names"),
        ([[[0, 0, 9, 9]] * 4, ["dog"] * 4], "more than 3"),
        (7, "in pixels"),
    ],
)
def test_faults_are_found_before_training(objects, label, reported):
    root, labels = objects
    src = ObjectItemList.from_folder(root).split_by_valid_func(lambda o: o.stem in "01")
    with pytest.raises(LabelError, match=reported):
        src.label_from_func(lambda o: label if o.stem == "1" else labels[o.name])
