"""What the numbers of a mask mean: classes, what is not to count, and which way is up."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import nn

from onecycle.core.errors import ImageError, LabelError, OnecycleWarning, SizeError
from onecycle.data.task import Task
from onecycle.interpret.classification import SegmentationInterpretation
from onecycle.learn.exporting import cost
from onecycle.learn.learner import Learner
from onecycle.learn.losses import DiceLoss
from onecycle.learn.metrics import foreground_acc, mean_iou
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.vision import augment
from onecycle.vision.checks import IGNORED
from onecycle.vision.image import ImageSegment, open_mask
from onecycle.vision.lists import SegmentationItemList
from onecycle.vision.mask_numbers import settle_255
from onecycle.vision.targets import Mask
from onecycle.vision.transform import flatten
from onecycle.vision.warp import draw_plan


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ONECYCLE_CACHE", str(tmp_path_factory.mktemp("cache")))


def built(root, masks, label_cls=None, classes=("ground", "roof"), image=None, **options):
    """Data of as many images as masks, the first of which validates."""
    for name in ("i", "l"):
        (root / name).mkdir(exist_ok=True)
    image = np.full((6, 8, 3), 30, np.uint8) if image is None else image
    for number, mask in enumerate(masks):
        Pillow.fromarray(image).save(root / f"i/{number}.png", **options)
        Pillow.fromarray(mask).save(root / f"l/{number}.png")
    return (
        SegmentationItemList.from_folder(root / "i")
        .split_by_idx([0])
        .label_from_func(
            lambda file: root / "l" / file.name, label_cls=label_cls, classes=list(classes)
        )
        .transform(None)
        .databunch(bs=1, num_workers=0, device="cpu")
    )


def mask(rows):
    """6 x 8, from the numbers of its first pixels; the rest is 0."""
    found = np.zeros((6, 8), np.uint8)
    found.flat[: len(rows)] = rows
    return found


# --- a number that is not to count


@pytest.mark.parametrize("void", [255, 200])
def test_a_number_that_is_no_class_is_left_out(void, tmp_path):
    data = built(tmp_path, [mask([1, void, void]), mask([0, 1, void])], Mask(void=void))
    (label,) = data.valid_ds[0][1].data
    assert label[0, :4].tolist() == [1, IGNORED, IGNORED, 0]
    assert data.task.target.to_json()["void"] is None  # no answer of the model


@pytest.mark.parametrize("stored", [np.uint8, np.int64, np.int32])
def test_arrays_and_tensors_may_hold_minus_one_for_it(stored):
    numbers = np.array([[0, 1], [1, 0]]).astype(stored)
    void = Mask(classes=("a", "b"), void=-1)
    if np.dtype(stored).kind == "i":
        numbers[0, 0] = -1
        wanted = [[IGNORED, 1], [1, 0]]
    else:
        wanted = numbers.tolist()
    for label in (
        numbers,
        torch.from_numpy(numbers),
        ImageSegment(torch.from_numpy(numbers)[None]),
    ):
        assert void.encode(label)[0].tolist() == wanted


def test_a_class_may_still_be_what_no_loss_counts(tmp_path):
    for void in (1, "roof"):
        data = built(tmp_path, [mask([1, 1, 0])] * 2, Mask(void=void))
        assert data.valid_ds[0][1].data[0, 0, :4].tolist() == [1, 1, 0, 0]
        assert data.task.target.to_json()["void"] == 1


def test_with_div_another_number_may_be_left_out(tmp_path):
    data = built(tmp_path, [mask([255, 128, 0])] * 2, Mask(div=True, void=128))
    assert data.valid_ds[0][1].data[0, 0, :3].tolist() == [1, IGNORED, 0]
    with pytest.raises(LabelError, match="255 is a class: void is another"):
        built(tmp_path, [mask([255, 0])] * 2, Mask(div=True, void=255))


class Table(nn.Module):
    """Logits that are the first pixels of the image, so that a test can write them down."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.as_tensor(logits, dtype=torch.float32))

    def forward(self, x):
        return self.logits + 0 * x[:, :1]


def by_hand(logits, y, left_out):
    """Cross-entropy of the pixels that count: their sum and number."""
    shifted = logits - logits.max(0)
    log_p = shifted - np.log(np.exp(shifted).sum(0))
    rows, cols = np.nonzero(~np.isin(y, left_out))
    return -log_p[y[rows, cols], rows, cols].sum(), len(rows)


