"""Texts from a table to a trained classifier, through a language model."""

import numpy as np
import pandas as pd
import pytest
import torch

from onecycle.core.errors import (
    CheckpointError,
    DataError,
    DownloadError,
    LabelError,
    OnecycleWarning,
    TableError,
    UsageError,
)
from onecycle.data.databunch import DatasetType
from onecycle.fetch.urls import URLs
from onecycle.interpret.classification import ClassificationInterpretation
from onecycle.learn.metrics import perplexity
from onecycle.models.awd_lstm import AWD_LSTM, LanguageModel, TextClassifier, WeightDropLSTM
from onecycle.runtime.inputs.text import Vocab
from onecycle.text.input import NextToken
from onecycle.text.learner import language_model_learner, text_classifier_learner
from onecycle.text.learners import Ensemble
from onecycle.text.lists import TextClasDataBunch, TextList, TextLMDataBunch
from onecycle.text.pretrained import SMALL_FILE, read_encoder, remap_rows
from onecycle.text.saved import load_data

SMALL = {"emb_sz": 24, "n_hid": 32, "n_layers": 2}
THINGS = ["film", "plot", "cast", "music", "ending"]
GOOD, BAD = ["great", "lovely", "clever"], ["awful", "dull", "stupid"]


@pytest.fixture(scope="module")
def frame():
    """Reviews of one to four clauses; "not" turns a word round, so that counting is not enough."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(1000):
        good = bool(rng.random() < 0.5)
        clauses = []
        for _ in range(rng.integers(1, 5)):
            negated = rng.random() < 0.4
            words = GOOD if good != negated else BAD
            verb = "was not" if negated else "was"
            clauses.append(f"The {rng.choice(THINGS)} {verb} {rng.choice(words)}.")
        rows.append(("pos" if good else "neg", " ".join(clauses)))
    return pd.DataFrame(rows, columns=["label", "text"])


def lm_data(frame, **options):
    how = {"text_cols": "text", "seed": 0, "bs": 16, "num_workers": 0, "bptt": 20} | options
    return TextLMDataBunch.from_df(".", frame, **how)


def clas_data(frame, vocab=None, **options):
    how = {"text_cols": "text", "label_cols": "label", "seed": 0, "bs": 32, "num_workers": 0}
    return TextClasDataBunch.from_df(".", frame, vocab=vocab, **(how | options))


def test_streams_go_on_from_batch_to_batch_and_y_is_one_token_later(frame):
    data = lm_data(frame)
    batches = list(data.valid_dl)
    x, y = (torch.cat(side, 1) for side in zip(*batches, strict=True))
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert all(b[0].shape == (16, 20) for b in batches[:-1])
    ids = torch.as_tensor(data.valid_dl.ids)
    assert torch.equal(x.flatten(), ids[: x.numel()].long())
    first, second = (next(iter(data.train_dl))[0] for _ in range(2))
    assert not torch.equal(first, second)


def test_a_language_model_learns_and_its_encoder_helps(frame, tmp_path):
    torch.manual_seed(0)
    data = lm_data(frame)
    learn = language_model_learner(data, config=SMALL, drop_mult=0.1, path=tmp_path, silent=True)
    ids = np.concatenate([data.train_dl.ids, data.valid_dl.ids])
    shares = np.bincount(ids) / len(ids)
    unigram = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    learn.fit_one_cycle(4, 2e-2)
    loss, accuracy = learn.validate()
    assert loss < 0.5 * unigram
    assert accuracy > 0.6
    reported = learn.predict("The film was", n_words=2, seed=0)
    assert reported.split()[3].strip(".") in {"not", *GOOD, *BAD}
    assert learn.predict("The film", 5, seed=3) == learn.predict("The film", 5, seed=3)
    learn.save_encoder("enc")
    clas = clas_data(frame, data.task.input.vocab)
    learner = text_classifier_learner(clas, config=SMALL, drop_mult=0.2, path=tmp_path, silent=True)
    learner.load_encoder("enc")
    trained = [p.requires_grad for p in learner.model.encoder.parameters()]
    assert not any(trained)
    learner.fit_one_cycle(3, 2e-2)
    learner.freeze_to(-2).fit_one_cycle(2, slice(1e-3, 1e-2))
    learner.unfreeze().fit_one_cycle(10, slice(3e-3, 2e-2))
    assert learner.validate()[1] > 0.9  # counting words reaches about .65
    answers(learner)


def answers(learner):
    """Single answers, the set's order, and independence of what else is in the batch."""
    assert str(learner.predict("The plot was not awful.")[0]) == "pos"
    assert str(learner.predict("The plot was not great.")[0]) == "neg"
    probabilities, labels = learner.get_preds()
    side = learner.data.valid_ds
    assert labels.tolist() == side.y.items.tolist()
    for i in (0, 7, 31):
        alone = learner.predict(side.items[i])[2]
        assert probabilities[i] == pytest.approx(alone.numpy(), abs=1e-5)


