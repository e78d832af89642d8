"""The studio as its user has it: the command, a real browser, trainings in their own processes."""

import json
import os
import re
import shutil
import signal
import time

import numpy as np
import pytest

from helpers.studio_page import draw, free_port, opened, room, studio
from onecycle.runtime.predictor import Predictor

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

EVIL = "<img src=x onerror=document.title=1>"
COLOURS = {EVIL: (200, 60, 50), "blue": (40, 70, 200), "green": (40, 160, 60)}
WRONG = "blue/wrong.png"  # an image of green among the blue ones
FLAGS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Photos of three colours, 12 each; a class has markup for a name."""
    root = tmp_path_factory.mktemp("studio")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / "photos" / name).mkdir(parents=True)
        for i in range(12):
            draw(rng, colour, root / "photos" / name / f"{i}.png")
    draw(rng, COLOURS["green"], root / "photos" / WRONG)
    return root


def train(page, minutes="0.05", start=None):
    """Begin in the room Train; with `start` that is where the page is already."""
    if start is None:
        room(page, "Train")
    page.get_by_label("Minutes").fill(minutes)
    page.get_by_label("Learning rate", exact=True).fill("0.01")
    page.get_by_label("Side of what it sees, pixels").fill("32")
    if start:
        page.get_by_label("Begin with").select_option(start)
    assert page.get_by_label("Minutes").input_value() == minutes
    page.get_by_role("button", name="Train", exact=True).click()


def test_from_a_folder_to_a_page_on_a_phone(browser, place):
    """One way through all six rooms; the tab is closed in mid-training."""
    home, port = place / "home", free_port()
    with studio(home, port, str(place / "photos")) as (address, _):
        page = opened(browser, address)
        page.get_by_role("heading", name="37 images, 3 classes").wait_for()
        grid = page.get_by_role("listbox")
        grid.get_by_role("option").nth(5).locator("img[src]").wait_for()
        page.get_by_role("button", name=re.compile("blue")).click()
        page.get_by_text("Images: 13").wait_for()

        train(page)
        page.get_by_role("button", name="Stop").wait_for()
        page.close()  # the training goes on
        page = opened(browser, address)
        page.goto(address.split("?")[0] + "#/train")
        page.get_by_role("link", name="Look at mistakes").click()

        page.get_by_role("button", name=re.compile("All of validation")).click()
        assert page.title().startswith("Mistakes")  # no markup came to life
        page.get_by_text(EVIL).first.wait_for()
        assert len(mistakes(home, 1)) == 37
        assert page.get_by_text("no longer there").count() == 0
        loaded = page.locator(".cards img").first.evaluate("one => one.decode().then(() => true)")
        assert loaded
        page.faults.clear()
        relabel(page, home)
        page.get_by_role("link", name="Train again from these weights").click()
        assert page.get_by_label("Begin with").input_value() == "1"
        train(page, start="1")
        page.get_by_role("heading", name="Training 2").wait_for()
        page.get_by_role("link", name="Look at mistakes").click(timeout=120_000)
        page.get_by_text(re.compile(r"Against training 1: \d+ of \d+ validation")).wait_for()
        counts = json.loads((home / "runs/2/train.args.json").read_text())["counts"]
        assert sum(counts["green"].values()) == 13  # the relabelled one trained as what it is

        room(page, "Decide")
        page.get_by_label("Level").fill("60")
        page.get_by_role("checkbox", name=re.compile("Calibrate")).check()
        page.get_by_role("button", name="Put into the model").click()
        page.get_by_text("The model now answers so").wait_for()
        predictor = Predictor(home / "runs/2/model.onnx")
        assert predictor.target.thresh == 0.6
        assert predictor.target.temperature != 1

        room(page, "Ship")
        page.get_by_role("button", name="Make the page").click()
        frame = page.frame_locator("iframe")
        frame.get_by_text("Ready").wait_for(timeout=120_000)
        image = place / "photos/green/3.png"
        frame.locator("input[type=file]").first.set_input_files(str(image))
        said = frame.locator("#answer .headline")
        said.wait_for()
        assert str(predictor.predict(image)) in said.inner_text()
        measured = json.loads((home / "runs/2/ship.json").read_text())["rows"]
        assert [row["items"] for row in measured if "items" in row][:2] == [7, 7]
        small = Predictor(home / "runs/2/model-fp16.onnx").target
        assert (small.thresh, small.temperature) == (0.6, predictor.target.temperature)
        page.get_by_role("button", name="netlify").click()
        page.get_by_text(re.compile("npx netlify deploy")).wait_for()
        assert (home / "runs/2/deploy-netlify/index.html").exists()
        offline(browser, page, address, said.inner_text(), image)
        assert page.faults == []


def mistakes(home, run):
    return json.loads((home / f"runs/{run}/mistakes.json").read_text())["rows"]


def relabel(page, home):
    """The image that lies among others is given its own class, in the room Data."""
    room(page, "Data")
    page.get_by_label("Search names").fill("wrong")
    page.get_by_text("Images: 1", exact=True).wait_for()
    grid = page.get_by_role("listbox")
    grid.focus()
    page.keyboard.press("3")  # the classes are sorted: markup, blue, green
    page.get_by_role("button", name="Undo").and_(page.locator(":enabled")).wait_for()
    assert f"{WRONG},green" in (home / "labels.csv").read_text()
    page.goto(page.url.split("#")[0] + "#/mistakes/1")


def offline(browser, page, address, text, image):
    """The shipped page in a tab of its own answers without a network, beside the studio's own."""
    tab = page.context.new_page()
    tab.goto(address.split("?")[0] + "site/2/")
    tab.get_by_text("Ready").wait_for()
    tab.wait_for_timeout(1500)  # the worker keeps the page's files
    page.context.set_offline(True)
    tab.reload()
    tab.get_by_text("Ready").wait_for()
    tab.locator("input[type=file]").first.set_input_files(str(image))
    said = tab.locator("#answer .headline")
    said.wait_for()
    assert said.inner_text() == text
    page.context.set_offline(False)
    tab.close()


