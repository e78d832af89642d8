"""A browser, and a server of folders, for the tests of the page."""

import copy
import shutil
from collections.abc import Mapping

import pytest
from trained_models import drawn, trained

from onecycle.core.errors import UsageError
from onecycle.export import graph as export
from onecycle.runtime.web_runtime import runtime_folder

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
def images(tmp_path_factory):
    """A folder of 24 drawn images, and what is in each."""
    return drawn(tmp_path_factory.mktemp("images"))


class OnDemand(Mapping):
    """Something for each task, made when it is first asked for."""

    def __init__(self, make):
        self.make, self.made = make, {}

    def __getitem__(self, kind):
        if kind not in TASKS:
            raise KeyError(kind)
        if kind not in self.made:
            self.made[kind] = self.make(kind)
        return self.made[kind]

    def __iter__(self):
        return iter(TASKS)

    def __len__(self):
        return len(TASKS)


@pytest.fixture(scope="session")
def learners(images):
    return OnDemand(lambda kind: trained(kind, images))


@pytest.fixture(scope="session")
def exported(learners, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    return OnDemand(lambda kind: learners[kind].export(folder / f"{kind}.onnx"))


@pytest.fixture(scope="module")
def traced_once():
    """Tracing takes a second: networks that are exported again and again are traced once."""
    plain, held = export.trace, {}

    def traced(model, x, output="probabilities"):
        if output != "probabilities":
            return plain(model, x, output)
        key = id(model.model), model.target.kind, model.target.temperature
        if key not in held:
            held[key] = plain(model, x, output), model.model  # kept, so that no id is used twice
        return copy.deepcopy(held[key][0])

    export.trace = traced
    yield
    export.trace = plain
