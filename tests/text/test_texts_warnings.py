"""What is left out of texts, cut or guessed is said once, with a count; options do something."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from onecycle.core.errors import CheckpointError, OnecycleWarning, TableError, UsageError
from onecycle.models.awd_lstm import AWD_LSTM
from onecycle.runtime.inputs.subwords import train_subwords
from onecycle.runtime.inputs.words import SPECIAL
from onecycle.text.learner import language_model_learner, text_classifier_learner
from onecycle.text.learners import Ensemble
from onecycle.text.lists import TextClasDataBunch, TextList, TextLMDataBunch
from onecycle.text.pretrained import read_wt103, write_encoder
from onecycle.text.saved import load_data

SIZES = {"emb_sz": 6, "n_hid": 8, "n_layers": 2}
ROWS = [("neg", "one two three four"), ("pos", "two three four five six")]
FRAME = pd.DataFrame(ROWS * 15, columns=["label", "text"])


def clas(frame=FRAME, **options):
    how = {"text_cols": "text", "label_cols": "label", "seed": 0, "bs": 4, "num_workers": 0}
    return TextClasDataBunch.from_df(".", frame, **(how | options))


def reported(make):
    """What is warned of (but equal texts on both sides), and what is made."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        made = make()
    assert all(issubclass(w.category, OnecycleWarning) for w in found)
    lines = [str(w.message) for w in found]
    return [one for one in lines if "are in training and validation" not in one], made


# --- words ---------------------------------------------------------------------------------------


def test_words_beyond_max_vocab_are_counted():
    """26 points, a 9, b 8, c 7, d 6 and e once, with room for three: 13 of 57 are lost."""
    texts = [" ".join(t) for t in ("a" * 9, "b" * 8, "c" * 7, "d" * 6, "e")]
    texts = [text.replace(" ", " . ") for text in texts]  # four in a row are one of their own
    rows = TextList.from_df(pd.DataFrame({"text": texts}), cols="text", max_vocab=len(SPECIAL) + 3)
    lines, made = reported(lambda: rows.split_none().label_for_lm())
    assert lines[0].startswith(
        "max_vocab=12 leaves out 2 of the 5 words that come 2 times or more: 22.8% of all words"
    )
    assert made.train.task.input.vocab[9:] == (".", "a", "b")
    roomy = TextList.from_df(pd.DataFrame({"text": texts}), cols="text", max_vocab=14, min_freq=2)
    assert reported(lambda: roomy.split_none().label_for_lm())[0] == []


@pytest.mark.parametrize("kind", ["classes", "language model"])
def test_a_side_whose_words_are_unknown_says_which_share(kind):
    frame = FRAME.assign(held=[False] * 20 + [True] * 10)
    frame.loc[20:, "text"] = "one eins zwei drei"
    items = TextList.from_df(frame, cols="text").split_from_df("held")
    lines, _ = reported(
        lambda: items.label_from_df(0) if kind == "classes" else items.label_for_lm()
    )
    (message,) = lines
    assert message.startswith("75% of the 40 words of validation are not in the vocabulary")
    assert "'drei', 'eins', 'zwei'" in message or "'eins', 'zwei', 'drei'" in message


def test_a_vocabulary_of_other_texts_is_noticed_on_both_sides():
    other = (*SPECIAL, *"eins zwei drei one".split())
    lines, _ = reported(lambda: clas(vocab=other))
    assert len(lines) == 1
    assert lines[0].startswith("91% of the 110 words of training and 80% of the 25 words of valid")
    assert "where vocab= was given" in lines[0]


def test_few_unknown_words_are_no_warning():
    frame = pd.concat([FRAME, pd.DataFrame([("pos", "two rare words")], columns=FRAME.columns)])
    assert reported(lambda: clas(frame))[0] == []


def test_a_tokenizer_of_other_texts_is_noticed():
    lines, _ = reported(lambda: clas(tokenizer=train_subwords(["xyz zyx xxy"] * 9, 14)))
    assert any("the tokenizer was made for other texts" in message for message in lines)


