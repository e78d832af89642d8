"""Work in a process of its own, which goes on when the studio or its page is closed.

A job has a folder: `NAME.args.json` says what to do, `NAME.jsonl` what it says of itself, and
`NAME.json` what it found. While it runs it holds `NAME.lock`, which ends with the process, however
that ends.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

from onecycle.core.errors import UsageError
from onecycle.core.files import hold_alone, write_atomically

RUNNING, DONE, FAILED, STOPPED, NEW = "running", "done", "failed", "stopped", "new"
_LONGEST = 2_000_000  # bytes of events that are read at once
# Windows hears no SIGTERM: Ctrl-Break asks a group of processes to end, so each job is one.
_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_STOP = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)
_START = 20.0  # seconds that a process has to take its lock
_PROBED = 1.0  # seconds for which it tries: whoever looks whether it runs holds the lock a moment
_looking = threading.Lock()  # of two who look at once the second would take the first for the job


def start(folder: Path, name: str, args: Mapping[str, Any]) -> None:
    """Begin, or begin again; UsageError where it runs already."""
    if state(folder, name) == RUNNING:
        raise UsageError("that runs already")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").unlink(missing_ok=True)
    _write(folder / f"{name}.args.json", json.dumps(dict(args)))
    command = [sys.executable, "-m", "onecycle.cli.studio.work", name, str(folder.absolute())]
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            creationflags=_GROUP,
            cwd=folder.absolute(),
        )
    _write(folder / f"{name}.pid", json.dumps({"pid": process.pid, "at": time.time()}))
    threading.Thread(target=process.wait, daemon=True).start()  # else its entry stays when it ends


def state(folder: Path, name: str) -> str:
    """Whether it runs, is done, has failed (its result says why), was stopped, or is new."""
    if not (folder / f"{name}.args.json").exists():
        return NEW
    if _is_held(folder / f"{name}.lock") or _is_starting(folder, name):
        return RUNNING
    found = result(folder, name)
    if found is None:
        return STOPPED
    return FAILED if "error" in found else DONE


def result(folder: Path, name: str) -> dict[str, Any] | None:
    """What it found; None where it has not ended by itself."""
    file = folder / f"{name}.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def events(folder: Path, name: str, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """What it has said since a place in its file, and the place from which to go on.

    A line that was cut off, as by a full disk, is passed by; from beyond the end, which is that of
    the job before, all is read again.
    """
    try:
        with (folder / f"{name}.jsonl").open("rb") as file:
            offset = offset if offset <= os.fstat(file.fileno()).st_size else 0
            file.seek(offset)
            data = file.read(_LONGEST)
    except FileNotFoundError:
        return [], 0
    whole = data[: data.rfind(b"\n") + 1]  # a line that is being written comes the next time
    said = []
    for line in whole.splitlines():
        with suppress(ValueError):
            said.append(json.loads(line))
    return said, offset + len(whole)


def last_words(folder: Path, name: str) -> str:
    """Of a job that ended without a result the error that its log ends with; "" without one."""
    try:
        with (folder / f"{name}.log").open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
            lines = file.read().decode(errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return last[:500] if re.match(r"[\w.]+(Error|Exception)\b", last) else ""


def stop(folder: Path, name: str) -> None:
    """Ask it to end, which it does after the step at hand; it can go on later."""
    if state(folder, name) != RUNNING:
        return
    with suppress(ProcessLookupError):  # it has ended meanwhile
        os.kill(json.loads((folder / f"{name}.pid").read_text(encoding="utf-8"))["pid"], _STOP)


class Reporter:
    """The job's own side: what it says, and that it runs."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def __enter__(self) -> "Reporter":
        self.held = self._hold()
        os.utime(self.folder / f"{self.name}.lock")
        self.file = (self.folder / f"{self.name}.jsonl").open("a+b", buffering=0)
        if self.file.tell():
            self.file.seek(-1, os.SEEK_END)
            if self.file.read(1) != b"\n":  # the one before was cut off in a line
                self.file.write(b"\n")
        return self

    def _hold(self) -> Any:
        begun = time.monotonic()
        while True:
            held = hold_alone(self.folder / f"{self.name}.lock", "that runs already", remove=False)
            try:
                held.__enter__()
            except UsageError:
                if time.monotonic() - begun > _PROBED:
                    raise
                time.sleep(0.01)
            else:
                return held

    def __exit__(self, *about: Any) -> None:
        self.file.close()
        self.held.__exit__(*about)

    def say(self, kind: str, **more: Any) -> None:
        """One line, written at once."""
        line = json.dumps(plain({"kind": kind, "at": round(time.time(), 3), **more}))
        self.file.write(line.encode() + b"\n")

    def finish(self, found: Mapping[str, Any]) -> None:
        """Leave what was found."""
        _write(self.folder / f"{self.name}.json", json.dumps(plain(found)))


def plain(value: Any) -> Any:
    """As JSON has it: what is no number is null, since browsers refuse NaN."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    number = float(value)
    return number if isfinite(number) else None


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    try:
        with _looking, hold_alone(lock, "", remove=False):
            return False
    except UsageError:
        return True


def _is_starting(folder: Path, name: str) -> bool:
    """Whether the process was begun a moment ago and has not come to its lock."""
    try:
        begun = json.loads((folder / f"{name}.pid").read_text(encoding="utf-8"))
        if os.name == "posix":  # elsewhere that would end it
            os.kill(begun["pid"], 0)
    except (OSError, ValueError, KeyError):
        return False
    lock = folder / f"{name}.lock"
    taken = lock.exists() and lock.stat().st_mtime >= begun["at"] - 1
    return not taken and time.time() - begun["at"] < _START


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda to: _text(to, text))


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
