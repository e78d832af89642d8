"""From files to a DataBunch in one call: every form of call in the course's notebooks."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image as PillowImage

from onecycle.core.errors import EmptyDataError, OnecycleWarning
from onecycle.core.paths import Path
from onecycle.data.targets import MultiCategory, Numbers
from onecycle.vision.augment import get_transforms
from onecycle.vision.checks import verify_images
from onecycle.vision.input import imagenet_stats
from onecycle.vision.lists import (
    ImageDataBunch,
    ImageList,
    PointsItemList,
    SegmentationItemList,
    get_image_files,
)
from onecycle.vision.targets import Mask, Points

SMALL = {"ds_tfms": get_transforms(), "size": 16, "bs": 4, "num_workers": 0}
PATTERN = r"/(red|blue)_\d+\.\w+$"


@pytest.fixture(scope="module")
def flat(images, tmp_path_factory):
    """The images of `train` in one folder: red_0.jpg, ..., and a labels.csv."""
    root = tmp_path_factory.mktemp("flat")
    rows = []
    for source in sorted((images / "train").rglob("*.*g")):
        name = f"{source.parent.name}_{source.name}"
        (root / name).write_bytes(source.read_bytes())
        rows.append((name, source.parent.name))
    pd.DataFrame(rows, columns=["name", "label"]).to_csv(root / "labels.csv", index=False)
    return root


def agree(data):
    """Every item's label is the colour in its name."""
    for side in (data.train_ds, data.valid_ds):
        for item, label in zip(side.items, side.y, strict=True):
            assert item.name.startswith(str(label)) or item.parent.name == str(label)
    return len(data.train_ds), len(data.valid_ds)


def test_from_folder(images):
    data = ImageDataBunch.from_folder(images, **SMALL)
    assert agree(data) == (16, 8)
    assert data.classes == ["blue", "red"]
    assert data.one_batch()[0].shape == (4, 3, 16, 16)


def test_a_share_of_a_folder_that_is_not_there_says_how_to_take_all(images):
    with pytest.raises(EmptyDataError, match=r"no folder .*none: train=\".\" takes everything"):
        ImageDataBunch.from_folder(images, train="none", valid_pct=0.25, **SMALL)


@pytest.mark.filterwarnings("ignore:the training set takes items from folders")
def test_from_folder_with_a_random_share_of_everything(images):
    data = ImageDataBunch.from_folder(images, train=".", valid_pct=0.25, seed=1, **SMALL)
    assert agree(data) == (18, 6)
    np.random.seed(1)
    again = ImageDataBunch.from_folder(images, train=".", valid_pct=0.25, **SMALL)
    assert again.valid_ds.items == data.valid_ds.items


def test_from_folder_with_a_random_share_of_one_folder(images):
    with pytest.warns(OnecycleWarning, match=r"folder 'valid' is not used \(8 images"):
        data = ImageDataBunch.from_folder(images, train="train", valid_pct=0.25, seed=1, **SMALL)
    assert agree(data) == (12, 4)


def test_from_folder_with_a_test_set_and_chosen_classes(images):
    data = ImageDataBunch.from_folder(images, test="valid", classes=["red", "blue"], **SMALL)
    assert data.classes == ["red", "blue"]
    assert len(data.test_ds) == 8


def test_from_folder_with_some_classes_only(images):
    with (
        pytest.warns(OnecycleWarning, match="left out"),
        pytest.warns(OnecycleWarning, match="only one class"),
    ):
        data = ImageDataBunch.from_folder(images, classes=["red"], **SMALL)
    assert agree(data) == (8, 4)


def test_from_csv(flat):
    data = ImageDataBunch.from_csv(flat, seed=3, **SMALL)
    assert agree(data) == (13, 3)
    other = ImageDataBunch.from_csv(
        flat, folder=".", valid_pct=0.5, csv_labels="labels.csv", **SMALL
    )
    assert agree(other) == (8, 8)


