"""What the studio can do with each kind of data that `onecycle train` takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
from onecycle.cli.studio.contents import SeriesProject, TextProject
from onecycle.cli.studio.masks import MaskProject
from onecycle.cli.studio.project import Project
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
    """Options of its training, its project, and what the rooms of the studio have of it.

    `settings` of `how` are those that the page may choose, `again` those of a training that begins
    with weights. `offers` tell the page: how an item is drawn, what the room Look shows, networks,
    the usual size (None: it has none), whether strengths of changes are chosen, labels changed,
    answers decided, and rates measured.
    """

    where: type[Any]
    how: type[Any]
    offers: Mapping[str, Any]
    settings: tuple[str, ...] = ()
    again: Mapping[str, Any] = field(default_factory=dict)
    project: type[Project] = Project
    heats: bool = False  # whether the worst items are kept with where the model looked
    several: bool = False  # labels of an item
    made_here: bool = False  # whether classes and items may be made in the studio alone

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
_NETWORKS = ("small", "resnet18", "resnet34", "resnet50", "convnext_tiny", "efficientnet_b0")
_IMAGES = {"archs": _NETWORKS, "size": 128, "rates": False, "changes": False}
_IMAGES |= {"relabel": True, "decides": True}
LAYOUTS = {
    "images": Layout(
        Where,
        How,
        {**_IMAGES, "item": "image", "look": "images", "changes": True, "rates": True},
        (*_SEEN, *CHANGES),
        project=Project,
        heats=True,
        several=True,
        made_here=True,
    ),
    "masks": Layout(
        WhereMasks,
        How,
        {**_IMAGES, "item": "mask", "look": "masks", "changes": True}
        | {"relabel": False, "decides": False},
        (*_SEEN, *CHANGES),
        project=MaskProject,
    ),
    "text": Layout(
        WhereTexts,
        HowTexts,
        {**_IMAGES, "item": "text", "look": "tokens", "archs": ("awd_lstm",), "size": None},
        ("arch", "pretrained", "seed"),
        {"lm_epochs": 0},  # the weights have read their texts
        TextProject,
        several=True,
    ),
    "series": Layout(
        WhereSeries,
        How,
        {**_IMAGES, "item": "series", "look": "encoded", "size": 64},
        _SEEN,
        project=SeriesProject,
    ),
}
