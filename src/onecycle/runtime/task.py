"""Input and target together as JSON, read back through a closed table of kinds."""

from __future__ import annotations

from typing import Any

from onecycle.core.errors import CheckpointError
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.runtime.inputs.series import ArraySpec, SeriesSpec
from onecycle.runtime.inputs.text import TextSpec
from onecycle.runtime.kinds import Plain
from onecycle.runtime.targets import (
    CategorySpec,
    MaskSpec,
    MultiCategorySpec,
    NoLabelSpec,
    NumbersSpec,
    PointsSpec,
    TargetSpec,
)

INPUTS: dict[str, type[Plain]] = {
    spec.kind: spec for spec in (ImageSpec, TextSpec, SeriesSpec, ArraySpec)
}
TARGETS: dict[str, type[TargetSpec]] = {
    spec.kind: spec
    for spec in (CategorySpec, MultiCategorySpec, NumbersSpec, MaskSpec, PointsSpec, NoLabelSpec)
}


def task_to_json(inputs: Plain, target: TargetSpec) -> dict[str, Any]:
    """What `task_from_json` reads."""
    return {"input": inputs.to_json(), "target": target.to_json()}


def task_from_json(values: dict[str, Any]) -> tuple[Any, TargetSpec]:
    """The two specs; a kind that is not in the tables is refused, nothing is looked up by name."""
    try:
        inputs, target = values["input"], values["target"]
        return (
            INPUTS[inputs["kind"]].from_json(inputs),
            TARGETS[target["kind"]].from_json(target),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"not the description of a task onecycle knows: {error}") from error
