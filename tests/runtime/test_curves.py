"""Series from arrays, lists and CSV files; the page reads the same tables (tables.json)."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from onecycle.core.errors import DataError
from onecycle.runtime.inputs.series import as_series, from_csv, series_of

TABLES = json.loads(Path(__file__).with_name("tables.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", TABLES, ids=lambda case: repr(case["text"][:20]))
def test_tables_become_the_rows_of_the_golden_file(case):
    if case["rows"] is None:
        with pytest.raises(DataError, match="table"):
            from_csv(case["text"], case["channels"])
        return
    np.testing.assert_array_equal(
        from_csv(case["text"], case["channels"]), np.array(case["rows"], float)
    )


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("0\n1.5\n2.5", "line 1 of the table: .*'0'.*header=False.*0.0"),
        ("x;y\n1,5;2,5", "line 2 of the table: .*write 1.5, not 1,5"),
    ],
)
def test_tables_that_can_be_read_in_two_ways_say_what_to_write(text, messages):
    with pytest.raises(DataError, match=messages):
        from_csv(text, 1)


def test_what_varies_a_little_on_a_high_level_is_kept():
    wave = np.array([[0, 0.25, 0.5, np.nan, 0.75, -0.25], [1, 2, 3, 4, 5, 6]])
    level = as_series(wave + 1e8, shift=True)
    np.testing.assert_array_equal(level[0], [0.25, 0.5, 0.75, 0.875, 1, 0])
    np.testing.assert_array_equal(level[1], [0, 1, 2, 3, 4, 5])
    low = wave[1:] + 1000  # float32 has room for these
    np.testing.assert_array_equal(as_series(low, shift=True), low)
    noise = np.array([0.3, 0.1 + 0.2, 0.3])  # of float64 itself: the series is constant
    assert np.ptp(as_series(noise, shift=True)) == 0


@pytest.mark.parametrize("unit", [1e-5, 1e-9, 1e-13, 1e-30, 1e-300])
def test_a_series_in_a_small_unit_is_one_in_a_large_unit(unit):
    wave = np.array([[0, 0.25, 0.5, np.nan, 1, -1], [1, 2, 3, 4, 5, 6]])
    wanted = [[0.5, 0.625, 0.75, 0.875, 1, 0], [0, 0.2, 0.4, 0.6, 0.8, 1]]
    np.testing.assert_allclose(as_series(wave * unit, shift=True), wanted, rtol=1e-6)
    assert np.ptp(as_series([unit] * 3, shift=True)) == 0


def test_a_file_its_path_its_bytes_and_a_list_are_the_same_series(tmp_path):
    file = tmp_path / "curve.csv"
    file.write_text("left,right\n1,8\n,4\n3,2\n")
    wanted = [[1, 2, 3], [8, 4, 2]]
    for source in (file, str(file), file.read_bytes(), io.BytesIO(file.read_bytes()), wanted):
        np.testing.assert_array_equal(series_of(source, 2), np.float32(wanted))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("no/such/file.csv", "cannot be read"),
        ([1, 2, 3], "1 channels, the model takes 2"),
        (b"1,2\n", "has shape"),
        ("\0", "cannot be read"),
    ],
)
def test_what_is_no_series_of_two_channels_is_refused(source, why):
    with pytest.raises(DataError, match=why):
        series_of(source, 2)


def test_tensors_of_any_precision_are_series():
    x = torch.tensor([1.0, 2.5, 3.0], dtype=torch.bfloat16)
    assert as_series(x).tolist() == [[1, 2.5, 3]]


@pytest.mark.parametrize("source", [[], [[]], [1e300, 1], [10**400, 1], [[1, 2], [3]], "abc"])
def test_what_is_no_series_at_all_is_refused(source):
    with pytest.raises(DataError):
        as_series(source)
