"""JPEG by libjpeg-turbo: fast, at a reduced size where that is enough, and strict about damage."""

import io
import re
from collections.abc import Iterator

import numpy as np

from onecycle.core.errors import DamagedImageError

MARK = b"\xff\xd8\xff"
_DAMAGE = re.compile("Corrupt JPEG data|Premature end of JPEG")
# Padding before the segments of the header: the image itself is whole.
_HARMLESS = re.compile("extraneous bytes before marker 0x(e.|fe|db|c[0-3])$")
_AT_END = re.compile("extraneous bytes before marker 0xd9$")
_END = b"\xff\xd9"


def decode(
    data: bytes, name: str, at_least: tuple[int, int] | None, most: int
) -> np.ndarray | None:
    """Upright uint8 (h, w, 3); None for what Pillow should look at: CMYK, or above `most` pixels.

    DamagedImageError where the decoder reports damage, be it in the middle: it would go on with
    grey or shifted blocks.
    """
    import simplejpeg

    turn = orientation(data)
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if height * width > most:
            return None
        if colours in {"CMYK", "YCCK"}:
            simplejpeg.decode_jpeg(data, "CMYK")  # Pillow's colours, but its decoder is not strict
            return None
        scale = _shrink(height, width, at_least, turn)
        small = {} if scale == 1 else {"min_height": height // scale, "min_width": width // scale}
        pixels = simplejpeg.decode_jpeg(data, "RGB", **small)
    except ValueError as error:
        message = str(error)
        if _AT_END.search(message) and (whole := _strip_padding(data)) is not None:
            return decode(whole, name, at_least, most)
        if _DAMAGE.search(message) and not _HARMLESS.search(message):
            raise DamagedImageError(f"{name}: damaged or cut off ({message})") from error
        return None
    return pixels if turn == 1 else turned(pixels, turn).copy()  # also of 1 x 1: no turned strides


def _strip_padding(data: bytes) -> bytes | None:
    """Without the zeros that some cameras put before the mark of the end; None if there are none.

    Zeros that took the place of image data are missed when the rest is decoded.
    """
    end = data.rfind(_END)
    kept = data[: max(end, 0)].rstrip(b"\0")
    if kept.endswith(b"\xff"):  # a byte of the image, whose zero belongs to it
        kept += b"\0"
    return kept + data[end:] if len(kept) < end else None


def _shrink(height: int, width: int, at_least: tuple[int, int] | None, turn: int) -> int:
    """The largest of 8, 4, 2, 1 by which an image can be divided and still be large enough."""
    if at_least is None:
        return 1
    wanted_h, wanted_w = at_least if turn < 5 else at_least[::-1]
    room = min(height / wanted_h, width / wanted_w)
    return next(factor for factor in (8, 4, 2, 1) if factor <= room or factor == 1)


def orientation(data: bytes) -> int:
    """EXIF's 1-8; 1 where the file says nothing. Pillow reads it only where there is something."""
    if not any(_may_turn(segment) for segment in _segments(data)):
        return 1
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return valid_turn(image.getexif().get(274))
    except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError):
        return 1


def valid_turn(value: object) -> int:
    """EXIF's 1-8; 1 for nonsense."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _may_turn(segment: bytes) -> bool:
    return segment.startswith(b"Exif\0\0") or b"tiff:Orientation" in segment


def _segments(data: bytes) -> Iterator[bytes]:
    """The contents of the APP1 segments (EXIF, XMP) before the pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        mark = data[at + 1]
        if mark == 0xFF:  # padding
            at += 1
            continue
        if mark in {0xDA, 0xD9}:
            return
        length = int.from_bytes(data[at + 2 : at + 4])
        if mark == 0xE1:
            yield data[at + 4 : at + 2 + length]
        at += 2 + max(2, length)


def turned(pixels: np.ndarray, turn: int) -> np.ndarray:
    """EXIF orientation 1-8 applied: 5-8 swap the axes, then rows and columns are reversed."""
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    flip_rows = turn in {3, 4, 7, 8}
    flip_columns = turn in {2, 3, 6, 7}
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
