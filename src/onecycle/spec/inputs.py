"""How an item becomes a model's input, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from onecycle.core.errors import UsageError
from onecycle.spec.plain import OPTIONAL, Plain
from onecycle.spec.views import View, cover, fit

RESIZE_METHODS = ("crop", "pad", "squish", "none")
PADDING_MODES = ("reflection", "border", "zeros")


@dataclass(frozen=True)
class ImageSpec(Plain):
    """A picture of any size becomes `size` (h, w), minus `mean`, over `std` (RGB, 0-1).

    crop: the largest centred part of the wanted shape; pad: the whole picture and `padding_mode`
    beside it; squish: the whole picture, stretched; none (or no size): as it is.

    `view` are the numbers of a `View` where validation looks at another part than the middle, and
    `window` (h, w) is its size where there is no `size`: cut out at the image's own scale.
    `in_python` names validation transforms that only the learner knows: no file holds them.
    """

    size: tuple[int, int] | None = None
    resize_method: str = "crop"
    padding_mode: str = "reflection"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    view: tuple[float, ...] = field(default=(), metadata=OPTIONAL)
    window: tuple[int, int] | None = field(default=None, metadata=OPTIONAL)
    in_python: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    kind: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("resize_method", self.resize_method, RESIZE_METHODS),
            ("padding_mode", self.padding_mode, PADDING_MODES),
        ):
            if value not in allowed:
                raise UsageError(f"{name} is one of {', '.join(allowed)}, not {value!r}")

    @property
    def fixed(self) -> tuple[int, int] | None:
        """The (h, w) of every input, or None where it is that of the image."""
        if self.view:
            return self.size or self.window
        return None if self.resize_method == "none" else self.size

    def rectangle(self, source: tuple[int, int]) -> tuple[int, int, int, int]:
        """What a `view` looks at of an image of size `source`: (top, left, h, w), whole pixels."""
        return View(*self.view).rectangle(source, self._base(source))

    def _base(self, source: tuple[int, int]) -> tuple[int, int]:
        """The size of the window in pixels of the image."""
        if self.size is None:
            return self.window or source
        method = self.resize_method
        if method == "none":
            return self.size
        if method == "squish":
            return source
        return fit(self.size, source) if method == "crop" else cover(self.size, source)


def parse_size(size: Any) -> tuple[tuple[int, int] | None, str]:
    """An int, (h, w) or an array as (h, w), and the way of resizing that the form stands for.

    As in the course: one int and an array crop, a tuple or a list squishes.
    """
    if size is None:
        return None, "none"
    method = "squish" if isinstance(size, tuple | list) else "crop"
    values = [size, size] if not hasattr(size, "__len__") else list(size)
    if len(values) == 3:  # (channels, h, w), as `img.shape` gives it
        values = values[1:]
    whole = not isinstance(size, str) and all(_is_length(v) for v in values)
    if len(values) != 2 or not whole:
        raise UsageError(f"size is a positive int, (h, w) or an array of two, not {size!r}")
    return (int(values[0]), int(values[1])), method


def _is_length(value: Any) -> bool:
    try:
        return float(value) == int(value) > 0
    except (TypeError, ValueError, OverflowError):
        return False
