"""`onecycle train` of each kind, as a user runs it: what it leaves answers, budgets, going on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_boxes import drawn
from safetensors.numpy import load_file
from typer.testing import CliRunner

from onecycle.cli import train as work
from onecycle.cli.main import app
from onecycle.cli.options import Fit, How, Policy
from onecycle.runtime.predictor import Predictor
from onecycle.samples import butterflies_sample
from onecycle.samples.streets import streets_sample
from onecycle.vision.augment import get_transforms

pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")
SHORT = ("--epochs", 1, "--unfrozen-epochs", 1)


def run(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)], catch_exceptions=False)


def results(*arguments):
    """What --json prints; everything else stands on standard error."""
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), done.stderr


def test_points_are_learned_and_answered_in_pixels(tmp_path):
    rows = ["name,ball_x,ball_y"]
    for i in range(24):
        y, x = 4 + i % 5, 6 + 2 * (i % 7)
        image = np.zeros((16, 28, 3), np.uint8)
        cv2.circle(image, (x, y), 2, (255, 255, 255), -1)
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)
        rows.append(f"{i}.png,{x},{y}")
    (tmp_path / "points.csv").write_text("\n".join(rows))
    out = tmp_path / "out"
    found, said = results("points", tmp_path / "points.csv", "--size", 16, *SHORT, "--out", out)
    assert "points (x, y): (ball_x, ball_y)" in said
    assert set(found["metrics"]) == {"mae", "loss"}
    answer = Predictor(out / "model.onnx").predict(tmp_path / "3.png")
    assert np.shape(answer.answer.data) == (1, 2)
    assert found["model"] == str(out.absolute() / "model.onnx")


def test_boxes_are_learned_from_a_tools_file(tmp_path):
    labels = drawn(tmp_path, 12)
    names = ["bar", "disc"]
    rows = [
        {
            "image_id": i,
            "category_id": names.index(name),
            "bbox": [left, top, right - left, bottom - top],
        }
        for i, file in enumerate(sorted(labels))
        for (top, left, bottom, right), name in zip(*labels[file], strict=True)
    ]
    content = {
        "images": [{"id": i, "file_name": f} for i, f in enumerate(sorted(labels))],
        "annotations": rows,
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
    }
    (tmp_path / "labels.json").write_text(json.dumps(content))
    out = tmp_path / "out"
    how = ("--arch", "small", "--size", 64, *SHORT, "--out", out)
    found, said = results("boxes", tmp_path / "labels.json", *how)
    assert "COCO" in said or "coco" in said
    assert set(found["metrics"]) == {"mean_ap", "mean_ap50", "loss"}
    assert list(Predictor(out / "model.onnx").classes) == names
    assert "<td>disc</td>" in (out / "report.html").read_text()


def test_masks_are_learned_with_the_names_of_their_classes(tmp_path):
    root = streets_sample(tmp_path / "set", n=12, size=(24, 32))
    out = tmp_path / "out"
    found, said = results("masks", root, "--size", 24, *SHORT, "--out", out)
    assert "masks: labels/[folder]/{stem}_P.png" in said
    assert set(found["metrics"]) == {"pixel_accuracy", "mean_iou", "loss"}
    assert list(Predictor(out / "model.onnx").target.classes)[3] == "Road"
    page = (out / "report.html").read_text()
    assert "<td>Road</td>" in page
    assert page.count("data:image/png") == 8 + 2  # samples, and the two that validate


def test_texts_are_learned_from_a_table_and_told_apart(tmp_path):
    words = {"good": "great lovely clever", "bad": "awful dull stupid"}
    rows = [
        {"review": f"the film was {words[label].split()[i % 3]}", "mood": label}
        for i in range(30)
        for label in words
    ]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    columns = ("--text-col", "review", "--label-col", "mood", "--out", tmp_path / "out")
    found, said = results("text", tmp_path / "r.jsonl", *columns, "--lm-epochs", 0)
    assert found["metrics"]["accuracy"][0] > 0.9
    assert "bad    " in said
    answers = Predictor(tmp_path / "out" / "model.onnx")
    assert [str(answers.predict(f"the film was {word}")) for word in ("clever", "dull")] == [
        "good",
        "bad",
    ]


def test_series_are_learned_from_a_table(tmp_path):
    rng, t = np.random.default_rng(0), np.linspace(0, 12, 24)
    rows = [",".join(["kind", *(f"t{i}" for i in range(24))])]
    for i in range(30):
        wave = np.sin(t + rng.uniform(0, 6)) if i % 2 else rng.normal(size=24)
        rows.append(",".join([["noise", "sine"][i % 2], *(f"{v:.3f}" for v in wave)]))
    (tmp_path / "w.csv").write_text("\n".join(rows))
    how = ("--size", 16, *SHORT, "--out", tmp_path / "out", "--label-col", "kind")
    found, _ = results("series", tmp_path / "w.csv", *how)
    assert set(found["metrics"]) == {"accuracy", "loss"}
    target = Predictor(tmp_path / "out" / "model.onnx").target
    assert sorted(target.classes) == ["noise", "sine"]
    asked = (str(tmp_path / "out" / "model.onnx"), str(tmp_path / "w.csv"))
    done = CliRunner().invoke(app, ["predict", *asked])
    assert done.exit_code == 2
    assert "25 of its columns may be steps, and the model takes 24" in done.output
    done = CliRunner().invoke(app, ["predict", *asked, "--label-col", "kind"])
    assert (done.exit_code, done.stdout.count("w.csv, series ")) == (0, 30), done.output
    done = CliRunner().invoke(app, ["eval", *asked, "--label-col", "kind", "--json"])
    measured = json.loads(done.stdout)
    assert [measured["classes"][name]["actual"] for name in ("noise", "sine")] == [15, 15]
    usual = tmp_path / "usual.csv"  # its column has the usual name: nothing is to be said
    usual.write_text((tmp_path / "w.csv").read_text().replace("kind", "label", 1))
    done = CliRunner().invoke(app, ["eval", asked[0], str(usual), "--json"])
    assert json.loads(done.stdout)["right"] == measured["right"]


def test_networks_for_series_are_trained_by_their_names(tmp_path):
    rng = np.random.default_rng(0)
    rows = [",".join(["kind", *(f"t{i}" for i in range(24))])]
    for i in range(30):
        walk = rng.normal(size=24).cumsum() if i % 2 else rng.normal(size=24)
        rows.append(",".join([["noise", "walk"][i % 2], *(f"{v:.3f}" for v in walk)]))
    (tmp_path / "w.csv").write_text("\n".join(rows))
    how = ("series", tmp_path / "w.csv", "--label-col", "kind", "--arch", "mini_rocket")
    for option in ("--size", 16), ("--pretrained", "no"):
        done = run(*how, *option)
        assert done.exit_code == 2
        assert f"{option[0]} has no effect on --arch mini_rocket" in done.output
    found, said = results(*how, "--unfrozen-epochs", 4, "--out", tmp_path / "out")
    assert "all layers: 4 epochs" in said
    assert set(found["metrics"]) == {"accuracy", "loss"}
    assert Predictor(tmp_path / "out" / "model.onnx").task[0].encodings == ()


@pytest.mark.parametrize("asked", [(), ("--lr", 1e-3), ("--minutes", 0.02), ("--epochs", 1)])
def test_the_layer_of_mini_rocket_is_found_in_closed_form_unless_steps_are_asked_for(
    tmp_path, asked
):
    labels = np.arange(24) % 2
    curves = np.sin(np.arange(20) * (1 + labels[:, None])) + np.arange(24)[:, None] / 50
    rows = [["kind", *range(20)], *([f"c{n}", *row] for n, row in zip(labels, curves, strict=True))]
    (tmp_path / "w.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    how = ("series", tmp_path / "w.csv", "--label-col", "kind", "--arch", "mini_rocket")
    found, said = results(*how, "--out", tmp_path / "out", *asked)
    assert ("last layer: in closed form" in said) == (not asked)
    assert ("all layers: " in said) == bool(asked)
    if not asked:
        assert found["metrics"]["accuracy"][0] == 1


def test_errors_are_json_too_where_that_is_asked_for(tmp_path):
    done = run("images", tmp_path / "nowhere", "--json")
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert (found["error"], "neither a folder" in found["message"]) == ("UsageError", True)


@pytest.fixture(scope="module")
def butterflies(tmp_path_factory):
    return butterflies_sample(tmp_path_factory.mktemp("b") / "set", n=40, size=32, layout="folders")


def test_a_test_set_is_measured_and_reported(butterflies, tmp_path):
    """The test set is a part of the training set here, so that its loss is another one."""
    held = butterflies / "train"
    how = ("--size", 32, "--lr", 0.003, *SHORT, "--test", held, "--out", tmp_path)
    found, _ = results("images", butterflies, *how)
    assert set(found["test"]) == {"loss", "accuracy"}
    assert found["test"]["loss"] != pytest.approx(found["metrics"]["loss"][0], rel=1e-3)
    assert f"{found['test']['loss']:.3f}" in (tmp_path / "report.html").read_text()


def test_copies_in_the_test_set_are_a_note_of_the_training(butterflies, tmp_path):
    held = butterflies / "train"
    how = ("--size", 32, "--lr", 0.003, *SHORT, "--test", held, "--out", tmp_path)
    found, said = results("images", butterflies, *how)
    assert any("items are in training and test" in note for note in found["notes"])
    assert "note: " in said
    assert "items are in training and test" in (tmp_path / "report.html").read_text()


def test_files_of_the_user_in_the_output_stay(butterflies, tmp_path):
    mine, kept = tmp_path / "resume" / "mine.txt", tmp_path / "onecycle-train-resume"
    mine.parent.mkdir()
    mine.write_text("mine")
    how = ("--size", 32, "--lr", 0.003, *SHORT, "--resume", "--out", tmp_path)
    results("images", butterflies, *how)
    assert mine.read_text() == "mine"
    assert {f.name for f in tmp_path.iterdir()} == {
        "resume",
        "model.onnx",
        "model.safetensors",
        "report.html",
    }
    kept.mkdir()
    (kept / "thesis.resume.txt").write_text("mine")
    done = run("images", butterflies, *how)
    assert (done.exit_code, (kept / "thesis.resume.txt").read_text()) == (2, "mine")


@pytest.mark.parametrize("fault", ["a class", "a file"])
def test_a_test_set_of_another_sort_is_refused_before_training(butterflies, tmp_path, fault):
    held = tmp_path / "held"
    name = "zebra" if fault == "a class" else next((butterflies / "train").iterdir()).name
    (held / name).mkdir(parents=True)
    image = next((butterflies / "train").glob("*/*"))
    content = image.read_bytes()
    (held / name / "0.png").write_bytes(content if fault == "a class" else b"hello")
    done = run("images", butterflies, "--size", 32, "--test", held, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "frozen: " not in done.output
    assert ("zebra" if fault == "a class" else "0.png") in done.output


def test_what_fails_after_training_leaves_the_weights(butterflies, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "stage_table", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("images", butterflies, "--size", 32, "--lr", 0.003, *SHORT, "--out", tmp_path)
    assert {f.name for f in tmp_path.iterdir()} == {"model.onnx", "model.safetensors"}


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are texts there")
def test_names_of_classes_that_no_file_can_hold_are_refused(tmp_path):
    for name in (b"caf\xe9", b"tea"):
        folder = os.path.join(os.fsencode(tmp_path / "set"), name)  # noqa: PTH118
        os.makedirs(folder)  # noqa: PTH103
        for i in range(5):
            cv2.imwrite(str(tmp_path / "x.png"), np.full((9, 9, 3), 40 * i + len(name), np.uint8))
            (tmp_path / "x.png").rename(os.fsdecode(folder) + f"/{i}.png")
    done = run("images", tmp_path / "set", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "1 names of classes are no valid UTF-8" in done.output


def test_a_budget_is_divided_as_the_usual_epochs_are():
    job = work.Job(Fit(minutes=8))
    assert work._lengths(job, None, True, (1, 3)) == ((2, "minutes"), (6, "minutes"))
    assert work._lengths(job, None, False, (1, 3)) == ((0, "minutes"), (8, "minutes"))


def test_a_budget_trains_both_stages_and_says_what_it_decided(butterflies, tmp_path):
    made, said = results("images", butterflies, "--size", 32, "--minutes", 0.05, "--out", tmp_path)
    assert "frozen: 0.025 minutes" in said
    assert "0.025 minutes:" in said
    assert " steps of " in said
    assert Path(made["model"]).is_file()
    assert made["metrics"]["loss"][0] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--minutes", 1, "--epochs", 2), "--minutes chooses the epochs"),
     (("--minutes", 0), "--minutes is a number above 0"),
     (("--fp16", "--bf16"), "two precisions")],
)  # fmt: skip
def test_options_that_contradict_one_another_are_refused_at_once(tmp_path, options, message):
    done = run("images", tmp_path / "nowhere", *options, "--out", tmp_path)
    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_and_ends_the_same(butterflies, tmp_path):
    """kill -9 after the first epochs; on a CPU the end is the same, bit for bit."""
    how = ["--size", "32", "--epochs", "1", "--unfrozen-epochs", "3", "--bs", "8", "--resume"]
    command = [sys.executable, "-m", "onecycle", "train", "images", str(butterflies), *how]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "--out", str(cut)], stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith("1   "):  # the second epoch of everything is trained
                break
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert not (cut / "model.onnx").exists()
    assert (cut / "onecycle-train-resume").is_dir()
    said = subprocess.run(
        [*command, "--out", str(cut)], check=True, capture_output=True, env=environment, text=True
    ).stdout
    assert "learning rate" not in said  # that of the first run is kept
    assert not (cut / "onecycle-train-resume").exists()
    subprocess.run([*command, "--out", str(whole)], check=True, env=environment)
    first, second = (load_file(out / "model.safetensors") for out in (cut, whole))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """Tiles of four bands and 16 bits; wheat and soil differ in the fourth alone."""
    tifffile = pytest.importorskip("tifffile")
    root, rng = tmp_path_factory.mktemp("fields"), np.random.default_rng(0)
    for i in range(40):
        crop = "wheat" if i % 2 else "soil"
        values = 1000 + rng.normal(0, 200, (24, 30, 4))
        values[..., 3] += 2400 if crop == "wheat" else 900
        (root / crop).mkdir(exist_ok=True)
        file, stored = root / crop / f"{i}.tif", values.clip(0, 9999).astype(np.uint16)
        tifffile.imwrite(file, stored, photometric="minisblack", planarconfig="contig")
    return root


def test_bands_that_are_asked_for_are_what_is_trained_on_and_shipped(fields, tmp_path):
    out = tmp_path / "out"
    given = [fields, "--bands", "3, 2, 1, 4", "--size", 24, "--bs", 8, "--lr", 1e-2, "--out", out]
    found, _ = results("images", *given, *SHORT, "--test", fields)
    assert 0 <= found["test"]["accuracy"] <= 1  # the test side is read in the same bands
    predictor = Predictor(out / "model.onnx")
    assert predictor.input.bands == (3, 2, 1, 4)
    assert len(predictor.input.mean) == 4  # measured: no weights know the mean of a fourth band
    tile = np.random.default_rng(1).uniform(900, 1100, (24, 30, 4)).astype(np.float32)
    other = tile + np.array([0, 0, 0, 1500], np.float32)
    one, two = (predictor.predict(each).probabilities for each in (tile, other))
    assert np.abs(np.subtract(one, two)).max() > 1e-4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--bands", "red"), 'bands are "all" or the numbers'),
        (("--bands", "1,9"), "9"),
        (("--bands", "all", "--policy", "trivialaugment"), "these are float32 of 4"),
    ],
)
def test_bands_and_policies_that_cannot_be_are_said(fields, tmp_path, options, words):
    done = run("images", fields, "--out", tmp_path / "out", "--lr", 1e-2, "--size", 24, *options)
    assert done.exit_code == 2
    assert words in done.output


@pytest.mark.parametrize("policy", [None, "trivialaugment", "randaugment", "augmix"])
def test_a_policy_takes_the_place_of_the_usual_changes(policy):
    how = How(policy=policy and Policy(policy), do_flip=False)
    names = [tfm.name for tfm in get_transforms(**how.changes())[0]]
    own = [tfm.name for tfm in get_transforms(do_flip=False, policy=policy)[0]]
    assert names == own
    assert ("rotate" in names) == (policy is None)
