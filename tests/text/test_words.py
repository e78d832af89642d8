"""Tokens: the course's rules, nothing lost, time that grows with the length alone."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecycle.spec.targets import CategorySpec
from onecycle.spec.task import task_from_json, task_to_json
from onecycle.spec.text import TextSpec, vocabulary
from onecycle.spec.words import SPECIAL, detokenize, tokenize


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("I'm NOT sure", ["i", "'m", "xxup", "not", "sure"]),
        ("This is cccc", ["xxmaj", "this", "is", "xxrep", "4", "c"]),
        ("so so so so bad", ["xxwrep", "4", "so", "bad"]),
        ("fine<br />really", ["fine", "\n", "really"]),
        ("don't can't", ["do", "n't", "ca", "n't"]),
        ("10/10 #1", ["10", "/", "10", "#", "1"]),
        ("Mr. Smith's U.S. tour", ["xxmaj", "mr.", "xxmaj", "smith", "'s", "xxup", "u.s.", "tour"]),
        ("costs $1,000.50!", ["costs", "$", "1,000.50", "!"]),
        ("rock &amp; roll", ["rock", "&", "roll"]),
        ("I A x", ["i", "a", "x"]),
        ("", []),
        ("  \t ", []),
        ("我喜歡 😀", ["我喜歡", "😀"]),
    ],
)
def test_a_text_becomes_these_tokens(text, tokens):
    assert tokenize(text) == ["xxbos", *tokens]


@given(st.text(max_size=300))
def test_any_text_is_tokenized_and_keeps_its_letters(text):
    tokens = tokenize(text)
    assert tokens[0] == "xxbos"
    assert not any(" " in token or token == "" for token in tokens)
    if not set("<&;\\#@") & set(text) and "xx" not in text.lower():
        given_letters = sum(c.isalpha() for c in text)
        if not any(t in {"xxrep", "xxwrep"} for t in tokens):
            kept = "".join(t for t in tokens if t not in SPECIAL)
            assert sum(c.isalpha() for c in kept) >= given_letters


@pytest.mark.parametrize(
    "unit",
    ["a", "ab ", "<", "n't", "x@", "A.", "1,", "'", "a a ", "a'", "\n", "@", "https://", "é"],
)
def test_time_grows_with_the_length_alone(unit):
    def seconds(n):
        start = time.process_time()
        tokenize(unit * (n // len(unit)))
        return time.process_time() - start

    short, long = max(seconds(50_000), 0.01), seconds(500_000)
    assert long < 60 * short


def test_lone_surrogates_and_broken_bytes_are_no_error():
    assert tokenize("bad \ud800 char")[1] == "bad"


def test_tokens_read_as_text_again():
    text = "I'm NOT sure, Mr. Smith: it costs $5 (really)!"
    assert detokenize(tokenize(text)) == text.replace("I'm", "i'm")


def test_the_vocabulary_is_by_count_then_spelling_with_the_special_tokens_first():
    texts = [["b", "b", "a", "c", "a", "rare"], ["c", "d", "d", "d"]]
    vocab = vocabulary(texts, min_freq=2)
    assert vocab[:9] == SPECIAL
    assert vocab[9:13] == ("d", "a", "b", "c")
    assert len(vocab) % 8 == 0
    assert vocab[13] == "xxfake"
    assert vocabulary(texts, max_vocab=11, min_freq=1) == (*SPECIAL, "d", "a")


def test_numbers_come_back_as_tokens_through_json():
    spec = TextSpec((*SPECIAL, "good", "film", "xxfake", "xxfake"))
    told = json.loads(json.dumps(task_to_json(spec, CategorySpec(("a", "b")))))
    again = task_from_json(told)[0]
    ids = again.ids("Good film, bad")
    assert ids.dtype == np.int64
    assert ids.tolist() == [2, 5, 9, 10, 0, 0]
    assert again.tokens(ids)[:4] == ["xxbos", "xxmaj", "good", "film"]


def test_the_golden_tokens_are_those_of_the_stored_file():
    """The page's tokenizer is held to the same file: tests/deploy/test_text_page.py."""
    file = Path(__file__).parents[1] / "spec" / "tokens.json"
    for row in json.loads(file.read_text(encoding="utf-8")):
        assert tokenize(row["text"]) == row["tokens"]
