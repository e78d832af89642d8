"""Small images, made when they are first seen, and kept."""

import io
import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from onecycle.core.files import write_atomically
from onecycle.runtime.inputs.pixels import open_pixels
from onecycle.runtime.sources import Remarks

SIDE = 160


class Thumbnails:
    """A folder of them; one is made anew where its file has another size or time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, files: Sequence[Path], draw: Callable[[], bytes]) -> bytes:
        """The JPEG that `draw` makes of files."""
        about = [(os.fspath(file), file.stat()) for file in files]
        key = "\0".join(f"{name}\0{one.st_size}\0{one.st_mtime_ns}" for name, one in about)
        name = sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        kept = self.folder / name[:2] / f"{name}.jpg"
        try:
            return kept.read_bytes()
        except FileNotFoundError:
            data = draw()
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, lambda to: _write(to, data))
        return data


def jpeg_of(file: Path, side: int) -> bytes:
    """An image as JPEG, its longer side at most `side` pixels."""
    return jpeg_of_pixels(open_pixels(file, at_least=(side, side), remarks=Remarks()), side)


def jpeg_of_pixels(pixels: np.ndarray, side: int) -> bytes:
    """uint8 (h, w, 3) as JPEG, its longer side at most `side` pixels."""
    from PIL import Image

    small, buffer = Image.fromarray(pixels), io.BytesIO()
    small.thumbnail((side, side))
    small.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
