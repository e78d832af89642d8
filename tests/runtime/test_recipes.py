"""Folders for hosts: whole, and their own command serves the model where torch is not installed."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import venv

import httpx
import pytest
import yaml
from PIL import Image as Pillow
from starlette.testclient import TestClient
from test_page import made
from test_server import answering, free_port, png, stopped

from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.export.hosts import CONTAINERS, STATIC, write_recipe
from onecycle.runtime.http.server import application
from onecycle.runtime.predictor import Predictor

BLOCKED = """import sys
for gone in ("torch", "torchvision", "timm", "pandas", "cv2", "onnx", "matplotlib", "typer"):
    sys.modules[gone] = None
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return made("category", tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("host", CONTAINERS)
def test_a_container_folder_says_what_to_install_and_to_run(host, model, tmp_path):
    command = write_recipe(model, host, tmp_path / "app")
    app = tmp_path / "app"
    assert str(app) in command
    lines = (app / "requirements.txt").read_text().splitlines()
    assert all(len(line.split("==")) == 2 for line in lines)
    assert not {"torch", "onnx", "timm", "pandas"} & {line.split("==")[0] for line in lines}
    named = {line.split("==")[0] for line in lines}
    assert {"starlette", "anyio", "onnxruntime", "protobuf", "flatbuffers"} <= named  # all of it
    docker = (app / "Dockerfile").read_text()
    assert "USER app" in docker
    assert docker.index("USER app") < docker.index("CMD")
    assert (app / "model.onnx").read_bytes() == model.read_bytes()
    if host == "render":
        assert yaml.safe_load((app / "render.yaml").read_text())["services"][0]["type"] == "web"
    if host == "spaces":
        front = (app / "README.md").read_text().split("---")[1]
        assert yaml.safe_load(front)["sdk"] == "docker"


def test_the_folder_serves_without_torch_and_without_the_library(model, tmp_path):
    write_recipe(model, "docker", tmp_path / "app")
    blocker = tmp_path / "blocked"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text(BLOCKED)
    port = free_port()
    env = os.environ | {"PORT": str(port), "HOST": "127.0.0.1", "PYTHONPATH": str(blocker)}
    process = subprocess.Popen([sys.executable, "main.py"], cwd=tmp_path / "app", env=env)
    try:
        address = answering(port)
        reply = httpx.post(f"{address}/api/predict", content=png(2)).json()
        assert reply["predictions"][0]["answer"] == Predictor(model).predict(png(2)).answer.obj
    finally:
        stopped(process)


def test_the_container_writes_into_its_temporary_folder_alone(model, tmp_path):
    """So that its file system can be read-only; and health.py tells alive from gone."""
    write_recipe(model, "docker", tmp_path / "app")
    app, home, temporary = tmp_path / "app", tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    docker = (app / "Dockerfile").read_text()
    flags = dict(re.findall(r"(PYTHON\w+)=(\w+)", re.search(r"^ENV (.*)$", docker, re.M)[1]))
    port = str(free_port())
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(temporary), **flags}
    env |= {"PORT": port, "HOST": "127.0.0.1"}
    before = {f: f.stat().st_mtime_ns for f in app.rglob("*")}
    process = subprocess.Popen([sys.executable, "main.py"], cwd=app, env=env)
    health = [sys.executable, "health.py"]
    try:
        address = answering(int(port))
        assert httpx.post(f"{address}/api/predict", content=png(2)).status_code == 200
        assert subprocess.run(health, cwd=app, env=env, timeout=20).returncode == 0
        assert any(temporary.iterdir())
    finally:
        stopped(process)
    gone = subprocess.run(health, cwd=app, env=env, timeout=20, capture_output=True)
    assert gone.returncode != 0
    assert {f: f.stat().st_mtime_ns for f in app.rglob("*")} == before
    assert list(home.rglob("*")) == []  # the runtime keeps no number of this machine, either
    assert list(temporary.iterdir()) == []


