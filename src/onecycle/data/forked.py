"""Batches made in forked processes, whose Python does not hold up the one that trains.

With threads, each of the hundreds of kernels that a training step starts waits for Python's lock
behind the workers. Nothing is pickled but the batches on their way back, in shared memory.
"""

from __future__ import annotations

import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from onecycle.core.errors import DataError

_HELD = 3  # batches a worker may have in shared memory
_OF_FORKS = {  # what Python says of every fork, and torch of more workers than cores
    "This process .* is multi-threaded": DeprecationWarning,
    "This DataLoader will create": UserWarning,
}


def can_fork(device: torch.device) -> bool:
    """Whether forked workers help and are safe: beside CUDA, on Linux."""
    return device.type == "cuda" and sys.platform.startswith("linux")


def workers_for(size: int, wanted: int, count: int) -> int:
    """How many of the `wanted` workers find work in `count` batches of `size` bytes, and room."""
    try:
        room = shutil.disk_usage("/dev/shm").free
    except OSError:
        return 0
    return min(wanted, (count + 1) // 2, room // (_HELD * size))


class _Batches(Dataset[Any]):
    """The positions of a batch to the batch; None where that raises."""

    def __init__(self, make: Callable[[np.ndarray], Any]) -> None:
        self.make = make

    def __getitem__(self, positions: Any) -> Any:
        try:
            return self.make(positions)
        except Exception:  # of any kind: `forked` makes the batch again, and it is raised there
            return None


def _as_it_is(batch: Any) -> Any:
    return batch


def _alone(_: int) -> None:
    """A worker has no threads of OpenCV's: those of the first process did not come along."""
    import cv2

    cv2.setNumThreads(0)


def forked(
    make: Callable[[np.ndarray], Any], batches: Sequence[np.ndarray], workers: int, pinned: bool
) -> Iterator[Any]:
    """`make(positions)` of each batch, in order, from that many processes.

    A batch that fails there is made again here, so that its error is what it would be without
    processes. Tensors arrive in pinned memory where `pinned`. Moves no global generator.
    """
    with warnings.catch_warnings():
        for message, kind in _OF_FORKS.items():
            warnings.filterwarnings("ignore", message, kind)
        found: Any = iter(
            DataLoader(
                _Batches(make),
                batch_size=None,
                sampler=batches,
                num_workers=workers,
                collate_fn=_as_it_is,
                pin_memory=pinned,
                worker_init_fn=_alone,
                multiprocessing_context="fork",
                generator=torch.Generator(),
            )
        )
    try:
        for positions, batch in zip(batches, found, strict=True):
            yield make(positions) if batch is None else batch
    except RuntimeError as error:
        if re.search("killed by signal|exited unexpectedly", str(error)):
            raise DataError(
                f"a process that loads batches ended ({error}): memory may be too short for "
                f"{workers} of them; use databunch(num_workers={workers // 2})"
            ) from error
        raise
    finally:
        found._shutdown_workers()  # at once: the traceback of an error would keep them alive
