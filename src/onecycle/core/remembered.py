"""What was looked through once need not be looked through again while it stays the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class Remembered:
    """A mark on this machine that these files, as they are now, passed the check `name`.

    Kept in ~/.cache/onecycle (or the folder in ONECYCLE_CACHE); a cache that cannot be written
    only costs time.
    """

    def __init__(self, name: str, files: Iterable[str | os.PathLike[str]]) -> None:
        digest = hashlib.sha256(name.encode())
        for file in files:
            try:
                found = Path(file).stat()
                about = f"{Path(file).absolute()} {found.st_size} {found.st_mtime_ns}\n"
            except OSError:
                about = f"{file} missing\n"
            digest.update(about.encode(errors="surrogateescape"))
        home = os.environ.get("ONECYCLE_CACHE") or Path.home() / ".cache" / "onecycle"
        self.mark = Path(home) / "checked" / digest.hexdigest()

    def __bool__(self) -> bool:
        return self.mark.exists()

    def keep(self) -> None:
        """Set the mark."""
        with suppress(OSError):
            self.mark.parent.mkdir(parents=True, exist_ok=True)
            self.mark.touch()