def test_an_encoder_is_read_by_token_and_new_words_get_the_mean_row(frame, tmp_path):
    data = lm_data(frame)
    learn = language_model_learner(data, config=SMALL, path=tmp_path, silent=True)
    learn.save_encoder("enc")
    other = clas_data(
        pd.concat(
            [frame, pd.DataFrame([("pos", "zebra zebra zebra x")] * 3, columns=frame.columns)]
        )
    )
    learner = text_classifier_learner(other, config=SMALL, path=tmp_path, silent=True)
    with pytest.warns(OnecycleWarning, match=r"does not know 2 of the 32 tokens.*'zebra'"):
        learner.load_encoder("enc")
    old = learn.model.encoder.embedding.weight.detach()
    new = learner.model.encoder.embedding.weight.detach()
    where = learner.task.input.numbers
    assert torch.equal(new[where["film"]], old[learn.task.input.numbers["film"]])
    assert torch.allclose(new[where["zebra"]], old.mean(0))
    with pytest.raises(CheckpointError, match="another architecture"):
        text_classifier_learner(
            other, config={**SMALL, "n_hid": 40}, path=tmp_path, silent=True
        ).load_encoder("enc")
    (tmp_path / "models" / "bad.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="no encoder"):
        learner.load_encoder("bad")


def test_rows_are_taken_by_token():
    weights = torch.arange(6.0).reshape(3, 2)
    assert remap_rows(weights, ["a", "b", "c"], ["c", "new", "a"]).tolist() == [
        [4, 5],
        [2, 3],
        [0, 1],
    ]


def test_texts_of_similar_length_share_a_batch_and_little_is_padded(frame):
    data = clas_data(frame, bs=16)
    for loader in (data.train_dl, data.valid_dl):
        reported = loader.padding
        real = total = 0
        for x, _ in loader:
            real += int((x != 1).sum())
            total += x.numel()
        assert real / total > 0.85
        assert reported == pytest.approx(1 - real / total)
    seen = torch.cat([y for _, y in data.valid_dl])
    assert len(seen) == len(data.valid_ds)


def test_padding_changes_no_answer():
    torch.manual_seed(0)
    model = TextClassifier(AWD_LSTM(30, 8, 10, 2), 2, bptt=5, max_len=12).eval()
    for length in (3, 5, 11, 14, 23):
        ids = torch.randint(2, 30, (2, length))
        padded = torch.cat([ids, torch.ones(2, 9, dtype=torch.long)], 1)
        assert torch.allclose(model(ids), model(padded), atol=1e-5), length


def test_windows_give_what_one_pass_gives():
    torch.manual_seed(0)
    encoder = AWD_LSTM(30, 8, 10, 2).eval()
    ids = torch.randint(2, 30, (3, 21))
    encoder.reset()
    whole = encoder(ids)
    wanted = torch.cat([whole[:, -1], whole.amax(1), whole.mean(1)], 1)
    windows = TextClassifier(encoder, 2, bptt=6, max_len=100).pool(ids)
    assert torch.allclose(windows, wanted, atol=1e-5)


def test_weights_are_dropped_in_training_only():
    torch.manual_seed(0)
    rnn = WeightDropLSTM(4, 5, 0.5)
    x = torch.randn(2, 6, 4)
    before = rnn.inner.weight_hh_l0.detach().clone()
    first, second = rnn(x, None)[0], rnn(x, None)[0]
    assert not torch.equal(first, second)
    first.sum().backward()
    assert rnn.inner.weight_hh_l0.grad is not None
    assert torch.equal(rnn.inner.weight_hh_l0, before)
    rnn.eval()
    assert torch.equal(rnn(x, None)[0], rnn(x, None)[0])
    assert torch.equal(rnn(x, None)[0], rnn.inner(x)[0])


def test_the_reference_sizes_have_the_reference_parameters():
    model = LanguageModel(AWD_LSTM(60_000))
    twice = sum(rnn.inner.weight_hh_l0.numel() for rnn in model.encoder.rnns)
    # the reference keeps a second copy of what is dropped
    assert sum(p.numel() for p in model.parameters()) + twice == 55_590_112
    assert len(model.layer_groups()) == 4
    assert len(TextClassifier(AWD_LSTM(100), 2).layer_groups()) == 5


def test_tables_with_faults_are_named(frame, tmp_path, monkeypatch):
    bad = pd.DataFrame({"label": ["a", "b"], "text": ["fine", " "]})
    with pytest.raises(TableError, match="1 texts are blank"):
        TextList.from_df(bad, cols="text")
    both = TextList.from_df(pd.DataFrame({"a": ["x"], "b": ["y"]}), cols=["a", "b"])
    assert tuple(both.items) == ("xxfld 1 x xxfld 2 y",)
    monkeypatch.setenv("ONECYCLE_MIRROR", str(tmp_path))
    monkeypatch.setenv("ONECYCLE_HOME", str(tmp_path))
    with pytest.raises(DownloadError, match="comes with onecycle"):
        language_model_learner(lm_data(frame), config=SMALL, pretrained=True)
    with pytest.raises(UsageError, match="streams"):
        lm_data(frame[:5], bs=64)


def test_the_loss_in_chunks_is_the_whole_one(monkeypatch):
    """Loss, gradients and a training step: to 1e-5 of those with all logits at once."""
    from onecycle.models import awd_lstm as chunked

    monkeypatch.setattr(chunked, "CHUNK", 7)
    ids = torch.randint(0, 50, (3, 11), generator=torch.Generator().manual_seed(0))
    found = []
    for chunks in (False, True):
        torch.manual_seed(1)
        model = LanguageModel(AWD_LSTM(50, 8, 12, 2), chunked=chunks)
        outputs = model(ids)
        assert isinstance(outputs, torch.Tensor) is not chunks
        loss = 3 * NextToken(50).loss(outputs, ids.flip(1))
        loss.backward()
        found.append((loss.detach(), {k: p.grad for k, p in model.named_parameters()}))
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-5)
    assert model.eval()(ids).logits().shape == (3, 50, 11)


