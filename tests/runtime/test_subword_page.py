"""The page of a model that reads parts of words: the same numbers and answers as in Python."""

import json
import warnings

import numpy as np
import pytest
import torch
from encoders import RULES, charsmap, encoder, reviews, strange_texts, tokenizer
from folder_server import Host, served
from test_page import made, opened, until

from onecycle.core.errors import UsageError
from onecycle.runtime.inputs.subwords import encode_texts, train_subwords
from onecycle.runtime.inputs.text import TextSpec
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import write_site
from onecycle.runtime.web_runtime import page_folder
from onecycle.text.learner import text_classifier_learner
from onecycle.text.lists import TextClasDataBunch

SCRIPT = "tokenizers.min.mjs"


@pytest.fixture(scope="module")
def script(web_runtime):
    if not (web_runtime / SCRIPT).is_file():
        pytest.skip(f"no {SCRIPT}: make web")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A classifier on a tiny BERT, trained until its answers differ."""
    root = tmp_path_factory.mktemp("subwords")
    data = TextClasDataBunch.from_df(
        root, reviews(160), text_cols="text", label_cols="label", seed=0, bs=16, num_workers=0
    )
    torch.manual_seed(0)
    learn = text_classifier_learner(data, encoder(root / "model"), path=root, silent=True)
    return learn.unfreeze().fit_one_cycle(4, 4e-3).export("reviews.onnx")


@pytest.fixture(scope="module")
def host():
    return Host()


@pytest.fixture(scope="module")
def page(model, browser, script, host, tmp_path_factory):
    site = write_site(model, tmp_path_factory.mktemp("site") / "out")
    with served(site, host) as address:
        page = opened(browser, address)
        yield page
        assert page.faults == []


def answers(page, texts):
    """What the page's own modules answer; texts as code points, since surrogates may be alone."""
    found = page.evaluate(
        """async (texts) => {
            const { describe, load } = await import("./model.js");
            const ask = await load(await describe());
            const answers = [];
            for (const points of texts) {
                const text = points.map((p) => String.fromCodePoint(p)).join("");
                answers.push(Array.from((await ask(text)).probabilities));
            }
            return answers;
        }""",
        [[ord(c) for c in text] for text in texts],
    )
    return np.array(found)


def test_strange_texts_are_answered_as_in_python(page, model):
    texts = [*strange_texts(150, seed=4), *reviews(50, seed=8, longest=90).text, "\ud800 cut"]
    wanted = Predictor(model).probabilities(texts)
    np.testing.assert_allclose(answers(page, texts), wanted, atol=1e-3)
    assert np.ptp(wanted[:, 0]) > 0.5  # the texts do differ


def test_the_page_answers_what_is_typed_and_works_without_a_network(page, model, host):
    text = "A  GREAT film, naïve 電影!"
    wanted = Predictor(model).predict(text)
    page.fill("#text", text)
    page.click("#ask")
    until(page, "window.lastAnswer")
    found = page.evaluate("window.lastAnswer")
    np.testing.assert_allclose(found["probabilities"], wanted.probabilities, atol=1e-3)
    assert page.inner_text(".headline") == str(wanted)
    page.evaluate("navigator.serviceWorker.ready")
    until(page, "caches.keys().then((names) => names.some((name) => !name.endsWith('arrived')))")
    page.context.set_offline(True)
    page.reload()
    until(page, "document.body.dataset.ready === 'yes'")
    np.testing.assert_allclose(answers(page, [text])[0], wanted.probabilities, atol=1e-3)
    page.context.set_offline(False)


