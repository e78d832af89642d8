"""The page as an application: it does not freeze, shows what it judged, offers examples, shares."""

import json

import numpy as np
import onnx
import pytest
from folder_server import Host, served
from handmade import WORDS, made_text, sealed
from PIL import Image as Pillow
from test_page import NETS, asked, made, opened, until
from test_worker import READY

from onecycle.core.errors import DataError, UsageError
from onecycle.export.image import HEADER
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.runtime.inputs.text import TextSpec
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import HEADERS, write_site
from onecycle.runtime.targets.mask import MaskSpec
from onecycle.runtime.targets.numbers import NumbersSpec

WIDE = ImageSpec((24, 24), "crop", "reflection", (0.5,) * 3, (0.25,) * 3)


@pytest.fixture
def image(tmp_path):
    """Red at the left, green at the right, three times as wide as high."""
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, :60, 0], pixels[:, 60:, 1] = 230, 230
    Pillow.fromarray(pixels).save(tmp_path / "wide.png")
    return tmp_path / "wide.png"


def made_slow(folder, rounds):
    """A reader that multiplies a matrix so often: the first token's number, and how many."""
    net = onnx.parser.parse_model(f"""{HEADER}
        net (int64[n, t] x) => (float[n, 2] probabilities) {{
        size = Constant <value = int64[2] {{256, 256}}> ()
        m = ConstantOfShape <value = float[1] {{0.00390625}}> (size)
        rounds = Constant <value = int64 {{{rounds}}}> ()
        on = Constant <value = bool {{1}}> ()
        last = Loop (rounds, on, m) <body = step (int64 i, bool c, float[256, 256] a)
            => (bool d, float[256, 256] b) {{
            d = Identity (c)
            b = MatMul (a, m)
        }}>
        axes = Constant <value = int64[2] {{0, 1}}> ()
        mean = ReduceMean <keepdims = 1> (last, axes)
        zero = Constant <value = float {{0.0}}> ()
        nothing = Mul (mean, zero)
        begin = Constant <value = int64[1] {{1}}> ()
        first = Gather <axis = 1> (x, begin)
        shape = Shape (x)
        length = Gather (shape, begin)
        row = Constant <value = int64[2] {{1, 1}}> ()
        count = Reshape (length, row)
        pair = Concat <axis = 1> (first, count)
        numbers = Cast <to = 1> (pair)
        probabilities = Add (numbers, nothing)
    }}""")
    target = NumbersSpec(("first", "count"))
    return sealed(folder, net, "ids", TextSpec(WORDS), target, "slow.onnx")


PULSE = """() => {
    window.gap = 0;
    window.asks = 0;
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message) {
        window.asks += 1;
        return post.call(this, message);
    };
    let last = performance.now();
    setInterval(() => {
        const now = performance.now();
        window.gap = Math.max(window.gap, now - last);
        last = now;
    }, 10);
}"""


def test_the_page_lives_while_the_model_works_and_shows_the_answer_to_the_last_text(
    browser, tmp_path
):
    with served(write_site(made_slow(tmp_path, 1500), tmp_path / "site")) as address:
        page = opened(browser, address)
        page.evaluate(PULSE)
        page.fill("#text", "good film")
        until(page, "document.getElementById('answer').getAttribute('aria-busy') === 'true'")
        until(page, "document.getElementById('status').textContent === 'Working…'")
        page.fill("#text", "bad")  # three are given while the first is at work
        page.wait_for_timeout(350)
        page.fill("#text", "film a film a")
        page.wait_for_timeout(350)
        until(page, "Number(document.body.dataset.answered ?? 0) > 0")
        found = page.evaluate("lastAnswer.probabilities")
        assert found == Predictor(tmp_path / "slow.onnx").predict("film a film a").answer.obj
        assert page.evaluate("document.body.dataset.answered") == "1"  # the others are not shown
        assert page.evaluate("asks") == 2  # nor is the one asked that was overtaken as it waited
        took = float(page.inner_text("#status").split()[2])
        assert page.evaluate("gap") < took / 2
        page.fill("#text", "good")
        page.wait_for_timeout(350)
        page.fill("#text", "")
        page.wait_for_timeout(500 + 2 * took)  # by then the answer has come
        assert page.evaluate("document.body.dataset.answered") == "1"
        assert page.inner_text("#answer") == page.inner_text("#status") == ""
        assert page.faults == []
        page.context.close()