@pytest.mark.parametrize(("void", "left_out"), [(255, [IGNORED]), (2, [2]), (None, [])])
def test_void_pixels_count_in_no_loss_of_a_batch_or_of_an_item(void, left_out):
    """The items hold 1 and 5 of them: a batch's loss is a mean of pixels, not of items."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, 3, 2, 4))
    stored = rng.integers(0, 2, (2, 2, 4))
    stored[0, 0, 1] = 2 if void is None else void
    stored[1, 0, 1], stored[1, 1, :] = (2 if void is None else void), (2 if void is None else void)
    target = Mask(classes=("a", "b", "c"), void=void)
    y = np.stack([target.encode(s.astype(np.uint8)) for s in stored])
    sums, counts = zip(
        *(by_hand(o, s[0], left_out) for o, s in zip(logits, y, strict=True)), strict=True
    )
    assert counts == ((8, 8) if void is None else (7, 3))
    outputs, labels = torch.from_numpy(logits), torch.from_numpy(y)
    assert float(target.loss(outputs, labels)) == pytest.approx(sum(sums) / sum(counts))
    each = target.loss(outputs, labels, "none")
    assert each.tolist() == pytest.approx([s / n for s, n in zip(sums, counts, strict=True)])


def test_an_item_of_nothing_but_void_has_no_loss():
    target = Mask(classes=("a", "b"), void=255)
    y = torch.from_numpy(target.encode(np.full((2, 2), 255, np.uint8)))[None]
    assert target.loss(torch.randn(1, 2, 2, 2), y, "none").tolist() == [0]
    assert float(target.loss(torch.randn(1, 2, 2, 2), y)) == 0


def test_void_counts_in_no_metric_loss_or_interpretation(tmp_path):
    """Of 48 pixels 3 are void, 2 of the other 45 are wrong."""
    stored = mask([1, 0, 255, 255, 255])
    data = built(tmp_path, [stored] * 2, Mask(void=255))
    logits = np.zeros((2, 6, 8))
    logits[0] = 4
    logits[1, 0, 1] = 9  # a 1 where 0 is right; the 1 is missed
    metrics = [foreground_acc, mean_iou]
    learn = Learner(data, Table(logits), metrics=metrics, silent=True)
    loss, accuracy, iou = learn.validate()
    assert accuracy == pytest.approx(43 / 45)
    assert iou == pytest.approx((43 / 45 + 0) / 2)
    wanted, count = by_hand(logits, np.where(stored == 255, IGNORED, stored.astype(int)), [IGNORED])
    assert loss == pytest.approx(wanted / count, rel=1e-5)
    found = SegmentationInterpretation.from_learner(learn)
    assert found.matrix.tolist() == [[43, 1], [1, 0]]

    def same(x):
        return torch.as_tensor(logits)[None].softmax(1)

    assert cost(learn, same, same).before == pytest.approx(43 / 45)
    y = data.valid_ds.task.target.encode(stored)
    y = torch.from_numpy(y)[None]
    alone = DiceLoss()(torch.as_tensor(logits)[None], y.clamp(min=-1))
    assert float(DiceLoss()(torch.as_tensor(logits)[None], y)) == pytest.approx(float(alone))


def test_what_lies_outside_the_image_is_void_after_a_turn():
    target = Mask(classes=("a", "b"), void=255)
    plan = draw_plan(
        flatten([augment.rotate(45.0)]), ImageSpec((9, 9), "crop", "zeros"), (9, 9),
        np.random.default_rng(0),
    )  # fmt: skip
    moved = target.move(np.ones((1, 9, 9), np.int64), plan)[0]
    assert moved[0, 0] == moved[8, 8] == IGNORED
    assert moved[4, 4] == 1
    named = Mask(classes=("a", "b", "c"), void=2).move(np.ones((1, 9, 9), np.int64), plan)[0]
    assert named[0, 0] == 2


# --- what is said about numbers that are no class


def settled(root, masks, **options):
    """Data, what was said about 255, and the first mask of each side as it is learned from."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = built(root, masks, **options)
    said = [w for w in said if "Mask(void=255)" in str(w.message)]
    sides = [side[0][1].data[0].flatten()[:4].tolist() for side in (data.valid_ds, data.train_ds)]
    return data, said, sides


