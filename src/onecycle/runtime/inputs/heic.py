"""HEIC, the files of phones, by pillow-heif where it is installed."""

import io
from typing import Any

from onecycle.core.errors import ImageError

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
LACKS = (
    "HEIC is read by pillow-heif: pip install 'onecycle[heic]'; or save it as JPEG or PNG, or "
    "leave such files out with filter_by_func"
)


def is_heic(data: bytes) -> bool:
    """Whether a file begins as HEIC does."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def open_heic(data: bytes, name: str) -> Any:
    """An image of pillow-heif's, upright: its `size` (w, h), and `to_pillow()`, of 8 bits."""
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError(f"{name}: {LACKS}") from error
    return pillow_heif.open_heif(io.BytesIO(data))