def test_from_csv_with_other_columns_delimiter_and_suffix(flat, tmp_path):
    rows = [line.split(",") for line in (flat / "labels.csv").read_text().splitlines()[1:]]
    lines = [f"{label};x;{name[:-4]}" for name, label in rows if name.endswith(".jpg")]
    (flat / "other.csv").write_text("\n".join(lines))
    data = ImageDataBunch.from_csv(
        flat, csv_labels="other.csv", delimiter=";", header=None, fn_col=2, label_col=0,
        suffix=".jpg", valid_pct=0.25, seed=0, **SMALL,
    )  # fmt: skip
    assert agree(data) == (6, 2)


def test_from_df(flat):
    frame = pd.read_csv(flat / "labels.csv")
    assert agree(ImageDataBunch.from_df(flat, frame, seed=3, **SMALL)) == (13, 3)
    frame["tags"] = frame["label"] + " jolly"
    data = ImageDataBunch.from_df(flat, frame, label_delim=" ", label_col="tags", **SMALL)
    assert data.classes == ["blue", "jolly", "red"]
    assert type(data.task.target) is MultiCategory


def test_from_name_re_on_the_whole_path(flat):
    names = get_image_files(flat)
    np.random.seed(2)
    data = ImageDataBunch.from_name_re(flat, names, PATTERN, **SMALL).normalize(imagenet_stats)
    assert agree(data) == (13, 3)
    assert data.valid_ds.items == tuple(
        names[i] for i in sorted(np.random.RandomState(2).permutation(16)[:3])
    )
    keyword = ImageDataBunch.from_name_re(flat, names, pat=PATTERN, valid_pct=0.5, seed=0, **SMALL)
    assert agree(keyword) == (8, 8)


def test_from_name_func(flat):
    data = ImageDataBunch.from_name_func(
        flat,
        get_image_files(flat),
        label_func=lambda x: "red" if "red" in x.name else "blue",
        seed=3,
        **SMALL,
    )
    assert agree(data) == (13, 3)


def test_from_lists(flat):
    names = get_image_files(flat)
    labels = [name.name.split("_")[0] for name in names]
    assert agree(ImageDataBunch.from_lists(flat, names, labels=labels, seed=3, **SMALL)) == (13, 3)
    numbers = ImageDataBunch.from_lists(flat, names, list(np.arange(16) / 2), **SMALL)
    assert type(numbers.task.target) is Numbers
    with pytest.raises(ValueError, match="16 files and 15 labels"):
        ImageDataBunch.from_lists(flat, names, labels[:-1], **SMALL)


def test_from_lists_goes_by_place_even_where_a_file_comes_twice(flat):
    name = get_image_files(flat)[0]
    with (
        pytest.warns(OnecycleWarning, match="1 items are in training and validation"),
        pytest.warns(OnecycleWarning, match="1 items occur several times, with different labels"),
    ):
        data = ImageDataBunch.from_lists(flat, [name] * 10, list("abababbbbb"), seed=0, **SMALL)
    labels = sorted([*data.train_ds.labels, *data.valid_ds.labels])
    assert labels == sorted("abababbbbb")


def test_the_common_options_reach_the_loaders(images):
    data = ImageDataBunch.from_folder(
        images, size=(10, 20), bs=4, val_bs=3, num_workers=1, device="cpu",
        resize_method="pad", padding_mode="zeros", ds_tfms=None, test="train/red", no_check=True,
    )  # fmt: skip
    spec = data.task.input
    assert (spec.size, spec.resize_method, spec.padding_mode) == ((10, 20), "pad", "zeros")
    assert (data.valid_dl.batch_size, data.train_dl.num_workers) == (3, 1)
    assert len(data.test_ds) == 8
    assert data.device == torch.device("cpu")


def test_image_files_are_sorted_paths_of_one_folder(flat, images):
    names = get_image_files(flat)
    assert names == sorted(names)
    assert len(names) == 16
    assert isinstance(names[0], Path)
    assert len(get_image_files(images, recurse=True)) == 24
    with pytest.raises(EmptyDataError):
        get_image_files(images)


# --- masks and points as in the course's notebooks


