"""Labels become numbers and come back, in numpy alone."""

import json

import numpy as np
import pytest

from onecycle.core.errors import CheckpointError, LabelError, UsageError
from onecycle.runtime.inputs.image import ImageSpec, parse_size
from onecycle.runtime.kinds import NoLabelSpec
from onecycle.runtime.targets.category import CategorySpec, is_blank, sorted_classes
from onecycle.runtime.targets.mask import MaskSpec
from onecycle.runtime.targets.multi_category import MultiCategorySpec
from onecycle.runtime.targets.numbers import NumbersSpec
from onecycle.runtime.targets.points import PointsSpec
from onecycle.runtime.task import task_from_json, task_to_json


def test_classes_are_the_sorted_distinct_labels():
    assert CategorySpec().fit(["b", "a", "b", "C"]).classes == ("C", "a", "b")
    assert CategorySpec().fit([10, 9, 10]).classes == (9, 10)
    assert sorted_classes(["x", 2, np.int64(1)]) == (1, 2, "x")


@pytest.mark.parametrize("label", ["007", "NA", "null", "nan", "None", "1.0"])
def test_words_that_look_like_nothing_or_numbers_are_labels(label):
    target = CategorySpec().fit([label, "zebra"])
    assert target.check(label) is None
    assert target.answer(target.encode(label)).obj == label


def test_encode_then_decode_gives_the_label_back():
    target = CategorySpec().fit(["cat", "dog", "ant"])
    for label in ("cat", "dog", "ant"):
        one_hot = np.eye(3)[target.encode(label)]
        assert target.decode(one_hot).obj == label
    assert target.encode("dog").tolist() == 2
    assert str(target.decode(np.array([0.2, 0.5, 0.3]))) == "cat"


def test_a_given_order_of_classes_is_kept():
    target = CategorySpec(classes=("pos", "neg")).fit(["neg", "pos"])
    assert target.classes == ("pos", "neg")
    assert int(target.encode("neg")) == 1


def test_classes_given_twice_are_refused():
    with pytest.raises(LabelError, match="given twice: 'a'"):
        CategorySpec(classes=("a", "b", "a"))
    with pytest.raises(LabelError, match="given twice"):
        MultiCategorySpec(classes=("x", "x"))


def test_blank_is_none_nan_or_spaces():
    assert [is_blank(v) for v in (None, float("nan"), "", "  ", "\t")] == [True] * 5
    assert [is_blank(v) for v in ("0", 0, 0.0, "NA", False)] == [False] * 5


def test_tags_are_zeros_and_ones_in_the_order_of_the_classes():
    target = MultiCategorySpec().fit([["road", "clear"], ["haze"], []])
    assert target.classes == ("clear", "haze", "road")
    assert target.encode(["road", "clear", "road"]).tolist() == [1, 0, 1]
    assert target.encode([]).tolist() == [0, 0, 0]
    assert target.answer(np.array([1, 0, 1])).obj == ["clear", "road"]


def test_a_tag_is_present_above_the_threshold_and_not_on_it():
    target = MultiCategorySpec(classes=("a", "b", "c"), thresh=0.25)
    answer = target.decode(np.array([0.25, 0.26, 0.1]))
    assert answer.obj == ["b"]
    assert str(answer) == "b"
    assert answer.data.tolist() == [0, 1, 0]


def test_a_text_is_not_a_list_of_tags():
    target = MultiCategorySpec(classes=("a", "b"))
    assert target.check("ab") == "is not a list of tags"
    assert target.check("") == "is blank"
    assert "'z'" in target.check(["a", "z"])
    assert target.check(["b"]) is None


def test_numbers_learn_their_width_and_refuse_others():
    pair = NumbersSpec().fit([(1.5, 2), (3, 4)])
    assert pair.n_outputs == 2
    assert pair.encode(("3", "4.5")).tolist() == [3, 4.5]
    assert pair.check((1, 2, 3)) == "has 3 numbers, expected 2"
    assert pair.check(("x", 1)) == "is not a number"
    assert pair.check((float("inf"), 1)) == "is blank or not finite"
    assert NumbersSpec().fit(["2.5"]).answer(np.array([2.5])).obj == 2.5
    assert pair.answer(np.array([1, 2])).obj == [1.0, 2.0]


