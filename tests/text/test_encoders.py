"""Hugging Face encoders that ship: their file answers as the learner does, without torch."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from encoders import encoder, reviews, strange_texts

from onecycle.core.errors import UsageError
from onecycle.runtime.predictor import Predictor
from onecycle.text.learner import text_classifier_learner
from onecycle.text.lists import TextClasDataBunch

pytestmark = pytest.mark.filterwarnings("ignore:.* texts have more tokens than the")
NOISE = pytest.mark.filterwarnings("ignore:.* holds no word", "ignore:.*more of this one are cut")


def learner(folder, path, count=160, **options):
    data = TextClasDataBunch.from_df(
        path, reviews(count), text_cols="text", label_cols="label", seed=0, bs=16, num_workers=0
    )
    torch.manual_seed(0)
    return text_classifier_learner(data, folder, path=path, silent=True, **options)


LONG = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("distilbert", "deberta")]


@pytest.fixture(scope="module", params=["bert", "roberta", *LONG])
def trained(request, tmp_path_factory):
    """A learner on each kind of model, and its file."""
    root = tmp_path_factory.mktemp(request.param)
    learn = learner(encoder(root / "model", request.param), root)
    learn.unfreeze().fit_one_cycle(4, 4e-3)
    return learn, learn.export("m.onnx")


@NOISE
def test_the_file_answers_as_the_learner_whatever_is_beside_a_text(trained):
    learn, file = trained
    predictor = Predictor(file)
    texts = [*strange_texts(120), *reviews(20, seed=9, longest=90).text, "\ud800 cut"]
    alone = np.stack([predictor.predict(text).probabilities for text in texts])
    wanted = np.stack([learn.predict(text)[2].numpy() for text in texts])
    assert np.ptp(wanted[:, 0]) > 0.5  # the answers do differ
    np.testing.assert_allclose(alone, wanted, atol=1e-4)
    np.testing.assert_allclose(predictor.probabilities(texts), wanted, atol=1e-4)
    items = [predictor.input.array(text) for text in texts]
    lengths = [len(item) for item in items]
    assert (min(lengths), max(lengths)) in ((1, 64), (2, 64))
    whole = predictor.input.stack(items)  # 1 token beside 64
    (found,) = predictor._run.run(["probabilities"], {"ids": whole})
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_smaller_files_answer_nearly_the_same(tmp_path):
    learn = learner(encoder(tmp_path / "model"), tmp_path, 400)
    learn.unfreeze().fit_one_cycle(6, 6e-3)
    texts = list(reviews(40, seed=5).text)
    whole = learn.export("m.onnx")
    wanted = Predictor(whole).probabilities(texts)
    assert np.ptp(wanted[:, 0]) > 0.8
    for precision, share, apart in (("fp16", 0.65, 0.01), ("int8", 0.55, 0.2)):
        small = learn.export(f"{precision}.onnx", precision=precision)
        assert small.stat().st_size < share * whole.stat().st_size
        np.testing.assert_allclose(Predictor(small).probabilities(texts), wanted, atol=apart)


ALONE = """
import sys
for name in {missing!r}:
    sys.modules[name] = None
from onecycle.core.errors import UsageError
from onecycle.runtime.predictor import Predictor
try:
    print(Predictor({file!r}).probabilities(["a great film", ""]).tolist())
except UsageError as error:
    print(error)
"""


def alone(file, *missing):
    """What a process says about two texts in which packages are not installed."""
    code = ALONE.format(missing=missing, file=str(file))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_file_needs_the_tokenizers_alone(trained):
    learn, file = trained
    found = json.loads(alone(file, "torch", "transformers", "onnx"))
    wanted = [learn.predict("a great film")[2].tolist()]
    np.testing.assert_allclose(found[:1], wanted, atol=1e-4)
    assert "pip install 'onecycle[text]'" in alone(file, "tokenizers")


@pytest.mark.filterwarnings("ignore:the temperature .* might as well be 1")
def test_several_labels_and_temperature_are_in_the_file(tmp_path):
    frame = reviews(160)
    frame["label"] = ["pos loud" if "LOUD" in text else "neg" for text in frame.text]
    data = TextClasDataBunch.from_df(
        tmp_path,
        frame,
        text_cols="text",
        label_cols="label",
        label_delim=" ",
        seed=0,
        bs=16,
        num_workers=0,
    )
    folder = encoder(tmp_path / "model", "bert")
    learn = text_classifier_learner(data, folder, path=tmp_path, silent=True)
    learn.unfreeze().fit_one_cycle(4, 4e-3)
    learn.calibrate()
    found = Predictor(learn.export("m.onnx")).predict("LOUD film").probabilities
    np.testing.assert_allclose(found, learn.predict("LOUD film")[2], atol=1e-4)
    assert abs(found.sum() - 1) > 1e-2


def test_groups_learn_at_rates_of_their_own_and_what_is_frozen_stays(tmp_path):
    learn = learner(encoder(tmp_path / "model", "bert"), tmp_path)
    body = learn.model.body
    parts = [body.embeddings, body.encoder.layer[0], body.encoder.layer[1], learn.model.head]
    for part, group in zip(parts, learn.layer_groups, strict=True):
        assert {id(p) for p in part.parameters()} <= {id(p) for p in group}

    def moved(fit):
        before = [[p.detach().clone() for p in part.parameters()] for part in parts]
        fit()
        return [
            max(
                float((p.detach() - q).abs().max())
                for p, q in zip(part.parameters(), old, strict=True)
            )
            for part, old in zip(parts, before, strict=True)
        ]

    assert [step > 0 for step in moved(lambda: learn.fit(1, 1e-3))] == [False] * 3 + [True]
    learn.freeze_to(-2)
    assert [step > 0 for step in moved(lambda: learn.fit(1, 1e-3))] == [False] * 2 + [True] * 2
    steps = moved(lambda: learn.unfreeze().fit(1, slice(1e-6, 1e-3)))
    assert 0 < steps[0] < steps[1] / 3 < steps[2] / 9  # a tenth from group to group


def test_what_has_no_file_says_so(tmp_path):
    learn = learner(encoder(tmp_path / "model", "bert"), tmp_path)
    learn.model = torch.nn.Sequential(learn.model)
    with pytest.raises(UsageError, match="a classifier of texts is exported"):
        learn.export("m.onnx")
