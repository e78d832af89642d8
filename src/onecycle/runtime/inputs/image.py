"""Images as a model's input, without torch: how they are sized, read, asked for and served."""

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any, ClassVar, NamedTuple

import numpy as np

from onecycle.core.errors import ImageError, UsageError
from onecycle.core.walk import FileKind
from onecycle.runtime.http.body import Limits, RequestError
from onecycle.runtime.inputs import pixels
from onecycle.runtime.kinds import OPTIONAL, InputSpec
from onecycle.runtime.sources import IMAGES, Remarks

RESIZE_METHODS = ("crop", "pad", "squish", "none")
PADDING_MODES = ("reflection", "border", "zeros")


@dataclass(frozen=True)
class ImageSpec(InputSpec):
    """An image of any size becomes `size` (h, w), minus `mean`, over `std` (RGB, 0-1).

    crop: the largest centred part of the wanted shape; pad: the whole image and `padding_mode`
    beside it; squish: the whole image, stretched; none (or no size): as it is.

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
    tensor: ClassVar[str] = "image"
    dtype: ClassVar[str] = "uint8"
    axes: ClassVar[tuple[Any, ...]] = ("n", "h", "w", 3)
    files: ClassVar[FileKind] = pixels.FILES
    columns: ClassVar[tuple[str, ...]] = IMAGES
    white: ClassVar[float] = 255  # the number of a pixel that is 1
    media_types: ClassVar[tuple[str, ...]] = tuple(
        f"image/{name}" for name in ("jpeg", "png", "webp", "gif", "bmp", "tiff")
    )

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("resize_method", self.resize_method, RESIZE_METHODS),
            ("padding_mode", self.padding_mode, PADDING_MODES),
        ):
            if value not in allowed:
                raise UsageError(f"{name} is one of {', '.join(allowed)}, not {value!r}")

    @property
    def planes(self) -> int:
        """The bands of an image: 3, red, green and blue."""
        return 3

    @property
    def bands(self) -> tuple[int, ...]:
        """The numbers of the bands, counted from 1, where they are chosen."""
        return ()

    @property
    def value_range(self) -> tuple[tuple[float, float], ...]:
        """The (low, high) of each band's stored values that become 0 and 1; none of bytes."""
        return ()

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """The (h, w) of every input, or None where it is that of the image."""
        if self.view:
            return self.size or self.window
        return None if self.resize_method == "none" else self.size

    def array(
        self, source: Any, remarks: Remarks | None = None, at_least: tuple[int, int] | None = None
    ) -> np.ndarray:
        """uint8 (h, w, 3) of a path, bytes, a binary file, a PIL image or an array.

        Files may be read at a reduced size that is no smaller than `at_least` (h, w).
        """
        return pixels.open_pixels(source, at_least, remarks)

    def stack(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """(n, h, w, 3); of one image no copy, which may take half a gigabyte."""
        return items[0][None] if len(items) == 1 else np.stack(items)

    def bodies(self, max_bytes: int, one: bool = False) -> dict[str, Any]:
        """A form with files, or where several are answered also one image as the body."""
        found = super().bodies(max_bytes, one)
        found["multipart/form-data"]["encoding"] = {
            "file": {"contentType": ", ".join(self.media_types)}
        }
        image = {"type": "string", "format": "binary", "maxLength": max_bytes}
        return found if one else found | {name: {"schema": image} for name in self.media_types}

    def read_upload(self, source: Any, limits: Limits) -> np.ndarray:
        """uint8 (h, w, 3); 413 for too many pixels, 422 for what is no image."""
        with suppress(ImageError):  # `array` says what is wrong
            h, w = pixels.open_size(io.BytesIO(source))
            if h * w > limits.pixels:
                raise RequestError(413, f"{w} x {h} pixels; the limit is {limits.pixels:,}")
        return super().read_upload(source, limits)

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


# Which part of an image validation looks at, in whole pixels: Python and exported files agree.

Size = tuple[int, int]  # (h, w)


class View(NamedTuple):
    """A window that need not be the middle: where it lies, and what part of it is looked at.

    The window lies at (row, col), 0 to 1, of the room that resizing leaves beside it. Of its height
    and width the shares `high` and `wide` are looked at (more than 1: also what lies around it),
    `down` and `right` of its middle, in shares of it, too.
    """

    row: float = 0.5
    col: float = 0.5
    high: float = 1.0
    wide: float = 1.0
    down: float = 0.0
    right: float = 0.0

    def rectangle(self, source: Size, base: Size) -> tuple[int, int, int, int]:
        """(top, left, h, w) in an image of size `source` with a window of size `base`.

        The rectangle may reach beyond the image. Every operation is one that an exported graph
        repeats on float64, in this order, so that both find the same pixels.
        """
        (top, h), (left, w) = (
            _interval(*parts)
            for parts in (
                (source[0], base[0], self.row, self.high, self.down),
                (source[1], base[1], self.col, self.wide, self.right),
            )
        )
        return top, left, h, w


def _interval(source: int, base: int, place: float, share: float, off: float) -> tuple[int, int]:
    """Where the looked-at part of one axis begins, and how long it is."""
    length = max(1, floor(share * base + 0.5))
    middle = place * (source - base) + (0.5 + off) * base
    return ceil(middle - length * 0.5 - 0.5), length


def fit(shape: Size, room: Size) -> Size:
    """The largest (h, w) of the proportions of `shape` within `room`."""
    (h, w), (rows, cols) = shape, room
    if rows * w <= cols * h:  # whole numbers only, so that an exported file finds the same
        return rows, min(cols, max(1, (2 * w * rows + h) // (2 * h)))
    return min(rows, max(1, (2 * h * cols + w) // (2 * w))), cols


def cover(shape: Size, held: Size) -> Size:
    """The smallest (h, w) of the proportions of `shape` around an image of size `held`."""
    (h, w), (rows, cols) = shape, held
    if cols * h <= rows * w:
        return rows, (2 * w * rows + h) // (2 * h)
    return (2 * h * cols + w) // (2 * w), cols


def places(first: int, count: int, length: int, mode: str) -> np.ndarray:
    """Indexes first, first + 1, ... of an axis of `length` pixels; beyond its ends as `mode` says.

    "reflection" repeats the last pixel, as cv2 and np.pad's "symmetric" do; "zeros" gives the
    nearest pixel, which the caller blackens.
    """
    index = np.arange(first, first + count)
    if mode == "reflection":
        index = index % (2 * length)
        return np.where(index < length, index, 2 * length - 1 - index)
    return index.clip(0, length - 1)


def seen_part(pixels: np.ndarray, rectangle: tuple[int, int, int, int], mode: str) -> np.ndarray:
    """The rectangle (top, left, h, w) of (h, w, ...) pixels, filled as `mode` says beyond them."""
    top, left, h, w = rectangle
    rows, cols = pixels.shape[:2]
    if top >= 0 and left >= 0 and top + h <= rows and left + w <= cols:
        return pixels[top : top + h, left : left + w]
    part = pixels[places(top, h, rows, mode)][:, places(left, w, cols, mode)]
    if mode == "zeros":
        y, x = np.arange(top, top + h), np.arange(left, left + w)
        part[(y < 0) | (y >= rows)] = 0
        part[:, (x < 0) | (x >= cols)] = 0
    return part
