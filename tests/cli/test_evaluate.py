"""`onecycle eval` and `export`: counts by hand, and saved weights that are shipped."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from onecycle.cli.main import app
from onecycle.cli.ship import exported
from onecycle.runtime.predictor import Predictor
from onecycle.vision.learner import cnn_learner
from onecycle.vision.lists import ImageList

pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")
SHADES = {"a": 20, "b": 200}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """(learner, its weights, its images): dark ones are a, light ones b."""
    root = tmp_path_factory.mktemp("set")
    for name, shade in SHADES.items():
        (root / name).mkdir()
        for i in range(8):
            Image.new("RGB", (32, 32), (shade + i, shade, 3 * i)).save(root / name / f"{i}.png")
    items = ImageList.from_folder(root).split_by_idx([0, 9]).label_from_folder()
    data = items.transform(None, size=32).databunch(bs=7, num_workers=0, device="cpu")
    learn = cnn_learner(data, "small", pretrained=False, silent=True, path=root)
    learn.fit(6, 3e-3)
    return learn, learn.save("weights", return_path=True), root


@pytest.fixture(scope="module")
def model(learned, tmp_path_factory):
    return learned[0].export(tmp_path_factory.mktemp("m") / "model.onnx")


def evaluated(*arguments):
    done = CliRunner().invoke(app, ["eval", *map(str, arguments), "--json"], catch_exceptions=False)
    return done.exit_code, json.loads(done.stdout), done.stderr


def test_counts_are_those_of_the_answers(model, learned, tmp_path):
    """Folders whose names are wrong on purpose: five of a, three of b, one of no class."""
    wanted = {"a": [20, 21, 22, 200, 23], "b": [201, 24, 202], "zebra": [25]}
    answers, right = Predictor(model), 0
    for name, shades in wanted.items():
        (tmp_path / name).mkdir()
        for i, shade in enumerate(shades):
            file = tmp_path / name / f"{i}.png"
            Image.new("RGB", (32, 32), (shade, shade, 0)).save(file)
            right += str(answers.predict(file)) == name
    code, found, said = evaluated(model, tmp_path)
    assert (code, found["items"], found["failed"], found["right"]) == (0, 9, 0, right)
    assert found["metrics"]["accuracy"][0] == pytest.approx(right / 9)
    assert [found["classes"][name]["actual"] for name in ("a", "b", "zebra")] == [5, 3, 1]
    assert sum(row["predicted"] for row in found["classes"].values()) == 9
    assert "1 labels are no class of the model and count as wrong: 'zebra'" in said


def test_a_table_is_read_by_the_names_of_its_columns(model, learned, tmp_path):
    rows = ["tags,name", *(f"{label},{label}/{i}" for label in "aab" for i in range(2))]
    table = learned[2] / "table.csv"
    table.write_text("\n".join(rows))
    code, found, _ = evaluated(model, table, "--suffix", ".png")
    assert (code, found["items"]) == (0, 6)
    assert found["classes"]["a"]["actual"] == 4


def test_items_that_cannot_be_read_are_counted(model, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.png").write_bytes(b"hello")
    Image.new("RGB", (32, 32), (20, 20, 0)).save(tmp_path / "a" / "1.png")
    code, found, said = evaluated(model, tmp_path)
    assert (code, found["items"], found["failed"]) == (1, 1, 1)
    assert "0.png" in said


def test_answers_that_are_not_sure_are_no_class(learned, tmp_path):
    """Folders a, b and None, and a threshold in the widest gap between their probabilities."""
    learn, _, _ = learned
    plain, sources = Predictor(learn.export(tmp_path / "plain.onnx")), []
    for name, shade in (("a", 20), ("a", 110), ("a", 120), ("b", 200), ("None", 100)):
        sources.append(tmp_path / "set" / name / f"{shade}.png")
        sources[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (shade, shade, 0)).save(sources[-1])
    answers = [plain.predict(source) for source in sources]
    shares = np.array([np.max(answer.probabilities) for answer in answers])
    right = np.array([str(a) == s.parent.name for a, s in zip(answers, sources, strict=True)])
    order = np.sort(shares)
    at = int(np.argmax(np.diff(order)))
    model = learn.with_threshold(float(order[at : at + 2].mean())).export(tmp_path / "m.onnx")
    learn.with_threshold(None)
    sure = shares > order[at]
    assert 0 < sure.sum() < 5
    code, found, said = evaluated(model, tmp_path / "set")
    assert (code, found["not_sure"], found["right"]) == (0, 5 - sure.sum(), right[sure].sum())
    assert found["classes"]["None"]["predicted"] == 0
    assert found["metrics"]["accuracy"][0] == pytest.approx(right.mean())
    assert found["metrics"]["sure"][0] == pytest.approx(sure.mean())
    assert found["metrics"]["accuracy_of_sure"][0] == pytest.approx(right[sure].mean())
    assert sum(row["not_sure"] for row in found["classes"].values()) == found["not_sure"]
    assert "precision  not sure" in said


def test_saved_weights_are_exported_and_answer_the_same(learned, tmp_path):
    learn, weights, root = learned
    out = tmp_path / "made.onnx"
    done = CliRunner().invoke(app, ["export", str(weights), "--out", str(out)])
    assert done.exit_code == 0, done.output
    source = root / "b" / "3.png"
    shares = learn.predict(source)[2].numpy()
    assert np.allclose(Predictor(out).predict(source).probabilities, shares, atol=1e-4)


def test_what_ships_takes_weights_and_says_which_file_it_made(learned, tmp_path, capsys):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(learned[1].read_bytes())
    made = exported(weights)
    assert made == tmp_path / "model.onnx"
    assert "model.onnx" in capsys.readouterr().out
    first = made.stat().st_mtime_ns
    assert exported(weights) == made
    assert "was exported before" in capsys.readouterr().out
    assert made.stat().st_mtime_ns == first
    os.utime(weights, (made.stat().st_mtime + 9,) * 2)  # trained on since then
    exported(weights)
    assert made.stat().st_mtime_ns > first
    assert exported(made) == made
