"""The cleaning page answers its own page on this machine, and shows hostile names as text."""

import json
import shutil
import sys
import urllib.request

import numpy as np
import pytest
from folder_server import served
from hostile import NAMES
from PIL import Image
from test_cleaner import cleaning, status


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same image in each of ten folders with hostile names, so that each is in a pair."""
    root = tmp_path_factory.mktemp("hostile")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for name in NAMES:
        home = root / name.replace("/", "_")
        home.mkdir()
        Image.fromarray(pixels).save(home / "<b>1.png")
    return root


@pytest.fixture
def server(folder, tmp_path):
    with cleaning(folder, "--to", tmp_path / "cleaned.csv") as url:
        yield url


linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")


@linux
def test_other_hosts_and_other_pages_are_refused_and_links_are_followed(server):
    own = {"Origin": server, "Sec-Fetch-Site": "same-origin"}
    localhost = server.replace("127.0.0.1", "localhost")
    port = server.rpartition(":")[2]
    for path in ("/", "/about", "/image/0"):
        assert status(server + path) == 200
        assert status(server + path, **own) == 200
        assert status(server + path, Host=f"localhost:{port}", Origin=localhost) == 200
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "0.0.0.0"):
            assert status(server + path, Host=host) == 400
        for other in ("http://evil.example", "null", "http://127.0.0.1:1", "file://"):
            assert status(server + path, Origin=other) == 403
        for site in ("cross-site", "same-site"):
            assert status(server + path, **{"Sec-Fetch-Site": site}) == 403
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    assert status(server + "/", **followed) == 200
    assert status(server + "/about", **followed) == 403
    with urllib.request.urlopen(server) as answer:
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    with urllib.request.urlopen(server + "/about") as answer:
        key = {"X-Key": json.load(answer)["key"]}
    assert status(server + "/save", b"{}", **key, Origin="http://evil.example") == 403
    assert status(server + "/save", b"{}", **key, **own) == 200


@linux
def test_hostile_names_are_text_and_run_nothing(server):
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 700})
        page.goto(server)
        page.wait_for_function("document.querySelectorAll('.pair figure').length > 1")
        shown = page.locator("figcaption").all_inner_texts()
        names = [name.replace("/", "_") for name in NAMES]
        options = page.locator("select").first.locator("option")
        values = [options.nth(i).get_attribute("value") for i in range(options.count())]
        assert values == sorted(names)
        assert any("<img src=x onerror=" in text for text in shown)
        assert page.evaluate("window.evil") is None
        assert page.locator("figcaption *").count() == 0
        page.locator("#save").click()
        page.get_by_text("10 images kept").wait_for()
        browser.close()


@linux
def test_another_sites_page_may_lead_here_and_nothing_here_is_framed_or_shown(server, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or pytest.skip("chromium is not installed")
    other = tmp_path / "other"
    other.mkdir()
    (other / "index.html").write_text(
        f"<img src='{server}/image/0'><iframe src='{server}/'></iframe><a href='{server}/'>x</a>"
    )
    with playwright.sync_playwright() as started, served(other) as elsewhere:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 700})
        page.goto(elsewhere.replace("127.0.0.1", "localhost"))
        assert page.evaluate("document.images[0].naturalWidth") == 0
        assert page.frame_locator("iframe").locator("h1").count() == 0
        page.click("a")
        page.wait_for_selector("#save")
        browser.close()
