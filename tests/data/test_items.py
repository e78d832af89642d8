"""Lists of sources: in a known order, with their rows, and never changed in place."""

import numpy as np
import pandas as pd
import pytest

from onecycle.core.errors import EmptyDataError, OnecycleWarning, TableError, UsageError
from onecycle.core.paths import Path
from onecycle.data.lists import ItemList
from onecycle.vision.lists import ImageList


def names(items):
    return [items.relative(item) for item in items.items]


def listed(*paths, root="/data", frame=None):
    return ImageList._make([Path(root) / p for p in paths], root, inner_df=frame)


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.jpg", "b/10.JPG", "a/x.png", "a/deep/y.webp", "a/notes.txt", "top.jpeg",
                 ".hidden/z.jpg", "a/.secret.jpg", "unsup/u.jpg"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


HIDDEN = pytest.mark.filterwarnings("ignore:[12] hidden image files")


@HIDDEN
def test_every_visible_image_below_a_folder_sorted(folder):
    assert names(ImageList.from_folder(folder)) == [
        "a/deep/y.webp", "a/x.png", "b/10.JPG", "b/2.jpg", "top.jpeg", "unsup/u.jpg"
    ]  # fmt: skip


@HIDDEN
def test_items_are_paths_that_can_be_asked(folder):
    item = ImageList.from_folder(str(folder)).items[3]
    assert (item.name, item.stem, item.parent.name, item.suffix) == ("2.jpg", "2", "b", ".jpg")


def test_without_recursion_only_the_folder_itself(folder):
    assert names(ImageList.from_folder(folder, recurse=False)) == ["top.jpeg"]


@HIDDEN
def test_some_first_folders_and_some_suffixes_only(folder):
    assert names(ImageList.from_folder(folder, include=["b"])) == [
        "b/10.JPG",
        "b/2.jpg",
        "top.jpeg",
    ]
    assert names(ImageList.from_folder(folder, extensions=[".PNG"])) == ["a/x.png"]


def test_a_folder_without_images_is_an_error(folder):
    with pytest.raises(EmptyDataError, match=r"no \.bmp file below"):
        ImageList.from_folder(folder, extensions=[".bmp"])
    with pytest.raises(EmptyDataError, match="is not a folder"):
        ImageList.from_folder(folder / "gone")


def test_paths_keep_their_order_and_start_at_the_path():
    items = ImageList.from_paths(["b.jpg", "a.jpg", "/else/c.jpg"], "/data")
    assert [str(item) for item in items] == ["/data/b.jpg", "/data/a.jpg", "/else/c.jpg"]


def test_rows_become_path_folder_name_and_suffix():
    frame = pd.DataFrame({"tags": ["x", "y"], "image": [" train_3", 7]}, index=[5, 9])
    items = ImageList.from_df(frame, "/data", cols="image", folder="jpg", suffix=".jpg")
    assert [str(item) for item in items] == ["/data/jpg/train_3.jpg", "/data/jpg/7.jpg"]
    assert items.frame is frame


def test_a_csv_file_as_kaggles_planet_set(tmp_path):
    (tmp_path / "train_v2.csv").write_text("image_name,tags\ntrain_1,haze water\ntrain_0,clear\n")
    items = ImageList.from_csv(tmp_path, "train_v2.csv", folder="train-jpg", suffix=".jpg")
    assert names(items) == ["train-jpg/train_1.jpg", "train-jpg/train_0.jpg"]
    assert items.frame["tags"].tolist() == ["haze water", "clear"]


@pytest.mark.parametrize("blank", [None, float("nan"), "", "  ", pd.NA])
def test_a_row_without_a_name_is_an_error_with_its_row(blank):
    frame = pd.DataFrame({"image": ["a", blank]}, index=[4, 8])
    with pytest.raises(TableError, match=r"'image' names no file in row\(s\) 8"):
        ImageList.from_df(frame, cols="image")


def test_a_list_without_a_kind_opens_nothing():
    with pytest.raises(UsageError, match="use ImageList"):
        ItemList.from_paths(["a"])


def test_filters_give_new_lists_with_their_rows():
    frame = pd.DataFrame({"label": list("xyz")}, index=[7, 8, 9])
    items = listed("a/1.jpg", "b/2.jpg", "c/3.jpg", frame=frame)
    kept = items.filter_by_func(lambda path: path.parent.name != "b")
    assert names(kept) == ["a/1.jpg", "c/3.jpg"]
    assert kept.frame["label"].tolist() == ["x", "z"]
    assert kept.frame.index.tolist() == [7, 9]
    assert len(items) == 3


def test_filter_by_folder_looks_at_the_first_folder_only():
    items = listed("train/cat/1.jpg", "test/train/2.jpg", "unsup/3.jpg", "4.jpg")
    assert names(items.filter_by_folder(include=["train", "test"])) == [
        "train/cat/1.jpg",
        "test/train/2.jpg",
    ]
    assert names(items.filter_by_folder(exclude=["train"])) == [
        "test/train/2.jpg",
        "unsup/3.jpg",
        "4.jpg",
    ]


def test_a_random_filter_keeps_each_item_with_its_probability():
    items = listed(*map(str, range(2000)))
    drawn = np.random.RandomState(3).rand(2000) < 0.3
    assert names(items.filter_by_rand(0.3, seed=3)) == np.flatnonzero(drawn).astype(str).tolist()
    np.random.seed(3)
    assert names(items.filter_by_rand(0.3)) == names(items.filter_by_rand(0.3, seed=3))


def test_a_filter_that_leaves_nothing_is_an_error():
    with pytest.raises(EmptyDataError, match="leaves none of 2 items"):
        listed("a", "b").filter_by_func(lambda _: False)


def test_adding_gives_a_new_list_and_joins_the_frames():
    first = listed("1.jpg", frame=pd.DataFrame({"label": ["x"]}, index=[3]))
    second = listed("2.jpg", frame=pd.DataFrame({"label": ["y"]}, index=[3]))
    both = first.add(second)
    assert names(both) == ["1.jpg", "2.jpg"]
    assert both.frame["label"].tolist() == ["x", "y"]
    assert len(first) == 1
    with pytest.warns(OnecycleWarning, match=r"lists \(1 and 1 items\) has no table"):
        assert first.add(listed("3.jpg")).inner_df is None


def test_a_list_without_a_table_says_so():
    with pytest.raises(UsageError, match="come from no table"):
        _ = listed("a").frame


def test_an_item_is_opened_by_its_place(images):
    items = ImageList.from_folder(images / "valid" / "red")
    assert items[1].shape == (3, 40, 48)
    assert len(list(iter(items))) == len(items) == 4
