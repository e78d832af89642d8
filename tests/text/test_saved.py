"""Data of texts is kept without pickle, tokenized once, and mapped when it comes back."""

import gc
import json
import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from onecycle import DatasetType
from onecycle.core.errors import CheckpointError, DataError, OnecycleWarning, UsageError
from onecycle.data.arrays import from_arrays
from onecycle.text import corpus as module
from onecycle.text.corpus import Corpus, StoredTexts, Texts, TextWriter, number_all
from onecycle.text.lists import TextClasDataBunch, TextList, TextLMDataBunch
from onecycle.text.saved import load_data
from onecycle.text.worker import number_tokens

ROWS = [("neg", "Dull film, don't go."), ("pos", "A GREAT film 🙂"), ("pos", "so good so good")] * 9
FRAME = pd.DataFrame(ROWS, columns=["label", "text"])


def clas(tmp_path, **options):
    how = {"text_cols": "text", "label_cols": "label", "seed": 0, "bs": 4, "num_workers": 0}
    return TextClasDataBunch.from_df(tmp_path, FRAME, min_freq=1, **(how | options))


def batches(data, side):
    return [(x.tolist(), y.tolist()) for x, y in data.dl(side)]


def test_a_classifiers_data_comes_back_as_it_was(tmp_path):
    data = clas(tmp_path)
    path = data.save("data_clas.pkl")
    assert path == tmp_path / "data_clas.pkl"
    again = load_data(tmp_path, "data_clas.pkl", bs=4, num_workers=0)
    assert again.classes == ["neg", "pos"]
    assert again.task.input.vocab == data.task.input.vocab
    assert list(again.valid_ds.items) == list(data.valid_ds.items)
    for side in (DatasetType.Train, DatasetType.Valid):
        assert batches(again, side) == batches(data, side)


def test_a_language_models_data_comes_back_with_its_streams(tmp_path):
    data = TextLMDataBunch.from_df(
        tmp_path, FRAME, text_cols="text", seed=0, bs=2, bptt=7, min_freq=1, num_workers=0
    )
    data.save("data_lm.pkl")
    again = load_data(tmp_path, "data_lm.pkl", bs=2)
    assert again.task.input.stream
    assert again.task.input.bptt == 7
    assert batches(again, DatasetType.Train) == batches(data, DatasetType.Train)
    assert again.c == data.c


def test_tags_a_test_set_and_texts_of_two_frames_are_kept(tmp_path):
    tags = pd.DataFrame({"label": ["a;b", "a", "b"] * 4, "text": ["one two", "three", "four"] * 4})
    data = TextClasDataBunch.from_df(
        tmp_path, tags, tags[:3], text_cols="text", label_cols="label", label_delim=";", bs=4
    )
    src = data.src.add_test(["a text", "another text"])
    src.databunch(tmp_path, bs=4).save("tags")
    again = load_data(tmp_path, "tags", bs=4)
    assert again.valid_ds.labels == (("a", "b"), ("a",), ("b",))
    assert list(again.test_ds.items) == ["a text", "another text"]
    assert again.one_batch()[1].shape == (4, 2)


def test_the_file_is_one_that_safetensors_opens(tmp_path):
    from safetensors import safe_open

    clas(tmp_path).save("d")
    with safe_open(tmp_path / "d", "np") as file:
        assert sorted(file.get_tensor("train").tolist() + file.get_tensor("valid").tolist()) == [
            *range(27)
        ]
        assert b"GREAT" in file.get_tensor("texts").tobytes()


def test_loading_tokenizes_nothing_again(tmp_path, monkeypatch):
    clas(tmp_path).save("d")
    monkeypatch.setattr(module, "number_tokens", lambda texts: 1 / 0)
    assert len(list(load_data(tmp_path, "d", bs=4).train_dl)) == 5


@pytest.mark.parametrize("damage", ["pickle", "cut", "missing", "numbers"])
def test_other_files_are_refused(tmp_path, damage):
    path = clas(tmp_path).save("d")
    content = path.read_bytes()
    if damage == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif damage == "cut":
        path.write_bytes(content[:-3])
    elif damage == "missing":
        path.unlink()
    else:
        start = 8 + int.from_bytes(content[:8], "little")
        path.write_bytes(content[:start] + np.int64(99).tobytes() + content[start + 8 :])
    with pytest.raises(CheckpointError, match="d: "):
        load_data(tmp_path, "d")


def test_data_of_other_kinds_says_that_it_is_not_saved(tmp_path):
    x = np.zeros((6, 2), np.float32)
    data = from_arrays(x, ["a", "b"] * 3, bs=2, path=tmp_path)
    with pytest.raises(UsageError, match="again from its files"):
        data.save()


