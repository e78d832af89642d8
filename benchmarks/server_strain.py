"""A server under strain: too many requests, slow clients, uploads that nobody means, a long life.

    python benchmarks/server_strain.py overload [--seconds 600]  # four times what it can answer
    python benchmarks/server_strain.py slow                      # headers and bodies, byte by byte
    python benchmarks/server_strain.py fuzz [--count 10000]      # for each kind of input
    python benchmarks/server_strain.py uptime [--count 200000]   # small requests; memory, handles

Each starts `onecycle serve` with a small model of known answers; clients share its cores.
"""

import argparse
import asyncio
import io
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import psutil
from clients import closed, opened
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/helpers"), str(ROOT / "tests/runtime")]


def png(side):
    """Noise, which takes the longest to read."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Watch:
    """Memory and open handles of the worker, twice a second: (seconds, MB, handles, threads)."""

    def __init__(self, process):
        (self.worker,) = psutil.Process(process.pid).children()
        self.rows, self.over, self.start = [], threading.Event(), time.monotonic()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self):
        while not self.over.wait(0.5):
            self.rows.append(self.now())

    def now(self):
        with self.worker.oneshot():
            mb = self.worker.memory_info().rss / 1e6
            return (
                time.monotonic() - self.start,
                mb,
                self.worker.num_fds(),
                self.worker.num_threads(),
            )

    def most(self):
        """The most MB, handles and threads."""
        return [max(column) for column in list(zip(*self.rows, strict=True))[1:]]


@contextmanager
def served(model, folder):
    """(port, watch) of a server of one model; its log is looked through at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "onecycle", "serve", str(model), "--port", str(port)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(folder)}
    log = Path(folder) / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=env)
        until_ready(port)
        watch = Watch(process)
        try:
            yield port, watch
        finally:
            watch.over.set()
            watch.thread.join()
            alive = watch.worker.is_running()
            process.terminate()
            process.wait(20)
    lines = log.read_text().splitlines()
    print(f"worker alive at the end: {alive}; lines in the log: {len(lines)}")
    for line in lines:
        if '"level": "info"' not in line:
            print("  ", line[:300])


def until_ready(port):
    for _ in range(300):
        if get(port, "/readyz") == 200:
            return
        time.sleep(0.1)
    raise SystemExit("the server does not start")


