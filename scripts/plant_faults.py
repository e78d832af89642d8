"""Plant the faults of scripts/faults/*.toml one at a time and see which the tests notice.

    python scripts/plant_faults.py                # all of them; hours are fine
    python scripts/plant_faults.py learn page     # the tables learn.toml and page.toml
    python scripts/plant_faults.py --only "seed"  # those whose name contains the words
    python scripts/plant_faults.py --check        # only: does each text still occur once?

A row of a table:

    [[fault]]
    name  = "the seed is ignored"
    file  = "src/onecycle/core/rng.py"
    old   = '''seed % 2**64'''       # occurs exactly once in the file
    new   = '''0'''
    tests = "tests/data/test_loader.py -k seed"   # what is given to pytest
    green = "why it cannot be seen"  # only for faults that are known to stay green

Everything happens in a copy. The tests must pass there before the fault is planted (with --trust
that is believed, which takes half the time); a fault is seen when they fail after it, or run five
times as long and more.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from warm_pytest import LIBRARIES, Warm

ROOT = Path(__file__).resolve().parents[1]
TABLES = Path("scripts/faults")
PAGE = Path("docs/reliability.md")
BEGIN, END = "<!-- planted faults: begin -->", "<!-- planted faults: end -->"
PASSED, FAILED = 0, 1  # pytest's exit statuses
_PATIENT = 60.0  # seconds that a healthy run is taken for where it was not measured
PATIENCE = 60.0  # seconds that a run may take beyond five times its healthy run


class TableError(ValueError):
    """A row of a table does not fit the code, or its tests do not pass without the fault."""


@dataclass(frozen=True)
class Fault:
    """One small change that makes the code wrong, and the tests that should notice."""

    room: str
    name: str
    file: str
    old: str
    new: str
    tests: str
    green: str = ""

    def planted(self, text: str) -> str:
        """`text` with the fault in it; TableError unless the old text occurs exactly once."""
        times = text.count(self.old)
        if times != 1 or self.old == self.new:
            found = f"occurs {times} times" if times != 1 else "is the new one, too"
            raise TableError(f"{self.room}: {self.name}: the old text {found} in {self.file}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Result:
    """What became of a fault: `seen` by the tests or not, after some seconds."""

    fault: Fault
    seen: bool
    how: str
    seconds: float


class Copy:
    """The project's files in a folder of their own, and a process that runs tests there."""

    def __init__(self, folder: Path, libraries: Iterable[str]) -> None:
        self.folder, self.tests = folder, Warm(folder, libraries)


def read_tables(root: Path, rooms: Sequence[str] = ()) -> list[Fault]:
    """The faults of the named tables, or of all; TableError for rows that make no sense."""
    folder = root / TABLES
    missing = [room for room in rooms if not (folder / f"{room}.toml").is_file()]
    if missing:
        known = ", ".join(sorted(path.stem for path in folder.glob("*.toml")))
        raise TableError(f"there is no table {', '.join(missing)} in {folder}: there are {known}")
    faults = []
    for path in sorted(folder.glob("*.toml")):
        if rooms and path.stem not in rooms:
            continue
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("fault", [])
        for number, row in enumerate(rows, 1):
            try:
                faults.append(Fault(room=path.stem, **row))
            except TypeError as error:
                raise TableError(f"{path.name}, row {number}: {error}") from None
    names = [(fault.room, fault.name) for fault in faults]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"names occur twice: {twice}")
    return faults


def check(faults: Iterable[Fault], root: Path) -> None:
    """TableError, naming all of them, for faults that cannot be planted."""
    wrong = []
    for fault in faults:
        path = root / fault.file
        try:
            fault.planted(path.read_text(encoding="utf-8"))
        except (TableError, FileNotFoundError) as error:
            wrong.append(str(error))
    if wrong:
        raise TableError("\n".join(wrong))


