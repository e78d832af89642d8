"""What a training answered for its items: counts at once, the items themselves in slices."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf, isnan
from pathlib import Path
from typing import Any

from onecycle.core.errors import UsageError

_MATRIX = 40  # classes at most, of which a confusion matrix can be read


class Answers:
    """Those of one run by their losses; none of a kind that is not relabelled in the studio.

    `views` are "all" of the validation side, the "worst", which are wrong, and those of either side
    whose labels are in "doubt".
    """

    def __init__(self, file: Path) -> None:
        self.told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        rows = sorted(self.told.pop("rows", ()), key=lambda row: -_loss(row))
        self.classes = {name: i for i, name in enumerate(self.told.get("classes", ()))}
        held = [row for row in rows if row["side"] == "valid"]
        self.views: dict[str, Sequence[dict[str, Any]]] = {
            "worst": [row for row in held if row["actual"] != row["predicted"]],
            "doubt": [row for row in rows if row["doubt"]],
            "all": held,
        }

    def about(self) -> dict[str, Any]:
        """How many there are of each view and of each cell of the matrix: rows are the actual."""
        counts = Counter(map(self._cell, self.views["all"]))
        width = len(self.classes) + any(column == len(self.classes) for _, column in counts)
        matrix = [[counts[row, column] for column in range(width)] for row in range(width)]
        return self.told | {
            "views": {name: len(rows) for name, rows in self.views.items()},
            "matrix": matrix[: len(self.classes)] if len(self.classes) <= _MATRIX else None,
        }

    def _cell(self, row: Mapping[str, Any]) -> tuple[int, int]:
        """(actual, predicted) as numbers of classes; what is none, as "not sure", comes last."""
        none = len(self.classes)
        return self.classes.get(row["actual"], none), self.classes.get(row["predicted"], none)

    def slice(self, asked: Mapping[str, str], first: int, count: int) -> dict[str, Any]:
        """Some of a view, or of a `cell` of the matrix; UsageError where there is no such view."""
        name = asked.get("view", "all")
        if name not in self.views:
            raise UsageError(f"there is no view {name[:30]!r}: {', '.join(self.views)}")
        found = self.views[name]
        if (cell := asked.get("cell")) is not None:
            found = [row for row in found if cell == "{},{}".format(*self._cell(row))]
        return {"total": len(found), "rows": [dict(row) for row in found[first : first + count]]}

    def against(self, earlier: "Answers") -> dict[str, int]:
        """Of items that validated both what became right and what wrong, by the labels of now."""
        before = {row["name"]: row["predicted"] for row in earlier.views["all"]}
        both = [row for row in self.views["all"] if row["name"] in before]
        changed = Counter(
            (before[row["name"]] == row["actual"], row["predicted"] == row["actual"])
            for row in both
        )
        return {"both": len(both), "better": changed[False, True], "worse": changed[True, False]}


def _loss(row: Mapping[str, Any]) -> float:
    return inf if row["loss"] is None or isnan(row["loss"]) else row["loss"]
