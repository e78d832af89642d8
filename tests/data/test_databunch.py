"""A DataBunch is a value: new sizes, statistics and thresholds make new ones."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from PIL import Image as PillowImage

from onecycle.core.errors import EmptyDataError, ImageError, SizeError, UsageError
from onecycle.core.machine import defaults
from onecycle.data.arrays import from_arrays
from onecycle.data.databunch import DatasetType
from onecycle.vision.augment import get_transforms
from onecycle.vision.input import imagenet_stats
from onecycle.vision.lists import ImageList


@pytest.fixture
def src(images):
    return ImageList.from_folder(images).split_by_folder().label_from_folder()


@pytest.fixture
def data(src):
    return src.transform(get_transforms(), size=24).databunch(bs=4, num_workers=0, device="cpu")


def shapes(data):
    return {tuple(x.shape[2:]) for dl in (data.train_dl, data.valid_dl) for x, _ in dl}


def test_an_older_databunch_keeps_its_size_when_the_source_is_transformed_again(src):
    small = src.transform(get_transforms(), size=16).databunch(bs=4, num_workers=0)
    large = src.transform(get_transforms(), size=32).databunch(bs=4, num_workers=0)
    assert shapes(small) == {(16, 16)}
    assert shapes(large) == {(32, 32)}
    assert src.train[0][0].size == (40, 48)  # the source itself has no transforms at all


def test_the_same_source_can_be_halved_as_the_course_does(src):
    whole = np.array([40, 48])
    data = src.transform(get_transforms(), size=whole // 2, tfm_y=True).databunch(bs=4)
    assert shapes(data) == {(20, 24)}
    assert shapes(src.transform(None, size=whole // 2).databunch(bs=4)) == {(20, 24)}


def test_a_databunch_answers_for_its_sides(data):
    assert (data.classes, data.c, data.batch_size) == (["blue", "red"], 2, 4)
    assert (len(data.train_ds), len(data.valid_ds), data.test_ds) == (16, 8, None)
    assert (len(data.train_dl), len(data.valid_dl), data.test_dl) == (4, 2, None)
    assert data.device == torch.device("cpu")
    image, answer = data.valid_ds[5]
    assert (image.shape, str(answer), answer.obj, answer.data) == ((3, 24, 24), "red", "red", 1)
    assert data.valid_ds.items[5].parent.name == "red"
    assert "16 train, 8 valid, 0 test, ImageInput -> Category" in repr(data)
    with pytest.raises(IndexError, match="item 16 of 16"):
        data.train_ds[16]
    assert len(list(data.valid_ds)) == 8


def test_the_training_side_is_transformed_afresh_on_every_access(data):
    first, second = data.train_ds[0][0].data, data.train_ds[0][0].data
    assert not torch.equal(first, second)
    assert torch.equal(data.valid_ds[0][0].data, data.valid_ds[0][0].data)


@pytest.mark.parametrize(
    ("count", "size"),
    [(5, 5), (8, 8), (159, 8), (160, 16), (319, 16), (320, 32), (639, 32), (640, 64), (9999, 64)],
)
def test_a_small_set_has_small_batches_and_a_line_says_so(count, size, monkeypatch, capsys):
    monkeypatch.setattr(defaults, "progress", True)
    x = np.zeros((count, 2), np.float32)
    found = from_arrays(x, [0, 1] * (count // 2) + [0] * (count % 2), x[:4], [0, 1, 0, 1])
    assert found.batch_size == size
    assert found.valid_dl.batch_size == 64
    said = f"bs={size}, so that {count} training items make {count // size} steps"
    assert (said in capsys.readouterr().out) == (size < 64)


def test_a_batch_size_that_is_given_is_taken(src):
    with pytest.raises(UsageError, match="bs=64 is larger"):
        src.transform(None, size=8).databunch(bs=64)
    assert src.transform(None, size=8).databunch(bs=8, val_bs=3).valid_dl.batch_size == 3
    assert src.transform(None, size=8).databunch(bs=8).valid_dl.batch_size == 8


def test_the_default_device_can_be_assigned_before(src, monkeypatch):
    monkeypatch.setattr(defaults, "device", torch.device("cpu"))
    assert src.transform(None, size=8).databunch(bs=8).device == torch.device("cpu")


def test_normalize_gives_a_new_databunch_with_the_statistics_taken_out(data):
    normal = data.normalize(imagenet_stats)
    x = data.one_batch(DatasetType.Valid)[0]
    mean, std = (torch.tensor(v)[:, None, None] for v in imagenet_stats)
    wanted = (x - mean) / std
    torch.testing.assert_close(normal.one_batch(DatasetType.Valid)[0], wanted, atol=1e-5, rtol=0)
    assert torch.equal(data.one_batch(DatasetType.Valid)[0], x)
    back = normal.task.input.as_item(normal.one_batch(DatasetType.Valid)[0][2])
    torch.testing.assert_close(back.data, x[2], atol=1e-5, rtol=0)


def test_normalize_without_statistics_measures_one_batch(data):
    x = data.one_batch()[0]
    spec = data.normalize().task.input
    assert spec.mean == pytest.approx([float(x[:, i].mean()) for i in range(3)], abs=1e-4)
    assert spec.std == pytest.approx([float(x[:, i].std()) for i in range(3)], abs=1e-4)


def test_normalizing_twice_is_an_error(data):
    with pytest.raises(UsageError, match="normalised already"):
        data.normalize(imagenet_stats).normalize(imagenet_stats)


@pytest.mark.parametrize("stats", [([0.5], [0.5]), ([0.5] * 3, [1, 0, 1])])
def test_statistics_are_for_three_channels_and_above_zero(data, stats):
    with pytest.raises(ImageError, match="of 3 channels, std above 0"):
        data.normalize(stats)


def test_one_batch_leaves_the_order_of_training_alone(data):
    wanted = [y.tolist() for _, y in data.train_dl]
    again = data.with_task(data.task)
    peeked = again.one_batch()
    assert peeked[1].tolist() == again.one_batch()[1].tolist() == wanted[0]
    assert [y.tolist() for _, y in again.train_dl] == wanted


def test_a_threshold_is_for_classes_and_makes_a_new_databunch(images, data):
    split = ImageList.from_folder(images).split_by_folder()
    labelled = split.label_from_func(lambda path: [path.parent.name, path.suffix])
    several = labelled.transform(None, size=8).databunch(bs=4)
    assert several.classes == [".jpg", ".png", "blue", "red"]
    assert several.with_threshold(0.2).task.target.thresh == 0.2
    assert several.task.target.thresh == 0.5
    assert data.with_threshold(0.7).task.target.thresh == 0.7
    assert data.task.target.thresh is None
    sized = split.label_from_func(lambda path: float(path.stat().st_size))
    with pytest.raises(UsageError, match="decides by no threshold"):
        sized.transform(None, size=8).databunch(bs=4).with_threshold(0.2)


def test_without_validation_there_is_no_loader_for_it(images):
    src = ImageList.from_folder(images / "train").split_none().label_from_folder()
    data = src.transform(None, size=8).databunch(bs=4)
    assert data.valid_dl is None
    with pytest.raises(UsageError, match="there is no valid set"):
        data.dl(DatasetType.Valid)


def test_a_test_set_has_no_labels_and_the_validation_preprocessing(src, images):
    for labelled in (
        src.add_test(ImageList.from_folder(images / "valid")),
        src.add_test(sorted((images / "valid").rglob("*.*g"))),
        src.add_test_folder("valid"),
    ):
        assert "8 test" in repr(labelled)
        data = labelled.transform(get_transforms(), size=24).databunch(bs=4, num_workers=0)
        assert len(data.test_ds) == 8
        x, y = data.one_batch(DatasetType.Test)
        assert torch.equal(x, data.one_batch(DatasetType.Valid)[0])
        assert y.tolist() == [0, 0, 0, 0]
        assert str(data.test_ds[0][1]) == ""
    assert src.test is None
    with pytest.raises(EmptyDataError, match="test set has no items"):
        src.add_test([])
    with pytest.raises(UsageError, match="there is no test set: add one with add_test"):
        src.transform(None, size=8).databunch(bs=4).dl(DatasetType.Test)


def test_the_training_side_in_its_order_without_augmentation(src, data):
    """As the same files are read on the side that is never augmented, and not as in training."""
    files = [item for item, _ in zip(src.train.items, src.train.labels, strict=True)]
    held = src.train.x.split_by_list(src.train.x, src.train.x).label_from_folder()
    plain = held.transform(None, size=24).databunch(
        bs=4, num_workers=0, device="cpu", no_check=True
    )
    wanted = torch.cat([x for x, _ in plain.valid_dl])
    found = list(data.in_order(DatasetType.Train))
    assert len(wanted) == len(files) == 16
    assert torch.equal(torch.cat([x for x, _ in found]), wanted)
    assert torch.cat([y for _, y in found]).tolist() == [0] * 8 + [1] * 8
    order = [files.index(sample.source) for batch in data.train_dl.samples() for sample in batch]
    augmented = torch.cat([x for x, _ in data.train_dl])
    assert order != list(range(16))
    assert not any(torch.equal(a, b) for a in augmented for b in wanted)


@pytest.mark.parametrize("ds_type", [DatasetType.Train, DatasetType.Valid])
def test_show_batch_draws_rows_times_rows_images_with_their_labels(data, ds_type):
    figure = data.show_batch(rows=3, ds_type=ds_type, figsize=(4, 4))
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 4  # no more than the batch has
    assert {ax.get_title() for ax in drawn} <= {"blue", "red"}
    assert len(data.show_batch(1).axes) == 1
    plt.close("all")


def test_transforms_come_as_a_pair(src):
    with pytest.raises(UsageError, match=r"pair \(train, valid\)"):
        src.transform(get_transforms()[0], size=8)


# --- bad files, seen before training


def add(folder, name, data):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


@pytest.fixture
def folder(tmp_path):
    for side in ("train", "valid"):
        for colour in ("red", "blue"):
            (tmp_path / side / colour).mkdir(parents=True)
            for i in range(2):
                image = PillowImage.new("RGB", (12, 10), colour)
                image.putpixel((i, 0), (0, 0, 255 * (side == "train")))  # no two are the same
                image.save(tmp_path / side / colour / f"{i}.png")
    return tmp_path


def bunch(folder, **options):
    src = ImageList.from_folder(folder).split_by_folder().label_from_folder()
    return src.transform(None, **options).databunch(bs=2, num_workers=0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "0 bytes"), (b"hello", "not an image"), (b"<html></html>", "web page")],
)
def test_a_file_that_is_no_image_is_named_before_training(folder, data, reason):
    add(folder, "train/red/bad.jpg", data)
    with pytest.raises(ImageError, match=rf"(?s)1 of 9 files .*train/red/bad\.jpg: .*{reason}"):
        bunch(folder, size=8)


def test_a_truncated_image_is_named_before_training(folder):
    PillowImage.effect_noise((64, 64), 50).convert("RGB").save(folder / "valid/red/cut.jpg")
    whole = (folder / "valid/red/cut.jpg").read_bytes()
    add(folder, "valid/red/cut.jpg", whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"\n  \S*valid/red/cut\.jpg: damaged or cut off"):
        bunch(folder, size=8)


def test_missing_images_are_counted_and_named_before_training(folder):
    items = ImageList.from_paths(
        ["train/red/0.png", "train/red/gone.png", "train/red/1.png"], folder
    )
    labelled = items.split_by_idx([2]).label_from_func(lambda path: path.stem != "0")
    with pytest.raises(ImageError, match=r"1 of 3 images are missing: '.*gone\.png'.*suffix"):
        labelled.transform(None, size=8).databunch(bs=1)
    assert labelled.transform(None, size=8).databunch(bs=1, no_check=True).batch_size == 1


def test_images_of_different_sizes_without_a_size_are_named_before_training(folder):
    PillowImage.new("RGB", (20, 30)).save(folder / "train/red/odd.png")
    with pytest.raises(
        SizeError, match=r"2 different sizes: .*: 10 x 12 \(8 files\)', '.*odd\.png"
    ):
        bunch(folder)
    assert shapes(bunch(folder, size=8)) == {(8, 8)}


def test_images_of_one_size_need_no_size(folder):
    assert shapes(bunch(folder)) == {(10, 12)}


def test_different_sizes_in_one_batch_are_an_error_that_names_them(folder):
    PillowImage.new("RGB", (20, 30)).save(folder / "valid/red/odd.png")
    src = ImageList.from_folder(folder).split_by_folder().label_from_folder()
    data = src.databunch(bs=2, val_bs=5, num_workers=0, no_check=True)
    with pytest.raises(SizeError, match=r"odd\.png: 30 x 20.*Give transform\(\) a size"):
        list(data.valid_dl)
