"""Picture files of every common kind become 8-bit RGB arrays, the right way up, or a clear error.

JPEG goes through libjpeg-turbo (simplejpeg), everything else and every doubtful case through
Pillow with a list of allowed formats.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from onecycle.core.errors import ImageError
from onecycle.spec.opened import content_of
from onecycle.spec.rows import PICTURES, cell

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
MAX_PIXELS = 150_000_000
_BACKGROUND = 255  # transparent pictures are laid on white
_HINTS = (
    (b"ftyphei", "HEIC: save it as JPEG or PNG"),
    (b"ftypmif", "HEIC: save it as JPEG or PNG"),
    (b"ftypavif", "AVIF: save it as JPEG or PNG"),
    (b"<svg", "SVG is a drawing, not pixels: render it to PNG"),
    (b"<html", "this is a web page: the download went wrong"),
    (b"<!doctype html", "this is a web page: the download went wrong"),
    (b"%PDF", "this is a PDF document"),
)

_MARKS = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n", b"IEND"))  # begin and end of a file


def open_pixels(source: Any, at_least: tuple[int, int] | None = None) -> np.ndarray:
    """The picture as a uint8 array (h, w, 3).

    `source` is a path, bytes, a binary file, a PIL image, or an array (h, w), (h, w, 1|3|4) of
    uint8 or of floats in 0-1; or a row of a frame with one of these in a cell `file`, `name`,
    `image`, ... EXIF rotation is applied, 16-bit values are scaled, transparency is laid on
    white, of an animation the first frame is taken. With `at_least` (h, w) a JPEG may
    be decoded at a half, a quarter or an eighth of its size, as long as it stays that large.

    Raises ImageError, with the name of the file, for whatever is not such a picture.
    """
    source = cell(source, PICTURES)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if hasattr(source, "convert") and hasattr(source, "mode"):
        return _from_pil(source, "the given picture")
    data, name = read_bytes(source)
    try:
        if data[:3] == b"\xff\xd8\xff":
            fast = _fast_jpeg(data, at_least)
            if fast is not None:
                return fast
        return _slow(data, name, at_least)
    except MemoryError as error:
        raise ImageError(f"{name}: too large for the memory of this machine") from error


def open_indexes(source: Any, colours: Any = None) -> np.ndarray:
    """A mask file as its stored numbers, an array (h, w) of uint8 or int32; palettes are kept.

    With `colours`, a table (n, 3) of uint8, each pixel is the row of its colour.
    """
    if colours is not None:
        return _rows_of_colours(open_pixels(source), np.asarray(colours), source)
    if isinstance(source, np.ndarray):
        return source
    data, name = read_bytes(source)
    picture = _pillow(data, name)
    if picture.mode not in {"L", "P", "1", "I", "I;16", "I;16B", "I;16L"}:
        raise ImageError(
            f"{name}: a mask holds one number per pixel, this file holds {picture.mode} colours; "
            "give the table of its colours (`colours=`), or save it as an index PNG"
        )
    stored = np.array(picture)
    return stored if stored.dtype == np.uint8 else stored.astype(np.int32)


def _rows_of_colours(pixels: np.ndarray, colours: np.ndarray, source: Any) -> np.ndarray:
    """(h, w, 3) colours as rows of the table (n, 3), int32."""
    shift = np.array([16, 8, 0])
    given = (pixels.astype(np.int32) << shift).sum(2)
    known = (colours.astype(np.int32).reshape(-1, 3) << shift).sum(1)
    order = known.argsort()
    rows = order[np.searchsorted(known[order], given).clip(max=len(known) - 1)]
    strange = known[rows] != given
    if strange.any():
        values, counts = np.unique(pixels[strange], axis=0, return_counts=True)
        named = [f"{tuple(map(int, v))} ({n} pixels)" for v, n in zip(values, counts, strict=True)]
        name = source if isinstance(source, str | os.PathLike) else "the mask"
        raise ImageError(f"{name} holds colours outside the table: {', '.join(named[:5])}")
    return rows.astype(np.int32)


def read_bytes(source: Any) -> tuple[bytes, str]:
    """The content of a path, bytes or a binary file, and the name to use in messages."""
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), "the given bytes"
    elif isinstance(source, str | os.PathLike):
        name = str(source)
        try:
            with open(source, "rb") as file:  # noqa: PTH123 - twice as fast as Path, per picture
                data = file.read()
        except FileNotFoundError:
            raise ImageError(f"{name}: no such file") from None
        except (OSError, ValueError) as error:
            raise ImageError(f"{name}: cannot be read ({error})") from error
    elif hasattr(source, "read"):
        data = content_of(source, ImageError)
        name = str(getattr(source, "name", "the given file"))
    else:
        raise ImageError(f"a picture is a path, bytes, a file, PIL or an array, not {type(source)}")
    if not data:
        raise ImageError(f"{name}: the file is empty (0 bytes)")
    return data, name


def verify(path: Path) -> str | None:
    """What is wrong with a picture file, or None; the whole picture is decoded."""
    try:
        open_pixels(path)
    except ImageError as error:
        return str(error)
    return None


def sniff(path: Any) -> str | None:
    """What is wrong with a file by its first and last bytes, or None; odd ones are decoded."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            head = file.read(32)
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - 64))
            tail = file.read()
    except FileNotFoundError:
        return "no such file"
    except (OSError, ValueError) as error:
        return f"cannot be read ({error})"
    if not head:
        return "the file is empty (0 bytes)"
    whole = any(head.startswith(m) and end in tail for m, end in _MARKS)
    return None if whole and _png_area(head) <= MAX_PIXELS else verify(Path(path))


