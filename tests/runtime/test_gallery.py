"""The lesson's gallery: every example, in small, builds its site, and its page answers."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from folder_server import served
from test_page import asked, opened, until

from onecycle.runtime.predictor import Predictor

EXAMPLES = Path(__file__).parents[2] / "examples"
BUILT = {  # kind of answer, how many classes, a file of the sample; the others: tests/examples
    "camvid": ("mask", 8, "images/street_00004.jpg"),
    "city_from_space": ("multicategory", 11, "test-jpg/test_1.jpg"),
    "face_to_smiley": ("category", 6, "winking/5.jpg"),
    "guitars": ("category", 4, "resonator/3.jpg"),
    "imdb": ("category", 2, None),
    "sign_language": ("category", 10, "7/7.jpg"),
    "time_series": ("category", 3, None),
    "which_car": ("category", 5, "valid/Eyed_Satyr/23.jpg"),
}
SLOW = {"camvid"}  # the export of a U-Net alone takes its time
pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")


def each(names):
    marks = {name: [pytest.mark.slow] for name in SLOW}
    return [pytest.param(name, marks=marks.get(name, [])) for name in names]


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sites(web_runtime, tmp_path_factory):
    """name -> the example's site, built once."""
    done = {}

    def site(name):
        if name not in done:
            out = tmp_path_factory.mktemp(name)
            done[name] = example(name).main(out=out, quick=True)
        return done[name]

    return site


def test_an_example_has_at_most_sixty_lines():
    scripts = list(EXAMPLES.glob("*.py"))
    assert len(scripts) >= 10
    assert [p.name for p in scripts if len(p.read_text().splitlines()) > 60] == []


@pytest.mark.parametrize("name", each(BUILT))
def test_an_example_builds_its_site(name, sites):
    messages = json.loads((sites(name) / "model.json").read_text())
    kind, count, _ = BUILT[name]
    assert messages["task"]["target"]["kind"] == kind
    assert len(messages["task"]["target"]["classes"]) == count
    assert (sites(name) / f"{messages['model']['file']}.gz").is_file()
    assert (name == "face_to_smiley") == bool(messages["theme"])


@pytest.mark.parametrize("name", each(name for name, row in BUILT.items() if row[2]))
def test_the_page_of_an_example_answers_as_its_model_does(name, sites, browser):
    image = sites(name).parent / "data" / BUILT[name][2]
    (model,) = sites(name).parent.glob("*.onnx")
    wanted = Predictor(model).predict(image).probabilities
    with served(sites(name)) as address:
        page = opened(browser, address)
        found = asked(page, image)
        assert page.faults == []
        page.context.close()
    assert np.array(found["probabilities"]) == pytest.approx(wanted.ravel(), abs=0.03)  # a JPEG
    if name == "camvid":
        assert len(found["legend"]) >= 1


@pytest.mark.parametrize("name", ["sign_language", "face_to_smiley"])
def test_the_page_of_an_example_reads_the_live_camera(name, sites, browser):
    with served(sites(name)) as address:
        page = opened(browser, address, permissions=["camera"])
        page.click("#live")
        until(page, "Number(document.body.dataset.answered) >= 3")
        page.click("#live")
        reported = page.inner_text(".headline")
        assert (
            reported
            in json.loads((sites(name) / "model.json").read_text())["task"]["target"]["classes"]
        )
        if name == "face_to_smiley":
            assert page.get_attribute("#smiley", "aria-label") == f"Smiley: {reported}"
            assert page.get_attribute("#smiley circle", "fill").startswith("#")
        assert page.faults == []
        page.context.close()


def test_the_page_of_the_reviews_reads(sites, browser):
    with served(sites("imdb")) as address:
        page = opened(browser, address)
        page.fill("#text", "The plot was never dull.")
        page.wait_for_selector("body[data-answered]", timeout=30_000)
        assert page.evaluate("lastAnswer.headline") in {"positive", "negative"}
        assert page.faults == []
        page.context.close()


def test_the_page_of_the_heartbeats_answers_a_csv_file(sites, browser, tmp_path):
    rows, _ = example("time_series").heartbeats(4, seed=5)
    (tmp_path / "beat.csv").write_text("\n".join(f"{value:.4f}" for value in rows[3]))
    with served(sites("time_series")) as address:
        page = opened(browser, address)
        page.set_input_files("#csv", tmp_path / "beat.csv")
        page.wait_for_selector("body[data-answered]", timeout=30_000)
        assert page.evaluate("lastAnswer.headline") in {"regular", "early beat", "missing wave"}
        assert page.evaluate("lastSeries[0].length") == 120
        assert page.faults == []
        page.context.close()


def test_hands_signed_by_one_person_are_on_one_side(tmp_path):
    for digit, numbers in {"3": (11, 12, 13, 14, 15, 21), "8": (4, 2)}.items():
        (tmp_path / digit).mkdir()
        for number in numbers:
            (tmp_path / digit / f"IMG_{number}.jpg").touch()
    held = example("sign_language").last_fifth(tmp_path)
    assert sorted(f.name for f in held) == ["IMG_21.jpg", "IMG_4.jpg"]


def test_heartbeats_of_three_kinds_are_drawn():
    rows, kinds = example("time_series").heartbeats(6)
    assert rows.shape == (6, 120)
    assert list(kinds[:3]) == ["regular", "early beat", "missing wave"]
    assert rows[0].max() > 0.8
