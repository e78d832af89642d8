"""Frozen dataclasses that turn into JSON and back, by the names of their fields."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Self

from onecycle.core.errors import CheckpointError

OPTIONAL: Final = {"optional": True}  # metadata of fields that JSON leaves out at their default


def frozen(value: Any) -> Any:
    """Lists become tuples, all the way down."""
    return tuple(frozen(v) for v in value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Plain:
    """The base of every spec; `kind` is the name by which a file finds the class again."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """The fields of the spec (not a torch adapter's own ones) and its kind."""
        stored = [f for f in fields(self) if f.metadata.get("json", True)]
        values = {f.name: getattr(self, f.name) for f in stored}
        rest = {k for k, default in self.left_out().items() if values[k] == default}
        return {"kind": self.kind, **{k: v for k, v in values.items() if k not in rest}}

    @classmethod
    def left_out(cls) -> dict[str, Any]:
        """The fields that JSON leaves out at their default, with it."""
        return {f.name: f.default for f in fields(cls) if f.metadata.get("optional")}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The spec that `to_json` wrote; an unknown field means a newer or a foreign file."""
        known = {f.name for f in fields(cls)}
        given = {k: frozen(v) for k, v in values.items() if k != "kind"}
        if unknown := set(given) - known:
            raise CheckpointError(
                f"{cls.kind} has no field {', '.join(sorted(unknown))}: the file was written by a "
                "newer onecycle or by something else"
            )
        return cls(**given)
