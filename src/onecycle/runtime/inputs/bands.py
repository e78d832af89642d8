"""Images of any number of bands and any depth as a model's input, without torch."""

import io
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar

import numpy as np

from onecycle.core.addresses import open_binary
from onecycle.core.errors import ImageError, UsageError, listing
from onecycle.runtime.http.body import Limits, RequestError
from onecycle.runtime.inputs import band_files, pixels
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.runtime.kinds import OPTIONAL, InputSpec
from onecycle.runtime.sources import IMAGES, Remark, Remarks, cell

Range = tuple[float, float]
_CLIPPED = 0.5  # of an image's values: more outside the range are said


@dataclass(frozen=True)
class BandsSpec(ImageSpec):
    """The `bands` of an image, each from its `value_range` (low, high) to 0-1, then as an image.

    Bands are counted from 1, as data sheets and GDAL do. Without `bands` all are taken. So are the
    pages of a TIFF and the frames of DICOM: `frame` 0 is the first one, and others are said.
    An exported file takes the values as they are stored, float32 (n, h, w, bands).
    """

    bands: tuple[int, ...] = field(default=(), metadata=OPTIONAL)
    value_range: tuple[Range, ...] = field(default=(), metadata=OPTIONAL)
    frame: int = field(default=0, metadata=OPTIONAL)
    kind: ClassVar[str] = "bands"
    tensor: ClassVar[str] = "raw"
    dtype: ClassVar[str] = "float32"
    axes: ClassVar[tuple[Any, ...]] = ("n", "h", "w", "bands")
    white: ClassVar[float] = 1
    media_types: ClassVar[tuple[str, ...]] = ("image/tiff", "image/png", "application/dicom")

    def __post_init__(self) -> None:
        super().__post_init__()
        if odd := [b for b in self.bands if not isinstance(b, int) or b < 1]:
            raise UsageError(f"bands are counted from 1, as in GDAL and data sheets, not {odd[0]}")
        for low, high in self.value_range:
            if not -np.inf < low < high < np.inf:
                raise UsageError(f"value_range is (low, high), two numbers, not {(low, high)}")

    def array(
        self, source: Any, remarks: Remarks | None = None, at_least: tuple[int, int] | None = None
    ) -> np.ndarray:
        """float32 (h, w, bands), as stored, of a path, bytes, a file, or an array (h, w, bands).

        Where there is no value, it is the lowest of the band's range.
        """
        found = Remarks() if remarks is None else remarks
        values, name = self.stored(source, found)
        low, high = np.array(self.value_range, np.float32).T
        absent = np.isnan(values)
        if absent.any():
            found.add(Remark.ABSENT, name)
            values = np.where(absent, low, values)
        if ((values < low) | (values > high)).mean() > _CLIPPED:
            found.add(Remark.CLIPPED, name)
        if remarks is None:
            found.warn(1, stacklevel=2)
        return values

    @property
    def planes(self) -> int:
        return len(self.bands) or len(self.value_range)

    def stored(self, source: Any, remarks: Remarks) -> tuple[np.ndarray, str]:
        """The values float32 (h, w, bands) of the chosen bands, NaN where there are none; a name.

        ImageError for what is no image, and for one that has not these bands.
        """
        source, name = cell(source, IMAGES), "the given array"
        if not isinstance(source, np.ndarray):
            data, name = pixels.read_bytes(source)
            source = read_values(data, name, remarks, self.frame)
        values = np.atleast_3d(source)
        if values.ndim != 3 or values.dtype.kind not in "buif" or not values.size:
            raise ImageError(f"{name}: bands are numbers (h, w, bands), not {source.shape}")
        if fault := self.lacks(values.shape[2]):
            raise ImageError(f"{name}: {fault}")
        chosen = values[:, :, [b - 1 for b in self.bands]] if self.bands else values
        return np.ascontiguousarray(chosen, np.float32), name

    def lacks(self, count: int) -> str | None:
        """Why an image of so many bands is none of these, or None."""
        if absent := [b for b in self.bands if b > count]:
            return f"it has {count} bands (1 to {count}), wanted are also {listing(absent)}"
        if self.value_range and not self.bands and count != len(self.value_range):
            return f"it has {count} bands, others have {len(self.value_range)}: give bands="
        return None

    def shares(self, values: np.ndarray) -> np.ndarray:
        """`array`'s values as shares 0-1 of their range, by the steps of an exported file."""
        low, high = np.array(self.value_range, np.float32).T
        return ((values - low) / (high - low)).clip(0, 1)

    def read_upload(self, source: Any, limits: Limits) -> np.ndarray:
        """As `array`; 413 for too many pixels, 422 for what is no such image."""
        with suppress(ImageError):  # `array` says what is wrong
            h, w, _ = shape_of(source, "the upload", self.frame)
            if h * w > limits.pixels:
                raise RequestError(413, f"{w} x {h} pixels; the limit is {limits.pixels:,}")
        return InputSpec.read_upload(self, source, limits)

    def page_fault(self) -> str:
        """The camera of a phone gives other images."""
        return (
            f"this model looks at {self.planes} bands of files such as TIFF, as they are "
            "stored; the page takes photos and the camera, which have three bands of 8 bits. "
            "Answer files with `onecycle predict` or `onecycle serve` (POST /api/predict)"
        )


def read_values(data: bytes, name: str, remarks: Remarks, page: int = 0) -> np.ndarray:
    """(h, w, bands) as stored, upright; of kinds that hold photos alone uint8 (h, w, 3)."""
    if data.startswith(band_files.TIFFS):
        return band_files.read_tiff(data, name, remarks, page)
    if band_files.is_dicom(data):
        return band_files.read_dicom(data, name, remarks, page)
    band_files.chosen_page(page, 1, name)
    if data.startswith(band_files.PNG) and data[25:26] != b"\3":  # 3: colours of a palette
        return band_files.read_png(data, name)
    try:
        return pixels.open_pixels(data, remarks=remarks)
    except ImageError as error:
        raise type(error)(str(error).replace("the given bytes", name)) from None


def shape_of(source: Any, name: str, page: int = 0) -> band_files.Shape:
    """The (h, w, bands) of a file or of bytes by their header."""
    if isinstance(source, str | os.PathLike):
        try:
            with open_binary(source) as file:
                return _shape(file, name, source, page)
        except OSError as error:
            raise ImageError(f"{name}: cannot be read ({error.strerror or error})") from error
    return _shape(io.BytesIO(source), name, source, page)


def _shape(file: BinaryIO, name: str, source: Any, page: int) -> band_files.Shape:
    if found := band_files.shape_of(file, name, page):
        return found
    band_files.chosen_page(page, 1, name)
    return (*pixels.open_size(source), 3)
