"""What the answers are: each way of labelling, by hand; each bad label with its name and row."""

import numpy as np
import pandas as pd
import pytest

from onecycle.core.errors import EmptyDataError, LabelError, OnecycleWarning, TableError, UsageError
from onecycle.core.paths import Path
from onecycle.data.targets import Category, MultiCategory, NoLabel, Numbers
from onecycle.vision.lists import ImageList

NAN = float("nan")


def listed(names, root="/data", frame=None):
    return ImageList._make([Path(root) / name for name in names], root, inner_df=frame)


def table(valid=(1, 3), index=None, **columns):
    """Items 0.jpg, 1.jpg, ... with a frame of these columns; the rows `valid` validate."""
    frame = pd.DataFrame({"name": [f"{i}.jpg" for i in range(len(next(iter(columns.values()))))]})
    for name, values in columns.items():
        frame[name] = values
    frame.index = frame.index if index is None else index
    return ImageList.from_df(frame, "/data").split_by_idx(valid)


def raw(labelled):
    return list(labelled.train.labels), list(labelled.valid.labels)


def target(labelled):
    return labelled.train.task.target


# --- every way


@pytest.fixture
def colours():
    return table(label=["red", "blue", "blue", "red", "green"])


def test_one_column_of_text_is_a_category(colours):
    labelled = colours.label_from_df()
    assert raw(labelled) == (["red", "blue", "green"], ["blue", "red"])
    assert type(target(labelled)) is Category
    assert labelled.classes == ["blue", "green", "red"]
    assert labelled.c == 3
    assert labelled.train.y.items.tolist() == [2, 0, 1]
    assert labelled.valid.y.items.tolist() == [0, 2]
    assert str(labelled.valid.y[1]) == "red"


@pytest.mark.parametrize("cols", [1, "label", ["label"], (1,)])
def test_one_column_by_place_or_name(colours, cols):
    assert colours.label_from_df(cols=cols).valid.y.items.tolist() == [0, 2]


def test_classes_are_fitted_on_the_training_side_only():
    split = table(label=["a", "a", "b", "a"])
    assert split.label_from_df().classes == ["a", "b"]


@pytest.mark.parametrize("word", ["007", "NA", "null", "nan", "None", "true"])
def test_words_stay_words_all_the_way_from_the_file(tmp_path, word):
    (tmp_path / "labels.csv").write_text(f"name,label\na,{word}\nb,x\nc,{word}\nd,x\n")
    split = ImageList.from_csv(tmp_path, "labels.csv").split_by_idx([2, 3])
    labelled = split.label_from_df()
    assert labelled.classes == sorted([word, "x"])
    assert labelled.valid.y[0].obj == word


def test_whole_numbers_are_classes_and_keep_their_order():
    labelled = table(label=[10, 9, 9, 10]).label_from_df()
    assert labelled.classes == [9, 10]
    assert labelled.train.y.items.tolist() == [1, 0]


def test_tags_apart_by_a_delimiter():
    tags = ["haze water", "clear", "clear water  road", "water"]
    labelled = table(tags=tags).label_from_df(label_delim=" ")
    assert type(target(labelled)) is MultiCategory
    assert labelled.classes == ["clear", "haze", "road", "water"]
    assert labelled.train.y.items.tolist() == [[0, 1, 0, 1], [1, 0, 1, 1]]
    assert labelled.valid.y.items.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert str(labelled.valid.y[0]) == "clear"


@pytest.mark.parametrize("one", [1, 1.0, "1", True])
def test_columns_of_zeros_and_ones_are_tags_named_like_the_columns(one):
    nil = type(one)(0) if not isinstance(one, str) else "0"
    split = table(water=[one, nil, one, nil], haze=[nil, nil, nil, one], road=[nil, one, one, nil])
    labelled = split.label_from_df(cols=["water", "haze", "road"])
    assert type(target(labelled)) is MultiCategory
    assert labelled.classes == ["water", "haze", "road"]  # in the order of the columns
    assert labelled.train.y.items.tolist() == [[1, 0, 0], [1, 0, 1]]
    assert labelled.valid.y.items.tolist() == [[0, 0, 1], [0, 1, 0]]
    assert split.label_from_df(cols=[1, 2, 3]).classes == ["water", "haze", "road"]