def test_processes_give_what_one_alone_gives(monkeypatch):
    texts = [f"Text number {i}: {'so ' * (i % 7)} it's\n<br />{i * 7919} ÄÖ 🙂" for i in range(200)]
    texts += ["", " ", "\x00 a\x00b", "cut \ud800 off", "你好" * 50]
    whole = Texts(Corpus(texts))
    alone = whole.corpus.tokens()
    monkeypatch.setattr(module, "_PIECE", 500)
    many = Corpus(texts).tokens()
    assert isinstance(many.flat, np.memmap)
    for i in range(len(texts)):
        assert [many.words[k] for k in many.of(i)] == [alone.words[k] for k in alone.of(i)]


def test_workers_end_with_the_pass_even_when_it_is_left_early(monkeypatch):
    import psutil

    monkeypatch.setattr(module, "_PIECE", 100)
    found = number_all(["some words to count"] * 2000, 2)
    for _ in range(4):
        next(found)
    assert psutil.Process().children()
    found.close()
    assert not psutil.Process().children()


def test_stored_texts_are_read_from_their_file_and_go_with_it():
    writer = TextWriter()
    writer.add(["ä b", "", "c\nd"])
    texts = writer.finish()
    assert list(texts) == ["ä b", "", "c\nd"]
    assert texts[-1] == "c\nd"
    place = writer.scratch.path
    del writer
    gc.collect()
    assert place.exists()
    del texts
    gc.collect()
    assert not place.exists()
    assert StoredTexts("none", np.zeros(0, np.int64))[:] == []


def test_texts_of_a_file_that_has_changed_are_an_error_and_not_other_texts(tmp_path):
    clas(tmp_path).save("d")
    data = load_data(tmp_path, "d")
    first = data.train_ds.items[0]
    with pytest.raises(UsageError, match="is what this data is read from"):
        data.save("d")
    assert data.train_ds.items[0] == first
    clas(tmp_path, seed=5, bs=2).save("d")  # another order, another header
    with pytest.raises(DataError, match=r"d has changed .*load_data"):
        data.train_ds.items[0]
    (tmp_path / "d").unlink()
    with pytest.raises(DataError, match=r"d: cannot be read .*load_data"):
        list(data.valid_ds.items)


def test_texts_are_tokenized_once_for_vocabulary_and_all_epochs(monkeypatch):
    passes = []
    monkeypatch.setattr(
        module, "number_tokens", lambda texts: passes.append(len(texts)) or number_tokens(texts)
    )
    items = TextList.from_df(FRAME, cols="text", min_freq=1).split_by_rand_pct(0.2, seed=0)
    data = items.label_from_df("label").databunch(bs=4, num_workers=0)
    for _ in range(2):
        list(data.train_dl)
    list(items.label_for_lm().databunch(bs=2).train_dl)
    assert passes == [27]


def test_json_of_a_saved_file_holds_no_code(tmp_path):
    content = clas(tmp_path).save("d").read_bytes()
    size = int.from_bytes(content[:8], "little")
    about = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["onecycle_texts"])
    assert about["format"] == 1
    assert about["target"]["classes"] == ["neg", "pos"]
    assert torch.is_tensor(load_data(tmp_path, "d", bs=4).one_batch()[0])


@pytest.mark.filterwarnings("ignore:100% of the 36 words of validation")
def test_texts_of_a_large_table_stay_on_disk(tmp_path, monkeypatch):
    from onecycle.data import tables as frames
    from onecycle.text import lists

    monkeypatch.setattr(lists, "_LARGE", 10)
    monkeypatch.setattr(frames, "_PIECE", 4)
    FRAME.assign(held=["no", "no", "yes"] * 9).to_csv(tmp_path / "t.csv", index=False)
    items = TextList.from_csv(tmp_path, "t.csv", cols="text", min_freq=1)
    assert isinstance(items.items.corpus.sources, StoredTexts)
    assert list(items.items) == list(FRAME.text)
    data = items.split_from_df("held").label_from_df(0).databunch(bs=4, num_workers=0)
    assert data.classes == ["neg", "pos"]
    assert list(data.valid_ds.items) == ["so good so good"] * 9
    assert data.valid_ds.labels == ("pos",) * 9
    FRAME.assign(is_valid=["0", "0", "1"] * 9).to_csv(tmp_path / "u.csv", index=False)
    short = TextClasDataBunch.from_csv(tmp_path, "u.csv", min_freq=1, bs=4, num_workers=0)
    assert isinstance(short.train_ds.items.corpus.sources, StoredTexts)
    assert list(short.valid_ds.items) == list(data.valid_ds.items)
    assert short.vocab == data.vocab
    data.save("again")
    assert list(load_data(tmp_path, "again", bs=4).train_ds.items) == list(data.train_ds.items)


