"""Parts of words for other languages, texts read from their end, and Hugging Face encoders."""

# ruff: noqa: RUF001 - other languages' letters are meant

import json

import numpy as np
import pandas as pd
import pytest
import torch

from onecycle import DatasetType, Ensemble
from onecycle.core.errors import CheckpointError, DataError, ModelError, OnecycleWarning, UsageError
from onecycle.interpret.words import _probabilities, word_scores
from onecycle.runtime.inputs import subwords
from onecycle.runtime.inputs.subwords import pieces_of, train_subwords
from onecycle.runtime.inputs.words import SPECIAL
from onecycle.runtime.predictor import Predictor
from onecycle.text.learner import language_model_learner, text_classifier_learner
from onecycle.text.lists import TextClasDataBunch, TextList, TextLMDataBunch

SIZES = {"emb_sz": 20, "n_hid": 24, "n_layers": 2}
SAMPLES = {
    "chinese": ("这部电影非常好看，演员很棒。", "剧情无聊，我不喜欢这部电影。"),
    "turkish": ("Filmin çekimleri muhteşemdi, oyuncular harikaydı.", "Çok sıkıcıydı, beğenmedim."),
    "emoji": ("🎬 👍👍 😀❤️ 10/10", "💤 👎 😡 👨‍👩‍👧 1/10"),
}


def frame(language):
    good, bad = SAMPLES[language]
    return pd.DataFrame({"label": ["pos", "neg"] * 20, "text": [good, bad] * 20})


def data_of(kind, rows, tmp_path, **options):
    how = {"text_cols": "text", "seed": 0, "bs": 8, "num_workers": 0}
    how |= {} if {"tokenizer", "vocab"} & {*options} else {"min_freq": 1}
    labels = {} if kind is TextLMDataBunch else {"label_cols": "label"}
    return kind.from_df(tmp_path, rows, **(how | labels | options))


@pytest.mark.filterwarnings("ignore:the texts give .* pieces, not", "ignore:.* holds no word")
@pytest.mark.parametrize("language", list(SAMPLES))
@pytest.mark.parametrize("model", ["unigram", "bpe"])
def test_another_language_from_texts_to_an_exported_classifier(language, model, tmp_path):
    rows = frame(language)
    subwords = train_subwords(rows.text, 300, model)
    assert pieces_of(subwords)[: len(SPECIAL)] == SPECIAL
    lm = data_of(TextLMDataBunch, rows, tmp_path, tokenizer=subwords, bptt=8, bs=4)
    ids = lm.task.input.ids(SAMPLES[language][0])
    assert ids[0] == 2
    assert 0 not in ids
    shown = lm.task.input.readable(ids).replace("xxbos", "").split()
    assert shown == SAMPLES[language][0].split()
    torch.manual_seed(0)
    learn = language_model_learner(lm, config=SIZES, path=tmp_path, silent=True)
    learn.fit_one_cycle(1, 1e-2)
    assert learn.predict(SAMPLES[language][0], 3, seed=0)
    learn.save_encoder("enc")
    data = data_of(TextClasDataBunch, rows, tmp_path, tokenizer=subwords)
    with pytest.raises(UsageError, match="published model knows words"):
        text_classifier_learner(data)
    clas = text_classifier_learner(data, config=SIZES, path=tmp_path, drop_mult=0, silent=True)
    clas.load_encoder("enc").unfreeze().fit_one_cycle(20, 1e-2)
    assert clas.validate()[1] == 1.0
    predictor = Predictor(clas.export("m.onnx"))
    for text in (*SAMPLES[language], "", "unseen \ud800 ж"):
        reported, _, shares = clas.predict(text)
        answer = predictor.predict(text)
        assert str(answer) == str(reported)
        np.testing.assert_allclose(answer.probabilities, shares.numpy(), atol=1e-4)
    assert predictor.input.page_fault() is None


