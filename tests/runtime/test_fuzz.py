"""Whatever is uploaded, the server answers, never with a 5xx, and its memory does not grow."""

import io

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image as Pillow
from test_page import made
from test_server import running

KINDS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
TYPES = (
    *("image/jpeg", "image/png", "", "text/plain", "multipart/form-data", "application/json"),
    *("multipart/form-data; boundary=xyz", "multipart/form-data; boundary=" + "b" * 80),
)


def seeds():
    """Small images of every kind, whole."""
    rng = np.random.default_rng(1)
    found = []
    for kind in KINDS:
        buffer = io.BytesIO()
        pixels = rng.integers(0, 256, (37, 53, 3), dtype=np.uint8)
        Pillow.fromarray(pixels).save(buffer, kind)
        found.append(buffer.getvalue())
    return found


def mutated(rng, data):
    """Some bytes changed, a part cut out, doubled, or cut off; now and then nothing."""
    data = bytearray(data)
    for _ in range(rng.integers(0, 6)):
        at, length = int(rng.integers(0, len(data) + 1)), int(rng.integers(0, 40))
        way = rng.integers(0, 5)
        if way == 0:
            data[at : at + length] = rng.bytes(length)
        elif way == 1:
            del data[at : at + length]
        elif way == 2:
            data[at:at] = data[at : at + length]
        elif way == 3:
            data[at : at + 4] = b"\xff\xff\xff\xff"  # sizes that are far too large
        else:
            del data[at:]
    return bytes(data)


def as_form(rng, data):
    """One to three parts, sometimes with a broken head or no end."""
    parts = []
    for _ in range(rng.integers(1, 4)):
        name = (b'; name="file"', b"", b'; name="\xff\xfe"', b'; name="file')[rng.integers(0, 4)]
        file = (b'; filename="../../x.png"', b"", b"; filename*=utf-8''%00")[rng.integers(0, 3)]
        kind = (b"Content-Type: image/png\r\n", b"", b"Content-Type: \xff\r\n")[rng.integers(0, 3)]
        head = b"--xyz\r\nContent-Disposition: form-data" + name + file + b"\r\n" + kind + b"\r\n"
        parts.append(head + mutated(rng, data) + b"\r\n")
    return b"".join(parts) + (b"--xyz--\r\n" if rng.integers(0, 3) else b"")


def uploads(count):
    """(body, Content-Type): half mutated images, a quarter forms, a quarter garbage."""
    rng, whole = np.random.default_rng(7), seeds()
    for i in range(count):
        data, given = whole[rng.integers(0, len(whole))], TYPES[rng.integers(0, len(TYPES))]
        if i % 4 == 0:
            body, kind = as_form(rng, data), TYPES[6]
        elif i % 4 == 1:
            body, kind = (
                rng.bytes(int(rng.integers(0, 3000))),
                TYPES[rng.integers(0, len(TYPES))],
            )
        else:
            body, kind = mutated(rng, data), given
        yield body, kind


def worker_bytes(process):
    return max(p.memory_info().rss for p in psutil.Process(process.pid).children(True))


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_uploads_of_every_bad_kind_are_answered_in_bounded_memory(count, tmp_path):
    codes = {}
    with running(made("category", tmp_path)) as (address, process), httpx.Client() as client:
        for i, (body, kind) in enumerate(uploads(count)):
            headers = {"Content-Type": kind} if kind else {}
            path = ("/api/predict", "/api/predict", "/analyze")[i % 3]
            reply = client.post(address + path, content=body, headers=headers, timeout=30)
            codes[reply.status_code] = codes.get(reply.status_code, 0) + 1
            assert reply.status_code < 500, (i, kind, body[:80])
            if i == min(count // 2, 2000):
                before = worker_bytes(process)
        grown = worker_bytes(process) - before
    print(codes, f"{grown / 1e6:.1f} MB more")
    assert codes[200] > count / 20  # some were still images
    assert codes[422] > count / 10
    assert grown < 20e6
