"""The server names the page's files as browsers want them, whatever the machine's list says."""

import pytest
from starlette import responses
from starlette.testclient import TestClient

from onecycle.runtime.http.server import _Page
from onecycle.runtime.web_runtime import page_folder

WANTED = {
    "app.js": "text/javascript; charset=utf-8",
    "run.mjs": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "run.wasm": "application/wasm",
    "index.html": "text/html; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@pytest.fixture
def client(tmp_path, monkeypatch):
    """As on a Windows machine where some program has put every kind down as plain text."""
    monkeypatch.setattr(responses, "guess_type", lambda *_: ("text/plain", None))
    for name in [*WANTED, "notes.txt"]:
        (tmp_path / name).write_bytes(b"x")
    return TestClient(_Page(directory=tmp_path, html=True))


@pytest.mark.parametrize("name", WANTED)
def test_a_file_is_named_by_its_ending(client, name):
    assert client.get(f"/{name}").headers["content-type"] == WANTED[name]


def test_the_first_page_and_other_files_are_named_too(client):
    assert client.get("/").headers["content-type"] == WANTED["index.html"]
    assert client.get("/notes.txt").headers["content-type"].startswith("text/plain")
    again = client.get("/app.js", headers={"If-None-Match": client.get("/app.js").headers["etag"]})
    assert again.status_code == 304


def test_every_kind_of_file_of_the_page_is_known(client):
    endings = {file.suffix for file in page_folder().rglob("*") if file.is_file()}
    from onecycle.runtime.http.server import _KINDS

    assert endings <= _KINDS.keys()
