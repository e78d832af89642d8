"""The server keeps its limits and its word: memory, slow bodies, methods, a clean end."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import psutil
import pytest
from handmade import made_text
from loops import run_apart
from PIL import Image as Pillow
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient
from test_page import made
from test_series_page import trained as trained_series
from test_server import png, running

from onecycle.runtime.http.body import Limits
from onecycle.runtime.http.requests import Room, body_of
from onecycle.runtime.http.server import application

HERE = Path(__file__).parent


@pytest.mark.parametrize("kind", ["image", "text", "series", "two channels"])
def test_schemathesis_finds_no_fault_in_the_description(kind, tmp_path):
    """Its own checks: status codes, content types, schemas, rejected and accepted data, methods."""
    pytest.importorskip("schemathesis")
    make = {
        "image": partial(made, "multicategory"),
        "text": made_text,
        "series": partial(trained_series, channels=1),
        "two channels": partial(trained_series, channels=2),
    }
    model = make[kind](tmp_path)
    # No JSON Schema says that lists are of one length, or where the last number of one stands, so
    # that a series ends with its first step: a 422 is right.
    if kind in ("series", "two channels"):
        (tmp_path / "schemathesis.toml").write_text(
            'checks.positive_data_acceptance.expected-statuses = ["2xx", 422]\n'
        )
    with running(model) as (address, _):
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"]
        options = ["--url", address, "-n", "20", "--seed", "1", "--no-color"]
        env = os.environ | {"PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "schemathesis_hooks"}
        done = subprocess.run(
            [*command, *options], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
    assert "5 selected / 5 total" in done.stdout


def test_a_second_server_on_a_port_is_refused_and_the_first_answers_on(tmp_path):
    model = made("category", tmp_path)
    with running(model) as (address, _):
        port = address.rpartition(":")[2]
        command = [sys.executable, "-m", "onecycle", "serve", str(model), "--port", port]
        second = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert second.returncode != 0
        assert f"port {port} is in use: give another with --port" in second.stderr
        assert httpx.post(address + "/api/predict", content=png(1)).status_code == 200
    with running(model, int(port)) as (again, _):  # a port that was left is free at once
        assert again == address


def test_other_methods_are_told_the_right_one(tmp_path):
    with TestClient(application(made("category", tmp_path))) as client:
        for path, allowed in (
            ("/analyze", "POST"),
            ("/api/predict", "POST"),
            ("/healthz", "GET, HEAD"),
            ("/openapi.json", "GET, HEAD"),
        ):
            reply = client.options(path)
            assert reply.status_code == 405
            assert sorted(reply.headers["allow"].split(", ")) == allowed.split(", ")
            assert reply.headers["x-content-type-options"] == "nosniff"


def test_more_bytes_than_there_is_room_for_are_turned_away_for_a_second():
    room = Room(100)
    with room.share() as first:
        first(60)
        with room.share() as second:
            second(40)
            with pytest.raises(HTTPException) as messages:
                second(1)
        assert (messages.value.status_code, messages.value.headers) == (503, {"Retry-After": "1"})
        first(40)
    assert room.held == 0


def slow_request(parts, pause):
    async def stream():
        for part in parts:
            yield part
            await asyncio.sleep(pause)

    return SimpleNamespace(headers={}, stream=stream)


def test_a_body_that_comes_too_slowly_is_408():
    limits = Limits(body_seconds=0.2)
    taken = []
    whole = run_apart(body_of(slow_request([b"ab", b"c"], 0.01), limits, taken.append))
    assert whole.files == (b"abc",)
    assert taken == [2, 1]
    with pytest.raises(HTTPException) as messages:
        run_apart(body_of(slow_request([b"a"] * 100, 0.05), limits, taken.append))
    assert messages.value.status_code == 408


def large_png(side):
    buffer = io.BytesIO()
    Pillow.new("RGB", (side, side), (3, 200, 9)).save(buffer, "PNG")
    return buffer.getvalue()


def test_large_images_are_answered_one_by_one(tmp_path):
    """48 MB each once decoded; all together, as floats, it would be 2 GB."""
    files = [("file", ("x.png", large_png(4000), "image/png"))] * 8
    with running(made("category", tmp_path)) as (address, process):
        most, over = [0], threading.Event()

        def watch():
            while not over.wait(0.02):
                seen = [p.memory_info().rss for p in psutil.Process(process.pid).children(True)]
                most[0] = max(most[0], *seen)

        watcher = threading.Thread(target=watch)
        watcher.start()
        reply = httpx.post(f"{address}/api/predict", files=files, timeout=120)
        over.set()
        watcher.join()
    assert [p["answer"] for p in reply.json()["predictions"]] == ["green"] * 8
    assert most[0] < 450e6


def test_what_was_asked_before_the_end_is_answered(tmp_path):
    files = [("file", ("x.png", large_png(4000), "image/png"))] * 3
    with running(made("category", tmp_path)) as (address, process):
        replies = []
        asking = threading.Thread(
            target=lambda: replies.append(
                httpx.post(f"{address}/api/predict", files=files, timeout=60)
            )
        )
        asking.start()
        time.sleep(0.4)
        assert not replies
        process.send_signal(signal.SIGTERM)
        asking.join()
        assert replies[0].status_code == 200
        assert len(replies[0].json()["predictions"]) == 3
        assert process.wait(12) == 0


def test_a_text_in_any_form_but_the_described_ones_is_refused(tmp_path):
    with TestClient(application(made_text(tmp_path))) as client:
        for messages, status in (
            ({"text": "good"}, 200),
            ({"texts": ["good", ""]}, 200),
            ({"text": "good", "texts": None}, 422),
            ({"text": "good", "more": 1}, 422),
            ({"texts": []}, 400),
            ([], 422),
        ):
            assert client.post("/api/predict", json=messages).status_code == status, messages


def test_a_part_without_a_files_name_is_a_image_where_it_says_so(tmp_path):
    head = b'--x\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: image/png\r\n\r\n'
    form = head + png(3) + b"\r\n--x--\r\n"
    with TestClient(application(made("category", tmp_path))) as client:
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        found = client.post("/api/predict", content=form, headers=kind)
        assert found.json() == client.post("/api/predict", content=png(3)).json()