def test_255_beside_classes_counts_nowhere_and_that_is_said_once_with_counts(tmp_path):
    data, (said,), sides = settled(tmp_path, [mask([0, 1, 1]), mask([1, 255, 255, 255])])
    assert "255 (3 pixels in 1 of 2 masks) is none of the 2 classes" in str(said.message)
    assert "label_cls=Mask(void=255) says so without" in str(said.message)
    assert said.filename == __file__
    assert sides == [[0, 1, 1, 0], [1, IGNORED, IGNORED, IGNORED]]
    assert data.task.target == Mask(classes=("ground", "roof"), void=255)
    assert data.task.target.to_json()["void"] is None


def test_0_and_255_are_two_classes_where_two_are_named_and_that_is_said(tmp_path):
    """Masks without the second class, or with nothing else, do not change it."""
    masks = [mask([255, 0, 255]), mask([0]), np.full((6, 8), 255, np.uint8)]
    _, (said,), sides = settled(tmp_path, masks)
    assert "nothing but 0 and 255" in str(said.message)
    assert "255 (50 pixels in 2 of 3 masks) is taken for 'roof'" in str(said.message)
    assert "Mask(div=True) says so" in str(said.message)
    assert sides == [[1, 0, 1, 0], [0, 0, 0, 0]]


def test_0_and_255_are_no_two_classes_where_three_are_named(tmp_path):
    _, (said,), sides = settled(tmp_path, [mask([255, 0]), mask([0])], classes="abc")
    assert "none of the 3 classes" in str(said.message)
    assert sides[0] == [IGNORED, 0, 0, 0]


def test_all_masks_are_judged_together(tmp_path):
    """One of them holds 0 and 255 alone, the other one a 1."""
    _, (said,), sides = settled(tmp_path, [mask([255]), mask([1])])
    assert "do not count" in str(said.message)
    assert sides == [[IGNORED, 0, 0, 0], [1, 0, 0, 0]]


def test_arrays_are_judged_as_files_are():
    arrays = [mask([255, 1]), torch.from_numpy(mask([255, 0])).long()]
    with pytest.warns(OnecycleWarning, match=r"255 \(2 pixels in 2 of 2 masks\)"):
        assert settle_255(arrays, Mask(classes=("a", "b"))).void == 255


def test_what_is_said_of_255_is_followed_without_a_word(tmp_path):
    masks = [mask([255, 0, 255]), mask([0])]
    for number, own in enumerate([Mask(div=True), Mask(void=255)]):
        (tmp_path / str(number)).mkdir()
        _, said, sides = settled(tmp_path / str(number), masks, label_cls=own)
        assert not said
        assert sides[0][:2] == ([1, 0] if own.div else [IGNORED, 0])


def test_255_may_be_a_class_and_beside_strange_numbers_nothing_is_guessed(tmp_path):
    (tmp_path / "many").mkdir()
    names = [str(i) for i in range(256)]
    _, said, sides = settled(tmp_path / "many", [mask([255])] * 2, classes=names)
    assert sides[0] == [255, 0, 0, 0]
    assert not said
    with pytest.raises(LabelError, match=r"holds 7 \(1 pixels\), 255 \(1 pixels\)"):
        built(tmp_path, [mask([255, 7]), mask([1])])


def test_the_report_takes_255_for_what_training_takes_it(tmp_path):
    data, _, _ = settled(tmp_path, [mask([0, 1]), mask([1, 255])])
    labelled = data.src.with_task(Task(data.task.input, Mask(classes=("ground", "roof"))))
    assert "mask" not in labelled.check().problems


def test_masks_that_count_from_1_are_recognised(tmp_path):
    whole = np.ones((6, 8), np.uint8)
    whole[0] = 2
    with pytest.raises(LabelError, match=r"holds 2 .*count from 1"):
        built(tmp_path, [whole, whole])


def test_following_wrong_advice_is_refused(tmp_path):
    """`// 255` would turn every class to 0 and the border to class 1."""
    with pytest.raises(LabelError, match=r"0\.png holds 1 \(3 pixels\): div=True is for"):
        built(tmp_path, [mask([1, 1, 1, 255])] * 2, Mask(div=True))
    Pillow.fromarray(mask([254, 255])).save(tmp_path / "m.png")
    with pytest.raises(LabelError, match=r"m\.png holds 254 \(1 pixels\)"):
        open_mask(tmp_path / "m.png", div=True)
    with pytest.raises(LabelError, match="a mask holds 1"):
        Mask(classes=("a", "b"), div=True).encode(np.array([[0, 1]]))


