"""A row of a table as a source: the one cell of it that holds the image, the text or the file."""

from collections.abc import Sequence
from enum import Enum
from inspect import isawaitable
from typing import Any

from onecycle.core.errors import DataError, listing, warn

IMAGES = ("file", "path", "name", "image", "image_name", "filename")
TEXTS = ("text",)


def cell(source: Any, names: Sequence[str]) -> Any:
    """Of a row (of a frame, or a dict): the cell with one of the names, or its only one.

    What is no row is returned as it is. DataError where no cell fits.
    """
    if not hasattr(source, "keys"):
        return source
    keys = list(source.keys())
    found = [name for name in names if name in keys] or (keys if len(keys) == 1 else [])
    if not found:
        raise DataError(f"the row has the columns {listing(keys)}: give one cell, row[...], of it")
    return source[found[0]]


# Files that somebody has opened: their bytes, or an error that says how to open them.


def content_of(file: Any, kind: type[DataError] = DataError) -> bytes:
    """What `file.read()` gives, as bytes; an error of the `kind` where that is something else."""
    name = str(getattr(file, "name", None) or getattr(file, "filename", None) or "the given file")
    try:
        data = file.read()
    except UnicodeDecodeError:
        raise kind(f'{name}: it was opened as text: open(path, "rb") opens its bytes') from None
    except (OSError, ValueError) as error:
        raise kind(f"{name}: cannot be read ({error})") from error
    if isawaitable(data):
        getattr(data, "close", lambda: None)()  # nobody will wait for it
        raise kind(
            f"{name}: its read() has to be awaited: give its bytes, await file.read(), or the file "
            "inside, file.file of an UploadFile"
        )
    if not isinstance(data, bytes | bytearray | memoryview):
        what = type(data).__name__
        raise kind(f'{name}: it gives {what}, not bytes: open(path, "rb") opens its bytes')
    return bytes(data)


# What reading reinterprets or leaves out: counted by kind over many files, and said once.


class Remark(Enum):
    """A way in which an image is not what it seems; the value says what, and what to do."""

    NARROW = (
        "hold 16-bit values that use less than a quarter of the range: 65535 is white, so that "
        "they come out dark and with few grey levels. "
        "ImageList.with_bands(value_range=(low, high)) takes them as they are, with one low and "
        "high for all, for training and for predicting"
    )
    DEPTH = (
        "hold 16-bit values, of which the upper 8 bits were taken. ImageList.with_bands() takes "
        "all 16; save the files with 8 bits, if these are enough"
    )
    ALPHA = (
        "have a last band that was taken for transparency and laid on white, though more than half "
        "of its values are neither 0 nor 255, or none is 255. If it is a colour (near-infrared), "
        'ImageList.with_bands("all") takes it as one; or save the files with three bands'
    )
    BANDS = (
        "have bands beyond the first three (or beyond grey), which were left out. "
        'ImageList.with_bands("all"), or with their numbers, takes them'
    )
    FRAMES = (
        "hold several images (frames or pages), of which the first was read. "
        "with_bands(page=2) reads another one of each; or save them as files of their own"
    )
    NAN = "hold pixels that are no number (NaN), which became black. Fill them in before"
    ABSENT = (
        "hold pixels without a value (NaN, or what the file names as 'no data'), which became the "
        "lowest of the value range. Fill them in before, if that is no good value"
    )
    CLIPPED = (
        "have more than half of their values outside the value range, at whose ends they "
        "were cut off. with_bands(value_range=(low, high)) sets a wider one"
    )


class Remarks:
    """Remarks on images, by kind: the names of those they are about."""

    def __init__(self) -> None:
        self.names: dict[Remark, list[str]] = {}

    def add(self, remark: Remark, name: str) -> None:
        """`remark` holds for the image `name`."""
        self.names.setdefault(remark, []).append(name)

    def warn(self, total: int, stacklevel: int = 1, of_set: bool = False) -> None:
        """One OnecycleWarning for each kind, with the share of `total` images and a few names.

        `stacklevel` 1 is the caller's line. Where some 16-bit images use their range, others are
        merely dark: that is no remark. That bits are left out is said where a set is looked at
        before training (`of_set`), and not of every answer then.
        """
        for remark, names in self.names.items():
            dark = remark is Remark.NARROW and Remark.DEPTH in self.names
            if dark or (remark is Remark.DEPTH and not of_set):
                continue
            message = f"{len(names)} of {total} images ({listing(sorted(names), 3)}) {remark.value}"
            warn(message, stacklevel + 1)
