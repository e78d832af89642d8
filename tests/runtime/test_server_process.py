"""A real server process over its life: a replaced model, a killed worker, TLS, its log, its end."""

import io
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from handmade import made_text
from loops import run_apart
from PIL import Image as Pillow
from starlette.testclient import TestClient
from test_page import asked, made, until
from test_server import answering, free_port, png, stopped
from test_server_limits import large_png

from onecycle.runtime.http.body import Limits
from onecycle.runtime.http.renewal import Renewal
from onecycle.runtime.http.server import Service, application
from onecycle.runtime.http.settings import Settings
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.web_runtime import runtime_folder

TOKEN = "kiwi-7f3a9c2e41b8"


@contextmanager
def logging_server(model, folder, *options, env=None):
    """Address, process, and a function that gives the lines of its log so far."""
    port, log = free_port(), folder / "log"
    command = [sys.executable, "-m", "onecycle", "serve", str(model), "--port", str(port)]
    env = os.environ | {"TMPDIR": str(folder)} | (env or {})
    with log.open("w") as file:
        process = subprocess.Popen([*command, *options], stdout=file, stderr=file, env=env)
    try:
        yield answering(port), process, lambda: list(map(json.loads, log.read_text().splitlines()))
    finally:
        stopped(process)


def worker_of(process):
    (worker,) = psutil.Process(process.pid).children()
    return worker


def eventually(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def events(log):
    return [line["event"] for line in log()]


# --- a replaced model -----------------------------------------------------------------------


def test_a_replaced_model_takes_over_and_a_bad_one_does_not_while_all_are_answered(tmp_path):
    first, second = made("category", tmp_path), made("numbers", tmp_path)
    live = tmp_path / "live.onnx"
    shutil.copy(first, live)
    wanted = {
        "category": Predictor(first).predict(png(1)).answer.obj,
        "numbers": pytest.approx(Predictor(second).predict(png(1)).answer.obj),
    }
    with logging_server(live, tmp_path) as (address, process, log):
        over, seen = threading.Event(), []

        def ask():
            with httpx.Client() as client:
                while not over.is_set():
                    reply = client.post(address + "/api/predict", content=png(1), timeout=20)
                    seen.append((reply.status_code, reply.json()["predictions"][0]))

        def kind():
            return httpx.get(address + "/api/model").json()["task"]["target"]["kind"]

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask) for _ in range(4)]
            try:
                live.write_bytes(second.read_bytes()[:-9])
                eventually(lambda: "the model file cannot be used" in str(events(log)))
                assert kind() == "category"
                Path(shutil.copy(second, tmp_path / "next")).replace(live)
                eventually(lambda: kind() == "numbers")
                live.unlink()
                eventually(lambda: str(events(log)).count("cannot be used") == 2)
                process.send_signal(signal.SIGHUP)  # asked for, it is said again
                eventually(lambda: str(events(log)).count("cannot be used") == 3)
                assert kind() == "numbers"
            finally:
                over.set()
        for asker in asking:
            asker.result()
        assert len(seen) > 20
        kinds = [answer["kind"] for _, answer in seen]
        assert set(kinds) == {"category", "numbers"}
        for status, answer in seen:  # each by one model alone, whichever it was
            assert status == 200
            assert answer["answer"] == wanted[answer["kind"]]
        reasons = [line["reason"] for line in log() if "reason" in line]
        assert "changed or damaged" in reasons[0] or "cut off" in reasons[0]
        assert "cannot be read" in reasons[1]
        shutil.copy(first, live)
        eventually(lambda: kind() == "category")
        if runtime_pages():
            assert httpx.get(address + "/model.json").json()["task"]["target"]["kind"] == "category"
        worker = worker_of(process).pid
    assert f"PID: {worker}" in str(log())
    assert events(log).count("Spawning worker-1 with PID: " + str(worker)) == 1  # the same, always