def _png_area(head: bytes) -> int:
    """The pixels that the header of a PNG promises; 0 for other files."""
    if not head.startswith(b"\x89PNG"):
        return 0
    return int.from_bytes(head[16:20]) * int.from_bytes(head[20:24])


def open_size(path: Any) -> tuple[int, int]:
    """The (h, w) of an upright picture, from its header."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as picture:
            turned = picture.getexif().get(274, 1) in {5, 6, 7, 8} and picture.format != "TIFF"
            return picture.size if turned else picture.size[::-1]  # Pillow turns TIFF by itself
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        raise ImageError(f"{path}: its size cannot be read ({error})") from error


def _fast_jpeg(data: bytes, at_least: tuple[int, int] | None) -> np.ndarray | None:
    """Decode with libjpeg-turbo; None where Pillow should have a look instead."""
    import simplejpeg

    turn = _exif_orientation(data)
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours in {"CMYK", "YCCK"} or height * width > MAX_PIXELS:
            return None
        scale = _shrink(height, width, at_least, turn)
        small = {} if scale == 1 else {"min_height": height // scale, "min_width": width // scale}
        pixels = simplejpeg.decode_jpeg(data, "RGB", **small)
    except ValueError:
        return None
    return pixels if turn == 1 else _turned(pixels, turn).copy()  # also of 1 x 1: no turned strides


def _shrink(height: int, width: int, at_least: tuple[int, int] | None, turn: int) -> int:
    """The largest of 8, 4, 2, 1 by which a picture can be divided and still be large enough."""
    if at_least is None:
        return 1
    wanted_h, wanted_w = at_least if turn < 5 else at_least[::-1]
    room = min(height / wanted_h, width / wanted_w)
    return next(factor for factor in (8, 4, 2, 1) if factor <= room or factor == 1)


def _exif_orientation(data: bytes) -> int:
    """EXIF's 1-8; 1 where the file says nothing. Pillow reads it only if there is EXIF at all."""
    if data.find(b"Exif\x00\x00", 0, 65536) < 0:
        return 1
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            turn = int(picture.getexif().get(274, 1))
    except (OSError, SyntaxError, ValueError, TypeError):
        return 1
    return turn if turn in range(1, 9) else 1


def _turned(pixels: np.ndarray, turn: int) -> np.ndarray:
    """EXIF orientation 1-8 applied: 5-8 swap the axes, then rows and columns are reversed."""
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    flip_rows = turn in {3, 4, 7, 8}
    flip_columns = turn in {2, 3, 6, 7}
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def _pillow(data: bytes, name: str) -> Any:
    """Open and decode with Pillow; every failure becomes an ImageError."""
    from PIL import Image, UnidentifiedImageError

    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            size = f"{picture.width} x {picture.height}"
            raise Image.DecompressionBombError(f"{size} is more than the limit of {MAX_PIXELS:,}")
        picture.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name}: too many pixels ({error})") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name}: {_what_instead(data)}") from None
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise ImageError(f"{name}: damaged or cut off ({error})") from error
    return picture


def _what_instead(data: bytes) -> str:
    head = data[:512].lower()
    for mark, hint in _HINTS:
        if mark.lower() in head:
            return f"not a picture onecycle reads. {hint}"
    return (
        f"not a picture: it begins with {data[:12]!r}; known are {', '.join(FORMATS)}. "
        "`verify_images` finds and removes such files"
    )


def _slow(data: bytes, name: str, at_least: tuple[int, int] | None) -> np.ndarray:
    return _from_pil(_pillow(data, name), name)


def _from_pil(picture: Any, name: str) -> np.ndarray:
    """Any PIL mode to uint8 (h, w, 3), upright."""
    from PIL import Image, ImageOps

    try:
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith(("I", "F")):
            return _from_array(_scaled(np.asarray(picture)))
        if picture.mode in {"LA", "PA", "RGBA", "RGBa", "La"} or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            ground = Image.new("RGBA", picture.size, (_BACKGROUND,) * 3 + (255,))
            picture = Image.alpha_composite(ground, picture)
        return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))
    except (OSError, ValueError, TypeError, SyntaxError) as error:
        raise ImageError(f"{name}: damaged or cut off ({error})") from error


def _scaled(values: np.ndarray) -> np.ndarray:
    """16-bit or float grey values to floats in 0-1."""
    if values.dtype.kind == "f":
        top = 1.0 if values.size == 0 or np.nanmax(values) <= 1 else 255.0
    else:
        top = 65535.0 if values.dtype.itemsize == 2 or values.max(initial=0) > 255 else 255.0
    return np.nan_to_num(values.astype(np.float32) / top).clip(0, 1)


def _from_array(values: np.ndarray) -> np.ndarray:
    """uint8, uint16 or floats in 0-1, grey, RGB or RGBA, to uint8 (h, w, 3)."""
    if values.ndim not in {2, 3} or (values.ndim == 3 and values.shape[2] not in {1, 3, 4}):
        raise ImageError(
            f"an array picture has shape (h, w), (h, w, 3) or (h, w, 4), not {values.shape}"
        )
    if values.dtype == bool:
        values = values * np.uint8(255)
    elif values.dtype != np.uint8:
        values = np.rint(_scaled(values) * 255).astype(np.uint8)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.shape[2] == 4:
        alpha = values[:, :, 3:].astype(np.float32) / 255
        laid = values[:, :, :3] * alpha + _BACKGROUND * (1 - alpha)
        values = np.rint(laid).astype(np.uint8)
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)))  # a copy, free to be changed
