"""Tokens: the course's rules, nothing lost, time that grows with the length alone."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecycle.runtime.inputs.text import TextSpec, text_of, vocabulary
from onecycle.runtime.inputs.words import SPECIAL, clean, detokenize, tokenize
from onecycle.runtime.targets.category import CategorySpec
from onecycle.runtime.task import task_from_json, task_to_json


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


HTML = ["<br />", "&amp;", "&#x41;", "www.a.b", "a@b.c", "aaaaaa", "so so so so"]
LONG = ["n't", "Unputdownable", "Überlängenwort"]
ODD = ["\u0301", "\u200d", "\ufeff", "\x00", "\x1c", "\u2028", "\ud800", "\U0001f468", *"İßǅ"]
PARTS = st.one_of(st.sampled_from([*HTML, *ODD, *LONG]), st.text(max_size=12))
PLAIN = st.lists(PARTS, max_size=30).map("".join)
ANY = st.lists(st.one_of(PARTS, st.sampled_from(SPECIAL)), max_size=40).map("".join)


def letters(text):
    return sorted(c for c in text.casefold() if c.isalnum())


@given(ANY)
def test_any_text_is_tokenized(text):
    tokens = tokenize(text)
    assert tokens[0] == "xxbos"
    assert not any(" " in token or token == "" for token in tokens)
    assert isinstance(detokenize(tokens), str)
    assert (TextSpec((*SPECIAL, "a")).ids(text) < 10).all()


@given(PLAIN)
def test_no_letter_is_lost_beyond_the_rules(text):
    """What tokens hold is what the text held after its clean-up, which only HTML shortens."""
    held = letters(clean(text.encode("utf-8", "replace").decode()))
    reported = [token for token in tokenize(text)[1:] if token not in {"xxmaj", "xxup"}]
    if "xx" not in text.casefold():
        assert letters("".join(reported)) == held


@given(st.text(st.characters(codec="utf-8", exclude_characters="<&;\\#@"), max_size=200))
def test_without_html_and_repetition_the_clean_up_loses_nothing_at_all(text):
    cleaned = clean(text)
    if "xx" not in cleaned:
        assert cleaned.split() == re.sub(r"(?<![:/])([/#\n])(?!/)", r" \1 ", text).split()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_a_text(data):
    assert tokenize(text_of(data))[0] == "xxbos"
    marked = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    assert text_of(data) == data.decode("utf-16" if marked else "utf-8-sig", "replace")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_mark_of_an_encoding_is_no_part_of_the_text(encoding):
    assert text_of("Schön".encode(encoding)) == "Schön"


@pytest.mark.parametrize("text", ["", " ", "\n", "\t \u3000", "\ufeff", "\x00"])
def test_empty_and_blank_texts_are_a_begin_and_little_more(text):
    assert len(tokenize(text)) <= 2
    assert tokenize(text)[0] == "xxbos"


@pytest.mark.parametrize("unit", ["a", "Word and, word. ", "字"])
def test_a_document_of_ten_megabytes_is_tokenized(unit):
    tokens = tokenize(unit * (10_000_000 // len(unit.encode())))
    assert tokens[0] == "xxbos"
    assert 2 <= len(tokens) <= 4_000_000


@pytest.mark.parametrize(
    "unit",
    [
        *["a", "ab ", "<", "n't", "x@", "A.", "1,", "'", "a a ", "a'", "\n", "@", "https://", "é"],
        *["\t", "\xa0", "\u3000", "\r", "&nbsp;", "\t\n", "\r\r\n"],
    ],
)
def test_time_grows_with_the_length_alone(unit):
    def seconds(n):
        start = time.process_time()
        tokenize(unit * (n // len(unit)))
        return time.process_time() - start

    tenth, short = max(seconds(2_000), 0.002), seconds(20_000)
    assert short < 60 * tenth
    assert seconds(200_000) < 60 * max(short, 0.01)


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
    messages = json.loads(json.dumps(task_to_json(spec, CategorySpec(("a", "b")))))
    again = task_from_json(messages)[0]
    ids = again.ids("Good film, bad")
    assert ids.dtype == np.int64
    assert ids.tolist() == [2, 5, 9, 10, 0, 0]
    assert again.tokens(ids)[:4] == ["xxbos", "xxmaj", "good", "film"]


def test_the_golden_tokens_are_those_of_the_stored_file():
    """The page's tokenizer is held to the same file: tests/runtime/test_text_page.py."""
    file = Path(__file__).parents[1] / "runtime" / "tokens.json"
    for row in json.loads(file.read_text(encoding="utf-8")):
        assert tokenize(row["text"]) == row["tokens"]