def test_the_vocabulary_counts_both_ways_and_a_text_knows_its_numbers(frame):
    data = TextClasDataBunch.from_df(".", frame, text_cols="text", label_cols="label", bs=8)
    vocab = data.vocab
    assert vocab.itos[:3] == ["xxunk", "xxpad", "xxbos"]
    assert [vocab.itos[vocab.stoi[word]] for word in ("dull", "music")] == ["dull", "music"]
    text = data.train_ds[0][0]
    assert [vocab.itos[i] for i in text.data[:3]] == ["xxbos", "xxmaj", "the"]
    assert text.data.dtype == np.int64


@pytest.fixture
def writer(frame, tmp_path):
    """A language model that has learnt nothing."""
    data = lm_data(frame[:60])
    return language_model_learner(data, config=SMALL, silent=True, path=tmp_path)


def test_what_was_begun_stays_as_it_was_written(writer):
    begun = "I LIKED this image;\ndon't ask why, it costs 1000 $"
    assert writer.predict(begun, 0) == begun
    longer = writer.predict(begun, 3, seed=1)
    assert longer.startswith(begun)
    assert len(longer) > len(begun)
    assert "xxunk" not in longer


@pytest.mark.parametrize(
    "wrong", [{"n_words": 2.5}, {"n_words": -1}, {"top_k": 0}, {"temperature": float("nan")}]
)
def test_what_cannot_be_drawn_is_refused(writer, wrong):
    with pytest.raises(UsageError, match=r"is above 0|is a number from 0|whole number from"):
        writer.predict("the film", **wrong)


def test_a_text_that_is_none_is_refused(writer):
    with pytest.raises(DataError, match="a text is a str"):
        writer.predict(None)


def test_encoders_whose_names_have_points_do_not_meet(writer):
    first, second = writer.save_encoder("v1.0"), writer.save_encoder("v1.1.safetensors")
    assert (first.name, second.name) == ("v1.0.safetensors", "v1.1.safetensors")
    writer.load_encoder("v1.0")


