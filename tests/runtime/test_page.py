"""The page in a real browser: its answers are the predictor's, with and without a network."""

import base64
import gzip
import json
import re

import numpy as np
import onnx
import pytest
from folder_server import served
from PIL import Image as Pillow

from onecycle.core.errors import ModelError, UsageError
from onecycle.export.image import HEADER, image_prelude, mask_postlude
from onecycle.runtime import file as form
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.runtime.targets.category import CategorySpec
from onecycle.runtime.targets.mask import MaskSpec
from onecycle.runtime.targets.multi_category import MultiCategorySpec
from onecycle.runtime.targets.numbers import NumbersSpec
from onecycle.runtime.targets.points import PointsSpec
from onecycle.runtime.task import task_to_json

SPEC = ImageSpec((24, 32), "crop", "reflection", (0.5,) * 3, (0.25,) * 3)
RGB = ("red", "green", "blue")
NETS = {  # answers that are known functions of the colours
    "category": (CategorySpec(RGB), "probabilities = Softmax <axis = 1> (means)"),
    "multicategory": (MultiCategorySpec(RGB, 0.4), "probabilities = Sigmoid (means)"),
    "numbers": (NumbersSpec(RGB), "probabilities = Identity (means)"),
    "points": (PointsSpec(2), "probabilities = Concat <axis = 1> (means, first)"),
    "mask": (MaskSpec(RGB), "probabilities = Softmax <axis = 1> (x)"),
}


def made(kind, folder, spec=SPEC):
    """An exported file without training, sealed as `deploy.export` seals its own."""
    target, last = NETS[kind]
    shape = "n, 3, 24, 32" if kind == "mask" else f"n, {target.n_outputs}"
    net = onnx.parser.parse_model(f"""{HEADER}
        net (float[n, 3, 24, 32] x) => (float[{shape}] probabilities) {{
        axes = Constant <value = int64[2] {{2, 3}}> ()
        one = Constant <value = int64[1] {{1}}> ()
        zero = Constant <value = int64[1] {{0}}> ()
        means = ReduceMean <keepdims = 0> (x, axes)
        first = Slice (means, zero, one, one)
        {last}
    }}""")
    if kind != "mask":
        unused = [n for n in net.graph.node if n.output[0] == "first" and kind != "points"]
        for node in unused:
            net.graph.node.remove(node)
    from onecycle.export.graph import _join, _seal

    whole = _join(image_prelude(spec), net, kind == "mask")
    about = {"format": form.FORMAT, "library": "test", "task": task_to_json(spec, target)}
    file = folder / f"{kind}.onnx"
    file.write_bytes(_seal(whole, about))
    return file


@pytest.fixture
def img(tmp_path):
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    file = tmp_path / "image.png"
    Pillow.fromarray(coarse).resize((117, 73), Pillow.Resampling.BICUBIC).save(file)
    return file


def opened(browser, address, **options):
    """A page with the model loaded; anything on its console is an error."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, **options)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda m: page.faults.append(m.text) if m.type == "error" else None)
    page.goto(address)
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    return page


def model_of(site):
    """The site's file of the model, a gzip."""
    (file,) = site.glob("model.*.gz")
    return file


def until(page, condition, seconds=60):
    """Wait for a condition; the page's policy forbids what `wait_for_function` does."""
    for _ in range(10 * seconds):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"not within {seconds} s: {condition}")


def asked(page, file, times=1):
    page.set_input_files("#choose", file)
    page.wait_for_selector(f"body[data-answered='{times}']", timeout=60_000)
    return page.evaluate("window.lastAnswer")


@pytest.mark.parametrize("kind", list(NETS))
def test_the_browser_answers_as_python_does(kind, browser, img, tmp_path):
    file = made(kind, tmp_path)
    wanted = Predictor(file).predict(img)
    with served(write_site(file, tmp_path / "site")) as address:
        page = opened(browser, address)
        found = asked(page, img)
        text = page.inner_text("#answer")
        faults = page.faults
        page.context.close()
    assert np.array(found["probabilities"]) == pytest.approx(wanted.probabilities.ravel(), abs=1e-3)
    if kind == "category":
        assert found["headline"] == wanted.answer.obj
    if kind == "multicategory":
        assert found["chips"] == wanted.answer.obj
    if kind == "points":
        assert np.array(found["points"]) == pytest.approx(wanted.answer.data, abs=0.05)
    if kind == "mask":
        mask = np.array(found["mask"]["values"], np.uint8)
        box = found["mask"]
        whole = wanted.answer.data[0][box["top"] :, box["left"] :][: box["h"], : box["w"]]
        assert (mask.reshape(box["h"], box["w"]) == whole).mean() > 0.999
    assert text.strip()
    assert faults == []


