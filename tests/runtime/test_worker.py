"""What the page keeps for use without a network: its own files, in their newest version."""

import re
import shutil

import pytest
from folder_server import served
from PIL import Image as Pillow
from test_page import asked, made, opened, until

from onecycle.runtime.site import write_site
from onecycle.runtime.web_runtime import CPU

KEPT = """async () => {
    const found = {};
    for (const name of await caches.keys()) {
        const requests = await (await caches.open(name)).keys();
        found[name] = requests.map((request) => new URL(request.url).pathname).sort();
    }
    return found;
}"""
READY = "navigator.serviceWorker.controller !== null"
NEWER = "!document.getElementById('newer').hidden"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {kind: made(kind, folder) for kind in ("category", "multicategory", "numbers")}


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    file = tmp_path_factory.mktemp("image") / "p.png"
    Pillow.new("RGB", (40, 30), (230, 20, 10)).save(file)
    return file


def listed(site, name="FILES"):
    return re.findall(
        r'"([^"]+)"', re.search(rf"{name} = (\[.*?\])", (site / "sw.js").read_text())[1]
    )


def test_two_sites_on_one_origin_keep_their_copies_apart(browser, files, image, tmp_path):
    """As name.github.io/cars and /birds are: caches belong to the origin, not to a folder."""
    for name, kind in {"cars": "category", "cars/old": "numbers", "birds": "multicategory"}.items():
        write_site(files[kind], tmp_path / "host" / name, title=name)
    with served(tmp_path / "host") as address:
        page = opened(browser, address + "cars/")
        until(page, READY)
        for name in ("cars/old", "birds"):
            page.goto(address + name + "/")
            page.wait_for_selector("body[data-ready]")
            until(page, READY)
        kept = page.evaluate(KEPT)
        assert len(kept) == 3
        for paths in kept.values():
            assert len({re.match(r"/(cars/old|cars|birds)/", path)[1] for path in paths}) == 1
        page.context.set_offline(True)
    for name in ("cars", "birds", "cars/old"):
        page.goto(address + name + "/")
        page.wait_for_selector("body[data-ready]")
        assert page.inner_text("h1") == name
        asked(page, image)
    page.context.close()


def test_a_newer_version_is_said_and_takes_the_place_of_the_old_copy(
    browser, files, image, tmp_path
):
    site = write_site(files["category"], tmp_path / "site", title="Old")
    with served(tmp_path) as address:
        page = opened(browser, address + "site/")
        until(page, READY)
        assert not page.is_visible("#newer")  # on the first visit there is nothing newer
        (before,) = page.evaluate(KEPT)
        page.reload()
        page.wait_for_selector("body[data-ready]")
        page.wait_for_timeout(300)
        assert not page.is_visible("#newer")  # nor when nothing has changed
        write_site(files["numbers"], site, title="New")
        page.reload()
        page.wait_for_selector("body[data-ready]")
        assert page.inner_text("h1") == "Old"  # the copy answers at once
        until(page, NEWER)
        assert "newer version" in page.inner_text("#newer")
        until(page, "caches.keys().then((names) => names.length === 1)")  # the old copy goes
        (after,) = page.evaluate(KEPT)
        assert after != before
        page.click("#reload")
        until(page, "document.title === 'New' && document.body.dataset.ready === 'yes'")
        assert asked(page, image)["headline"].startswith("red")
        assert page.faults == []
        page.context.close()


PLANT = """async (copies) => {
    for (const [name, paths] of Object.entries(copies)) {
        const cache = await caches.open(name);
        for (const path of paths) await cache.put(path, new Response("old"));
    }
}"""


def test_copies_of_earlier_versions_go_if_they_are_ours_alone(browser, files, tmp_path):
    """They were named without their site, and may be of another of the same origin."""
    site = write_site(files["category"], tmp_path / "site", title="Old")
    others = {
        "onecycle-000000000002": ["/birds/", "/birds/index.html"],
        "onecycle-000000000003": ["/site/old/", "/site/old/index.html"],
        "onecycle-000000000004": ["/site/", "/site/index.html", "/site/old/", "/site/old/app.js"],
        "onecycle-mine": ["/site/"],
    }
    with served(tmp_path) as address:
        page = opened(browser, address + "site/")
        until(page, READY)
        page.evaluate(PLANT, others)
        page.evaluate(PLANT, {"onecycle-000000000001": ["/site/", "/site/app.js", "/site/ort/x"]})
        write_site(files["numbers"], site, title="New")
        page.reload()
        page.wait_for_selector("body[data-ready]")
        renew = "navigator.serviceWorker.getRegistration().then((at) => at.update())"
        count = "caches.keys().then((names) => names.length)"
        until(page, f"{renew}.then(() => {count}).then((count) => count === {len(others) + 1})")
        assert set(others) < set(page.evaluate(KEPT))
        page.context.close()


def test_the_worker_keeps_the_pages_own_files_and_leaves_all_others_alone(browser, files, tmp_path):
    site = write_site(files["category"], tmp_path / "site")
    (site / "notes.txt").write_text("first")
    (site / "CNAME").write_text("birds.example")
    write_site(files["category"], site)  # over an older one, with what a host put there
    own = listed(site)
    assert {"notes.txt", "CNAME", "vercel.json", "netlify.toml", "sw.js"} & set(own) == set()
    assert {".", "index.html", "app.js", "model.json", "manifest.webmanifest"} <= set(own)
    assert {"style.css", "icon.svg", "targets/category.js", "worker.js"} <= set(own)
    assert [name.split("/")[-1] for name in own if name.startswith("ort/")] == sorted(CPU.scripts)
    parts = listed(site, "PARTS")
    assert [name.endswith(".onnx") for name in parts] == [True, False]
    own += parts  # which are kept as they are when unpacked
    fetch = "(name) => fetch(name, { cache: 'no-store' }).then((reply) => reply.text())"
    with served(tmp_path) as address:
        page = opened(browser, address + "site/")
        until(page, READY)
        assert page.evaluate(fetch, "notes.txt") == "first"
        (site / "notes.txt").write_text("second")
        assert page.evaluate(fetch, "notes.txt") == "second"
        (site / "style.css").write_text("/* changed on the host */")
        for name in ("style.css", "style.css?now=1"):  # the kept one
            assert "changed on the host" not in page.evaluate(fetch, name)
        (paths,) = page.evaluate(KEPT).values()
        assert sorted(paths) == sorted({f"/site/{'' if name == '.' else name}" for name in own})
        page.context.close()


def test_the_version_changes_with_any_file_and_with_nothing_else(files, web_runtime, tmp_path):
    def version(site):
        return re.search(r'VERSION = "(\w+)"', (site / "sw.js").read_text())[1]

    first = version(write_site(files["category"], tmp_path / "a"))
    assert version(write_site(files["category"], tmp_path / "b")) == first
    assert version(write_site(files["category"], tmp_path / "c", title="Other")) != first
    assert version(write_site(files["numbers"], tmp_path / "d")) != first
    shutil.copytree(tmp_path / "a", tmp_path / "e")
    (tmp_path / "e" / "more.txt").write_text("not the page's")
    assert version(write_site(files["category"], tmp_path / "e")) == first
