"""Batches from threads: decoding and warping run outside Python's lock, nothing is pickled.

Beside a CUDA device images come from processes, see `fork_batches`. Sample i of epoch e is
augmented by a generator made from (seed, e, i): the batches do not depend on the number of workers.
"""

import re
import shutil
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from onecycle.core.errors import DataError, UsageError
from onecycle.core.rng import generator
from onecycle.data.label_list import LabelList
from onecycle.data.sampling import draw_balanced, groups_of
from onecycle.data.shards import MemberList

AHEAD = 3  # batches being loaded while one is used


def to_device(x: Any, device: torch.device) -> Any:
    """`x` on the device; from pinned memory, so that nobody waits for what it still computes."""
    if device.type == "cuda" and isinstance(x, Tensor):
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


@dataclass(eq=False, repr=False)
class Loader:
    """Iterates over `dataset` in batches (x, y) on `device`.

    A training loader shuffles, augments and drops the last part of a batch. `num_workers` threads
    load the samples, or with `processes` as many forked processes make whole batches.
    """

    dataset: LabelList
    batch_size: int
    num_workers: int
    device: torch.device
    seed: int = 0
    train: bool = False
    processes: bool = False
    epoch: int = field(default=0, init=False)
    skipped: int = field(default=0, init=False)  # batches that the next pass leaves out
    _bytes: int = field(default=0, init=False)  # of a batch, once one was made

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"a batch holds at least one item, not {self.batch_size}")
        items = self.dataset.x.items
        if self.dataset.sampler and isinstance(items, MemberList) and items.buffer:
            raise UsageError(
                f"sampler={self.dataset.sampler!r} draws from all shards at once, and buffer= from "
                "a few of them: leave one of the two out"
            )
        if self.train and self.batch_size > len(self.dataset):
            raise UsageError(
                f"bs={self.batch_size} is larger than the training set of {len(self.dataset)} "
                f"items, so there would be no batch: use bs={len(self.dataset)} or less"
            )

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole if self.train or not rest else whole + 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _, x, y in self.parts(range):
            yield x, y

    def parts(self, rows: Callable[[int], Sequence[int]]) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(size of the whole batch, x, y) of the `rows(size)` of each batch; others stay unread."""
        prepare = self.dataset.task.input.prepare
        epoch, whole = self.begin()
        mine = [batch[np.asarray(rows(len(batch)))] for batch in whole]
        for batch, (x, y) in zip(whole, self._batches(mine, epoch), strict=True):
            x, y = to_device(x, self.device), to_device(y, self.device)
            yield len(batch), prepare(x), y
        self.dataset.end_pass(epoch)

    def state(self) -> int:
        """The number of passes begun: it decides the order of the next one."""
        return self.epoch

    def restore(self, state: int, batch: int = 0) -> None:
        """Go back to a `state`; the next pass, and no other, begins with that batch."""
        self.epoch, self.skipped = state, batch

    def samples(self) -> Iterator[list[Any]]:
        """The loaded samples of each batch, on the CPU."""
        epoch, batches = self.begin()
        return self._samples(batches, epoch)

    def begin(self) -> tuple[int, list[np.ndarray]]:
        """The number of this pass and its batches; a training loader's next has another order."""
        epoch, first = self.epoch, self.skipped
        self.epoch, self.skipped = epoch + self.train, 0
        return epoch, self._positions(epoch)[first:]

    def _batches(self, batches: list[np.ndarray], epoch: int) -> Iterator[tuple[Any, Tensor]]:
        collate = self.dataset.task.input.collate

        def make(batch: np.ndarray) -> tuple[Any, Tensor]:
            return collate(self._load_part(batch, epoch))

        if self.processes and self.num_workers and batches:
            if not self._bytes:  # the first batch of all tells how large they are
                x, y = make(batches[0])
                self._bytes = x.nbytes + y.nbytes
                yield x, y
                batches = batches[1:]
            workers = workers_for(self._bytes, self.num_workers, len(batches))
            if workers:
                yield from fork_batches(make, batches, workers, self.device.type == "cuda")
                return
        yield from map(collate, self._samples(batches, epoch))

    def _positions(self, epoch: int) -> list[np.ndarray]:
        order = np.arange(len(self.dataset))
        if self.train:
            order = self._draw(generator(self.seed, epoch, -1))
        starts = range(0, len(self) * self.batch_size, self.batch_size)
        return [order[start : start + self.batch_size] for start in starts]

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        """The positions of a pass; an item that comes again has `len(dataset)` added each time."""
        count = len(self.dataset)
        if self._groups:
            return draw_balanced(self._groups, count, rng)
        items = self.dataset.x.items
        return items.draw(rng) if isinstance(items, MemberList) else rng.permutation(count)

    @cached_property
    def _groups(self) -> list[np.ndarray]:
        """Where every class comes as often: the positions of the items of each."""
        side = self.dataset
        return [] if side.sampler is None else groups_of(side.target, side.labels or ())

    def _load(self, index: int, epoch: int) -> Any:
        rng = generator(self.seed, epoch, index) if self.dataset.augment else None
        return self.dataset.sample(index % len(self.dataset), rng)

    def _load_part(self, part: np.ndarray, epoch: int) -> list[Any]:
        return [self._load(int(index), epoch) for index in part]

    def _samples(self, batches: list[np.ndarray], epoch: int) -> Iterator[list[Any]]:
        if self.num_workers < 1:
            yield from (self._load_part(batch, epoch) for batch in batches)
            return
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="onecycle-loader")
        waiting: deque[list[Future[list[Any]]]] = deque()
        try:
            for batch in batches:
                parts = np.array_split(batch, min(len(batch), 2 * self.num_workers))
                waiting.append([pool.submit(self._load_part, part, epoch) for part in parts])
                if len(waiting) > AHEAD:
                    yield [sample for part in waiting.popleft() for sample in part.result()]
            while waiting:
                yield [sample for part in waiting.popleft() for sample in part.result()]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


