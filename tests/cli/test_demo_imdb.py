"""The review demonstration: what it writes, and that it learns what counting words cannot."""

import csv
import re

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from onecycle.cli import demo_imdb
from onecycle.models.awd_lstm import AWD_LSTM
from onecycle.runtime.inputs.words import tokenize
from onecycle.runtime.predictor import Predictor
from onecycle.samples import reviews_sample
from onecycle.text.pretrained import write_encoder


def read(root):
    rows = list(csv.DictReader((root / "texts.csv").read_text("utf-8").splitlines()))
    return [[r for r in rows if (r["is_valid"] == "True") is side] for side in (False, True)]


def test_reviews_are_the_same_for_a_seed_and_differ_otherwise(tmp_path):
    one, two, other = (
        read(reviews_sample(tmp_path / str(i), n=20 + i, seed=seed))
        for i, seed in enumerate((3, 3, 4))
    )
    assert [r["text"] for r in one[0]] == [r["text"] for r in two[0]][: len(one[0])]
    assert one[0][0]["text"] != other[0][0]["text"]
    assert {r["label"] for r in one[0]} == {"negative", "positive"}


def test_counting_words_is_not_enough(tmp_path):
    train, valid = read(reviews_sample(tmp_path / "reviews", n=2000))
    counts = CountVectorizer(analyzer=tokenize)
    x = counts.fit_transform([r["text"] for r in train])
    held = counts.transform([r["text"] for r in valid])
    best = max(
        LogisticRegression(C=c, max_iter=2000)
        .fit(x, [r["label"] for r in train])
        .score(held, [r["label"] for r in valid])
        for c in (0.01, 0.1, 1.0)
    )
    assert best <= 0.75


def test_the_demonstration_leaves_a_model_that_runs(tmp_path):
    """In tiny form, on an encoder that knows nothing: what it writes, not what it reaches."""
    rows = reviews_sample(tmp_path / "r", n=300)
    words = sorted({t for side in read(rows) for r in side for t in tokenize(r["text"])})
    write_encoder(tmp_path / "none.safetensors", AWD_LSTM(len(words), 16, 24, 2), words)
    stages = demo_imdb.imdb(
        tmp_path / "out",
        300,
        0,
        lm_epochs=1,
        stages=(("head", -1, 1, slice(1e-2)), ("all", None, 1, slice(1e-3, 1e-2))),
        pretrained=str(tmp_path / "none.safetensors"),
    )
    assert list(stages) == ["head", "all"]
    out = tmp_path / "out"
    assert Predictor(out / "reviews.onnx").classes == ("negative", "positive")
    assert (out / "model.safetensors").is_file()
    for name in ("batch", "worst", "words"):
        assert "<td>" in (text := (out / f"{name}.html").read_text()) or "<span" in text
    shades = re.findall(r'title="([+-][\d.]+)"', (out / "words.html").read_text())
    assert len(shades) > 10
    assert np.abs([float(s) for s in shades]).max() <= 1


@pytest.mark.slow
def test_the_demonstration_reads_what_counting_words_cannot(tmp_path):
    stages = demo_imdb.imdb(tmp_path / "out", 2000, 0)
    assert stages["all layers"]["accuracy"] >= 0.9
