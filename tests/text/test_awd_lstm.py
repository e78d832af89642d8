"""The AWD-LSTM against its formulas, written out one step, one weight and one mask at a time."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from onecycle.learn.callback import Callback
from onecycle.models.awd_lstm import (
    AWD_LSTM,
    CLASSIFIER_DROPOUTS,
    LM_DROPOUTS,
    LanguageModel,
    TextClassifier,
    WeightDropLSTM,
    dropouts,
)
from onecycle.text.input import NextToken
from onecycle.text.learner import language_model_learner, text_classifier_learner
from onecycle.text.lists import TextClasDataBunch, TextLMDataBunch

SIZES = {"emb_sz": 6, "n_hid": 8, "n_layers": 2}
IDS = torch.tensor([[2, 5, 5, 9, 3], [4, 0, 7, 5, 1]])


def mask(shape, p):
    """Zeros with probability `p`, and 1 / (1 - p)."""
    return torch.empty(shape, dtype=torch.float64).bernoulli_(1 - p) / (1 - p)


def lstm(x, weights, recurrent, state):
    """An LSTM (n, t, d), one step after the other; the gates are in, forget, cell and out."""
    h, c = state
    outputs = []
    for t in range(x.shape[1]):
        gates = x[:, t] @ weights.weight_ih_l0.T + weights.bias_ih_l0
        gates = gates + h @ recurrent.T + weights.bias_hh_l0
        i, f, g, o = gates.chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs, 1), (h, c)


def language_model(model, ids, states, p):
    """(logits, raw, dropped, states): dropout of words, of inputs, of recurrent weights and so on.

    Masks are drawn in the order in which they are needed; all but those of weights are the same
    for every step of a text.
    """
    encoder = model.encoder
    table = encoder.embedding.weight
    x = (table * mask((len(table), 1), p["embed_p"]))[ids]
    x = x * mask((len(ids), 1, x.shape[2]), p["input_p"])
    after = []
    for i, rnn in enumerate(encoder.rnns):
        weights = rnn.inner
        recurrent = F.dropout(weights.weight_hh_l0, p["weight_p"])
        x, state = lstm(x, weights, recurrent, states[i])
        after.append(state)
        raw = x
        if i == 0:
            x = x * mask((len(ids), 1, x.shape[2]), p["hidden_p"])
    x = x * mask((len(ids), 1, x.shape[2]), p["output_p"])
    return (x @ table.T + model.bias).transpose(1, 2), raw, x, after


def nothing(encoder, n):
    """The states of texts that have not begun."""
    zeros = [torch.zeros(n, rnn.inner.hidden_size, dtype=torch.float64) for rnn in encoder.rnns]
    return [(zero, zero) for zero in zeros]


@pytest.mark.parametrize("scale", [0.0, 1.0, 1.9])
def test_a_training_step_is_that_of_the_formulas_and_goes_on_from_the_one_before(scale):
    p = {k: v * scale for k, v in LM_DROPOUTS.items()}
    torch.manual_seed(3)
    inner = {k: v for k, v in p.items() if k != "output_p"}
    model = LanguageModel(AWD_LSTM(10, **SIZES, **inner), p["output_p"]).double()
    torch.nn.init.normal_(model.bias)
    states = nothing(model.encoder, 2)
    for batch, ids in enumerate((IDS, IDS.flip(1))):
        torch.manual_seed(batch)
        found = model(ids)
        torch.manual_seed(batch)
        if scale:
            wanted, raw, dropped, states = language_model(model, ids, states, p)
        else:
            wanted, raw, dropped, states = without_dropout(model, ids, states)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
        torch.testing.assert_close(model.encoder.raw, raw, rtol=0, atol=1e-12)
        torch.testing.assert_close(model.encoder.dropped, dropped, rtol=0, atol=1e-12)
        assert not any(part.requires_grad for state in model.encoder.state for part in state)


def without_dropout(model, ids, states):
    """The same with no mask at all: none is drawn."""
    x, after = model.encoder.embedding.weight[ids], []
    for rnn, state in zip(model.encoder.rnns, states, strict=True):
        x, state = lstm(x, rnn.inner, rnn.inner.weight_hh_l0, state)
        after.append(state)
    return (x @ model.encoder.embedding.weight.T + model.bias).transpose(1, 2), x, x, after


def test_in_evaluation_nothing_is_dropped():
    torch.manual_seed(0)
    model = LanguageModel(AWD_LSTM(10, **SIZES), 0.5).double().eval()
    found = model(IDS)
    wanted = without_dropout(model, IDS, nothing(model.encoder, 2))[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_weights_are_dropped_between_steps_and_never_on_the_way_in():
    """Of one step from nothing, only what comes in counts; dropped weights show in the second."""
    torch.manual_seed(0)
    rnn = WeightDropLSTM(4, 5, 0.9)
    x = torch.randn(3, 2, 4)
    torch.testing.assert_close(rnn(x[:, :1], None)[0], rnn.inner(x[:, :1])[0])
    assert not torch.allclose(rnn(x, None)[0][:, 1], rnn.inner(x)[0][:, 1])


def test_a_batch_of_another_size_begins_anew():
    model = AWD_LSTM(10, **SIZES).eval()
    fresh = model(IDS[:1])
    model(IDS)
    torch.testing.assert_close(model(IDS[:1]), fresh)
    assert not torch.allclose(model(IDS[:1]), fresh)
    model.reset()
    assert model.state is model.raw is model.dropped is None
    torch.testing.assert_close(model(IDS[:1]), fresh)


def test_the_padding_has_no_vector_and_words_begin_within_a_tenth():
    torch.manual_seed(0)
    weight = AWD_LSTM(400, padding=3, **SIZES).embedding.weight.detach()
    assert 0.09 < weight.abs().max() <= 0.1
    model = AWD_LSTM(10, padding=3, **SIZES)
    model(IDS).sum().backward()
    grad = model.embedding.weight.grad.abs().sum(1)
    assert [i for i in range(10) if not grad[i]] == [3, 6, 8]  # 6 and 8 are in no text


def test_every_layer_but_the_last_is_as_wide_as_told():
    widths = [
        (rnn.inner.input_size, rnn.inner.hidden_size)
        for rnn in AWD_LSTM(10, emb_sz=6, n_hid=8, n_layers=3).rnns
    ]
    assert widths == [(6, 8), (8, 8), (8, 6)]


def test_groups_go_from_the_rnns_to_the_decoder_or_from_the_words_to_the_head():
    encoder = AWD_LSTM(10, **SIZES)
    language, classifier = LanguageModel(encoder), TextClassifier(encoder, 2)
    names = [{id(p): name for name, p in m.named_parameters()} for m in (language, classifier)]
    groups = [
        [sorted({names[i][id(p)].rpartition(".")[0] for p in group}) for group in m.layer_groups()]
        for i, m in enumerate((language, classifier))
    ]
    rnns = [["encoder.rnns.0.inner"], ["encoder.rnns.1.inner"]]
    assert groups[0] == [*rnns, ["", "encoder.embedding"]]
    head = ["head.0", "head.2", "head.4", "head.6"]
    assert groups[1] == [["encoder.embedding"], *rnns, head]
    for m in (language, classifier):
        assert sum(len(g) for g in m.layer_groups()) == len(list(m.parameters()))


# --- what the learners make of it ---------------------------------------------------------------


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    rows = [
        ("yes" if i % 3 else "no", " ".join(rng.choice(list("abcdefgh"), 30))) for i in range(24)
    ]
    return pd.DataFrame(rows, columns=["label", "text"])


@pytest.fixture
def streams(frame):
    return TextLMDataBunch.from_df(".", frame, seed=0, bs=4, bptt=10)


class Kept(Callback):
    """The whole loss of each batch, what the encoder left, and the norm of the gradients."""

    order = 100

    def __init__(self):
        self.rows, self.norms = [], []

    def after_loss(self, run):
        encoder = run.model.encoder
        whole, alone = float(run.loss.detach()), run.loss_value
        self.rows.append((whole - alone, encoder.dropped.detach(), encoder.raw.detach()))

    def after_backward(self, run):
        grads = [p.grad.flatten() for p in run.model.parameters() if p.grad is not None]
        self.norms.append(float(torch.cat(grads).norm()))


@pytest.mark.parametrize(
    ("options", "alpha", "beta"),
    [
        ({}, 2, 1),
        ({"alpha": 0.0}, 0, 1),
        ({"beta": 0.0}, 2, 0),
        ({"alpha": 3.0, "beta": 5.0}, 3, 5),
        ({"callbacks": []}, 2, 1),
    ],
)
def test_the_loss_holds_activations_and_their_changes_unless_told_otherwise(
    streams, options, alpha, beta
):
    torch.manual_seed(0)
    learn = language_model_learner(streams, config=SIZES, silent=True, **options)
    kept = Kept()
    learn.fit(1, 1e-3, callbacks=[kept])
    assert len(kept.rows) > 3
    for extra, dropped, raw in kept.rows:
        small = sum(float(v) ** 2 for v in dropped.flatten()) / dropped.numel()
        n, t, d = raw.shape
        steps = [((raw[:, i + 1] - raw[:, i]) ** 2).sum() for i in range(t - 1)]
        slow = float(sum(steps)) / (n * (t - 1) * d) if t > 1 else 0.0
        assert extra == pytest.approx(alpha * small + beta * slow, abs=1e-5)
        assert not torch.equal(dropped, raw)


def test_gradients_are_as_long_as_clip_says(streams):
    norms = []
    for clip in (None, 0.02):
        torch.manual_seed(0)
        learn = language_model_learner(streams, config=SIZES, clip=clip, silent=True)
        kept = Kept()
        learn.fit(1, 1e-3, callbacks=[kept])
        norms.append(kept.norms)
    assert min(norms[0]) > 0.05
    assert len(language_model_learner(streams, config=SIZES, clip=0).callbacks) == 1
    assert norms[1] == pytest.approx([0.02] * len(norms[1]), rel=1e-3)


@pytest.mark.parametrize("drop_mult", [0.0, 0.5, 1.0])
def test_each_kind_of_learner_has_its_own_dropouts_times_drop_mult(streams, frame, drop_mult):
    language = language_model_learner(streams, config=SIZES, drop_mult=drop_mult).model
    labelled = TextClasDataBunch.from_df(".", frame, seed=0, bs=4)
    classifier = text_classifier_learner(labelled, config=SIZES, drop_mult=drop_mult).model
    wanted = [
        {"output_p": 0.1, "hidden_p": 0.15, "input_p": 0.25, "embed_p": 0.02, "weight_p": 0.2},
        {"output_p": 0.4, "hidden_p": 0.3, "input_p": 0.4, "embed_p": 0.05, "weight_p": 0.5},
    ]
    heads = (language.output_p, classifier.head[1].p)
    for model, rates, head in zip((language, classifier), wanted, heads, strict=True):
        encoder = model.encoder
        found = {name: getattr(encoder, name) for name in ("hidden_p", "input_p", "embed_p")}
        found |= {"output_p": head, "weight_p": encoder.rnns[1].weight_p}
        assert found == pytest.approx({k: v * drop_mult for k, v in rates.items()})
    assert classifier.head[5].p == 0.1  # of the head's own, which drop_mult leaves alone
    assert dropouts(CLASSIFIER_DROPOUTS, 1) == wanted[1]


def test_the_loss_of_tokens_is_the_mean_over_all_and_of_each_row_over_its_own():
    logits = torch.randn(2, 5, 3, generator=torch.manual_seed(0)).double()
    y = torch.tensor([[1, 4, 0], [2, 2, 3]])
    each = [
        [-float(logits[n, y[n, t], t] - torch.logsumexp(logits[n, :, t], 0)) for t in range(3)]
        for n in range(2)
    ]
    target = NextToken(5)
    assert float(target.loss(logits, y)) == pytest.approx(np.mean(each))
    assert target.loss(logits, y, "none").tolist() == pytest.approx(np.mean(each, 1))
    shares = target.activate(logits)
    assert shares.sum(1).tolist() == pytest.approx(np.ones((2, 3)))
    assert (shares.argmax(1) == logits.argmax(1)).all()
