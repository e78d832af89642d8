"""The page of a model that reads: the same tokens and the same answers as in Python."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from folder_server import served
from test_page import opened, until

from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.text.learner import text_classifier_learner
from onecycle.text.lists import TextClasDataBunch

GOLDEN = Path(__file__).with_name("tokens.json")
SIZES = {"emb_sz": 12, "n_hid": 16, "n_layers": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A classifier of a few reviews, trained until its answers differ."""
    root = tmp_path_factory.mktemp("texts")
    texts = ["A great film, I loved it.", "Dull and awful; don't go.", "GREAT!!!!", "so bad"] * 8
    frame = pd.DataFrame({"text": texts, "label": ["pos", "neg"] * 16})
    torch.manual_seed(0)
    data = TextClasDataBunch.from_df(
        root, frame, text_cols="text", label_cols="label", seed=0, bs=8, num_workers=0, min_freq=1
    )
    learn = text_classifier_learner(data, config=SIZES, silent=True)
    return learn.fit_one_cycle(25, 3e-2).export("reviews.onnx")


@pytest.fixture(scope="module")
def page(model, browser, tmp_path_factory):
    site = write_site(model, tmp_path_factory.mktemp("site") / "out")
    with served(site) as address:
        yield opened(browser, address)


def test_the_page_has_the_tokens_of_the_golden_file(page):
    rows = json.loads(GOLDEN.read_text(encoding="utf-8"))
    units = [[ord(c) for c in row["text"]] for row in rows]  # lone surrogates do not survive JSON
    found = page.evaluate(
        """async (texts) => {
            const { tokenize } = await import("./inputs/text.js");
            const whole = (points) => points.map((p) => String.fromCodePoint(p)).join("");
            return texts.map((points) => tokenize(whole(points)));
        }""",
        units,
    )
    for row, tokens in zip(rows, found, strict=True):
        assert tokens == row["tokens"], row["text"]


def test_the_page_answers_as_the_predictor(page, model):
    predictor = Predictor(model)
    assert not page.is_visible("#stage")
    assert page.inner_text("#subtitle") == "Runs on this device. No word leaves it."
    texts = ["I loved this GREAT film!", "awful &amp; dull<br>so so so so bad", "x " * 300]
    for i, text in enumerate(texts):
        page.fill("#text", text)
        page.click("#ask")
        until(page, f"Number(document.body.dataset.answered) > {i}")
        page.wait_for_timeout(350)  # the pause after typing may ask once more
        found = page.evaluate("window.lastAnswer")
        wanted = predictor.predict(text)
        np.testing.assert_allclose(found["probabilities"], wanted.probabilities, atol=1e-3)
        assert found["headline"] == str(wanted)
    assert page.faults == []


def test_a_hundred_texts_are_answered_as_in_python(page, model):
    """Of the golden file, and long, empty and strange ones; through the page's own modules."""
    rows = json.loads(GOLDEN.read_text(encoding="utf-8"))
    rng = np.random.default_rng(5)
    words = ["great", "awful", "DULL", "don't", "so", "bad", "film", "!!!!", "<br />", "unseen"]
    texts = [row["text"] for row in rows if row["text"].isprintable()][:60]
    texts += [" ".join(rng.choice(words, n)) for n in rng.integers(0, 900, 100 - len(texts))]
    assert len(texts) == 100
    found = page.evaluate(
        """async (texts) => {
            const { describe, load } = await import("./model.js");
            const ask = await load(await describe());
            const answers = [];
            for (const text of texts) answers.push(Array.from((await ask(text)).probabilities));
            return answers;
        }""",
        texts,
    )
    wanted = Predictor(model).probabilities(texts)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert np.ptp(wanted[:, 0]) > 0.05  # the texts do differ


def test_the_page_answers_while_one_types(page):
    before = int(page.evaluate("document.body.dataset.answered ?? 0"))
    page.fill("#text", "")
    page.type("#text", "a dull one")
    until(page, f"Number(document.body.dataset.answered) > {before}")
    assert page.inner_text(".headline") in {"neg", "pos"}
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360


def test_the_server_answers_texts(model):
    from starlette.testclient import TestClient

    from onecycle.runtime.http.server import application

    predictor = Predictor(model)
    with TestClient(application(model)) as client:
        texts = ["a great film", "", "awful"]
        found = client.post("/api/predict", json={"texts": texts}).json()["predictions"]
        for text, messages in zip(texts, found, strict=True):
            wanted = predictor.predict(text)
            np.testing.assert_allclose(
                [messages["probabilities"][c] for c in predictor.classes],
                wanted.probabilities,
                atol=1e-5,
            )
        plain = client.post("/api/predict", content=b"a great film")
        assert plain.json()["predictions"][0] == found[0]
        assert client.post("/analyze", json={"text": "awful"}).json() == {
            "result": found[2]["text"]
        }
        for body, status in (
            (b"{", 400),
            (b"[" * 100_000, 400),
            (b'{"text": 3}', 422),
            (b'{"texts": "no list"}', 422),
            (b"3", 422),
            (json.dumps({"texts": ["x"] * 17}).encode(), 400),
            (json.dumps({"text": "x" * 100_001}).encode(), 413),
        ):
            reply = client.post(
                "/api/predict", content=body, headers={"Content-Type": "application/json"}
            )
            assert reply.status_code == status, body[:20]
            assert reply.headers["content-type"] == "application/problem+json"
        schema = client.get("/openapi.json").json()
        assert (
            "application/json" in schema["paths"]["/api/predict"]["post"]["requestBody"]["content"]
        )