@pytest.fixture
def streets(tmp_path):
    for i in range(6):
        grey = np.full((20, 30), 40 * i, np.uint8)
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "labels").mkdir(exist_ok=True)
        PillowImage.fromarray(np.repeat(grey[:, :, None], 3, 2)).save(tmp_path / f"images/{i}.png")
        mask = np.zeros((20, 30), np.uint8)
        mask[:, : 5 * i] = 1
        PillowImage.fromarray(mask).save(tmp_path / f"labels/{i}_P.png")
    (tmp_path / "valid.txt").write_text("4.png\n5.png\n")
    return Path(tmp_path)


def test_masks_as_in_the_camvid_notebook(streets):
    src = (
        SegmentationItemList.from_folder(streets / "images")
        .split_by_fname_file("../valid.txt")
        .label_from_func(
            lambda x: streets / "labels" / f"{x.stem}_P{x.suffix}",
            classes=np.array(["road", "sky"]),
        )
    )
    assert type(src.train.task.target) is Mask
    assert (src.classes, src.c) == (["road", "sky"], 2)
    data = src.transform(get_transforms(), size=np.array([20, 30]) // 2, tfm_y=True).databunch(bs=2)
    x, y = data.one_batch()
    assert (x.shape, y.shape, y.dtype) == ((2, 3, 10, 15), (2, 1, 10, 15), torch.int64)
    row = data.valid_ds[1][1].data[0, 0].tolist()
    assert (row[:12], row[13:]) == ([1] * 12, [0] * 2)  # 25 of 30, halved: 12 and a half


def test_points_as_in_the_head_pose_notebook(streets):
    src = (
        PointsItemList.from_folder(streets / "images")
        .split_by_valid_func(lambda o: o.stem in {"1", "2"})
        .label_from_func(lambda o: torch.tensor([9.5, 14.5 + 1.5 * int(o.stem)]))  # pixels
    )
    assert type(src.train.task.target) is Points
    data = src.transform(None, tfm_y=True, size=(10, 15)).databunch(bs=2)
    assert data.one_batch()[1].shape == (2, 1, 2)
    assert data.valid_ds[1][1].data.tolist() == [pytest.approx([0, 0.2], abs=1e-6)]


# --- verify_images


def test_verify_images_deletes_what_does_not_open_and_nothing_else(flat, tmp_path, capsys):
    good = get_image_files(flat)[0]
    (tmp_path / "good.jpg").write_bytes(good.read_bytes())
    (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:300])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not an image")
    bad = [tmp_path / "cut.jpg", tmp_path / "empty.png"]
    assert verify_images(tmp_path, delete=False) == bad
    assert all(path.exists() for path in bad)
    assert verify_images(tmp_path) == bad
    assert all(path.exists() for path in bad)
    assert verify_images(tmp_path, delete=True) == bad
    assert sorted(p.name for p in tmp_path.iterdir()) == ["good.jpg", "notes.txt"]
    assert "cut.jpg" in capsys.readouterr().out
    assert verify_images(tmp_path) == []


def test_the_list_keeps_its_kind_through_filters(streets):
    items = SegmentationItemList.from_folder(streets).filter_by_folder(include=["images"])
    assert type(items) is SegmentationItemList
    assert len(items) == 6
    assert type(ImageList.from_folder(streets).take([0])) is ImageList


def test_verify_images_deletes_what_is_broken_and_shrinks_what_is_large(tmp_path):
    from PIL import Image as PillowImage

    PillowImage.new("RGB", (90, 30)).save(tmp_path / "wide.png")
    PillowImage.new("RGB", (20, 30)).save(tmp_path / "small.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff and no more")
    assert [p.name for p in verify_images(tmp_path, delete=True, max_size=45)] == ["broken.jpg"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.jpg", "wide.png"]
    with PillowImage.open(tmp_path / "wide.png") as wide:
        assert (wide.size, wide.format) == ((45, 15), "PNG")
    with PillowImage.open(tmp_path / "small.jpg") as small:
        assert small.size == (20, 30)
