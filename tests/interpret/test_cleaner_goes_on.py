"""The cleaning page on the next day and on a bad day: it forgets nothing, and tells what failed."""

import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image
from test_cleaner import cleaning

from onecycle.core.errors import TableError, UsageError
from onecycle.interpret.cleaner import application, review, write_cleaned


@pytest.fixture
def alike(tmp_path):
    """Twelve images that are one: 66 pairs."""
    drawn = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(drawn).save(tmp_path / "set" / name / f"{i}.png")
    return tmp_path / "set"


@contextmanager
def looking(url):
    """The page in a browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(5000)
        page.goto(url)
        page.wait_for_selector(".pair")
        yield page
        browser.close()


def names(table):
    return dict(row.split(",") for row in table.read_text().splitlines()[1:])


def test_the_second_evening_goes_on_where_the_first_ended_and_sees_every_pair(alike):
    table = alike / "cleaned.csv"
    with cleaning(alike) as url, looking(url) as page:
        page.get_by_label("class of cat/1.png").first.select_option("dog")
        page.locator(".pair input").first.check()  # cat/0.png
        page.locator("#save").click()
        page.get_by_text("11 images kept").wait_for()
        page.reload()
        page.wait_for_selector("#earlier figure")
    first = names(table)
    assert "cat/0.png" not in first
    assert first["cat/1.png"] == "dog"
    with cleaning(alike) as url, looking(url) as page:
        set_before = page.locator("#earlier figure").evaluate_all(
            "all => all.map(f => f.className)"
        )
        assert set_before == ["out", "changed"]
        assert page.locator("#pairs figure").first.get_attribute("class") == "out"
        assert page.locator(".pair").count() == 60
        assert page.locator("h2 button:visible").all_inner_texts() == ["back 60", "next 60"]
        page.get_by_role("button", name="next 60").click()
        assert page.locator(".pair").count() == 6
        assert page.get_by_text("61 to 66 of 66").is_visible()
        page.get_by_label("class of dog/5.png").last.select_option("cat")
        page.get_by_role("button", name="back 60").click()
        assert page.locator(".pair").count() == 60
        page.locator("#earlier input").first.uncheck()  # cat/0.png is kept after all
        page.locator("#save").click()
        page.get_by_text("12 images kept").wait_for()
    assert names(table) == first | {"cat/0.png": "cat", "dog/5.png": "cat"}


def test_what_was_written_is_what_is_set_at_the_next_start(alike, tmp_path):
    from onecycle.interpret.cleaner import earlier_answers

    found, table = review(alike), tmp_path / "c.csv"
    assert earlier_answers(found, table) == {}
    for answers in ({}, {"0": None, "7": "cat"}, dict.fromkeys(map(str, range(12)))):
        write_cleaned(found, answers, table)
        assert earlier_answers(found, table) == answers


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("", r"begins with \[\], not with name,label"),
        ("an image", "begins with .*an image"),
        (
            "name,label\ncat/0.png,cat\ncat/99.png,cat\n",
            "row 3: 'cat/99.png', 'cat' is not an image",
        ),
        ("name,label\ncat/0.png,cow\n", "row 2: .*'cow'.* one of its classes"),
        ("name,label\ncat/0.png,cat\ncat/0.png,dog\n", "row 3: .*each image once"),
        ("name,label\ncat/0.png\n", "row 2: 'cat/0.png' is not"),
        (b"name,label\n\xff,cat\n", "cannot be read as a table"),
    ],
)
def test_an_earlier_table_that_does_not_fit_is_an_error_and_stays(alike, tmp_path, text, messages):
    table = tmp_path / "c.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = table.read_bytes()
    with pytest.raises(TableError, match=rf"c\.csv.*{messages}.*--to"):
        application(review(alike), table)
    assert table.read_bytes() == before


def test_a_table_that_cannot_be_written_and_a_server_that_is_gone_are_told_in_the_page(alike):
    (alike / "file").write_text("no folder")
    with cleaning(alike, "--to", alike / "file/cleaned.csv") as url, looking(url) as page:
        page.locator("#save").click()
        page.get_by_text("not written: ").wait_for()
        predicted = page.inner_text("#message")
        assert "file/cleaned.csv cannot be written" in predicted
        page.route("**/save", lambda route: route.abort())
        page.locator("#save").click()
        page.get_by_text("does onecycle clean still run?").wait_for()
        page.unroute("**/save")
        page.route("**/save", lambda route: route.fulfill(status=500, body="Internal Server Error"))
        page.locator("#save").click()
        page.get_by_text("is not valid JSON").wait_for()


def test_a_model_of_numbers_has_no_classes_and_cannot_judge(alike, monkeypatch):
    from types import SimpleNamespace

    numbers = SimpleNamespace(classes=())
    monkeypatch.setattr("onecycle.interpret.cleaner.Predictor", lambda model: numbers)
    with pytest.raises(UsageError, match="the model has no classes"):
        review(alike, "m.onnx")
