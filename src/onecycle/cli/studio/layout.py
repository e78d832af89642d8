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
from onecycle.core.errors import UsageError, require_number, require_whole

_WHOLE = {"size": 8, "seed": 0}
_SWITCHES = {"flip_vert", "do_flip"}
_LIMITS = {  # of what the sliders of the room Look choose
    "max_rotate": (0.0, 180.0),
    "max_zoom": (1.0, 3.0),
    "max_lighting": (0.0, 0.9),
    "max_warp": (0.0, 0.8),
}
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

    def require_settings(self, how: Mapping[str, Any], kind: str) -> None:
        """UsageError for what is no setting of this kind, or has a value that none can have."""
        if unknown := sorted(set(how) - {*self.settings}):
            raise UsageError(f"a training of {kind} has no setting {unknown[0]!r}")
        for name, value in how.items():
            if name in _LIMITS:
                require_number(name, value, *_LIMITS[name])
            elif name in _WHOLE:
                require_whole(name, value, _WHOLE[name])
            elif not isinstance(value, bool if name in _SWITCHES else str):
                raise UsageError(f"{name} is {'true or false' if name in _SWITCHES else 'a name'}")

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
