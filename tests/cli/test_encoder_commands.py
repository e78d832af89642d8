"""`onecycle train text --arch FOLDER`, and what serves its file: command, server, container."""

import csv
import json

import numpy as np
import pytest
from encoders import encoder, reviews
from starlette.testclient import TestClient
from typer.testing import CliRunner

from onecycle.cli.main import app
from onecycle.export.hosts import write_recipe
from onecycle.runtime.http.server import application
from onecycle.runtime.predictor import Predictor

pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")
TEXTS = ["wonderful film", "dull " * 90, "naïve 電影 😀"]


def run(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What the command reports of a training on a folder's model, and the model's file."""
    root = tmp_path_factory.mktemp("encoder")
    encoder(root / "model")
    reviews(300).to_csv(root / "reviews.csv", index=False)
    options = ("--arch", root / "model", "--lr", 4e-3, "--unfrozen-epochs", 10)
    command = ("train", "text", root / "reviews.csv", *options, "--out", root / "out", "--json")
    return json.loads(run(*command))


def test_a_table_is_learned_on_the_encoder_of_a_folder(trained):
    assert trained["metrics"]["accuracy"][0] > 0.7
    answer = Predictor(trained["model"]).predict("schön, a wonderful film")
    assert str(answer) == "pos"


def test_the_command_answers_files_of_texts(trained, tmp_path):
    for i, text in enumerate(TEXTS):
        (tmp_path / f"{i}.txt").write_text(text, encoding="utf-8")
    run("predict", trained["model"], tmp_path, "--out", tmp_path / "answers.csv")
    with (tmp_path / "answers.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wanted = Predictor(trained["model"]).probabilities(TEXTS)
    found = [[float(row[name]) for name in ("neg", "pos")] for row in rows]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_server_answers_texts_of_any_length_together(trained):
    predictor = Predictor(trained["model"])
    with TestClient(application(trained["model"])) as client:
        reply = client.post("/api/predict", json={"texts": TEXTS})
    found = [
        [row["probabilities"][name] for name in predictor.classes]
        for row in reply.json()["predictions"]
    ]
    np.testing.assert_allclose(found, predictor.probabilities(TEXTS), atol=1e-5)


def test_a_container_brings_the_tokenizers(trained, tmp_path):
    write_recipe(trained["model"], "docker", tmp_path / "app")
    assert "tokenizers==" in (tmp_path / "app/requirements.txt").read_text()
    brought = tmp_path / "app/onecycle/runtime/page/ort"
    assert not brought.exists() or (brought / "tokenizers.min.mjs").is_file()
