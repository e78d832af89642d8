"""Answers are equal where what they say is equal, whichever way it came."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onecycle.runtime.kinds import Answer, NoLabelSpec
from onecycle.runtime.targets.category import CategorySpec
from onecycle.runtime.targets.mask import MaskSpec
from onecycle.runtime.targets.multi_category import MultiCategorySpec
from onecycle.runtime.targets.numbers import NumbersSpec
from onecycle.runtime.targets.points import PointsSpec

HORNETS = ("Apis mellifera", "Vespa crabro", 7)


def mask(rows, dtype=np.int64):
    return MaskSpec(tuple("abcde")).answer(np.array(rows, dtype)[None])


def test_masks_of_one_size_are_equal_only_where_every_pixel_is():
    assert mask([[0, 1, 1], [2, 2, 0]]) != mask([[0, 1, 1], [2, 2, 1]])
    assert mask([[0, 1, 1], [2, 2, 0]]) == mask([[0, 1, 1], [2, 2, 0]], np.uint8)
    assert mask([[0, 1, 1, 2, 2, 0]]) != mask([[0, 1, 1], [2, 2, 0]])
    assert len({mask([[0, 1]]), mask([[0, 1]], np.uint16), mask([[1, 0]])}) == 2
    assert mask([[0, 1], [2, 3]]) == [[0, 1], [2, 3]]
    assert mask([[0, 1], [2, 3]]) == np.array([[0, 1], [2, 3]])
    assert mask([[0, 1], [2, 3]]) != np.array([[0, 1], [3, 3]])


def test_points_are_equal_by_their_numbers_not_by_how_many_there_are():
    points = PointsSpec(2)
    one, other = points.answer([[0.5, -1], [0, 1]]), points.answer([[0.5, -1], [0, 0.25]])
    assert str(one) == str(other) == "2 points"
    assert one != other
    assert one == points.decode(np.array([0.5, -1, 0, 1]))
    assert hash(one) == hash(points.decode(np.array([0.5, -1, 0, 1])))
    assert one == torch.tensor([[0.5, -1], [0, 1]])


def test_boxes_with_equal_names_in_other_places_differ():
    """As `vision.boxes` makes them: names, and a row of numbers for each."""
    here = Answer(["cat"], np.array([[0, 0, 0.5, 0.5, 1]]), "cat")
    there = Answer(["cat"], np.array([[0, 0, 0.5, 0.75, 1]]), "cat")
    assert here != there
    assert here == Answer(["cat"], np.array([[0, 0, 0.5, 0.5, 1]]), "cat")
    assert here != Answer(["dog"], np.array([[0, 0, 0.5, 0.5, 1]]), "dog")


def test_a_category_is_its_name_wherever_names_are_looked_up():
    spec = CategorySpec(HORNETS)
    answer = spec.decode(np.array([0.1, 0.7, 0.2]))
    assert answer == "Vespa crabro"
    assert "Vespa crabro" == answer  # noqa: SIM300 - the other way round, too
    assert answer != "Apis mellifera"
    assert answer in HORNETS
    assert {"Vespa crabro": 3}[answer] == 3
    assert {answer: 3}["Vespa crabro"] == 3
    assert list(HORNETS).index(answer) == 1
    number = spec.answer(np.array(2))
    assert number == 7
    assert number != "7"  # though it is written as 7
    assert number in {7}
    assert answer == CategorySpec(("Vespa crabro", "Zyzzyx")).answer(np.array(0))  # other indexes


def test_tags_and_numbers_are_equal_to_lists_of_themselves():
    tags = MultiCategorySpec(("a", "b", "c"), 0.5).decode(np.array([0.9, 0.1, 0.6]))
    assert tags == ["a", "c"]
    assert tags == ("a", "c")
    assert tags != ["a"]
    assert tags != "ac"
    assert tags != "a;c"  # that is how it is written, not what it is
    assert hash(tags) == hash(("a", "c"))
    pair, one = NumbersSpec(("y0", "y1")), NumbersSpec(("y",))
    assert pair.answer([1.5, 2]) == [1.5, 2.0]
    assert one.answer([2.5]) == 2.5
    assert one.answer([1.23456]) != one.answer([1.23461])  # both are written 1.235
    assert hash(one.answer([2.5])) == hash(2.5)


def test_without_a_label_the_outputs_are_compared():
    spec = NoLabelSpec()
    assert spec.decode(np.array([1.0, 2])) == spec.decode(np.array([1.0, 2]))
    assert spec.decode(np.array([1.0, 2])) != spec.decode(np.array([1.0, 3]))
    assert spec.decode(np.array([1.0, 2])) != CategorySpec(("a",)).answer(np.array(0))


def test_what_has_no_truth_value_is_not_equal_instead_of_an_error():
    answer = CategorySpec(HORNETS).answer(np.array(1))
    assert answer != np.array(["Vespa crabro", "Vespa crabro"])
    assert answer != None  # noqa: E711 - asked as a user might


names = st.lists(st.text(max_size=8), min_size=1, max_size=6, unique=True)


@given(names, st.data())
def test_every_answer_of_names_survives_json(classes, data):
    spec = CategorySpec(tuple(classes))
    answer = spec.answer(np.array(data.draw(st.integers(0, len(classes) - 1))))
    tags = MultiCategorySpec(tuple(classes)).answer(
        np.array(data.draw(st.lists(st.booleans(), min_size=len(classes), max_size=len(classes))))
    )
    for one in (answer, tags):
        messages = json.loads(json.dumps(one.to_dict()))
        assert one == messages["answer"]
        assert messages["text"] == str(one)


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=4),
    st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=4),
)
def test_every_answer_of_numbers_survives_json(values, rows):
    numbers = NumbersSpec(tuple(f"y{i}" for i in range(len(values)))).answer(values)
    points = PointsSpec(len(values)).answer(np.array([values, values[::-1]]).T)
    for one in (numbers, points, mask(rows)):
        assert one == json.loads(json.dumps(one.to_dict()))["answer"]


@pytest.mark.parametrize("classes", [(1, "1"), ("True", True), ("a", "b", "a")])
def test_classes_that_look_alike_in_a_table_are_refused(classes):
    from onecycle.core.errors import LabelError

    for kind in (CategorySpec, MultiCategorySpec):
        with pytest.raises(LabelError, match="given twice"):
            kind(classes)


def test_classes_of_numpy_are_written_as_json():
    for kind in (CategorySpec, MultiCategorySpec, MaskSpec):
        spec = kind(classes=np.array([3, 5]))
        assert json.loads(json.dumps(spec.to_json()))["classes"] == [3, 5]


def test_a_mask_takes_the_narrowest_numbers_that_hold_all_classes_and_what_lies_outside():
    def of(n, void=None):
        spec = MaskSpec(tuple(map(str, range(n))), void)
        return spec.mask_dtype, spec.outside

    assert of(2) == ("uint8", 255)
    assert of(255) == ("uint8", 255)
    assert of(256) == ("uint16", 65535)  # 255 is a class
    assert of(256, void=11) == ("uint8", 11)
    assert of(300, void=299) == ("uint16", 299)
    assert of(12, void=-1) == ("uint8", 255)
    assert of(12, void=300) == ("uint16", 300)
    assert CategorySpec(("a",)).mask_dtype is None


def test_decisions_of_a_batch_are_those_of_each_item():
    rows = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]], np.float32)
    category = CategorySpec(("a", "b", "c"))
    assert category.decide(rows).tolist() == [category.decode(row).data for row in rows] == [1, 0]
    assert category.right(np.array([1, 0]), np.array([1, 2])).tolist() == [True, False]
    assert category.changes(np.array([1, 0, 2]), np.array([1, 2, 2])).tolist() == [0, 1, 0]
    multi = MultiCategorySpec(("a", "b", "c"), 0.3)
    decided = multi.decide(rows)
    assert decided.astype(int).tolist() == [multi.decode(row).data.tolist() for row in rows]
    assert decided.astype(int).tolist() == [[0, 1, 0], [1, 0, 0]]  # 0.3 is not above 0.3
    assert multi.right(decided, np.array([[0, 1, 1], [1, 0, 0]])).tolist() == [
        *(True, True, False),
        *(True, True, True),
    ]
    assert multi.changes(decided, np.array([[0, 1, 1], [1, 0, 0]], bool)).tolist() == [1, 0]
    shares = np.zeros((1, 3, 2, 2), np.float32)
    shares[0, 2, 0] = shares[0, 1, 1] = 1  # the upper row is class 2, the lower class 1
    masks = MaskSpec(("a", "b", "c"), void=0)
    assert masks.decide(shares).tolist() == [[[2, 2], [1, 1]]]
    true = np.array([[[[2, 0], [1, 2]]]])
    assert masks.right(masks.decide(shares), true).tolist() == [True, True, False]  # void: not
    assert masks.changes(masks.decide(shares), np.array([[[2, 2], [1, 0]]])).tolist() == [0.25]
    assert NumbersSpec(("y",)).decide(rows) is None
    assert PointsSpec(3).decide(rows) is None