def copy_tree(root: Path, to: Path) -> Path:
    """The project's files, and the browser runtime that git does not keep, in a new folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, to / name)
    for extra in (Path("web/page/ort"), Path("web/node_modules")):
        if (root / extra).is_dir():
            (to / extra).symlink_to((root / extra).resolve())
    shared = root.parent / "shared"
    if shared.is_dir() and not (to.parent / "shared").exists():
        (to.parent / "shared").symlink_to(shared.resolve())
    return to


def try_fault(fault: Fault, copy: Copy, healthy: float) -> Result:
    """Plant the fault in the copy, run its tests, take it out again."""
    path = copy.folder / fault.file
    text = path.read_text(encoding="utf-8")
    path.write_text(fault.planted(text), encoding="utf-8")
    try:
        status, seconds, tail = copy.tests.run(fault.tests, 5 * healthy + PATIENCE)
    finally:
        path.write_text(text, encoding="utf-8")
    if status not in (PASSED, FAILED, None):
        raise TableError(f"{fault.room}: {fault.name}: pytest ended with {status}\n{tail}")
    return Result(fault, status != PASSED, "failed" if status else "no end", seconds)


def plant(
    faults: Sequence[Fault],
    root: Path,
    jobs: int,
    trust: bool = False,
    libraries: Iterable[str] = LIBRARIES,
) -> list[Result]:
    """Try every fault in one of `jobs` copies, in the order of the tables.

    With `trust` the tests are not run without a fault first: all of them have just passed. The
    `libraries` are loaded once for all runs.
    """
    check(faults, root)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ExitStack() as stack:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for i in range(jobs):
            copy = Copy(copy_tree(root, Path(folder) / str(i) / "project"), libraries)
            stack.callback(copy.tests.close)
            copies.put(copy)

        def healthy(tests: str) -> float:
            copy = copies.get()
            try:
                status, seconds, tail = copy.tests.run(tests)
            finally:
                copies.put(copy)
            if status != PASSED:
                raise TableError(f"without a fault, `pytest {tests}` ends with {status}\n{tail}")
            return seconds

        def tried(fault: Fault) -> Result:
            copy = copies.get()
            try:
                result = try_fault(fault, copy, times[fault.tests])
            finally:
                copies.put(copy)
            word = "seen " if result.seen else "known" if fault.green else "GREEN"
            print(f"{word} {result.seconds:5.0f} s  {fault.room}: {fault.name}", flush=True)
            return result

        with ThreadPoolExecutor(jobs) as pool:
            selections = sorted({fault.tests for fault in faults})
            found = [_PATIENT] * len(selections) if trust else pool.map(healthy, selections)
            times = dict(zip(selections, found, strict=True))
            return list(pool.map(tried, faults))


def rows_of(results: Sequence[Result]) -> dict[str, tuple[int, int]]:
    """Planted and seen of each table."""
    rooms = sorted({result.fault.room for result in results})
    return {
        room: (
            sum(r.fault.room == room for r in results),
            sum(r.seen for r in results if r.fault.room == room),
        )
        for room in rooms
    }


def green_of(results: Sequence[Result]) -> list[str]:
    """A line for each fault that stayed green, with the reason."""
    faults = [r.fault for r in results if not r.seen]
    return [f"- {f.room}: {f.name}. {f.green or 'No reason yet.'}" for f in faults]


def report(rows: dict[str, tuple[int, int]], green: Sequence[str]) -> str:
    """The results as Markdown: a row a table, then what stayed green and why."""
    lines = ["| table | planted | seen |", "|---|---|---|"]
    lines += [f"| {room} | {planted} | {seen} |" for room, (planted, seen) in sorted(rows.items())]
    planted, seen = (sum(pair[i] for pair in rows.values()) for i in (0, 1))
    lines.append(f"| **all** | {planted} | {seen} |")
    if green:
        lines += ["", "Green, with the reason:", "", *sorted(green)]
    return "\n".join(lines)


def write_page(page: Path, results: Sequence[Result]) -> None:
    """Put the results between the two marks in the page; tables that were not run stay there."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    old, found, after = rest.partition(END)
    if not found:
        raise TableError(f"{page} has no lines {BEGIN} and {END}")
    new = rows_of(results)
    held = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \|$", old, re.MULTILINE)
    rows = {room: (int(planted), int(seen)) for room, planted, seen in held} | new
    kept = [m[0] for m in re.finditer(r"^- (\w+): .*$", old, re.MULTILINE) if m[1] not in new]
    text = report(rows, [*kept, *green_of(results)])
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main(words: Sequence[str] | None = None) -> int:
    """The command; 0 where at least 95 of 100 faults are seen and every green one has a reason."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rooms", nargs="*", help="tables, without .toml; all by default")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--check", action="store_true", help="only look for the old texts")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1)))
    parser.add_argument("--trust", action="store_true", help="the whole suite has just passed")
    parser.add_argument("--write", action="store_true", help=f"put the figures into {PAGE}")
    options = parser.parse_args(words)
    try:
        faults = [f for f in read_tables(ROOT, options.rooms) if options.only in f.name]
        if options.check:
            check(faults, ROOT)
            print(f"{len(faults)} faults can be planted")
            return 0
        results = plant(faults, ROOT, options.jobs, options.trust)
        print(report(rows_of(results), green_of(results)))
        if options.write and not options.only:
            write_page(ROOT / PAGE, results)
    except TableError as error:
        print(error, file=sys.stderr)
        return 2
    unexplained = [r for r in results if not r.seen and not r.fault.green]
    return int(bool(unexplained) or sum(r.seen for r in results) < 0.95 * len(results))


if __name__ == "__main__":
    sys.exit(main())
