"""Runs pytest again and again, each time in a fork of one process that has the libraries loaded.

`Warm(folder)` starts such a process there, and `run` gives it tests. Loading torch and the others
takes most of the time of a short test; a fork takes a hundredth of a second. Nothing of the project
itself is loaded before the fork, so each run sees the files as they are. Linux only.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LIBRARIES = (
    *("numpy", "pandas", "PIL.Image", "cv2", "sklearn.metrics", "matplotlib.pyplot"),
    *("hypothesis.strategies", "onnx", "onnxruntime", "torch", "torchvision", "timm"),
)
_QUIET = ("-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
Outcome = tuple[int | None, float, str]  # pytest's status (None: beyond the limit), seconds, lines


class Warm:
    """A process in `folder` with `libraries` loaded that runs tests in forks of itself."""

    def __init__(self, folder: Path, libraries: Iterable[str] = LIBRARIES) -> None:
        # Written bytecode is looked up by size and whole seconds: a fault could be run as it was.
        environment = {
            **os.environ,
            "PYTHONPATH": str(folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            "MPLBACKEND": "Agg",
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__, *libraries],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, tests: str, limit: float | None = None) -> Outcome:
        """What pytest makes of `tests`, words as in a shell; no more than `limit` seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([shlex.split(tests), limit]), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that runs {tests} has ended")
        status, seconds, tail = json.loads(answer)
        return status, seconds, tail

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def forked(words: list[str], limit: float | None) -> Outcome:
    """Run pytest in a fork; all that it has started ends with it."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as written:
        pid = os.fork()
        if not pid:
            os.setsid()
            for stream in (1, 2):
                os.dup2(written.fileno(), stream)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            _run(words)
        status = _waited(pid, began + limit if limit is not None else None)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        written.seek(0)
        lines = written.read().decode(errors="replace").splitlines()
    if status is None:
        os.waitpid(pid, 0)
        lines = ["beyond the limit"]
    return status, time.monotonic() - began, "\n".join(lines[-15:])


def _run(words: list[str]) -> None:
    """In the fork: pytest, and the end of the process with its status."""
    import pytest

    code = 77
    try:
        code = int(pytest.main(["-x", *_QUIET, *words]))
    except BaseException as error:
        print(repr(error))
    finally:
        sys.stdout.flush()
        os._exit(code)


def _waited(pid: int, until: float | None) -> int | None:
    """The exit status of a process, or None where it runs on at that time."""
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if until is not None and time.monotonic() > until:
            return None
        time.sleep(0.02)


def main() -> None:
    """Load the libraries, then answer each line with tests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for name in ("pytest", *sys.argv[1:]):
        importlib.import_module(name)
    for line in sys.stdin:
        words, limit = json.loads(line)
        print(json.dumps(forked(words, limit)), file=answers, flush=True)


if __name__ == "__main__":
    main()
