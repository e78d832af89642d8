"""A bounded queue before the model: what waits together is answered together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from onecycle.core.errors import OnecycleError


class QueueFullError(OnecycleError):
    """More is asked at once than the queue holds: come back later."""


class Batcher:
    """Answers items by `run`, a function of a list that is called in a thread.

    A batch is what lies in the queue when the thread is free, up to `most` items: nothing waits
    for a batch to fill. More than `room` waiting items raise QueueFullError.
    """

    def __init__(
        self, run: Callable[[Sequence[Any]], Sequence[Any]], room: int = 64, most: int = 16
    ) -> None:
        self.run, self.most = run, most
        self.waiting: asyncio.Queue[tuple[Any, asyncio.Future[Any]]] = asyncio.Queue(room)
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Batcher:
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        """Answer what waits, then stop."""
        await self.waiting.join()
        assert self._worker is not None
        self._worker.cancel()
        with suppress(asyncio.CancelledError):
            await self._worker

    async def ask(self, items: Sequence[Any]) -> list[Any]:
        """The answers to some items, in their order; all are queued, or none."""
        free = self.waiting.maxsize - self.waiting.qsize()
        if len(items) > free:
            raise QueueFullError(f"{self.waiting.qsize()} images are waiting already")
        loop = asyncio.get_running_loop()
        pairs = [(item, loop.create_future()) for item in items]
        for pair in pairs:
            self.waiting.put_nowait(pair)
        return await asyncio.gather(*(future for _, future in pairs))

    async def _work(self) -> None:
        while True:
            batch = [await self.waiting.get()]
            while len(batch) < self.most and not self.waiting.empty():
                batch.append(self.waiting.get_nowait())
            try:
                await self._answer([(i, f) for i, f in batch if not f.done()])
            finally:
                for _ in batch:
                    self.waiting.task_done()

    async def _answer(self, batch: Sequence[tuple[Any, asyncio.Future[Any]]]) -> None:
        try:
            answers = await asyncio.to_thread(self.run, [item for item, _ in batch])
        except Exception as error:  # whoever asked gets it, and the next ones are served
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
