"""How the page behaves: what it takes away, what it says, what it shows of the model."""

import json
import shutil

import numpy as np
import pytest
from folder_server import served
from handmade import made_curve, made_order
from PIL import Image as Pillow
from test_page import NETS, asked, made, model_of, opened, until

from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.runtime.targets.category import CategorySpec
from onecycle.runtime.targets.multi_category import MultiCategorySpec

GONE = "document.getElementById('answer').children.length === 0 && !('lastAnswer' in window)"


def answered(page):
    return int(page.evaluate("document.body.dataset.answered ?? 0"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An image, and something that only has its name."""
    folder = tmp_path_factory.mktemp("files")
    Pillow.new("RGB", (50, 40), (200, 30, 20)).save(folder / "red.png")
    (folder / "broken.png").write_bytes((folder / "red.png").read_bytes()[:40])
    return folder


def test_an_image_that_cannot_be_opened_takes_the_last_answer_away(browser, files, tmp_path):
    site = write_site(made("category", tmp_path), tmp_path / "site", theme={"red": "🔴"})
    with served(site) as address:
        page = opened(browser, address)
        asked(page, files / "red.png")
        assert page.is_visible("#canvas")
        assert page.inner_text("#smiley") == "🔴"
        page.set_input_files("#choose", files / "broken.png")
        page.wait_for_selector("#status.error")
        assert page.evaluate(GONE)
        assert not page.is_visible("#canvas")
        assert page.is_visible("#empty")
        assert asked(page, files / "red.png", 2)["headline"] == "red"
        assert page.is_visible("#canvas")
        assert "error" not in (page.get_attribute("#status", "class") or "")
        assert page.faults == []
        page.context.close()


def test_classes_0_and_a_threshold_of_0_are_shown(browser, files, tmp_path):
    NETS["digits"] = (CategorySpec((0, 1, 2)), NETS["category"][1])
    NETS["all"] = (MultiCategorySpec((0, 7, 9), 0.0), NETS["multicategory"][1])
    try:
        sites = [write_site(made(kind, tmp_path), tmp_path / kind) for kind in ("digits", "all")]
    finally:
        del NETS["digits"], NETS["all"]
    messages = json.loads((sites[0] / "model.json").read_text())
    messages["made"] = {"precision": "int8", "changed": 0.1053}
    (sites[0] / "model.json").write_text(json.dumps(messages))
    with served(tmp_path) as address:
        page = opened(browser, address + "digits/")
        asked(page, files / "red.png")
        assert page.inner_text(".headline") == "0"
        assert page.inner_text(".bars li >> nth=0").startswith("0")
        about = page.locator("#about").evaluate("(node) => node.textContent")
        assert "Classes0, 1, 2" in about
        assert "Answers changed by it11 %" in about
        page.goto(address + "all/")
        page.wait_for_selector("body[data-ready]")
        asked(page, files / "red.png")
        assert [page.inner_text(f".chips li >> nth={i}") for i in range(3)] == ["0", "7", "9"]
        assert "Decides above0" in page.locator("#about").evaluate("(node) => node.textContent")
        assert page.faults == []
        page.context.close()


@pytest.mark.parametrize(
    ("change", "word"), [(lambda b: b[:-9], "cut off"), (lambda b: b + b"12345", "larger")]
)
def test_a_model_file_that_is_not_whole_is_refused(change, word, browser, tmp_path):
    site = write_site(made("category", tmp_path), tmp_path / "site")
    file = model_of(site)
    file.write_bytes(change(file.read_bytes()))
    with served(site) as address:
        page = browser.new_context().new_page()
        page.goto(address)
        page.wait_for_selector("#status.error")
        assert word in page.inner_text("#status")
        assert page.get_attribute("body", "data-ready") is None
        page.context.close()


@pytest.mark.parametrize("backwards", [False, True])
def test_texts_are_read_from_the_end_that_the_model_reads_from(backwards, browser, tmp_path):
    file = made_order(tmp_path, backwards)
    wanted = Predictor(file).predict("good film a bad").answer.obj
    assert wanted == ([2, 10] if backwards else [10, 2])  # xxbos is 2, bad is 10
    with served(write_site(file, tmp_path / "site")) as address:
        page = opened(browser, address)
        page.fill("#text", "good film a bad")
        until(page, "Number(document.body.dataset.answered ?? 0) > 0")
        assert page.evaluate("lastAnswer.probabilities") == wanted
        assert page.inner_text("#answer").startswith("end")
        page.fill("#text", "  ")
        until(page, GONE)
        page.fill("#text", "good film a bad")
        until(page, "Number(document.body.dataset.answered) > 1")  # asked again: it was forgotten
        assert page.faults == []
        page.context.close()


def test_a_series_goes_to_the_model_channel_by_channel_and_what_is_none_goes_away(
    browser, tmp_path
):
    site = write_site(made_curve(tmp_path), tmp_path / "site")
    table, words = tmp_path / "two.csv", tmp_path / "words.csv"
    table.write_text("a,b\n1,10\n2,20\n4,50\n")
    words.write_text("a,b\nc,d\n")
    with served(site) as address:
        page = opened(browser, address)
        page.set_input_files("#csv", table)
        until(page, "Number(document.body.dataset.answered ?? 0) > 0")
        assert page.evaluate("lastAnswer.probabilities") == [4, 50, 3]
        assert page.inner_text(".headline") == "first 4, second 50, steps 3"
        page.set_input_files("#csv", words)
        until(page, GONE)
        assert "Line 2" in page.inner_text("#status")
        page.set_input_files("#csv", table)
        until(page, "Number(document.body.dataset.answered ?? 0) > 1")
        page.click("#clear")
        assert page.evaluate(GONE)
        assert page.faults == []
        page.context.close()


def test_a_curve_is_drawn_between_the_lowest_and_the_highest_of_its_channel(browser, tmp_path):
    file = made_curve(tmp_path, "train", (-2.0, 100.0), (6.0, 300.0))
    with served(write_site(file, tmp_path / "site")) as address:
        page = opened(browser, address)
        box = page.locator("#curve").bounding_box()

        def draw(shares):
            for i, (x, y) in enumerate(shares):
                page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
                if i == 0:
                    page.mouse.down()
            page.mouse.up()

        before = answered(page)
        draw([(0.2, 0.94), (0.7, 0.06)])  # from the bottom to the top: free are 6 % at either end
        until(page, f"Number(document.body.dataset.answered ?? 0) > {before}")
        first, second = np.array(page.evaluate("lastSeries"))
        assert first[[0, -1]] == pytest.approx([-2, 6], abs=0.2)
        assert second == pytest.approx(200, abs=1e-3)  # nothing drawn: the middle
        assert len(first) == pytest.approx(300, abs=12)
        page.select_option("#channel", "1")
        draw([(0.2, 0.5), (0.7, 0.06)])
        until(page, f"Number(document.body.dataset.answered) > {before + 1}")
        first, second = np.array(page.evaluate("lastSeries"))
        assert first[-1] == pytest.approx(6, abs=0.2)
        assert second[[0, -1]] == pytest.approx([200, 300], abs=4)
        assert page.faults == []
        page.context.close()


def test_the_page_names_itself_and_its_model(browser, tmp_path):
    shutil.copy(made("category", tmp_path), tmp_path / "my-own_birds.onnx")
    with served(write_site(tmp_path / "my-own_birds.onnx", tmp_path / "site")) as address:
        page = opened(browser, address)
        assert page.title() == page.inner_text("h1") == "My own birds"
        about = page.locator("#about").evaluate("(node) => node.textContent")
        assert "Answerscategory" in about
        assert "Image size24 \N{MULTIPLICATION SIGN} 32" in about
        assert "Made withonecycle test" in about
        page.context.close()
