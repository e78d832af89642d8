"""Projects of texts and of series: items that lie in a table, or in files of a line each."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar
from warnings import catch_warnings, simplefilter

import numpy as np

from onecycle.cli.studio.project import Item, Project, walk
from onecycle.cli.studio.rows import side_of_cell
from onecycle.core.errors import UsageError
from onecycle.runtime.inputs.text import FILES, text_of

_SHOWN = 400  # characters of a text in a list
_POINTS = 400  # of a curve as it is drawn


class TextProject(Project):
    """Texts of a table, or one in each .txt file of folders that are named like the classes.

    Those of a table are named by their rows and contents: a table that was changed meanwhile gives
    no label to another text.
    """

    kept: ClassVar[tuple[str, ...]] = ("text",)

    def read(self) -> None:
        self.texts: list[str | None] = []  # None: in its file, and not read yet
        if self.source.is_file():
            _read_texts(self)
        else:
            walk(self, self.source, FILES)
            self.texts = [None] * len(self.items)

    def text(self, i: int) -> str:
        """The whole text of an item."""
        found = self.texts[i]
        if found is None:
            found = self.texts[i] = text_of(self.folder / self.items[i].name)
        return found

    def words_of(self, i: int) -> str:
        return str(self.content(i)["text"]) if self._is_gone(i) else self.text(i)

    def content(self, i: int, whole: bool = False) -> dict[str, Any]:
        if not whole and self._is_gone(i):  # one file that is gone hides no others
            return {"text": f"({self.items[i].name}: no longer there)"}
        text = self.text(i)
        return {"text": text if whole else text[:_SHOWN]}

    def _is_gone(self, i: int) -> bool:
        return self.texts[i] is None and not (self.folder / self.items[i].name).is_file()

    def example(self, name: str) -> Any:
        return self.text(next(i for i, item in enumerate(self.items) if item.name == name))

    def where(self, folder: Path) -> dict[str, Any]:
        if folder == self.home:  # its own tables hold no texts: they are written at every key
            folder = self.home / "whole"
            folder.mkdir(exist_ok=True)
            self.keep_tables(folder)
        found = super().where(folder)
        del found["folder"]
        return found | {"text_col": "text"}


def _read_texts(project: TextProject) -> None:
    from onecycle.cli import layouts
    from onecycle.cli.frames import read_frame
    from onecycle.cli.options import WhereTexts
    from onecycle.data.tables import column

    frame = read_frame(project.source)
    where = WhereTexts(project.source, label_delim=project.delimiter)
    texts = column(frame, layouts.text_column(where, frame))
    labels = column(frame, layouts.label_column(where, frame))
    sides = frame["is_valid"] if "is_valid" in frame.columns else [""] * len(frame)
    first = 2 if project.source.suffix.lower() in (".csv", ".tsv") else 1
    blank = 0
    for row, (text, label, side) in enumerate(zip(texts, labels, sides, strict=True), first):
        text, name = "" if _is_nothing(text) else str(text), None if _is_nothing(label) else label
        item = Item(_named(row, text.encode("utf-8", "replace")), name and str(name).strip())
        item.side, item.out = side_of_cell(project.source, row, side), not text.strip()
        blank += item.out
        project.items.append(item)
        project.texts.append(text)
    if blank:
        project.notes.append(f"{blank} texts are blank, and are left out")


def _is_nothing(cell: Any) -> bool:
    return cell is None or cell != cell or not str(cell).strip()


def _named(row: object, content: bytes) -> str:
    return f"{row}-{sha256(content).hexdigest()[:8]}"


class SeriesProject(Project):
    """Series with classes, in a table or in files of the archives."""

    def read(self) -> None:
        with catch_warnings(record=True) as said:
            simplefilter("always")
            names, found, labels, sides = series_of(self.source)
        self.notes += [str(one.message) for one in said]
        self.series = found
        for name, label, side in zip(names, labels, sides, strict=True):
            self.items.append(Item(name, label or None, side))

    def content(self, i: int, whole: bool = False) -> dict[str, Any]:
        return {"series": drawn(self.series[i])}

    def example(self, name: str) -> Any:
        i = next(i for i, item in enumerate(self.items) if item.name == name)
        return np.atleast_2d(np.asarray(self.series[i], np.float64)).tolist()

    def where(self, folder: Path) -> dict[str, Any]:
        return {"source": str(self.source)}


def series_of(source: Path) -> tuple[list[str], list[Any], list[str], list[str]]:
    """(names, series, labels, sides) of a table, of an archive's file, or of a folder with two.

    A name is a place and the contents. UsageError where the labels are numbers to be met.
    """
    from onecycle.cli import layouts
    from onecycle.cli.frames import read_frame
    from onecycle.cli.options import WhereSeries
    from onecycle.data.tables import looks_like_numbers
    from onecycle.data.targets import Numbers, few_whole_numbers
    from onecycle.series.lists import SeriesList

    if source.suffix.lower() in (".csv", ".jsonl", ".parquet"):
        frame = read_frame(source)
        sided = "is_valid" if "is_valid" in frame.columns else None
        items = layouts.series_of_table(source, WhereSeries(source, valid_col=sided), {})
        rows: Iterable[Any] = range(2, len(items) + 2)
        cells = frame[sided] if sided else [""] * len(items)
        sides = [side_of_cell(source, r, c) for r, c in zip(rows, cells, strict=True)]
    else:
        files = layouts.archive_files(source) if source.is_dir() else (source,)
        items = SeriesList.from_ts(*files)
        rows = [Path(str(place)).name for place in items.frame.index]
        second = items.frame["file"].astype(bool)
        sides = ["valid" if late else "train" if len(files) > 1 else "" for late in second]
    labels = ["" if _is_nothing(c) else str(c).strip() for c in items.frame[items.label_col]]
    given = [label for label in labels if label]
    if items.label_cls is Numbers or (looks_like_numbers(given) and not few_whole_numbers(given)):
        raise UsageError(
            f"the labels of {source} are numbers, not classes, and the studio is for classes: "
            "onecycle train series learns numbers"
        )
    whole = [np.ascontiguousarray(np.asarray(x, np.float64)) for x in items.items]
    return [_named(r, x.tobytes()) for r, x in zip(rows, whole, strict=True)], whole, labels, sides


def drawn(x: np.ndarray) -> list[list[float | None]]:
    """A series (t,) or (channels, t) as curves of few points: of each part its least and most."""
    rows = np.atleast_2d(x)
    parts = _POINTS // 2
    if rows.shape[1] <= _POINTS:
        return [[None if np.isnan(v) else float(v) for v in row] for row in rows]
    found = []
    for row in rows:
        pieces = np.array_split(row, parts)
        pairs = [
            (p[0], p[0]) if np.isnan(p).all() else (np.nanmin(p), np.nanmax(p)) for p in pieces
        ]
        found.append([None if np.isnan(v) else float(v) for pair in pairs for v in pair])
    return found
