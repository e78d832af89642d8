"""Free memory of the GPU in MB, as the course's programs read it to choose a batch size."""

from __future__ import annotations

from typing import NamedTuple

import torch


class GPUMemory(NamedTuple):
    """In MB; all zero where there is no GPU."""

    total: int
    free: int
    used: int


def gpu_mem_get(id: int | None = None) -> GPUMemory:
    """Memory of GPU `id`, or of the current one."""
    if not torch.cuda.is_available():
        return GPUMemory(0, 0, 0)
    free, total = (number >> 20 for number in torch.cuda.mem_get_info(id))
    return GPUMemory(total, free, total - free)


def gpu_mem_get_free(id: int | None = None) -> int:
    """Free MB."""
    return gpu_mem_get(id).free


def gpu_mem_get_free_no_cache(id: int | None = None) -> int:
    """Free MB, after torch has given back what it keeps for later."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return gpu_mem_get_free(id)
