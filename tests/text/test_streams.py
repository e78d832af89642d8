"""Batches of texts against lists made by hand: a language model's streams, batches by length."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from onecycle.core.rng import generator
from onecycle.data.databunch import DatasetType
from onecycle.learn.metrics import accuracy, perplexity
from onecycle.text.learner import language_model_learner
from onecycle.text.lists import TextClasDataBunch, TextLMDataBunch

SIZES = {"emb_sz": 6, "n_hid": 8, "n_layers": 2}


def texts(n, longest=17, seed=0):
    """Texts of 1 to `longest` words, lopsided; the longest come in no order."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(list("abcdefgh"), rng.integers(1, longest))) for _ in range(n)]


@pytest.fixture(scope="module")
def frames():
    return pd.DataFrame({"text": texts(40)}), pd.DataFrame({"text": texts(13, seed=1)})


def streams(frames, **options):
    how = {"text_cols": "text", "bs": 3, "bptt": 7, "min_freq": 1, "num_workers": 0} | options
    return TextLMDataBunch.from_df(".", *frames, **how)


def flat(spec, rows):
    """The ids of texts, one after the other."""
    return [int(i) for row in rows for i in spec.ids(row)]


def by_hand(ids, bs, bptt):
    """[(x, y)] of `bs` streams: each goes on where its batch before ended, y is one token later."""
    each = (len(ids) - 1) // bs
    found = []
    for start in range(0, each, bptt):
        end = min(start + bptt, each)
        x = [[ids[row * each + t] for t in range(start, end)] for row in range(bs)]
        y = [[ids[row * each + t + 1] for t in range(start, end)] for row in range(bs)]
        found.append((x, y))
    return found


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("bs", "bptt"), [(3, 7), (5, 1), (2, 500), (1, 9)])
def test_each_token_is_predicted_once_from_the_one_before_it(frames, bs, bptt, backwards):
    data = streams(frames, bs=bs, bptt=bptt, backwards=backwards)
    spec = data.task.input
    for side, rows, epoch in (("valid", frames[1].text, 0), ("train", frames[0].text, 0)) * 2:
        loader = data.dl(DatasetType(side))
        epoch, order = loader.state(), range(len(rows))
        if side == "train":
            order = generator(0, epoch, -1).permutation(len(rows))
        ids = flat(spec, [rows[int(i)] for i in order])
        found = [(x.tolist(), y.tolist()) for x, y in loader]
        assert found == by_hand(ids, bs, bptt)
        assert len(loader) == len(found)
        reported = Counter(token for _, y in found for row in y for token in row)
        rest = (len(ids) - 1) % bs
        assert reported == Counter(ids[1 : len(ids) - rest])


def test_texts_come_in_another_order_with_every_epoch_and_with_every_seed_and_stay_whole(frames):
    passes = {}
    for seed in (0, 1):
        data = TextLMDataBunch.from_df(
            ".", *frames, text_cols="text", bs=1, bptt=999, min_freq=1
        ).src.databunch(bs=1, seed=seed)
        for epoch in range(3):
            ((x, _),) = list(data.train_dl)
            passes[seed, epoch] = tuple(x[0].tolist())
    assert len(set(passes.values())) == 6
    spec = data.task.input
    whole = sorted(tuple(spec.ids(text).tolist()) for text in frames[0].text)
    for ids in passes.values():
        starts = [i for i, token in enumerate(ids) if token == 2]
        found = [ids[a:b] for a, b in pairwise([*starts, len(ids)])]
        assert len(found) == 40
        assert sum(text in whole for text in found) >= 39  # the last one lacks what is only said


def test_a_pass_comes_again_when_its_state_is_put_back(frames):
    loader = streams(frames).train_dl
    next(iter(loader))
    state = loader.state()
    first = [x.tolist() for x, _ in loader]
    assert [x.tolist() for x, _ in loader] != first
    loader.restore(state)
    assert [x.tolist() for x, _ in loader] == first
    still = streams(frames).valid_dl
    assert [x.tolist() for x, _ in still] == [x.tolist() for x, _ in still]
    assert still.state() == 0


