"""Tables that users have, read without guessing: text stays text, every fault has its row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from onecycle.core.errors import EmptyDataError, TableError, UsageError, listing
from onecycle.core.files import encoding_of

if TYPE_CHECKING:
    import pandas as pd


Column = int | str
_PIECE = 10_000  # rows at once
_MOST_COLUMNS = 100_000  # of which pandas needs ten seconds and a quarter of a gigabyte
_TRUE = {"true", "1", "1.0", "yes", "t", "y", "valid"}
_FALSE = {"false", "0", "0.0", "no", "f", "n", "train", ""}


def read_table(
    path: str | Path, delimiter: str | None = None, header: int | str | None = "infer"
) -> pd.DataFrame:
    """A CSV file as a frame of strings: "007", "NA" and "null" stay what they are."""
    import pandas as pd

    pieces = [piece for piece in read_pieces(path, delimiter, header) if len(piece)]
    if not pieces:
        raise EmptyDataError(f"{path}: 0 rows below the header")
    return pd.concat(pieces)


def read_pieces(
    path: str | Path, delimiter: str | None = None, header: int | str | None = "infer"
) -> Iterator[pd.DataFrame]:
    """As `read_table`, some rows at a time: for files that are larger than memory."""
    import pandas as pd

    path = Path(path)
    encoding = encoding_of(path)
    with path.open(encoding=encoding) as file:
        _check_header(path, "".join(islice(file, 50)), delimiter, header)
    options: dict[str, Any] = {"header": header, "encoding": encoding, "chunksize": _PIECE}
    as_text: dict[str, Any] = {"dtype": str, "keep_default_na": False, "na_filter": False}
    try:
        with pd.read_csv(path, sep=delimiter or ",", **options, **as_text) as pieces:
            for piece in pieces:
                if not isinstance(piece.index, pd.RangeIndex):  # pandas takes the rest for names
                    raise TableError(
                        f"{path}: from line 2 on, rows have more cells than the header has names"
                    )
                yield piece
    except TableError:
        raise
    except pd.errors.EmptyDataError as error:
        raise EmptyDataError(f"{path}: the file is empty") from error
    except ValueError as error:
        message = f"{path}: {str(error).strip()}; is the delimiter {delimiter or ','!r}?"
        raise TableError(message) from error


def as_frame(table: Any) -> pd.DataFrame:
    """A pandas frame, also from polars and other frames that know `to_pandas`."""
    import pandas as pd

    frame = table if isinstance(table, pd.DataFrame) else getattr(table, "to_pandas", lambda: 0)()
    if not isinstance(frame, pd.DataFrame):
        raise TableError(f"a DataFrame is wanted, not {type(table).__name__}")
    if twice := _duplicates(map(str, frame.columns)):
        raise TableError(f"the frame has several columns named {listing(twice)}: rename or drop")
    if frame.empty:
        raise EmptyDataError("the frame has 0 rows")
    return frame


def column_list(cols: Any) -> list[Any]:
    """One column, or a list, tuple or index of several, as a list; TableError for none."""
    names = list(cols) if isinstance(cols, Iterable) and not isinstance(cols, str) else [cols]
    if not names:
        raise TableError("no column is named")
    return names


def column(frame: pd.DataFrame, col: Column) -> list[Any]:
    """The values of one column, named or counted from 0, as Python has them.

    pandas' own two ways of saying "nothing" become None.
    """
    import pandas as pd

    col, *more = column_list(col)
    if more:
        raise TableError(f"one column is wanted, not {listing([col, *more])}")
    col, count = int(col) if isinstance(col, np.integer) else col, frame.shape[1]
    if col in frame.columns:
        series = frame[col]
    elif isinstance(col, int) and -count <= col < count:
        series = frame.iloc[:, col]
    else:
        known = f"the table has {count} columns: {listing(frame.columns, 12)}"
        raise TableError(f"there is no column {col!r}: {known}")
    return [None if value is pd.NA or value is pd.NaT else value for value in series.tolist()]


def truths(frame: pd.DataFrame, col: Column) -> np.ndarray:
    """A column of yes and no, however it is written, as booleans."""
    values = [str(v).strip().lower() for v in column(frame, col)]
    wrong = [i for i, v in enumerate(values) if v not in _TRUE and v not in _FALSE]
    if wrong:
        rows = listing(frame.index[wrong].tolist())
        found = listing(dict.fromkeys(values[i] for i in wrong))
        raise TableError(
            f"column {col!r} should hold true or false, but row(s) {rows} hold {found}"
        )
    return np.array([v in _TRUE for v in values])


def looks_like_numbers(values: list[Any]) -> bool:
    """Real numbers, not names: floats, or text that all reads as numbers, one with a point."""
    if not all(isinstance(v, str) for v in values):
        return all(isinstance(v, float | np.floating) for v in values)
    try:
        finite = all(math.isfinite(float(text)) for text in values)
    except ValueError:
        return False
    return not values or (finite and any("." in t or "e" in t.lower() for t in values))


def _check_header(path: Path, text: str, delimiter: str | None, header: int | str | None) -> None:
    """TableError for a repeated column, which pandas renames in silence, and for very many."""
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        raise TableError(f"delimiter= is one character, such as ';' or a tab, not {delimiter!r}")
    import csv

    line = int(header) if header is not None and not isinstance(header, str) else 0
    lines = [row for row in text.splitlines() if row.strip()]
    first = lines[line : line + 1]
    count = "".join(first).count(delimiter or ",") + 1
    if count > _MOST_COLUMNS:
        raise TableError(
            f"{path} has {count:,} columns, more than {_MOST_COLUMNS:,}: is it a table? Long "
            "series are read as arrays, or from .ts and .tsv files"
        )
    if header is None:
        return
    try:
        names = next(csv.reader(first, delimiter=delimiter or ","), [])
    except csv.Error as error:
        raise TableError(f"{path}: its header cannot be read ({error})") from error
    if twice := _duplicates(name.strip() for name in names):
        raise TableError(f"{path}: the header names {listing(twice)} twice: rename or drop one")


def _duplicates(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


# Labels that are given beside the items: an array, a tensor, a frame or a list.


def as_array(x: Any) -> Any:
    """A tensor or a frame as an array, anything else as it is."""
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return (x.float() if x.element_size() < 4 and x.is_floating_point() else x).numpy()
    return x.to_numpy() if hasattr(x, "to_numpy") else x


def label_frame(y: Any, count: int) -> Any:
    """A frame with one label in each of its `count` rows, in the column `label`.

    (n,), (n, 1), or (n, k) floats; of a list or another iterable its own values. UsageError for
    other shapes, for times and for another number of labels.
    """
    import pandas as pd

    labels = _label_values(y)
    if len(labels) != count:
        raise UsageError(f"there are {count} items in x and {len(labels)} labels in y")
    return pd.DataFrame({"label": pd.Series(labels, dtype=object)})


def _label_values(y: Any) -> list[Any]:
    y = as_array(y)
    if not isinstance(y, Iterable) or isinstance(y, str | bytes | Mapping | Set):
        raise UsageError(f"labels are an array (n,) or a list, not {type(y).__name__}")
    if not isinstance(y, np.ndarray):
        y = [as_array(label) if isinstance(label, Tensor) else label for label in y]
        if not y or not all(isinstance(label, np.ndarray) for label in y):
            scalars = (isinstance(v, np.generic) and v.dtype.kind not in "mM" for v in y)
            return [v.item() if plain else v for v, plain in zip(y, scalars, strict=True)]
        if len({label.shape for label in y}) > 1:
            raise UsageError(f"labels are of several shapes: {y[0].shape}, ...")
        y = np.stack(y)
    if y.ndim == 2 and y.shape[1] == 1 and y.dtype.kind != "f":
        y = y[:, 0]
    if y.ndim == 2 and y.dtype.kind == "O":
        y = np.array(y.tolist())  # a frame of several kinds of numbers
    if y.dtype.kind in "mM":
        raise UsageError(f"labels are times ({y.dtype}): make them words, or floats to be met")
    if y.ndim == 0 or y.ndim > 2 or (y.ndim == 2 and y.dtype.kind != "f"):
        raise UsageError(
            f"labels of shape {y.shape}, {y.dtype}: an array (n,) is wanted, floats (n, k) to be "
            "met as numbers (whole numbers: y.astype(float)), or a list of lists of tags"
        )
    return y.tolist()
