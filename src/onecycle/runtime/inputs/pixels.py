"""Image files of every common kind become 8-bit RGB arrays, the right way up, or a clear error.

JPEG goes through libjpeg-turbo (`jpeg`), everything else through Pillow with a list of allowed
formats; `pixel_values` makes bytes of what they hold. Each file, image or mask, is turned by its
own EXIF mark.
"""

import io
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from onecycle.core.addresses import Stored, is_address, open_binary, place_of
from onecycle.core.errors import DamagedImageError, ImageError, listing
from onecycle.core.walk import FileKind, with_dots
from onecycle.runtime.inputs import band_files, jpeg
from onecycle.runtime.inputs.heic import LACKS, is_heic, open_heic
from onecycle.runtime.inputs.pixel_values import from_array, from_pil
from onecycle.runtime.sources import IMAGES, Remark, Remarks, cell, content_of

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_TAKEN = (
    "jpg jpeg jpe jfif pjpeg pjp png apng webp gif bmp dib tif tiff avif heic heif hif dcm dicom"
)
_FAMILY = (  # images that are not taken: they need more than Pillow has by itself
    "avifs jxl jp2 j2k jpf jpx jxr svg svgz psd psb xcf tga pcx ppm pgm pbm pnm pam "
    "qoi exr hdr dds sgi eps nii mha fits raw dng cr2 cr3 nef arw orf rw2 raf pef srw mpo"
)
SUFFIXES = with_dots(_TAKEN.split())
MAX_PIXELS = band_files.MOST
_DICOM = (
    "DICOM has no range of its own: ImageList.with_bands(value_range=(low, high)) reads it, as a "
    "window (pip install 'onecycle[dicom]'); or save its pixels as PNG"
)
_BEGINS = (  # JPEG, PNG, GIF, TIFF, PSD, JPEG 2000, JPEG XL, OpenEXR, DDS
    *(b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"8BPS"),
    *(b"\0\0\0\x0cjP  ", b"\0\0\0\x0cJXL ", b"\xff\x0a", b"v/1\x01", b"DDS "),
)
_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_ORIENTATION = 274  # EXIF's tag
_OTHERS = (  # (where, mark, what to do): sound files of another kind
    (4, b"ftyphei", LACKS),
    (4, b"ftypmif", LACKS),
    (4, b"ftypavif", "AVIF, which this Pillow was built without: save it as JPEG or PNG"),
    (4, b"ftyp", "a film, or an image in a film's container: save it as JPEG or PNG"),
    (4, b"jP  ", "JPEG 2000: save it as JPEG or PNG"),
    (4, b"JXL ", "JPEG XL: save it as JPEG or PNG"),
    (0, b"\xff\x0a", "JPEG XL: save it as JPEG or PNG"),
    (0, b"8BPS", "a Photoshop file: save it as JPEG or PNG"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR: save it as 8 or 16 bits, PNG or TIFF"),
    (128, b"DICM", _DICOM),
    (0, b"%!PS", "PostScript is a drawing, not pixels: render it to PNG"),
    (0, b"%PDF", "this is a PDF document"),
)
_WORDS = (  # (mark anywhere in the beginning, what to do, whether the file is of use)
    (b"<svg", "SVG is a drawing, not pixels: render it to PNG", True),
    (b"<html", "this is a web page: the download went wrong", False),
    (b"<!doctype html", "this is a web page: the download went wrong", False),
)
_ENDS = ((jpeg.MARK, b"\xff\xd9"), (b"\x89PNG\r\n", b"IEND"))  # begin and end of a file


def open_pixels(
    source: Any, at_least: tuple[int, int] | None = None, remarks: Remarks | None = None
) -> np.ndarray:
    """The image as a uint8 array (h, w, 3).

    `source` is a path, bytes, a binary file, a PIL image, or an array (h, w), (h, w, 1|3|4) of
    uint8, uint16, bool, or floats in 0-1 or 0-255; or a row of a frame with one of these in a cell
    `file`, `name`, `image`, ... EXIF rotation is applied, 16-bit values are scaled, transparency
    is laid on white, of several frames the first is taken. With `at_least` (h, w) a JPEG may be
    decoded at a half, a quarter or an eighth of its size, as long as it stays that large.

    What is left out or reinterpreted is an OnecycleWarning, or an entry in `remarks` if given.
    Raises ImageError, with the name of the file, for whatever is not such an image, and the
    DamagedImageError among them for what was read and is broken.
    """
    found = Remarks() if remarks is None else remarks
    pixels = _open(cell(source, IMAGES), at_least, found)
    if remarks is None:
        found.warn(1, stacklevel=2)
    return pixels


def _open(source: Any, at_least: tuple[int, int] | None, remarks: Remarks) -> np.ndarray:
    if isinstance(source, np.ndarray):
        return from_array(source, "the given array", remarks)
    if _is_pil(source):
        return from_pil(source, "the given image", remarks)
    data, name = read_bytes(source)
    try:
        if data.startswith(jpeg.MARK):
            fast = jpeg.decode(data, name, at_least, MAX_PIXELS)
            if fast is not None:
                return fast
        image, bits = _pillow(data, name, remarks)
        return from_pil(image, name, remarks, bits)
    except MemoryError as error:
        raise ImageError(f"{name}: too large for the memory of this machine") from error


def open_indexes(source: Any, colours: Any = None) -> np.ndarray:
    """A mask's stored numbers, upright, an array (h, w) of whole numbers; palettes are kept.

    `source` is a path, bytes, a file, a PIL image, or an array (h, w) of whole numbers. With
    `colours`, a table (n, 3) of uint8, each pixel is the row of its colour.
    """
    if colours is not None:
        return _rows_of_colours(open_pixels(source), np.asarray(colours), source)
    if isinstance(source, np.ndarray):
        return _whole(source)
    image, name = source, "the given mask"
    if not _is_pil(source):
        data, name = read_bytes(source)
        if data.startswith(jpeg.MARK):  # Pillow's decoder passes over damage
            jpeg.decode(data, name, None, MAX_PIXELS)
        image, _ = _pillow(data, name, None)
    if image.mode not in {"L", "P", "1", "I", "I;16", "I;16B", "I;16L"}:
        raise ImageError(
            f"{name}: a mask holds one number per pixel, this file holds {image.mode} colours; "
            "give the table of its colours (`colours=`), or save it as an index PNG"
        )
    from PIL import ImageOps

    stored = np.array(ImageOps.exif_transpose(image))
    return stored if stored.dtype == np.uint8 else stored.astype(np.int32)


def _whole(mask: np.ndarray) -> np.ndarray:
    """An array (h, w), or (h, w, 1), of whole numbers, whatever their type."""
    mask = mask[:, :, 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
    if mask.ndim != 2:
        raise ImageError(f"a mask is an array (h, w) with one number per pixel, not {mask.shape}")
    if mask.dtype == bool:
        return mask.astype(np.uint8)
    if mask.dtype.kind not in "iuf" or (mask.dtype.kind == "f" and (mask != np.rint(mask)).any()):
        raise ImageError(f"a mask holds whole numbers, one class per pixel; this is {mask.dtype}")
    return mask if mask.dtype.kind != "f" else mask.astype(np.int64)


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


def _is_pil(source: Any) -> bool:
    return hasattr(source, "convert") and hasattr(source, "mode")


def read_bytes(source: Any) -> tuple[bytes, str]:
    """The content of a path, bytes or a binary file, and the name to use in messages."""
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), "the given bytes"
    elif isinstance(source, str | os.PathLike):
        source = place_of(source) if is_address(source) else source
        name = str(source)
        try:
            with open_binary(source) as file:
                data = file.read()
        except FileNotFoundError:
            raise ImageError(f"{name}: no such file") from None
        except (OSError, ValueError) as error:
            raise ImageError(f"{name}: cannot be read ({error})") from error
    elif hasattr(source, "read"):
        data = content_of(source, ImageError)
        name = str(getattr(source, "name", "the given file"))
    else:
        raise ImageError(f"an image is a path, bytes, a file, PIL or an array, not {type(source)}")
    if not data:
        raise DamagedImageError(f"{name}: the file is empty (0 bytes)")
    return data, name


def begins_like_image(begin: bytes) -> bool:
    """Whether a file that begins with these bytes (32 are enough) is an image of a common kind."""
    webp = begin[:4] == b"RIFF" and begin[8:12] == b"WEBP"
    bmp = begin[:2] == b"BM" and begin[6:10] == bytes(4)
    boxed = begin[4:8] == b"ftyp" and begin[8:12] in _BRANDS
    return begin.startswith(_BEGINS) or webp or bmp or boxed


FILES = FileKind("image", SUFFIXES, with_dots(_FAMILY.split()), begins_like_image)


def formats() -> tuple[str, ...]:
    """Those that files may have: HEIF too, once pillow-heif has told Pillow how to read it."""
    from PIL import Image

    return (*FORMATS, "HEIF") if "HEIF" in Image.OPEN else FORMATS


def verify(path: Any) -> ImageError | None:
    """What is wrong with an image file, or None; the whole image is decoded."""
    try:
        open_pixels(path, remarks=Remarks())
    except ImageError as error:
        return error
    return None


def sniff(path: Any) -> ImageError | None:
    """What is wrong with a file by its first and last bytes, or None; odd ones are decoded."""
    try:
        with open_binary(path) as file:
            head = file.read(32)
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - 64))
            tail = file.read()
    except FileNotFoundError:
        return ImageError(f"{path}: no such file")
    except (OSError, ValueError) as error:
        return ImageError(f"{path}: cannot be read ({error})")
    whole = any(head.startswith(m) and end in tail for m, end in _ENDS)
    return None if whole and _png_area(head) <= MAX_PIXELS else verify(path)