LIT = """(id) => {
    const canvas = document.getElementById(id);
    const [w, middle] = [canvas.width, Math.floor(canvas.height / 2)];
    const row = canvas.getContext("2d").getImageData(0, middle, w, 1);
    return Array.from(row.data).filter((_, i) => i % 4 === 3);
}"""


def test_the_part_that_is_judged_is_bright_and_the_rest_is_dark(browser, image, tmp_path):
    site = write_site(made("category", tmp_path, WIDE), tmp_path / "site")
    with served(site) as address:
        page = opened(browser, address)
        asked(page, image)
        alpha = np.array(page.evaluate(LIT, "over"))
        assert "bright part" in page.inner_text("#status")
        Pillow.open(image).crop((40, 0, 80, 40)).save(tmp_path / "square.png")
        asked(page, tmp_path / "square.png", 2)
        assert not np.any(page.evaluate(LIT, "over"))  # all of it is judged
        assert "bright part" not in page.inner_text("#status")
        page.context.close()
    assert (alpha[:38] > 120).all()
    assert (alpha[43:77] == 0).all()  # the middle 40 of 120 columns, but for its frame
    assert (alpha[82:] > 120).all()


def test_colours_of_a_mask_are_switched_and_faded_and_nothing_in_particular_is_not_painted(
    browser, image, tmp_path, monkeypatch
):
    classes = MaskSpec(("Background", "leaf", "stem"))
    monkeypatch.setitem(NETS, "mask", (classes, NETS["mask"][1]))
    with served(write_site(made("mask", tmp_path), tmp_path / "site")) as address:
        page = opened(browser, address)
        asked(page, image)
        ends = "(() => { const row = (" + LIT + ")('over'); return [row[45], row[75]]; })()"
        background, leaf = page.evaluate(ends)
        assert background == 0  # red is the first class
        assert leaf == pytest.approx(140, abs=2)
        keys = page.locator("#answer button")
        pressed = [keys.nth(i).get_attribute("aria-pressed") for i in range(2)]
        names = [keys.nth(i).inner_text() for i in range(2)]
        assert dict(zip([n.split()[0] for n in names], pressed, strict=True)) == {
            "Background": "false",
            "leaf": "true",
        }
        page.click("#answer button:has-text('Background')")
        page.click("#answer button:has-text('leaf')")
        assert page.evaluate(ends) == [pytest.approx(140, abs=2), 0]
        page.locator("#answer input[type=range]").evaluate(
            "(node) => { node.value = 1; node.dispatchEvent(new Event('input')); }"
        )
        assert page.evaluate(ends) == [255, 0]
        asked(page, image, 2)  # what was switched stays so
        assert page.evaluate(ends) == [255, 0]
        assert page.faults == []
        page.context.close()


@pytest.mark.parametrize(("width", "height"), [(667, 375), (844, 390), (1280, 720)])
def test_sideways_the_answer_is_seen_beside_the_image_without_scrolling(
    width, height, browser, image, tmp_path
):
    with served(write_site(made("multicategory", tmp_path), tmp_path / "site")) as address:
        page = opened(browser, address)
        page.set_viewport_size({"width": width, "height": height})
        asked(page, image)
        stage, answer, buttons = (
            page.locator(name).bounding_box() for name in ("#stage", "#answer", "#buttons")
        )
        assert answer["x"] >= stage["x"] + stage["width"]
        for box in (stage, answer, buttons):
            assert box["y"] + box["height"] <= height
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.context.close()


# --- what the maker of a page adds -----------------------------------------------------------


@pytest.fixture
def given(tmp_path, image):
    """A folder of examples, and an icon."""
    folder = tmp_path / "try"
    folder.mkdir()
    Pillow.new("RGB", (30, 30), (10, 10, 240)).save(folder / "deep <b>_sea.PNG")
    Pillow.open(image).crop((0, 0, 40, 40)).save(folder / "a.jpg")
    Pillow.new("RGB", (300, 300), (200, 0, 100)).save(tmp_path / "icon.png")
    return folder, tmp_path / "icon.png"


