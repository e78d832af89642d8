"""Encoders from files: our own, the package's small one, and archives as they were published."""

import hashlib
import io
import os
import pickle
import tarfile
import tracemalloc
from collections import OrderedDict

import pandas as pd
import pytest
import torch

from onecycle.core.errors import CheckpointError, DownloadError, WeightsError
from onecycle.models.awd_lstm import AWD_LSTM
from onecycle.runtime.inputs.words import SPECIAL
from onecycle.text.learner import language_model_learner, text_classifier_learner
from onecycle.text.lists import TextClasDataBunch, TextLMDataBunch
from onecycle.text.pretrained import (
    find_encoder,
    read_encoder,
    read_word_list,
    read_wt103,
    write_encoder,
)

WORDS = [
    *SPECIAL,
    *[
        "the",
        "film",
        "was",
        "good",
        "bad",
        "and",
        "not",
        "a",
        "plot",
        "of",
        "it",
        "very",
        "dull",
        "great",
        "cast",
    ],
]
TEXTS = pd.DataFrame(
    {"label": ["pos", "neg"] * 20, "text": ["The film was great", "A very dull film"] * 20}
)


class Runs:
    """Would run a command when unpickled by a reader that trusts its file."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (f"touch {self.command}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_list_of_words_is_read_in_every_protocol(tmp_path, protocol):
    words = [*WORDS, "the", "naïve", "", "x" * 300, "🙂", *(f"w{i}" for i in range(3000))]
    (tmp_path / "itos.pkl").write_bytes(pickle.dumps(words, protocol))
    if protocol == 0:
        with pytest.raises(WeightsError, match="LIST"):  # its instructions end as text lines
            read_word_list(tmp_path / "itos.pkl")
    else:
        assert read_word_list(tmp_path / "itos.pkl") == tuple(words)


def hostile(command):
    return {
        "call": Runs(command),
        "call in a list": ["the", Runs(command)],
        "call after a list": [["the"], Runs(command)],
        "numbers": ["the", 3],
        "nested": [["the"], ["film"]],
        "tuple": ("the", "film"),
        "dict": {"the": 1},
        "class": OrderedDict(a=1),
        "bytes": [b"the"],
    }


@pytest.mark.parametrize("name", list(hostile("")))
@pytest.mark.parametrize("protocol", [1, 2, 4])
def test_anything_but_a_list_of_words_is_refused_and_not_run(tmp_path, name, protocol):
    command = tmp_path / "it ran"
    (tmp_path / "itos.pkl").write_bytes(pickle.dumps(hostile(f"'{command}'")[name], protocol))
    with pytest.raises(WeightsError, match=r"itos\.pkl"):
        read_word_list(tmp_path / "itos.pkl")
    assert not command.exists()


def test_a_list_of_endless_instructions_is_given_up_early(tmp_path):
    (tmp_path / "itos.pkl").write_bytes(b"\x80\x03]" + b"(" * 2_500_000 + b".")
    tracemalloc.start()
    with pytest.raises(WeightsError, match="too many for a list of words"):
        read_word_list(tmp_path / "itos.pkl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000  # the file itself, and little more


@pytest.mark.parametrize("cut", [0, 1, 2, 10, 40])
def test_a_damaged_list_is_refused(tmp_path, cut):
    (tmp_path / "itos.pkl").write_bytes(pickle.dumps(WORDS, 2)[:cut])
    with pytest.raises(WeightsError, match=r"itos\.pkl"):
        read_word_list(tmp_path / "itos.pkl")


def published(folder, emb=12, hid=16, layers=3):
    """An archive as the reference library published its language models."""
    torch.manual_seed(0)
    net = AWD_LSTM(len(WORDS), emb, hid, layers)
    state = OrderedDict({"0.encoder.weight": net.embedding.weight.detach()})
    state["0.encoder_dp.emb.weight"] = state["0.encoder.weight"]
    for i, rnn in enumerate(net.rnns):
        for key, value in rnn.inner.state_dict().items():
            raw = key == "weight_hh_l0"
            state[f"0.rnns.{i}.{key}_raw" if raw else f"0.rnns.{i}.module.{key}"] = value
    state["1.decoder.weight"] = state["0.encoder.weight"]
    state["1.decoder.bias"] = torch.arange(len(WORDS)).float()
    files = {"lstm_fwd.pth": io.BytesIO(), "itos_wt103.pkl": io.BytesIO(pickle.dumps(WORDS))}
    torch.save(state, files["lstm_fwd.pth"])
    archive = folder / "wt103-fwd.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"wt103-fwd/{name}")
            info.size = len(data.getvalue())
            tar.addfile(info, io.BytesIO(data.getvalue()))
    return archive, net


def classifier_data(vocab=None):
    how = {"text_cols": "text", "label_cols": "label", "seed": 0, "bs": 8, "num_workers": 0}
    return TextClasDataBunch.from_df(".", TEXTS, vocab=vocab, **how)


def test_a_published_archive_becomes_an_encoder_by_token(tmp_path, monkeypatch):
    archive, net = published(tmp_path)
    monkeypatch.setenv("ONECYCLE_MIRROR", str(tmp_path))
    monkeypatch.setattr("onecycle.fetch.urls.KNOWN", {})  # drawn here, not the published one
    monkeypatch.setenv("ONECYCLE_HOME", str(tmp_path / "home"))
    how = {"text_cols": "text", "bs": 2, "min_freq": 1, "num_workers": 0, "seed": 0}
    data = TextLMDataBunch.from_df(".", TEXTS, **how)
    learn = language_model_learner(data, pretrained=True, silent=True)
    assert archive.exists()
    assert learn.model.encoder.emb_sz == 12
    assert len(learn.model.encoder.rnns) == 3
    for token, name in (("film", "film"), ("dull", "dull")):
        row = learn.model.encoder.embedding.weight[data.task.input.numbers[token]]
        assert torch.equal(row, net.embedding.weight[WORDS.index(name)])
        bias = learn.model.bias[data.task.input.numbers[token]]
        assert bias == WORDS.index(token)
    x = torch.tensor([[2, 9, 10]])
    given = find_encoder(tmp_path / "home/data/models/wt103-fwd")
    other = AWD_LSTM(len(WORDS), 12, 16, 3)
    other.load_state_dict(given.tensors)
    assert torch.equal(other.eval()(x), net.eval()(x))


def test_a_wrong_digest_of_a_published_archive_leaves_nothing(tmp_path, monkeypatch):
    from web_helpers import serving

    from onecycle.fetch.urls import untar_data

    archive, _ = published(tmp_path)
    monkeypatch.setenv("ONECYCLE_HOME", str(tmp_path / "home"))
    with serving() as site:
        site.files["/wt103-fwd.tgz"] = archive.read_bytes()
        site.cut = [500]
        url = f"{site.url}/wt103-fwd.tgz"
        with pytest.raises(DownloadError, match="SHA-256"):
            untar_data(url, data=False, sha256="0" * 64)
        assert not list((tmp_path / "home").rglob("*.pth"))
        right = hashlib.sha256(archive.read_bytes()).hexdigest()
        site.cut = [500]  # the rest is asked for when the connection breaks
        folder = untar_data(url, data=False, sha256=right)
        assert read_wt103(folder).sizes["n_hid"] == 16
        assert any("Range" in headers for _, headers in site.requests)


def test_hostile_weights_in_an_archive_are_not_run(tmp_path):
    command = tmp_path / "it ran"
    torch.save({"0.encoder.weight": Runs(f"'{command}'")}, tmp_path / "lstm.pth")
    (tmp_path / "itos.pkl").write_bytes(pickle.dumps(WORDS))
    with pytest.raises(WeightsError, match=r"lstm\.pth"):
        read_wt103(tmp_path)
    assert not command.exists()


def test_archives_that_lack_something_say_what(tmp_path):
    with pytest.raises(WeightsError, match=r"0 files \*\.pth"):
        read_wt103(tmp_path)
    torch.save({"0.encoder.weight": torch.zeros(3, 2)}, tmp_path / "a.pth")
    (tmp_path / "itos.pkl").write_bytes(pickle.dumps(WORDS))
    with pytest.raises(WeightsError, match="no AWD-LSTM"):
        read_wt103(tmp_path)


def test_an_encoder_in_16_bits_comes_back_with_its_sizes(tmp_path):
    net = AWD_LSTM(len(WORDS), 8, 12, 2)
    path = write_encoder(tmp_path / "e.safetensors", net, WORDS, torch.ones(len(WORDS)), half=True)
    found = read_encoder(path)
    assert found.sizes == {"emb_sz": 8, "n_hid": 12, "n_layers": 2}
    assert found.vocab == tuple(WORDS)
    torch.testing.assert_close(found.tensors, dict(net.state_dict()), atol=1e-3, rtol=1e-3)
    assert found.bias is not None


def test_an_encoder_of_another_language_is_refused(tmp_path):
    other = [*SPECIAL[:1], *(f"слово{i}" for i in range(300))]
    write_encoder(tmp_path / "e.safetensors", AWD_LSTM(len(other), 8, 12, 2), other)
    with pytest.raises(CheckpointError, match="tokens of these texts"):
        text_classifier_learner(classifier_data(), pretrained=str(tmp_path / "e.safetensors"))


def test_a_checkpoint_of_another_vocabulary_is_refused(tmp_path):
    sizes = {"emb_sz": 8, "n_hid": 12, "n_layers": 2}
    one, two = (classifier_data([*WORDS, extra]) for extra in ("paper", "pencil"))
    first = text_classifier_learner(one, config=sizes, path=tmp_path, silent=True)
    first.save("model")
    second = text_classifier_learner(two, config=sizes, path=tmp_path, silent=True)
    with pytest.raises(CheckpointError, match="vocabulary"):
        second.load("model")


@pytest.mark.parametrize("damage", ["missing", "text", "image weights"])
def test_files_that_are_no_encoders_are_refused(tmp_path, damage):
    from safetensors.torch import save_file

    path = tmp_path / "e.safetensors"
    if damage == "text":
        path.write_text("no weights")
    elif damage == "image weights":
        save_file({"conv.weight": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=r"e\.safetensors"):
        find_encoder(str(path))
