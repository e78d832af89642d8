"""A model that may be unsure, and one with a threshold for each label: server, page and Python."""

import numpy as np
import pytest
from folder_server import served
from PIL import Image as Pillow
from starlette.testclient import TestClient
from test_page import NETS, RGB, asked, made, opened

from onecycle.runtime.http.server import application
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.runtime.targets.category import CategorySpec
from onecycle.runtime.targets.multi_category import MultiCategorySpec

GREY, RED = (120, 118, 121), (250, 20, 30)


@pytest.fixture
def unsure(tmp_path, monkeypatch):
    """Sure above .7 alone; of grey its classes are as likely as each other."""
    monkeypatch.setitem(
        NETS, "unsure", (CategorySpec(RGB, 0.7, temperature=1.5), NETS["category"][1])
    )
    return made("unsure", tmp_path)


@pytest.fixture
def limits(tmp_path, monkeypatch):
    """Green needs less than the others."""
    monkeypatch.setitem(
        NETS, "limits", (MultiCategorySpec(RGB, (0.9, 0.3, 0.5)), NETS["multicategory"][1])
    )
    return made("limits", tmp_path)


def drawn(folder, colour):
    file = folder / f"{colour[0]}.png"
    Pillow.new("RGB", (50, 40), colour).save(file)
    return file


def test_the_server_replies_that_it_is_not_sure(unsure, tmp_path):
    files = [drawn(tmp_path, GREY), drawn(tmp_path, RED)]
    uploads = [("file", (file.name, file.read_bytes(), "image/png")) for file in files]
    with TestClient(application(unsure)) as client:
        first, second = client.post("/api/predict", files=uploads).json()["predictions"]
        assert (first["answer"], first["text"]) == (None, "not sure")
        assert list(first["probabilities"].values()) == pytest.approx([1 / 3] * 3, abs=0.02)
        assert (second["answer"], second["text"]) == ("red", "red")
        reply = client.post("/api/predict?thresh=0", files=uploads[:1]).json()["predictions"][0]
        assert reply["answer"] in RGB
        assert client.post("/analyze", files=uploads[:1]).json() == {"result": "not sure"}
        parameters = client.get("/openapi.json").json()["paths"]["/api/predict"]["post"]
        assert parameters["parameters"][0]["name"] == "thresh"


def test_the_page_says_that_it_is_not_sure_and_why(unsure, browser, tmp_path):
    with served(write_site(unsure, tmp_path / "site")) as address:
        page = opened(browser, address)
        found = asked(page, drawn(tmp_path, GREY))
        assert page.inner_text(".headline") == "Not sure"
        assert page.inner_text(".note") == "Nothing is above 70 %. The likeliest:"
        assert len(found["bars"]) == 3
        asked(page, drawn(tmp_path, RED), 2)
        assert page.inner_text(".headline") == "red"
        assert page.locator(".note").count() == 0
        about = page.locator("#about").evaluate("(node) => node.textContent")
        assert "Sure above70 %" in about
        assert "Percentagescalibrated (temperature 1.5)" in about
        assert page.faults == []
        page.context.close()


def test_a_page_of_a_model_without_it_says_that_percentages_are_not_calibrated(browser, tmp_path):
    with served(write_site(made("category", tmp_path), tmp_path / "site")) as address:
        page = opened(browser, address)
        about = page.locator("#about").evaluate("(node) => node.textContent")
        assert "Percentagesas the network gives them, not calibrated" in about
        assert "Sure above" not in about
        page.context.close()


def test_the_page_decides_each_label_by_its_own_threshold(limits, browser, tmp_path):
    wanted = Predictor(limits).predict(drawn(tmp_path, GREY))
    assert wanted.answer.obj == ["green"]
    assert np.ptp(wanted.probabilities) < 0.05
    with served(write_site(limits, tmp_path / "site")) as address:
        page = opened(browser, address)
        assert asked(page, drawn(tmp_path, GREY))["chips"] == ["green"]
        assert [page.inner_text(".chips li")] == ["green"]
        about = page.locator("#about").evaluate("(node) => node.textContent")
        assert "Decides abovered 0.9, green 0.3, blue 0.5" in about
        assert page.faults == []
        page.context.close()


def test_the_server_takes_one_threshold_in_place_of_all(limits, tmp_path):
    data = drawn(tmp_path, GREY).read_bytes()
    with TestClient(application(limits)) as client:
        for thresh, answer in (("", ["green"]), ("?thresh=0", [*RGB]), ("?thresh=0.9", [])):
            reply = client.post(f"/api/predict{thresh}", content=data)
            assert reply.json()["predictions"][0]["answer"] == answer