def test_perplexity_is_that_of_the_whole_sides_loss(frame):
    learn = language_model_learner(
        lm_data(frame[:60]), config=SMALL, silent=True, metrics=[perplexity]
    )
    loss, found = learn.validate()
    assert float(found) == pytest.approx(np.exp(loss), rel=1e-4)
    sure = torch.full((2, 4, 3), -50.0)
    sure[:, 1] = 50
    assert float(perplexity(sure, torch.ones(2, 3, dtype=torch.long))) == pytest.approx(1)
    assert float(perplexity(torch.zeros(2, 4, 3), torch.ones(2, 3, dtype=torch.long))) == (
        pytest.approx(4)
    )


def test_data_for_the_other_learner_is_refused(frame, writer):
    texts, labelled = lm_data(frame[:60]), clas_data(frame[:60])
    with pytest.raises(UsageError, match="use language_model_learner"):
        text_classifier_learner(texts, config=SMALL)
    with pytest.raises(UsageError, match="use text_classifier_learner"):
        language_model_learner(labelled, config=SMALL)
    with pytest.raises(UsageError, match="not of language models"):
        Ensemble(writer, writer)
    with pytest.raises(UsageError, match="takes learners, not list"):
        Ensemble([writer, writer])


def test_a_vocabulary_comes_back_from_its_file(frame, tmp_path):
    data = clas_data(frame[:60])
    path = data.vocab.save(tmp_path / "vocab.json")
    assert Vocab.load(path) == data.vocab
    assert clas_data(frame[:60], vocab=Vocab.load(path)).vocab == data.vocab
    path.write_text('{"a": 1}')
    with pytest.raises(DataError, match="list of tokens"):
        Vocab.load(path)
    with pytest.raises(DataError, match="no vocabulary can be read"):
        Vocab.load(tmp_path / "gone.json")


def test_an_empty_cell_beside_others_is_no_word():
    cells = pd.DataFrame({"title": [None, "A"], "text": ["One two", "Three"]})
    items = TextList.from_df(cells, cols=["title", "text"])
    assert list(items.items) == ["xxfld 1  xxfld 2 One two", "xxfld 1 A xxfld 2 Three"]


def test_a_vocabulary_without_a_word_in_common_is_refused_though_its_marks_agree(writer):
    other = pd.DataFrame({"text": ["Wir GEHEN heute ins Kino und lachen laut"] * 40})
    learn = language_model_learner(lm_data(other, bs=5), config=SMALL, silent=True)
    with pytest.raises(CheckpointError, match="knows 0%"):
        learn.load_encoder(writer.save_encoder("english").absolute())


def test_other_delimiters_and_no_header_are_read(tmp_path):
    (tmp_path / "t.tsv").write_text("pos\tgood, film\nneg\tbad, film\n" * 10)
    how = {"delimiter": "\t", "header": None, "seed": 0, "num_workers": 0, "bs": 4}
    data = TextClasDataBunch.from_csv(tmp_path, "t.tsv", **how)
    assert data.classes == ["neg", "pos"]
    assert set(data.train_ds.items) == {"good, film", "bad, film"}
    with pytest.raises(UsageError, match=r"no option 'tset': there are max_vocab.*num_workers"):
        TextClasDataBunch.from_csv(tmp_path, "t.tsv", **how, tset="u.tsv")


def test_files_of_a_folder_take_the_options_of_a_vocabulary(tmp_path):
    (tmp_path / "a.txt").write_text("once twice twice")
    made = TextList.from_folder(tmp_path, min_freq=2)
    vocab = made.split_none().label_for_lm().train.task.input.vocab
    assert "twice" in vocab
    assert "once" not in vocab


def test_what_a_learner_of_texts_does_not_know_is_named(frame):
    data = clas_data(frame[:60])
    with pytest.raises(UsageError, match="knows no 'n_hidd'"):
        text_classifier_learner(data, config={"n_hidd": 3})
    with pytest.raises(UsageError, match="bptt is a whole number from 1 on"):
        lm_data(frame[:60], bptt=0)
    with pytest.raises(UsageError, match="list of tokens"):
        clas_data(frame[:60], vocab=60_000)
    as_told = text_classifier_learner(data, config=SMALL, lin_ftrs=None, ps=None)
    widths = [m.out_features for m in as_told.model.head if isinstance(m, torch.nn.Linear)]
    assert widths == [50, 2]


