"""Images that are larger than memory: some rows at a time are read, and of a mask written.

Of arrays (also `np.memmap`) and of TIFF files the rows that are asked for are read by themselves;
every other image is decoded whole first.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from onecycle.core.errors import DamagedImageError, UsageError
from onecycle.core.files import require_writable, write_atomically
from onecycle.runtime.sources import Remark, Remarks

_TIFF = (".tif", ".tiff")
_COLOURS = {(1, 1), (3, 2), (4, 2), (3, 6)}  # (bands, photometric): grey, RGB, RGBA, YCbCr


class Rows(NamedTuple):
    """An image of `size` (h, w); `read(first, end)` gives uint8 (end - first, w, 3)."""

    size: tuple[int, int]
    read: Callable[[int, int], np.ndarray]


@contextmanager
def rows_of(source: Any, as_pixels: Callable[..., np.ndarray]) -> Iterator[Rows]:
    """The rows of an image: a path, bytes, a binary file, PIL or an array.

    `as_pixels` turns an image, or some rows of one as an array, into pixels, with its remarks.
    """
    remarks = Remarks()
    with ExitStack() as opened:
        stored: Any = source
        if isinstance(source, str | PathLike) and Path(source).suffix.lower() in _TIFF:
            stored = _open_tiff(Path(source), opened)
        if getattr(stored, "dtype", None) in (np.uint8, np.uint16, np.bool_):
            yield Rows(stored.shape[:2], lambda a, b: as_pixels(stored[a:b], remarks))
            remarks.names.pop(Remark.ALPHA, None)  # some rows may well be clear all over
        else:
            whole = as_pixels(source, remarks)
            yield Rows((whole.shape[0], whole.shape[1]), lambda a, b: whole[a:b])
    for names in remarks.names.values():
        del names[1:]  # it is one image, however often it was read
    remarks.warn(1, 4)


def _open_tiff(path: Path, opened: ExitStack) -> Any:
    """What gives rows of the first page; None where it has to be decoded whole."""
    try:
        tifffile = _tifffile("")
        page = opened.enter_context(tifffile.TiffFile(path)).pages[0]
    except Exception:  # of any kind: what reads it whole says what is wrong
        return None
    plain = (
        page.planarconfig == 1
        and (page.samplesperpixel, page.photometric) in _COLOURS
        and page.bitspersample == page.dtype.itemsize * 8
        and page.extrasamples in ((), (2,))
        and page.tags.valueof(274, 1) == 1
    )
    if plain and page.is_memmappable:  # mostly one strip, which need not be read whole
        return tifffile.memmap(path, page=0, mode="r")
    parts = page.is_tiled or page.rowsperstrip < page.imagelength
    return _TiffRows(page, path) if plain and parts else None


class _TiffRows:
    """A page of a TIFF as an array, of which only rows are asked for."""

    def __init__(self, page: Any, path: Path) -> None:
        self.page, self.path = page, path
        self.shape, self.dtype = page.shape, page.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        """The stored values (rows, w, ...), from the tiles or strips that hold them."""
        page, (first, end, _) = self.page, rows.indices(self.shape[0])
        high = page.tilelength if page.is_tiled else page.rowsperstrip
        across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
        found = np.zeros((end - first, *self.shape[1:]), self.dtype)
        reader, tables = page.parent.filehandle, {"jpegtables": page.jpegtables}
        for index in range(first // high * across, -(-end // high) * across):
            try:
                reader.seek(page.dataoffsets[index])
                data = reader.read(page.databytecounts[index])
                part, place, _ = page.decode(data, index, **tables)
            except Exception as error:  # its decoders raise many kinds
                raise DamagedImageError(f"{self.path}: damaged or cut off ({error})") from error
            if part is None:  # not stored: nothing is there
                continue
            top, left = place[2], place[3]
            low, last = max(first, top), min(end, top + part.shape[1], self.shape[0])
            right = min(left + part.shape[2], self.shape[1])
            values = part[0, low - top : last - top, : right - left]
            found[low - first : last - first, left:right] = values.reshape(
                last - low, right - left, *self.shape[2:]
            )
        return found


def _tifffile(what: str) -> ModuleType:
    try:
        import tifffile
    except ImportError as error:
        raise UsageError(f"{what} needs tifffile: pip install 'onecycle[large]'") from error
    return tifffile


def fill_mask(
    out: Path | None, size: tuple[int, int], dtype: str, fill: Callable[[np.ndarray], None]
) -> np.ndarray:
    """An array (h, w) that `fill` has filled, and the file `out` (.png, .tif) with its content.

    Of a TIFF the array is that of the file, which the system reads and writes piece by piece.
    """
    kind = None if out is None else out.suffix.lower()
    if kind not in (None, ".png", *_TIFF):
        raise UsageError(f"{out}: a mask is written as .png, or as .tif, which needs no memory")
    if out is not None and kind in _TIFF:
        tifffile = _tifffile(f"to write {out}")
        require_writable(out)

        def write(to: Path) -> None:
            stored = tifffile.memmap(to, shape=size, dtype=dtype, photometric="minisblack")
            fill(stored)
            stored.flush()

        write_atomically(out, write)
        return tifffile.memmap(out, mode="r")
    if out is not None:
        require_writable(out)
    mask = np.zeros(size, dtype)
    fill(mask)
    if out is not None:
        write_atomically(out, partial(_write_png, mask))
    return mask


def _write_png(mask: np.ndarray, to: Path) -> None:
    from PIL import Image

    Image.fromarray(mask).save(to, "PNG")
