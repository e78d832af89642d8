"""Small images, made when they are first seen, and kept."""

import io
import os
from hashlib import sha256
from pathlib import Path

from onecycle.core.files import write_atomically
from onecycle.runtime.inputs.pixels import open_pixels
from onecycle.runtime.sources import Remarks

SIDE = 160


class Thumbnails:
    """A folder of them; one is made anew where its file has another size or time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, file: Path) -> bytes:
        """The JPEG of an image."""
        about = file.stat()
        key = f"{os.fspath(file)}\0{about.st_size}\0{about.st_mtime_ns}"
        name = sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        kept = self.folder / name[:2] / f"{name}.jpg"
        try:
            return kept.read_bytes()
        except FileNotFoundError:
            data = jpeg_of(file, SIDE)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, lambda to: _write(to, data))
        return data


def jpeg_of(file: Path, side: int) -> bytes:
    """An image as JPEG, its longer side at most `side` pixels."""
    from PIL import Image

    pixels = open_pixels(file, at_least=(side, side), remarks=Remarks())
    small, buffer = Image.fromarray(pixels), io.BytesIO()
    small.thumbnail((side, side))
    small.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
