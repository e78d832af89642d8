"""What is used where nothing is said: `defaults.device = "cpu"` before building data."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any

from onecycle.core.errors import UsageError
from onecycle.core.processors import usable_processors


@dataclass
class Defaults:
    """Assignable settings. `device` None means the first CUDA device, or else the CPU.

    `cpus` are the loaders' workers: the processors that this process may use, at most 16.
    """

    device: Any = None
    cpus: int = field(default_factory=lambda: min(16, usable_processors()))
    lr: slice = field(default_factory=lambda: slice(3e-3))
    wd: float = 1e-2
    progress: bool = True

    def __setattr__(self, name: str, value: Any) -> None:
        names = [f.name for f in fields(self)]
        if name not in names:
            raise UsageError(f"there is no setting {name!r}: there are {', '.join(names)}")
        super().__setattr__(name, checked_device(value) if name == "device" else value)


def checked_device(device: Any) -> Any:
    """A device's name, a torch.device, or None; UsageError for anything else."""
    known = isinstance(device, str) and re.fullmatch(r"(cpu|cuda|mps|xpu)(:\d+)?", device)
    if device is None or known or hasattr(device, "type"):
        return device
    raise UsageError(
        f'a device is None, "cpu", "cuda", "cuda:0", "mps" or a torch.device, not {device!r}'
    )


defaults = Defaults()
