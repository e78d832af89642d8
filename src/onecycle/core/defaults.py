"""What is used where nothing is said: `defaults.device = "cpu"` before building data."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Defaults:
    """Assignable settings. `device` None means the first CUDA device, or else the CPU."""

    device: Any = None
    cpus: int = field(default_factory=lambda: min(16, os.cpu_count() or 1))
    lr: slice = field(default_factory=lambda: slice(3e-3))
    wd: float = 1e-2
    progress: bool = True


defaults = Defaults()
