"""Which kind of answer labels are: what may be meant otherwise is told, with both ways."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from onecycle.core.errors import LabelError, OnecycleWarning
from onecycle.data.arrays import from_arrays
from onecycle.data.targets import (
    Category,
    MultiCategory,
    Numbers,
    Target,
    few_whole_numbers,
    infer_kind,
)
from onecycle.data.task import Input
from onecycle.series.lists import SeriesList
from onecycle.text.lists import TextDataBunch
from onecycle.vision.lists import ImageDataBunch, ImageList

GRADES = [0.0, 1.0, 2.0] * 4
BOTH = r"whole numbers stored as real ones \({}\).*label_cls=Category.*label_cls=Numbers keeps"


def table(values, dtype=None):
    frame = pd.DataFrame({"name": [f"{i}.jpg" for i in range(len(values))]})
    frame["label"] = pd.Series(values, dtype=dtype)
    return frame


def items_of(values, dtype=None):
    return ImageList.from_df(table(values, dtype), "/data").split_by_idx([1, 3])


def kind(labelled):
    return type(labelled.train.task.target)


@pytest.fixture
def images(tmp_path):
    for i in range(12):
        Image.new("RGB", (8, 8), (20 * i, 0, 0)).save(tmp_path / f"{i}.png")
    frame = pd.DataFrame({"name": [f"{i}.png" for i in range(12)], "label": GRADES})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path, frame


SMALL = {"size": 8, "bs": 2, "num_workers": 0, "device": "cpu"}
X = np.random.default_rng(0).normal(size=(12, 3))


@pytest.mark.parametrize(
    "way",
    {
        "frame": lambda root, frame: (
            ImageList.from_df(frame, root).split_by_idx([1, 2]).label_from_df("label")
        ),
        "csv": lambda root, frame: (
            ImageList.from_csv(root, "labels.csv").split_by_idx([1, 2]).label_from_df("label")
        ),
        "function": lambda root, frame: (
            ImageList.from_folder(root)
            .split_by_idx([1, 2])
            .label_from_func(lambda path: float(int(path.stem) % 3))
        ),
        "lists": lambda root, frame: (
            ImageDataBunch.from_lists(
                root, [root / name for name in frame.name], GRADES, seed=1, **SMALL
            ).src
        ),
        "factory": lambda root, frame: ImageDataBunch.from_df(root, frame, seed=1, **SMALL).src,
        "arrays": lambda root, frame: from_arrays(X, np.array(GRADES), bs=2).src,
        "float32": lambda root, frame: from_arrays(X, np.array(GRADES, "f4"), bs=2).src,
        "tensor": lambda root, frame: from_arrays(X, torch.tensor(GRADES), bs=2).src,
        "column of an array": lambda root, frame: (
            from_arrays(X, np.array(GRADES)[:, None], bs=2).src
        ),
        "series": lambda root, frame: (
            SeriesList.from_array(np.tile(X, 3), GRADES).split_by_idx([1, 2]).label_from_df()
        ),
        "texts": lambda root, frame: (
            TextDataBunch.from_df(
                ".",
                frame.assign(text=[f"good film {i}" for i in range(12)]),
                text_cols="text",
                label_cols="label",
                seed=1,
                bs=2,
                min_freq=1,
            ).src
        ),
    }.items(),
    ids=lambda way: way[0],
)
def test_classes_that_became_floats_are_numbers_and_a_warning_says_both_ways(images, way):
    with pytest.warns(OnecycleWarning, match=BOTH.format("0, 1, 2")) as messages:
        labelled = way[1](*images)
    assert kind(labelled) is Numbers
    assert len([w for w in messages if "stored as real" in str(w.message)]) == 1


@pytest.mark.parametrize(
    "values",
    [[1.5, 2.0, 2.0, 1.5, 1.0], [10.0, 20.0, 30.0, 40.0, 50.0], list(np.arange(300.0))],
)
def test_real_numbers_are_numbers_without_a_word(values):
    assert kind(items_of(values).label_from_df()) is Numbers


@pytest.mark.parametrize("reported", [Category, Numbers])
def test_a_kind_that_is_said_is_taken_without_a_word(reported):
    assert kind(items_of(GRADES).label_from_df(label_cls=reported)) is reported
    assert kind(items_of(GRADES).label_from_func(lambda path: 2.0, label_cls=Numbers)) is Numbers
    assert type(from_arrays(X, np.array(GRADES), label_cls=reported, bs=2).task.target) is reported


def test_made_whole_they_are_classes_without_a_word():
    labelled = items_of(np.array(GRADES).astype(int)).label_from_df()
    assert (kind(labelled), labelled.classes) == (Category, [0, 1, 2])


@pytest.mark.parametrize(
    ("values", "few"),
    [
        ([1.0, 2.0, 1.0], [1, 2]),
        (["3.0", "-1.0", "3.0"], [-1, 3]),
        ([1.0, 2.0, 3.0], []),  # none is repeated
        ([1.0, 2.5, 1.0], []),
        ([float(i % 21) for i in range(40)], []),  # more than 20, and each rare
        ([float(i % 21) for i in range(42)], list(range(21))),
        ([float(i % 101) for i in range(1000)], []),
        ([1.0, float("nan"), 1.0], []),
        ([1e300, 1e300], []),
        (["1.0", "one", "1.0"], []),
        ([True, False, True], []),
    ],
)
def test_how_many_whole_numbers_are_few(values, few):
    assert few_whole_numbers(values) == few


@pytest.mark.parametrize(
    "values",
    [
        list(range(100, 124)),  # prices: each another one
        [18 + 7 * i % 60 for i in range(100)],  # ages
        [str(250 + 10 * i) for i in range(24)],
        list(np.arange(60, dtype=np.int16)),
    ],
    ids=["prices", "ages", "text", "int16"],
)
def test_very_many_whole_numbers_are_classes_and_a_warning_says_both_ways(values):
    message = r"\d+ different whole numbers in \d+ labels.*label_cls=Numbers.*label_cls=Category"
    with pytest.warns(OnecycleWarning, match=message):
        labelled = inferred_of(values)
    assert kind(labelled) is Category


@pytest.mark.filterwarnings("ignore:[12] of 2 labels cannot be used")
def test_ages_in_the_names_of_files_are_told_too():
    names = [f"{20 + i}_face.jpg" for i in range(20)]
    split = ImageList.from_paths(names, "/data").split_by_idx([3])
    with (
        pytest.warns(OnecycleWarning, match="19 different whole numbers in 19 labels"),
        pytest.raises(LabelError, match="'23 "),
    ):
        split.label_from_re(r"/(\d+)_")


def test_few_whole_numbers_and_folders_of_any_name_are_classes_without_a_word():
    assert kind(items_of([3, 5, 5, 3, 3, 3]).label_from_df()) is Category
    names = [f"{i:03}/{j}.jpg" for i in range(60) for j in range(2)]
    labelled = ImageList.from_paths(names, "/d").split_by_idx(range(1, 120, 2)).label_from_folder()
    assert len(labelled.classes) == 60


def test_a_class_for_nearly_every_item_is_told():
    names = [f"user {i}" for i in range(10)]
    with pytest.warns(OnecycleWarning, match=r"10 labels are 10 different classes.*label_delim="):
        inferred_of(names)


def inferred_of(names):
    """Labelled without a validation side, so that nothing else is told."""
    return ImageList.from_df(table(names), "/data").split_none().label_from_df()


def test_numbers_of_which_some_are_words_are_classes_and_the_words_are_named():
    values = [f"{i}.5" for i in range(9)] + ["n/a"]
    with pytest.warns(OnecycleWarning, match=r"9 of 10 labels read as numbers.*'n/a'"):
        assert kind(inferred_of(values)) is Category


def test_numbers_with_a_comma_are_classes_and_a_warning_says_so():
    with pytest.warns(OnecycleWarning, match=r"decimal comma.*str\.replace"):
        assert kind(inferred_of([f"{i},5" for i in range(10)])) is Category


@pytest.mark.parametrize("rows", [np.eye(3)[[0, 1, 2] * 4], [[1.0, 0.0, 1.0]] * 12])
def test_rows_of_zeros_and_ones_are_numbers_and_a_warning_says_both_ways(rows):
    with pytest.warns(OnecycleWarning, match=r"rows of zeros and ones, taken as 3 numbers.*argmax"):
        data = from_arrays(X, rows, bs=2)
    assert type(data.task.target) is Numbers
    assert type(from_arrays(X, rows, label_cls=Numbers, bs=2).task.target) is Numbers


def test_rows_of_other_numbers_are_numbers_without_a_word():
    rows = np.array([[i, 2.0] for i in range(12)])
    assert type(from_arrays(X, rows, bs=2).task.target) is Numbers


# --- what the files of the archives say


def write_ucr(path, labels, steps=6):
    rows = [[label, *(f"{i + j}.5" for j in range(steps))] for i, label in enumerate(labels)]
    mark = {".txt": "  ", ".tsv": "\t", ".csv": ","}[path.suffix]
    path.write_text("\n".join(mark.join(map(str, row)) for row in rows) + "\n")
    return path


@pytest.mark.parametrize("suffix", [".txt", ".tsv", ".csv"])
@pytest.mark.parametrize("form", ["{:.7e}", "{:.1f}"])
def test_classes_of_ucr_files_are_whole_numbers_however_they_are_written(tmp_path, suffix, form):
    labels = [form.format(float(i % 2 * 2 - 1)) for i in range(12)]
    path = write_ucr(tmp_path / f"Own_TRAIN{suffix}", labels)
    with pytest.warns(OnecycleWarning, match=r"classes '-1', '1'.*label_cls=Numbers"):
        items = SeriesList.from_ts(path)
    labelled = items.split_by_idx([0, 1]).label_from_df()
    assert (kind(labelled), labelled.classes) == (Category, ["-1", "1"])
    numbers = items.split_by_idx([0, 1]).label_from_df(label_cls=Numbers)
    assert numbers.train.y.items.ravel().tolist() == [-1.0, 1.0] * 5


def test_whole_and_real_labels_of_ucr_files_are_what_they_are(tmp_path):
    whole = SeriesList.from_ts(write_ucr(tmp_path / "a.tsv", ["1", "2"] * 6))
    assert whole.split_by_idx([0, 1]).label_from_df().classes == ["1", "2"]
    real = SeriesList.from_ts(write_ucr(tmp_path / "b.tsv", [f"{i}.25" for i in range(12)]))
    assert kind(real.split_by_idx([0, 1]).label_from_df()) is Numbers


def write_ts(path, header, labels):
    lines = ["@problemName own", header, "@data"]
    path.write_text("\n".join(lines + [f"1,2,{i}:{label}" for i, label in enumerate(labels)]))
    return path


def test_the_header_of_an_archive_file_says_what_its_labels_are(tmp_path):
    labels = ["1.0", "2.0"] * 6
    classes = SeriesList.from_ts(write_ts(tmp_path / "a.ts", "@classLabel true 1.0 2.0", labels))
    assert kind(classes.split_by_idx([0, 1]).label_from_df()) is Category
    whole = [str(i % 3) for i in range(12)]
    numbers = SeriesList.from_ts(write_ts(tmp_path / "b.ts", "@targetLabel true", whole))
    labelled = numbers.split_by_idx([0, 1]).label_from_df()
    assert kind(labelled) is Numbers
    assert labelled.train.y.items.ravel().tolist() == [2, 0, 1, 2, 0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ([1, 2], Category),
        ([np.int64(1)], Category),
        (["a"], Category),
        ([True], Category),
        ([1, 2.5], Numbers),
        ([None, 2.5], Numbers),
        ([float("nan"), "a"], Category),
        ([(1.0, 2)], Numbers),
        ([["a"], []], MultiCategory),
        ([None, ("a",)], MultiCategory),
    ],
)
def test_a_kind_is_inferred_from_the_labels(labels, wanted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert infer_kind(labels) is wanted


def test_a_kind_of_ones_own_says_what_it_lacks():
    class Odd(Input):
        kind = "odd"

    class Strange(Target):
        kind = "strange"

    for kind, calls in (
        (Odd(), {"read": [0], "check": [[]], "with_transforms": [None], "as_item": [0]}),
        (Odd(), {"with_stats": [None, 0], "load": [0, 0, 0, None], "loader": [0]}),
        (Strange(), {"loss": [0, 0]}),
    ):
        for name, given in calls.items():
            with pytest.raises(
                NotImplementedError, match=rf"{type(kind).__name__} has no {name}\("
            ):
                getattr(kind, name)(*given)
