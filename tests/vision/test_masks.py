"""Masks from files to trained answers: reading, checks before training, drawing, learning."""

import os
from functools import partial

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import nn

from onecycle.core.errors import ImageError, LabelError, SizeError, UsageError
from onecycle.interpret.classification import SegmentationInterpretation
from onecycle.learn.learner import Learner
from onecycle.learn.losses import CombinedLoss, CrossEntropyFlat, DiceLoss
from onecycle.learn.metrics import foreground_acc, mean_iou
from onecycle.samples import streets_sample
from onecycle.samples.streets import CODES
from onecycle.vision.augment import get_transforms
from onecycle.vision.image import open_mask
from onecycle.vision.input import half_stats
from onecycle.vision.learner import load_cnn, unet_learner
from onecycle.vision.lists import SegmentationItemList
from onecycle.vision.targets import Mask

VOID = CODES.index("Void")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    mpl.use("Agg")
    monkeypatch.setenv("ONECYCLE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    return streets_sample(tmp_path_factory.mktemp("streets") / "s", n=40, size=(60, 80))


def labelled(root, classes=CODES, **options):
    return (
        SegmentationItemList.from_folder(root / "images")
        .split_by_fname_file("../valid.txt")
        .label_from_func(
            lambda file: root / "labels" / f"{file.stem}_P.png", classes=classes, **options
        )
    )


def data(root, size=(36, 48), tfms=None, **options):
    src = labelled(root, **options).transform(tfms, size=size, tfm_y=True)
    return src.databunch(bs=8, num_workers=0).normalize(half_stats)


def pair(folder, mask, size=(6, 8)):
    """A set of one training and one validation image with this mask as a file."""
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for stem in ("a", "b"):
        Pillow.new("RGB", size[::-1]).save(folder / "images" / f"{stem}.png")
        Pillow.fromarray(mask).save(folder / "labels" / f"{stem}_P.png")
    (folder / "valid.txt").write_text("b.png\n")
    return folder


def test_a_mask_of_colours_becomes_rows_of_the_table(tmp_path):
    table = [(0, 0, 0), (128, 64, 128), (70, 70, 70)]
    rows = np.array([[0, 1, 2], [2, 2, 1]])
    file = tmp_path / "m.png"
    Pillow.fromarray(np.array(table, np.uint8)[rows]).save(file)
    assert open_mask(file, colours=table).data[0].tolist() == rows.tolist()
    with pytest.raises(ImageError, match=r"m\.png.*70, 70, 70\) \(3 pixels\)"):
        open_mask(file, colours=table[:2])


def test_zeros_and_255_become_zeros_and_ones(tmp_path):
    root = pair(tmp_path, np.array([[0, 255] * 4] * 6, np.uint8))
    side = labelled(root, ["no", "yes"], label_cls=Mask(div=True)).databunch(bs=1).train_ds
    assert side[0][1].data[0, 0].tolist() == [0, 1] * 4


def test_the_void_class_may_be_given_by_its_name():
    target = Mask(void="Void", classes=CODES).fit([])
    assert target.void == VOID
    with pytest.raises(LabelError, match="'Sea'"):
        Mask(void="Sea", classes=CODES).fit([])
    with pytest.raises(LabelError, match="name the classes"):
        Mask().fit([])


def test_a_number_that_is_no_class_is_named_with_its_file_and_count(tmp_path):
    mask = np.zeros((6, 8), np.uint8)
    mask[0, :3] = 7
    with pytest.raises(LabelError, match=r"a_P\.png holds 7 \(3 pixels\), but.* 0-1"):
        labelled(pair(tmp_path, mask), ["a", "b"]).databunch(bs=1)


def test_a_mask_of_another_size_than_its_image_is_named(tmp_path):
    with pytest.raises(SizeError, match=r"a_P\.png is \(6, 9\).*a\.png is \(6, 8\)"):
        labelled(pair(tmp_path, np.zeros((6, 9), np.uint8)), ["a", "b"]).databunch()


def test_missing_masks_are_counted_and_named(streets, tmp_path):
    src = SegmentationItemList.from_folder(streets / "images").split_by_fname_file("../valid.txt")
    gone = src.label_from_func(lambda f: tmp_path / f.name, classes=CODES)
    with pytest.raises(ImageError, match=r"40 of 40 masks are missing.*street_0000"):
        gone.databunch()


def test_a_set_that_passed_is_not_read_again_until_a_file_changes(tmp_path, monkeypatch):
    root = pair(tmp_path, np.zeros((6, 8), np.uint8))
    make_old(root)
    read = []
    encode = Mask.encode
    monkeypatch.setattr(
        Mask, "encode", lambda self, label: read.append(label) or encode(self, label)
    )
    labelled(root, ["a", "b"]).databunch(bs=1)
    assert len(read) == 2
    labelled(root, ["a", "b"]).databunch(bs=1)
    assert len(read) == 2
    labelled(root, ["a", "b", "c"]).databunch(bs=1)
    assert len(read) == 4
    os.utime(root / "labels" / "a_P.png", (1, 1))
    labelled(root, ["a", "b"]).databunch(bs=1)
    assert sorted(read[4:]) == [root / "labels" / "a_P.png", root / "labels" / "b_P.png"]


def make_old(root):
    for file in root.glob("*/*"):
        os.utime(file, (1e9, 1e9))


def test_a_mask_that_is_replaced_is_read_though_its_size_and_time_are_the_same(tmp_path):
    root = pair(tmp_path, np.zeros((6, 8), np.uint8))
    file = root / "labels" / "a_P.png"
    Pillow.fromarray(np.zeros((6, 8), np.uint8)).save(file, "BMP")
    make_old(root)
    size = file.stat().st_size
    labelled(root, ["a", "b"]).databunch(bs=1)
    Pillow.fromarray(np.full((6, 8), 7, np.uint8)).save(file, "BMP")
    make_old(root)
    assert file.stat().st_size == size
    with pytest.raises(LabelError, match=r"holds 7 \(48 pixels\)"):
        labelled(root, ["a", "b"]).databunch(bs=1)


def test_images_and_masks_are_drawn_with_a_legend(streets):
    bunch = data(streets)
    figure = bunch.show_batch(2)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(CODES)
    masks = [ax.images[1] for ax in figure.axes]
    assert {(m.norm.vmin, m.norm.vmax) for m in masks} == {(0, len(CODES) - 1)}


def test_a_class_has_one_colour_in_every_mask():
    low, high = (open_mask(np.full((2, 2), v, np.uint8)) for v in (0, 3))
    drawn = [m.show(n_classes=4).images[0] for m in (low, high)]
    assert drawn[0].to_rgba([0, 3]).tolist() == drawn[1].to_rgba([0, 3]).tolist()


def test_a_unet_learns_streets_far_better_than_the_commonest_class(streets):
    torch.manual_seed(0)
    metrics = [partial(foreground_acc, void_code=VOID), partial(mean_iou, void=VOID)]
    learn = unet_learner(data(streets), "small", metrics=metrics, bottle=True, silent=True)
    learn.fit_one_cycle(1, 1e-2).unfreeze().fit_one_cycle(12, slice(1e-3, 4e-3))
    _, accuracy, iou = learn.validate()
    masks = torch.from_numpy(learn.data.valid_ds.y.items)
    counts = torch.bincount(masks.flatten(), minlength=len(CODES))[:VOID]
    commonest = float(counts.max() / counts.sum())
    assert accuracy > commonest + 0.1
    assert iou > 2 * commonest / VOID
    looks_right(learn)
    survives_a_file(learn)
    goes_on_at_full_size(learn, streets)


def looks_right(learn):
    """Interpretation, images and predictions of the trained learner agree."""
    found = SegmentationInterpretation.from_learner(learn)
    frame = found.per_class()
    assert list(frame.index) == list(CODES)
    assert frame["share"].sum() == pytest.approx(1)
    losses, positions = found.top_losses(3)
    assert losses.tolist() == sorted(found.losses.tolist(), reverse=True)[:3]
    target = learn.task.target
    x, y = next(iter(learn.data.valid_dl))
    with torch.no_grad():
        outputs = learn.model.eval()(x)
    assert target.loss(outputs, y, "none").tolist() == pytest.approx(
        found.losses[: len(y)].tolist(), rel=1e-4
    )
    figure = found.plot_top_losses(2)
    assert len(figure.axes) == 4
    assert f"loss {float(losses[0]):.2f}" in figure.axes[1].get_title()
    assert len(learn.show_results(rows=3).axes) == 6
    _, mask, probabilities = learn.predict(learn.data.valid_ds.items[int(positions[0])])
    assert mask.shape == (1, 36, 48)
    assert probabilities.shape == (len(CODES), 36, 48)
    assert torch.equal(probabilities.argmax(0), mask[0])
    with pytest.raises(UsageError, match="no threshold"):
        learn.with_threshold(0.3)


def survives_a_file(learn):
    """The same answer from the saved file alone."""
    path = learn.save("unet", return_path=True)
    item = learn.data.valid_ds.items[0]
    assert torch.equal(load_cnn(path).predict(item)[2], learn.predict(item)[2])


def goes_on_at_full_size(learn, streets):
    """Twice the size with the same weights is at least nearly as good at once."""
    before = learn.validate()[1]
    learn.data = data(streets, size=(60, 80), tfms=get_transforms())
    assert learn.validate()[1] > before - 0.12
    assert next(iter(learn.data.train_dl))[1].shape == (8, 1, 60, 80)


def test_any_network_that_maps_images_to_maps_trains_with_any_pixel_loss(streets):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Conv2d(16, 8, 5, padding=2),
    )
    loss = CombinedLoss((CrossEntropyFlat(ignore_index=VOID), 1.0), (DiceLoss(VOID), 0.5))
    learn = Learner(data(streets), net, loss_func=loss, metrics=foreground_acc_void, silent=True)
    before = learn.validate()
    learn.fit_one_cycle(3, 1e-2)
    after = learn.validate()
    assert after[0] < 0.8 * before[0]
    assert after[1] > before[1] + 0.1
    x, y = next(iter(learn.data.valid_dl))
    with torch.no_grad():
        alone = [float(loss(net.eval()(x[i : i + 1]), y[i : i + 1])) for i in range(len(y))]
    ranked = SegmentationInterpretation.from_learner(learn).losses[: len(y)]
    assert ranked.tolist() == pytest.approx(alone, rel=1e-4)


foreground_acc_void = partial(foreground_acc, void_code=VOID)


def test_a_unet_of_segmentation_models_pytorch_trains(streets):
    smp = pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(0)
    net = smp.Unet("resnet18", encoder_weights=None, classes=len(CODES))
    bunch = data(streets, size=(64, 64))
    learn = Learner(bunch, net, metrics=foreground_acc_void, silent=True)
    before = learn.validate()[1]
    learn.fit_one_cycle(3, 3e-3)
    assert learn.validate()[1] > before + 0.1
