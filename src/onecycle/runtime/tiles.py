"""A class for every pixel of an image of any size: the network looks at one tile after another.

Neighbouring tiles overlap. Of the overlap each tile's outer quarter, where the network sees least
of what is around, counts nothing; between the quarters the weight goes over from one tile to the
other in a straight line. So a network whose answer at a pixel depends on no more than a quarter of
the overlap around it answers as it would on the whole image.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onecycle.core.errors import UsageError, require_whole
from onecycle.runtime.inputs.image import ImageSpec, parse_size, seen_part
from onecycle.runtime.kinds import TargetSpec
from onecycle.runtime.large_images import fill_mask, rows_of

_AT_ONCE = 4  # tiles that the network gets together
_ROWS = 64  # whose classes are found at once
Values = Mapping[str, np.ndarray]  # as an exported file gives them: probabilities, box, inner


def predict_tiled(
    look: Callable[[np.ndarray], Values],
    given: ImageSpec,
    target: TargetSpec,
    source: Any,
    tile: Any,
    overlap: int | None,
    out: str | Path | None,
) -> np.ndarray:
    """The mask (h, w) of an image; `look` answers tiles, uint8 (n, h, w, 3).

    Beside the mask, or in its place where `out` is a TIFF, a row of tiles is in memory: its pixels,
    and float32 probabilities of every class.
    """
    size, _ = parse_size(tile)
    if size is None or (dtype := target.mask_dtype) is None:
        raise UsageError("tiles have a size, an int or (h, w), and are for models of masks")
    overlap = min(size) // 4 if overlap is None else require_whole("overlap", overlap, 0)
    if overlap > min(size) // 2:
        raise UsageError(f"tiles of {size} overlap by {min(size) // 2} pixels at most: {overlap}")
    with rows_of(source, given.array) as rows:
        (h, w), path = rows.size, None if out is None else Path(out)
        down, across = Axis(h, size[0], overlap), Axis(w, size[1], overlap)

        def fill(mask: np.ndarray) -> None:
            strip = np.zeros((target.n_outputs, size[0], across.starts[-1] + size[1]), np.float32)
            for i, top in enumerate(down.starts):
                pixels = rows.read(top, min(top + size[0], h))
                pixels = seen_part(pixels, (0, 0, *strip.shape[1:]), "reflection")
                _add_row(strip, pixels, look, down.weights[i], across)
                end = (*down.starts, h)[i + 1] - top  # what no later tile adds to
                for row in range(0, end, _ROWS):
                    part = slice(row, min(row + _ROWS, end))
                    mask[top + part.start : top + part.stop] = strip[:, part, :w].argmax(0)
                strip[:, : size[0] - end] = strip[:, end:]
                strip[:, size[0] - end :] = 0

        return fill_mask(path, (h, w), dtype, fill)


class Axis:
    """Where tiles begin along `length` pixels, and the weight of each of their pixels.

    The weights of all tiles add up to 1 at every pixel. The last tile ends with the image, or is
    the only one.
    """

    def __init__(self, length: int, tile: int, overlap: int) -> None:
        last = max(0, length - tile)
        self.starts = [*range(0, last, tile - overlap), last]
        x, ramp = np.arange(tile), max(overlap / 2, 1e-6)

        def behind(i: int, start: int) -> np.ndarray:
            """How much of the pixels of the tile at `start` belongs to tiles behind the i-th."""
            if i < 0 or i + 1 == len(self.starts):
                return np.full(tile, float(i < 0))
            middle = (self.starts[i] + tile + self.starts[i + 1] - 1) / 2
            return ((start + x - middle) / ramp + 0.5).clip(0, 1)

        self.weights = [
            (behind(i - 1, start) - behind(i, start)).astype(np.float32)
            for i, start in enumerate(self.starts)
        ]


def _add_row(
    strip: np.ndarray, pixels: np.ndarray, look: Any, down: np.ndarray, across: Axis
) -> None:
    """Add what a row of tiles says to the weighted probabilities (classes, h, w) of the row."""
    high, wide = len(down), len(across.weights[0])
    pairs = list(zip(across.starts, across.weights, strict=True))
    for first in range(0, len(pairs), _AT_ONCE):
        some = pairs[first : first + _AT_ONCE]
        seen = look(np.stack([pixels[:, left : left + wide] for left, _ in some]))
        for shares, (left, weights) in zip(_over_tiles(seen, high, wide), some, strict=True):
            strip[:, :, left : left + wide] += shares * (down[:, None] * weights)


def _over_tiles(seen: Values, high: int, wide: int) -> np.ndarray:
    """Probabilities (n, classes, high, wide) of what the network says of tiles, as for masks."""
    if seen["box"].tolist() != [0, 0, high, wide]:
        rows, cols = seen["probabilities"].shape[2:]
        raise UsageError(
            f"of tiles of {high} x {wide} the model sees a part only: give tile= the proportions "
            f"of its own input, {rows} x {cols}"
        )
    top, left, h, w = map(int, seen["inner"])
    shown = seen["probabilities"][:, :, top : top + h, left : left + w]
    if (h, w) == (high, wide):
        return shown
    return _between(h, high) @ shown @ _between(w, wide).T


def _between(count: int, wanted: int) -> np.ndarray:
    """The matrix (wanted, count) that interpolates, as the Resize of an exported file does."""
    at = ((np.arange(wanted) + 0.5) * (count / wanted) - 0.5).clip(0, count - 1)
    below = np.floor(at).astype(int).clip(max=max(0, count - 2))
    found, rows = np.zeros((wanted, count), np.float32), np.arange(wanted)
    found[rows, below] = 1 - (at - below)
    found[rows, (below + 1).clip(max=count - 1)] += at - below
    return found