def is_plain(path: Any) -> bool:
    """Whether the header shows a JPEG, or a PNG of 8 bits without transparency: no surprises."""
    try:
        with open_binary(path) as file:
            head = file.read(32)
    except (OSError, ValueError):
        return True  # another check says so
    return head.startswith(jpeg.MARK) or (
        head.startswith(b"\x89PNG") and head[24:25] <= b"\x08" and head[25:26] in {b"\0", b"\2"}
    )


def _png_area(head: bytes) -> int:
    """The pixels that the header of a PNG promises; 0 for other files."""
    if not head.startswith(b"\x89PNG"):
        return 0
    return int.from_bytes(head[16:20]) * int.from_bytes(head[20:24])


def open_size(source: Any) -> tuple[int, int]:
    """The (h, w) of an upright image: of a file from its header."""
    if isinstance(source, np.ndarray):
        return source.shape[0], source.shape[1]
    if _is_pil(source):
        return _upright_size(source)
    from PIL import Image

    try:
        with _opened(source) as given, Image.open(given, formats=formats()) as image:
            return _upright_size(image)
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        name = "the given bytes" if isinstance(source, bytes) else source
        if (size := _other_size(source, str(name))) is not None:
            return size
        raise ImageError(f"{name}: its size cannot be read ({error})") from error


