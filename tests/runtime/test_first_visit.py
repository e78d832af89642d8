"""What a visit costs: each byte once, counted as it comes, and an update only what is new."""

import re

import pytest
from folder_server import Host, served
from PIL import Image as Pillow
from test_page import asked, made, model_of, opened, until
from test_worker import KEPT, NEWER, READY, listed

from onecycle.runtime.site import write_site


@pytest.fixture
def site(web_runtime, tmp_path):
    return write_site(made("category", tmp_path), tmp_path / "site", title="Old")


@pytest.fixture
def image(tmp_path):
    Pillow.new("RGB", (40, 30), (230, 20, 10)).save(tmp_path / "p.png")
    return tmp_path / "p.png"


def large(host):
    """What was sent of runtime and model: replies by the ending of their names."""
    found = {path: n for path, n in host.replies.items() if path.endswith(".gz")}
    return {path.split(".", 1)[-1]: n for path, n in sorted(found.items())}


def test_a_first_visit_fetches_runtime_and_model_once_and_works_without_a_network(
    browser, site, image
):
    host = Host(headers={"Cache-Control": "no-store"})  # so that no copy of the browser's helps
    packed = sum(f.stat().st_size for f in site.rglob("*.gz"))
    small = sum((site / name).stat().st_size for name in listed(site)[1:])
    with served(site, host) as address:
        page = opened(browser, address)
        until(page, READY)
        assert list(large(host).values()) == [1, 1]
        assert sum(host.sent[path] for path in host.sent if path.endswith(".gz")) == packed
        assert sum(host.sent.values()) <= packed + 2 * small + 20_000  # modules may come twice
        page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    assert asked(page, image)["headline"] == "red"
    page.context.close()


def test_an_update_fetches_what_is_new_alone(browser, site, image, tmp_path):
    host = Host()
    with served(site, host) as address:
        page = opened(browser, address)
        until(page, READY)
        host.replies.clear()
        write_site(made("numbers", tmp_path), site, title="New")
        page.reload()
        until(page, NEWER)
        assert list(large(host)) == [model_of(site).name.split(".", 1)[1]]  # and not the runtime
        page.click("#reload")
        until(page, "document.title === 'New' && document.body.dataset.ready === 'yes'")
        assert asked(page, image)["headline"].startswith("red")
        assert list(large(host).values()) == [1]
        page.context.close()


PROGRESS = """
addEventListener("DOMContentLoaded", () => {
    window.said = [];
    const status = document.getElementById("status");
    const note = () => said.push(status.textContent);
    new MutationObserver(note).observe(status, { childList: true });
});
"""


def test_progress_counts_the_runtime_and_ends_with_everything(browser, site):
    page = browser.new_context().new_page()
    page.add_init_script(PROGRESS)
    with served(site) as address:
        page.goto(address)
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        said = page.evaluate("said")
        page.context.close()
    lines = [re.match(r"Loading the model: (\S+) of (\S+) MB", text) for text in said]
    done = [float(found[1]) for found in lines if found]
    (total,) = {float(found[2]) for found in lines if found}
    packed = sum(f.stat().st_size for f in site.rglob("*.gz")) / 1e6
    assert total == pytest.approx(packed, abs=0.06)
    assert done == sorted(done)
    assert done[-1] > total / 2


@pytest.mark.parametrize("unpacks", [True, False])
def test_a_host_that_unpacks_gzip_on_its_own_does_no_harm(unpacks, browser, site, image):
    with served(site, Host(unpacks=unpacks)) as address:
        page = opened(browser, address)
        assert asked(page, image)["headline"] == "red"
        until(page, READY)
        page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    assert page.faults == []
    page.context.close()


def test_a_host_that_hides_icons_does_not_keep_the_page_from_working_offline(browser, site):
    host = Host(hides={"/manifest.webmanifest", "/icon-512.png"})
    with served(site, host) as address:
        page = browser.new_context().new_page()
        page.goto(address)
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        until(page, READY)
        (paths,) = page.evaluate(KEPT).values()
        assert "/worker.js" in paths
        assert "/icon-512.png" not in paths
        page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    page.context.close()


TRIED = """async () => {
    const registration = await navigator.serviceWorker.getRegistration();
    const found = new Promise((resolve) => {
        registration.addEventListener("updatefound", () => resolve(registration.installing));
    });
    await registration.update();
    const newer = registration.installing ?? (await found);
    while (["parsed", "installing", "installed", "activating"].includes(newer.state)) {
        await new Promise((next) => setTimeout(next, 50));
    }
    return newer.state;
}"""


def test_a_host_without_a_file_that_is_needed_keeps_the_old_page_working(
    browser, site, image, tmp_path
):
    host = Host()
    with served(site, host) as address:
        page = opened(browser, address)
        until(page, READY)
        write_site(made("numbers", tmp_path), site, title="New")
        host.hides.add("/worker.js")
        page.reload()
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        assert page.evaluate(TRIED) == "redundant"
        page.wait_for_timeout(300)
        assert not page.is_visible("#newer")
        assert asked(page, image)["headline"] == "red"
        page.context.close()


def test_damaged_content_of_the_right_length_is_refused_and_not_kept(browser, site):
    file = model_of(site)
    packed = bytearray(file.read_bytes())
    packed[len(packed) // 2] ^= 0xFF
    file.write_bytes(packed)
    with served(site) as address:
        page = browser.new_context().new_page()
        page.goto(address)
        page.wait_for_selector("#status.error")
        assert "damaged" in page.inner_text("#status")
        kept = [path for paths in page.evaluate(KEPT).values() for path in paths]
        assert not [path for path in kept if path.endswith(".onnx")]
        page.context.close()