def get(port, path, timeout=5):
    """The status of one GET, 0 where there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as link:
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return int(link.recv(64).split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def overload(args, folder):
    from test_page import made

    body = png(400)
    with served(made("category", folder), folder) as (port, watch):
        asyncio.run(closed(port, body, 1, 2))
        rate = asyncio.run(closed(port, body, 16, 10)).rate()
        calm = asyncio.run(closed(port, body, 1, 5))
        print(
            f"{rate:.0f} answers a second; one client: median {ms(calm, 0.5)}, p99 {ms(calm, 0.99)}"
        )
        before = watch.now()
        seen = asyncio.run(opened(port, body, 4 * rate, args.seconds))
        print(f"{4 * rate:.0f} requests a second for {args.seconds} s:")
        print(f"  200: {seen.count(200)} ({seen.rate():.0f}/s), 503: {seen.count(503)}, "
              f"others: {sorted(set(seen.seconds) - {200, 503})}, "
              f"no reply: {seen.broken}")  # fmt: skip
        print(f"  of those served: median {ms(seen, 0.5)}, p95 {ms(seen, 0.95)}, "
              f"p99 {ms(seen, 0.99)}, slowest {ms(seen, 1)}")  # fmt: skip
        show("  before", before)
        print("  most: {:.0f} MB, {} handles, {} threads".format(*watch.most()))
        time.sleep(3)
        show("  3 s later", watch.now())
        later = asyncio.run(closed(port, body, 1, 5))
        print(f"  one client afterwards: median {ms(later, 0.5)}, p99 {ms(later, 0.99)}")


def ms(seen, share):
    return f"{1e3 * seen.quantile(share):.0f} ms"


def show(words, row):
    print(f"{words}: {row[1]:.0f} MB, {row[2]} handles, {row[3]} threads")


def slow(args, folder):
    from test_page import made

    head = b"POST /api/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    ways = {
        "headers, a byte a second": (b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"y"),
        "no byte at all": (b"", b""),
        "bodies, a byte a second": (head, b"y"),
    }
    for clients in (100, 600):
        for name, (first, more) in ways.items():
            print(f"{clients} clients with slow {name}:")
            with served(made("category", folder), folder) as (port, watch):
                asyncio.run(attack(port, watch, clients, first, more))


async def attack(port, watch, clients, first, more):
    """Slow clients, each until it is cut off, and a good one that asks four times a second."""
    ends, statuses, start = [], Counter(), time.monotonic()

    async def slow_one():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)
        reply = asyncio.ensure_future(reader.read(200))
        while not reply.done() and time.monotonic() - start < 60:
            await asyncio.wait([reply], timeout=1)
            if more and not writer.transport.is_closing():
                writer.write(more)
        found = reply.result() if reply.done() and not reply.exception() else b""
        statuses[found.split()[1].decode() if found.split()[1:] else "closed"] += 1
        ends.append(time.monotonic() - start if reply.done() else 99)
        writer.close()

    async def good():
        took = []
        while len(ends) < clients:
            begun = time.monotonic()
            status = await asyncio.to_thread(get, port, "/readyz", 70)
            took.append((time.monotonic() - begun, status))
            await asyncio.sleep(0.25)
        return took

    asking = asyncio.create_task(good())
    await asyncio.gather(*(slow_one() for _ in range(clients)), return_exceptions=True)
    ends += [0] * (clients - len(ends))
    took = await asking
    print(f"  cut off after {min(ends):.0f} to {max(ends):.0f} s with {dict(statuses)}; "
          f"a good client: {Counter(status for _, status in took)}, "
          f"median {1e3 * median(t for t, _ in took):.0f} ms, "
          f"slowest {1e3 * max(took)[0]:.0f} ms")  # fmt: skip
    print("  most: {:.0f} MB, {} handles, {} threads".format(*watch.most()))


def fuzz(args, folder):
    from handmade import made_curve, made_text
    from strange_uploads import strange
    from test_page import made

    kinds = {"image": lambda at: made("category", at), "text": made_text, "series": made_curve}
    for kind, make in kinds.items():
        with served(make(folder), folder) as (port, watch):
            seen, broken = asyncio.run(uploads(port, strange(args.count)))
            print(f"{kind}: {dict(sorted(seen.items()))}, no reply: {broken}, "
                  f"5xx: {sum(n for status, n in seen.items() if status >= 500)}")  # fmt: skip
            tenth = watch.rows[len(watch.rows) // 10]
            show("  after a tenth", tenth)
            show("  at the end", watch.now())


async def uploads(port, given):
    """Statuses of uploads one after another on one connection, and how often it had to be anew."""
    seen, broken, link = Counter(), 0, None
    for i, (body, kind) in enumerate(given):
        path = ("/api/predict", "/analyze")[i % 2]
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        head += f"Content-Type: {kind}\r\n\r\n" if kind else "\r\n"
        try:
            link = link or await asyncio.open_connection("127.0.0.1", port)
            status, end = await exchange(link, head.encode("latin-1") + body)
            seen[status] += 1
        except (OSError, asyncio.IncompleteReadError):
            broken, end = broken + 1, True
        if end and link:
            link[1].close()
            link = None
    return seen, broken


async def exchange(link, data):
    reader, writer = link
    writer.write(data)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    await reader.readexactly(length)
    return int(head.split()[1]), "connection: close" in head


def uptime(args, folder):
    from handmade import made_text

    requests = [
        ("/api/predict", b'{"text": "good film"}', "application/json"),
        ("/api/predict", b'{"texts": ["bad", "a film"]}', "application/json"),
        ("/api/predict", b"{", "application/json"),
        ("/analyze", b"good good bad", "text/plain"),
        ("/analyze", b"--x\r\nbad header\r\n\r\n", "multipart/form-data; boundary=x"),
    ]

    async def many(port, count, watch):
        async def client(share):
            async def given():
                for i in range(share):
                    yield requests[i % len(requests)]

            link, number = None, 0
            async for path, body, kind in given():
                link = link or await asyncio.open_connection("127.0.0.1", port)
                head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
                head += f"Content-Length: {len(body)}\r\n\r\n"
                seen[(await exchange(link, head.encode() + body))[0]] += 1
                number += 1
                if number % 100 == 0:  # a new connection now and then, as clients come and go
                    link[1].close()
                    link = None

        seen = Counter()
        for _ in range(10):
            await asyncio.gather(*(client(count // 80) for _ in range(8)))
            show(f"  after {sum(seen.values()):,}", watch.now())
        return seen

    with served(made_text(folder), folder) as (port, watch):
        show("  at the start", watch.now())
        print(dict(asyncio.run(many(port, args.count, watch))))
        time.sleep(2)
        show("  2 s after the end", watch.now())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    strains = {"overload": overload, "slow": slow, "fuzz": fuzz, "uptime": uptime}
    parser.add_argument("strain", choices=strains)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--count", type=int, default=None)
    args = parser.parse_args()
    args.count = args.count or {"fuzz": 10_000, "uptime": 200_000}.get(args.strain)
    print(f"{args.strain}, {os.cpu_count()} cores, {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as folder:
        strains[args.strain](args, Path(folder))


if __name__ == "__main__":
    main()
