"""What an exported file is fed with: how sources of each kind become one array."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from onecycle.core.errors import DataError, ModelError
from onecycle.core.files import encoding_by_mark
from onecycle.core.walk import FileKind, files_below, with_dots
from onecycle.runtime.inputs import pixels, text
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.runtime.inputs.pixels import open_pixels
from onecycle.runtime.inputs.series import SeriesSpec, series_of
from onecycle.runtime.inputs.text import TextSpec
from onecycle.runtime.sources import PICTURES, TEXTS, Remarks, cell


class Feed(Protocol):
    """Reads a source, says which items can share a batch, and makes one of them."""

    name: ClassVar[str]  # of the graph's input
    dtype: ClassVar[str]
    shape: ClassVar[tuple[Any, ...]]
    files: ClassVar[FileKind]  # that it reads in a folder
    columns: ClassVar[tuple[str, ...]]  # where a table's row holds it

    @property
    def whole(self) -> tuple[int, int] | None:
        """The (h, w) of the network's input, where it is a picture of one size."""

    def read(self, source: Any, remarks: Remarks | None = None) -> np.ndarray: ...
    def alike(self, item: np.ndarray) -> Any: ...
    def stack(self, items: Sequence[np.ndarray]) -> np.ndarray: ...


@dataclass(frozen=True)
class Pictures:
    """Paths, bytes, files, PIL pictures and arrays as uint8 (n, h, w, 3); those of one size."""

    spec: ImageSpec
    name: ClassVar[str] = "image"
    dtype: ClassVar[str] = "uint8"
    shape: ClassVar[tuple[Any, ...]] = ("n", "h", "w", 3)
    files: ClassVar[FileKind] = pixels.FILES
    columns: ClassVar[tuple[str, ...]] = PICTURES

    @property
    def whole(self) -> tuple[int, int] | None:
        """That of the task."""
        return self.spec.fixed

    def read(self, source: Any, remarks: Remarks | None = None) -> np.ndarray:
        """uint8 (h, w, 3); what it hides is a warning, or an entry in `remarks`."""
        return open_pixels(source, remarks=remarks)

    def alike(self, item: np.ndarray) -> Any:
        """Pictures of one size."""
        return item.shape

    def stack(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """(n, h, w, 3)."""
        return np.stack(items)


@dataclass(frozen=True)
class Texts:
    """Texts (str), UTF-8 bytes and paths of files as int64 (n, t), padded at the end."""

    spec: TextSpec
    name: ClassVar[str] = "ids"
    dtype: ClassVar[str] = "int64"
    shape: ClassVar[tuple[Any, ...]] = ("n", "t")
    files: ClassVar[FileKind] = text.FILES
    columns: ClassVar[tuple[str, ...]] = TEXTS
    whole: ClassVar[None] = None

    def read(self, source: Any, remarks: Remarks | None = None) -> np.ndarray:
        """int64 (t,)."""
        return self.spec.ids(text_of(source))

    def alike(self, item: np.ndarray) -> Any:
        """Texts whose lengths do not differ by more than a half, so that little is padded."""
        return int(np.log(max(1, len(item))) / np.log(1.5))

    def stack(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """(n, longest)."""
        rows = np.full((len(items), max(map(len, items))), self.spec.padding, np.int64)
        for row, item in zip(rows, items, strict=True):
            row[: len(item)] = item
        return rows


def files_in(folder: str | os.PathLike[str], feed: Feed) -> list[Path]:
    """What a feed reads in a folder and below, sorted; a warning counts what is left out."""
    return [*files_below(folder, feed.files)]


def text_of(source: Any) -> str:
    """A str as it is, bytes and a path's content as UTF-8; what cannot be decoded as U+FFFD.

    A mark at the beginning is left out, and that of UTF-16 is followed.

    Of a row of a frame, the cell `text`, or its only one.
    """
    source = cell(source, TEXTS)
    if isinstance(source, os.PathLike):
        try:
            source = Path(source).read_bytes()
        except OSError as error:
            raise DataError(f"{source}: cannot be read ({error.strerror})") from error
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return data.decode(encoding_by_mark(data), "replace")
    if not isinstance(source, str):
        raise DataError(f"a text is a str, bytes or a path, not {type(source).__name__}")
    return source


@dataclass(frozen=True)
class Curves:
    """Arrays, lists and CSV files as float32 (n, channels, t) without gaps; those of one length."""

    spec: SeriesSpec
    name: ClassVar[str] = "series"
    dtype: ClassVar[str] = "float32"
    shape: ClassVar[tuple[Any, ...]] = ("n", "channels", "t")
    files: ClassVar[FileKind] = FileKind(
        "series", with_dots(["csv", "ts", "tsv"]), with_dots(["txt", "arff", "npy", "parquet"])
    )
    columns: ClassVar[tuple[str, ...]] = ("file", "path", "series")
    whole: ClassVar[None] = None

    def read(self, source: Any, remarks: Remarks | None = None) -> np.ndarray:
        """float32 (channels, t)."""
        return series_of(source, self.spec.channels, self.spec.by == "series")

    def alike(self, item: np.ndarray) -> Any:
        """Series of one length."""
        return item.shape

    def stack(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """(n, channels, t)."""
        return np.stack(items)


_FEEDS: dict[str, Any] = {"image": Pictures, "text": Texts, "series": Curves}


def feed_for(spec: Any) -> Feed:
    """How a file of this kind of input is fed; ModelError for a kind that cannot be exported."""
    made = _FEEDS.get(spec.kind)
    if made is None:
        raise ModelError(f"inputs of kind {spec.kind!r} cannot be run from an exported file")
    return made(spec)