@pytest.mark.parametrize("padding", ["reflection", "border", "zeros"])
def test_the_browser_pads_as_python_does(padding, browser, img, tmp_path):
    file = made("category", tmp_path, ImageSpec((24, 32), "pad", padding, (0.5,) * 3, (0.25,) * 3))
    wanted = Predictor(file).predict(img).probabilities
    with served(write_site(file, tmp_path / "site")) as address:
        page = opened(browser, address)
        assert asked(page, img)["probabilities"] == pytest.approx(wanted, abs=1e-3)
        page.context.close()


HAND = """([data, how]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const given = new DataTransfer();
    given.items.add(new File(["no image"], "a.txt", { type: "text/plain" }));
    if (how === "drop") given.items.clear();
    given.items.add(new File([bytes], "x.png", { type: "image/png" }));
    if (how === "drop") given.items.add(new File([bytes], "y.png", { type: "image/png" }));
    const event = how === "paste"
        ? new ClipboardEvent("paste", { clipboardData: given, bubbles: true })
        : new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true });
    document.body.dispatchEvent(event);
    return how !== "drop" || event.defaultPrevented; // else the browser would leave the page
}"""


def test_images_are_pasted_and_dropped(browser, img, tmp_path):
    file = made("category", tmp_path)
    wanted = Predictor(file).predict(img).probabilities
    data = base64.b64encode(img.read_bytes()).decode()
    with served(write_site(file, tmp_path / "site")) as address:
        page = opened(browser, address)
        for times, how in enumerate(("paste", "drop"), 1):
            assert page.evaluate(HAND, [data, how])
            page.wait_for_selector(f"body[data-answered='{times}']", timeout=60_000)
            found = page.evaluate("lastAnswer.probabilities")
            assert found == pytest.approx(wanted, abs=1e-3)
            assert ("Of 2 images" in page.inner_text("#status")) == (how == "drop")
        assert page.faults == []
        page.context.close()


def test_live_camera_answers_again_and_again_until_it_is_stopped(browser, tmp_path):
    site = write_site(made("category", tmp_path), tmp_path / "site", theme={"green": "🟢"})
    with served(site) as address:
        page = opened(browser, address, permissions=["camera"])
        page.click("#live")
        until(page, "Number(document.body.dataset.answered) >= 3")
        assert page.inner_text("#live") == "Stop camera"
        hidden = "document.querySelector('#smiley').hidden"
        shown = page.evaluate(f"[lastAnswer.headline, {hidden}]")
        assert shown[1] == (shown[0] != "green")
        page.click("#live")
        page.wait_for_timeout(300)
        before = page.get_attribute("body", "data-answered")
        page.wait_for_timeout(500)
        assert page.get_attribute("body", "data-answered") == before
        assert page.faults == []
        page.context.close()


def test_after_the_first_visit_the_page_works_without_a_network(browser, img, tmp_path):
    site = write_site(made("category", tmp_path), tmp_path / "site")
    with served(site) as address:
        page = opened(browser, address)
        first = asked(page, img)
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        until(page, "navigator.serviceWorker.controller !== null")
        page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    assert asked(page, img)["probabilities"] == first["probabilities"]
    page.context.close()


def test_a_turned_photo_is_shown_and_answered_upright(browser, tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :, 0], pixels[20:, :, 2] = 255, 255
    exif = Pillow.Exif()
    exif[274] = 6
    turned = Pillow.fromarray(np.ascontiguousarray(np.rot90(pixels)))
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    file = made("mask", tmp_path)
    wanted = Predictor(file).predict(tmp_path / "turned.jpg").answer.data[0]
    with served(write_site(file, tmp_path / "site")) as address:
        page = opened(browser, address)
        found = asked(page, tmp_path / "turned.jpg")["mask"]
        page.context.close()
    mask = np.array(found["values"]).reshape(found["h"], found["w"])
    assert mask[2, 5] == 0
    assert mask[-3, 5] == 2
    assert (
        mask == wanted[found["top"] :, found["left"] :][: found["h"], : found["w"]]
    ).mean() > 0.97


def test_what_is_no_image_gets_a_clear_word_and_the_page_goes_on(browser, img, tmp_path):
    (tmp_path / "text.png").write_text("I am text")
    with served(write_site(made("category", tmp_path), tmp_path / "site")) as address:
        page = opened(browser, address)
        page.set_input_files("#choose", tmp_path / "text.png")
        page.wait_for_selector("#status.error")
        assert "not an image" in page.inner_text("#status")
        assert asked(page, img)["headline"] in RGB
        page.context.close()