def _opened(source: Any) -> AbstractContextManager[Any]:
    """Bytes and files from elsewhere as something to read; anything else as it is."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return open_binary(source) if isinstance(source, Stored) else nullcontext(source)


def _other_size(source: Any, name: str) -> tuple[int, int] | None:
    """The (h, w) of files that Pillow does not know; None for no image."""
    data, _ = read_bytes(source)
    if is_heic(data):
        width, height = open_heic(data, name).size
        return height, width
    if data.startswith(band_files.PNG):
        return None
    found = band_files.shape_of(io.BytesIO(data), name)
    return found and found[:2]


def _upright_size(image: Any) -> tuple[int, int]:
    turned = _turn(image) >= 5 and image.format != "TIFF"  # Pillow turns TIFF by itself
    return image.size if turned else image.size[::-1]


def _turn(image: Any) -> int:
    return jpeg.valid_turn(image.getexif().get(_ORIENTATION))


def open_turn(source: Any) -> int:
    """EXIF's orientation (1-8) of a file, 1 where it has none or is no file."""
    if not isinstance(source, str | os.PathLike | bytes):
        return 1
    from PIL import Image

    try:
        with _opened(source) as given, Image.open(given, formats=FORMATS) as image:
            return _turn(image)
    except Exception:  # of any kind: what reads the pixels says what is wrong
        return 1


