"""A browser for the pages of the documentation."""

import shutil

import pytest


@pytest.fixture(scope="module")  # it keeps an event loop going, which other modules need
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
