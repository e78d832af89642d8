"""Files of any number of bands, as stored: TIFF by tifffile, PNG by OpenCV, DICOM by pydicom.

Whatever these readers raise is an ImageError that names the file, and where a package is missing,
the extra that brings it.
"""

import io
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from onecycle.core.errors import DamagedImageError, ImageError
from onecycle.runtime.inputs.jpeg import turned, valid_turn
from onecycle.runtime.sources import Remark, Remarks

TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PNG = b"\x89PNG\r\n"
MOST = 150_000_000  # pixels of a band
_MOST_VALUES = 4 * MOST
_ORIENTATION, _NO_DATA = 274, 42113  # tags of TIFF, the second GDAL's
_PNG_BANDS = {0: 1, 2: 3, 4: 4, 6: 4}  # by the kind of colours; of grey with alpha as RGBA
_OTHER_PAGES = 0b101  # of a file's further pages: smaller copies, and masks
Shape = tuple[int, int, int]  # (h, w, bands)


def is_dicom(data: bytes) -> bool:
    """Whether a file that begins so (132 bytes are enough) is DICOM."""
    return data[128:132] == b"DICM"


def read_tiff(data: bytes, name: str, remarks: Remarks, number: int = 0) -> np.ndarray:
    """A page, upright (h, w, bands) of the type that is stored; no data are NaN.

    Pages are counted from 1; 0 is the first, and others are said.
    """
    with _open_tiff(io.BytesIO(data), name) as file:
        pages = _pages(file)
        page = pages[chosen_page(number, len(pages), name)]
        _require_bands(page, name)
        values = _decode(page, name)
    if not number and len(pages) > 1:
        remarks.add(Remark.FRAMES, name)
    if "S" in page.axes:
        values = np.moveaxis(values, page.axes.index("S"), -1)
    values = values.reshape(*_size(page), -1)
    tags = page.tags
    if _NO_DATA in tags:
        values = _without(values, tags[_NO_DATA].value)
    turn = valid_turn(tags[_ORIENTATION].value) if _ORIENTATION in tags else 1
    return turned(values, turn)


def chosen_page(number: int, count: int, name: str) -> int:
    """Where page `number` of so many stands, from 0; ImageError where there is none."""
    if number > count:
        held = "one page" if count == 1 else f"{count} pages"
        raise ImageError(f"{name}: it has {held}, and page={number} is wanted")
    return max(0, number - 1)


def _pages(file: Any) -> list[Any]:
    """Without smaller copies and masks of other pages."""
    first, *others = file.pages
    return [first, *(p for p in others if not int(p.subfiletype) & _OTHER_PAGES)]


def shape_of(file: BinaryIO, name: str, page: int = 0) -> Shape | None:
    """The (h, w, bands) of an opened TIFF, PNG or DICOM file by its header; None for others."""
    head = file.read(132)
    file.seek(0)
    if head.startswith(TIFFS):
        return _tiff_shape(file, name, page)
    if head.startswith(PNG) and (bands := _PNG_BANDS.get(head[25])):
        return int.from_bytes(head[20:24]), int.from_bytes(head[16:20]), bands
    return _dicom_shape(file, name, page) if is_dicom(head) else None


def _tiff_shape(file: BinaryIO, name: str, number: int) -> Shape:
    """That of a page, upright."""
    with _open_tiff(file, name) as opened:
        pages = _pages(opened) if number > 1 else [opened.pages.first]
        page = pages[chosen_page(number, len(pages), name)]
        _require_bands(page, name)
        tags, (h, w) = page.tags, _size(page)
        across = _ORIENTATION in tags and valid_turn(tags[_ORIENTATION].value) >= 5
        return (w, h, page.samplesperpixel) if across else (h, w, page.samplesperpixel)


def _open_tiff(file: BinaryIO, name: str) -> Any:
    try:
        from tifffile import TiffFile
    except ImportError as error:
        raise ImageError(
            f"{name}: bands of a TIFF are read by tifffile: pip install 'onecycle[tiff]'"
        ) from error
    try:
        opened = TiffFile(file)
        opened.pages.first.axes  # noqa: B018 - which parses its header
    except Exception as error:  # of any kind: a damaged header
        raise DamagedImageError(f"{name}: a TIFF that is damaged or cut off ({error})") from error
    return opened


def _size(page: Any) -> tuple[int, int]:
    return page.imagelength, page.imagewidth


