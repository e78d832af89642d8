"""What `data.check()` found: items with a problem, as a table, as files and as what to do next."""

import html
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from onecycle.core.errors import EmptyDataError, UsageError, listing
from onecycle.core.paths import Path
from onecycle.data.checks import Side, comparable, spellings
from onecycle.data.groups import By
from onecycle.data.groups import groups_of as groups_by
from onecycle.data.looks import Finding, Look, groups_of, is_file, looks_of, near_pairs
from onecycle.data.task import Task

if TYPE_CHECKING:
    import pandas as pd

_ADVICE = {
    "missing": "correct the folder, the suffix or the names",
    "unreadable": "give the rights, or save it in a format that is read",
    "damaged": "copy or download it again, or leave it out",
    "leak": "what is measured on its copy has been learned by heart: leave it out",
    "group leak": "its group is measured on, too: split with group_by=, or leave it out",
    "copy": "it counts several times: leave it out, unless that is meant",
    "conflict": "the same content has several labels: correct them, or leave all out",
    "near leak": "as a leak, if the two are of one thing: frames of a film, crops, copies",
    "near copy": "as a copy, if the two are of one thing",
    "near conflict": "one of two labels may be wrong: look at both",
    "no training item": "nothing can be learned of the class: is it spelt as in the data?",
    "no validation item": "no figure tells how well the class is learned: split otherwise",
    "rare class": "collect more of it, or give the loss weights",
    "spelling": "classes that differ in blanks or capitals alone: make them one",
}
_RARE = 10  # times fewer training items than the commonest class has
_SHOWN = 3  # items of a problem that are named
_LONGEST = 60  # characters of a label, and of the beginning of a text


@dataclass(frozen=True)
class ReportRow:
    """One problem of one item; of a class there is no `file`, and `index` is None."""

    file: str
    side: str
    label: str
    problem: str
    detail: str
    index: int | None = None  # of the item on its side


@dataclass(frozen=True, eq=False)
class DataReport:
    """Problems of items, in `rows`; `counts` are the items of each side that were looked at.

    `class_counts` are the items of each class on each side, `advice` is what to do by problem.
    """

    rows: tuple[ReportRow, ...]
    counts: Mapping[str, int]
    class_counts: Mapping[str, Counter[Any]]
    advice: Mapping[str, str]
    root: Path

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def problems(self) -> dict[str, int]:
        """How many items (or classes) have each problem, the commonest last."""
        counts = Counter(row.problem for row in self.rows)
        return dict(sorted(counts.items(), key=lambda pair: pair[1]))

    def to_frame(self) -> "pd.DataFrame":
        """All rows, with the columns file, side, label, problem, detail."""
        import pandas as pd

        columns = ["file", "side", "label", "problem", "detail"]
        return pd.DataFrame([[getattr(r, c) for c in columns] for r in self.rows], columns=columns)

    def paths(self, *problems: str) -> list[Path]:
        """The files with one of these problems, each once; without any named, with whatever one."""
        rows = self.of(*problems) if problems else self.rows
        return [Path(file) for file in dict.fromkeys(row.file for row in rows) if file]

    def of(self, *problems: str) -> list[ReportRow]:
        """The rows of these problems; UsageError for one that was not found and is none."""
        unknown = [name for name in problems if name not in {*self.advice, *self.problems}]
        if unknown or not problems:
            raise UsageError(
                f"name problems of this report ({listing(self.problems, 20)}), not "
                f"{listing(unknown) or 'none'}"
            )
        return [row for row in self.rows if row.problem in problems]

    def kept(self, problems: Sequence[str], sides: Sequence[Side]) -> dict[str, list[int]]:
        """By the name of each side the positions of the items that have none of these problems.

        UsageError for problems of no single item, and where `sides` are not those of the report.
        """
        rows = self.of(*problems)
        if whole := sorted({row.problem for row in rows if row.index is None}):
            raise UsageError(f"{listing(whole)} is about no single item: it cannot be left out")
        if self.counts != {side.name: len(side.items) for side in sides}:
            raise UsageError("this report is of other data: call check() of the data it is used on")
        out = {(row.side, row.index) for row in rows}
        kept = {s.name: [i for i in range(len(s.items)) if (s.name, i) not in out] for s in sides}
        if empty := [name for name, positions in kept.items() if not positions]:
            raise EmptyDataError(f"leaving out {listing(problems)} leaves no {empty[0]} item")
        return kept

    def classes(self) -> "pd.DataFrame":
        """Items of each class (a row) on each labelled side (a column)."""
        import pandas as pd

        frame = pd.DataFrame(dict(self.class_counts.items()))
        return frame.fillna(0).astype(int)

    def _lines(self) -> Iterator[tuple[str, str, str, str]]:
        """Problem, count, the first names, what to do."""
        for problem, count in self.problems.items():
            rows = self.of(problem)
            named = list(dict.fromkeys(_name(row, self.root) for row in rows))
            more = f" and {len(named) - _SHOWN} more" * (len(named) > _SHOWN)
            yield (
                problem,
                str(count),
                ", ".join(named[:_SHOWN]) + more,
                self.advice.get(problem, ""),
            )

    @property
    def _title(self) -> str:
        sides = ", ".join(f"{count:,} {name}" for name, count in self.counts.items())
        found = f"{len(self.problems)} kinds of problems" if self.rows else "no problem found"
        return f"{sum(self.counts.values()):,} items looked at ({sides}): {found}"

    @property
    def _how(self) -> str:
        """What to do with items, by a problem that some have; "" where none has any."""
        first = next((row.problem for row in self.rows if row.index is not None), "")
        how = (
            f'data.without(report, "{first}") leaves such items out, report.paths("{first}") gives '
        )
        return f"{how}their files, report.to_frame() all rows" * bool(first)

    def __repr__(self) -> str:
        lines = [self._title]
        wide = max(map(len, self.problems), default=0)
        for problem, count, named, advice in self._lines():
            lines += [f"{problem:{wide}} {count:>7}  {named}", f"{'':{wide}} {'':7}  -> {advice}"]
        return "\n".join([*lines, *[self._how] * bool(self._how)])

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
            for line in self._lines()
        )
        head = "".join(f"<th>{name}</th>" for name in ("problem", "items", "first", "what to do"))
        table = f'<table style="text-align:left"><tr>{head}</tr>{rows}</table>' * bool(self.rows)
        return f"<p>{html.escape(self._title)}</p>{table}<p>{html.escape(self._how)}</p>"


