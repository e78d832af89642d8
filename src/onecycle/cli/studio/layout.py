"""What the studio can do with each kind of data that `onecycle train` takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onecycle.cli.options import (
    CHANGES,
    How,
    HowTexts,
    Where,
    WhereMasks,
    WhereSeries,
    WhereTexts,
)

_PATHS = {"source", "test", "classes", "valid_names"}


@dataclass(frozen=True)
class Layout:
    """Options of its training, and whether its labels and its answers are decided here.

    `settings` of `how` are those that the page may choose. With `labels` the studio has a table of
    labels of its own; `precisions` says whether its weights load without the data.
    """

    where: type[Any]
    how: type[Any]
    settings: tuple[str, ...] = ()
    labels: bool = False
    precisions: bool = False

    def options(self, args: Mapping[str, Any]) -> tuple[Any, Any]:
        """Where the items are and which model sees them, of a run's settings."""
        where = {k: Path(v) if k in _PATHS and v else v for k, v in args["where"].items()}
        return self.where(**where), self.how(**args["how"])


_SEEN = ("arch", "pretrained", "seed", "size")
LAYOUTS = {
    "images": Layout(Where, How, (*_SEEN, *CHANGES), labels=True, precisions=True),
    "masks": Layout(WhereMasks, How, (*_SEEN, *CHANGES), precisions=True),
    "text": Layout(WhereTexts, HowTexts, ("arch", "pretrained", "seed")),
    "series": Layout(WhereSeries, How, _SEEN),
}