def test_examples_are_answered_as_if_they_had_been_chosen_also_without_a_network(
    browser, given, tmp_path
):
    file = made("category", tmp_path)
    wanted = Predictor(file).predict(given[0] / "deep <b>_sea.PNG")
    site = write_site(file, tmp_path / "site", examples=given[0])
    with served(site) as address:
        page = opened(browser, address)
        names = page.locator("#choices img").evaluate_all("(all) => all.map((node) => node.alt)")
        assert names == ["a", "deep <b> sea"]
        until(page, READY)
        page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    page.click("#choices button >> nth=1")
    page.wait_for_selector("body[data-answered='1']", timeout=60_000)
    found = page.evaluate("lastAnswer")
    assert found["headline"] == wanted.answer.obj == "blue"
    assert found["probabilities"] == pytest.approx(wanted.probabilities, abs=1e-3)
    assert page.faults == []
    page.context.close()


def test_an_example_text_is_written_into_the_box(browser, tmp_path):
    (tmp_path / "try").mkdir()
    (tmp_path / "try" / "praise.txt").write_text("good good film")
    site = write_site(made_text(tmp_path), tmp_path / "site", examples=tmp_path / "try")
    with served(site) as address:
        page = opened(browser, address)
        page.click("text=praise")
        until(page, "Number(document.body.dataset.answered ?? 0) > 0")
        assert page.input_value("#text") == "good good film"
        assert page.evaluate("lastAnswer.headline") == "pos"
        page.context.close()


def test_an_older_sites_examples_go_and_others_files_stay(web_runtime, given, tmp_path):
    file = made("category", tmp_path)
    site = write_site(file, tmp_path / "site", examples=given[0])
    (site / "examples" / "mine.txt").write_text("keep me")
    write_site(file, site)
    assert [f.name for f in (site / "examples").iterdir()] == ["mine.txt"]
    assert json.loads((site / "model.json").read_text())["examples"] == []


def test_examples_and_icons_that_do_not_do_are_refused(web_runtime, given, tmp_path):
    file, folder = made("category", tmp_path), given[0]
    for size, said in (((200, 190), "200 x 190"), ((100, 100), "180 pixels or more")):
        Pillow.new("RGB", size).save(tmp_path / "odd.png")
        with pytest.raises(UsageError, match=said):
            write_site(file, tmp_path / "site", icon=tmp_path / "odd.png")
    for i in range(11):
        Pillow.new("RGB", (9, 9)).save(folder / f"more{i}.png")
    with pytest.raises(UsageError, match=r"13 files of the kind 'image'.* 1 to 12"):
        write_site(file, tmp_path / "site", examples=folder)
    for more in folder.glob("more*"):
        more.write_bytes(b"no image")
        break
    (folder / "a.jpg").unlink()
    with pytest.raises(DataError):
        write_site(file, tmp_path / "site", examples=folder)
    assert not (tmp_path / "site").exists()


def test_an_own_icon_and_title_are_in_the_page_before_any_script_runs(web_runtime, given, tmp_path):
    site = write_site(made("category", tmp_path), tmp_path / "site", "A & <b>", icon=given[1])
    page = (site / "index.html").read_text()
    assert "<title>A &amp; &lt;b&gt;</title>" in page
    assert '<link rel="icon" href="icon-180.png" type="image/png">' in page
    assert "icon.svg" not in page
    manifest = json.loads((site / "manifest.webmanifest").read_text())
    assert [icon["purpose"] for icon in manifest["icons"]] == ["any", "any"]
    for icon in manifest["icons"]:
        found = Pillow.open(site / icon["src"])
        assert "x".join(map(str, found.size)) == icon["sizes"]
        assert found.convert("RGB").getpixel((3, 9)) == (200, 0, 100)
    assert not (site / "icon.svg").exists()
    assert "icon.svg" not in (site / "sw.js").read_text()