@pytest.mark.slow
def test_a_training_goes_on_when_the_studio_was_killed(browser, place):
    """Killed in mid-training: the studio, then the training; both come back where they were."""
    home, port = place / "killed", free_port()
    with studio(home, port, str(place / "photos")) as (address, process):
        page = opened(browser, address)
        train(page, minutes="0.2")
        page.get_by_role("button", name="Stop").wait_for()
        events = home / "runs/1/train.jsonl"
        waited(lambda: events.exists() and '"kind": "epoch"' in events.read_text())
        process.send_signal(signal.SIGKILL)
        page.get_by_text("The studio does not answer").wait_for()
        before = events.stat().st_size
        waited(lambda: events.stat().st_size > before)
        pid = json.loads((home / "runs/1/train.pid").read_text())["pid"]
        os.kill(pid, signal.SIGTERM)
    with studio(home, port, str(place / "photos")) as (address, _):
        page = opened(browser, address)
        page.goto(address.split("?")[0] + "#/train")
        page.get_by_text("stopped, and can go on").first.wait_for()
        epochs = events.read_text().count('"kind": "epoch"')
        assert epochs >= 1
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("link", name="Look at mistakes").wait_for(timeout=120_000)
        said = [json.loads(line) for line in events.read_text().splitlines()]
        trained, stage = [], ""
        for one in said:
            stage = one["name"] if one["kind"] == "stage" else stage
            if one["kind"] == "epoch":
                trained.append((stage, one["epoch"]))
        assert {stage for stage, _ in trained} == {"frozen", "unfrozen"}
        assert len({*trained}) == len(trained)  # no epoch was trained twice


def waited(done, seconds=90):
    for _ in range(10 * seconds):
        if done():
            return
        time.sleep(0.1)
    raise AssertionError("it never came")


def test_classes_that_are_made_in_the_studio(browser, tmp_path, place):
    """Files chosen, pasted and photographed; what is no image is named."""
    port = free_port()
    with studio(tmp_path / "home", port) as (address, _):
        page = opened(browser, address, viewport={"width": 360, "height": 740})
        for name in ("cat", "dog"):
            page.get_by_label("Name of a class").fill(name)
            page.get_by_role("button", name="Add").click()
            page.get_by_role("listitem").filter(has_text=name).wait_for()
        bad = tmp_path / "bad.jpg"
        bad.write_bytes(b"no image")
        page.get_by_label("Images of the class").select_option("dog")
        files = [str(place / "photos/blue" / f"{i}.png") for i in range(4)]
        page.locator("#bring").set_input_files([*files, str(bad)])
        page.get_by_text("Added: 4.").wait_for()
        page.get_by_text(re.compile("bad.jpg: ")).wait_for()
        page.get_by_role("button", name="Camera").click()
        page.locator("dialog video").wait_for()
        page.wait_for_timeout(500)
        page.get_by_role("button", name="Take", exact=True).click()
        page.get_by_text("Added: 1.").wait_for()
        page.get_by_role("button", name="Close").click()
        page.get_by_role("listitem").filter(has_text="dog").get_by_text("4 + 1").wait_for()
        assert len(list((tmp_path / "home/images").iterdir())) == 5
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_label("Language").select_option("de")
        page.get_by_role("heading", name="5 Bilder, 2 Klassen").wait_for()


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.slow)])
def test_axe_finds_nothing(browser, place, scheme):
    """WCAG 2 AA in all rooms, in both schemes, at a phone's width."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
    with studio(place / "home", free_port(), str(place / "photos")) as (address, _):
        phone = {"width": 390, "height": 800}
        page = opened(browser, address, color_scheme=scheme, viewport=phone, bypass_csp=True)
        for name in ("Data", "Look", "Train", "Mistakes", "Decide", "Ship"):
            room(page, name)
            page.locator("main h1").wait_for()
            page.wait_for_timeout(1500)
            found = axe.Axe().run(page, context="body > :not(iframe)", options=rules)
            told = [
                (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
                for one in found.response["violations"]
            ]
            assert told == [], name
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
