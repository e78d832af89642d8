"""Training items that cannot be read while training goes on: others in their place, counted."""

import mmap
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from onecycle.core.errors import DataError, LabelError, SizeError, UsageError, listing, warn
from onecycle.data.task import Input

_TRIES = 10  # items in a row: when none of them can be read, it is the disk, not the file


class Substitutes:
    """Reads another item where one of `count` cannot be read, and remembers which ones."""

    def __init__(self, count: int) -> None:
        # A byte an item, in memory that forked workers share with the process that counts.
        self._marks = mmap.mmap(-1, max(1, count))
        self.count = count

    @classmethod
    def wanted(cls, given: Input, on_unreadable: str, count: int) -> Self | None:
        """For "skip"; None for "raise". UsageError for other words, and for items in memory."""
        if on_unreadable not in ("raise", "skip"):
            raise UsageError(f'on_unreadable is "raise" or "skip", not {on_unreadable!r}')
        if on_unreadable == "raise":
            return None
        if not given.reads_files:
            raise UsageError(
                'on_unreadable="skip" is for items that are read while training goes on: '
                f"{type(given).__name__} has read them before"
            )
        return cls(count)

    def sample(
        self, read: Callable[[int, np.random.Generator], Any], index: int, rng: np.random.Generator
    ) -> Any:
        """`read(index, rng)`, or that of another item, drawn by `rng`.

        So it depends on what `rng` does: seed, epoch and item. DataError where ten in a row cannot
        be read; labels and sizes that do not fit are errors as ever.
        """
        for _ in range(_TRIES):
            try:
                return read(index, rng)
            except DataError as error:
                if isinstance(error, LabelError | SizeError):
                    raise
                self._marks[index] = 1
                fault, index = error, int(rng.integers(self.count))
        raise DataError(f"{_TRIES} items in a row cannot be read, the last: {fault}") from fault

    def report(self, items: Sequence[Any], epoch: int, stacklevel: int = 2) -> None:
        """Warn of the items that were replaced since the last report."""
        lost = np.flatnonzero(np.frombuffer(self._marks, np.uint8)[: self.count]).tolist()
        if lost:
            self._marks[: self.count] = bytes(self.count)
            message = (
                f"epoch {epoch}: {len(lost)} of {self.count} training items could not be read, and "
                f"others were taken in their place: {listing(str(items[i]) for i in lost)}. "
                'data.without(data.check(), "damaged") leaves them out'
            )
            warn(message, stacklevel)