def test_names_of_classes_are_text_not_html(browser, img, tmp_path):
    evil = '<img src=x onerror="document.body.dataset.evil=1">'
    NETS["evil"] = (CategorySpec((evil, "b", "c")), NETS["category"][1])
    try:
        site = write_site(made("evil", tmp_path), tmp_path / "site", title=evil)
    finally:
        del NETS["evil"]
    with served(site) as address:
        page = opened(browser, address)
        asked(page, img)
        assert page.get_attribute("body", "data-evil") is None
        assert page.inner_text("h1") == evil
        page.context.close()


def test_the_page_fits_a_small_phone_and_is_used_by_keyboard(browser, img, tmp_path):
    with served(write_site(made("multicategory", tmp_path), tmp_path / "site")) as address:
        page = opened(browser, address)
        asked(page, img)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        focused = []
        for _ in range(5):
            page.keyboard.press("Tab")
            focused.append(
                page.evaluate("document.activeElement.id || document.activeElement.tagName")
            )
        assert focused == ["choose", "take", "live", "share", "SUMMARY"]
        names = page.evaluate(
            "[...document.querySelectorAll('input, button')].map(e => "
            "(e.labels?.[0] ?? e).innerText.trim())"
        )
        assert all(names)
        page.context.close()


# --- the folder, without a browser ---------------------------------------------------------


def test_the_folder_is_whole_and_lists_itself(web_runtime, tmp_path):
    site = write_site(made("category", tmp_path), tmp_path / "site", title="My page")
    listed = json.loads((site / "sw.js").read_text().split("const FILES = ")[1].split(";\n")[0])
    for name in listed[1:]:
        assert (site / name).is_file()
    messages = json.loads((site / "model.json").read_text())
    for part in (messages["model"], messages["runtime"]):
        packed = (site / f"{part['file']}.gz").read_bytes()
        assert [len(packed), len(gzip.decompress(packed))] == [part["packed"], part["bytes"]]
    (tmp_path / "shipped.onnx").write_bytes(gzip.decompress(model_of(site).read_bytes()))
    assert form.read(tmp_path / "shipped.onnx")[1]["sha256"] == messages["sha256"]
    manifest = json.loads((site / "manifest.webmanifest").read_text())
    assert messages["title"] == manifest["name"]
    assert '<link rel="apple-touch-icon" href="icon-180.png">' in (site / "index.html").read_text()
    for icon in manifest["icons"]:
        assert icon["src"] in listed
        if icon["type"] == "image/png":  # whole squares: phones cut the corners themselves
            img = Pillow.open(site / icon["src"]).convert("RGB")
            assert "x".join(map(str, img.size)) == icon["sizes"]
            assert img.getpixel((0, 0)) == img.getpixel((5, 90)) == (15, 118, 110)
    for text in (site / "index.html", site / "app.js", site / "view.js"):
        assert "http://" not in text.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text.read_text()
    vercel = json.loads((site / "vercel.json").read_text())
    assert vercel["headers"][0]["headers"][0]["value"] == "nosniff"


def test_another_model_is_another_version_of_the_page(web_runtime, tmp_path):
    sites = [
        write_site(made(kind, tmp_path), tmp_path / f"site-{kind}") for kind in ("category", "mask")
    ]
    first, second = (re.search(r'VERSION = "(\w+)"', (s / "sw.js").read_text())[1] for s in sites)
    assert first != second


def test_a_newer_site_replaces_an_older_one_and_lists_nothing_else(web_runtime, tmp_path):
    site = write_site(made("category", tmp_path), tmp_path / "site", title="Old")
    (site / "model.0123456789ab.onnx").write_text("as onecycle 0.1 wrote it")
    (site / "ort" / "old").mkdir()
    (site / ".git").mkdir()
    (site / ".git" / "config").write_text("not for visitors")
    (site / "CNAME").write_text("birds.example")
    write_site(made("mask", tmp_path), site, title="New")
    messages = json.loads((site / "model.json").read_text())
    assert [messages["title"], messages["task"]["target"]["kind"]] == ["New", "mask"]
    assert model_of(site).name == f"{messages['model']['file']}.gz"
    assert not list(site.glob("*.onnx"))
    assert len(list((site / "ort").iterdir())) == 1  # the older runtime is gone
    listed = (site / "sw.js").read_text()
    assert "git" not in listed
    assert "sw.js" not in listed
    assert (site / "CNAME").read_text() == "birds.example"


def test_nothing_is_overwritten_and_odd_files_are_refused(web_runtime, tmp_path):
    file = made("category", tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep me")
    with pytest.raises(UsageError, match="holds something"):
        write_site(file, tmp_path / "full")
    with pytest.raises(UsageError, match="no classes"):
        write_site(file, tmp_path / "new", theme={"violet": "🟣"})
    (tmp_path / "bad.onnx").write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ModelError):
        write_site(tmp_path / "bad.onnx", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert mask_postlude().graph.output[0].name == "mask"
