"""What a model says about one item, in the user's own terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Answer:
    """`obj` is the answer itself (a name, names, numbers), `data` its encoded form, `text` both."""

    obj: Any
    data: Any
    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Answer) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)
