"""A table that a command is given, as a frame."""

from pathlib import Path
from typing import Any

from onecycle.core.errors import EmptyDataError, TableError, UsageError
from onecycle.data.tables import read_table


def read_frame(table: Path) -> Any:
    """A table as a frame: of .csv and .tsv all cells are texts, .jsonl and .parquet have types."""
    import pandas as pd

    ending = table.suffix.lower()
    if not table.is_file():
        raise UsageError(f"{table} is no file")
    try:
        if ending == ".jsonl":
            frame = pd.read_json(table, lines=True, dtype=False)
        elif ending == ".parquet":
            frame = pd.read_parquet(table)
        else:
            return _of_several_columns(table, "\t" if ending == ".tsv" else ",")
    except ImportError as error:
        raise UsageError("Parquet files need pyarrow: pip install 'onecycle[parquet]'") from error
    except (ValueError, OSError) as error:
        raise TableError(f"{table}: cannot be read as {ending} ({error})") from error
    if frame.empty:
        raise EmptyDataError(f"{table}: 0 rows")
    return frame


def _of_several_columns(table: Path, own: str) -> Any:
    """Of .csv or .tsv; TableError where another mark stands between the names of the header."""
    frame = read_table(table, own)
    name = str(frame.columns[0])
    if frame.shape[1] == 1 and (mark := next((m for m in ",;\t|" if m in name), None)):
        raise TableError(
            f"{table}: there is one column, {name!r}: is {mark!r} what stands between its cells? "
            "In .csv it is a comma, in .tsv a tab: write the table so"
        )
    return frame