@pytest.mark.parametrize("odd", ["", "2", NAN])
def test_a_validation_cell_that_is_neither_zero_nor_one_is_an_error_with_its_row(odd):
    split = table(water=["1", "0", "0", "1"], haze=["0", odd, "1", "1"], index=[10, 11, 12, 13])
    with pytest.raises(LabelError, match=r"'water', 'haze'.*row\(s\) 11"):
        split.label_from_df(cols=["water", "haze"])


def test_columns_of_real_numbers_are_several_numbers():
    labelled = table(y=[0.5, 1, 2, 3], x=[4, 5, 6.5, 7]).label_from_df(cols=["y", "x"])
    assert type(target(labelled)) is Numbers
    assert target(labelled).names == ("y", "x")
    assert labelled.c == 2
    assert labelled.train.y.items.tolist() == [[0.5, 4], [2, 6.5]]
    assert labelled.train.y.items.dtype == np.float32


@pytest.mark.parametrize("values", [[1.5, 2.0, 3.25, 4.0], ["1.5", "2", "3.25", "4"]])
def test_a_column_of_real_numbers_is_one_number(values):
    labelled = table(age=values).label_from_df("age")
    assert type(target(labelled)) is Numbers
    assert labelled.train.y.items.tolist() == [[1.5], [3.25]]


def test_the_kind_may_be_said():
    split = table(age=["1", "2", "1", "1"])
    assert split.label_from_df(label_cls=Numbers).train.y.items.tolist() == [[1], [1]]
    assert table(age=[1.5, 2, 2, 1.5]).label_from_df(label_cls=Category).classes == [1.5, 2.0]
    with_thresh = table(t=["a b", "a", "b", "a"]).label_from_df(
        label_delim=" ", label_cls=MultiCategory(thresh=0.2)
    )
    assert target(with_thresh).thresh == 0.2
    assert with_thresh.classes == ["a", "b"]


def sides(names, valid):
    return listed(names).split_by_idx(valid)


def test_labels_from_folders():
    labelled = sides(
        ["train/dog/1.jpg", "train/cat/2.jpg", "valid/cat/3.jpg"], [2]
    ).label_from_folder()
    assert raw(labelled) == (["dog", "cat"], ["cat"])
    assert labelled.classes == ["cat", "dog"]


def test_labels_from_a_function_of_the_path():
    split = sides(["07_a.jpg", "03_b.jpg", "07_c.jpg"], [2])
    assert raw(split.label_from_func(lambda path: path.name[:2])) == (["07", "03"], ["07"])


def test_labels_from_an_expression_on_the_whole_path():
    names = ["Maine_Coon_12.jpg", "great_pyrenees_3.jpg", "Maine_Coon_101.jpg"]
    labelled = sides(names, [2]).label_from_re(r"/([^/]+)_\d+.jpg$")
    assert raw(labelled) == (["Maine_Coon", "great_pyrenees"], ["Maine_Coon"])


def test_paths_that_do_not_match_are_an_error_that_names_them():
    with pytest.raises(LabelError, match=r"1 paths do not match .*'/data/odd\.jpg'"):
        sides(["a_1.jpg", "odd.jpg", "b_2.jpg"], [2]).label_from_re(r"/([^/]+)_\d+\.jpg$")
    with pytest.raises(UsageError, match="needs a group"):
        sides(["a_1.jpg", "b_2.jpg"], [1]).label_from_re(r"_\d+")


def test_the_same_label_for_all_is_one_class_with_a_warning():
    with pytest.warns(OnecycleWarning, match="only one class, 'x'"):
        labelled = sides(["1", "2", "3"], [2]).label_const("x")
    assert raw(labelled) == (["x", "x"], ["x"])


