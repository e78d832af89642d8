"""Plain arrays as a model's input, without torch."""

from dataclasses import dataclass
from typing import ClassVar

from onecycle.runtime.kinds import InputSpec


@dataclass(frozen=True)
class ArraySpec(InputSpec):
    """Arrays of one `shape`, float32, minus `mean`, over `std` where these are given."""

    shape: tuple[int, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    kind: ClassVar[str] = "array"