@pytest.mark.filterwarnings("ignore:the texts give .* pieces, not")
def test_a_number_far_beyond_all_tokens_is_damage_and_no_list_of_that_length():
    known = json.loads(train_subwords(["a fine film"] * 9, 30, "bpe"))
    known["model"]["vocab"]["zz"] = 5_000_000
    with pytest.raises(
        UsageError, match=r"damaged: it has 2.. tokens, and numbers up to 5,000,000"
    ):
        pieces_of(json.dumps(known))


def test_ids_of_a_loader_are_those_of_each_text(tmp_path):
    rows = frame("turkish")
    for options in ({"tokenizer": train_subwords(rows.text, 40)}, {}, {"backwards": True}):
        data = data_of(TextClasDataBunch, rows, tmp_path, **options)
        given, x = data.task.input, data.one_batch(DatasetType.Valid)[0]
        for row, i in zip(x, data.valid_dl.order, strict=False):
            wanted = given.ids(data.valid_ds.items[i])
            assert row[: len(wanted)].tolist() == wanted.tolist()
            assert (row[len(wanted) :] == given.padding).all()


def test_an_encoder_of_other_tokens_or_direction_is_refused(tmp_path):
    rows = frame("turkish")
    words = data_of(TextClasDataBunch, rows, tmp_path)
    text_classifier_learner(words, config=SIZES, path=tmp_path, silent=True).save_encoder("enc")
    other = {"tokenizer": train_subwords(rows.text, 40)}
    for options in (other, {"backwards": True}):
        data = data_of(TextClasDataBunch, rows, tmp_path, **options)
        with pytest.raises(CheckpointError, match="reads texts otherwise"):
            text_classifier_learner(data, config=SIZES, path=tmp_path, silent=True).load_encoder(
                "enc"
            )


def test_other_data_must_number_its_texts_alike(tmp_path):
    rows = frame("turkish")
    data = data_of(TextClasDataBunch, rows, tmp_path)
    learn = text_classifier_learner(data, config=SIZES, path=tmp_path, silent=True)
    learn.data = data_of(TextClasDataBunch, rows, tmp_path, vocab=learn.vocab)
    with pytest.raises(UsageError, match="another vocab"):
        learn.data = data_of(TextClasDataBunch, rows, tmp_path, vocab=[*learn.vocab, "more"])


@pytest.mark.parametrize(
    ("vocab", "messages"),
    [
        (["the", "film"], "begins with"),
        ([*SPECIAL, "a", "b", "a"], "'a' twice"),
        ([*SPECIAL, 3], "list of tokens"),
        ("xxunk", "list of tokens"),
        ([], "list of tokens"),
    ],
)
def test_what_is_no_vocabulary_is_refused(vocab, messages):
    with pytest.raises(UsageError, match=messages):
        TextList.from_df(frame("turkish"), cols="text", vocab=vocab)


def test_a_backward_model_reads_from_the_end_and_helps_a_forward_one(tmp_path):
    rows = frame("turkish")
    learners = []
    for backwards in (False, True):
        data = data_of(TextClasDataBunch, rows, tmp_path, backwards=backwards)
        torch.manual_seed(0)
        learn = text_classifier_learner(data, config=SIZES, path=tmp_path, silent=True)
        learners.append(learn.fit_one_cycle(1, 1e-2))
    forward, backward = (learn.task.input.ids("Çok sıkıcı değil") for learn in learners)
    assert forward.tolist() == backward[::-1].tolist()
    both = Ensemble(*learners)
    shares, labels = both.get_preds()
    wanted = sum(learn.get_preds()[0] for learn in learners) / 2
    torch.testing.assert_close(shares, wanted)
    losses = both.predictions().losses
    torch.testing.assert_close(losses, -wanted[range(len(labels)), labels].log())
    answer, _, mean = both.predict("Çok sıkıcı")
    assert str(answer) == both.learners[0].data.classes[int(mean.argmax())]
    predictor = Predictor(learners[1].export("backward.onnx"))
    np.testing.assert_allclose(
        predictor.predict("Çok sıkıcı").probabilities,
        learners[1].predict("Çok sıkıcı")[2].numpy(),
        atol=1e-4,
    )
    other = data_of(TextClasDataBunch, rows[::-1], tmp_path, seed=3)
    uneven = Ensemble(learners[0], text_classifier_learner(other, config=SIZES, silent=True))
    with pytest.raises(UsageError, match="same seed"):
        uneven.get_preds()