def test_no_labels():
    labelled = sides(["1", "2"], [1]).label_empty()
    assert type(target(labelled)) is NoLabel
    assert str(labelled.train.y[0]) == ""


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1.5, Numbers),
        (np.float32(1.5), Numbers),
        ((0.5, 1.5), Numbers),
        (np.array([1, 2]), Numbers),
        (3, Category),
        (np.int64(3), Category),
        ("a", Category),
        (["a", "b"], MultiCategory),
        ({"a"}, MultiCategory),
    ],
)
@pytest.mark.filterwarnings("ignore:there is only one class|.*taken as numbers to be met")
def test_the_kind_of_label_is_inferred_from_its_type(value, kind):
    labelled = sides(["1", "2", "3"], [2]).label_from_func(lambda _: value)
    assert type(target(labelled)) is kind


def test_classes_may_be_an_array_in_any_order():
    split = sides(["red/1", "blue/2", "red/3"], [2])
    labelled = split.label_from_folder(classes=np.array(["red", "green", "blue"]))
    assert labelled.classes == ["red", "green", "blue"]
    assert all(type(name) is str for name in labelled.classes)
    assert labelled.train.y.items.tolist() == [0, 2]


def test_folders_beside_the_given_classes_are_left_out_with_a_warning():
    """`label_from_folder(classes=['neg', 'pos'])` in the course's film reviews: `unsup` goes."""
    names = ["train/neg/1", "train/unsup/2", "train/pos/3", "train/unsup/4", "test/pos/5"]
    split = listed(names).split_by_folder(valid="test")
    with pytest.warns(OnecycleWarning, match=r"2 of 4 labels .*'unsup \(2x\)'.*left out"):
        labelled = split.label_from_folder(classes=["neg", "pos"])
    assert raw(labelled) == (["neg", "pos"], ["pos"])
    with pytest.raises(LabelError, match=r"'unsup \(2x\)'"):
        split.label_from_folder(classes=["neg", "pos"], unknown="error")


# --- bad labels


@pytest.mark.parametrize("blank", ["", "   ", None, NAN, pd.NA])
@pytest.mark.parametrize("delimiter", [None, " "])
def test_blank_labels_are_an_error_with_their_rows(blank, delimiter):
    split = table(label=["a", "b", blank, "a", blank], index=[10, 11, 12, 13, 14])
    with pytest.raises(LabelError, match=r"2 of 3 labels are blank: row\(s\) 12, 14"):
        split.label_from_df(label_delim=delimiter)


@pytest.mark.parametrize("blank", ["", "   ", None, NAN])
def test_a_blank_cell_of_tags_may_mean_that_there_is_none(blank):
    split = table(label=["a b", blank, "b", "a", blank])
    with pytest.raises(LabelError, match='say blank="none"'):
        split.label_from_df("label", label_delim=" ")
    made = split.label_from_df("label", label_delim=" ", blank="none")
    assert made.train.y.items.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert made.valid.y.items.tolist() == [[0, 0], [1, 0]]
    with pytest.raises(UsageError, match="for tags"):
        split.label_from_df("label", blank="none")
    of_lists = table(label=[["a", "b"], blank, ["b"], ["a"], blank])
    labels = of_lists.label_from_df("label", blank="none")
    assert [str(y) for y in labels.train.y] == [str(y) for y in made.train.y]


def test_blank_labels_in_a_nullable_column():
    split = table(label=pd.array(["a", "b", pd.NA, "a"], dtype="string"))
    with pytest.raises(LabelError, match=r"1 of 2 labels are blank: row\(s\) 2"):
        split.label_from_df()


def test_a_blank_number_is_an_error_with_its_row():
    with pytest.raises(LabelError, match=r"row\(s\) 3"):
        table(age=[1.5, 2.5, 1.0, NAN]).label_from_df("age")
    with pytest.raises(LabelError, match=r"row\(s\) 2"):
        table(a=[1.5, 2.5, NAN, 2], b=[1.0, 2, 3, 4]).label_from_df(["a", "b"])


def test_a_blank_label_of_a_file_names_the_file():
    with pytest.raises(LabelError, match=r"labels are blank: '/data/2\.jpg'"):
        sides(["1.jpg", "2.jpg", "3.jpg"], [2]).label_from_func(
            lambda path: None if path.stem == "2" else "x"
        )


