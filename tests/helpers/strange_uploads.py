"""Uploads that nobody means: a kept corpus, and what becomes of it when bytes are changed."""

import json
import struct
from pathlib import Path

import numpy as np

CORPUS = Path(__file__).parents[1] / "stored" / "uploads.json"
TYPES = (
    *("application/json", "text/plain", "text/csv", "image/png", "", "application/octet-stream"),
    *("multipart/form-data; boundary=x", "multipart/form-data", "text/plain; charset=utf-16"),
    *("application/json; charset=latin-1", "multipart/form-data; boundary=" + "b" * 70),
)


def corpus():
    """(body, Content-Type) of each kept upload: one that broke something once, or could have."""
    rows = json.loads(CORPUS.read_text("utf-8"))
    return [(body.encode("latin-1"), kind) for kind, body in rows]


def changed(rng, data):
    """Some bytes changed, left out, doubled, or swapped for a number that is too large."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at, length = int(rng.integers(0, len(data) + 1)), int(rng.integers(0, 12))
        way = rng.integers(0, 6)
        if way == 0:
            data[at : at + length] = rng.bytes(length)
        elif way == 1:
            del data[at : at + length]
        elif way == 2:
            data[at:at] = data[at : at + length] * 3
        elif way == 3:
            data[at:at] = rng.choice([b"1e999", b"-0", b"null", b"[", b'"', b"\r\n--x", b"\\ud800"])
        elif way == 4:
            data[at : at + 4] = struct.pack("<I", 2**32 - 1)
        else:
            del data[at + length :]
    return bytes(data)


def strange(count, seed=7):
    """(body, Content-Type): the corpus as it is, then changed, now and then under another type."""
    rng, kept = np.random.default_rng(seed), corpus()
    for i in range(count):
        if i < len(kept):
            yield kept[i]
            continue
        body, kind = kept[rng.integers(0, len(kept))]
        if rng.integers(0, 4) == 0:
            kind = TYPES[rng.integers(0, len(TYPES))]
        yield changed(rng, body), kind
