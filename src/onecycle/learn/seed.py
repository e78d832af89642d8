"""One line at the head of a program, after which it gives the same results each time."""

import os
import random

import numpy as np
import torch

from onecycle.core.errors import UsageError, require_whole, warn

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # which cuBLAS reads once, when the GPU is first used


def set_seed(seed: int, reproducible: bool = False) -> None:
    """Let the generators of Python, numpy and torch, of all devices, begin at `seed`.

    From them come splits and generated text without a seed of their own, first weights, dropout
    and mixup. The order of batches and augmentation come from `databunch(seed=...)` alone.

    With `reproducible` torch also computes the same bits each time: on a GPU by slower algorithms,
    and with a warning of torch's for each operation that has none. It holds for the whole program.
    """
    if require_whole("seed", seed, 0) >= 2**64:
        raise UsageError(f"seed is a whole number below 2**64, not {seed}")
    random.seed(int(seed))
    np.random.seed(int(seed) % 2**32)
    torch.manual_seed(int(seed))
    if not reproducible:
        return
    if torch.cuda.is_initialized() and _CUBLAS not in os.environ:
        message = (
            "set_seed(..., reproducible=True) comes after the first use of the GPU, whose products "
            "of matrices may differ in their last bits: let the program begin with it"
        )
        warn(message, 2)
    os.environ.setdefault(_CUBLAS, ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
