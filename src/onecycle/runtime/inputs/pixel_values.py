"""Values of every depth and number of bands become uint8 (h, w, 3), exactly, or are named."""

from typing import Any

import numpy as np

from onecycle.core.errors import DamagedImageError, ImageError
from onecycle.runtime.sources import Remark, Remarks

_BACKGROUND = 255  # transparent images are laid on white
_FEW = 1 << 14  # 16-bit values below this leave 64 grey levels or fewer
_ROWS = 1 << 18  # pixels that are laid on white or become RGB at once: copies of them take little
_BYTES = np.rint(np.arange(65536, dtype=np.float32) * (255 / 65535)).astype(np.uint8)
_SLACK = 0.002  # of the range: half a grey level, by which floats may pass its ends


def from_array(values: np.ndarray, name: str, remarks: Remarks) -> np.ndarray:
    """uint8, uint16, bool, floats, or whole numbers of 0-255: grey, RGB or RGBA, to uint8."""
    if values.ndim not in {2, 3} or (values.ndim == 3 and values.shape[2] not in {1, 3, 4}):
        raise ImageError(
            f"an array image has shape (h, w), (h, w, 3) or (h, w, 4), not {values.shape}"
        )
    if values.dtype != np.uint8:
        values = _as_bytes(values, name, remarks)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.shape[2] == 4:
        shown = values[:, :, 3]
        partial = float(((shown > 0) & (shown < 255)).mean())
        _note_alpha(partial, int(shown.max(initial=0)), name, remarks)
        alpha = values[:, :, 3:].astype(np.float32) / 255
        laid = values[:, :, :3] * alpha + _BACKGROUND * (1 - alpha)
        values = np.rint(laid).astype(np.uint8)
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)))  # a copy, free to be changed


def from_pil(image: Any, name: str, remarks: Remarks, bits: int = 8) -> np.ndarray:
    """Any PIL mode to uint8 (h, w, 3), upright; `bits` is the depth that the file had."""
    from PIL import ImageOps

    tags = getattr(image, "tag_v2", None) or {}  # a TIFF's own
    try:
        if image.getexif().get(274, 1) != 1:  # it copies the whole image, turned or not
            image = ImageOps.exif_transpose(image)
        if tags.get(277, 1) > len(image.getbands()):
            remarks.add(Remark.BANDS, name)
        if image.mode.startswith(("I", "F")):
            return from_array(_grey(image, tags), name, remarks)
    except (OSError, SyntaxError) as error:
        raise DamagedImageError(f"{name}: damaged or cut off ({error})") from error
    try:
        pixels = _in_bands(image, name, remarks)
    except (OSError, ValueError, TypeError, SyntaxError) as error:
        raise ImageError(f"{name}: {image.mode} colours do not become RGB ({error})") from error
    if bits > 8:
        _note_range(int(pixels.max(initial=0)) * 257, name, remarks)
    return pixels


def _in_bands(image: Any, name: str, remarks: Remarks) -> np.ndarray:
    """uint8 (h, w, 3), some rows at a time, so that nothing but the result is as large as it."""
    from PIL import Image

    width, height = image.size
    clear = image.mode in {"LA", "PA", "RGBA", "RGBa", "La"} or "transparency" in image.info
    pixels, alphas = np.empty((height, width, 3), np.uint8), np.zeros(256, np.int64)
    step = max(1, _ROWS // max(1, width))
    for top in range(0, height, step):
        end = min(top + step, height)
        band = image if step >= height else image.crop((0, top, width, end))
        if clear:
            band = band.convert("RGBA")
            alphas += band.getchannel("A").histogram()
            ground = Image.new("RGBA", band.size, (_BACKGROUND,) * 3 + (255,))
            band = Image.alpha_composite(ground, band)
        pixels[top:end] = band if band.mode == "RGB" else band.convert("RGB")
    if clear:
        partial = float(alphas[1:255].sum() / max(1, alphas.sum()))
        _note_alpha(partial, int(alphas.nonzero()[0].max(initial=0)), name, remarks)
    return pixels


def _note_alpha(partial: float, top: int, name: str, remarks: Remarks) -> None:
    """Remark on a last band that does not look like transparency.

    `partial` is the share of its values that are neither 0 nor 255, `top` the largest.
    """
    if partial > 0.5 or top < 255:
        remarks.add(Remark.ALPHA, name)


def _note_range(top: int, name: str, remarks: Remarks) -> None:
    """Remark on 16-bit values, which end at `top`, maybe far from white; black ones say nothing."""
    if top >= _FEW:
        remarks.add(Remark.DEPTH, name)
    elif top:
        remarks.add(Remark.NARROW, name)


def _grey(image: Any, tags: Any) -> np.ndarray:
    """The values of a grey image of 16 or 32 bits, white being the largest."""
    values = np.asarray(image)
    if not image.mode.startswith("I;16"):
        return values
    values = values.astype(np.uint16)
    if tags.get(258, (16,))[0] == 12:  # the file says that 4095 is white
        values = np.rint(values.astype(np.float32) * (65535 / 4095)).astype(np.uint16)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        values = np.where(values == clear, np.uint16(65535), values)
    return 65535 - values if tags.get(262) == 0 else values  # 0: the file says that 0 is white


def _as_bytes(values: np.ndarray, name: str, remarks: Remarks) -> np.ndarray:
    """Values of any other type as uint8; ImageError where their range is not known."""
    kind = values.dtype.kind
    if kind == "b":
        return values * np.uint8(255)
    if kind == "f":
        return _floats_as_bytes(values, name, remarks)
    if kind not in "iu":
        raise ImageError(f"{name}: an array image holds numbers, not {values.dtype}")
    low, high = (int(values.min(initial=0)), int(values.max(initial=0)))
    if kind == "u" and values.dtype.itemsize == 2:
        _note_range(high, name, remarks)
        return _BYTES[values]
    if low < 0 or high > 255:
        raise ImageError(
            f"{name}: whole numbers ({values.dtype}) from {low} to {high}, of which it is not "
            "known what is black and what is white: scale them to 0-255 (uint8) or 0-65535 (uint16)"
        )
    return values.astype(np.uint8)


def _floats_as_bytes(values: np.ndarray, name: str, remarks: Remarks) -> np.ndarray:
    """Floats in 0-1, or else in 0-255."""
    known = values[~np.isnan(values)]
    if known.size < values.size:
        remarks.add(Remark.NAN, name)
    low, high = float(known.min(initial=0)), float(known.max(initial=0))
    top = 1.0 if high <= 1 + _SLACK else 255.0
    if low < -_SLACK * top or high > top * (1 + _SLACK) or 1 + _SLACK < high < 2:
        raise ImageError(
            f"{name}: floats from {low:.4g} to {high:.4g}; known are 0-1 and 0-255: scale them"
        )
    scaled = np.nan_to_num(values.astype(np.float32)) * (255 / top)
    return np.rint(scaled).clip(0, 255).astype(np.uint8)
