"""The documentation builds offline, its pages ran, its links lead somewhere, its search finds."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("jupytext")
    pytest.importorskip("zensical")
    command = [sys.executable, str(ROOT / "scripts/build_docs.py"), "--tiny"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return ROOT / "build/site"


def test_every_link_leads_to_a_page_and_a_place_in_it(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 7
    broken = []
    for page in pages:
        if page.name == "404.html":
            continue
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:|//", link):
                continue
            name, _, place = link.partition("#")
            goal = (page.parent / name.partition("?")[0]).resolve() if name else page
            goal = goal / "index.html" if goal.is_dir() else goal
            if not goal.is_file() or (
                place
                and goal.suffix == ".html"
                and f'id="{place}"' not in goal.read_text(encoding="utf-8")
            ):
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_the_tutorials_show_what_they_printed(site):
    assert "image_name,tags" in (site / "tutorials/several_labels.html").read_text()
    assert "largest gradient" in (site / "how-to/own_parts.html").read_text()


def test_the_reference_has_every_public_name(site):
    from onecycle.names import EVERYTHING

    text = (site / "reference.html").read_text().lower()
    public = [name.lower() for name in EVERYTHING if name[0] != "_"]
    assert [name for name in public if f'id="{name}' not in text] == []


def test_the_search_finds_a_page(site):
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or pytest.skip("chromium is not installed")
    quiet = type(
        "Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *args: None}
    )
    handler = functools.partial(quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with playwright.sync_playwright() as started:
            browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1200, "height": 800})
            page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
            page.keyboard.press("/")
            page.keyboard.type("competition", delay=20)
            page.locator("a:has-text('Kaggle')").last.wait_for(timeout=10_000)
            page.wait_for_timeout(800)
            if os.environ.get("ONECYCLE_SHOTS"):
                page.screenshot(path=os.environ["ONECYCLE_SHOTS"])
            found = page.locator("a[href*='how-to/data.html?']")
            assert found.count() > 0 or "Data from the web" in page.inner_text("body")
            browser.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