def _name(row: ReportRow, root: PurePath) -> str:
    """A file below the root, an item, or a class."""
    file = PurePath(row.file)
    if not row.file:
        return row.detail if row.index is not None else row.label or row.detail
    inside = file.is_relative_to(root)
    return (file.relative_to(root) if inside else PurePath(*file.parts[-2:])).as_posix()


@dataclass(frozen=True)
class _Place:
    """Where an item stands: its side, and its position there."""

    side: Side
    index: int
    by_file: bool

    @property
    def item(self) -> Any:
        return self.side.items[self.index]

    @property
    def file(self) -> str:
        """Its path, or "" for what is in memory."""
        return os.fspath(self.item) if is_file(self.item, self.by_file) else ""

    @property
    def name(self) -> str:
        """Its path, or its number, with the beginning of a text."""
        begin = f" {self.item[:_LONGEST]!r}" if isinstance(self.item, str) else ""
        return self.file or f"item {self.index} of {self.side.name}{begin}"

    @property
    def label(self) -> Any:
        return None if self.side.labels is None else self.side.labels[self.index]

    @property
    def label_text(self) -> str:
        if isinstance(self.label, list | tuple | set | frozenset):
            return "; ".join(map(str, self.label))[:_LONGEST]
        return str(self.label) if comparable(self.label) is not None else ""

    def row(self, problem: str, detail: str) -> ReportRow:
        shown = detail if self.file else f"{self.name}: {detail}"
        return ReportRow(self.file, self.side.name, self.label_text, problem, shown, self.index)