# --- sharing, the device, and what is known of the model ----------------------------------------

SHARE = "window.shared = null; navigator.share = async (what) => { window.shared = what; };"


def test_an_answer_is_shared_in_words(browser, image, tmp_path):
    site = write_site(made("category", tmp_path), tmp_path / "site", title="Colours")
    with served(site) as address:
        page = browser.new_context(permissions=["clipboard-read", "clipboard-write"]).new_page()
        page.goto(address + "?from=mail#x")
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        assert not page.is_visible("#share")  # there is nothing to share yet
        asked(page, image)
        headline = page.evaluate("lastAnswer.headline")
        page.evaluate("delete Navigator.prototype.share")
        page.click("#share")
        until(page, "document.getElementById('status').textContent.startsWith('Copied')")
        text = page.evaluate("navigator.clipboard.readText()")
        assert text == f"Colours: {headline} {address}"
        page.evaluate(SHARE)
        page.click("#share")
        until(page, "shared !== null")
        assert page.evaluate("shared") == {
            "title": "Colours",
            "text": f"Colours: {headline}",
            "url": address,
        }
        (tmp_path / "none.png").write_bytes(b"no image")
        page.set_input_files("#choose", tmp_path / "none.png")
        page.wait_for_selector("#status.error")
        assert not page.is_visible("#share")
        page.context.close()


SIX_CORES = "Object.defineProperty(navigator, 'hardwareConcurrency', { value: 6 });"


def test_a_host_with_the_headers_or_the_kept_copy_gives_the_model_several_threads(
    browser, image, tmp_path
):
    file = made("category", tmp_path)
    wanted = Predictor(file).predict(image).probabilities
    site = write_site(file, tmp_path / "site")

    def threads(address, visits):
        """How many threads the model of the last visit has; its answer is right with them."""
        page = browser.new_context().new_page()
        page.add_init_script(SIX_CORES)
        for _ in range(visits):
            started = []
            page.on("worker", lambda one, started=started: started.append(one.url))
            page.goto(address)
            page.wait_for_selector("body[data-ready]", timeout=60_000)
            until(page, READY)
        assert asked(page, image)["probabilities"] == pytest.approx(wanted, abs=1e-3)
        page.context.close()
        return len(started)

    with served(site, Host(headers=HEADERS)) as address:
        assert threads(address, 1) == 3
    with served(site) as address:  # as GitHub Pages, which sends no headers of one's own
        assert threads(address, 1) == 1
        assert threads(address, 2) == 3


def test_where_the_camera_may_not_be_used_the_page_says_what_it_needs(browser, tmp_path):
    with served(write_site(made("category", tmp_path), tmp_path / "site")) as address:
        page = opened(browser, address)
        assert page.is_visible("#live")
        assert not page.is_visible("#no-camera")
        page.context.close()
        page = browser.new_page()
        page.add_init_script(
            "Object.defineProperty(window, 'isSecureContext', { value: false });"
            "Object.defineProperty(navigator, 'mediaDevices', { value: undefined });"
        )
        page.goto(address)
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        assert not page.is_visible("#live")
        assert page.is_visible("#no-camera")
        assert "https" in page.inner_text("#no-camera")
        page.close()


def test_about_says_how_good_the_model_was_and_how_much_it_saw(browser, tmp_path):
    site = write_site(made("category", tmp_path), tmp_path / "site")
    messages = json.loads((site / "model.json").read_text())
    assert "trained" not in messages  # as files of onecycle 0.1 are
    messages["trained"] = {
        "date": "2026-02-03",
        "items": 640,
        "validation_items": 160,
        "metrics": {"accuracy": 0.91234, "<b>": 12.0},
    }
    (site / "model.json").write_text(json.dumps(messages))
    with served(site) as address:
        page = opened(browser, address)
        about = page.locator("#about").evaluate("(node) => node.innerText || node.textContent")
        for row in ("accuracy0.912", "<b>12.0", "Training items640", "Validation items160"):
            assert row in about.replace("\n", "")
        assert "Exported2026-02-03" in about.replace("\n", "")
        page.context.close()
