"""The same item on two sides, or under two labels, is told with a count and its names."""

import os
import random
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from onecycle.core.errors import OnecycleWarning
from onecycle.data import checks as copies
from onecycle.data.arrays import from_arrays
from onecycle.data.checks import Side, same_files, warn_of_copies
from onecycle.series.lists import SeriesList
from onecycle.text.lists import TextDataBunch
from onecycle.vision.lists import ImageList


def lines(step):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        step()
    messages = [str(w.message) for w in seen if issubclass(w.category, OnecycleWarning)]
    return [m for m in messages if "classes have no" not in m]


@pytest.fixture
def folder(tmp_path):
    """Ten images 0.png, 1.png, ..., no two the same."""
    for i in range(10):
        Image.effect_noise((16, 16), 30 + i).save(tmp_path / f"{i}.png")
    return tmp_path


def bunch(root, names, labels, valid, **options):
    frame = pd.DataFrame({"name": names, "label": labels})
    split = ImageList.from_df(frame, root).split_by_idx(valid)
    labelled = split.label_from_df("label", label_delim=options.pop("label_delim", None))
    return labelled.transform(None, size=16).databunch(bs=1, num_workers=0, **options)


def test_one_file_on_both_sides_is_counted_and_named(folder):
    names = ["0.png", "1.png", "0.png", "2.png", "1.png", "3.png"]
    (message,) = lines(lambda: bunch(folder, names, list("ababba"), [2, 4]))
    assert message.startswith("2 items are in training and validation: ")
    assert "0.png'" in message
    assert "1.png'" in message
    assert "3.png" not in message


def test_a_copy_under_another_name_on_the_other_side_is_named_with_its_original(folder):
    (folder / "copy.png").write_bytes((folder / "3.png").read_bytes())
    names = ["3.png", "4.png", "copy.png", "5.png"]
    (message,) = lines(lambda: bunch(folder, names, list("abab"), [2, 3]))
    assert message.startswith("1 items are in training and validation: ")
    assert "3.png = " in message
    assert "copy.png'" in message
    assert lines(lambda: bunch(folder, names, list("abab"), [2, 3], find_copies=False)) == []


def test_the_same_path_is_told_without_a_look_into_the_files(folder):
    names = ["0.png", "1.png", "0.png", "2.png"]
    (message,) = lines(lambda: bunch(folder, names, list("abab"), [2, 3], find_copies=False))
    assert message.startswith("1 items are in training and validation")


@pytest.mark.parametrize("copied", [False, True])
def test_one_image_under_two_labels_is_counted(folder, copied):
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    again = "copy.png" if copied else "0.png"
    names = ["0.png", "1.png", again, "2.png", "3.png"]
    (message,) = lines(lambda: bunch(folder, names, list("abbab"), [3, 4]))
    assert message.startswith("1 items occur several times, with different labels: ")
    assert "label_delim=" in message


def test_a_row_for_each_label_of_an_image_is_told_in_both_ways(folder):
    names = [f"{i}.png" for i in range(6) for _ in "xy"]
    messages = lines(lambda: bunch(folder, names, ["haze", "river"] * 6, [0, 3, 5, 9]))
    assert [m.split(":")[0] for m in messages] == [
        "4 items are in training and validation",
        "6 items occur several times, with different labels",
    ]


def test_copies_with_the_same_labels_on_one_side_are_no_doubt(folder):
    names = ["0.png", "0.png", "1.png", "2.png", "3.png"]
    assert lines(lambda: bunch(folder, names, list("aabba"), [3, 4])) == []
    tags = ["x y", "y x", "x", "y", "x y"]  # the same tags, in another order
    assert lines(lambda: bunch(folder, names, tags, [3, 4], label_delim=" ")) == []


def test_test_items_that_were_trained_or_validated_on_are_told_apart(folder):
    split = ImageList.from_paths([f"{i}.png" for i in range(6)], folder).split_by_idx([4, 5])
    labelled = split.label_from_func(lambda path: int(path.stem) % 2)
    tests = labelled.add_test([folder / f"{i}.png" for i in (0, 1, 4, 8)])
    messages = lines(lambda: tests.transform(None, size=16).databunch(bs=1, num_workers=0))
    assert [m.split(":")[0] for m in messages] == [
        "2 items are in training and test",
        "1 items are in validation and test",
    ]


def test_without_checks_nobody_looks(folder):
    names = ["0.png", "1.png", "0.png", "2.png"]
    assert lines(lambda: bunch(folder, names, list("abab"), [2, 3], no_check=True)) == []


REVIEWS = [f"the film number {i} was long" for i in range(10)]


