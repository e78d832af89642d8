"""Many clients of one HTTP server, as light as asyncio allows: they share the server's cores."""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter


@dataclass
class Seen:
    """What came back: seconds of the answers by status, and how many connections failed."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    broken: int = 0
    elapsed: float = 0.0

    def rate(self) -> float:
        """Answers (200) per second."""
        return len(self.seconds.get(200, [])) / self.elapsed

    def quantile(self, share: float) -> float:
        """Seconds within which that share of the answers (200) came."""
        good = sorted(self.seconds.get(200, [0.0]))
        return good[min(len(good) - 1, int(share * len(good)))]

    def count(self, status: int) -> int:
        """How many replies of one status."""
        return len(self.seconds.get(status, []))


async def _ask(port, body, seen, link=None):
    """One POST; returns the connection, to be used again, and the status."""
    start = perf_counter()
    try:
        reader, writer = link or await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
    except (OSError, asyncio.IncompleteReadError, IndexError):
        seen.broken += 1
        return None, 0
    status = int(head.split()[1])
    seen.seconds.setdefault(status, []).append(perf_counter() - start)
    return (reader, writer), status


async def closed(port, body, clients, seconds):
    """Each client asks again when it was answered; after a 503 it waits the second it is told."""
    seen, end = Seen(), perf_counter() + seconds

    async def client():
        link = None
        while perf_counter() < end:
            link, status = await _ask(port, body, seen, link)
            if status == 503:
                await asyncio.sleep(1)
        if link:
            link[1].close()

    await asyncio.gather(*(client() for _ in range(clients)))
    seen.elapsed = seconds
    return seen


async def opened(port, body, rate, seconds):
    """`rate` new requests a second, whatever becomes of the earlier ones."""
    seen, tasks, start = Seen(), [], perf_counter()

    async def one():
        link, _ = await _ask(port, body, seen)
        if link:
            link[1].close()

    for i in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + i / rate - perf_counter()))
        tasks.append(asyncio.create_task(one()))
    await asyncio.gather(*tasks)
    seen.elapsed = perf_counter() - start
    return seen