def test_main_takes_tokens_and_refuses_half_a_certificate(model, tmp_path):
    write_recipe(model, "docker", tmp_path / "app")
    app, port = tmp_path / "app", free_port()
    env = os.environ | {"PORT": str(port), "HOST": "127.0.0.1", "ONECYCLE_TOKENS": "k" * 20}
    process = subprocess.Popen([sys.executable, "main.py"], cwd=app, env=env)
    try:
        assert httpx.get(f"{answering(port)}/api/model").status_code == 401
    finally:
        stopped(process)
    env |= {"ONECYCLE_CERT": "cert.pem"}
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=app, env=env, timeout=30, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "TLS needs both files" in done.stderr


@pytest.mark.slow
def test_the_folder_serves_in_a_clean_environment(model, web_runtime, tmp_path):
    write_recipe(model, "docker", tmp_path / "app")
    app = tmp_path / "app"
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    before = size_of(tmp_path / "venv")  # pip, which the image brings along
    for command in re.findall(r"^RUN ((?:pip|python) .*)$", (app / "Dockerfile").read_text(), re.M):
        words = shlex.split(command)
        messages = [python, "-m", *words] if words[0] == "pip" else [python, *words[1:]]
        subprocess.run(messages, cwd=app, check=True, timeout=300, env={"PATH": ""})
    whole = size_of(tmp_path / "venv") - before + size_of(app) - (app / "model.onnx").stat().st_size
    port = free_port()
    photo = io.BytesIO()
    Pillow.open(io.BytesIO(png(2))).save(photo, "JPEG")
    env = {"PATH": os.environ["PATH"], "PORT": str(port), "HOST": "127.0.0.1"}
    process = subprocess.Popen([python, "main.py"], cwd=app, env=env)
    try:
        address = answering(port)
        reply = httpx.post(f"{address}/api/predict", content=photo.getvalue()).json()
        wanted = Predictor(model).predict(photo.getvalue()).answer.obj
        assert reply["predictions"][0]["answer"] == wanted
        assert "<title>" in httpx.get(address).text
    finally:
        stopped(process)
    print(f"{whole / 1e6:.0f} MB")
    assert whole < 200e6


def size_of(folder):
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink())


@pytest.mark.parametrize("host", STATIC)
def test_a_static_host_gets_the_page(host, model, web_runtime, tmp_path):
    command = write_recipe(model, host, tmp_path / "site")
    assert str(tmp_path / "site") in command
    assert (tmp_path / "site" / "index.html").is_file()
    messages = json.loads((tmp_path / "site" / "vercel.json").read_text())
    assert set(messages) == {"headers"}
    netlify = tomllib.loads((tmp_path / "site" / "netlify.toml").read_text())
    assert netlify["headers"][0]["values"]["X-Content-Type-Options"] == "nosniff"


def test_an_unknown_host_and_a_full_folder_are_refused(model, tmp_path):
    with pytest.raises(UsageError, match="vercel, netlify"):
        write_recipe(model, "zeit", tmp_path / "x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(UsageError, match="holds something"):
        write_recipe(model, "docker", tmp_path / "full")


def test_a_container_or_a_server_without_its_page_says_why(model, tmp_path, monkeypatch):
    def missing():
        raise UsageError("ONNX Runtime Web is not here: make web")

    for place in ("export.hosts", "runtime.site"):
        monkeypatch.setattr(f"onecycle.{place}.runtime_folder", missing)
    with pytest.warns(
        OnecycleWarning, match=r"has no page: ONNX Runtime Web .* make web"
    ) as reported:
        write_recipe(model, "docker", tmp_path / "app")
    assert reported[0].filename == __file__
    assert not (tmp_path / "app" / "onecycle" / "runtime" / "page").exists()
    with TestClient(application(model)) as client:
        reply = client.get("/")
        assert reply.status_code == 404
        assert "make web" in reply.json()["detail"]
        assert client.post("/api/predict", content=png(1)).status_code == 200
