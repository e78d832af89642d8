"""Texts that were saved are found again as they were, in a file that runs no code."""

import json
import pickle

import numpy as np
import pytest

from onecycle import TextList, load_data
from onecycle.core.errors import DataError, UsageError

ROWS = [["bad", "The plot was dull, dull."], ["good", "The music was GREAT."]] * 6


@pytest.fixture
def texts(tmp_path):
    import pandas as pd

    frame = pd.DataFrame(ROWS, columns=["label", "text"])
    return TextList.from_df(frame, tmp_path, cols="text", min_freq=1).split_by_idx([4, 7, 9])


def test_a_language_models_data_gives_the_same_batches_again(texts, tmp_path):
    data = texts.label_for_lm().databunch(bs=2, seed=3)
    assert data.save("data_lm.pkl") == tmp_path / "data_lm.pkl"
    again = load_data(tmp_path, "data_lm.pkl", bs=2, seed=3)
    assert again.vocab == data.vocab
    for (x, y), (x2, y2) in zip(data.train_dl, again.train_dl, strict=True):
        assert x.tolist() == x2.tolist()
        assert y.tolist() == y2.tolist()
    assert len(again.valid_ds) == 3


def test_labels_classes_and_sides_come_back_and_the_batch_size_unless_it_is_given(texts, tmp_path):
    data = texts.label_from_df("label").databunch(bs=4)
    data.save()
    again = load_data(tmp_path)
    assert again.classes == ["bad", "good"]
    assert [str(y) for _, y in again.valid_ds] == [str(y) for _, y in data.valid_ds]
    assert again.batch_size == 4
    assert load_data(tmp_path, bs=2).batch_size == 2


def test_the_vocabulary_counts_both_ways_and_a_text_knows_its_numbers(texts):
    data = texts.label_from_df("label").databunch(bs=4)
    vocab = data.vocab
    assert vocab.itos[:3] == ["xxunk", "xxpad", "xxbos"]
    assert [vocab.itos[vocab.stoi[word]] for word in ("dull", "music")] == ["dull", "music"]
    assert vocab.stoi["xxfake"] == vocab.itos.index("xxfake")
    text = data.valid_ds[0][0]
    assert [vocab.itos[i] for i in text.data[:4]] == ["xxbos", "xxmaj", "the", "plot"]
    assert text.data.dtype == np.int64


def test_a_pickle_and_a_changed_file_are_refused(texts, tmp_path):
    (tmp_path / "data_save.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(DataError, match="Pickles are not read"):
        load_data(tmp_path)
    file = texts.label_from_df("label").databunch(bs=4).save("words.json")
    assert json.loads(file.read_text().splitlines()[0])["format"] == "onecycle-texts"
    file.write_text(file.read_text().replace("dull", "fine", 1))
    with pytest.raises(DataError, match="digest"):
        load_data(tmp_path, "words.json")
    with pytest.raises(DataError, match="missing"):
        load_data(tmp_path, "missing")


def test_data_that_is_no_text_says_so():
    from onecycle import from_arrays

    data = from_arrays(np.zeros((10, 2)), np.arange(10.0), bs=4)
    with pytest.raises(UsageError, match="only texts are saved"):
        data.save()
    with pytest.raises(UsageError, match="no vocabulary"):
        data.vocab  # noqa: B018