def test_a_tokenizer_that_gets_fewer_pieces_than_asked_for_says_how_many():
    lines, made = reported(lambda: train_subwords(FRAME.text, 500, "bpe"))
    pieces = len(json.loads(made)["model"]["vocab"])
    assert lines == [
        f"the texts give {pieces} pieces, not 500: there are no more that occur often enough"
    ]
    assert reported(lambda: train_subwords(FRAME.text, pieces, "bpe"))[0] == []


def test_texts_without_a_word_are_counted_with_their_row_or_file(tmp_path):
    frame = pd.DataFrame({"label": ["a", "b"] * 6, "text": ["fine", "<br />"] * 6})
    frame.index = [f"r{i}" for i in range(12)]
    lines, _ = reported(lambda: clas(frame, min_freq=1))
    assert lines[0].startswith("6 of 12 texts hold no word: ")
    assert sum(f"'row r{i}'" in lines[0] for i in (1, 3, 5, 7, 9, 11)) == 5
    for i, text in enumerate(("", "good film", "\n \n", "bad film")):
        (tmp_path / f"{i}.txt").write_text(text)
    items = TextList.from_folder(tmp_path, min_freq=1).split_by_idx([2, 3])
    for label in (items.label_for_lm, lambda: items.label_const("x")):
        lines, _ = reported(label)
        assert lines[-1].startswith(f"2 of 4 texts hold no word: '{tmp_path}/0.txt', '{tmp_path}/2")


def test_a_prediction_on_nothing_that_is_known_is_said():
    learn = text_classifier_learner(clas(), config=SIZES, silent=True)
    for text in ("", "nie gehört", "<br />"):
        with pytest.warns(OnecycleWarning, match="holds no word of the model's vocabulary"):
            learn.predict(text)
    assert reported(lambda: learn.predict("nie two"))[0] == []


# --- what is cut ---------------------------------------------------------------------------------


def test_texts_longer_than_max_len_are_counted_on_all_sides():
    """Of 20 training, 10 validation and 1 test text those with six tokens are too long for five."""
    data = clas(FRAME[:20], valid_df=FRAME[20:])
    data = data.src.add_test(["one two three four five six seven"]).databunch(bs=4)
    lines, _ = reported(lambda: text_classifier_learner(data, config=SIZES, max_len=5, silent=True))
    assert lines == [
        "16 of 31 texts have more than max_len=5 tokens (up to 8): maximum and mean are over the "
        "last of them alone; max_len= decides"
    ]
    for max_len in (8, 1400):
        made = lambda n=max_len: text_classifier_learner(data, config=SIZES, max_len=n)  # noqa: E731
        assert reported(made)[0] == []


