"""Processors that may be used: those the process is bound to, as far as its quota goes."""

import os
import subprocess
import sys

import pytest

from onecycle.core import machine as processors
from onecycle.core.machine import Defaults, usable_processors


@pytest.fixture
def eight(monkeypatch):
    """A process that may use eight processors of the machine."""
    monkeypatch.setattr(processors, "_bound_to", lambda: 8)


def tree(root, group, files):
    """A root with /proc/self/cgroup and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(group)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


OLD = "5:memory:/a\n4:cpu,cpuacct:/docker/7\n"


@pytest.mark.parametrize(
    ("group", "files", "count"),
    [
        ("0::/\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000"}, 2),  # a half counts as a whole
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/\n", {"cpu.max": "6400000 100000"}, 8),  # more than there are
        ("0::/app/web\n", {"app/web/cpu.max": "300000 100000", "cpu.max": "max 100000"}, 3),
        ("0::/app/web\n", {"app/web/cpu.max": "max 100000", "app/cpu.max": "400000 100000"}, 4),
        ("0::/app/web\n", {"app/web/cpu.max": "500000 100000", "app/cpu.max": "200000 100000"}, 2),
        ("0::/elsewhere\n", {"cpu.max": "300000 100000"}, 3),
        (OLD, {"cpu/docker/7/cpu.cfs_quota_us": "250000",
               "cpu/docker/7/cpu.cfs_period_us": "100000"}, 3),
        (OLD, {"cpu,cpuacct/cpu.cfs_quota_us": "100000",
               "cpu,cpuacct/cpu.cfs_period_us": "50000"}, 2),
        (OLD, {"cpu/docker/7/cpu.cfs_quota_us": "-1",
               "cpu/docker/7/cpu.cfs_period_us": "100000"}, 8),
        (OLD, {"memory/a/cpu.cfs_quota_us": "100000",
               "memory/a/cpu.cfs_period_us": "100000"}, 8),
        ("0::/\n", {"cpu.max": "nonsense"}, 8),
        ("0::/\n", {"cpu.max": "100000 0"}, 8),
        ("", {}, 8),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("eight")
def test_a_quota_limits_the_count(tmp_path, group, files, count):
    assert usable_processors(tree(tmp_path, group, files)) == count


@pytest.mark.usefixtures("eight")
def test_without_control_groups_it_is_what_the_process_is_bound_to(tmp_path):
    assert usable_processors(tmp_path) == 8


@pytest.mark.parametrize(("usable", "workers"), [(1, 1), (3, 3), (16, 16), (64, 16)])
def test_loaders_use_them_and_at_most_sixteen(monkeypatch, usable, workers):
    monkeypatch.setattr("onecycle.core.machine.usable_processors", lambda: usable)
    assert Defaults().cpus == workers


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="binds no process")
def test_a_process_bound_to_one_processor_counts_one():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from onecycle.core.machine import defaults; print(defaults.cpus)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
