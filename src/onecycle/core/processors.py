"""How many processors this process may use: fewer than the machine has, in a container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path


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