def _pillow(data: bytes, name: str, remarks: Remarks | None) -> tuple[Any, int]:
    """Open and decode with Pillow, and the bits of a value; every failure is an ImageError."""
    from PIL import Image, UnidentifiedImageError

    try:
        heic = open_heic(data, name) if is_heic(data) else None
        image = heic or Image.open(io.BytesIO(data), formats=formats())
        width, height = image.size
        if width * height > MAX_PIXELS:
            size = f"{width} x {height}"
            raise Image.DecompressionBombError(f"{size} is more than the limit of {MAX_PIXELS:,}")
        image = heic.to_pillow() if heic else image
        several = image.format not in {"JPEG", "MPO"} and getattr(image, "is_animated", False)
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{name}: too many pixels ({error}): save it smaller, or in parts"
        ) from None
    except UnidentifiedImageError:
        raise _what_instead(data, name) from None
    except ImageError:  # a package is missing
        raise
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise _is_undecodable(data, name, error) from error
    if several and remarks is None:
        raise ImageError(f"{name}: a mask is one image, this file holds several: save one of them")
    if several and remarks is not None:
        remarks.add(Remark.FRAMES, name)
    return image, _bits(data, image)


def _bits(data: bytes, image: Any) -> int:
    """The depth that a file stores, of which Pillow keeps 8 bits where there are colours."""
    if image.format == "PNG":
        return data[24]
    stored = image.tag_v2.get(258, 8) if image.format == "TIFF" else 8
    return int(max(stored)) if isinstance(stored, tuple) else int(stored)


def _is_undecodable(data: bytes, name: str, error: Exception) -> ImageError:
    """Cut off and damaged files; TIFF and HEIC may be of a kind that is not known."""
    if data.startswith(band_files.TIFFS) and "truncated" not in str(error):
        return ImageError(f"{name}: damaged, or a kind of TIFF that is not known here ({error})")
    if is_heic(data):
        return ImageError(f"{name}: damaged, or a kind of HEIC that is not known here ({error})")
    return DamagedImageError(f"{name}: damaged or cut off ({error})")


def _what_instead(data: bytes, name: str) -> ImageError:
    """Why a file is no image that can be read: another kind, or none at all."""
    if data.startswith(band_files.TIFFS):
        return ImageError(
            f"{name}: a TIFF with {_tiff_layout(data)}, which is no photo of three bands of 8 bits "
            "(it need not be damaged): ImageList.with_bands(...) takes such files as they are"
        )
    for at, mark, hint in _OTHERS:
        if data.startswith(mark, at):
            return ImageError(f"{name}: not an image onecycle reads. {hint}")
    head = data[:512].lower()
    for mark, hint, useful in _WORDS:
        if mark in head:
            kind = ImageError if useful else DamagedImageError
            return kind(f"{name}: not an image onecycle reads. {hint}")
    return DamagedImageError(
        f"{name}: not an image: it begins with {data[:12]!r}; known are {', '.join(formats())}"
    )


def _tiff_layout(data: bytes) -> str:
    """Bands and bits of a TIFF that Pillow refuses."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    try:
        tags, file = ImageFileDirectory_v2(data[:8]), io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        bits = sorted({*tags.get(258, (1,))})
        return f"{tags.get(277, 1)} bands of {listing(bits)} bits"
    except Exception:  # of any kind: a damaged header
        return "a header that is not understood"
