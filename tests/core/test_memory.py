"""What stays with the process after large blocks were freed."""

import subprocess
import sys

import pytest

BLOCK = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = libc.free.argtypes = [ctypes.c_size_t]

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def kept():
    before = resident()
    block = libc.malloc(2**27)
    ctypes.memset(block, 1, 2**27)
    libc.free(block)
    print((resident() - before) / 2**27)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc only")


def share_kept(script: str) -> float:
    """The share of a block of 128 MB that is still there after it was freed."""
    found = subprocess.run(
        [sys.executable, "-c", BLOCK + script + "\nkept()"],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(found.stdout)


def test_freed_blocks_stay_with_the_process_up_to_the_largest() -> None:
    setting = "from onecycle.core.machine import reuse_memory\nassert reuse_memory({})"
    assert share_kept("") < 0.1
    assert share_kept(setting.format("")) > 0.9
    assert share_kept(setting.format(2**25)) < 0.1


ARRAYS = """
import numpy as np
from onecycle import Learner, from_arrays, mlp
x = np.random.rand(40, 3).astype("float32")
data = from_arrays(x, x.sum(1), bs=8)
Learner(data, mlp([3, 4, 1]), silent=True)
"""

TEXTS = """
import pandas as pd
from onecycle import TextList, language_model_learner, text_classifier_learner
frame = pd.DataFrame({"text": ["good film", "bad film"] * 20, "label": ["a", "b"] * 20})
items = TextList.from_df(frame, cols="text").split_by_rand_pct(0.2, seed=0)
sizes = {"emb_sz": 8, "n_hid": 8, "n_layers": 1}
"""
CLASSIFIER = """
data = items.label_from_df("label").databunch(bs=4)
text_classifier_learner(data, config=sizes, silent=True).to_bf16()
"""
LANGUAGE = """
data = items.label_for_lm().databunch(bs=4)
language_model_learner(data, config=sizes, silent=True).to_bf16()
"""


def test_a_learner_keeps_large_blocks_for_the_next_batch() -> None:
    assert share_kept(ARRAYS) > 0.9
    assert share_kept(TEXTS + LANGUAGE) > 0.9


def test_a_classifier_of_texts_gives_them_back() -> None:
    """No two batches have the same length, so that what is kept would fit none."""
    assert share_kept(TEXTS + CLASSIFIER) < 0.1