# Batches made in forked processes, whose Python does not hold up the one that trains.
#
# With threads, each of the hundreds of kernels that a training step starts waits for Python's lock
# behind the workers. Nothing is pickled but the batches on their way back, in shared memory.

_HELD = 3  # batches a worker may have in shared memory


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


@dataclass
class _BatchSet(Dataset[Any]):
    """The positions of a batch to the batch; None where that raises."""

    make: Callable[[np.ndarray], Any]

    def __getitem__(self, positions: Any) -> Any:
        try:
            return self.make(positions)
        except Exception:  # of any kind: `fork_batches` makes the batch again, and raises it
            return None


def _without_threads(_: int) -> None:
    """A worker has no threads of OpenCV's: those of the first process did not come along."""
    import cv2

    cv2.setNumThreads(0)


def fork_batches(
    make: Callable[[np.ndarray], Any], batches: Sequence[np.ndarray], workers: int, pinned: bool
) -> Iterator[Any]:
    """`make(positions)` of each batch, in order, from that many processes.

    A batch that fails there is made again here, so that its error is what it would be without
    processes. Tensors arrive in pinned memory where `pinned`. Moves no global generator.
    """
    with warnings.catch_warnings():
        # what Python says of every fork, and torch of more workers than cores
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        found: Any = iter(
            DataLoader(
                _BatchSet(make),
                batch_size=None,
                sampler=batches,
                num_workers=workers,
                collate_fn=lambda batch: batch,
                pin_memory=pinned,
                worker_init_fn=_without_threads,
                multiprocessing_context="fork",
                generator=torch.Generator(),
            )
        )
    try:
        for positions, batch in zip(batches, found, strict=True):
            yield make(positions) if batch is None else batch
    except RuntimeError as error:
        if not re.search("killed by signal|exited unexpectedly", str(error)):
            raise
        raise DataError(
            f"a process that loads batches ended ({error}): memory may be too short for {workers} "
            f"of them; use databunch(num_workers={workers // 2})"
        ) from error
    finally:
        found._shutdown_workers()  # at once: the traceback of an error would keep them alive
