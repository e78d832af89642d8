"""Ctrl-C, and the signal by which machines are taken away, end a fit between two steps."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from onecycle.learn.callback import Run

if sys.platform == "win32":  # nobody can send a SIGTERM there; Ctrl-Break is what asks to end
    ENDS = signal.SIGBREAK
else:
    ENDS = signal.SIGTERM


@contextmanager
def stop_on_signals(run: Run, terminate: bool) -> Iterator[None]:
    """Ctrl-C sets `run.stopping`; a second one, or one during validation, is a KeyboardInterrupt.

    With `terminate` SIGTERM (Ctrl-Break on Windows) does the same, and then ends the program (exit
    status 143, or as its own handler has it), of several processes all. Python gives signals to the
    main thread alone: in others all stays as it is, and so it does where a program handles Ctrl-C
    itself.
    """
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        at_once = len(asked) > 1 or (run.validating and run.engine.processes == 1)
        run.stopping = True
        if at_once:
            raise KeyboardInterrupt
        name = signal.Signals(number).name
        run.engine.say(f"{name}: stopping after this step; a second one stops at once")

    old: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            old[signal.SIGINT] = signal.signal(signal.SIGINT, handle)
        if terminate:
            old[ENDS] = signal.signal(ENDS, handle)
    try:
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)
    if terminate and run.engine.agree(ENDS in asked):  # else the others would go on without it
        if old.get(ENDS, signal.SIG_DFL) is signal.SIG_DFL:
            raise SystemExit(128 + ENDS)  # so that the program's own `finally` runs
        signal.raise_signal(ENDS)  # Windows' os.kill would ask no handler
