"""Points and boxes as users have them: which unit, which order, and whether they lie inside."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from onecycle.core.errors import LabelError, OnecycleWarning, UsageError
from onecycle.vision.image import FlowField, ImagePoints
from onecycle.vision.lists import ObjectItemList, PointsItemList
from onecycle.vision.point_labels import located_boxes, located_points
from onecycle.vision.targets import Points

SIZE = (40, 80)  # h, w


@pytest.fixture
def images(tmp_path):
    for i in range(4):
        Pillow.fromarray(np.full((*SIZE, 3), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    return tmp_path


def labelled(root, labels, target=None, valid=(0,)):
    """One label for each of the four images; the first validates."""
    split = PointsItemList.from_folder(root).split_by_idx(list(valid))
    return split.label_from_func(lambda file: labels[int(file.stem)], label_cls=target)


def places(src):
    """All encoded labels, in the order of the files."""
    return np.concatenate([src.valid.y.items, src.train.y.items])


PIXELS = [[[19.5, 39.5], [0.0, 79.0]], [[9.5, 59.5], [39.0, 0.0]]] * 2
SHARES = [[[0, 0], [-0.975, 0.9875]], [[-0.5, 0.5], [0.975, -0.9875]]] * 2
KINDS = {
    "tensor": lambda v: torch.tensor(v),
    "array": lambda v: np.array(v),
    "whole array": lambda v: np.array(v, np.float32),
    "list": lambda v: v,
    "tuple": lambda v: tuple(map(tuple, v)),
    "flat list": lambda v: [n for pair in v for n in pair],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unit", ["pixels", "shares"])
def test_the_unit_that_is_given_holds_for_whatever_holds_the_points(kind, unit, images):
    given = [KINDS[kind](v) for v in (PIXELS if unit == "pixels" else SHARES)]
    src = labelled(images, given, Points(unit=unit))  # and nothing is said
    np.testing.assert_allclose(places(src), np.array(SHARES), atol=1e-6)
    assert src.train.task.target.count == 2


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_unit_values_beyond_1_are_pixels_for_all_kinds_alike(kind, images):
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        src = labelled(images, [KINDS[kind](v) for v in PIXELS])
    np.testing.assert_allclose(places(src), np.array(SHARES), atol=1e-6)
    messages = [str(w.message) for w in given]
    if kind == "tensor":  # as in the course: no surprise
        assert messages == []
    else:
        assert len(messages) == 1
        assert "go up to 79 and were read as pixels, (y, x)" in messages[0]
        assert 'Points(unit="pixels") says so without this warning' in messages[0]


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_unit_values_up_to_1_are_shares_for_all_kinds_alike(kind, images):
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        src = labelled(images, [KINDS[kind](v) for v in SHARES])
    np.testing.assert_allclose(places(src), np.array(SHARES), atol=1e-6)
    assert len(given) == (kind == "tensor")
    if given:
        assert "read as shares of the image" in str(given[0].message)


def test_the_unit_is_one_for_both_sides(images):
    """The one image that validates has a point near the corner; alone it would be a share."""
    near = [[[0.5, 1.0]], [[9.5, 59.5]], [[19.5, 39.5]], [[30.0, 20.0]]]
    with pytest.warns(OnecycleWarning, match="read as pixels"):
        src = labelled(images, [np.array(v) for v in near])
    assert places(src)[0, 0].tolist() == pytest.approx([-0.95, -0.9625], abs=1e-6)


def test_what_is_neither_shares_nor_pixels_asks_for_the_unit(images):
    odd = [np.array([[0.3, 1.2]])] * 4
    with pytest.raises(LabelError, match=r'up to 1\.2.*Points\(unit="shares"\) or "pixels"'):
        labelled(images, odd)
    with pytest.warns(OnecycleWarning, match="4 points of 4 images lie outside"):
        src = labelled(images, odd, Points(unit="shares"))
    assert places(src)[0, 0].tolist() == pytest.approx([0.3, 1.2], abs=1e-6)
    labelled(images, odd, Points(unit="pixels"))
    with pytest.raises(UsageError, match='"pixels" or "shares", not \'px\''):
        Points(unit="px")


def test_points_outside_their_image_are_counted_and_a_swapped_order_is_guessed(images):
    swapped = [torch.tensor([[70.0, 10.0], [5.0, 39.0]])] * 2 + [
        torch.tensor([[30.0, 30.0]] * 2)
    ] * 2
    with pytest.warns(OnecycleWarning, match=r"2 points of 2 images .*1\.png.*as \(x, y\)"):
        labelled(images, swapped)
    far = [torch.tensor([[70.0, 90.0]])] + [torch.tensor([[30.0, 30.0]])] * 3
    with pytest.warns(OnecycleWarning, match="1 points of 1 images") as given:
        labelled(images, far)
    assert "(x, y)" not in str(given[0].message)


def test_the_edges_of_an_image_are_inside_it(images):
    corners = torch.tensor([[-0.5, -0.5], [39.5, 79.5]])
    labelled(images, [corners] * 4)  # warnings are errors


def test_image_points_are_what_they_say_and_a_swapped_size_is_refused(images):
    there = ImagePoints(FlowField(SIZE, torch.tensor([[19.5, 39.5]])))
    assert places(labelled(images, [there] * 4))[0, 0].tolist() == pytest.approx([0, 0], abs=1e-6)
    wrong = ImagePoints(FlowField(SIZE[::-1], torch.tensor([[19.5, 39.5]])))
    with pytest.raises(LabelError, match=r"image of \(80, 40\), but it is \(40, 80\)"):
        labelled(images, [there, there, wrong, there])
    other = ImagePoints(FlowField((400, 800), torch.tensor([[199.5, 399.5]])))  # drawn larger
    assert places(labelled(images, [other] * 4))[0, 0].tolist() == pytest.approx([0, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("label", "reported"),
    [
        (["a", "b"], "is no list of points"),
        ([1.0, 2.0, 3.0], "is no list of points"),
        (np.zeros((2, 3)), "is no list of points"),
        (np.zeros((2, 2, 2)), "is no list of points"),
        ([[np.nan, 2.0]], "not finite"),
        ([[1.0, 2.0], [3.0, 4.0]], "has 2 points, expected 1"),
    ],
)
def test_what_is_no_list_of_points_is_named(label, reported, images):
    good = torch.tensor([[5.0, 6.0]])
    with pytest.raises(LabelError, match=reported):
        labelled(images, [good, good, good, label], Points(unit="pixels"))
    with pytest.raises(LabelError):
        labelled(images, [good, good, good, None], Points(unit="pixels"))
    if reported == "is no list of points":
        with pytest.raises(LabelError, match="no list of points"):
            Points().encode(label)


def test_shares_that_were_said_to_be_pixels_are_noticed(images):
    few = torch.tensor([[0.4, 0.9], [0.2, 0.0]])
    for label, target in (
        (ImagePoints(FlowField(SIZE, few)), None),
        (few, Points(unit="pixels")),
    ):
        with pytest.warns(OnecycleWarning, match="all points of 4 images lie within one pixel"):
            labelled(images, [label] * 4, target)
    labelled(images, [few, few, few, few + 3], Points(unit="pixels"))  # warnings are errors


@pytest.mark.parametrize("pairs", [((0, 2),), ((-1, 0),), ((0, 1), (1, 0)), ((1, 1),)])
def test_pairs_of_points_that_are_not_there_are_refused(pairs, images):
    labels = [torch.tensor([[5.0, 6.0], [9.0, 3.0]])] * 4
    with pytest.raises(LabelError, match="flip_pairs are pairs of indexes of 2 points"):
        labelled(images, labels, Points(flip_pairs=pairs))
    assert labelled(images, labels, Points(flip_pairs=((0, 1),))).train.task.target.count == 2


def test_the_upright_size_counts(tmp_path):
    exif = Pillow.Exif()
    exif[274] = 6
    for i in range(4):
        Pillow.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / f"{i}.jpg", exif=exif)
    src = labelled(tmp_path, [torch.tensor([[79.0, 39.0]])] * 4)  # of 80 x 40
    assert places(src)[0, 0].tolist() == pytest.approx([0.9875, 0.975], abs=1e-6)


def test_images_in_memory_have_points_in_pixels_too():
    pixels = [np.zeros((*SIZE, 3), np.uint8) for _ in range(3)]
    split = PointsItemList._make(pixels, ".").split_by_idx([0])
    src = split.label_from_func(lambda _: torch.tensor([[19.5, 39.5]]))
    assert src.train.y.items[0, 0].tolist() == pytest.approx([0, 0], abs=1e-6)


# --- boxes

pytestmark = pytest.mark.filterwarnings("ignore:there is only one class")


def boxed(root, boxes):
    split = ObjectItemList.from_folder(root).split_by_idx([0])
    return split.label_from_func(lambda file: [boxes, ["x"] * len(boxes)])


def test_boxes_that_look_like_fractions_are_refused(images):
    with pytest.raises(LabelError, match=r"no edge of a box is beyond 0\.9.*multiply fractions"):
        boxed(images, [[0.1, 0.2, 0.5, 0.9]])


def test_boxes_beyond_their_image_are_counted(images):
    src = boxed(images, [[0, 0, 40, 80]])
    assert src.train.y.items[0, 0].tolist() == [-1, -1, 1, 1, 0]
    with pytest.warns(OnecycleWarning, match="4 boxes reach beyond their image"):
        boxed(images, [[0, 10, 60, 30], [1, 1, 5, 5]])  # (x, y) order: 60 of 40 rows


def test_of_images_in_memory_as_well():
    arrays = [np.full((20, 40, 3), i, np.uint8) for i in range(4)]
    inside, beyond = [[0, 0, 9, 9]], [[0, 10, 60, 30], [1, 1, 50, 5]]
    boxes = [(np.array(b, float), ["x"] * len(b)) for b in (inside, inside, beyond, inside)]
    with pytest.warns(OnecycleWarning, match="2 boxes reach .* of 'item 2'. Are they"):
        located_boxes(arrays, boxes)
    points = [torch.tensor([[3.0, 5.0]])] * 2 + [torch.tensor([[3.0, 50.0]])] * 2
    with pytest.warns(OnecycleWarning, match=r"2 points of 2 images .*\(of 'item 2', 'item 3'\)"):
        located_points(arrays, points, "pixels")