def test_the_state_of_the_network_goes_on_from_batch_to_batch(frames):
    """What all batches together give is what one pass over each whole stream gives."""
    data = streams(frames, bs=3, bptt=4)
    learn = language_model_learner(data, config=SIZES, silent=True)
    model = learn.model.eval()
    ids = flat(data.task.input, frames[1].text)
    each = (len(ids) - 1) // 3
    rows = torch.tensor([ids[row * each : row * each + each] for row in range(3)])
    later = torch.tensor([ids[row * each + 1 : row * each + each + 1] for row in range(3)])
    with torch.no_grad():
        model.reset()
        wanted = model(rows).logits().double()
        shares = wanted.log_softmax(1)
    loss = -float(shares.gather(1, later[:, None]).mean())
    right = float((wanted.argmax(1) == later).double().mean())
    learn.metrics = [accuracy, perplexity]
    assert learn.validate() == pytest.approx([loss, right, np.exp(loss)], rel=1e-5)


def test_every_token_counts_alike_though_the_last_batch_is_narrow(frames):
    data = streams(frames, bs=2, bptt=40)
    widths = [x.shape[1] for x, _ in data.valid_dl]
    assert widths[-1] < 40 == widths[0]
    learn = language_model_learner(data, config=SIZES, silent=True)
    firsts = [float(y[0, 0]) for _, y in data.valid_dl]

    def named(outputs, y):
        return y[0, 0].float()  # the same for all of a batch

    wanted = np.average(firsts, weights=widths)
    assert abs(wanted - np.mean(firsts)) > 0.1
    assert learn.validate(metrics=[named])[1] == pytest.approx(wanted)
    learn.metrics = [named]
    learn.fit(1, 1e-3)
    assert learn.history[-1]["named"] == pytest.approx(wanted)


# --- batches by length ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled():
    own = [f"{text} n{i}" for i, text in enumerate(texts(75, 60))]  # no two are alike
    frame = pd.DataFrame({"label": list("xyz") * 25, "text": own})
    return TextClasDataBunch.from_df(".", frame, frame[:31], bs=8, min_freq=1), frame


def padded(spec, rows):
    """Ids with the padding behind them."""
    ids = [spec.ids(row).tolist() for row in rows]
    longest = max(map(len, ids))
    return [row + [1] * (longest - len(row)) for row in ids]


@pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")
def test_validation_goes_from_the_longest_text_to_the_shortest_with_its_labels(labelled):
    data, frame = labelled
    spec = data.task.input
    rows = sorted(range(31), key=lambda i: -len(spec.ids(frame.text[i])))  # ties as they stand
    assert data.valid_dl.order.tolist() == rows
    for n, (x, y) in enumerate(data.valid_dl):
        mine = rows[8 * n : 8 * n + 8]
        assert x.tolist() == padded(spec, [frame.text[i] for i in mine])
        assert y.tolist() == ["xyz".index(frame.label[i]) for i in mine]
    assert n == 3
    assert len(data.valid_dl) == 4


def test_training_takes_each_text_once_in_batches_of_neighbours_the_longest_first(labelled):
    data, frame = labelled
    spec, loader = data.task.input, data.train_dl
    known = {tuple(spec.ids(row.text).tolist()): row.label for row in frame.itertuples()}
    orders = []
    for _ in range(3):
        batches = list(loader)
        assert [len(x) for x, _ in batches] == [8] * 9
        assert len(batches[0][0][0]) == max(x.shape[1] for x, _ in batches)
        seen = []
        for x, y in batches:
            for row, label in zip(x.tolist(), y.tolist(), strict=True):
                text = tuple(token for token in row if token != 1)
                seen.append(text)
                assert known[text] == "xyz"[label]
        assert len(set(seen)) == 72
        orders.append(seen)
        lengths = sorted((len(text) for text in seen), reverse=True)
        messages = sorted(
            (sorted(map(len, seen[i : i + 8])) for i in range(0, 72, 8)), reverse=True
        )
        assert [n for batch in messages for n in reversed(batch)] == lengths
    assert orders[0] != orders[1] != orders[2]


def test_the_order_of_training_depends_on_seed_and_epoch_alone(labelled):
    src = labelled[0].src
    first, same, other = (src.databunch(bs=8, seed=seed) for seed in (3, 3, 4))
    firsts = [[x.tolist() for x, _ in data.train_dl] for data in (first, same, other)]
    assert firsts[0] == firsts[1]
    assert firsts[0] != firsts[2]
    assert sorted(map(str, firsts[0])) != sorted(map(str, firsts[2]))
    state = first.train_dl.state()
    assert state == 1
    again = [x.tolist() for x, _ in first.train_dl]
    assert again != firsts[0]
    first.train_dl.restore(state)
    assert [x.tolist() for x, _ in first.train_dl] == again
