"""A task as JSON, and the one registry in which the names of kinds lead to their classes.

A kind that comes with onecycle is loaded when a file names it. A kind from outside is known once
its class is defined: it is a subclass of InputSpec or TargetSpec with a `kind` of its own, and its
half with torch a subclass of that one. Installed packages name the modules that define theirs as
entry points of the group "onecycle.kinds". Nothing else is looked up by a name that a file gives.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from onecycle.core.errors import CheckpointError, UsageError
from onecycle.runtime.kinds import InputSpec, NoLabelSpec, Plain, TargetSpec

GROUP = "onecycle.kinds"
_HERE = "onecycle.runtime"
# name -> modules that define the class without torch, and the one with it
_INPUTS = {
    "image": (f"{_HERE}.inputs.image", "onecycle.vision.input"),
    "bands": (f"{_HERE}.inputs.bands", "onecycle.vision.bands"),
    "text": (f"{_HERE}.inputs.text", "onecycle.text.input"),
    "series": (f"{_HERE}.inputs.series", "onecycle.series.input"),
    "array": (f"{_HERE}.inputs.array", "onecycle.data.arrays"),
}
_TARGETS = {
    "category": (f"{_HERE}.targets.category", "onecycle.data.targets"),
    "multicategory": (f"{_HERE}.targets.multi_category", "onecycle.data.targets"),
    "numbers": (f"{_HERE}.targets.numbers", "onecycle.data.targets"),
    "mask": (f"{_HERE}.targets.mask", "onecycle.vision.targets"),
    "points": (f"{_HERE}.targets.points", "onecycle.vision.targets"),
    "boxes": (f"{_HERE}.targets.boxes", "onecycle.vision.boxes"),
    "none": (NoLabelSpec.__module__, "onecycle.data.targets"),
}


def kind_of_input(name: str, torch: bool = False) -> type[Any]:
    """The class of the kind of input `name`, with or without torch; CheckpointError for others."""
    return _kind(name, InputSpec, _INPUTS, torch)


def kind_of_target(name: str, torch: bool = False) -> type[Any]:
    """The class of the kind of answer `name`, with or without torch; CheckpointError for others."""
    return _kind(name, TargetSpec, _TARGETS, torch)


def _kind(
    name: str, base: type[Plain], modules: dict[str, tuple[str, str]], torch: bool
) -> type[Any]:
    if name in modules:
        import_module(modules[name][torch])
    found = list(_classes_named(name, base, torch))
    if not found:
        for entry in entry_points(group=GROUP):
            entry.load()
        found = list(_classes_named(name, base, torch))
    if not found:
        what = "input" if base is InputSpec else "answer"
        raise CheckpointError(
            f"there is no kind of {what} {name!r} here: where it is one from outside onecycle, "
            "import the module that defines it first"
        )
    homes = {(cls.__module__, cls.__qualname__) for cls in found}
    if len(homes) > 1:
        places = " and ".join(sorted(".".join(home) for home in homes))
        raise UsageError(f"{places} both are the kind {name!r}: give one another name")
    return found[-1]  # of a notebook's cell that was run again


def _classes_named(name: str, base: type[Plain], torch: bool) -> Iterator[type[Plain]]:
    """The classes below `base` that are the kind `name`, not those made of them.

    Without torch it is the class that gives itself this `kind`; with torch one right below it, or
    where there is none without, that class itself.
    """
    for cls in base.__subclasses__():
        own = vars(cls).get("kind") == name
        if own and cls.trains == torch:
            yield cls
        elif own and torch:
            yield from (half for half in cls.__subclasses__() if half.trains)
        else:
            yield from _classes_named(name, cls, torch)


def task_to_json(inputs: Plain, target: TargetSpec) -> dict[str, Any]:
    """What `task_from_json` reads."""
    return {"input": inputs.to_json(), "target": target.to_json()}


def task_from_json(values: dict[str, Any], torch: bool = False) -> tuple[Any, Any]:
    """Input and target, with or without torch; CheckpointError for what describes no task."""
    try:
        inputs, target = values["input"], values["target"]
        return (
            kind_of_input(inputs["kind"], torch).from_json(inputs),
            kind_of_target(target["kind"], torch).from_json(target),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"not the description of a task onecycle knows: {error}") from error
