"""The cleaning page: a real server, a real browser where there is one."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from onecycle.cli.main import app
from onecycle.core.errors import EmptyDataError, OnecycleWarning, UsageError
from onecycle.data.targets import Category
from onecycle.interpret.cleaner import review, similar_pairs, write_cleaned
from onecycle.vision.lists import ImageList


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six unlike images in two classes, and a smaller, harder pressed copy of the first."""
    root = tmp_path_factory.mktemp("clean")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir()
        for i in range(3):
            coarse = Image.fromarray(rng.integers(0, 255, (5, 5, 3), dtype=np.uint8))
            coarse.resize((60, 50), Image.Resampling.BICUBIC).save(root / name / f"{i}.png")
    with Image.open(root / "cat/0.png") as first:
        first.resize((30, 25)).save(root / "dog/<b>copy.jpg", quality=60)
    return root


def test_copies_are_found_and_others_are_not(folder):
    files = sorted(folder.glob("*/*"))
    found = [(files[i].name, files[j].name) for i, j, _ in similar_pairs(files)]
    assert found == [("0.png", "<b>copy.jpg")]


def test_cleaned_csv_holds_what_is_kept_under_its_new_label(folder, tmp_path):
    found = review(folder)
    where = {name: str(i) for i, name in enumerate(found.names)}
    answers = {where["dog/<b>copy.jpg"]: None, where["cat/2.png"]: "dog"}
    assert write_cleaned(found, answers, tmp_path / "cleaned.csv") == 6
    rows = (tmp_path / "cleaned.csv").read_text().splitlines()
    assert rows[:4] == ["name,label", "cat/0.png,cat", "cat/1.png,cat", "cat/2.png,dog"]
    assert len(list(folder.glob("*/*"))) == 7


@pytest.mark.parametrize(
    "answers",
    [{"99": "cat"}, {"0": "cow"}, {"../x": None}, {"²": None}, {"٣": None}, {"00": "cat"}],
)
def test_answers_about_nothing_are_refused(folder, tmp_path, answers):
    with pytest.raises(UsageError):
        write_cleaned(review(folder), answers, tmp_path / "cleaned.csv")
    assert not (tmp_path / "cleaned.csv").exists()


def test_images_are_found_below_deeper_folders(tmp_path):
    for name in ("train/cat/0.png", "valid/dog/1.png", "valid/.hidden/2.png", "3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    with (
        pytest.warns(OnecycleWarning, match=r"1 hidden image files .*valid/\.hidden/2\.png"),
        pytest.warns(OnecycleWarning, match=r"1 of 3 images .*no class.*'3\.png'"),
    ):
        found = review(tmp_path)
    assert found.names == ("train/cat/0.png", "valid/dog/1.png")
    assert found.labels == ("cat", "dog")


def test_classes_that_a_table_would_turn_into_numbers_are_told_how_to_be_read(tmp_path):
    for name in ("1", "1.0"):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.new("RGB", (16, 16)).save(tmp_path / name / f"{i}.png")
    with pytest.warns(OnecycleWarning, match=r"'1', '1\.0'.*label_cls=Category.*dtype=str"):
        found = review(tmp_path)
    write_cleaned(found, {}, tmp_path / "cleaned.csv")
    assert set(pd.read_csv(tmp_path / "cleaned.csv", dtype=str)["label"]) == {"1", "1.0"}
    items = ImageList.from_csv(tmp_path, "cleaned.csv").split_by_rand_pct(0.2, seed=0)
    assert items.label_from_df(label_cls=Category).classes == ["1", "1.0"]


def test_a_folder_without_images_is_said(tmp_path):
    with pytest.raises(EmptyDataError):
        review(tmp_path)


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    """A network that says what it likes of cats and dogs: untrained, exported."""
    from onecycle import ImageList, cnn_learner, half_stats

    src = ImageList.from_folder(folder).split_by_rand_pct(0.3, seed=0).label_from_folder()
    data = src.transform(None, size=32).databunch(bs=2).normalize(half_stats)
    learn = cnn_learner(data, "small", silent=True)
    return learn.export((tmp_path_factory.mktemp("model") / "m.onnx").absolute())


