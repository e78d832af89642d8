"""Positions of items are neither a mask nor names of rows; lists of names come in any encoding."""

import numpy as np
import pandas as pd
import pytest
import torch

from onecycle.core.errors import ImageError, OnecycleWarning, TableError, UsageError
from onecycle.vision.lists import ImageList

NAMES = [f"{i}.png" for i in range(8)]


@pytest.fixture
def frame():
    return pd.DataFrame({"name": NAMES, "label": list("abababab"), "fold": [0, 1, 2, 3] * 2})


def validating(split):
    return [path.name for path in split.valid]


def items():
    return ImageList.from_paths(NAMES, "/somewhere")


@pytest.mark.parametrize("make", [np.array, list, pd.Series])
def test_a_mask_of_yes_and_no_is_refused(make):
    mask = make([False, False, True, False, False, True, True, False])
    with pytest.raises(UsageError, match=r"positions are whole numbers.*flatnonzero"):
        items().split_by_idx(mask)
    assert validating(items().split_by_idx(np.flatnonzero(mask))) == ["2.png", "5.png", "6.png"]


@pytest.mark.parametrize("make", [torch.tensor, iter, set, pd.Series, pd.Index])
def test_positions_come_in_any_form(make):
    src = items().split_by_idx(make([6, 2, 5]))
    assert validating(src) == ["2.png", "5.png", "6.png"]
    sides = torch.arange(8)[:2], torch.tensor([6, 2, 5])
    assert validating(items().split(lambda items: sides)) == ["6.png", "2.png", "5.png"]
    for odd in (torch.tensor([1.0, 2.5]), torch.tensor(3), torch.tensor([True, False])):
        with pytest.raises(UsageError, match="whole numbers"):
            items().split_by_idx(odd)


@pytest.mark.parametrize("positions", [[1.0, 2.5], ["1", "2"], [True, 2.5]])
def test_positions_are_whole_numbers(positions):
    with pytest.raises(UsageError, match="whole numbers"):
        items().split_by_idx(positions)


def test_names_of_the_rows_of_a_filtered_frame_are_refused(frame):
    odd = frame[frame["name"].isin(NAMES[1::2])]  # rows 1, 3, 5, 7 at the positions 0 to 3
    held = odd[odd["fold"] == 3].index
    with pytest.raises(UsageError, match=r"names of rows, such as 3, .* at position 1: .*get_ind"):
        ImageList.from_df(odd, "/somewhere").split_by_idx(held)
    places = ImageList.from_df(odd, "/somewhere").split_by_idx(odd.index.get_indexer(held))
    assert validating(places) == ["3.png", "7.png"]


def test_names_of_rows_that_are_positions_are_taken(frame):
    held = frame[frame["fold"] == 3].index
    assert validating(ImageList.from_df(frame, "/somewhere").split_by_idx(held)) == [
        "3.png",
        "7.png",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_of_names_is_read_in_its_encoding(tmp_path, encoding):
    (tmp_path / "valid.txt").write_text("2.png\r\ncaf\u00e9.png\r\n", encoding=encoding)
    found = ImageList.from_paths(["1.png", "2.png", "caf\u00e9.png"], tmp_path)
    assert validating(found.split_by_fname_file("valid.txt")) == ["2.png", "caf\u00e9.png"]


def test_a_list_in_latin_1_is_told(tmp_path):
    (tmp_path / "valid.txt").write_bytes("caf\u00e9.png\n".encode("latin-1"))
    found = ImageList.from_paths(["1.png", "caf\u00e9.png"], tmp_path)
    with pytest.warns(OnecycleWarning, match="read as Latin-1"):
        assert validating(found.split_by_fname_file("valid.txt")) == ["caf\u00e9.png"]
    with pytest.raises(TableError, match="cannot be read"):
        found.split_by_fname_file("nowhere.txt")


def test_a_list_written_on_windows_says_so(tmp_path):
    (tmp_path / "valid.txt").write_text("a\\1.png\n2.png\n")
    found = ImageList.from_paths(["a/1.png", "2.png"], tmp_path)
    with pytest.warns(OnecycleWarning, match=r"1 of 2 names .* 1 of these names hold backslashes"):
        found.split_by_fname_file("valid.txt")


def test_a_table_written_on_windows_says_so(tmp_path):
    (tmp_path / "l.csv").write_text("name,label\na\\0.png,x\na\\1.png,y\n")
    labelled = ImageList.from_csv(tmp_path, "l.csv").split_by_idx([1])
    with pytest.raises(ImageError, match=r"2 of 2 images are missing.*backslashes"):
        labelled.label_from_df(unknown="error", classes=["x", "y"]).databunch(bs=1)
