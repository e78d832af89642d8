"""Every geometric transform as a 3x3 matrix, and the one matrix that a sample is warped by.

Coordinates are (x, y, 1) with the origin in the centre of the window that is cut out, in pixels
of the output. A transform's matrix says where in the image an output pixel looks (output to
input), so matrices multiply in the order in which the transforms are listed, and points move by
the inverse. Pixel centres are whole numbers: a point on a bright pixel stays on it.
"""

from math import cos, radians, sin

import numpy as np

Matrix = np.ndarray  # float64 (3, 3)
CORNERS = np.array([[-1.0, -1], [1, -1], [-1, 1], [1, 1]])  # (row, column): left, then right


def shift(x: float, y: float) -> Matrix:
    """Look `x` pixels further right and `y` further down."""
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def scaling(x: float, y: float) -> Matrix:
    """Look `x` and `y` times as far from the centre."""
    return np.array([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]])


def rotation(h: float, w: float, degrees: float) -> Matrix:
    """Turn the image by `degrees`, counter-clockwise."""
    c, s = cos(radians(degrees)), sin(radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0], [0, 0, 1]])


def zooming(h: float, w: float, scale: float, row_pct: float, col_pct: float) -> Matrix:
    """Enlarge `scale` times around the focus at (row_pct, col_pct) of the window."""
    return _focus(h, w, 1 / scale, 1 / scale, row_pct, col_pct)


def squishing(h: float, w: float, scale: float, row_pct: float, col_pct: float) -> Matrix:
    """Stretch one axis: below 1 the width grows by 1/scale, above 1 the height by scale."""
    x, y = (scale, 1.0) if scale <= 1 else (1.0, 1 / scale)
    return _focus(h, w, x, y, row_pct, col_pct)


def _focus(h: float, w: float, x: float, y: float, row_pct: float, col_pct: float) -> Matrix:
    return shift((1 - x) * (col_pct - 0.5) * w, (1 - y) * (row_pct - 0.5) * h) @ scaling(x, y)


def mirroring(h: float, w: float, axis: int) -> Matrix:
    """Mirror left-right (axis 1) or top-bottom (axis 0)."""
    return scaling(-1, 1) if axis else scaling(1, -1)


def dihedral(h: float, w: float, k: int) -> Matrix:
    """Symmetry `k` (0-7) of the square: bit 0 mirrors x, bit 1 mirrors y, bit 2 swaps them."""
    m = scaling(-1 if k & 1 else 1, -1 if k & 2 else 1)
    return m @ np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]]) if k & 4 else m


def corners(h: float, w: float, moved: np.ndarray) -> Matrix:
    """The homography that looks at `moved` (4, 2) where the window's corners are.

    `moved` holds (row, column) in units of half a window, for the corners top left, bottom left,
    top right, bottom right. Source: the direct linear transform, Hartley & Zisserman 2004, 4.1.
    """
    rows, right = [], []
    for (y, x), (v, u) in zip(CORNERS, moved, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solved = np.append(np.linalg.solve(np.array(rows), np.array(right)), 1).reshape(3, 3)
    half = scaling(w / 2, h / 2)
    return half @ solved @ np.linalg.inv(half)


def source_matrix(
    chain: Matrix,
    source: tuple[int, int],
    out: tuple[int, int],
    method: str,
    row_pct: float = 0.5,
    col_pct: float = 0.5,
) -> Matrix:
    """From pixel indexes of the output to pixel indexes of the source.

    `chain` is the product of the sample's transforms; the window of size `out` (h, w) sits at
    (row_pct, col_pct) of the room that is left by resizing `source` (h, w) with `method`.
    """
    scale_y, scale_x = resize_scales(source, out, method)
    room_x, room_y = source[1] * scale_x - out[1], source[0] * scale_y - out[0]
    placed = shift((col_pct - 0.5) * room_x, (row_pct - 0.5) * room_y)
    centred = scaling(1 / scale_x, 1 / scale_y) @ placed @ chain
    return to_index(source) @ centred @ from_index(out)


def resize_scales(
    source: tuple[int, int], out: tuple[int, int], method: str
) -> tuple[float, float]:
    """By how much rows and columns are enlarged before the window is cut out."""
    y, x = out[0] / source[0], out[1] / source[1]
    if method == "crop":
        y = x = max(x, y)
    elif method == "pad":
        y = x = min(x, y)
    elif method == "none":
        y = x = 1.0
    return y, x


def to_index(size: tuple[int, int]) -> Matrix:
    """From centred coordinates to pixel indexes of an image of `size` (h, w)."""
    return shift((size[1] - 1) / 2, (size[0] - 1) / 2)


def from_index(size: tuple[int, int]) -> Matrix:
    """From pixel indexes of an image of `size` (h, w) to centred coordinates."""
    return shift((1 - size[1]) / 2, (1 - size[0]) / 2)


def move_points(points: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Points (n, 2) as (x, y) pixel indexes of the source, where the output shows them."""
    ones = np.ones((len(points), 1))
    moved = np.concatenate([points, ones], 1) @ np.linalg.inv(matrix).T
    return moved[:, :2] / moved[:, 2:]


def is_pixel_exact(matrix: Matrix) -> bool:
    """Whether every output pixel looks at exactly one source pixel (flips, turns by 90 degrees)."""
    (a, b, x), (c, d, y), last = matrix.tolist()
    whole = all(abs(v - round(v)) < 1e-9 for v in (a, b, x, c, d, y, *last))
    turn = (round(abs(a)), round(abs(b)), round(abs(c)), round(abs(d)))
    return whole and turn in {(1, 0, 0, 1), (0, 1, 1, 0)} and [round(v) for v in last] == [0, 0, 1]
