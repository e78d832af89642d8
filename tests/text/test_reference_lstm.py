"""The AWD-LSTM and its classifier beside loops over every number, for random sizes."""

from itertools import pairwise
from math import exp, tanh
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from onecycle.learn.callbacks import ActivationRegularization
from onecycle.models.awd_lstm import AWD_LSTM, LanguageModel, TextClassifier

NONE = {"hidden_p": 0.0, "input_p": 0.0, "embed_p": 0.0, "weight_p": 0.0}


def sigmoid(v):
    return 1 / (1 + exp(-v))


def dot(row, column):
    return sum(a * b for a, b in zip(row, column, strict=True))


class Layer:
    """An LSTM of one text, a step at a time (Hochreiter & Schmidhuber 1997, with a forget gate)."""

    def __init__(self, lstm, recurrent=None):
        self.into, own = lstm.weight_ih_l0.tolist(), lstm.weight_hh_l0.tolist()
        self.over = own if recurrent is None else recurrent
        self.bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).tolist()
        self.h, self.c = [0.0] * lstm.hidden_size, [0.0] * lstm.hidden_size

    def step(self, x):
        n = len(self.h)
        gate = [
            dot(self.into[k], x) + dot(self.over[k], self.h) + self.bias[k] for k in range(4 * n)
        ]
        for k in range(n):
            into, forget, new, out = (gate[k + part * n] for part in range(4))
            self.c[k] = sigmoid(forget) * self.c[k] + sigmoid(into) * tanh(new)
            self.h[k] = sigmoid(out) * tanh(self.c[k])
        return list(self.h)


def read(layers, table, ids):
    """Features of the last layer after each word of a text."""
    features = []
    for word in ids:
        x = table[word]
        for layer in layers:
            x = layer.step(x)
        features.append(x)
    return features


def encoder(rng, **dropouts):
    words, emb_sz, n_hid, n_layers = (int(v) for v in rng.integers([4, 2, 2, 1], [9, 6, 7, 4]))
    made = AWD_LSTM(words, emb_sz, n_hid, n_layers, **NONE | dropouts)
    for value in made.parameters():
        torch.nn.init.normal_(value, std=0.8)
    return made.double()


@pytest.mark.parametrize("seed", range(5))
def test_a_language_model_over_two_batches(seed):
    """Logits by the embedding, which decodes as well; the second batch goes on from the first."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = LanguageModel(encoder(rng), 0.0).double().train(bool(seed % 2))
    torch.nn.init.normal_(model.bias)
    table, bias = model.encoder.embedding.weight.tolist(), model.bias.tolist()
    n = int(rng.integers(1, 4))
    texts = [[Layer(rnn.inner) for rnn in model.encoder.rnns] for _ in range(n)]
    for _ in range(2):
        ids = rng.integers(0, len(table), (n, int(rng.integers(1, 6))))
        found = model(torch.tensor(ids)).tolist()
        for text, row, words in zip(texts, found, ids, strict=True):
            for t, feature in enumerate(read(text, table, words)):
                wanted = [dot(table[k], feature) + bias[k] for k in range(len(table))]
                assert [row[k][t] for k in range(len(table))] == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_recurrent_weights_that_are_dropped_are_so_for_the_whole_batch(seed):
    """Each is 0 or 1 / (1 - p) of itself, for all texts and steps, and drawn anew for the next."""
    p, rng = 0.5, np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = encoder(rng, weight_p=p)
    table = model.embedding.weight.tolist()
    ids = rng.integers(0, len(table), (2, 5))
    outputs = []
    for batch in range(2):
        model.reset()
        torch.manual_seed(batch)
        outputs.append(model(torch.tensor(ids)).detach())
        torch.manual_seed(batch)
        recurrent = []
        for rnn in model.rnns:
            weight = rnn.inner.weight_hh_l0
            kept = torch.empty_like(weight).bernoulli_(1 - p)
            recurrent.append((kept * weight / (1 - p)).tolist())
        for row, words in zip(outputs[-1].tolist(), ids, strict=True):
            layers = [Layer(rnn.inner, w) for rnn, w in zip(model.rnns, recurrent, strict=True)]
            for found, wanted in zip(row, read(layers, table, words), strict=True):
                assert found == pytest.approx(wanted, abs=1e-10)
    assert not torch.allclose(*outputs)


@pytest.mark.parametrize("seed", range(5))
def test_a_classifier_pools_the_last_the_largest_and_the_mean_of_each_texts_own_words(seed):
    """Howard & Ruder 2018, section 3.3; windows of `bptt`, padding and `max_len` change nothing."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    bptt, max_len = int(rng.integers(1, 5)), int(rng.integers(2, 9))
    model = TextClassifier(encoder(rng), 3, (4,), bptt=bptt, max_len=max_len).double().eval()
    table = model.encoder.embedding.weight.tolist()
    texts = [rng.integers(2, len(table), int(rng.integers(1, 9))).tolist() for _ in range(4)]
    longest = max(map(len, texts))
    ids = torch.tensor([text + [1] * (longest - len(text)) for text in texts])
    for found, text in zip(model.pool(ids).tolist(), texts, strict=True):
        features = read([Layer(rnn.inner) for rnn in model.encoder.rnns], table, text)[-max_len:]
        columns = list(zip(*features, strict=True))
        means = [sum(column) / len(column) for column in columns]
        wanted = [*features[-1], *map(max, columns), *means]
        assert found == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_activations_and_their_changes_are_added_to_the_loss(seed):
    """Merity et al. 2017, section 4.6: alpha times mean squares, beta times those of changes."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    alpha, beta = (float(v) for v in rng.uniform(0.5, 3, 2))
    model = LanguageModel(encoder(rng), 0.4).double()
    ids = rng.integers(0, model.encoder.embedding.num_embeddings, (2, 4))
    model(torch.tensor(ids))
    run = SimpleNamespace(model=model, loss=torch.tensor(0.25, dtype=torch.float64))
    ActivationRegularization(alpha, beta).after_loss(run)
    dropped, raw = model.encoder.dropped.tolist(), model.encoder.raw.tolist()
    squares = [v * v for text in dropped for step in text for v in step]
    changes = [
        (b - a) ** 2
        for text in raw
        for now, then in pairwise(text)
        for a, b in zip(now, then, strict=True)
    ]
    mean = alpha * sum(squares) / len(squares) + beta * sum(changes) / len(changes)
    assert run.loss.item() == pytest.approx(0.25 + mean, rel=1e-6)
