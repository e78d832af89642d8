"""The commands, run as a user runs them."""

import csv
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from onecycle.cli import demo
from onecycle.cli.main import app
from onecycle.runtime.http.settings import Settings
from onecycle.samples import butterflies_sample, planet_sample
from onecycle.version import __version__


@pytest.fixture(scope="module")
def butterflies(tmp_path_factory):
    return butterflies_sample(tmp_path_factory.mktemp("b") / "set", n=60, size=64, layout="folders")


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def trained(butterflies, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    size = ("--size", 48, "--bs", 16, "--epochs", 1, "--unfrozen-epochs", 2, "--lr", "0.005")
    done = run("train", "images", butterflies, *size, "--pretrained", "no", "--out", out)
    assert done.exit_code == 0, done.output
    return out, done.output


def test_training_leaves_a_model_its_weights_and_a_report(trained):
    out, text = trained
    names = {path.name for path in out.iterdir()}
    assert names == {"model.onnx", "model.safetensors", "report.html"}
    assert "accuracy" in text
    assert "Banded_Glider" in text


def test_predictions_go_into_a_csv_with_one_probability_per_class(trained, butterflies, tmp_path):
    table = tmp_path / "answers.csv"
    folder = butterflies / "valid" / "Eyed_Satyr"
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"hello")
    done = run("predict", trained[0] / "model.safetensors", folder, broken, "--csv", table)
    assert done.exit_code == 1  # one is broken
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["file"] for row in rows[:-1]] == sorted(map(str, folder.iterdir()))
    shares = [float(rows[0][name]) for name in list(rows[0])[2:]]
    assert len(shares) == 5
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert rows[0]["answer"] == list(rows[0])[2:][shares.index(max(shares))]
    assert rows[-1]["answer"] == ""
    assert "1 of" not in done.output
    assert f"{len(rows) - 1} of {len(rows)} answers" in done.output


def test_lr_find_prints_readings_and_draws_the_curve(butterflies, tmp_path):
    done = run(
        "lr-find", butterflies, "--size", 32, "--bs", 16, "--pretrained", "no", "--out", tmp_path
    )
    assert done.exit_code == 0, done.output
    assert "suggestion" in done.output
    assert (tmp_path / "lr.png").stat().st_size > 1000


def test_errors_are_one_message_without_a_stack_trace(tmp_path):
    done = run("train", "images", tmp_path / "nowhere")
    assert done.exit_code == 2
    assert "neither a folder nor a table" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("words", [[], ["train"], ["predict"], ["demo", "planet"], ["lr-find"]])
