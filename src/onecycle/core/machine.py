"""This machine: `defaults` (its device, workers), memory that is kept, ports, processors."""

import ctypes
import errno
import os
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from math import ceil
from pathlib import Path
from typing import Any

from onecycle.core.errors import UsageError


@dataclass
class Defaults:
    """Assignable settings. `device` None means the first CUDA device, Apple's GPU, or the CPU.

    `cpus` are the loaders' workers: the processors that this process may use, at most 16.
    `fetched_bytes` bounds the copies of files from addresses; None: half of what is free there.
    `cmap` are the colours in which grey images are drawn, by matplotlib's names; None: as they are.
    """

    device: Any = None
    cpus: int = field(default_factory=lambda: min(16, usable_processors()))
    lr: slice = field(default_factory=lambda: slice(3e-3))
    wd: float = 1e-2
    progress: bool = True
    fetched_bytes: int | None = None
    cmap: str | None = None

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


# Memory that a training step frees is kept for the next one, instead of going back and forth.

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the numbers of glibc's malloc.h
_MOST = 2**31 - 1


def reuse_memory(largest: int = 2**30) -> bool:
    """Tell glibc to keep freed blocks up to `largest` bytes; returns whether that worked.

    Otherwise every large tensor is mapped anew, and zeroed page by page by the system: about a
    third of the time of a training step on a CPU. After training the process keeps the memory.
    Where each batch has another shape, as texts have, blocks that are kept fit no later batch:
    choose a small `largest` then. Elsewhere than on Linux with glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, largest) and mallopt(_TRIM_THRESHOLD, _MOST))


# From 1.32 on ONNX Runtime reports to its maker, unless the environment forbids it at its import.


def onnx_runtime() -> Any:
    """The module `onnxruntime`, which sends nothing anywhere; ORT_DISABLE_TELEMETRY=0 lets it."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


# A port of this machine: whether it is free, before a server that would share it is started.


def require_free_port(host: str, port: int) -> None:
    """Raise UsageError where `host:port` cannot be listened on; two servers may not share one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()  # without SO_REUSEPORT
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        why = "is in use" if used else f"of {host} cannot be used ({error.strerror or error})"
        raise UsageError(f"port {port} {why}: give another with --port") from error


# How many processors this process may use: fewer than the machine has, in a container.


def usable_processors(root: Path = Path("/")) -> int:
    """Processors that the process is bound to, at most what its control group may use of them.

    A share of a processor counts as a whole one. `root` is where /proc and /sys are.
    """
    quotas = [ceil(quota) for quota in _quotas(root)]
    return max(1, min([_bound_to(), *quotas]))


def _bound_to() -> int:
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on; it knows -X cpu_count as well
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """The limits of the control group (versions 2 and 1) and those above it, in processors."""
    mounted = root / "sys/fs/cgroup"
    for controllers, path in _groups(root):
        base = mounted / controllers if controllers else mounted
        for folder in (path, *path.parents):
            yield from _quota(base / folder)


def _groups(root: Path) -> Iterator[tuple[str, Path]]:
    """(folder of the hierarchy, the process's path in it) of those that may limit processors."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:  # version 2 has one hierarchy
            yield "", Path(path.lstrip("/"))
        elif "cpu" in controllers.split(","):
            yield from ((name, Path(path.lstrip("/"))) for name in ("cpu", controllers))


def _quota(folder: Path) -> Iterator[float]:
    """What a control group allows: microseconds of processors in a period of so many."""
    old = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    new = _text(folder / "cpu.max").partition(" ")
    for quota, period in ((new[0], new[2]), old):
        if quota.isdigit() and period.isdigit() and int(period):  # else "max", -1 or no such file
            yield int(quota) / int(period)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


defaults = Defaults()