def runtime_pages():
    try:
        return runtime_folder().is_dir()
    except ValueError:
        return False


def held(service):
    """Two events: the model was asked for the first time; it answers, at last."""
    begun, go, run = threading.Event(), threading.Event(), service.batcher.run

    def wait(items):
        begun.set()
        go.wait(20)
        return run(items)

    service.batcher.run = wait
    return begun, go


def test_a_model_of_another_kind_answers_none_of_the_requests_that_came_before_it(tmp_path):
    """What waits in the queue is answered by the model that it was asked of."""
    images, texts = made("category", tmp_path), made_text(tmp_path)
    live = tmp_path / "live.onnx"
    shutil.copy(images, live)
    service = Service(live, Limits(), Settings())
    begun, go = held(service)
    with TestClient(service.application()) as client, ThreadPoolExecutor(4) as pool:
        before = [pool.submit(client.post, "/api/predict", content=png(0))]
        assert begun.wait(20)
        before += [pool.submit(client.post, "/api/predict", content=png(i)) for i in (1, 2)]
        eventually(lambda: service.batcher.waiting.qsize() == 2)
        shutil.copy(texts, live)
        eventually(lambda: client.get("/api/model").json()["task"]["input"]["kind"] == "text")
        after = pool.submit(client.post, "/api/predict", json={"text": "good"})
        eventually(lambda: service.batcher.waiting.qsize() == 3)
        go.set()
        for i, reply in enumerate(before):
            (found,) = reply.result().json()["predictions"]
            assert found["answer"] == Predictor(images).predict(png(i)).answer.obj
        assert after.result().json()["predictions"][0]["answer"] == "pos"


def test_of_many_models_two_pages_are_kept(tmp_path, web_runtime):
    live = made("category", tmp_path)
    service = Service(live, Limits(), Settings())
    for _ in range(5):
        service.renewal.now = service._load(live)
    assert len(list(Path(service.folder.name).iterdir())) == 2
    service.folder.cleanup()


def test_a_file_is_read_when_it_has_come_to_rest_and_once(tmp_path):
    import asyncio

    file, read = tmp_path / "file", []
    file.write_text("0")

    async def watched():
        renewal = Renewal(file, lambda path: read.append(path.read_text()) or path, every=0.05)
        watcher = asyncio.create_task(renewal.watch())
        for i in range(1, 40):  # being written all the time
            file.write_text("x" * i)
            await asyncio.sleep(0.01)
        while len(read) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        watcher.cancel()

    run_apart(asyncio.wait_for(watched(), 20))
    assert read == ["0", "x" * 39]


# --- a worker that dies, one that grows -------------------------------------------------------