def test_masks_and_points_decode():
    probabilities = np.array([[[0.9, 0.2]], [[0.1, 0.8]]])
    assert MaskSpec(classes=("sky", "road")).decode(probabilities).data.tolist() == [[[0, 1]]]
    points = PointsSpec(count=2).decode(np.array([1, 2, 3, 4.0]))
    assert points.data.tolist() == [[1, 2], [3, 4]]
    assert PointsSpec(count=2).n_outputs == 4


def test_no_label_has_no_outputs():
    with pytest.raises(LabelError, match="no labels"):
        _ = NoLabelSpec().n_outputs


@pytest.mark.parametrize(
    "target",
    [
        CategorySpec(classes=("007", "NA")),
        CategorySpec(classes=(1, 2)),
        MultiCategorySpec(classes=("a", "b"), thresh=0.2),
        NumbersSpec(names=("age",)),
        MaskSpec(classes=("a", "b"), void=255),
        PointsSpec(count=3, flip_pairs=((0, 2),)),
        NoLabelSpec(),
    ],
)
def test_a_task_comes_back_from_json_as_it_was(target):
    inputs = ImageSpec((60, 80), "pad", "zeros", (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    text = json.dumps(task_to_json(inputs, target))
    assert task_from_json(json.loads(text)) == (inputs, target)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["target"].update(kind="os.system"),
        lambda v: v["target"].update(surprise=1),
        lambda v: v.pop("input"),
        lambda v: v.update(target=None),
        lambda v: v.update(input=[1, 2]),
    ],
)
def test_a_foreign_description_of_a_task_is_refused(change):
    values = task_to_json(ImageSpec(), CategorySpec(classes=("a", "b")))
    change(values)
    with pytest.raises(CheckpointError):
        task_from_json(values)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        (224, ((224, 224), "crop")),
        (np.int64(64), ((64, 64), "crop")),
        (np.array([360, 480]) // 2, ((180, 240), "crop")),
        ((120, 160), ((120, 160), "squish")),
        ([120, 160], ((120, 160), "squish")),
        ((3, 50, 70), ((50, 70), "squish")),
        (None, (None, "none")),
    ],
)
def test_the_form_of_a_size_says_how_to_resize(size, wanted):
    assert parse_size(size) == wanted


@pytest.mark.parametrize("size", [0, -5, 1.5, (5,), (1, 2, 3, 4), "224", "big", (64, 0), (64, "a")])
def test_what_is_not_a_size_is_refused(size):
    with pytest.raises(UsageError, match="size is a positive int"):
        parse_size(size)


def test_unknown_ways_of_resizing_are_refused():
    with pytest.raises(UsageError, match="resize_method is one of crop, pad"):
        ImageSpec(resize_method="stretch")
    with pytest.raises(UsageError, match="padding_mode is one of reflection"):
        ImageSpec(padding_mode="mirror")


def test_a_mask_lies_where_its_box_lies_also_beyond_the_image():
    seen = np.arange(20, dtype=np.uint8).reshape(1, 4, 5)  # (rows, h, w)
    target = MaskSpec(tuple(range(20)))

    def placed(top, left, h, w):
        values = {"mask": seen[:, :h, :w], "box": np.array([top, left, h, w])}
        return target.place(values, 0, (3, 3), None).data[0].tolist()

    assert placed(-1, -2, 4, 5) == [[7, 8, 9], [12, 13, 14], [17, 18, 19]]
    assert placed(-1, 1, 2, 2) == [[255, 5, 6], [255, 255, 255], [255, 255, 255]]
    assert placed(2, -1, 3, 2) == [[255, 255, 255], [255, 255, 255], [1, 255, 255]]


def test_points_in_a_padded_input_lie_where_they_do_in_the_image():
    values = {"probabilities": np.array([[-1.0, 0.0, 0.0, 1.0]], np.float32)}  # y, x from -1 to 1
    values |= {"box": np.array([10, 20, 60, 40]), "inner": np.array([0, 5, 30, 20])}
    found = PointsSpec(2).place(values, 0, (0, 0), (30, 30)).data
    # x: the middle, 15 of 30, is 10 of 20 inside; 30 of 30 is 5 of 20 beyond the right edge
    assert found.tolist() == [[9.5, 39.5], [39.5, 69.5]]
