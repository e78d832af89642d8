"""Work in a process of its own: what it says, how it ends, and what a kill leaves."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from onecycle.cli.studio import jobs
from onecycle.cli.studio.work import likely_wrong
from onecycle.core.errors import UsageError
from onecycle.core.files import hold_alone

PROGRAM = """
import sys, time
from pathlib import Path
from onecycle.cli.studio.jobs import Reporter
with Reporter(Path(sys.argv[1]), "train") as reporter:
    reporter.say("step", loss=float("nan"), n=3)
    print("ready", flush=True)
    if sys.argv[2] == "wait":
        time.sleep(60)
    reporter.finish({"error": "E", "message": "m"} if sys.argv[2] == "fail" else {"value": 2.5})
"""


def begin(folder, how):
    """A process that works as a job does, from its lock on."""
    (folder / "train.args.json").write_text("{}")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), how], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_job_that_was_killed_is_stopped_and_may_begin_again(tmp_path):
    assert jobs.state(tmp_path, "train") == jobs.NEW
    process = begin(tmp_path, "wait")
    assert jobs.state(tmp_path, "train") == jobs.RUNNING
    with pytest.raises(UsageError, match="runs already"):
        jobs.start(tmp_path, "train", {})
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert jobs.state(tmp_path, "train") == jobs.STOPPED
    assert jobs.result(tmp_path, "train") is None


@pytest.mark.parametrize(("how", "state"), [("go", jobs.DONE), ("fail", jobs.FAILED)])
def test_how_it_ended_is_known_later(tmp_path, how, state):
    begin(tmp_path, how).communicate()
    assert jobs.state(tmp_path, "train") == state
    said, at = jobs.events(tmp_path, "train")
    assert [(one["kind"], one["loss"], one["n"]) for one in said] == [("step", None, 3)]
    assert jobs.events(tmp_path, "train", at) == ([], at)


def test_half_a_line_is_read_once_it_is_whole(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text('{"kind": "a"}\n{"kind": ')
    said, at = jobs.events(tmp_path, "train")
    assert [one["kind"] for one in said] == ["a"]
    with file.open("a") as more:
        more.write('"b"}\n')
    assert [one["kind"] for one in jobs.events(tmp_path, "train", at)[0]] == ["b"]


def test_a_line_that_was_cut_off_does_not_hide_the_others(tmp_path):
    """As a full disk leaves it; the job that goes on begins a line of its own."""
    (tmp_path / "train.jsonl").write_text('{"kind": "a"}\n{"kind": ')
    with jobs.Reporter(tmp_path, "train") as reporter:
        reporter.say("b")
    assert [one["kind"] for one in jobs.events(tmp_path, "train")[0]] == ["a", "b"]
    beyond = (tmp_path / "train.jsonl").stat().st_size + 1  # a page that read a longer file before
    assert [one["kind"] for one in jobs.events(tmp_path, "train", beyond)[0]] == ["a", "b"]


def test_who_looks_whether_it_runs_is_not_seen_as_the_job(tmp_path, monkeypatch):
    """Two tabs ask at once, each of which holds the lock for a moment."""
    (tmp_path / "train.args.json").write_text("{}")
    (tmp_path / "train.lock").touch()

    @contextmanager
    def slowly(*args, **more):
        with hold_alone(*args, **more):
            time.sleep(0.05)
            yield

    monkeypatch.setattr(jobs, "hold_alone", slowly)
    with ThreadPoolExecutor() as pool:
        found = [pool.submit(jobs.state, tmp_path, "train") for _ in range(3)]
        assert {one.result() for one in found} == {jobs.STOPPED}


def test_who_looks_whether_it_runs_does_not_keep_it_from_running(tmp_path):
    held, done = threading.Event(), threading.Event()

    def look():
        with hold_alone(tmp_path / "train.lock", "", remove=False):
            held.set()
            done.wait(0.3)

    with ThreadPoolExecutor() as pool:
        looking = pool.submit(look)
        held.wait()
        with jobs.Reporter(tmp_path, "train"):
            done.set()
        looking.result()


def test_an_error_that_no_result_tells_is_read_from_the_log(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("Traceback\n  File x\nonecycle.core.errors.WriteError: no space left\n")
    assert jobs.last_words(tmp_path, "train") == "onecycle.core.errors.WriteError: no space left"
    log.write_text("epoch 3: ValueError is not here\n")
    assert jobs.last_words(tmp_path, "train") == ""


def test_a_job_is_a_process_that_outlives_who_began_it(tmp_path):
    """It begins in a session of its own; what was wrong is its result, one sentence."""
    jobs.start(tmp_path, "deploy", {"to": "nowhere", "model": str(tmp_path / "none.onnx")})
    pid = json.loads((tmp_path / "deploy.pid").read_text())["pid"]
    assert os.getsid(pid) != os.getsid(0)
    for _ in range(600):
        if jobs.state(tmp_path, "deploy") != jobs.RUNNING:
            break
        time.sleep(0.1)
    assert jobs.state(tmp_path, "deploy") == jobs.FAILED
    assert "nowhere" in jobs.result(tmp_path, "deploy")["message"]


def test_what_is_no_number_is_null_for_browsers():
    found = jobs.plain({"a": float("inf"), 1: [np.float32(0.5), float("nan"), None, True, "x"]})
    assert found == {"a": None, "1": [0.5, None, None, True, "x"]}


def literal_doubts(shares, labels):
    """Confident learning, item by item as the paper has it."""
    classes = len(shares[0])
    mean = {}
    for c in range(classes):
        own = [row[c] for row, label in zip(shares, labels, strict=True) if label == c]
        mean[c] = sum(own) / len(own) if own else float("inf")
    found = []
    for row, label in zip(shares, labels, strict=True):
        able = [c for c in range(classes) if row[c] >= mean[c]]
        best = max(able, key=lambda c: row[c]) if able else label
        found.append(best != label and label not in able)
    return found


def test_labels_in_doubt_are_those_of_confident_learning():
    rng = np.random.default_rng(0)
    raw = rng.gamma(0.4, size=(300, 4))
    shares, y = raw / raw.sum(1, keepdims=True), rng.integers(0, 3, 300)  # nobody is of class 3
    found = likely_wrong(shares, y)
    assert found.tolist() == literal_doubts(shares.tolist(), y.tolist())
    assert 0 < found.sum() < 200


def test_a_planted_wrong_label_is_in_doubt_and_others_are_not():
    shares = np.array([[0.9, 0.1]] * 6 + [[0.1, 0.9]] * 6)
    y = np.array([0] * 6 + [1] * 6)
    y[2] = 1
    assert np.flatnonzero(likely_wrong(shares, y)).tolist() == [2]
    several = np.stack([shares[:, 0], np.full(12, 0.8)], 1)
    tags = np.stack([1 - y, np.ones(12)], 1)
    assert np.flatnonzero(likely_wrong(several, tags)).tolist() == [2]


def test_a_job_that_begins_is_not_asked_by_a_signal_where_that_would_end_it(tmp_path, monkeypatch):
    """Windows' os.kill with 0 is a Ctrl-C."""
    (tmp_path / "train.args.json").write_text("{}")
    (tmp_path / "train.pid").write_text(json.dumps({"pid": 4194303, "at": time.time()}))
    assert jobs.state(tmp_path, "train") == jobs.STOPPED  # there is no such process

    def kill(pid, number):
        raise AssertionError(f"{number} to {pid}")

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", kill)
        patch.setattr(os, "name", "nt")
        assert jobs._is_starting(tmp_path, "train")


def test_a_job_is_begun_and_ended_as_its_system_does_it(tmp_path, monkeypatch):
    """On Windows as a group of processes, asked by Ctrl-Break; SIGTERM would end it in a step."""
    asked, begun = [], []
    monkeypatch.setattr(os, "kill", lambda pid, number: asked.append((pid, number)))
    monkeypatch.setattr(jobs, "_STOP", 1)
    monkeypatch.setattr(jobs, "_GROUP", 512)
    monkeypatch.setattr(jobs.subprocess, "Popen", lambda *_, **how: begun.append(how) or Process())
    jobs.start(tmp_path, "train", {})
    jobs.stop(tmp_path, "train")
    assert [how["creationflags"] for how in begun] == [512]
    assert asked[-1] == (77, 1)


class Process:
    pid = 77

    def wait(self):
        pass