def test_factories_take_a_test_set_and_leave_out_other_classes(tmp_path):
    rows = pd.DataFrame({"label": list("abc") * 8, "text": ["one two three four five"] * 24})
    unseen = pd.DataFrame({"text": ["what is this", "and that"]})
    rows.to_csv(tmp_path / "t.csv", index=False)
    unseen.to_csv(tmp_path / "u.csv", index=False)
    for i, row in rows.iterrows():
        file = tmp_path / ("train" if i < 18 else "valid") / row.label / f"{i}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(row.text)
    (tmp_path / "new").mkdir()
    for i, text in enumerate(unseen.text):
        (tmp_path / "new" / f"{i}.txt").write_text(text)
    how = {"bs": 2, "num_workers": 0, "classes": ["a", "b"]}
    cols = {"text_cols": "text", "label_cols": "label", "seed": 0}
    with pytest.warns(OnecycleWarning, match="left out"):
        made = [
            TextClasDataBunch.from_df(tmp_path, rows, test_df=unseen, **cols, **how),
            TextClasDataBunch.from_csv(tmp_path, "t.csv", test="u.csv", **cols, **how),
            TextClasDataBunch.from_folder(tmp_path, test="new", **how),
        ]
    for data in made:
        assert data.classes == ["a", "b"]
        assert len(data.train_ds) + len(data.valid_ds) == 16
        assert [data.task.input.text_of(item) for item in data.test_ds.items] == [*unseen.text]
        learn = text_classifier_learner(data, config=SMALL, silent=True)
        assert len(learn.get_preds(DatasetType.Test)[0]) == 2
    del how["classes"]
    streams = TextLMDataBunch.from_df(tmp_path, rows, test_df=unseen, **cols, **how)
    assert streams.dl(DatasetType.Test).n_tokens == len("xxbos what is this xxbos and that".split())


def test_columns_may_be_an_index_of_them_and_none_is_an_error():
    rows = pd.DataFrame({"label": ["x", "y"], "a": ["one", "two"], "b": ["1st", "2nd"]})
    texts = TextList.from_df(rows, cols=rows.columns[1:])
    assert list(texts.items) == ["xxfld 1 one xxfld 2 1st", "xxfld 1 two xxfld 2 2nd"]
    with pytest.raises(TableError, match="no column is named"):
        TextList.from_df(rows, cols=[])


def test_learners_begin_pretrained_unless_their_sizes_are_named(monkeypatch):
    frame = pd.DataFrame({"text": ["the house by the sea"] * 40, "label": ["a", "b"] * 20})
    monkeypatch.setattr(URLs, "WT103_FWD", str(SMALL_FILE))  # in place of the download
    streams, labelled = lm_data(frame, bs=2), clas_data(frame)
    row = read_encoder(SMALL_FILE).for_vocab(streams.vocab).tensors["embedding.weight"][10]
    for make, data in ((language_model_learner, streams), (text_classifier_learner, labelled)):
        begun = make(data, AWD_LSTM, drop_mult=0.3)
        assert (begun.model.encoder.embedding.weight[10] == row).all()
        assert not any(p.requires_grad for p in begun.model.encoder.rnns.parameters())
        only_dropouts = make(data, config={"input_p": 0.5}).model.encoder.embedding.weight
        assert (only_dropouts[10] == row).all()
        bare = make(data, config=SMALL)
        assert bare.model.encoder.embedding.weight.shape[1] == SMALL["emb_sz"]
        assert all(p.requires_grad for p in bare.model.encoder.parameters())
        assert make(data, pretrained=False).model.encoder.embedding.weight.shape[1] == 400
    with pytest.raises(UsageError, match="quotes"):
        text_classifier_learner(labelled, "AWD_LSTM")


