"""The report on a training: its figures against others, and what strangers' names do to it."""

import shutil
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from onecycle.interpret.charts import escaped
from onecycle.interpret.report import intervals, write_report
from onecycle.learn import metrics
from onecycle.learn.learner import Learner
from onecycle.vision.lists import ImageList

CLASSES = ["<img src=x onerror=alert(1)>", "a & b", '"><script>alert(2)</script>']
FILE = "'><svg onload=alert(3)>.png"


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    """Three classes of shades in folders with hostile names, and a network that never learned."""
    root = tmp_path_factory.mktemp("hostile")
    for number, name in enumerate(CLASSES):
        folder = root / name.replace("/", "\u2215")
        folder.mkdir()
        for i in range(9 - 2 * number):
            file = FILE if i == 0 else f"{i}.png"
            cv2.imwrite(str(folder / file), np.full((6, 6, 3), 80 * number + 8 * i, np.uint8))
    items = ImageList.from_folder(root).split_by_idx([0, 1, 2, 9, 16]).label_from_folder()
    data = items.transform(None, size=6).databunch(bs=4, num_workers=0, device="cpu")
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))
    learn = Learner(data, net, metrics=[metrics.accuracy], silent=True, path=root)
    return learn.fit(2, 1e-3)


def test_the_reports_figures_are_those_of_validate(learn, tmp_path):
    found = write_report(learn, tmp_path / "r.html")
    loss, accuracy = learn.validate()
    assert found["loss"][0] == pytest.approx(loss, abs=1e-5)
    assert found["accuracy"][0] == pytest.approx(accuracy)
    assert f"{loss:.3f}" in (tmp_path / "r.html").read_text()


def test_an_interval_is_as_wide_as_the_normal_distribution_says():
    right = np.arange(400) % 4 > 0  # three quarters
    (value, low, high) = intervals(400, lambda at: {"share": float(right[at].mean())})["share"]
    spread = 1.96 * (0.75 * 0.25 / 400) ** 0.5
    assert value == 0.75
    assert [value - low, high - value] == pytest.approx([spread, spread], rel=0.2)
    assert intervals(9, lambda at: {"x": float("nan")}) == {}


@contextmanager
def page_of(file):
    """The file in a real browser, beside what it asked for and what it said."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, seen = browser.new_page(viewport={"width": 360, "height": 800}), []
        page.on("dialog", lambda dialog: (seen.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda message: seen.append(message.text))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or seen.append(r.url))
        page.goto(file.as_uri())
        yield page, seen
        browser.close()


def test_names_of_strangers_are_shown_and_not_obeyed(learn, tmp_path):
    file = tmp_path / "r.html"
    evil = "</section></style><script>alert(4)</script>"
    about = {evil: evil}
    write_report(learn, file, title=evil, about=about, notes=[evil], tested={evil: 0.5})
    with page_of(file) as (page, seen):
        text = page.inner_text("body")
        scripts = page.evaluate("document.scripts.length + document.images.length")
        images = page.locator("figure img").count()
        wide = page.evaluate("document.documentElement.scrollWidth")
        title = page.title()
    assert seen == []
    assert scripts == images > 5  # all images are ours, and there is no script
    assert title == evil
    for name in (*learn.data.classes, FILE, evil):
        assert name in text
    assert wide == 360


def test_bytes_that_are_no_text_are_shown_as_question_marks():
    assert escaped("caf\udce9 <b>") == "caf? &lt;b&gt;"


def test_the_matrix_has_actual_rows_and_what_is_left_out_is_listed(learn, tmp_path):
    write_report(learn, tmp_path / "r.html", notes=["7 files were left out"])
    with page_of(tmp_path / "r.html") as (page, _):
        rows = page.locator(".matrix tbody tr").all()
        cells = [[int(cell) for cell in row.locator("td").all_inner_texts()] for row in rows]
        text = page.inner_text("body")
    actual, predicted = learn.predictions().targets, learn.predictions().probabilities.argmax(1)
    wanted = np.zeros((3, 3), int)
    for a, p in zip(actual.tolist(), predicted.tolist(), strict=True):
        wanted[a, p] += 1
    assert cells == wanted.tolist()
    assert not np.array_equal(wanted, wanted.T)  # or a swap would not show
    assert "7 files were left out" in text