def test_words_of_a_backward_model_are_scored_in_the_order_of_reading(tmp_path):
    begins = ["It was", "The film was", "Today was", "That was", "All was", "He was"]
    texts = [f"{begin} {word} today." for begin in begins for word in ("GOOD", "BAD")]
    rows = pd.DataFrame({"label": ["pos", "neg"] * 48, "text": texts * 8})
    data = data_of(TextClasDataBunch, rows, tmp_path, backwards=True)
    torch.manual_seed(0)
    learn = text_classifier_learner(data, config=SIZES, drop_mult=0, silent=True)
    learn.fit_one_cycle(12, 2e-2)
    good, bad = (word_scores(learn, f"It was {word} today.") for word in ("GOOD", "BAD"))
    assert good.tokens == ("xxmaj it", "was", "xxup good", "today", ".")
    assert [good.category, bad.category] == ["pos", "neg"]
    most = max(good.top(1)[0], bad.top(1)[0], key=lambda pair: pair[1])  # one of them decides
    assert most[0] in {"xxup good", "xxup bad"}
    assert most[1] > 0.4


def test_a_backward_language_model_writes_what_comes_before(tmp_path):
    rows = pd.DataFrame({"text": ["one two three four five six"] * 60})
    data = data_of(TextLMDataBunch, rows, tmp_path, backwards=True, bptt=7, bs=4)
    torch.manual_seed(0)
    learn = language_model_learner(data, config=SIZES, drop_mult=0, silent=True)
    learn.fit_one_cycle(10, 3e-2)
    assert learn.predict("five six", 2, seed=0, top_k=1) == "three four five six"
    assert learn.predict("Five  SIX", 0) == "Five  SIX"