def test_two_classes_of_one_colour_are_refused():
    for table in (((0, 0, 9), (1, 2, 3), (0, 0, 9)), [[0, 0, 9], [0, 0, 9]]):
        with pytest.raises(LabelError, match="two classes have one colour"):
            Mask(classes=("a", "b", "c"), colours=table).fit([])


def test_more_classes_than_can_be_warped_are_refused():
    with pytest.raises(LabelError, match="40000 classes"):
        Mask(classes=tuple(map(str, range(40_000)))).fit([])


# --- which way is up


def exif(turn):
    found = Pillow.Exif()
    found[274] = turn
    return found


SPOT = np.full((6, 8, 3), 30, np.uint8)
SPOT[1:3, 1:4] = 240


def pair(root, turn_image, turn_mask, file="png", colours=None, image=SPOT):
    """Two pairs of a bright spot and its mask, stored alike, with these EXIF marks."""
    stored = (image[:, :, 0] > 128).astype(np.uint8)
    stored = stored if colours is None else np.array(colours, np.uint8)[stored]
    for name in ("i", "l"):
        (root / name).mkdir(exist_ok=True)
    for number in range(2):
        Pillow.fromarray(image).save(root / f"i/{number}.png", exif=exif(turn_image))
        Pillow.fromarray(stored).save(root / f"l/{number}.{file}", exif=exif(turn_mask))
    src = SegmentationItemList.from_folder(root / "i").split_by_idx([0])
    return src.label_from_func(
        lambda path: root / "l" / f"{path.stem}.{file}",
        label_cls=Mask if colours is None else Mask(colours=colours),
        classes=["ground", "roof"],
    ).transform(None)


def agrees(data):
    item, answer = data.valid_ds[0]
    return bool(((item.pixels[..., 0] > 128) == (answer.data[0] == 1)).all())


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "tif", "colours"])
def test_an_image_and_its_mask_of_any_kind_are_turned_alike(kind, turn, tmp_path):
    colours = ((0, 0, 0), (255, 0, 0)) if kind == "colours" else None
    file = "png" if kind == "colours" else kind
    data = pair(tmp_path, turn, turn, file, colours).databunch(bs=1, num_workers=0)
    assert agrees(data)  # and nothing is said: warnings are errors


@pytest.mark.parametrize(("image", "mask"), [(3, 1), (1, 2), (4, 2)])
def test_marks_that_differ_are_counted_each_time_and_each_file_keeps_its_own(image, mask, tmp_path):
    src = pair(tmp_path, image, mask)
    for _ in range(2):  # a set of which something is to be said is not remembered as good
        with pytest.warns(OnecycleWarning, match="2 of 2 images and their masks carry different"):
            data = src.databunch(bs=1, num_workers=0)
    assert not agrees(data)


def test_a_mark_that_swaps_the_sides_of_one_of_them_is_named(tmp_path):
    with pytest.raises(SizeError, match=r"\(6, 8\).*\(8, 6\): only one of the two carries an EXIF"):
        pair(tmp_path, 6, 1).databunch()


def test_a_mask_that_is_no_file_and_lies_over_a_turned_image_is_said(tmp_path):
    square = SPOT[:, :6]
    src = pair(tmp_path, 3, 1, image=square)
    stored = (square[:, :, 0] > 128).astype(np.uint8)
    labelled = (
        SegmentationItemList.from_folder(tmp_path / "i")
        .split_by_idx([0])
        .label_from_func(lambda _: stored, classes=["a", "b"])
    )
    with pytest.warns(OnecycleWarning, match="has 3, a mask has 1"):
        labelled.transform(None).databunch(bs=1, num_workers=0)
    assert len(src.train) == 1


def test_a_mask_that_cannot_be_read_is_among_the_faults(tmp_path):
    src = pair(tmp_path, 1, 1)
    data = (tmp_path / "l/1.png").read_bytes()
    (tmp_path / "l/1.png").write_bytes(data[:60])
    with pytest.raises(LabelError, match=r"(?s)1 of 2 masks.*1\.png: damaged"):
        src.databunch(bs=1)
    for file in (tmp_path / "l").iterdir():
        file.unlink()
    with pytest.raises(ImageError, match="2 of 2 masks are missing"):
        src.databunch(bs=1)