def test_faults_of_a_large_table_are_named(tmp_path, monkeypatch):
    from onecycle.core.errors import TableError
    from onecycle.text import lists

    monkeypatch.setattr(lists, "_LARGE", 1)
    (tmp_path / "t.csv").write_text("text,text\na,b\n")
    with pytest.raises(TableError, match="twice"):
        TextList.from_csv(tmp_path, "t.csv", cols="text")
    (tmp_path / "t.csv").write_text("label,text\na,b\nc, \n")
    with pytest.raises(TableError, match="1 texts are blank"):
        TextList.from_csv(tmp_path, "t.csv", cols="text")


@pytest.mark.parametrize("limit", [1, 10**9], ids=["large", "small"])
def test_large_and_small_tables_are_read_by_the_same_rules(tmp_path, monkeypatch, limit):
    from onecycle.core.errors import OnecycleWarning, TableError
    from onecycle.text import lists

    monkeypatch.setattr(lists, "_LARGE", limit)
    file = tmp_path / "t.csv"
    file.write_text("label,text\na,x y,zz 0\nb,x z,zz 1\n")
    with pytest.raises(TableError, match="more cells than the header"):
        TextList.from_csv(tmp_path, "t.csv", cols="text")
    messages = "label,text\na,Das war schön gemacht\nb,nie wieder\n"
    file.write_bytes(messages.encode("latin-1"))
    with pytest.warns(OnecycleWarning, match="read as Latin-1"):
        items = TextList.from_csv(tmp_path, "t.csv", cols="text")
    assert list(items.items) == ["Das war schön gemacht", "nie wieder"]
    words = ["NA", "null", "007", "nan", "1.50", "None"]
    file.write_text("label,text\n" + "\n".join(f"{word},{word}" for word in words))
    with pytest.warns(OnecycleWarning, match=r"2 of 6 texts .* 007 \(in row\(s\) 2, 4\)"):
        items = TextList.from_csv(tmp_path, "t.csv", cols="text")
    assert list(items.items) == items.frame["label"].tolist() == words
    items = items.take([4, 0, 2])
    assert list(items.items) == items.frame["label"].tolist() == ["1.50", "NA", "007"]
    file.write_text("label,text\n007,a b\n1.50,c d\n")  # a column of numbers alone
    items = TextList.from_csv(tmp_path, "t.csv", cols="text")
    assert items.frame["label"].tolist() == ["007", "1.50"]
    file.write_bytes(messages.encode("latin-1"))
    with pytest.warns(OnecycleWarning, match="read as Latin-1"):
        items = TextList.from_csv(tmp_path, "t.csv", cols="text")
    file.write_bytes(messages.encode("utf-16"))
    assert list(TextList.from_csv(tmp_path, "t.csv", cols="text").items) == list(items.items)


def test_tokens_that_no_word_belongs_to_are_refused(tmp_path):
    path = clas(tmp_path).save("d")
    raw = bytearray(path.read_bytes())
    size = int.from_bytes(raw[:8], "little")
    at = 8 + size + json.loads(raw[8 : 8 + size])["tokens"]["data_offsets"][0]
    raw[at + 2] = 255
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="do not agree"):
        load_data(tmp_path, "d")


def test_labels_of_classes_that_are_not_there_are_refused(tmp_path):
    path = clas(tmp_path).save("d")
    raw = path.read_bytes()
    names = re.search(rb'\\"classes\\": ?\[(.*?)\]', raw)
    path.write_bytes(raw[: names.start(1)] + b" " * len(names[1]) + raw[names.end(1) :])
    with pytest.raises(CheckpointError, match="damaged"):
        load_data(tmp_path, "d")


def test_files_that_are_no_utf8_are_named(tmp_path):
    for i, data in enumerate([b"caf\xc3\xa9", b"caf\xe9 au lait", "fine \u00e9".encode()]):
        (tmp_path / f"{i}.txt").write_bytes(data)
    with pytest.warns(OnecycleWarning, match=r"1 files are not UTF-8.*1\.txt"):
        TextList.from_folder(tmp_path).split_none().label_for_lm()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TextList.from_df(pd.DataFrame({"t": ["lost \ufffd"]})).split_none().label_for_lm()
