"""Kaggle's own client against a local stand-in of the service."""

import io
import json
import re
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from typer.testing import CliRunner

from onecycle.cli.main import app

kagglesdk = pytest.importorskip("kagglesdk", reason="the extra `kaggle` is not installed")
py7zr = pytest.importorskip("py7zr")
IMAGE = np.random.default_rng(0).bytes(3_000_000)


def planet_zip():
    """As the competition packs it: tables in zips, images in a tar in a 7z."""
    tar, seven, table, whole = (io.BytesIO() for _ in range(4))
    with tarfile.open(fileobj=tar, mode="w") as opened:
        info = tarfile.TarInfo("train-jpg/train_0.jpg")
        info.size = len(IMAGE)
        opened.addfile(info, io.BytesIO(IMAGE))
    with py7zr.SevenZipFile(seven, "w") as opened:
        opened.writestr(tar.getvalue(), "train-jpg.tar")
    with zipfile.ZipFile(table, "w") as opened:
        opened.writestr("train_v2.csv", "image_name,tags\ntrain_0,haze\n")
    with zipfile.ZipFile(whole, "w") as opened:
        opened.writestr("train-jpg.tar.7z", seven.getvalue())
        opened.writestr("train_v2.csv.zip", table.getvalue())
    return whole.getvalue()


class Service:
    def __init__(self):
        self.file, self.cut, self.code = planet_zip(), 0, 200
        self.ranges, self.sent, self.users = [], {}, set()


@pytest.fixture
def service(monkeypatch, tmp_path):
    state = Service()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def answer(self, code, body, **headers):
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def json(self, content, code=200):
            self.answer(code, json.dumps(content).encode(), Content_Type="application/json")

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.users.add(self.headers.get("Authorization"))
            call = self.path.rpartition("/")[2]
            if state.code != 200:
                return self.json({"code": state.code, "message": "no"}, state.code)
            if call == "DownloadDataFiles":
                return self.answer(302, b"", Location=f"{state.url}/files/planet.zip?signed=1")
            if call == "StartSubmissionUpload":
                return self.json({"token": "tok", "createUrl": f"{state.url}/upload"})
            state.sent |= body
            return self.json({"message": "Successfully submitted", "ref": 7})

        def do_PUT(self):
            state.sent["file"] = self.rfile.read(int(self.headers["Content-Length"]))
            self.json({})

        def do_GET(self):
            start = int((re.findall(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0])[0])
            state.ranges.append(start)
            body = state.file[start:]
            more = {"Accept-Ranges": "bytes", "ETag": '"1"', "Content-Type": "application/zip"}
            more["Last-Modified"] = "Thu, 01 Jan 2026 00:00:00 GMT"
            if start:
                more["Content-Range"] = f"bytes {start}-{len(state.file) - 1}/{len(state.file)}"
            self.send_response(206 if start else 200)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            most, state.cut = state.cut or len(body), 0
            self.wfile.write(body[:most])
            if most < len(body):
                self.connection.close()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.handle_error = True, lambda *args: None
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    from kagglesdk import kaggle_env

    endpoints = kaggle_env._env_to_endpoint
    monkeypatch.setitem(endpoints, kaggle_env.KaggleEnv.TEST, state.url)
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_API_V1_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "KAGGLE_API_ENVIRONMENT": "TEST",
        "KAGGLE_CONFIG_DIR": str(tmp_path / "kaggle"),
        "HOME": str(tmp_path),
        "KAGGLE_USERNAME": "ann",
        "KAGGLE_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments):
    return CliRunner().invoke(app, ["kaggle", *map(str, arguments)])


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_a_competition_arrives_unpacked_with_its_archives_in_archives(service, tmp_path):
    reported = run("planet", "--to", tmp_path / "data")
    assert reported.exit_code == 0, reported.output
    folder = tmp_path / "data/planet"
    assert (folder / "train-jpg/train_0.jpg").read_bytes() == IMAGE
    assert "haze" in (folder / "train_v2.csv").read_text()
    assert sorted(p.name for p in folder.iterdir()) == ["train-jpg", "train_v2.csv"]
    assert str(folder) in reported.output


def test_a_cut_download_is_continued(service, tmp_path):
    service.cut = 1_500_000
    assert run("planet", "--to", tmp_path / "data").exit_code == 0
    assert (tmp_path / "data/planet/train-jpg/train_0.jpg").read_bytes() == IMAGE
    assert service.ranges[0] == 0
    assert service.ranges[-1] > 0


@pytest.mark.parametrize(
    ("code", "advice"), [(401, "new key"), (403, "rules"), (404, "no such competition")]
)
def test_a_refusal_says_what_to_do(service, tmp_path, code, advice):
    service.code = code
    reported = run("planet", "--to", tmp_path / "data")
    assert reported.exit_code == 2
    assert advice in reported.output


def test_without_credentials_the_way_to_them_is_said(service, tmp_path, monkeypatch):
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    reported = run("planet", "--to", tmp_path / "data")
    assert reported.exit_code == 2
    assert "KAGGLE_API_TOKEN" in reported.output
    assert "kaggle.json" in reported.output


def test_a_hostile_archive_from_the_service_is_refused(service, tmp_path):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as opened:
        opened.writestr("../evil", "x")
    service.file = whole.getvalue()
    reported = run("planet", "--to", tmp_path / "data")
    assert reported.exit_code == 2
    assert "outside the folder" in reported.output
    assert not (tmp_path / "data/evil").exists()


@pytest.mark.parametrize("name", ["../up", "a b", ""])
def test_a_name_that_is_none_is_refused_before_anything_is_sent(service, tmp_path, name):
    assert run(name, "--to", tmp_path).exit_code == 2
    assert not service.users


def test_answers_arrive_with_their_message(service, tmp_path):
    (tmp_path / "submission.csv").write_text("image_name,tags\ntest_0,haze\n")
    reported = run("planet", "--submit", tmp_path / "submission.csv", "--message", "first try")
    assert reported.exit_code == 0, reported.output
    assert "Successfully submitted" in reported.output
    assert service.sent["file"] == b"image_name,tags\ntest_0,haze\n"
    assert service.sent["submissionDescription"] == "first try"
    assert service.sent["blobFileTokens"] == "tok"
