"""A browser, and a server of folders, for the tests of the page."""

import shutil

import pytest
from trained_models import drawn, trained

from onecycle.core.errors import UsageError
from onecycle.deploy.site import runtime_folder

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="session")
def web_runtime():
    try:
        return runtime_folder()
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")  # it keeps an event loop going, which other modules need
def browser(web_runtime):
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


TASKS = ("category", "multi", "numbers", "points", "mask")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of 24 drawn pictures, and what is in each."""
    return drawn(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def learners(pictures):
    return {kind: trained(kind, pictures) for kind in TASKS}


@pytest.fixture(scope="session")
def exported(learners, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return {kind: learn.export(folder / f"{kind}.onnx") for kind, learn in learners.items()}
