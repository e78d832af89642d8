"""Chance comes in as an argument: generators that depend on named numbers and nothing else."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def generator(seed: int, epoch: int = 0, index: int = 0) -> np.random.Generator:
    """A generator that depends on these numbers only: sample 7 of epoch 3 is always the same.

    Philox is keyed, so each triple has a stream of its own, at a fifth of the cost of seeding.
    """
    key = [seed % 2**64, (epoch % 2**32) << 32 | index % 2**32]
    return np.random.Generator(np.random.Philox(key=np.array(key, dtype=np.uint64)))


@contextmanager
def preserve_rng(torch: Any) -> Iterator[None]:
    """Whatever is drawn inside, the generators of torch, numpy and Python come out as before."""
    numpys, pythons = np.random.get_state(), random.getstate()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        np.random.set_state(numpys)
        random.setstate(pythons)