def test_a_batch_of_long_and_short_texts_keeps_no_more_than_max_len_of_each():
    """Gradients are those of the whole texts; windows that no text is pooled from keep none."""
    torch.manual_seed(0)
    encoder = AWD_LSTM(30, 6, 8, 2, 0.0, 0.0, 0.0, 0.0)
    model = TextClassifier(encoder, 3, (5,), (0.0, 0.0), bptt=4, max_len=9).train()
    ids = torch.randint(2, 30, (4, 200), generator=torch.Generator().manual_seed(1))
    lengths = [200, 90, 7, 1]
    for row, n in zip(ids, lengths, strict=True):
        row[n:] = 1
    held = []
    encoder.register_forward_hook(lambda _, given, x: held.append(len(x) * x.requires_grad))
    found = model.pool(ids)
    assert sum(held) <= sum(-(-min(n, 9) // 4) + 1 for n in lengths)
    for row, n, pooled in zip(ids, lengths, found, strict=True):
        x = torch.cat(encoded(encoder, row[None, :n]), 1)[0, max(0, n - 9) :]
        want = torch.cat([x[-1], x.amax(0), x.mean(0)])
        torch.testing.assert_close(pooled, want, atol=1e-6, rtol=1e-5)
        pooled[2].backward(retain_graph=True)
        got = [p.grad.clone() for p in encoder.parameters()]
        encoder.zero_grad()
        want[2].backward()
        torch.testing.assert_close(got, [p.grad for p in encoder.parameters()])
        encoder.zero_grad()


def encoded(encoder, ids):
    """Features window by window."""
    encoder.reset()
    return [encoder(ids[:, at : at + 4]) for at in range(0, ids.shape[1], 4)]


def test_evaluating_a_language_model_holds_few_logits_at_once(frame, monkeypatch):
    from onecycle.models import awd_lstm as chunked

    data = lm_data(frame)
    learn = language_model_learner(data, config=SMALL, silent=True, metrics=[perplexity])
    whole = learn.validate()
    monkeypatch.setattr(chunked, "_HELD", 3 * len(data.vocab) * 20)
    seen = []
    torch.testing.assert_close(learn.validate(), whole)
    learn.metrics = [lambda outputs, y: seen.append(outputs.shape) or 0.0]
    learn.validate()
    assert max(shape[0] * shape[2] for shape in seen) == 3 * 20
    assert sum(shape[0] for shape in seen) == 16 * len(data.valid_dl)


def test_a_language_model_shows_what_it_says_next(frame):
    data = lm_data(frame)
    torch.manual_seed(0)
    learn = language_model_learner(data, config=SMALL, drop_mult=0.1, silent=True)
    learn.fit_one_cycle(4, 2e-2)
    begun = data.train_dl.state()
    learn.show_results(DatasetType.Train)
    assert data.train_dl.state() == begun
    shown = learn.show_results(rows=2).columns
    assert [len(column) for column in shown.values()] == [2, 2, 2]
    true, reported = (
        [row.lower().split() for row in shown[key]] for key in ("actual", "predicted")
    )
    pairs = [pair for rows in zip(true, reported, strict=True) for pair in zip(*rows, strict=False)]
    assert sum(a == b for a, b in pairs) > 0.4 * len(pairs)
    with pytest.raises(UsageError, match=r"validate\(\), show_results\(\)"):
        learn.get_preds()
    with pytest.raises(UsageError, match=r"validate\(\), show_results\(\)"):
        ClassificationInterpretation.from_learner(learn)


def test_a_head_has_a_dropout_for_each_width(frame):
    data = clas_data(frame[:60])
    learn = text_classifier_learner(data, config=SMALL, lin_ftrs=[20, 10], silent=True)
    assert learn.get_preds(ordered=True)[0].shape == (12, 2)
    assert text_classifier_learner(data, config=SMALL, lin_ftrs=20, ps=0.3).model.head[5].p == 0.3
    assert len(text_classifier_learner(data, config=SMALL, lin_ftrs=[]).model.head) == 3
    for wrong, messages in (
        ({"ps": [0.1, 0.2]}, "each of lin_ftrs has its own of ps"),
        ({"ps": 1.5}, "each of ps"),
        ({"ps": "0.1"}, "each of ps"),
        ({"lin_ftrs": [20, 0]}, "each of lin_ftrs is a whole number"),
        ({"lin_ftrs": 2.5}, "each of lin_ftrs is a whole number"),
        ({"max_len": 0}, "max_len is a whole number"),
        ({"max_len": 2.5}, "max_len is a whole number"),
        ({"bptt": 0}, "bptt is a whole number"),
    ):
        with pytest.raises(UsageError, match=messages):
            text_classifier_learner(data, config=SMALL, **wrong)


@pytest.mark.parametrize(
    ("wrong", "messages"),
    [
        ({"config": SMALL | {"n_layers": 0}}, "n_layers is a whole number"),
        ({"config": SMALL, "drop_mult": 10}, "is a number from 0 to below 1, not"),
        ({"config": SMALL, "drop_mult": -1}, "is a number from 0 to below 1, not"),
        ({"config": SMALL | {"input_p": 1.0}}, "input_p, the share of what is dropped"),
        ({"config": SMALL | {"weight_p": "a"}}, "weight_p, the share of what is dropped"),
        ({"config": SMALL, "drop_mult": "0.3"}, "drop_mult is a number"),
        ({"arch": "AWD_LSTM"}, "quotes"),
        ({"arch": None}, "is a class like AWD_LSTM"),
    ],
)
def test_sizes_and_dropouts_that_make_no_model_are_refused(frame, wrong, messages):
    for make, data in (
        (language_model_learner, lm_data(frame[:200])),
        (text_classifier_learner, clas_data(frame[:60])),
    ):
        with pytest.raises(UsageError, match=messages):
            make(data, **wrong)


def test_options_of_texts_that_make_no_sense_are_named(frame):
    for wrong in ({"foo": 1}, {"max_vocab": None}, {"min_freq": "a"}, {"bptt": 2.5}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            TextList.from_df(frame, cols="text", **wrong)
    for bs in (0, -1, "4"):
        with pytest.raises(UsageError, match="bs is a whole number"):
            lm_data(frame, bs=bs)
    labelled = clas_data(frame[:60]).src
    with pytest.raises(UsageError, match="list of items"):
        labelled.add_test("hello")
    with pytest.raises(UsageError, match="JSON as text"):
        TextList.from_df(frame, cols="text", tokenizer={})


def test_a_text_cannot_write_what_fills_up_batches(frame):
    data = clas_data(frame[:60], min_freq=1)
    learn = text_classifier_learner(data, config=SMALL, silent=True)
    one, other = (learn.predict(f"xxpad xxpad was {word}")[2] for word in ("great", "awful"))
    assert not torch.equal(one, other)
    assert 1 not in data.task.input.ids("xxpad and xxpad")


def test_texts_of_tables_are_read_in_the_courses_order_of_arguments(tmp_path):
    rows = pd.DataFrame({"label": ["a", "b"] * 10, "text": ["one two three"] * 20})
    rows.to_csv(tmp_path / "t.csv", index=False)
    assert set(TextList.from_csv(tmp_path, "t.csv", 1).items) == {"one two three"}
    assert set(TextList.from_csv(tmp_path, "t.csv", "text", ",").items) == {"one two three"}
    data = TextClasDataBunch.from_csv(tmp_path, "t.csv", 0.5, bs=2, num_workers=0)
    assert len(data.valid_ds) == 10
    with pytest.raises(TypeError):
        TextList.from_df(rows, ".", "text", None, ["xxunk"])
    data.save()
    assert len(load_data(tmp_path, bs=2, no_check=True).valid_ds) == 10
    with pytest.raises(UsageError, match="no option 'foo'"):
        load_data(tmp_path, foo=1)


@pytest.mark.parametrize("cell", [["good", "film"], b"good film", {"a": 1}])
def test_cells_that_are_no_text_are_named_by_their_row(cell):
    rows = pd.DataFrame({"text": ["fine", cell]}, index=["first", "second"])
    with pytest.raises(TableError, match=f"row second: a {type(cell).__name__}"):
        TextList.from_df(rows, cols="text")


def test_texts_of_numbers_train_without_accuracy_and_are_never_mixed(frame):
    rows = frame[:60].assign(score=np.linspace(0, 1, 60))
    data = clas_data(rows, label_cols="score")
    learn = text_classifier_learner(data, config=SMALL, silent=True)
    learn.fit(1)
    assert len(learn.validate()) == 1
    with pytest.raises(UsageError, match="cannot be mixed"):
        learn.mixup()


def test_whole_reviews_are_not_printed_in_errors(frame):
    rows = pd.DataFrame({"text": [f"word{i} " * 400 for i in range(20)]})
    with pytest.raises(LabelError) as messages:
        TextList.from_df(rows, cols="text").split_by_idx([1]).label_from_re("(nothing)")
    assert len(str(messages.value)) < 1500
