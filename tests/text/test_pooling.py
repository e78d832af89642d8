"""What the head of a text classifier sees, against each text alone and by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from onecycle.models.awd_lstm import AWD_LSTM, TextClassifier, text_head
from onecycle.models.head import TransformerClassifier

LENGTHS = [1, 13, 4, 9, 5]


def padded(rows, padding):
    """Rows of ids in one tensor, the padding behind them, and two columns of nothing else."""
    ids = torch.full((len(rows), max(map(len, rows)) + 2), padding)
    for row, given in zip(ids, rows, strict=True):
        row[: len(given)] = given
    return ids


def by_hand(features, limit):
    """Last, maximum and mean of the last `limit` features (t, d) of one text."""
    features = features.detach()
    seen = features[-limit:]
    highest = [max(float(step[k]) for step in seen) for k in range(features.shape[1])]
    mean = [sum(float(step[k]) for step in seen) / len(seen) for k in range(features.shape[1])]
    return [*features[-1].tolist(), *highest, *mean]


@pytest.mark.parametrize("padding", [1, 6])
@pytest.mark.parametrize(("bptt", "max_len"), [(4, 100), (4, 6), (5, 5), (1, 3), (50, 2)])
def test_a_text_is_pooled_over_its_own_last_tokens_whatever_stands_beside_it(
    bptt, max_len, padding
):
    torch.manual_seed(0)
    encoder = AWD_LSTM(20, 5, 7, 2, padding=padding).double()
    nn.init.normal_(encoder.embedding.weight)  # the padding has a vector, which must not count
    model = TextClassifier(encoder, 3, (4,), (0.0, 0.0), bptt, max_len).double().eval()
    rows = [torch.randint(7, 20, (n,)) for n in LENGTHS]
    with torch.no_grad():
        found = model.pool(padded(rows, padding))
        assert encoder.state is None
        for row, pooled in zip(rows, found, strict=True):
            encoder.reset()
            wanted = by_hand(encoder(row[None])[0], max_len)
            assert pooled.tolist() == pytest.approx(wanted, abs=1e-12)


def test_the_padding_within_a_text_is_a_token_and_an_empty_text_is_one():
    torch.manual_seed(0)
    encoder = AWD_LSTM(20, 5, 7, 1).eval()
    model = TextClassifier(encoder, 2, bptt=4).eval()
    ids = torch.tensor([[3, 1, 4, 1, 1], [1, 1, 1, 1, 1]])
    with torch.no_grad():
        found = model.pool(ids)
        for row, pooled in zip((ids[0, :3], ids[1, :1]), found, strict=True):
            encoder.reset()
            assert pooled.tolist() == pytest.approx(by_hand(encoder(row[None])[0], 99), abs=1e-6)


def test_a_head_is_norm_dropout_and_layer_for_each_width_and_nothing_after_the_last():
    kinds = [type(layer).__name__ for layer in text_head([9, 6, 4, 2], [0.5, 0.3, 0.1])]
    block = ["BatchNorm1d", "Dropout", "Linear"]
    assert kinds == [*block, "ReLU", *block, "ReLU", *block]
    head = text_head([9, 6, 4, 2], [0.5, 0.3, 0.1])
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.5, 0.3, 0.1]
    widths = [(m.in_features, m.out_features) for m in head if isinstance(m, nn.Linear)]
    assert widths == [(9, 6), (6, 4), (4, 2)]


class Body(nn.Module):
    """Gives each token its vector, and keeps what it was asked for."""

    def __init__(self, n_layers=3):
        super().__init__()
        self.words = nn.Embedding(20, 4)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(n_layers))
        self.final = nn.LayerNorm(4)

    def forward(self, input_ids, attention_mask):
        self.mask = attention_mask
        return SimpleNamespace(last_hidden_state=self.words(input_ids))


@pytest.mark.parametrize("padding", [0, 6])
def test_a_transformer_is_pooled_over_its_tokens_and_first_of_all_the_first(padding):
    torch.manual_seed(0)
    model = TransformerClassifier(Body(), 4, 2, padding).double().eval()
    model.head = nn.Identity()
    rows = [torch.randint(7, 20, (n,)) for n in LENGTHS]
    found = model(padded(rows, padding))
    assert model.body.mask.tolist() == [[int(t < n) for t in range(15)] for n in LENGTHS]
    for row, pooled in zip(rows, found, strict=True):
        x = model.body.words(row)
        wanted = [*x[0].tolist(), *by_hand(x, 99)[4:]]
        assert pooled.tolist() == pytest.approx(wanted, abs=1e-12)


def test_an_empty_text_of_a_transformer_is_its_first_token():
    model = TransformerClassifier(Body(), 4, 2, padding=0).eval()
    model.head = nn.Identity()
    x = model.body.words.weight[0].tolist()
    assert model(torch.zeros(1, 5, dtype=torch.long))[0].tolist() == pytest.approx(x * 3)
    assert model.body.mask.tolist() == [[1, 0, 0, 0, 0]]


def test_groups_of_a_transformer_are_words_lower_half_upper_half_and_head():
    model = TransformerClassifier(Body(5), 4, 2, padding=0)
    names = {id(p): name for name, p in model.named_parameters()}
    groups = [
        list(dict.fromkeys(names[id(p)].rpartition(".")[0] for p in group))
        for group in model.layer_groups()
    ]
    assert groups == [
        ["body.words"],
        ["body.layers.0", "body.layers.1"],
        ["body.layers.2", "body.layers.3", "body.layers.4", "body.final"],
        ["head.0", "head.2", "head.4", "head.6"],
    ]
