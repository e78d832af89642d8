"""What a language model writes, against shares that are set by hand and a loop without a state."""

import numpy as np
import pandas as pd
import pytest
import torch

from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.text.learner import language_model_learner
from onecycle.text.lists import TextLMDataBunch

SIZES = {"emb_sz": 6, "n_hid": 8, "n_layers": 2}
SHARES = {"ant": 0.5, "bee": 0.25, "cat": 0.125, "dog": 0.0625}  # of all that is ever said
UNKNOWN = 1 - sum(SHARES.values())


def learner(**options):
    texts = pd.DataFrame({"text": [" ".join(SHARES)] * 30})
    how = {"text_cols": "text", "bs": 2, "bptt": 5, "min_freq": 1} | options
    torch.manual_seed(0)
    data = TextLMDataBunch.from_df(".", texts, **how)
    return language_model_learner(data, config=SIZES, silent=True)


@pytest.fixture(scope="module")
def writer():
    """Says each word with its share, whatever stands before."""
    learn = learner()
    with torch.no_grad():
        learn.model.encoder.embedding.weight.zero_()
        learn.model.bias.fill_(-1e4)
        for word, share in {**SHARES, "xxunk": UNKNOWN}.items():
            learn.model.bias[learn.vocab.index(word)] = np.log(share)
    return learn


def written(learn, n=1500, **options):
    """The shares of the words in what is written."""
    words = learn.predict("ant", n, seed=1, **options).split()[1:]
    assert len(words) == n
    return {word: words.count(word) / n for word in set(words)}


def near(found, wanted, n=1500):
    """Within five standard deviations of what is drawn."""
    wanted = {word: p for word, p in wanted.items() if p}
    assert set(found) <= set(wanted)
    total = sum(wanted.values())
    for word, p in wanted.items():
        p = p / total
        assert abs(found.get(word, 0) - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-9, word


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_shares_are_raised_to_one_over_the_temperature(writer, temperature):
    near(
        written(writer, temperature=temperature),
        {word: p ** (1 / temperature) for word, p in SHARES.items()},
    )


def test_a_low_temperature_takes_the_likeliest_and_a_high_one_takes_all_alike(writer):
    assert written(writer, 50, temperature=0.01) == {"ant": 1}
    assert written(writer, 50, temperature=1e-300) == {"ant": 1}
    near(written(writer, temperature=1e3), dict.fromkeys(SHARES, 1.0))


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 1}, 1),
        ({"top_k": 3}, 3),
        ({"top_k": 999}, 4),
        ({"min_p": 0.25}, 2),
        ({"min_p": 0.0}, 4),
        ({"top_k": 2, "min_p": 0.12}, 2),
    ],
)
def test_only_the_likeliest_are_drawn_from(writer, options, kept):
    near(written(writer, **options), dict(list(SHARES.items())[:kept]))


def test_as_many_as_top_k_says_are_drawn_from_though_all_are_alike(writer):
    learn = learner()
    with torch.no_grad():
        learn.model.encoder.embedding.weight.zero_()
    words = learn.predict("ant", 400, seed=0, top_k=2).split()[1:]
    assert len(set(words)) <= 2


def test_the_unknown_is_said_only_where_that_is_asked_for(writer):
    assert "xxunk" not in written(writer)
    assert abs(written(writer, no_unk=False)["xxunk"] - UNKNOWN) < 0.04


def test_marks_that_no_text_holds_are_never_said(writer):
    learn = learner()
    with torch.no_grad():
        learn.model.encoder.embedding.weight.zero_()
        for token in ("xxbos", "xxpad", "xxfake"):
            for i, other in enumerate(learn.vocab):
                if other == token:
                    learn.model.bias[i] = 9.0
    reported = learn.predict("ant", 60, seed=0)
    assert not {"xxbos", "xxpad", "xxfake"} & set(reported.split())
    assert len(reported.split()) > 20


def test_words_less_likely_than_min_p_are_counted_and_min_p_left_aside(writer):
    with pytest.warns(OnecycleWarning, match=r"before 30 of 30 tokens none was as likely as min_p"):
        found = written(writer, 30, min_p=0.9)
    assert set(found) > {"ant"}


def test_the_same_seed_writes_the_same_and_another_one_something_else(writer):
    first, same, other = (writer.predict("ant", 30, seed=seed) for seed in (4, 4, 5))
    assert first == same != other
    np.random.seed(0)
    drawn = [writer.predict("ant", 30) for _ in range(2)]
    np.random.seed(0)
    assert [writer.predict("ant", 30) for _ in range(2)] == drawn
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("backwards", [False, True])
def test_each_token_follows_from_all_before_it(backwards):
    """As a loop that reads all again for each new one; and nothing of a text before stays."""
    learn = learner(backwards=backwards)
    torch.manual_seed(1)  # with these weights it says three words or more
    with torch.no_grad():
        for weight in learn.model.parameters():
            weight.copy_(2 * torch.randn_like(weight))  # so that what stands before decides
        learn.model.bias.zero_()
        learn.model.bias[:9] = -1e4  # words alone
    given, begun = learn.task.input, "dog bee ant"
    ids = given.ids(begun).tolist()
    ids = ids[:-1] if backwards else ids
    length = len(ids)
    model = learn.model.eval()
    for _ in range(9):
        model.reset()
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits()[0, :13, -1]
        ids.append(int(logits.argmax()))
    assert len(set(ids[length:])) > 2
    learn.model.train()
    learn.model.encoder(torch.tensor([[9, 12, 12]]))  # what training leaves behind
    found = learn.predict(begun, 9, temperature=1e-6, seed=0)
    added = given.readable(ids[length:]).lower().split()
    assert found.lower().split() == (
        [*added, *begun.split()] if backwards else [*begun.split(), *added]
    )
    assert learn.model.training
    assert learn.model.encoder.state is None


def test_what_cannot_be_meant_is_refused(writer):
    for wrong, messages in (
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"min_p": 50}, "min_p"),
        ({"min_p": float("nan")}, "min_p"),
        ({"top_k": 2.5}, "top_k"),
        ({"seed": "x"}, "seed"),
        ({"n_words": True}, "n_words"),
    ):
        with pytest.raises(UsageError, match=messages):
            writer.predict("ant", **wrong)
    with pytest.raises(UsageError, match="writes before a text"):
        learner(backwards=True).predict("", 2)
    with pytest.raises(UsageError, match="rows is a whole number"):
        writer.show_results(rows=0)
    for table in (writer.show_results, writer.data.show_batch):
        with pytest.raises(UsageError, match="no figsize"):
            table(rows=2, figsize=(3, 3))