def check_data(task: Task, sides: Sequence[Side], root: Path, group_by: By = None) -> DataReport:
    """Look at every item of all sides, its label and group, and at all beside one another."""
    given, target = task.input, task.target
    places = [_Place(side, i, given.by_file) for side in sides for i in range(len(side.items))]
    looks = looks_of(given, [place.item for place in places])
    labelled = [n for n, place in enumerate(places) if place.side.labels is not None]
    of_labels = target.doubts([looks[n] for n in labelled], [places[n].label for n in labelled])
    found: list[Finding] = [(n, *problem) for n, k in enumerate(looks) for problem in k.problems]
    found += given.doubts([place.item for place in places], looks)
    found += [(n if n is None else labelled[n], what, detail) for n, what, detail in of_labels]
    found += _same_contents(places, looks, not target.on_image)
    found += [] if group_by is None else _groups_across(sides, group_by)
    rows = [
        ReportRow("", "", "", what, detail) if n is None else places[n].row(what, detail)
        for n, what, detail in found
    ]
    counts = {
        side.name: Counter(name for y in side.labels for name in target.classes_of(y))
        for side in sides
        if side.labels is not None
    }
    classes = _odd_classes(target.named_classes(), counts)
    rows += [ReportRow("", "", str(name), what, detail) for name, what, detail in classes]
    advice = {**_ADVICE, **given.advice, **target.advice}
    return DataReport(tuple(rows), {s.name: len(s.items) for s in sides}, counts, advice, root)


def _same_contents(
    places: Sequence[_Place], looks: Sequence[Look], one_label: bool
) -> list[Finding]:
    """The same content on several sides, twice on one, or under several labels; or nearly so.

    Without `one_label` the same content may well have several: a mask is drawn over each image.
    """
    found = dict[Any, Finding]()
    for near, groups in (("", groups_of(k.digest for k in looks)), ("near ", near_pairs(looks))):
        for group in groups:
            own = {n: places[n] for n in group}
            for n, problem, detail in (*_twice(own), *(_contradicting(own) if one_label else ())):
                found.setdefault((n, problem, near), (n, f"{near}{problem}", detail))
    return list(found.values())


def _groups_across(sides: Sequence[Side], by: By) -> Iterator[Finding]:
    """Items of groups that a later side has, too; sides come as training, validation, test."""
    known = [groups_by(side.source, by) for side in sides if side.source is not None]
    last = {group: side.name for side, own in zip(sides, known, strict=True) for group in own}
    every = [(side.name, group) for side, own in zip(sides, known, strict=True) for group in own]
    for n, (name, group) in enumerate(every):
        if last[group] != name:
            yield n, "group leak", f"group {group} is in {last[group]}, too"


def _twice(group: Mapping[int, _Place]) -> Iterator[tuple[int, str, str]]:
    """What is measured on stays: of a leak the others are named, of copies all but the first."""
    first = dict[str, int]()
    for n, place in group.items():
        first.setdefault(place.side.name, n)
    measured = list(first)[-1]  # sides come as training, validation, test
    for n, place in group.items():
        side = place.side.name
        if side != measured:
            other = group[first[measured]]
            yield n, "leak", f"= {other.name}" + f" of {measured}" * bool(other.file)
        if first[side] != n:
            yield n, "copy", f"= {group[first[side]].name}"


def _contradicting(group: Mapping[int, _Place]) -> Iterator[tuple[int, str, str]]:
    """All items, where their labels are not all the same; each beside the first of another."""
    marks = {n: mark for n, place in group.items() if (mark := comparable(place.label)) is not None}
    firsts = {mark: group[n] for n, mark in reversed(marks.items())}
    for n, mark in marks.items() if len(firsts) > 1 else ():
        other = next(place for theirs, place in firsts.items() if theirs != mark)
        yield n, "conflict", f"{other.label_text!r} at {other.name}"


def _odd_classes(
    classes: Sequence[Any], counts: Mapping[str, Counter[Any]]
) -> Iterator[tuple[Any, str, str]]:
    """Classes that are missing on a side, rare, or spelt in several ways."""
    train, valid = (counts.get(name, Counter()) for name in ("training", "validation"))
    name, most = max(((name, train[name]) for name in classes), key=lambda x: x[1], default=("", 0))
    for own in classes:
        if not train[own]:
            yield own, "no training item", f"{valid[own]} validation items"
        elif _RARE * train[own] <= most:
            yield own, "rare class", f"{train[own]} training items, {name} has {most}"
        if valid and train[own] and not valid[own]:
            yield own, "no validation item", f"{train[own]} training items"
    yield from (("", "spelling", group) for group in spellings(classes))