@pytest.fixture
def hub(tmp_path):
    """A tiny DistilBERT in a folder, which takes 8 tokens."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = ["[PAD]", "[UNK]", *"one two three four five six".split()]
    made = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", model_max_length=8
    )
    config = transformers.DistilBertConfig(
        vocab_size=8, dim=8, n_layers=1, n_heads=1, hidden_dim=8, max_position_embeddings=8
    )
    transformers.DistilBertModel(config).save_pretrained(tmp_path / "hub")
    fast.save_pretrained(tmp_path / "hub")
    return str(tmp_path / "hub")


def test_a_hugging_face_model_counts_what_it_cuts_and_refuses_what_it_ignores(hub):
    long = FRAME.assign(text=[("one " * (7 + i % 4)).strip() for i in range(30)])
    data = clas(long, min_freq=1)  # 7, 8, 9 and 10 tokens in turn
    lines, learn = reported(lambda: text_classifier_learner(data, hub, silent=True))
    assert lines == [
        "14 of 30 texts have more tokens than the 8 that are read (up to 10): what follows is cut "
        "off. max_len= decides, as far as the model goes; or cut the texts in parts yourself"
    ]
    lines, _ = reported(lambda: text_classifier_learner(data, hub, max_len=7, silent=True))
    assert lines[0].startswith("22 of 30 texts have more tokens than the 7 that are read")
    with pytest.warns(OnecycleWarning, match="reads 8 tokens of a text, and 3 more"):
        learn.predict("two " * 11)
    for wrong in ({"config": SIZES}, {"pretrained": False}, {"bptt": 30}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))} belongs to an AWD-LSTM"):
            text_classifier_learner(data, hub, **wrong)
    with pytest.raises(UsageError, match="drop_mult"):
        text_classifier_learner(data, hub, drop_mult=3)
    with pytest.raises(UsageError, match="reads forwards"):
        text_classifier_learner(clas(backwards=True), hub)
    dropped = text_classifier_learner(clas(), hub, drop_mult=0.5, ps=0.3, silent=True)
    assert [m.p for m in dropped.model.head if isinstance(m, torch.nn.Dropout)] == [0.2, 0.3]


def test_tokens_that_fill_no_stream_are_counted():
    """29 tokens and one to come in streams of 12: two each, and five left over."""
    texts = pd.DataFrame({"text": ["one two three four"] * 6})
    how = {"text_cols": "text", "min_freq": 1, "bs": 12}
    lines, data = reported(lambda: TextLMDataBunch.from_df(".", texts, texts, **how))
    assert [message[:60] for message in lines] == [
        "the last 5 of 30 tokens do not fill 12 streams, and are left",
    ] * 2
    assert sum("each epoch" in message for message in lines) == 1
    assert sum(y.numel() for _, y in data.valid_dl) == 24
    assert (
        reported(lambda: TextLMDataBunch.from_df(".", texts, texts, **(how | {"bs": 4})))[0] == []
    )


# --- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [TextClasDataBunch, TextLMDataBunch])
def test_columns_that_are_counted_are_not_taken_for_others_that_have_a_name(make, tmp_path):
    swapped = FRAME[["text", "label"]]
    swapped.to_csv(tmp_path / "t.csv", index=False)
    for read in (
        lambda: make.from_df(".", swapped, bs=4),
        lambda: make.from_csv(tmp_path, "t.csv", bs=4),
        lambda: TextList.from_df(FRAME),
    ):
        with pytest.raises(TableError, match="there is one named 'text'"):
            read()
    with pytest.raises(TableError, match=r"label_cols=0 is the column 'text'.*'label'"):
        TextClasDataBunch.from_df(".", swapped, text_cols="text", bs=4)
    named = TextClasDataBunch.from_df(".", swapped, text_cols="text", label_cols="label", bs=4)
    assert named.classes == ["neg", "pos"]
    other = FRAME.rename(columns={"text": "body", "label": "kind"})
    assert TextClasDataBunch.from_df(".", other, bs=4).classes == ["neg", "pos"]


def test_texts_of_a_large_table_are_looked_at_as_well(tmp_path, monkeypatch):
    from onecycle.text import lists

    monkeypatch.setattr(lists, "_LARGE", 1)
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(TableError, match="there is one named 'text'"):
        TextList.from_csv(tmp_path, "t.csv")


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("mark", ["\t", ";", "|"])
def test_columns_apart_by_another_delimiter_are_not_one_text(tmp_path, monkeypatch, mark, large):
    from onecycle.text import lists

    monkeypatch.setattr(lists, "_LARGE", 1 if large else 10**9)
    FRAME.to_csv(tmp_path / "t.csv", index=False, sep=mark)
    with pytest.raises(TableError, match=r"the table has one column.*is that the delimiter"):
        TextList.from_csv(tmp_path, "t.csv")
    assert TextList.from_csv(tmp_path, "t.csv", "text", mark).items[0] == FRAME.text[0]
    assert TextList.from_csv(tmp_path, "t.csv", delimiter=",").items[0] == mark.join(FRAME.iloc[0])
    (tmp_path / "t.csv").write_text("body\na; b\nc\td\n")
    assert list(TextList.from_csv(tmp_path, "t.csv").items) == ["a; b", "c\td"]
    (tmp_path / "t.csv").write_text("neg\ta b\npos\tc\n")
    with pytest.raises(TableError, match="is that the delimiter"):
        TextList.from_csv(tmp_path, "t.csv", header=None)


def test_texts_that_are_numbers_are_counted():
    frame = pd.DataFrame({"n": [3, 4.5, 1, 2], "s": ["12", "-3.5", "a12", "b"], "d": [*"wxyz"]})
    for name, count in (("n", 4), ("s", 2)):
        (message,), _ = reported(lambda name=name: TextList.from_df(frame, cols=name))
        assert message.startswith(f"{count} of 4 texts in column '{name}' are numbers, such as")
    assert reported(lambda: TextList.from_df(frame, cols="d"))[0] == []


def test_one_thing_says_what_validates(tmp_path):
    held = FRAME.assign(is_valid=[True] * 6 + [False] * 24)
    held.to_csv(tmp_path / "t.csv", index=False)
    how = {"text_cols": "text", "label_cols": "label", "bs": 4}
    for read in (
        lambda **more: TextClasDataBunch.from_df(tmp_path, held, **how, **more),
        lambda **more: TextClasDataBunch.from_csv(tmp_path, "t.csv", **how, **more),
    ):
        assert len(read().valid_ds) == 6
        assert len(read(is_valid=False, seed=0).valid_ds) == 6
        assert len(read(is_valid=False, seed=0, valid_pct=0.5).valid_ds) == 15
        with pytest.raises(UsageError, match="column is_valid says what validates"):
            read(valid_pct=0.5)
    with pytest.raises(UsageError, match="valid_df= says what validates"):
        clas(valid_df=FRAME[:5], valid_pct=0.3)
    assert len(clas().valid_ds) == 6


def test_a_language_model_takes_no_labels():
    for wrong in ({"classes": ["neg"]}, {"label_delim": " "}):
        with pytest.raises(UsageError, match="a language model has no labels"):
            TextLMDataBunch.from_df(".", FRAME, text_cols="text", bs=2, **wrong)


def test_two_lists_are_one_data_if_they_are_read_alike():
    one, two = FRAME[:20], FRAME[20:]
    lists = [TextList.from_df(part, cols="text", min_freq=1) for part in (one, two)]
    sides = lists[0].split_by_list(*lists)
    assert sides.label_for_lm().databunch(bs=2).task.input.stream
    assert sides.label_from_df(0).classes == ["neg", "pos"]
    assert len(lists[0].add(lists[1]).split_none().label_for_lm().train) == 30
    others = ({"min_freq": 1, "backwards": True}, {"min_freq": 5}, {"vocab": [*SPECIAL, "one"]})
    for options, lines in zip(others, ("backwards", "min_freq", "min_freq"), strict=True):
        held = TextList.from_df(two, cols="text", **options)
        for use in (lambda held=held: one_of(lists, held), lambda held=held: lists[0].add(held)):
            with pytest.raises(UsageError, match=f"{lines} is"):
                use()
    vocab = TextList.from_df(one, cols="text", vocab=[*SPECIAL, "two"])
    with pytest.raises(UsageError, match="vocab is"):
        vocab.split_by_list(vocab, TextList.from_df(two, cols="text", vocab=[*SPECIAL, "one"]))
    with pytest.raises(UsageError):
        lists[0].add(["a text"])


def one_of(lists, held):
    return lists[0].split_by_list(lists[0], held)


def test_options_that_would_have_no_effect_on_texts_are_refused():
    lines = train_subwords(["one two three"] * 9, 14)
    for own in ({"vocab": [*SPECIAL, "one"]}, {"tokenizer": lines}):
        for useless in ({"min_freq": 1}, {"max_vocab": 100}):
            with pytest.raises(UsageError, match=f"{next(iter(useless))}= is for a vocabulary"):
                TextList.from_df(FRAME, cols="text", **own, **useless)
    with pytest.raises(UsageError, match="bptt= of texts is for language models"):
        clas(bptt=20)
    with pytest.raises(UsageError, match="bptt= of texts is for language models"):
        TextList.from_df(FRAME, cols="text", bptt=7).split_by_idx([0]).label_from_df(0)
    with pytest.raises(TypeError):
        clas().train_ds[0][0].show(heigth=3)


def test_texts_have_no_views():
    src = clas().src
    for wrong in (
        {"tfms": ([1], [])},
        {"size": 3},
        {"tfm_y": True},
        {"resize_method": "crop"},
        {"padding_mode": "zeros"},
    ):
        with pytest.raises(UsageError, match="texts take no transforms"):
            src.transform(**wrong)
    assert src.transform().train.task.input is src.train.task.input


# --- files ---------------------------------------------------------------------------------------


def test_data_comes_back_with_its_batches_and_its_order_unless_told_otherwise(tmp_path):
    first = clas().src.databunch(tmp_path, bs=5, val_bs=3, seed=7)
    first.save("d")
    again = load_data(tmp_path, "d")
    kept = {name: again.options[name] for name in ("bs", "val_bs", "seed")}
    assert kept == {"bs": 5, "val_bs": 3, "seed": 7}
    assert [x.tolist() for x, _ in again.train_dl] == [x.tolist() for x, _ in first.train_dl]
    other = load_data(tmp_path, "d", bs=8, seed=1)
    assert (other.batch_size, other.options["val_bs"], other.options["seed"]) == (8, 8, 1)
    assert load_data(tmp_path, "d", val_bs=2).options["val_bs"] == 2
    (tmp_path / "moved").mkdir()
    (tmp_path / "d").rename(tmp_path / "moved" / "d")
    moved = load_data(tmp_path / "moved", "d")
    assert moved.path == tmp_path / "moved"
    assert list(moved.train_ds.items) == list(first.train_ds.items)


def test_saving_data_never_replaces_another_file(tmp_path):
    data = clas().src.databunch(tmp_path, bs=4)
    for content in (b"label,text\npos,good\n", b""):
        (tmp_path / "texts.csv").write_bytes(content)
        with pytest.raises(UsageError, match=r"texts\.csv is there, and no data that was saved"):
            data.save("texts.csv")
        assert (tmp_path / "texts.csv").read_bytes() == content
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="folder is there"):
        data.save("folder")
    data.save("d")
    assert data.save("d").stat().st_size > 500


def test_an_encoder_of_other_words_counts_those_that_are_new(tmp_path):
    known = [*SPECIAL, "one", "two", "three"]
    write_encoder(tmp_path / "e.safetensors", AWD_LSTM(len(known), 6, 8, 2), known)
    data = clas()
    lines = r"e.* does not know 3 of the 16 tokens of this data \('four', 'five', 'six'\)"
    learn = text_classifier_learner(data, config=SIZES, silent=True)
    for load in (
        lambda: learn.load_encoder((tmp_path / "e").absolute()),
        lambda: text_classifier_learner(data, pretrained=str(tmp_path / "e.safetensors")),
    ):
        with pytest.warns(OnecycleWarning, match=lines):
            load()
    few = clas(FRAME.assign(text=["one two", "two three"] * 15))
    whole = text_classifier_learner(few, config=SIZES, silent=True)
    assert reported(lambda: whole.load_encoder((tmp_path / "e").absolute()))[0] == []
    assert reported(lambda: text_classifier_learner(data, pretrained="small"))[0] == []


@pytest.mark.parametrize(
    ("name", "reading", "lines"),
    [
        ("lstm_bwd.pth", "words, backwards", 0),
        ("lstm_fwd.pth", "words", 0),
        ("model.pth", "words", 1),
    ],
)
def test_a_published_model_whose_name_tells_no_direction_is_said_to_read_forwards(
    tmp_path, name, reading, lines
):
    import pickle

    words = [*SPECIAL, "one"]
    net = AWD_LSTM(len(words), 4, 5, 1)
    state = {"0.encoder.weight": net.embedding.weight.detach()}
    for key, value in net.rnns[0].inner.state_dict().items():
        state[f"0.rnns.0.module.{key}"] = value
    torch.save(state, tmp_path / name)
    (tmp_path / "itos.pkl").write_bytes(pickle.dumps(words))
    messages, encoder = reported(lambda: read_wt103(tmp_path))
    assert encoder.reading == reading
    assert len(messages) == lines
    assert all("does not say which way it reads" in message for message in messages)


# --- several learners ----------------------------------------------------------------------------


def test_an_ensemble_averages_probabilities_and_stays_finite_where_all_are_certain():
    tags = FRAME.assign(label=["a;b", "b"] * 15)
    data = clas(tags, label_delim=";")
    learners = [text_classifier_learner(data, config=SIZES, silent=True) for _ in range(2)]
    for learn, bias in zip(learners, ((400.0, 400.0), (400.0, 2.0)), strict=True):
        with torch.no_grad():
            learn.model.head[-1].weight.zero_()
            learn.model.head[-1].bias.copy_(torch.tensor(bias))
    found = Ensemble(*learners).predictions()
    wanted = [1.0, (1 + 1 / (1 + np.exp(-2.0))) / 2]
    assert found.probabilities[0].tolist() == pytest.approx(wanted)
    assert found.losses.isfinite().all()
    single = -np.log(wanted[1])  # of the second label; the first is certain and right
    right = found.targets[:, 0] == 1
    assert found.losses[right].tolist() == pytest.approx([single / 2] * int(right.sum()), abs=1e-5)
    assert 0 < (~right).sum() < len(right)
    assert found.losses[~right].tolist() == pytest.approx(
        [(single + 16.1) / 2] * int((~right).sum()), abs=0.2
    )


def test_an_encoder_of_other_sizes_says_which(tmp_path):
    data = clas()
    write_encoder(tmp_path / "e.safetensors", AWD_LSTM(len(data.vocab), 6, 9, 3), data.vocab)
    learn = text_classifier_learner(data, config=SIZES, silent=True)
    lines = r"tensors do not fit, the first .* there and .*'n_hid': 9, 'n_layers': 3"
    with pytest.raises(CheckpointError, match=lines):
        learn.load_encoder((tmp_path / "e").absolute())


def test_each_learner_of_an_ensemble_reads_with_its_own_words():
    learners = [
        text_classifier_learner(clas(**options), config=SIZES, silent=True)
        for options in (
            {},
            {"vocab": [*SPECIAL, "four", "two", "three", "one", "six", "five", "xxfake"]},
            {"backwards": True},
        )
    ]
    both, text = Ensemble(*learners), "three six one"
    alone = torch.stack([learn.predict(text)[2] for learn in learners])
    assert (alone.std(0) > 1e-4).all()
    answer, index, shares = both.predict(text)
    torch.testing.assert_close(shares, alone.mean(0))
    assert (str(answer), int(index)) == (["neg", "pos"][int(shares.argmax())], int(shares.argmax()))
    wanted = torch.stack([learn.get_preds()[0] for learn in learners]).mean(0)
    torch.testing.assert_close(both.get_preds()[0], wanted)


def test_learners_of_other_classes_or_labels_are_no_ensemble():
    learn = text_classifier_learner(clas(), config=SIZES, silent=True)
    turned = clas(FRAME.assign(label=["z", "pos"] * 15))
    with pytest.raises(UsageError, match="same answers"):
        Ensemble(learn, text_classifier_learner(turned, config=SIZES))
    swapped = clas(FRAME.assign(label=["pos", "neg"] * 15))
    both = Ensemble(learn, text_classifier_learner(swapped, config=SIZES))
    with pytest.raises(UsageError, match="other labels for the same items"):
        both.get_preds()
    with pytest.raises(UsageError, match="same answers"):
        Ensemble()


def test_penalties_and_clipping_are_what_they_can_be():
    streams = TextLMDataBunch.from_df(".", FRAME, text_cols="text", bs=2)
    for wrong in ({"clip": -1}, {"clip": "0.1"}, {"alpha": -1}, {"beta": float("nan")}):
        with pytest.raises(UsageError, match=f"{next(iter(wrong))} is a number from 0"):
            language_model_learner(streams, config=SIZES, **wrong)
