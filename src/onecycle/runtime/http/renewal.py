"""A model file that is replaced while it is served: loaded beside the old one, then put first."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from onecycle.runtime.http.log import logger

T = TypeVar("T")
Stamp = tuple[int, int, int]


class Renewal(Generic[T]):
    """Keeps `now`, what `load` made of a file; `watch` replaces it when the file has changed.

    Whoever uses `now` takes it once and holds to it, so that no request sees two models. A file
    that `load` refuses leaves the old one in place, and the log says why.
    """

    def __init__(self, path: Path, load: Callable[[Path], T], every: float = 1.0) -> None:
        self.path, self.load, self.every = path, load, every
        self.asked = False  # set it to load the file again whether it has changed or not
        self._seen = _stamp(path)  # before it is read: what changes meanwhile is seen later
        self.now = load(path)

    async def watch(self) -> None:
        """Look at the file every `every` seconds, for ever; it is read once it has come to rest."""
        last = self._seen
        while True:
            await asyncio.sleep(self.every)
            before, last = last, await asyncio.to_thread(_stamp, self.path)
            if self.asked or (last == before and last != self._seen):
                self.asked, self._seen = False, last
                await self._renew()

    async def _renew(self) -> None:
        try:
            self.now = await asyncio.to_thread(self.load, self.path)
        except Exception as error:  # whatever is wrong with the new file, the old one serves on
            _log("the model file cannot be used, the old model serves on", reason=str(error))
        else:
            _log("the model was replaced")


def _log(event: str, **fields: Any) -> None:
    logger.warning(event, extra={"fields": fields})


def _stamp(path: Path) -> Stamp | None:
    """What changes with a file's content; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
