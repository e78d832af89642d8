"""Texts, series and masks in the studio as their user has them: a real browser, real trainings."""

import csv
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.studio_page import free_port, opened, room, studio
from onecycle.runtime.predictor import Predictor

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

EVIL = "<img src=x onerror=document.title=1>"
TALK = "the film that we saw with our friends on sunday evening was really very".split()
WORDS = {
    EVIL: ["flour", "butter", "oven", "sugar"],
    "bad": ["boring", "awful", "poor", "weak"],
    "good": ["lovely", "brilliant", "charming", "wonderful"],
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """40 texts of each class; the last praises and is called bad, with a script in it."""
    rng, rows = np.random.default_rng(0), []
    for name, words in WORDS.items():
        for _ in range(40):
            text = [*rng.choice(TALK, 6), *rng.choice(words, 6)]
            rng.shuffle(text)
            rows.append((" ".join(text), name))
    rows.append((f"{EVIL} lovely brilliant charming wonderful lovely brilliant", "bad"))
    return written(tmp_path_factory.mktemp("texts") / "reviews.csv", [("text", "label"), *rows])


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """30 curves of each class, 40 steps."""
    rng, x, rows = np.random.default_rng(0), np.arange(40), []
    for _ in range(30):
        phase = rng.uniform(0, 6)
        rows += [
            (EVIL, *np.sin(x / 3 + phase).round(3)),
            ("ramp", *((x + 3 * phase) % 13).round(3)),
        ]
    head = ("label", *(f"t{i}" for i in range(40)))
    return written(tmp_path_factory.mktemp("series") / "waves.csv", [head, *rows])


def written(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def train(page, minutes, start=None):
    if start is None:
        room(page, "Train")
    page.get_by_label("Minutes").fill(minutes)
    page.get_by_label("Learning rate", exact=True).fill("0.02")
    if start:
        page.get_by_label("Begin with").select_option(start)
    page.get_by_role("button", name="Train", exact=True).click()
    number = 1 + int(start or 0)
    page.get_by_role("heading", name=f"Training {number}").wait_for()
    page.get_by_role("link", name="Look at mistakes").click(timeout=400_000)


def faultless(page, rooms, width):
    """axe finds nothing in these rooms, and nothing is wider than the phone."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for name in rooms:
        room(page, name)
        page.wait_for_timeout(1200)
        found = axe.Axe().run(page, context="body > :not(iframe)", options=RULES).response
        told = [(o["id"], [n["html"][:120] for n in o["nodes"]][:3]) for o in found["violations"]]
        assert told == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_texts_are_labelled_by_keyboard_on_a_phone(browser, reviews, tmp_path):
    """Found by a word of theirs, relabelled, and taken back; nothing of a text comes to life."""
    home, port = tmp_path / "home", free_port()
    with studio(home, port, str(reviews), "--kind", "text") as (address, _):
        phone = {"width": 360, "height": 740}
        page = opened(browser, address, viewport=phone, bypass_csp=True)
        page.get_by_role("heading", name="121 texts, 3 classes").wait_for()
        page.get_by_label("Search texts").fill("img src")
        page.get_by_text("Texts: 1", exact=True).wait_for()
        page.get_by_role("listbox").focus()
        (row,) = [line for line in (home / "labels.csv").read_text().splitlines() if "122-" in line]
        page.keyboard.press("3")  # the classes are sorted: markup, bad, good
        page.get_by_role("button", name="Undo").and_(page.locator(":enabled")).wait_for()
        assert row.replace(",bad,", ",good,") in (home / "labels.csv").read_text()
        page.keyboard.press("Control+z")
        page.wait_for_function("!document.querySelector('.cell').textContent.includes('good')")
        assert row in (home / "labels.csv").read_text()
        page.keyboard.press("Enter")
        page.locator("dialog").get_by_text(EVIL).first.wait_for()
        page.get_by_role("button", name="Close").click()
        room(page, "Look")
        page.get_by_text("xxbos").first.wait_for()
        faultless(page, ("Data", "Look"), 360)
        assert page.title().startswith("Look")
        assert page.faults == []


@pytest.mark.slow
def test_from_a_table_of_texts_to_a_page_on_a_phone(browser, reviews, tmp_path):
    home, port = tmp_path / "home", free_port()
    with studio(home, port, str(reviews), "--kind", "text") as (address, _):
        page = opened(browser, address, bypass_csp=True)
        train(page, "0.5")
        page.get_by_role("button", name=re.compile("All of validation")).click()
        cell = page.get_by_role("button", name=re.compile("[1-9][0-9]* times good, predicted"))
        cell.first.click()
        card = page.locator(".mistake").first
        card.locator("p.text").get_by_text(re.compile("[a-z]+ [a-z]+")).wait_for()
        name = card.locator("p").last.inner_text()
        card.get_by_role("combobox").select_option("bad")
        page.get_by_role("link", name="(1 changed)").click()
        train(page, "0.3", start="1")
        page.get_by_text(re.compile(r"Against training 1: \d+ of \d+ validation texts")).wait_for()
        trained = [(home / f"runs/{n}/labels.csv").read_text() for n in (1, 2)]
        assert [f"{name},bad,True" in one for one in trained] == [False, True]
        decide_and_ship(page, home)
        predictor = Predictor(home / "runs/2/model.onnx")
        frame = page.frame_locator("iframe")
        frame.get_by_text("Ready").wait_for(timeout=400_000)
        text = "a lovely and brilliant evening with our charming friends"
        frame.get_by_role("textbox").first.fill(text)
        frame.locator("main button:visible").first.click()
        said = frame.locator("#answer .headline")
        said.wait_for()
        assert str(predictor.predict(text)) in said.inner_text()
        page.set_viewport_size({"width": 390, "height": 800})
        faultless(page, ("Look", "Train", "Mistakes", "Decide", "Ship"), 390)
        assert page.faults == []


def decide_and_ship(page, home):
    room(page, "Decide")
    page.get_by_label("Level").fill("20")
    page.get_by_role("checkbox", name=re.compile("Calibrate")).check()
    page.get_by_role("button", name="Put into the model").click()
    page.get_by_text("The model now answers so").wait_for()
    predictor = Predictor(home / "runs/2/model.onnx")
    assert predictor.target.thresh == 0.2
    assert predictor.target.temperature != 1
    room(page, "Ship")
    page.get_by_role("button", name="Make the page").click()


@pytest.mark.slow
def test_from_a_table_of_series_to_a_page_on_a_phone(browser, waves, tmp_path):
    home, port = tmp_path / "home", free_port()
    with studio(home, port, str(waves), "--kind", "series") as (address, _):
        page = opened(browser, address, bypass_csp=True, viewport={"width": 390, "height": 800})
        page.get_by_role("heading", name="60 series, 2 classes").wait_for()
        page.locator(".cell svg.curve path").first.wait_for()
        train(page, "0.2")
        page.get_by_role("button", name=re.compile("All of validation")).click()
        page.locator(".mistake svg.curve path").first.wait_for()
        page.locator(".mistake").first.get_by_role("button", name="Leave out").click()
        page.get_by_role("link", name="(1 changed)").click()
        train(page, "0.2", start="1")
        page.get_by_text(re.compile(r"Against training 1: \d+ of 11 validation series")).wait_for()
        decide_and_ship(page, home)
        page.frame_locator("iframe").get_by_text("Ready").wait_for(timeout=400_000)
        faultless(page, ("Data", "Look", "Train", "Mistakes", "Decide", "Ship"), 390)
        assert page.title().startswith("Ship")
        assert page.faults == []


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """30 dark images with a light square of their own place, and masks; a class has markup."""
    root, rng = tmp_path_factory.mktemp("masks") / "shapes", np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    (root / "codes.txt").write_text(f"background\n{EVIL}\n")
    for i in range(30):
        mask, (y, x) = np.zeros((48, 64), np.uint8), rng.integers(0, (32, 44))
        mask[y : y + 16, x : x + 20] = 1
        image = rng.integers(0, 50, (48, 64, 3)) + 180 * mask[..., None]
        Image.fromarray(image.astype(np.uint8)).save(root / f"images/{i:02}.png")
        Image.fromarray(mask).save(root / f"masks/{i:02}.png")
    return root


@pytest.mark.slow
def test_from_masks_to_a_page_on_a_phone(browser, shapes, tmp_path):
    home, port = tmp_path / "home", free_port()
    with studio(home, port, str(shapes), "--kind", "masks") as (address, _):
        page = opened(browser, address, bypass_csp=True, viewport={"width": 390, "height": 800})
        page.get_by_role("heading", name="30 images, 2 classes").wait_for()
        page.get_by_role("button", name="Count again").wait_for()
        share = page.get_by_role("row").filter(has_text=EVIL).get_by_role("cell").first
        assert share.inner_text() == "10.4 %"  # 320 of 3072 pixels
        page.get_by_role("listbox").focus()
        page.keyboard.press("2")  # no label is changed by a key
        page.keyboard.press("x")
        page.get_by_role("button", name="Undo").and_(page.locator(":enabled")).wait_for()
        assert "00.png" not in (home / "labels.csv").read_text()
        room(page, "Train")
        page.get_by_label("Side of what it sees, pixels").fill("32")
        train(page, "0.3", start="")
        page.get_by_role("row").filter(has_text=EVIL).wait_for()
        page.locator(".three img").nth(2).wait_for()
        page.locator(".mistake").first.get_by_role("button", name="Leave out").click()
        page.get_by_role("link", name="(1 changed)").wait_for()
        room(page, "Decide")
        page.get_by_text("Nothing is to be decided of masks").wait_for()
        room(page, "Ship")
        page.get_by_role("button", name="Make the page").click()
        page.frame_locator("iframe").get_by_text("Ready").wait_for(timeout=400_000)
        faultless(page, ("Data", "Look", "Train", "Mistakes", "Decide", "Ship"), 390)
        assert page.title().startswith("Ship")
        assert page.faults == []