def test_a_worker_that_is_killed_is_started_again_and_leaves_nothing_behind(tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    with logging_server(made("category", tmp_path), pages) as (address, process, log):
        worker = worker_of(process)
        (folder,) = pages.glob("onecycle-serve-*")
        (old,) = folder.iterdir()
        worker.kill()
        psutil.wait_procs([worker], 5)
        answering(int(address.rpartition(":")[2]))
        assert httpx.post(address + "/api/predict", content=png(2)).status_code == 200
        (new,) = psutil.Process(process.pid).children()
        assert new.pid != worker.pid
        assert not old.exists()
        assert len(list(folder.iterdir())) == 1
        assert "Unexpected exit from worker-1" in events(log)
    assert list(pages.glob("onecycle-*")) == []


@pytest.mark.slow
def test_a_worker_above_its_memory_is_replaced_while_all_are_answered(tmp_path):
    """The first look at its memory comes after half a minute."""
    files = [("file", ("x.png", large_png(4000), "image/png"))]
    with logging_server(made("category", tmp_path), tmp_path, "--max-memory", "100") as served:
        address, process, log = served
        worker = worker_of(process)
        statuses, end = set(), time.monotonic() + 60
        while worker.is_running() and time.monotonic() < end:
            statuses.add(httpx.post(address + "/api/predict", files=files, timeout=20).status_code)
        assert statuses == {200}
        assert "RSS over threshold" in str(events(log))
        assert not worker.is_running()


# --- the door of a real server ----------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    names += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_with_a_certificate_the_server_speaks_tls_alone(certificate, tmp_path):
    cert, key = certificate
    port, tokens = free_port(), tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n")
    command = [sys.executable, "-m", "onecycle", "serve", str(made("category", tmp_path))]
    options = ["--port", str(port), "--cert", str(cert), "--key", str(key), "--tokens", str(tokens)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    try:
        trust = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(verify=trust, base_url=f"https://127.0.0.1:{port}") as client:
            eventually(lambda: reached(lambda: client.get("/readyz").status_code == 200))
            assert client.get("/api/model").status_code == 401
            heads = {"Authorization": f"Bearer {TOKEN}"}
            assert client.post("/api/predict", content=png(), headers=heads).status_code == 200
        assert not reached(lambda: httpx.get(f"http://127.0.0.1:{port}/healthz"))
    finally:
        stopped(process)


def reached(ask):
    try:
        return ask()
    except httpx.HTTPError:
        return False


def test_half_a_certificate_a_wrong_one_and_an_empty_list_of_tokens_are_refused(
    certificate, tmp_path
):
    cert, key = map(str, certificate)
    model, empty = made("category", tmp_path), tmp_path / "empty"
    empty.write_text("\n")
    for options, reason in (
        (["--cert", cert], "go together"),
        (["--key", key], "go together"),
        (["--cert", key, "--key", key], "cannot be used for TLS"),
        (["--cert", str(tmp_path / "no"), "--key", key], "No such file"),
        (["--tokens", str(empty)], "nobody would be let in"),
        (["--origin", "example.org"], "no origin"),
    ):
        command = [sys.executable, "-m", "onecycle", "serve", str(model), *options]
        command += ["--port", str(free_port())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert (done.returncode, reason in done.stderr) == (2, True), (options, done.stderr)
        assert "Traceback" not in done.stderr


def test_the_page_opens_with_the_token_as_its_password_also_without_a_network(
    browser, tmp_path, free_image
):
    """The browser asks its user once; it sends the password with each file, and none is missing."""
    model = made("category", tmp_path)
    with logging_server(model, tmp_path, env={"ONECYCLE_TOKENS": TOKEN}) as (address, _, _log):
        context = browser.new_context(http_credentials={"username": "me", "password": TOKEN})
        page = context.new_page()
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.goto(address)
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        until(page, "navigator.serviceWorker.controller !== null")
        first = asked(page, free_image)
        context.set_offline(True)
        page.goto(address)
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        assert asked(page, free_image)["headline"] == first["headline"]
        assert faults == []
        context.close()
        stranger = browser.new_context().new_page()
        with pytest.raises(Exception, match="INVALID_AUTH_CREDENTIALS"):  # the browser asks in vain
            stranger.goto(address)
        stranger.context.close()


@pytest.fixture
def free_image(tmp_path):
    file = tmp_path / "image.png"
    file.write_bytes(png(4))
    return file


# --- its log and its end ----------------------------------------------------------------------


def test_malformed_requests_leave_no_line_in_the_log(tmp_path):
    bodies = (
        *(b"--x\r\nbad header\r\n\r\n", b"--y\r\n\r\n", b"--x\r\nA: b\r\n\r\n", b"--x", b"-"),
        *(b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n", b"\xff\x00" * 9),
    )
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    with logging_server(made("category", tmp_path), tmp_path) as (address, _, log):
        before = len(log())
        for body in bodies:
            for path in ("/api/predict", "/analyze"):
                reply = httpx.post(address + path, content=body, headers=kind)
                assert reply.status_code == 400
        for body in (dark(), frames()):  # of which Python's own callers are warned
            assert httpx.post(address + "/api/predict", content=body).status_code == 200
        assert log()[before:] == []


def dark():
    """16 bits, of which the lowest are used alone."""
    file = io.BytesIO()
    Pillow.fromarray(np.full((9, 12), 700, np.uint16)).save(file, "PNG")
    return file.getvalue()


def frames():
    file, image = io.BytesIO(), Pillow.new("RGB", (9, 12), "red")
    image.save(file, "GIF", save_all=True, append_images=[Pillow.new("RGB", (9, 12), "blue")])
    return file.getvalue()


def test_the_log_of_a_process_is_json_from_its_first_line_to_its_last(tmp_path):
    env = {"ONECYCLE_LOG_REQUESTS": "1"}
    with logging_server(made("category", tmp_path), tmp_path, env=env) as (address, _, log):
        heads = {"X-Request-ID": "my-own-request"}
        httpx.post(address + "/api/predict", content=png(), headers=heads)
        eventually(lambda: "my-own-request" in str(log()))
    lines = log()
    assert all({"time", "level", "event"} <= set(line) for line in lines)
    assert "Listening" in str(lines[:4])
    (mine,) = [line for line in lines if line.get("id") == "my-own-request"]
    assert (mine["route"], mine["status"], mine["bytes_in"]) == ("/api/predict", 200, len(png()))


def test_ready_is_said_while_there_is_room_and_by_a_server_that_runs(tmp_path):
    model = made("category", tmp_path)
    cold = TestClient(application(model))  # whose life has not begun
    assert cold.get("/readyz").status_code == 503
    assert cold.get("/healthz").status_code == 200
    with cold:
        assert cold.get("/readyz").status_code == 200
    service = Service(model, Limits(waiting=2), Settings())
    begun, go = held(service)
    with TestClient(service.application()) as client, ThreadPoolExecutor(4) as pool:
        assert client.get("/readyz").json() == {"status": "ready"}
        waiting = [pool.submit(client.post, "/api/predict", content=png(1))]
        try:
            assert begun.wait(20)
            waiting += [pool.submit(client.post, "/api/predict", content=png(i)) for i in (2, 3)]
            eventually(lambda: service.batcher.waiting.full())
            reply = client.get("/readyz")
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            assert "queue is full" in reply.json()["detail"]
            assert client.get("/healthz").status_code == 200
        finally:
            go.set()
        assert {reply.result().status_code for reply in waiting} == {200}
        eventually(lambda: client.get("/readyz").status_code == 200)


def test_a_server_that_is_told_to_stop_is_ready_for_nobody_and_answers_what_it_has(tmp_path):
    files = [("file", ("x.png", large_png(2500), "image/png"))] * 2

    def waiting():
        text = httpx.get(address + "/metrics").text
        return float(text.split("\nonecycle_waiting ")[1].split()[0])

    with (
        logging_server(made("category", tmp_path), tmp_path) as (address, process, _),
        ThreadPoolExecutor(2) as pool,
    ):
        predict = f"{address}/api/predict"
        asking = [pool.submit(httpx.post, predict, files=files, timeout=60) for _ in range(2)]
        eventually(waiting)  # one is being answered, and the other is in the queue
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        while not all(one.done() for one in asking):
            assert not reached(lambda: httpx.get(address + "/readyz", timeout=0.2).is_success)
        assert [one.result().status_code for one in asking] == [200, 200]
        assert process.wait(15) == 0


def test_a_model_is_warm_before_it_is_served_and_one_that_cannot_run_is_refused(
    tmp_path, monkeypatch
):
    ran, answers = [], Predictor.answers
    monkeypatch.setattr(
        Predictor, "answers", lambda self, *a: ran.append(len(a[0])) or answers(self, *a)
    )
    model = made("category", tmp_path)
    with TestClient(application(model)):
        assert ran == [1]
    monkeypatch.setattr(Predictor, "answers", lambda self, *a: 1 / 0)
    with pytest.raises(ValueError, match="answers nothing"):
        application(model)
