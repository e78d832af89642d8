"""How `onecycle serve` and containers send the page: small, and dressed as they were told to."""

import gzip
import json
import os
import subprocess
import sys

import httpx
import pytest
from PIL import Image as Pillow
from starlette.testclient import TestClient
from test_page import asked, made, opened, until
from test_server import answering, free_port, stopped
from test_worker import READY
from typer.testing import CliRunner

from onecycle.cli.main import app
from onecycle.export.hosts import write_recipe
from onecycle.runtime.http.server import application
from onecycle.runtime.site import pack_site, write_site
from onecycle.runtime.web_runtime import CPU, runtime_folder


@pytest.fixture(scope="module")
def model(web_runtime, tmp_path_factory):
    return made("category", tmp_path_factory.mktemp("model"))


@pytest.fixture
def look(tmp_path):
    """The options of a page, as a shell gives them."""
    (tmp_path / "smileys.json").write_text('{"red": "🔴"}')
    Pillow.new("RGB", (200, 200), (9, 99, 199)).save(tmp_path / "i.png")
    (tmp_path / "try").mkdir()
    Pillow.new("RGB", (9, 9), (9, 9, 250)).save(tmp_path / "try" / "sea.png")
    return {
        "title": 'Sea "& sky"',
        "theme": tmp_path / "smileys.json",
        "icon": tmp_path / "i.png",
        "examples": tmp_path / "try",
    }


@pytest.fixture(scope="module")
def client(model):
    with TestClient(application(model)) as client:
        yield client


def sent(client, path, accepted):
    """The reply as it is on the wire: its coding and its bytes."""
    with client.stream("GET", path, headers={"accept-encoding": accepted}) as reply:
        assert reply.status_code == 200
        assert reply.headers["vary"] == "Accept-Encoding"
        return reply.headers.get("content-encoding", ""), b"".join(reply.iter_raw()), reply.headers


@pytest.mark.parametrize("path", ["/", "/app.js", "/model.json", "/style.css"])
def test_texts_are_sent_as_gzip_to_those_who_take_it(path, client):
    whole = sent(client, path, "identity")
    assert whole[0] == ""
    for accepted in ("gzip", "deflate, GZIP;q=0.5", "br, gzip"):
        coding, packed, headers = sent(client, path, accepted)
        assert coding == "gzip"
        assert gzip.decompress(packed) == whole[1]
        assert headers["content-type"] == whole[2]["content-type"]
        assert headers["etag"] != whole[2]["etag"]
    for refused in ("gzip;q=0", "", "br"):
        assert sent(client, path, refused)[:2] == ("", whole[1])


def test_the_runtime_is_sent_as_brotli_to_those_who_take_it(model, client, tmp_path):
    place = client.get("/model.json").json()["runtime"]["file"]
    if not (runtime_folder() / f"{CPU.wasm}.br").is_file():
        pytest.skip("no brotli: `make web` makes it")
    brotli = pytest.importorskip("brotli")
    coding, packed, _ = sent(client, f"/{place}.gz", "gzip, br")
    plain = sent(client, f"/{place}.gz", "gzip")
    assert [coding, plain[0]] == ["br", ""]
    assert brotli.decompress(packed) == gzip.decompress(plain[1])
    assert len(packed) < 0.7 * len(plain[1])


def test_a_site_for_other_hosts_holds_nothing_for_servers(model, tmp_path):
    site = write_site(model, tmp_path / "site")
    assert not [f for f in site.rglob("*") if f.suffix == ".br" or f.name.endswith(".js.gz")]
    before = {f for f in site.rglob("*") if f.is_file()}
    pack_site(site)
    assert {f.name for f in site.rglob("*.js.gz")} > {"app.js.gz", "mask.js.gz"}
    for file in before:
        packed = file.with_name(f"{file.name}.gz")
        if packed.is_file() and packed not in before:
            assert gzip.decompress(packed.read_bytes()) == file.read_bytes()


def test_the_served_page_answers_and_works_without_a_network(browser, model, tmp_path):
    Pillow.new("RGB", (40, 30), (230, 20, 10)).save(tmp_path / "p.png")
    port = free_port()
    command = [sys.executable, "-m", "onecycle", "serve", str(model), "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path)
    try:
        page = opened(browser, answering(port))
        assert page.evaluate("crossOriginIsolated")
        assert asked(page, tmp_path / "p.png")["headline"] == "red"
        until(page, READY)
        page.context.set_offline(True)
    finally:
        stopped(process)
    page.reload()
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    assert asked(page, tmp_path / "p.png")["headline"] == "red"
    assert page.faults == []
    page.context.close()


def worn(address):
    """What the page at an address says of its look."""
    messages = httpx.get(f"{address}/model.json").json()
    example = httpx.get(f"{address}/{messages['examples'][0]['file']}")
    icon = httpx.get(f"{address}/icon-180.png").content
    shown = messages["title"], messages["theme"], example.content
    return shown, "icon.svg" in httpx.get(address).text, icon


def test_serve_and_a_container_show_the_page_that_site_writes(model, look, tmp_path):
    options = [word for name, value in look.items() for word in (f"--{name}", str(value))]
    site = tmp_path / "site"
    done = CliRunner().invoke(app, ["site", str(model), str(site), *options])
    assert done.exit_code == 0, done.output
    messages = json.loads((site / "model.json").read_text())
    assert (messages["title"], messages["theme"]) == (look["title"], {"red": "🔴"})
    example = (look["examples"] / "sea.png").read_bytes()
    wanted = (look["title"], {"red": "🔴"}, example), False, (site / "icon-180.png").read_bytes()
    command = ["deploy", str(model), str(tmp_path / "app"), "--to", "docker", *options]
    assert CliRunner().invoke(app, command).exit_code == 0
    port = free_port()
    for words, folder in (
        (["-m", "onecycle", "serve", str(model), "--port", str(port), *options], tmp_path),
        (["main.py"], tmp_path / "app"),
    ):
        env = os.environ | {"PORT": str(port), "HOST": "127.0.0.1"}
        process = subprocess.Popen([sys.executable, *words], cwd=folder, env=env)
        try:
            assert worn(answering(port)) == wanted
        finally:
            stopped(process)


def test_a_look_that_does_not_fit_is_refused_before_anything_runs(model, look, tmp_path):
    (tmp_path / "smileys.json").write_text('{"violet": "🟣"}')
    words = ["--theme", str(look["theme"])]
    for command in (
        ["serve", str(model), *words],
        ["deploy", str(model), str(tmp_path / "app"), "--to", "docker", *words],
        ["deploy", str(model), str(tmp_path / "app"), "--to", "pages", *words],
    ):
        done = CliRunner().invoke(app, command)
        assert done.exit_code != 0
        assert "violet" in done.output
    assert not (tmp_path / "app").exists()
    assert write_recipe(model, "docker", tmp_path / "app")
    assert "os.environ.update" not in (tmp_path / "app" / "main.py").read_text()