def definitions():
    """Tokenizers of every family, cut and whole, and the library's own."""
    t = pytest.importorskip("tokenizers")
    texts = [*reviews(300).text, *strange_texts(200, seed=1)]
    found = {kind: tokenizer(kind, texts)[0] for kind in ("bert", "roberta", "deberta")}
    found["cased"] = tokenizer("bert", texts)[0]
    found["cased"].normalizer = t.normalizers.BertNormalizer(lowercase=False)
    found["plain"] = tokenizer("bert", texts)[0]
    found["plain"].normalizer = t.normalizers.Sequence(
        [t.normalizers.NFD(), t.normalizers.Lowercase(), t.normalizers.StripAccents()]
    )
    found["plain"].pre_tokenizer = t.pre_tokenizers.Whitespace()
    for whole in found.values():
        whole.enable_truncation(20)
        whole.enable_padding(pad_id=whole.token_to_id("[PAD]") or 1)
    found["left"] = tokenizer("roberta", texts)[0]
    found["left"].enable_truncation(9, direction="left")
    bare = {**json.loads(found["deberta"].to_str()), "post_processor": None}
    rules = {"type": "Precompiled", "precompiled_charsmap": charsmap(RULES)}
    precompiled = {**json.loads(found["deberta"].to_str()), "normalizer": rules}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = {"bare": json.dumps(bare), "sentencepiece": json.dumps(precompiled)}
        own |= {kind: train_subwords(texts, 500, kind) for kind in ("unigram", "bpe")}
    return {name: whole.to_str() for name, whole in found.items()} | own


@pytest.fixture
def sources(browser, script):
    """The page's modules as they lie in the checkout, without a model."""
    if not (page_folder() / "ort" / SCRIPT).is_file():
        pytest.skip("the scripts are not beside the page: make web")
    with served(page_folder()) as address:
        page = browser.new_page()
        page.goto(f"{address}icon.svg")
        yield page
        page.close()


def test_every_family_of_tokenizers_gives_the_numbers_of_python(sources):
    texts = strange_texts(600, seed=2)
    for name, definition in definitions().items():
        found = sources.evaluate(
            """async ([definition, texts]) => {
                const { subwordNumbering } = await import("/subwords.js");
                const library = "./ort/tokenizers.min.mjs";
                const number = await subwordNumbering(definition, library);
                const back = await subwordNumbering(definition, library, true);
                const whole = (points) => points.map((p) => String.fromCodePoint(p)).join("");
                const given = texts.map(whole);
                const rows = (f) => given.map((text) => Array.from(f(text), Number));
                return [rows(number), rows(back)];
            }""",
            [definition, [[ord(c) for c in text] for text in texts]],
        )
        wanted = [ids.tolist() for ids in encode_texts(definition, texts)]
        assert len({tuple(row) for row in found[0]}) > 400, name
        for text, row, ids in zip(texts, found[0], wanted, strict=True):
            assert row == ids, (name, text)
        assert found[1] == [row[::-1] for row in wanted], name
        assert TextSpec(tokenizer=definition).page_fault() is None, name


def test_only_pages_that_need_the_script_have_it(model, script, tmp_path):
    def scripts(file, name):
        return [p.name for p in write_site(file, tmp_path / name).rglob("*") if p.name == SCRIPT]

    assert scripts(model, "texts") == [SCRIPT]
    assert scripts(made("category", tmp_path), "images") == []
    assert TextSpec(vocab=("xxunk", "film")).page_scripts == ()


def test_a_checkout_without_the_script_says_how_to_get_it(model, tmp_path, monkeypatch):
    monkeypatch.setattr("onecycle.runtime.inputs.text.TextSpec.page_scripts", ("none.mjs",))
    with pytest.raises(UsageError, match=r"none\.mjs.*make web"):
        write_site(model, tmp_path / "site")


@pytest.mark.parametrize("kind", ["Punctuation", "Nmt", "byte_fallback"])
def test_a_tokenizer_that_the_page_would_only_guess_is_refused(kind):
    tokenized = tokenizer("deberta", list(reviews(100).text))[0]
    tokenized.enable_padding()
    known = json.loads(tokenized.to_str())
    assert TextSpec(tokenizer=json.dumps(known)).page_fault() is None
    if kind == "Punctuation":
        parts = [known["pre_tokenizer"], {"type": "Punctuation", "behavior": "Isolated"}]
        known["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": parts}
    elif kind == "Nmt":
        known["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Nmt"}]}
    else:
        known["model"]["byte_fallback"] = True
    assert kind in TextSpec(tokenizer=json.dumps(known)).page_fault()