def test_every_command_explains_itself(words):
    done = subprocess.run(
        [sys.executable, "-m", "onecycle", *words, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--help" in done.stdout


@pytest.mark.parametrize("words", [("clean", "."), ("serve", "model.onnx")])
def test_ports_that_no_machine_has_are_refused(words):
    for port in (99999, -1, 0):
        done = CliRunner().invoke(app, [*words, "--port", str(port)])
        assert done.exit_code == 2
        assert "Invalid value for '--port'" in done.output


def test_serve_hands_on_what_it_was_given_and_else_what_the_environment_says(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr("onecycle.runtime.http.server.serve", lambda *a: called.append(a))
    monkeypatch.setenv("ONECYCLE_RATE", "7")
    monkeypatch.setenv("ONECYCLE_PROXIES", "1")
    (tmp_path / "tokens").write_text("kiwi-7f3a9c2e41b8\nplum-0123456789ab\n")
    words = [
        "serve",
        "m.onnx",
        "--port",
        "81",
        "--rate",
        "90",
        "--tokens",
        str(tmp_path / "tokens"),
    ]
    words += ["--origin", "https://a.example", "--origin", "https://b.example", "--log-requests"]
    words += ["--cert", "c.pem", "--key", "k.pem", "--max-memory", "700"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert CliRunner().invoke(app, ["serve", "m.onnx"]).exit_code == 0
    tokens = ("kiwi-7f3a9c2e41b8", "plum-0123456789ab")
    wanted = Settings(tokens, 90, 1, ("https://a.example", "https://b.example"), True)
    tls = (Path("c.pem"), Path("k.pem"))
    assert called == [
        (Path("m.onnx"), "127.0.0.1", 81, wanted, tls, 700),
        (Path("m.onnx"), "127.0.0.1", 8000, Settings(rate=7, proxies=1), None, None),
    ]


def test_the_demo_runs_all_its_steps_in_small(tmp_path, capsys):
    stages = tuple((name, size // 4, frozen, 1, lr) for name, size, frozen, _, lr in demo.STAGES)
    rows = demo.planet(tmp_path, tiles=50, seed=1, stages=stages)
    assert list(rows) == ["128 frozen", "128 unfrozen", "256 frozen", "256 unfrozen"]
    names = {path.name for path in tmp_path.iterdir()}
    plots = {"batch.png", "lr.png", "losses.png", "per_label.png", "thresholds.png", "worst.png"}
    assert plots | {"model.safetensors"} <= names
    printed = {
        cells[0]: cells[1:]
        for cells in map(str.split, capsys.readouterr().out.splitlines())
        if cells
    }
    kept = pd.read_csv(tmp_path / "per_label.csv", index_col=0)
    assert list(kept.index) == sorted(kept.index)
    for label, row in kept.iterrows():  # what is printed is decided by the threshold in force, too
        assert [float(cell) for cell in printed[label]] == pytest.approx(list(row), nan_ok=True)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """(what training on tiles left, the tiles, what it printed)."""
    tmp_path = tmp_path_factory.mktemp("several")
    root = planet_sample(tmp_path / "set", n=40, n_test=2, size=64)
    table = root / "train_v2.csv"
    where = (
        "--folder",
        "train-jpg",
        "--suffix",
        ".jpg",
        "--label-col",
        "tags",
        "--label-delim",
        " ",
    )
    how = ("--size", 32, "--bs", 8, "--epochs", 0, "--unfrozen-epochs", 1, "--lr", 0.001)
    done = run(
        "train", "images", table, *where, *how, "--pretrained", "no", "--out", tmp_path / "out"
    )
    assert done.exit_code == 0, done.output
    return tmp_path / "out", root, done.output


def test_train_reads_a_csv_with_several_labels(several):
    out, _, text = several
    assert "fbeta" in text
    assert "agriculture" in (out / "report.html").read_text()


def test_another_threshold_decides_what_a_saved_model_says(several, tmp_path):
    model, tile = several[0] / "model.safetensors", several[1] / "train-jpg" / "train_0.jpg"
    everything = run("predict", model, tile, "--thresh", "0")
    nothing = run("predict", model, tile, "--thresh", "1")
    assert everything.exit_code == nothing.exit_code == 0
    answer, *shares = [list(csv.reader(r.output.splitlines()))[1][1] for r in (everything, nothing)]
    assert len(answer.split(";")) > 5
    assert shares == [""]


def test_training_with_published_weights_says_nothing_about_normalisation(butterflies, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = ("--size", 32, "--bs", 16, "--lr", "0.001", "--unfrozen-epochs", 0)
        done = run("train", "images", butterflies, *small, "--epochs", 1, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "normali" not in done.output
    assert "unfrozen" not in done.output


def test_no_epochs_at_all_are_refused_before_training(butterflies, tmp_path):
    none = ("--unfrozen-epochs", 0, "--out", tmp_path)
    for more in (("--epochs", 0), ("--pretrained", "no")):
        done = run("train", "images", butterflies, "--lr", "0.001", *more, *none)
        assert done.exit_code == 2
        assert "at least one epoch" in done.output


def test_options_without_effect_and_what_is_changed_are_said(butterflies, tmp_path):
    how = ("--size", 32, "--lr", 0.001, "--out", tmp_path)
    scratch = ("--pretrained", "no", "--unfrozen-epochs", 1)
    messages = [
        run("train", "images", butterflies, *how, *scratch, *more).output
        for more in (("--bs", 500, "--epochs", 2), ("--bs", 16))
    ]
    assert ["--epochs 2 are not used" in text for text in messages] == [True, False]
    assert "--bs 500 is more than there is" in messages[0]
    assert "--bs" not in messages[1]
    assert ["is replaced" in text for text in messages] == [False, True]
    for words in (("--message", "a note"), ("--submit", "a.csv", "--to", "here")):
        done = run("kaggle", "titanic", *words)
        assert done.exit_code == 2
        assert words[-2].removesuffix(".csv") in done.output


def test_a_folder_that_cannot_be_written_is_one_message(butterflies, tmp_path):
    (tmp_path / "file").write_text("in the way")
    small = ("--size", 32, "--lr", 0.001, "--pretrained", "no", "--unfrozen-epochs", 1)
    done = run("train", "images", butterflies, *small, "--out", tmp_path / "file" / "out")
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert str(tmp_path / "file") in done.output


def test_the_version_is_an_option_and_a_command():
    for words in (["--version"], ["version"]):
        done = run(*words)
        assert (done.exit_code, done.output.strip()) == (0, __version__)
