"""Themes: which are taken, and the smiley that the page makes of them."""

import json
import shutil

import numpy as np
import pytest
from folder_server import served
from PIL import Image as Pillow
from test_page import NETS, asked, made, opened, until

from conftest import FLAGS
from onecycle.core.errors import UsageError
from onecycle.runtime.site import check_theme, write_site
from onecycle.runtime.targets.category import CategorySpec
from onecycle.runtime.targets.multi_category import MultiCategorySpec

TARGET = CategorySpec(("sad", "glad", 7))


def test_what_a_smiley_leaves_out_rests_in_the_middle():
    checked = check_theme({"glad": {"mouth": 1, "wink": 0.25}, "7": "😮"}, TARGET)
    assert checked["7"] == "😮"
    assert checked["glad"] == {
        "mouth": 1.0,
        "open": 0.0,
        "eyes": 0.5,
        "wink": 0.25,
        "brows": 0.0,
        "frown": 0.0,
        "blush": 0.0,
        "tears": 0.0,
        "colour": "#ffd54a",
    }


@pytest.mark.parametrize(
    ("theme", "reported"),
    [
        ({"gald": "🙂"}, r"\['gald'\].*no classes.*glad"),
        ({"glad": {"nose": 1}}, "nose.*mouth, open"),
        ({"glad": {"mouth": 1.5}}, "'glad'.*mouth is 1.5, not in -1 to 1"),
        ({"glad": {"mouth": True}}, "mouth is True"),
        ({"glad": {"eyes": "wide"}}, "eyes is 'wide'"),
        ({"glad": {"open": float("nan")}}, "open is nan"),
        ({"glad": {"colour": "url(#x)"}}, "colour is 'url"),
        ({"glad": ["🙂"]}, "an emoji or an object"),
        ({"glad": ""}, "an emoji or an object"),
        ({"glad": "x" * 17}, "an emoji or an object"),
    ],
)
def test_what_no_smiley_has_is_refused(theme, reported):
    with pytest.raises(UsageError, match=reported):
        check_theme(theme, TARGET)


def test_a_theme_needs_a_file_that_holds_an_object_and_a_model_that_names_one_class(tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "cut.json").write_text('{"glad": ')
    for name, reported in {"list": "no object", "cut": "no JSON", "gone": "no JSON"}.items():
        with pytest.raises(UsageError, match=reported):
            check_theme(tmp_path / f"{name}.json", TARGET)
    with pytest.raises(UsageError, match="one class"):
        check_theme({}, MultiCategorySpec(("a",)))


def test_the_examples_theme_fits_the_drawn_faces():
    from pathlib import Path

    from onecycle.samples.faces import EXPRESSIONS

    file = Path(__file__).parents[2] / "examples/smileys.json"
    checked = check_theme(file, CategorySpec(tuple(EXPRESSIONS)))
    assert set(checked) == set(EXPRESSIONS)
    assert len({json.dumps(look) for look in checked.values()}) == len(EXPRESSIONS)


# --- in a browser, whose camera sees red, then blue ------------------------------------------

THEME = {"red": {"mouth": 1, "open": 0.3}, "blue": {"mouth": -0.9, "tears": 1, "colour": "#8ec7ff"}}
LOOK = """() => {
    const face = document.querySelector('#smiley');
    const lips = [...face.querySelectorAll('path')].at(-3).getAttribute('d');
    const [, corner, , lip] = lips.match(/-?[0-9.]+/g).map(Number);
    const tears = face.querySelector('svg > path:last-child').getAttribute('opacity');
    return { label: face.getAttribute('aria-label'), role: face.getAttribute('role'),
             smiles: lip - corner, tears: Number(tears), hidden: face.hidden,
             skin: face.querySelector('svg > circle').getAttribute('fill') };
}"""


@pytest.fixture(scope="module")
def browser(web_runtime, tmp_path_factory):
    """Chromium whose camera shows a second and a half of red, then of blue, and again."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    film = tmp_path_factory.mktemp("film") / "camera.mjpeg"
    frames = []
    for colour in ((220, 40, 30), (30, 40, 220)):
        Pillow.new("RGB", (320, 240), colour).save(film, "JPEG")
        frames += [film.read_bytes()] * 45
    film.write_bytes(b"".join(frames))
    with playwright.sync_playwright() as started:
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={film}"]
        chromium = started.chromium.launch(executable_path=path, args=flags)
        yield chromium
        chromium.close()


def test_the_smiley_follows_the_class_that_the_camera_shows(browser, tmp_path):
    site = write_site(made("category", tmp_path), tmp_path / "site", theme=THEME)
    with served(site) as address:
        page = opened(browser, address, permissions=["camera"], reduced_motion="reduce")
        page.click("#live")
        seen = {}
        for name in ("red", "blue"):
            until(page, f"document.querySelector('#smiley')?.dataset.name === '{name}'", 20)
            seen[name] = page.evaluate(LOOK)
        assert page.get_attribute("#answer", "aria-live") == "off"
        page.click("#live")
        assert page.get_attribute("#answer", "aria-live") == "polite"
        assert page.faults == []
        page.context.close()
    assert [seen[name]["label"] for name in seen] == ["Smiley: red", "Smiley: blue"]
    assert {look["role"] for look in seen.values()} == {"img"}
    assert seen["red"]["smiles"] > 3 > -3 > seen["blue"]["smiles"]
    assert [seen[name]["tears"] for name in seen] == [0, 1]
    assert [seen[name]["skin"] for name in seen] == ["#ffd54a", "#8ec7ff"]


def test_a_smiley_moves_to_its_new_face_and_rests_there(browser, tmp_path):
    for name in ("red", "blue"):
        Pillow.new("RGB", (40, 30), name).save(tmp_path / f"{name}.png")
    site = write_site(made("category", tmp_path), tmp_path / "site", theme=THEME)
    with served(site) as address:
        page = opened(browser, address)
        asked(page, tmp_path / "red.png")
        first = page.evaluate(LOOK)["smiles"]
        asked(page, tmp_path / "blue.png", 2)
        page.wait_for_timeout(1500)
        rested = page.evaluate(LOOK)
        page.wait_for_timeout(200)
        assert page.evaluate(LOOK) == rested
        page.context.close()
    assert first > 3 > -3 > rested["smiles"]
    assert rested["tears"] == 1


def test_hostile_names_of_classes_are_shown_and_drawn_as_any_other(browser, tmp_path):
    evil = '"><img src=x onerror="document.body.dataset.evil=1">'
    NETS["evil"] = (CategorySpec((evil, "constructor", "__proto__")), NETS["category"][1])
    theme = {evil: {"mouth": 1}, "__proto__": "<b>x</b>"}
    for name, colour in {"first": "red", "second": "lime", "third": "blue"}.items():
        Pillow.fromarray(np.full((30, 40, 3), Pillow.new("RGB", (1, 1), colour), np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    try:
        site = write_site(made("evil", tmp_path), tmp_path / "site", theme=theme)
    finally:
        del NETS["evil"]
    with served(site) as address:
        page = opened(browser, address)
        asked(page, tmp_path / "first.png")
        assert page.get_attribute("#smiley", "aria-label") == f"Smiley: {evil}"
        asked(page, tmp_path / "second.png", 2)
        assert page.inner_text(".headline") == "constructor"
        assert not page.is_visible("#smiley")
        asked(page, tmp_path / "third.png", 3)
        assert page.inner_text("#smiley") == "<b>x</b>"
        assert page.get_attribute("body", "data-evil") is None
        assert page.faults == []
        page.context.close()
