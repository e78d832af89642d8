"""Series from arrays, lists and CSV files; the page reads the same tables (tables.json)."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from onecycle.core.errors import DataError
from onecycle.spec.curves import as_series, from_csv, series_of

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


@pytest.mark.parametrize("source", [[], [[]], [1e300, 1], [10**400, 1], [[1, 2], [3]], "abc"])
def test_what_is_no_series_at_all_is_refused(source):
    with pytest.raises(DataError):
        as_series(source)
