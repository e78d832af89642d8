"""Lists of series, from arrays, tables and the archives' files."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as PurePath
from typing import Any, Self

import numpy as np

from onecycle.core.errors import DataError, EmptyDataError, TableError, UsageError, listing, warn
from onecycle.core.paths import Path
from onecycle.data import tables
from onecycle.data.lists import ItemList
from onecycle.data.targets import Category, Numbers, few_whole_numbers, whole
from onecycle.runtime.inputs.series import GAPS, numbers
from onecycle.runtime.inputs.series_files import labels_are, read_series
from onecycle.series.input import OPTIONS, SeriesInput

_NO_STEPS = {"index", "level_0", "id", "split", "fold", "valid", "is_valid"}


@dataclass(frozen=True, eq=False, repr=False)
class SeriesList(ItemList):
    """Series of one or several channels, held in memory; labels are in the frame's `label`.

    Every factory takes these fields of `SeriesSpec`: encodings, bins, scale, by, length, layout.
    """

    steps: tuple[Any, ...] = ()  # columns of `inner_df` that the series are made of

    @classmethod
    def _make(
        cls,
        items: Iterable[Any],
        path: str | PurePath,
        inner_df: Any = None,
        label_col: Any = "label",
        steps: Sequence[Any] = (),
        **options: Any,
    ) -> Self:
        """Series of the same number of channels; DataError names the one that is not usable."""
        series = tuple(items)
        if not series:
            raise EmptyDataError("there are no series")
        first, gaps = None, dict[Any, int]()
        names = range(len(series)) if inner_df is None else inner_df.index
        for x, name in zip(series, names, strict=True):
            values = numbers(x, name)
            first = first or len(values)
            if len(values) != first:
                raise DataError(f"series {name} has {len(values)} channels, the first has {first}")
            if lost := int(np.isnan(values).sum()):
                gaps[name] = lost
        _warn_of_gaps(gaps, len(series))
        made = _input(**options)
        _warn_of_turned([np.shape(x) for x in series])
        return cls(series, Path(path), made, inner_df, label_col=label_col, steps=tuple(steps))

    @classmethod
    def from_array(cls, x: Any, y: Any = None, path: str | PurePath = ".", **options: Any) -> Self:
        """One item for each of `x`: arrays (t,) or (channels, t), of any lengths.

        A frame has a series in each row. Labels `y` are (n,), (n, 1), floats (n, k) or a list.
        """
        if not isinstance(x, Iterable) or isinstance(x, str | bytes):
            raise UsageError(f"an array or a list of series is wanted, not {x!r}")
        x = x.to_numpy() if hasattr(x, "to_numpy") else list(x)
        frame = None if y is None else tables.label_frame(y, len(x))
        return cls._make(x, path, frame, **options)

    @classmethod
    def from_df(  # type: ignore[override]
        cls,
        df: Any,
        path: str | PurePath = ".",
        cols: Sequence[Any] | None = None,
        label_col: Any = "label",
        **options: Any,
    ) -> Self:
        """One series a row: the values of `cols`, by default all columns but `label_col`.

        `label_col=None` says that every column is a step. Raises TableError where a column that
        holds the answer, the split, times or a saved index would become a step.
        """
        frame = tables.as_frame(df)
        names = _steps(frame, label_col) if cols is None else tables.column_list(cols)
        for name in names:
            if name not in frame.columns:
                raise TableError(f"there is no column {name!r}")
        if len(names) < 2:
            raise UsageError(f"cols are the names of two columns or more, one a step, not {names}")
        for name in names:
            if frame[name].dtype.kind in "mMc":
                where = f"column {name!r} holds {frame[name].dtype}, no numbers"
                raise TableError(f"{where}: leave it out of `cols`")
        if cols is None and (others := _others(names)):
            raise TableError(
                f"column {others[0]!r} seems to be no step: the other columns are numbered; name "
                "the steps in `cols`"
            )
        cells = _without_gaps(frame[names])
        try:
            values = cells.to_numpy(dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TableError(_odd_cell(cells)) from error
        return cls._make(list(values), path, frame, label_col, names, **options)

    @classmethod
    def from_csv(  # type: ignore[override]
        cls,
        path: str | PurePath,
        csv_name: str | PurePath,
        header: int | str | None = "infer",
        delimiter: str | None = None,
        **options: Any,
    ) -> Self:
        """As `from_df`, from the file `path/csv_name`; empty cells, ?, NA and null are gaps."""
        frame = tables.read_table(Path(path) / csv_name, delimiter, header)
        return cls.from_df(frame, path, **options)

    @classmethod
    def from_ts(cls, *files: str | PurePath, **options: Any) -> Self:
        """UEA `.ts` files, or UCR's (`.tsv`, `.txt`, `.csv`: the label, then the values).

        Several come one after the other; see `split_by_file`. The header of a `.ts` file says
        whether its labels are classes or numbers; few whole numbers in another, as UCR writes
        classes (`1.0000000e+00`), become classes (`1`), with a warning.
        """
        paths = [Path(file) for file in files]
        if not paths:
            raise UsageError("name one file or more")
        if len({path.resolve() for path in paths}) < len(paths):
            raise UsageError(f"a file is named twice: {listing(map(str, files))}")
        series, labels, places, side = [], [], [], []
        for number, path in enumerate(paths):
            found, named, lines = read_series(path)
            series += found
            labels += named
            places += lines
            side += [number] * len(found)
        kinds = {labels_are(path) for path in paths}
        labels = labels if kinds - {""} else _class_names(labels)
        frame = tables.label_frame(labels, len(series)).set_index([places]).assign(file=side)
        made = cls._make(series, paths[0].parent, frame, **options)
        kind = kinds.pop() if len(kinds) == 1 else ""
        return replace(made, label_cls={"class": Category, "target": Numbers}.get(kind))

    def split_by_file(self) -> Any:
        """The series of the first file train, those of the others validate."""
        if self.inner_df is None or "file" not in self.inner_df:
            raise UsageError("these series come from no files: use from_ts(train, test)")
        return self.split_by_idx(np.flatnonzero(self.inner_df["file"]).tolist())

    def refuse_inputs(self, cols: Iterable[tables.Column]) -> None:
        names: list[Any] = self.frame.columns.tolist() if self.steps else []
        for col in cols:
            counted = isinstance(col, int) and col not in names and -len(names) <= col < len(names)
            name: Any = names[col] if counted else col  # type: ignore[index]
            if name in self.steps:
                raise TableError(
                    f"column {name!r} is a step of these series, and no label or split as well: "
                    "give from_df the columns of the steps alone, cols=[...]"
                )


def _class_names(labels: list[str]) -> list[str]:
    """Classes that are written as real numbers as the whole numbers they are; others as given."""
    found = few_whole_numbers(labels) if tables.looks_like_numbers(labels) else []
    if not found:
        return labels
    message = (
        f"the {len(labels)} labels are written as real numbers ({labels[0]!r}, ...), and are taken "
        f"as the classes {listing(map(str, found))}. If they are numbers to be met, say "
        "label_from_df(label_cls=Numbers)"
    )
    warn(message, 3)
    return [str(whole(label)) for label in labels]


def _warn_of_gaps(gaps: dict[Any, int], count: int) -> None:
    if gaps:
        message = (
            f"{sum(gaps.values())} gaps in {len(gaps)} of {count} series ({listing(gaps)}) are "
            "filled by straight lines between their neighbours: leave such series out, or fill "
            "them before, if that is not meant"
        )
        warn(message, 4)


def _warn_of_turned(shapes: Sequence[tuple[int, ...]]) -> None:
    """Arrays (steps, channels), as other libraries have them, would be taken for many channels."""
    turned = [shape for shape in shapes if len(shape) == 2 and shape[0] > shape[1]]
    if turned:
        message = (
            f"{len(turned)} of {len(shapes)} series have more channels than steps ({turned[0][0]} "
            f"and {turned[0][1]}): each is an array (channels, steps). If yours are (steps, "
            "channels), give x.transpose(0, 2, 1), or x.T of each"
        )
        warn(message, 4)


def _input(**options: Any) -> SeriesInput:
    for name in options:
        if name not in OPTIONS:
            raise UsageError(f"there is no option {name!r}: there are {', '.join(OPTIONS)}")
    given = options.get("encodings", SeriesInput.encodings)
    several = isinstance(given, Iterable) and not isinstance(given, str)
    options["encodings"] = encodings = tuple(given) if several else (given,)
    useless = {}
    if "mtf" not in encodings:
        useless = {"bins": "are those of the encoding 'mtf'"}
    if encodings == ("mtf",):
        useless = dict.fromkeys(("scale", "by"), "has no effect on 'mtf', which takes ranks")
    if not encodings:
        useless["layout"] = "is that of images"
    for name, why in useless.items():
        if name in options:
            raise UsageError(f"{name} {why}: leave it out with encodings={encodings}")
    return SeriesInput(**options)


def _steps(frame: Any, label_col: Any) -> list[Any]:
    """All columns but the label's, if none of them looks like something else than a step."""
    if label_col is not None and label_col not in frame.columns:
        raise TableError(
            f"there is no column {label_col!r}: name the labels' with label_col (None if every "
            "column is a step), or the steps in `cols`"
        )
    names = [c for c in frame.columns if label_col is None or c != label_col]
    for name in names:
        text = str(name)
        odd = text.lower() in _NO_STEPS or text.startswith("Unnamed:")
        if odd or frame[name].dtype == bool:
            raise TableError(f"column {name!r} seems to be no step: name the steps in `cols`")
    return names


def _others(names: Sequence[Any]) -> list[Any]:
    """Names without a number among names that are numbered, such as `age` beside `t0`, `t1`, ..."""
    stems = [re.sub(r"[\d.]+$", "", str(name)) for name in names]
    usual = max(stems, key=stems.count)
    others = [n for stem, n in zip(stems, names, strict=True) if stem != usual or stem == str(n)]
    return others if 2 * len(others) < len(names) else []


def _without_gaps(cells: Any) -> Any:
    """NaN in place of the marks of gaps."""
    return cells.replace(rf"(?i)^\s*({'|'.join(map(re.escape, GAPS))})\s*$", np.nan, regex=True)


def _odd_cell(frame: Any) -> str:
    """Where the first cell is that is no number, of cells without marks of gaps."""
    import pandas as pd

    for name, cells in frame.items():
        odd = pd.to_numeric(cells, errors="coerce").isna() & cells.notna()
        if odd.any():
            row = odd.idxmax()
            return f"row {row}, column {name!r}: {str(cells[row])[:80]!r} is no number"
    return "some cells are no numbers: name the columns of the steps in `cols`"
