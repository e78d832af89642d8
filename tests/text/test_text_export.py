"""A text classifier's file answers as its learner does, for texts of any length, without torch."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from onecycle.core.errors import DataError, UsageError
from onecycle.export.text import _head
from onecycle.learn.shared_norm import share_norms
from onecycle.runtime.predictor import Predictor, load_learner
from onecycle.text.learner import language_model_learner, text_classifier_learner
from onecycle.text.lists import TextClasDataBunch, TextLMDataBunch

SIZES = {"emb_sz": 16, "n_hid": 24, "n_layers": 2}
WORDS = re.findall(r"\S+", "film plot cast great awful very not was the a bad dull n't I He LOUD")


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 160))) for _ in range(160)]
    return pd.DataFrame({"text": texts, "label": ["pos" if "great" in t else "neg" for t in texts]})


def trained(frame, tmp_path, **options):
    data = TextClasDataBunch.from_df(
        tmp_path, frame, text_cols="text", label_cols="label", seed=0, bs=16, num_workers=0
    )
    torch.manual_seed(0)
    learn = text_classifier_learner(data, config=SIZES, silent=True, **options)
    return learn.fit_one_cycle(1, 1e-2)


@pytest.mark.filterwarnings("ignore:.* holds no word", "ignore:131 of 160 texts have more than")
@pytest.mark.parametrize("max_len", [1400, 30])
def test_the_file_answers_as_the_learner(frame, tmp_path, max_len):
    learn = trained(frame, tmp_path, max_len=max_len, bptt=20)
    predictor = Predictor(learn.export("texts.onnx"))
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(WORDS, n)) for n in (1, 2, 19, 20, 21, 30, 31, 200, 700)]
    texts += [*frame.text[:90], "", " ", "unseen wörds 你好 🙂 <br />", "a" * 5000, "\ud800 cut"]
    found = predictor.predict_batch(texts)
    assert len(found) >= 100
    for text, answer in zip(texts, found, strict=True):
        category, index, probabilities = learn.predict(text)
        np.testing.assert_allclose(answer.probabilities, probabilities.numpy(), atol=1e-4)
        assert (str(answer), answer.answer.data) == (str(category), index)
    alone = np.stack([predictor.predict(text).probabilities for text in texts])
    together = np.stack([answer.probabilities for answer in found])
    np.testing.assert_allclose(alone, together, atol=1e-5)  # padding changes no answer


def test_small_files_answer_nearly_the_same(frame, tmp_path):
    learn = trained(frame, tmp_path)
    whole = Predictor(learn.export("texts.onnx"))
    for precision, share, apart in (("fp16", 0.8, 0.01), ("int8", 0.8, 0.1)):
        path = learn.export(f"{precision}.onnx", precision=precision)
        assert path.stat().st_size < share * (tmp_path / "texts.onnx").stat().st_size
        other = Predictor(path)
        texts = list(frame.text[:40])
        np.testing.assert_allclose(
            other.probabilities(texts), whole.probabilities(texts), atol=apart
        )


def test_a_file_needs_no_torch_and_takes_texts_bytes_and_paths(frame, tmp_path):
    learn = trained(frame, tmp_path)
    learn.export("texts.onnx")
    (tmp_path / "review.txt").write_bytes(b"a great film")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from onecycle.runtime.predictor import Predictor\n"
        f"p = Predictor({str(tmp_path / 'texts.onnx')!r})\n"
        "rows = p.predict_batch(['a great film', b'a great film', "
        f"Path({str(tmp_path / 'review.txt')!r})])\n"
        "print(len({tuple(r.probabilities) for r in rows}), p.classes)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 ('neg', 'pos')"
    loaded = load_learner(tmp_path, "texts.onnx", test=["great", "dull film"])
    assert loaded.get_preds()[0].shape == (2, 2)
    with pytest.raises(DataError, match="int"):
        loaded.predict(3)


def test_a_language_model_is_not_exported(frame, tmp_path):
    data = TextLMDataBunch.from_df(tmp_path, frame, text_cols="text", bs=4, num_workers=0)
    learn = language_model_learner(data, config=SIZES, silent=True)
    with pytest.raises(UsageError, match="classifier"):
        learn.export("lm.onnx")


def test_norms_that_several_gpus_share_are_exported_as_others_are():
    head = nn.Sequential(nn.BatchNorm1d(3))
    with torch.no_grad():
        head[0].bias.copy_(torch.tensor([5.0, 7.0, 11.0]))
    lines, weights, _ = _head(head)
    share_norms(head, torch.device("cuda"))
    assert isinstance(head[0], nn.SyncBatchNorm)
    again, same, _ = _head(head)
    assert again == lines
    assert {k: v.tolist() for k, v in same.items()} == {k: v.tolist() for k, v in weights.items()}