def _require_bands(page: Any, name: str) -> None:
    h, w = _size(page)
    if not all(isinstance(n, int) for n in (h, w, page.samplesperpixel, page.imagedepth)):
        raise DamagedImageError(f"{name}: a TIFF that is damaged (its size is {h} x {w})")
    if h * w > MOST or h * w * page.samplesperpixel > _MOST_VALUES:
        raise ImageError(
            f"{name}: too many pixels ({w} x {h}, {page.samplesperpixel} bands): save it in tiles"
        )
    if page.photometric == 3:
        raise ImageError(f"{name}: its numbers are rows of a palette of colours, not bands")
    if page.imagedepth > 1 or page.dtype is None or page.dtype.kind not in "uif":
        raise ImageError(f"{name}: a TIFF of {page.dtype} {page.axes}, which are no bands")


def _decode(page: Any, name: str) -> np.ndarray:
    try:
        return page.asarray()
    except Exception as error:  # of any kind: each codec has its own
        if "imagecodecs" in str(error):
            raise ImageError(
                f"{name}: its compression is read by imagecodecs: pip install 'onecycle[tiff]' "
                f"({error})"
            ) from error
        kind = ImageError if "not supported" in str(error) else DamagedImageError
        raise kind(f"{name}: damaged or cut off ({error})") from error


def _without(values: np.ndarray, text: Any) -> np.ndarray:
    """NaN where the file says that there is no value."""
    try:
        mark = float(str(text).strip("\0 "))
    except ValueError:
        return values
    return values if mark != mark else np.where(values == mark, np.nan, values.astype(np.float32))


def read_png(data: bytes, name: str) -> np.ndarray:
    """(h, w, bands), uint8 or uint16: grey, RGB or RGBA."""
    import cv2

    if len(data) > 24 and int.from_bytes(data[16:20]) * int.from_bytes(data[20:24]) > MOST:
        raise ImageError(f"{name}: too many pixels: save it in tiles")
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise DamagedImageError(f"{name}: damaged or cut off")
    values = values.reshape(*values.shape[:2], -1)
    return values[:, :, [2, 1, 0, 3][: values.shape[2]]] if values.shape[2] > 2 else values


def read_dicom(data: bytes, name: str, remarks: Remarks, number: int = 0) -> np.ndarray:
    """A frame (h, w, bands), counted as `read_tiff` counts pages.

    Grey is rescaled as the file says, the larger the lighter.
    """
    from_file, rescaled = _pydicom(name)
    try:
        about = from_file(io.BytesIO(data))
        values = np.asarray(about.pixel_array)
    except Exception as error:  # of any kind: each codec has its own
        raise ImageError(f"{name}: a DICOM file that is not read here ({error})") from error
    colours = int(about.SamplesPerPixel)
    frames = int(about.get("NumberOfFrames") or 1)
    at = chosen_page(number, frames, name)
    if frames > 1:
        values = values[at]
        if not number:
            remarks.add(Remark.FRAMES, name)
    shown = str(about.PhotometricInterpretation)
    if "PALETTE" in shown:
        raise ImageError(f"{name}: its numbers are rows of a palette of colours, not bands")
    if colours == 1:
        if shown == "MONOCHROME1":  # the larger the darker
            values = _inverted(values, int(about.BitsStored))
        values = rescaled(values, about)
    return values.reshape(*values.shape[:2], colours)


def _dicom_shape(file: BinaryIO, name: str, page: int) -> Shape:
    from_file, _ = _pydicom(name)
    try:
        about = from_file(file, stop_before_pixels=True)
        shape = int(about.Rows), int(about.Columns), int(about.SamplesPerPixel)
        frames = int(about.get("NumberOfFrames") or 1)
    except Exception as error:  # of any kind: a damaged header
        raise ImageError(f"{name}: a DICOM file that is not read here ({error})") from error
    chosen_page(page, frames, name)
    return shape


def _pydicom(name: str) -> tuple[Callable[..., Any], Callable[..., np.ndarray]]:
    try:
        from pydicom import dcmread
        from pydicom.pixels.processing import apply_modality_lut
    except ImportError as error:
        raise ImageError(
            f"{name}: DICOM is read by pydicom: pip install 'onecycle[dicom]'"
        ) from error
    return dcmread, apply_modality_lut


def _inverted(values: np.ndarray, bits: int) -> np.ndarray:
    """The numbers of `bits` bits in their opposite order."""
    signed = values.dtype.kind == "i"
    return (-1 if signed else (1 << bits) - 1) - values.astype(np.int64)