def test_arrays_and_series_on_both_sides_are_told():
    x = np.random.default_rng(0).normal(size=(10, 40))
    x[0] = x[4]  # every fifth row validates: 4 and 9
    (message,) = lines(lambda: from_arrays(x, list("ab") * 5, bs=2))
    told_as = "1 items are in training and validation: 'item 0 of training = item 0 of validation'"
    assert message.startswith(told_as)
    series = SeriesList.from_array(x, list("ababbbabab")).split_by_idx([4]).label_from_df()
    messages = lines(lambda: series.transform(None, size=8).databunch(bs=2))
    assert messages[0].startswith("1 items are in training and validation")
    assert messages[1].startswith("1 items occur several times, with different labels")


def test_texts_on_both_sides_are_told():
    texts = pd.DataFrame({"text": [*REVIEWS, REVIEWS[3]], "label": [*"ababababab", "b"]})
    options = {"text_cols": "text", "label_cols": "label", "bs": 2, "min_freq": 1}
    (message,) = lines(lambda: TextDataBunch.from_df(".", texts[:8], texts[8:], **options))
    assert message.startswith("1 items are in training and validation: 'the film number 3 was")


def test_arrays_that_are_the_same_by_chance_are_no_doubt():
    corners = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]] * 5)
    assert lines(lambda: from_arrays(corners, list("abba") * 5, bs=2)) == []
    assert lines(lambda: from_arrays(np.zeros((10, 50)), list("ab") * 5, bs=2)) == []


def test_a_warning_points_to_the_line_of_the_user(folder):
    names = ["0.png", "1.png", "0.png", "1.png"]
    with pytest.warns(OnecycleWarning, match="2 items are in") as seen:
        ImageList.from_paths(names, folder).split_by_idx([2, 3]).label_from_func(
            lambda path: path.stem
        ).databunch(bs=1)
    assert {w.filename for w in seen} == {__file__}


# --- how files are compared


def write(folder, contents):
    paths = []
    for i, content in enumerate(contents):
        (folder / f"{i}").write_bytes(content)
        paths.append(str(folder / f"{i}"))
    return paths


def groups(paths):
    return sorted(sorted(int(os.path.basename(p)) for p in group) for group in same_files(paths))  # noqa: PTH119


KIB = 1 << 10


def test_files_are_the_same_only_if_every_byte_is(tmp_path):
    noise = random.Random(0).randbytes(64 * KIB)
    middle = noise[: 30 * KIB] + b"!" + noise[30 * KIB + 1 :]
    assert middle != noise
    contents = [noise, middle, noise, noise[:-1], noise[: 5 * KIB], noise[: 5 * KIB], b"", b""]
    assert groups(write(tmp_path, contents)) == [[0, 2], [4, 5]]


def test_files_that_are_gone_are_in_no_group(tmp_path):
    paths = write(tmp_path, [b"same"] * 3)
    (tmp_path / "1").unlink()
    assert groups(paths) == [[0, 2]]


@settings(max_examples=40, deadline=None)
@given(picks=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([3, 4096, 4097, 8193, 9000]))))
def test_groups_are_those_of_equal_contents(tmp_path_factory, picks):
    contents = [bytes([kind]) * (size - 2) + b"z" + bytes([kind]) for kind, size in picks]
    found = groups(write(tmp_path_factory.mktemp("f"), contents))
    wanted = {}
    for i, content in enumerate(contents):
        wanted.setdefault(content, []).append(i)
    assert found == sorted(group for group in wanted.values() if len(group) > 1)


def test_only_files_of_one_size_are_opened_and_few_bytes_are_read(tmp_path, monkeypatch):
    """What it costs: a file of its own size is not opened, others are read at both ends."""
    paths = write(tmp_path, [b"a" * 10, b"b" * 11, b"c" * 50_000, b"d" * 50_000])
    opened = []
    ends = copies._ends
    monkeypatch.setattr(copies, "_ends", lambda path: opened.append(path) or ends(path))
    monkeypatch.setattr(copies, "_digest", lambda path: pytest.fail("read whole"))
    assert groups(paths) == []
    assert opened == paths[2:]


def test_beyond_a_limit_both_ends_decide(tmp_path, monkeypatch):
    noise = random.Random(0).randbytes(64 * KIB)
    other = noise[: 30 * KIB] + b"!" + noise[30 * KIB + 1 :]
    paths = write(tmp_path, [noise, noise, other, noise[:-1] + b"!", b"!" + noise[1:]])
    assert groups(paths) == [[0, 1]]
    monkeypatch.setattr(copies, "_WHOLE", -1)
    assert groups(paths) == [[0, 1, 2]]


def test_a_label_that_cannot_be_compared_is_no_second_label(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x")
    side = Side("training", [path, path], [np.zeros(2), np.ones(2)])
    assert lines(lambda: warn_of_copies([side])) == []
    masks = Side("training", [path, path], [tmp_path / "1", tmp_path / "2"])
    assert len(lines(lambda: warn_of_copies([masks]))) == 1