def test_a_missing_column_is_an_error_that_lists_the_columns(colours):
    with pytest.raises(TableError, match=r"no column 'tags'.*'name', 'label'"):
        colours.label_from_df("tags")
    with pytest.raises(UsageError, match="come from no table"):
        sides(["1", "2"], [1]).label_from_df()


def test_a_label_unseen_in_training_is_an_error_that_names_it_and_its_rows():
    split = table(valid=(3, 4, 5), label=["a", "b", "a", "z", "b", "z"], index=list("uvwxyz"))
    message = (
        r"2 of 3 labels cannot be used .*'z \(2x\)', at row\(s\) 'x', 'z'\. .*unknown=\"drop\""
    )
    with pytest.raises(LabelError, match=message):
        split.label_from_df()


def test_a_label_unseen_in_training_can_be_dropped_with_its_count():
    split = table(valid=(3, 4, 5), label=["a", "b", "a", "z", "b", "z"])
    with pytest.warns(OnecycleWarning, match=r"2 of 3 labels .*'z \(2x\)': left out"):
        labelled = split.label_from_df(unknown="drop")
    assert raw(labelled) == (["a", "b", "a"], ["b"])
    assert [item.name for item in labelled.valid.items] == ["4.jpg"]
    assert len(split.valid) == 3


def test_a_tag_unseen_in_training_is_an_error_that_names_it():
    split = table(tags=["a b", "a z", "b", "b"])
    with pytest.raises(LabelError, match=r"1 of 2 labels .*holds 'z'.*row\(s\) 1"):
        split.label_from_df(label_delim=" ")


def test_the_two_ways_with_unknown_labels_have_names(colours):
    with pytest.raises(UsageError, match='"error" or "drop"'):
        colours.label_from_df(unknown="ignore")


def test_one_class_only_is_a_warning():
    with pytest.warns(OnecycleWarning, match="only one class, 'a'"):
        labelled = table(label=["a", "a", "a", "a"]).label_from_df()
    assert labelled.c == 1


def test_text_where_numbers_are_wanted_is_an_error():
    with pytest.raises(LabelError, match="is not a number"):
        table(age=["1.5", "2", "old", "3"]).label_from_df(label_cls=Numbers)


def test_a_side_of_which_all_is_left_out_is_an_error():
    split = table(valid=(1,), kind=["x", "z", "x"])
    with (
        pytest.warns(OnecycleWarning, match="1 of 1"),
        pytest.raises(EmptyDataError, match="no validation items"),
    ):
        split.label_from_df("kind", unknown="drop")
    with (
        pytest.warns(OnecycleWarning, match="2 of 2"),
        pytest.raises(EmptyDataError, match="not in 'z' leaves no training items"),
    ):
        split.label_from_df("kind", classes=["z"])


def test_a_broken_expression_is_an_error_that_shows_it():
    with pytest.raises(UsageError, match=r"'/\(z' is no regular expression: missing"):
        table(kind=list("abcd")).label_from_re("/(z")


def test_an_error_of_the_users_function_carries_its_item():
    with pytest.raises(ZeroDivisionError) as error:
        table(kind=list("abcd")).label_from_func(lambda path: 1 / (int(path.stem) - 2))
    assert error.value.__notes__ == ["while labelling /data/2.jpg"]


def test_columns_of_labels_may_be_an_index():
    split = table(a=[0, 1, 0, 1, 1], b=[1, 0, 0, 1, 0])
    labelled = split.label_from_df(split.train.frame.columns[1:])
    assert target(labelled) == MultiCategory(classes=("a", "b"))
    assert raw(labelled)[0] == [["b"], [], ["a"]]
    with pytest.raises(TableError, match="no column is named"):
        split.label_from_df([])
    with pytest.raises(TableError, match="one column is wanted, not 'a', 'b'"):
        ImageList.from_df(split.train.frame, cols=["a", "b"])


def test_dates_are_no_classes():
    split = table(day=list(pd.date_range("2020-01-01", periods=5)))
    with pytest.raises(LabelError, match=r"Timestamp 2020-01-0\d.*make text"):
        split.label_from_df("day")