@pytest.fixture
def tiny_model(tmp_path):
    """A DistilBERT of random weights with a tokenizer of its own, in a folder."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "film", "not", "the"]
    made = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16
    )
    torch.manual_seed(0)
    config = transformers.DistilBertConfig(
        vocab_size=len(names), dim=16, n_layers=4, n_heads=2, hidden_dim=24
    )
    folder = tmp_path / "tiny"
    transformers.DistilBertModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def test_a_hugging_face_model_reads_with_its_own_tokenizer(tiny_model, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["the", "film", "not"], rng.integers(1, 9))) for _ in range(64)]
    labels = rng.choice(["good", "bad"], 64)
    rows = pd.DataFrame(
        {"label": labels, "text": [f"{t} {y}" for t, y in zip(texts, labels, strict=True)]}
    )
    data = data_of(TextClasDataBunch, rows, tmp_path)
    learn = text_classifier_learner(data, str(tiny_model), path=tmp_path, silent=True)
    assert learn.task.input.ids("good film ?").tolist() == [2, 4, 6, 1, 3]
    assert len(learn.task.input.ids("film " * 50)) == 16
    assert len(learn.layer_groups) == 4
    counted = sum(p.numel() for group in learn.layer_groups for p in group)
    assert counted == sum(p.numel() for p in learn.model.parameters())
    assert not any(p.requires_grad for p in learn.model.body.parameters())
    before = learn.model.body.embeddings.word_embeddings.weight.clone()
    learn.fit_one_cycle(1, 1e-2)
    assert torch.equal(before, learn.model.body.embeddings.word_embeddings.weight)
    learn.unfreeze().fit_one_cycle(6, slice(1e-3, 1e-2))
    assert learn.validate()[1] > 0.9
    assert str(learn.predict("the film not good")[0]) == "good"
    with monkeypatch.context() as patch:
        patch.setattr(subwords, "json", None)  # it is large, and was read before
        assert str(learn.predict("the film not bad")[0]) == "bad"
    alone = torch.stack([learn.predict(text)[2] for text in data.valid_ds.items])
    torch.testing.assert_close(learn.get_preds()[0], alone, atol=1e-5, rtol=1e-5)
    scored = word_scores(learn, "the film bad")
    assert scored.tokens == ("the", "film", "bad")
    assert scored.top(1)[0][0] == "bad"
    count = len(scored.tokens)
    assert len(scored.top()) == min(10, count)
    with pytest.warns(OnecycleWarning, match=f"{count} tokens, fewer than k=99"):
        assert len(scored.top(99)) == count
    with pytest.raises(UsageError, match="number of tokens"):
        scored.top(-1)
    longer = "the film not bad the film good"  # the first is padded beside it
    rows = [torch.as_tensor(learn.task.input.ids(text)) for text in ("the film bad", longer)]
    together = _probabilities(learn, rows)[0]
    torch.testing.assert_close(together, learn.predict("the film bad")[2], atol=1e-5, rtol=1e-5)
    learn.save("m")
    again = text_classifier_learner(data, str(tiny_model), path=tmp_path, silent=True)
    again.load("m", with_opt=False)
    torch.testing.assert_close(again.predict("not bad")[2], learn.predict("not bad")[2])
    with pytest.raises(UsageError, match=r"learn\.save"):
        learn.save_encoder("enc")


def test_a_folder_without_a_model_is_named(tmp_path):
    pytest.importorskip("transformers")
    data = data_of(TextClasDataBunch, frame("turkish"), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="empty"):
        text_classifier_learner(data, str(tmp_path / "empty"))


def bert_like(pad_id, padded=True):
    """Words by blanks, with [PAD] and [UNK] at other places than ours."""
    words = ["great", "lovely", "awful", "dull", "film", "plot", "and"]
    words.insert(pad_id, "[PAD]")
    words.insert(0 if pad_id else 1, "[UNK]")
    library = pytest.importorskip("tokenizers")
    vocab = {word: i for i, word in enumerate(words)}
    made = library.Tokenizer(library.models.WordLevel(vocab, unk_token="[UNK]"))
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    if padded:
        made.enable_padding(pad_id=vocab["[PAD]"], pad_token="[PAD]")
    return made


@pytest.mark.filterwarnings("ignore:.*the tokenizer was made for other texts")
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("pad_id", [0, 3])
def test_padding_of_any_number_changes_no_answer(pad_id, padded, tmp_path):
    rng = np.random.default_rng(0)
    texts = [
        " ".join([*rng.choice(["film", "plot", "and", "zz"], rng.integers(1, 9)), word])
        for word in ["great", "awful"] * 40
    ]
    rows = pd.DataFrame({"label": ["pos", "neg"] * 40, "text": texts})
    messages = bert_like(pad_id, padded).to_str()
    data = data_of(TextClasDataBunch, rows, tmp_path, tokenizer=messages)
    assert data.vocab[data.task.input.unknown] == "[UNK]"
    torch.manual_seed(0)
    learn = text_classifier_learner(data, config=SIZES, drop_mult=0, silent=True, path=tmp_path)
    learn.fit_one_cycle(12, 2e-2)
    assert learn.validate()[1] > 0.9
    alone = torch.stack([learn.predict(text)[2] for text in data.valid_ds.items])
    torch.testing.assert_close(learn.get_preds()[0], alone, atol=1e-6, rtol=1e-5)
    reported = [str(learn.predict(f"zz zz zz film {word}")[0]) for word in ("great", "awful")]
    assert reported == ["pos", "neg"]
    with pytest.warns(OnecycleWarning, match="holds no word of the model's vocabulary"):
        assert learn.predict("")[2].isfinite().all()
    predictor = Predictor(learn.export("m.onnx"))
    given = ["film and great", "zz awful", "great", "plot plot plot and and dull"]
    found = predictor.predict_batch(given)
    for text, answer in zip(given, found, strict=True):
        np.testing.assert_allclose(answer.probabilities, learn.predict(text)[2], atol=1e-5)


def test_a_tokenizer_without_padding_is_refused(tmp_path):
    library = pytest.importorskip("tokenizers")
    made = library.Tokenizer(library.models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    rows = pd.DataFrame({"label": ["x", "y"] * 4, "text": ["a b"] * 8})
    with pytest.raises(UsageError, match="enable_padding"):
        data_of(TextClasDataBunch, rows, tmp_path, tokenizer=made.to_str())
    with pytest.raises(UsageError, match="JSON as text"):
        data_of(TextClasDataBunch, rows, tmp_path, tokenizer=made)


@pytest.mark.parametrize(
    ("texts", "size"),
    [
        ("hello world", 100),
        (["fine", None], 100),
        (["fine"], -1),
        (["".join(map(chr, range(0x4E00, 0x4E20)))], 20),
    ],
)
def test_subwords_that_cannot_be_learnt_are_refused(texts, size):
    with pytest.raises(UsageError):
        train_subwords(texts, vocab_sz=size)


def saved(folder, config, model, names):
    """A Hugging Face model with random weights, and a tokenizer of whole words."""
    transformers = pytest.importorskip("transformers")
    library = pytest.importorskip("tokenizers")
    made = library.Tokenizer(library.models.WordLevel(names, unk_token="<unk>"))
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>"
    )
    model(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def test_models_count_positions_in_their_own_ways_and_some_have_no_features(tmp_path):
    transformers = pytest.importorskip("transformers")
    names = {"<s>": 0, "<pad>": 1, "<unk>": 2, "film": 3, "good": 4, "bad": 5}
    rows = pd.DataFrame({"label": ["pos", "neg"] * 8, "text": ["film good", "film bad"] * 8})
    data = data_of(TextClasDataBunch, rows, tmp_path)
    small = {"vocab_size": 6, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 16}
    roberta = transformers.RobertaConfig(
        **small, num_attention_heads=2, max_position_embeddings=34, pad_token_id=1
    )
    folder = saved(tmp_path / "roberta", roberta, transformers.RobertaModel, names)
    learn = text_classifier_learner(data, folder, silent=True)  # a path, as its name
    assert len(learn.task.input.ids("film " * 99)) == 32
    with pytest.warns(OnecycleWarning, match="reads 32 tokens of a text, and 67 more"):
        assert learn.predict("film " * 99)[2].isfinite().all()
    t5 = transformers.T5Config(
        vocab_size=6, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2, pad_token_id=1
    )
    folder = saved(tmp_path / "t5", t5, transformers.T5Model, names)
    assert text_classifier_learner(data, folder, silent=True).predict("film")[2].isfinite().all()
    xlnet = transformers.XLNetConfig(vocab_size=6, d_model=16, n_layer=2, n_head=2, d_inner=16)
    folder = saved(tmp_path / "xlnet", xlnet, transformers.XLNetModel, names)
    assert text_classifier_learner(data, folder, silent=True).predict("film")[2].isfinite().all()
    clip = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    folder = saved(tmp_path / "vit", clip, transformers.ViTModel, names)
    with pytest.raises(ModelError, match="gives no features of tokens"):
        text_classifier_learner(data, folder)


def odd_tokenizer():
    """One whose template names a token that it does not define: the library panics."""
    pytest.importorskip("tokenizers")
    made = json.loads(train_subwords(["the film was great", "a dull film"] * 20, 30, "bpe"))
    made["post_processor"]["special_tokens"] = {}
    return json.dumps(made)


@pytest.mark.filterwarnings("ignore:the texts give")
def test_a_panic_of_the_tokenizer_is_an_error_with_a_name():
    with pytest.raises(DataError, match="the tokenizer cannot split these texts"):
        subwords.encode_texts(odd_tokenizer(), ["a film"])


@pytest.mark.filterwarnings("ignore:the texts give")
def test_a_tokenizer_that_cannot_read_is_refused_when_its_file_is_loaded(tmp_path):
    import onnx
    from mutations import GOLDEN, resealed

    for broken in ("{}", "[1", '{"model": {"type": "BPE"}}', odd_tokenizer()):
        model = onnx.load(GOLDEN / "format1_texts.onnx")
        about = json.loads(model.metadata_props[0].value)
        about["task"]["input"]["tokenizer"] = broken
        (tmp_path / "m.onnx").write_bytes(resealed(model, about))
        with pytest.raises((UsageError, DataError), match="tokenizer"):
            Predictor(tmp_path / "m.onnx")
