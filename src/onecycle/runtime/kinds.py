"""Frozen dataclasses that turn into JSON and back, by the names of their fields."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Self

import numpy as np

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
        rest = [
            f.name for f in stored if f.metadata.get("optional") and values[f.name] == f.default
        ]
        return {"kind": self.kind, **{k: v for k, v in values.items() if k not in rest}}

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


@dataclass(frozen=True)
class InputSpec(Plain):
    """What every kind of input has; those that have one of these override it."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the images that the network sees, where these are fixed."""
        return None

    @property
    def mean(self) -> tuple[float, ...] | None:
        """What is subtracted from each channel of 0-1 before the network, where anything is."""
        return None

    @property
    def std(self) -> tuple[float, ...] | None:
        """What each channel is divided by then."""
        return None

    @property
    def vocab(self) -> tuple[str, ...]:
        """The tokens of texts in the order of their numbers; none where items are no texts."""
        return ()


# What a model says about one item, in the user's own terms.


@dataclass(frozen=True, eq=False)
class Answer:
    """`obj` is the answer itself (a name, names, numbers), `data` its encoded form, `text` both.

    Answers are equal where their values are: names and numbers by themselves, so that
    `answer == "cat"`, `answer in classes` and a dict by answers do what they seem to; masks, points
    and boxes (whose `data` have rows) by all their numbers.
    """

    obj: Any
    data: Any
    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    @property
    def _rows(self) -> np.ndarray | None:
        """The numbers of an answer that lies over its item; None where `obj` says it all."""
        if self.obj is None or np.ndim(self.data) > 1:
            return np.asarray(self.data)
        return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Answer):
            return _alike(self.obj, other)
        mine, theirs = self._rows, other._rows
        if mine is None or theirs is None:
            return mine is theirs and _alike(self.obj, other.obj)
        return np.array_equal(mine, theirs) and _alike(self.obj, other.obj)

    def __hash__(self) -> int:
        rows = self._rows
        if rows is None:
            return hash(tuple(self.obj) if isinstance(self.obj, list) else self.obj)
        return hash((rows.shape, tuple(rows.ravel()[:64].tolist())))

    def to_dict(self) -> dict[str, Any]:
        """`answer` (names, numbers, or lists of them) and `text`, as JSON can hold them."""
        return {"answer": _plain(self.obj), "text": self.text}


def _alike(one: Any, other: Any) -> bool:
    """Equal values, also of lists and arrays of any depth; a text is no list of letters."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    one, other = _plain(one), _plain(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    same = one == other
    return isinstance(same, bool) and same


def _plain(value: Any) -> Any:
    """Arrays, tensors and tuples as lists, numpy's scalars as Python's."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
