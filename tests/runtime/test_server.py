"""A real server process: answers, limits, overload, slow and broken clients, a clean end."""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loops import run_apart
from PIL import Image as Pillow
from starlette.testclient import TestClient
from test_page import made

from onecycle.core.errors import ModelError
from onecycle.runtime.http.batching import Batcher, QueueFullError
from onecycle.runtime.http.body import Limits
from onecycle.runtime.http.server import application, serve
from onecycle.runtime.predictor import Predictor

KINDS = ["multipart/form-data; boundary=x", "multipart/form-data", "image/png", "", "é"]


def png(seed=0, size=(40, 50)):
    rng = np.random.default_rng(seed)
    pixels = np.full((*size, 3), rng.integers(0, 256, 3), np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def answering(port, seconds=30):
    """The address, once the server there is alive."""
    address = f"http://127.0.0.1:{port}"
    for _ in range(10 * seconds):
        try:
            if httpx.get(address + "/healthz", timeout=1).status_code == 200:
                return address
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(f"no server on port {port} within {seconds} s")


def stopped(process):
    """Tell the server to stop, and wait for its end."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@contextmanager
def running(model, port=None):
    """The address and the process of `onecycle serve`."""
    port = port or free_port()
    command = [sys.executable, "-m", "onecycle", "serve", str(model), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield answering(port), process
    finally:
        stopped(process)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {kind: made(kind, folder) for kind in ("category", "multicategory", "mask", "points")}


@pytest.fixture(scope="module")
def server(models):
    with running(models["category"]) as (address, process):
        yield address, process


@pytest.fixture(scope="module")
def client(models):
    limits = Limits(body_bytes=200_000, pixels=1_000_000, items=3, body_seconds=2)
    with TestClient(application(models["category"], limits)) as opened:
        yield opened


def test_answers_are_the_predictors(server, models):
    data = png(3)
    wanted = Predictor(models["category"]).predict(data)
    reply = httpx.post(server[0] + "/api/predict", content=data)
    (found,) = reply.json()["predictions"]
    assert found["answer"] == wanted.answer.obj
    assert list(found["probabilities"].values()) == pytest.approx(wanted.probabilities.tolist())
    several = [("file", (f"{i}.png", png(i), "image/png")) for i in range(4)]
    found = httpx.post(server[0] + "/api/predict", files=several).json()["predictions"]
    alone = [Predictor(models["category"]).predict(png(i)).answer.obj for i in range(4)]
    assert [f["answer"] for f in found] == alone


def test_the_courses_starter_app_is_answered(server, models):
    reply = httpx.post(server[0] + "/analyze", files={"file": ("x.png", png(5))})
    assert reply.json() == {"result": str(Predictor(models["category"]).predict(png(5)))}


def test_masks_points_and_thresholds_come_as_json(models):
    with TestClient(application(models["mask"])) as client:
        (found,) = client.post("/api/predict", content=png(1)).json()["predictions"]
        mask = np.asarray(Pillow.open(io.BytesIO(b64decode(found["mask"]))))
        assert np.array_equal(mask, Predictor(models["mask"]).predict(png(1)).answer.data[0])
    with TestClient(application(models["points"])) as client:
        (found,) = client.post("/api/predict", content=png(1)).json()["predictions"]
        wanted = Predictor(models["points"]).predict(png(1)).answer.data
        assert np.array(found["answer"]) == pytest.approx(wanted)
        refused = client.post("/api/predict?thresh=0.5", content=png())
        assert (refused.status_code, "no threshold" in refused.text) == (400, True)
    with TestClient(application(models["multicategory"])) as client:
        reply = client.post("/api/predict?thresh=0", content=png(1)).json()
        assert reply["predictions"][0]["answer"] == ["red", "green", "blue"]
        assert client.post("/api/predict?thresh=2", content=png(1)).status_code == 400


def test_what_is_wrong_is_said_as_a_problem(client):
    cases = [
        (b"", 400, "no image"),
        (b"I am text, not an image", 422, "not an image"),
        (png()[:60], 422, "the upload"),
        (b"x" * 300_000, 413, "larger than 200,000 bytes"),
        (png(size=(1100, 1000)), 413, "pixels"),
    ]
    for content, status, word in cases:
        reply = client.post("/api/predict", content=content)
        assert reply.status_code == status, content[:20]
        assert reply.headers["content-type"] == "application/problem+json"
        assert word in reply.json()["detail"]
        assert reply.json()["status"] == status
    assert client.get("/api/predict").status_code == 405
    assert client.get("/nothing/here").status_code == 404


def test_a_body_without_a_length_is_counted_as_it_comes(client):
    def endless():
        for _ in range(1000):
            yield b"y" * 10_000

    assert client.post("/api/predict", content=endless()).status_code == 413


def test_more_images_than_allowed_are_refused(client):
    files = [("file", (f"{i}.png", png(i))) for i in range(4)]
    reply = client.post("/api/predict", files=files)
    assert reply.status_code == 400
    assert "many" in reply.json()["detail"].lower()


def test_headers_forbid_framing_sniffing_and_other_origins(client):
    for path in ("/api/model", "/healthz", "/", "/nothing"):
        reply = client.get(path, headers={"Origin": "https://elsewhere.example"})
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert "access-control-allow-origin" not in reply.headers


def test_the_description_and_counters_are_there(client, models):
    assert client.get("/api/model").json()["task"]["target"]["classes"] == ["red", "green", "blue"]
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/api/predict", "/analyze", "/healthz", "/api/model"} <= set(paths)
    client.post("/api/predict", content=b"no")
    text = client.get("/metrics").text
    assert 'onecycle_replies_total{status="422"}' in text


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=600),
    st.sampled_from(
        ["multipart/form-data; boundary=x", "multipart/form-data", "image/png", "", "é"]
    ),
    st.integers(0, 400),
)
def test_no_upload_breaks_the_server(client, content, kind, cut):
    for body in (content, png()[:cut] + content, b"--x\r\n" + content + b"\r\n--x--\r\n"):
        headers = {"Content-Type": kind.encode("latin-1")}
        reply = client.post("/api/predict", content=body, headers=headers)
        assert reply.status_code in {200, 400, 413, 422}
        assert "object at 0x" not in reply.text


def test_when_too_much_is_asked_some_are_turned_away_and_all_later_ones_served(server):
    def ask(i):
        try:
            return httpx.post(server[0] + "/api/predict", content=png(i, (300, 300)), timeout=30)
        except httpx.HTTPError as error:
            return error

    with ThreadPoolExecutor(120) as pool:
        replies = list(pool.map(ask, range(360)))
    codes = {r.status_code for r in replies if isinstance(r, httpx.Response)}
    assert codes <= {200, 503}
    assert 200 in codes
    for reply in replies:
        if isinstance(reply, httpx.Response) and reply.status_code == 503:
            assert reply.headers["retry-after"] == "1"
    assert sum(not isinstance(r, httpx.Response) for r in replies) == 0
    assert httpx.post(server[0] + "/api/predict", content=png()).status_code == 200


def test_memory_stays_bounded_under_large_uploads(server):
    def worker():
        return max(p.memory_info().rss for p in psutil.Process(server[1].pid).children(True))

    def ask(_):
        return httpx.post(server[0] + "/api/predict", content=b"z" * 30_000_000, timeout=60)

    for _ in range(3):
        httpx.post(server[0] + "/api/predict", content=png())
    before = worker()
    with ThreadPoolExecutor(8) as pool:
        assert {r.status_code for r in pool.map(ask, range(40))} == {413}
    assert worker() - before < 150e6


def test_slow_headers_are_cut_off(server):
    host, port = server[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=12) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        start = time.monotonic()
        try:
            ended = slow.recv(1000) == b"" or slow.recv(1000) == b""
        except ConnectionResetError:
            ended = True
        assert ended
        assert time.monotonic() - start < 10
    assert httpx.get(server[0] + "/healthz").status_code == 200


def test_a_server_that_is_told_to_stop_stops_with_its_children(models):
    with running(models["category"]) as (address, process):
        children = psutil.Process(process.pid).children(True)
        assert httpx.post(address + "/api/predict", content=png()).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(12) == 0
        assert psutil.wait_procs(children, timeout=5)[1] == []


def test_the_server_needs_no_torch(models):
    code = f"""
import sys
for gone in ("torch", "torchvision", "timm", "pandas", "cv2", "onnx", "matplotlib"):
    sys.modules[gone] = None
from starlette.testclient import TestClient
from onecycle.runtime.http.server import application
with TestClient(application({str(models["category"])!r})) as client:
    print(client.get("/healthz").json())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "ok" in done.stdout, done.stderr


def test_a_damaged_model_is_refused_before_anything_is_served(tmp_path, models):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(models["category"].read_bytes()[:-100])
    with pytest.raises(ModelError):
        serve(bad)
    assert json.dumps(os.environ.get("ONECYCLE_MODEL")) in {"null", '""'}


# --- the queue -----------------------------------------------------------------------------


def test_what_waits_together_is_answered_together_in_order():
    sizes = []

    def run(items):
        sizes.append(len(items))
        time.sleep(0.02)
        return [10 * item for item in items]

    async def ask():
        async with Batcher(run, room=100, most=8) as batcher:
            return await asyncio.gather(*(batcher.ask([i]) for i in range(30)))

    assert run_apart(ask()) == [[10 * i] for i in range(30)]
    assert max(sizes) == 8
    assert len(sizes) < 10


def test_a_full_queue_refuses_and_an_error_ends_only_its_own_batch():
    def run(items):
        time.sleep(0.05)
        if "bad" in items:
            raise ValueError("bad")
        return items

    async def ask():
        async with Batcher(run, room=2, most=1) as batcher:
            first = asyncio.create_task(batcher.ask(["bad"]))
            await asyncio.sleep(0.01)
            second = asyncio.create_task(batcher.ask(["good", "too"]))
            await asyncio.sleep(0.01)
            with pytest.raises(QueueFullError, match="2 images"):
                await batcher.ask(["one more"])
            with pytest.raises(ValueError, match="bad"):
                await first
            return await second

    assert run_apart(ask()) == ["good", "too"]
