"""Tables are read without guessing, and every fault has its row or its column."""

import numpy as np
import pandas as pd
import pytest

from onecycle.core.errors import EmptyDataError, OnecycleWarning, TableError
from onecycle.data.tables import as_frame, column, looks_like_numbers, read_table, truths


@pytest.fixture
def csv(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "labels.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_cells_stay_the_text_they_are(csv):
    frame = read_table(csv("name,label\n007,NA\n1.50,null\n,nan\nTrue,\n"))
    assert frame.to_numpy().tolist() == [["007", "NA"], ["1.50", "null"], ["", "nan"], ["True", ""]]


def test_a_byte_order_mark_is_no_part_of_the_first_name(csv):
    assert list(read_table(csv("name,label\na,b\n", "utf-8-sig")).columns) == ["name", "label"]


def test_latin_1_is_read_with_a_warning(csv):
    with pytest.warns(OnecycleWarning, match=r"labels\.csv is not UTF-8"):
        frame = read_table(csv("name,label\na,Crème brûlée\n", "latin-1"))
    assert frame["label"].tolist() == ["Crème brûlée"]


@pytest.mark.parametrize("text", ["", "\n \n", "name,label\n"])
def test_a_table_without_rows_is_an_error(csv, text):
    with pytest.raises(EmptyDataError, match=r"labels\.csv: (the file is empty|0 rows)"):
        read_table(csv(text))


def test_a_row_with_too_many_cells_is_an_error_that_names_its_line(csv):
    with pytest.raises(TableError, match=r"(?s)labels\.csv: .*line 3"):
        read_table(csv("name,label\na,b\nc,d,e\n"))


def test_columns_do_not_move_when_every_row_has_a_cell_too_many(csv):
    with pytest.raises(TableError, match=r"labels\.csv: .*line 2"):
        read_table(csv("name,label\na,red,1\nb,blue,2\n"))


def test_cells_missing_at_the_end_of_a_row_are_blank(csv):
    frame = read_table(csv("name,label\na,red\nb\n"))
    assert frame["name"].tolist() == ["a", "b"]
    assert not frame["label"].tolist()[1] or frame["label"].isna().tolist() == [False, True]


@pytest.mark.parametrize("text", ["name,label,name\na,b,c\n", "\n\nname, name\na,b\n"])
def test_columns_of_one_name_are_an_error(csv, text):
    with pytest.raises(TableError, match="'name' twice"):
        read_table(csv(text))


def test_another_delimiter_and_no_header(csv):
    assert read_table(csv("a;b\nc;d\n"), ";")["b"].tolist() == ["d"]
    headless = read_table(csv("x.jpg,red\ny.jpg,red\n"), header=None)
    assert column(headless, 1) == ["red", "red"]


def test_a_header_below_the_last_line_is_an_error(csv):
    with pytest.raises(TableError, match=r"labels\.csv"):
        read_table(csv("a,b\nc,d\n"), header=7)


def test_quoted_cells_may_hold_the_delimiter_and_line_breaks(csv):
    frame = read_table(csv('name,label\n"a, b","two\nlines"\n'))
    assert frame.to_numpy().tolist() == [["a, b", "two\nlines"]]


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(TableError, match=r"gone\.csv: cannot be read"):
        read_table(tmp_path / "gone.csv")


def test_a_missing_column_is_an_error_that_lists_those_there_are():
    frame = pd.DataFrame({"image": ["a"], "tags": ["b"]})
    for absent in ("label", 2, -3):
        with pytest.raises(TableError, match=r"no column .*has 2 columns: 'image', 'tags'"):
            column(frame, absent)


def test_columns_by_name_by_place_and_by_a_number_as_name():
    frame = pd.DataFrame([["a", "b"]], columns=["x", "y"])
    assert column(frame, "y") == column(frame, 1) == column(frame, -1) == ["b"]
    assert column(pd.DataFrame([["a", "b"]], columns=[1, 0]), 0) == ["b"]


def test_what_pandas_calls_missing_is_none_or_nan():
    frame = pd.DataFrame({"label": pd.array(["a", pd.NA], dtype="string")})
    assert column(frame, 0)[0] == "a"
    assert pd.isna(column(frame, 0)[1])
    assert isinstance(column(frame, 0)[1], float | None)


def test_repeated_columns_of_a_frame_are_an_error():
    with pytest.raises(TableError, match="several columns named 'a'"):
        as_frame(pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]))


def test_frames_of_other_libraries_are_asked_for_pandas():
    class Polars:
        def to_pandas(self):
            return pd.DataFrame({"a": [1]})

    assert as_frame(Polars())["a"].tolist() == [1]
    with pytest.raises(TableError, match="not list"):
        as_frame([[1]])
    with pytest.raises(EmptyDataError, match="0 rows"):
        as_frame(pd.DataFrame({"a": []}))


@pytest.mark.parametrize(
    "values",
    [[True, False, True], ["True", "False", "yes"], [1, 0, 1], [1.0, 0.0, 1.0], ["1", "", "Valid"]],
)
def test_yes_and_no_however_they_are_written(values):
    assert truths(pd.DataFrame({"v": values}), "v").tolist() == [True, False, True]


def test_neither_yes_nor_no_is_an_error_with_its_row():
    frame = pd.DataFrame({"v": ["yes", "maybe", "no"]}, index=[10, 11, 12])
    with pytest.raises(TableError, match=r"row\(s\) 11 hold 'maybe'"):
        truths(frame, "v")


def test_numbers_are_floats_or_text_with_a_point():
    assert looks_like_numbers([1.5, np.float32(2)])
    assert looks_like_numbers(["1.5", "2", "-3e2"])
    assert not looks_like_numbers(["1", "2", "007"])
    assert not looks_like_numbers(["1.5", "n/a"])
    assert not looks_like_numbers([1, 2])


def test_utf_16_is_read_by_its_mark(csv):
    frame = read_table(csv("name,label\n0,é\n1,ü\n", "utf-16"))
    assert frame.to_numpy().tolist() == [["0", "é"], ["1", "ü"]]
