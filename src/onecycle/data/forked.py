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
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from onecycle.core.errors import DataError, OnecycleError

_SHARED = 2**30  # bytes of shared memory without which batches would not find room


def can_fork(device: torch.device) -> bool:
    """Whether forked workers help and are safe: beside CUDA, on Linux, with shared memory."""
    if device.type != "cuda" or not sys.platform.startswith("linux"):
        return False
    try:
        return shutil.disk_usage("/dev/shm").free >= _SHARED
    except OSError:
        return False


@dataclass(frozen=True)
class _Failure:
    """An error of ours, on its way to the process that trains."""

    kind: type[OnecycleError]
    message: str


class _Batches(Dataset[Any]):
    """The positions of a batch to the batch."""

    def __init__(self, make: Callable[[np.ndarray], Any]) -> None:
        self.make = make

    def __getitem__(self, positions: Any) -> Any:
        try:
            return self.make(positions)
        except OnecycleError as error:
            return _Failure(type(error), str(error))


def _as_it_is(batch: Any) -> Any:
    return batch


def _alone(_: int) -> None:
    """A worker has no threads of OpenCV's: those of the first process did not come along."""
    import cv2

    cv2.setNumThreads(0)


def forked(
    make: Callable[[np.ndarray], Any], batches: Sequence[np.ndarray], workers: int, pinned: bool
) -> Iterator[Any]:
    """`make(positions)` of each batch, in order, from as many processes as are of use.

    Tensors arrive in pinned memory where `pinned`. Moves no global generator.
    """
    with warnings.catch_warnings():  # of forks in general, and of more workers than cores
        warnings.simplefilter("ignore")
        found: Any = iter(
            DataLoader(
                _Batches(make),
                batch_size=None,
                sampler=batches,
                num_workers=min(workers, (len(batches) + 1) // 2),  # to start one costs time
                collate_fn=_as_it_is,
                pin_memory=pinned,
                worker_init_fn=_alone,
                multiprocessing_context="fork",
                generator=torch.Generator(),
            )
        )
    try:
        for batch in found:
            if isinstance(batch, _Failure):
                raise batch.kind(batch.message)
            yield batch
    except RuntimeError as error:
        if re.search("killed by signal|exited unexpectedly", str(error)):
            raise DataError(
                f"a process that loads batches ended ({error}): memory may be too short for "
                f"{workers} of them; use databunch(num_workers={workers // 2})"
            ) from error
        raise
    finally:
        found._shutdown_workers()  # at once: the traceback of an error would keep them alive
