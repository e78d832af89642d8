"""Who trains and who validates, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from onecycle.core.errors import EmptyDataError, OnecycleWarning, TableError, UsageError
from onecycle.core.paths import Path
from onecycle.vision.lists import ImageList

NAMES = ["train/a/0.jpg", "train/b/1.jpg", "valid/a/2.jpg", "other/3.jpg", "4.jpg", "valid/b/5.jpg"]


def listed(names=NAMES, root="/data", frame=None):
    return ImageList._make([Path(root) / name for name in names], root, inner_df=frame)


def sides(split):
    """The numbers in the names of the items of both sides."""
    return tuple(
        [int(Path(item).stem) for item in side.items] for side in (split.train, split.valid)
    )


def numbered(count):
    return listed([f"{i}.jpg" for i in range(count)])


def test_the_random_split_is_numpys_legacy_permutation_of_seed_42():
    # np.random.seed(42); np.random.permutation(10) -> 8 1 5 0 7 2 9 4 3 6: 8 and 1 validate
    assert sides(numbered(10).split_by_rand_pct(0.2, seed=42)) == ([0, 2, 3, 4, 5, 6, 7, 9], [1, 8])


def test_without_a_seed_numpys_global_generator_draws():
    np.random.seed(42)
    assert sides(numbered(10).split_by_rand_pct(0.2)) == ([0, 2, 3, 4, 5, 6, 7, 9], [1, 8])


def test_a_seed_leaves_the_global_generator_alone():
    np.random.seed(1)
    wanted = np.random.rand()
    np.random.seed(1)
    numbered(10).split_by_rand_pct(0.2, seed=42)
    assert np.random.rand() == wanted


def test_split_subsets_leaves_the_rest_out():
    train, valid = sides(numbered(10).split_subsets(0.3, 0.2, seed=42))
    assert (train, valid) == ([1, 5, 8], [3, 6])  # the first three and the last two of the above


def test_split_none_trains_on_everything():
    assert sides(numbered(3).split_none()) == ([0, 1, 2], [])


def test_split_by_folder_drops_what_is_in_neither_and_counts_it():
    message = r"2 of 6 items are in neither 'train' nor 'valid'.*other \(1 .*no folder \(1 items"
    with pytest.warns(OnecycleWarning, match=message):
        assert sides(listed().split_by_folder()) == ([0, 1], [2, 5])
    with pytest.warns(OnecycleWarning, match=r"3 of 6 items.*train \(2 items"):
        assert sides(listed().split_by_folder(train="valid", valid="other")) == ([2, 5], [3])
    kept = listed().filter_by_folder(["train", "valid"])
    assert sides(kept.split_by_folder()) == ([0, 1], [2, 5])  # asked for: no warning


def test_split_by_folder_names_the_folders_there_are():
    with pytest.raises(EmptyDataError, match=r"no items in folder 'test' .*'other', 'train'"):
        listed().split_by_folder(valid="test")


def test_split_by_idx():
    assert sides(listed().split_by_idx([5, 1, 1])) == ([0, 2, 3, 4], [1, 5])
    assert sides(numbered(6).split_by_idx(list(range(4, 6)))) == ([0, 1, 2, 3], [4, 5])


@pytest.mark.parametrize("positions", [[6], [-1, 2]])
def test_positions_that_do_not_exist_are_an_error(positions):
    with pytest.raises(UsageError, match="there are 6 items"):
        listed().split_by_idx(positions)


def test_split_by_valid_func():
    split = listed().split_by_valid_func(lambda path: path.parent.name == "a")
    assert sides(split) == ([1, 3, 4, 5], [0, 2])


def test_split_by_files_takes_names_and_relative_paths():
    assert sides(listed().split_by_files(["4.jpg", "train/b/1.jpg"])) == ([0, 2, 3, 5], [1, 4])


def test_split_by_fname_file_beside_the_list(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "valid.txt").write_text("1.jpg\n\n 3.jpg \n")
    items = listed([f"{i}.jpg" for i in range(4)], root=str(tmp_path / "images"))
    assert sides(items.split_by_fname_file("../valid.txt")) == ([0, 2], [1, 3])
    assert sides(items.split_by_fname_file("valid.txt", path=tmp_path)) == ([0, 2], [1, 3])


def test_a_list_of_names_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(TableError, match=r"gone\.txt: cannot be read"):
        listed().split_by_fname_file("gone.txt", path=tmp_path)


def test_names_that_are_no_items_are_counted_and_named():
    with pytest.warns(OnecycleWarning, match=r"1 of 2 names in the list are no items: '9\.jpg'"):
        split = listed().split_by_files(["4.jpg", "9.jpg"])
    assert sides(split) == ([0, 1, 2, 3, 5], [4])


def test_split_by_list():
    items = numbered(5)
    split = items.split_by_list(items.take([4, 0]), items.take([2]))
    assert sides(split) == ([4, 0], [2])


def test_split_from_df_by_place_and_by_name():
    frame = pd.DataFrame({"n": list("abcdef"), "y": 1, "is_valid": [0, 1, 0, 0, 1, 0]})
    for col in (2, "is_valid"):
        assert sides(listed(frame=frame).split_from_df(col=col)) == ([0, 2, 3, 5], [1, 4])
    assert sides(listed(frame=frame).split_from_df()) == ([0, 2, 3, 5], [1, 4])


def test_rows_go_with_their_items():
    frame = pd.DataFrame({"y": list("abcdef")}, index=range(10, 16))
    split = listed(frame=frame).split_by_idx([1, 4])
    assert split.train.frame.y.tolist() == list("acdf")
    assert split.valid.frame.index.tolist() == [11, 14]


@pytest.mark.parametrize(
    ("step", "side"),
    [
        (lambda items: items.split_by_idx([]), "validation"),
        (lambda items: items.split_by_idx(range(6)), "training"),
        (lambda items: items.split_by_valid_func(lambda _: False), "validation"),
        (lambda items: items.split_by_rand_pct(0.1, seed=0), "validation"),
    ],
)
def test_a_side_left_empty_by_accident_is_an_error(step, side):
    with pytest.raises(EmptyDataError, match=rf"split of 6 items leaves no {side} items"):
        step(listed())


@pytest.mark.parametrize("share", [0, 1, -0.1, 20])
def test_a_share_lies_between_0_and_1(share):
    with pytest.raises(UsageError, match="share"):
        numbered(5).split_by_rand_pct(share)


def test_two_shares_are_no_more_than_the_whole():
    with pytest.raises(UsageError, match="shares of one"):
        numbered(5).split_subsets(0.7, 0.5)


@pytest.mark.parametrize(("n_train", "n_valid", "side"), [(0, 3, "training"), (3, 0, "validation")])
def test_two_lists_of_which_one_is_empty_are_an_error(n_train, n_valid, side):
    items = numbered(3)
    with pytest.raises(EmptyDataError, match=f"no {side} items"):
        items.split_by_list(items.take(range(n_train)), items.take(range(n_valid)))


def test_no_paths_are_an_error():
    with pytest.raises(EmptyDataError, match="no paths"):
        ImageList.from_paths([])
