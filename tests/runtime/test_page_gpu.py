"""The page on a GPU, by Chromium's WebGPU; SwiftShader computes it where there is no GPU."""

import json
import shutil

import numpy as np
import pytest
from folder_server import served
from PIL import Image as Pillow
from test_page import asked, made, until
from test_worker import KEPT

from conftest import FLAGS
from onecycle.core.errors import UsageError
from onecycle.runtime.inputs.text import TextSpec
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.runtime.web_runtime import GPU, GPU_TOLERANCE, gpu_probe, runtime_folder

JS = "text/javascript"
WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]


@pytest.fixture(scope="module")
def chromium(browser):
    """One that has WebGPU, beside the one that has none."""
    try:
        runtime_folder(GPU)
    except UsageError as error:
        pytest.skip(str(error))
    path = shutil.which("chromium") or shutil.which("google-chrome")
    flags = [*(flag for flag in FLAGS if flag != "--disable-gpu"), *WEBGPU]
    with_gpu = browser.browser_type.launch(executable_path=path, args=flags)
    yield with_gpu
    with_gpu.close()


@pytest.fixture(scope="module")
def site(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpu")
    return write_site(made("category", folder), folder / "site", gpu=True)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    file = tmp_path_factory.mktemp("image") / "noise.png"
    noise = np.random.default_rng(3).integers(0, 256, (30, 44, 3), np.uint8)
    Pillow.fromarray(noise).save(file)
    return file


def opened(chromium, address):
    page = chromium.new_context(bypass_csp=True).new_page()
    page.fetched = []
    page.on("request", lambda request: page.fetched.append(request.url.split("/")[-1]))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    return page


def computed_by(page):
    return page.locator("#computes").text_content()


def test_the_gpu_answers_as_the_predictor_and_without_a_network(chromium, site, image):
    with served(site) as address:
        page = opened(chromium, address)
        assert computed_by(page) == "this device's GPU"
        assert not any(name.startswith("ort-wasm-simd-threaded.wasm") for name in page.fetched)
        answer = asked(page, image)
        until(page, "navigator.serviceWorker.controller !== null")
        page.context.set_offline(True)
        page.reload()
        page.wait_for_selector("body[data-ready]")
        assert computed_by(page) == "this device's GPU"
        again = asked(page, image)
        page.context.close()
    wanted = Predictor(*site.parent.glob("*.onnx")).probabilities([image])[0]
    for found in (answer, again):
        assert np.abs(np.array(found["probabilities"]) - wanted).max() < GPU_TOLERANCE


def test_a_gpu_that_answers_otherwise_is_not_used_and_the_page_says_so(
    chromium, site, image, tmp_path
):
    """What it should answer is changed here, as no driver is at hand that computes wrongly."""
    shutil.copytree(site, tmp_path / "site")
    file = tmp_path / "site" / "model.json"
    about = json.loads(file.read_text())
    values = about["gpu"]["probe"]["outputs"]["probabilities"]
    values[-1] += 0.01
    file.write_text(json.dumps(about))
    with served(tmp_path / "site") as address:
        page = opened(chromium, address)
        assert computed_by(page).startswith("this device's processor (the GPU's answers differ by")
        found = asked(page, image)
        page.context.close()
    wanted = Predictor(*site.parent.glob("*.onnx")).probabilities([image])[0]
    assert np.abs(np.array(found["probabilities"]) - wanted).max() < 1e-5


def test_a_browser_without_a_gpu_fetches_and_keeps_nothing_for_it(browser, site, image):
    with served(site) as address:
        page = opened(browser, address)
        until(page, "navigator.serviceWorker.controller !== null")
        assert computed_by(page) == "this device's processor"
        kept = [path for paths in page.evaluate(KEPT).values() for path in paths]
        page.context.close()
    assert kept
    assert not any("asyncify" in url or "webgpu" in url for url in [*kept, *page.fetched])


LOSABLE = """
const plain = GPUAdapter.prototype.requestDevice;
let device;
GPUAdapter.prototype.requestDevice = async function (...given) {
  return (device = await plain.apply(this, given));
};
addEventListener("message", (event) => {
  if (!event.data.lose) return;
  event.stopImmediatePropagation();
  device.destroy();
}, true);
"""


def test_a_gpu_that_is_lost_is_done_without(chromium, site, image):
    """As a phone takes it away from a page in the background."""
    script = LOSABLE + (site / "worker.js").read_text()
    with served(site) as address:
        page = chromium.new_page()
        page.route("**/worker.js", lambda route: route.fulfill(body=script, content_type=JS))
        page.add_init_script("""const Plain = Worker;
        window.Worker = function (...given) { return (window.thread = new Plain(...given)); };""")
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        assert computed_by(page) == "this device's GPU"
        first = asked(page, image)
        page.evaluate("thread.postMessage({ lose: true })")
        second = asked(page, image, times=2)
        assert computed_by(page) == "this device's processor (the GPU was lost)"
        page.close()
    assert np.abs(np.array(first["probabilities"]) - second["probabilities"]).max() < GPU_TOLERANCE


def test_texts_are_no_noise_that_a_gpu_could_be_asked_about():
    with pytest.raises(UsageError, match="kind 'text' run on the processor"):
        gpu_probe(b"", TextSpec(vocab=("xxunk", "good")))