@contextmanager
def cleaning(folder, *options):
    """The address of `onecycle clean`, until it is interrupted as by Ctrl-C."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["clean", folder, "--port", port, *options]
    started = subprocess.Popen([sys.executable, "-m", "onecycle", *map(str, command)])
    url = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=2).close()
            break
        except OSError:
            time.sleep(0.1)
    try:
        yield url
    finally:
        started.send_signal(signal.SIGINT)
        started.wait(10)


@pytest.fixture
def server(folder, tmp_path):
    with cleaning(folder, "--to", tmp_path / "cleaned.csv") as url:
        yield url


def status(url, data=None, **headers):
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_second_page_on_a_port_is_refused(server, folder):
    port = server.rpartition(":")[2]
    command = [sys.executable, "-m", "onecycle", "clean", folder, "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert f"port {port} is in use: give another with --port" in done.stderr


def test_only_this_machine_and_this_page_are_answered(server, tmp_path):
    assert status(server + "/image/0") == 200
    assert status(server + "/image/99") == 404
    assert status(server + "/about", Host="evil.example") == 400
    assert status(server + "/save", b"{}") == 403
    with urllib.request.urlopen(server + "/about") as answer:
        key = {"x-key": json.load(answer)["key"]}
    for body in (b"[" * 100_000, b"{", b"[]", b'{"0": ["cat"]}', b"\xff"):
        assert status(server + "/save", body, **key) == 400
    assert not (tmp_path / "cleaned.csv").exists()


ASKS = """() => {  // whether the browser would ask before the page is left
    const leaving = new Event("beforeunload", { cancelable: true });
    return !window.dispatchEvent(leaving);
}"""


def test_a_person_relabels_and_writes(server, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 700})
        page.goto(server)
        page.wait_for_selector(".pair")
        assert page.locator(".pair").count() == 1
        page.get_by_label("class of cat/0.png").select_option("dog")
        page.locator(".pair input").nth(1).check()
        assert page.evaluate(ASKS)  # the answers are not written yet
        page.locator("#save").click()
        page.get_by_text("6 images kept").wait_for()
        command = page.locator("#message").inner_text().partition("Next: ")[2]
        if os.environ.get("ONECYCLE_SHOTS"):
            page.screenshot(path=os.environ["ONECYCLE_SHOTS"])
        assert not page.evaluate(ASKS)
        browser.close()
    program, *words = shlex.split(command)
    how = ["--size", "16", "--unfrozen-epochs", "1", "--pretrained", "no", "--bs", "2"]
    done = CliRunner().invoke(app, [*words, *how, "--lr", "0.001", "--out", str(tmp_path / "out")])
    assert (program, done.exit_code) == ("onecycle", 0), done.output
    rows = (tmp_path / "cleaned.csv").read_text().splitlines()
    kept = ["cat/0.png,dog", "cat/1.png,cat", "cat/2.png,cat"]
    assert rows == ["name,label", *kept, *(f"dog/{i}.png,dog" for i in range(3))]


@pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")
def test_the_models_worst_come_first_and_are_relabelled_from_the_keyboard(folder, model, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or pytest.skip("chromium is not installed")
    worst = review(folder, model).worst
    first = review(folder).names[worst[0][0]]
    to = tmp_path / "cleaned.csv"
    with cleaning(folder, "--to", to, "--model", model) as url, playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 360, "height": 740})
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.goto(url)
        page.wait_for_selector("#worst figure")
        losses = [float(x) for x in re.findall(r"loss ([\d.]+)", page.inner_text("#worst"))]
        assert len(losses) == 7
        assert losses == sorted(losses, reverse=True)
        assert losses[0] == pytest.approx(worst[0][1], abs=0.01)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.locator("#worst figure figcaption").first.inner_text().startswith(first)
        label = page.locator("#worst select").first
        label.focus()
        page.keyboard.press("ArrowDown" if first.startswith("cat") else "ArrowUp")
        assert page.locator("#worst figure").first.get_attribute("class") == "changed"
        page.focus("#save")
        page.keyboard.press("Enter")
        page.get_by_text("7 images kept").wait_for()
        if os.environ.get("ONECYCLE_SHOTS"):
            page.screenshot(path=os.environ["ONECYCLE_SHOTS"])
        browser.close()
    other = "dog" if first.startswith("cat") else "cat"
    assert f"{first},{other}" in to.read_text().splitlines()
    assert faults == []
