"""`onecycle predict` on exported files: folders and tables, to CSV and Parquet."""

import csv
import io
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import psutil
import pytest
from handmade import made_text
from PIL import Image as Pillow
from pyarrow.parquet import read_table
from test_page import made
from typer.testing import CliRunner

from onecycle.cli.main import app
from onecycle.core.errors import DataError, UsageError
from onecycle.runtime.predictor import Predictor, load_learner

COLOURS = {"red": (250, 5, 9), "green": (7, 240, 2), "blue": (4, 9, 230)}


def run(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)], catch_exceptions=False)


def rows_of(file):
    return list(csv.DictReader(io.StringIO(file.read_bytes().decode(), newline="")))


@pytest.fixture
def folder(tmp_path):
    """Seven images of different sizes in two folders, one of them no image at all."""
    root = tmp_path / "seen"
    (root / "deeper").mkdir(parents=True)
    for i, (name, colour) in enumerate([*COLOURS.items(), *COLOURS.items()]):
        place = root / ("deeper" if i > 2 else ".") / f"{i}_{name}.png"
        Pillow.new("RGB", (20 + i, 30), colour).save(place)
    (root / "5_broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return root


def test_a_folder_becomes_a_csv_with_faults_named(folder, tmp_path):
    model = made("category", tmp_path)
    done = run(model, folder, "--out", tmp_path / "out.csv")
    assert done.exit_code == 1  # one is broken
    assert "6 of 7 answers" in done.output
    assert "5_broken.jpg" in done.output
    rows = rows_of(tmp_path / "out.csv")
    assert list(rows[0]) == ["file", "answer", "red", "green", "blue"]
    assert [r["file"] for r in rows] == sorted(str(p) for p in folder.rglob("*.*g"))
    for row in rows:
        name = row["file"].rpartition("_")[2].partition(".")[0]
        if name == "broken":
            assert set(row.values()) == {row["file"], ""}
            continue
        assert row["answer"] == name
        wanted = Predictor(model).predict(row["file"]).probabilities
        assert [float(row[c]) for c in COLOURS] == pytest.approx(wanted, abs=1e-5)


def test_where_no_class_is_likely_enough_the_table_says_not_sure(folder, tmp_path):
    model, out = made("category", tmp_path), tmp_path / "out.csv"
    run(model, folder, "--out", out)
    best = {row["file"]: max(float(row[c]) for c in COLOURS) for row in rows_of(out) if row["red"]}
    limit = sorted(best.values())[len(best) // 2]
    run(model, folder, "--thresh", str(limit), "--out", tmp_path / "sure.csv")
    rows = [row for row in rows_of(tmp_path / "sure.csv") if row["red"]]
    unsure = {row["file"] for row in rows if row["answer"] == "not sure"}
    assert unsure == {name for name, share in best.items() if share <= limit}
    assert 0 < len(unsure) < len(best)


def test_what_is_not_there_and_what_cannot_be_written_has_its_exit_code(folder, tmp_path):
    model = made("category", tmp_path)
    (folder / "5_broken.jpg").unlink()
    assert run(model, folder).exit_code == 0
    gone = run(model, folder, tmp_path / "gone", "--out", tmp_path / "out.csv")
    assert (gone.exit_code, "6 of 7 answers" in gone.output) == (1, True)
    for name in ("out.xlsx", "out.csv.gz"):
        refused = run(model, folder, "--out", tmp_path / name)
        assert refused.exit_code == 2
        assert f"{name}: answers are written as .csv or .parquet" in refused.output
        assert not (tmp_path / name).exists()


def test_a_table_of_names_becomes_parquet(folder, tmp_path):
    model = made("multicategory", tmp_path)
    rows = ["tags,image_name", "x,0_red", "y,5_broken", "z,2_blue"]
    (tmp_path / "names.csv").write_text("\n".join(rows) + "\n")
    where = ("--folder", "seen", "--suffix", ".png", "--thresh", "0")
    done = run(model, tmp_path / "names.csv", *where, "--out", tmp_path / "out.parquet")
    assert done.exit_code == 1, done.output
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert list(found.columns) == ["image_name", "answer", "red", "green", "blue"]
    assert found.image_name.tolist() == ["0_red", "5_broken", "2_blue"]
    assert found.answer[0] == "red;green;blue"
    assert found.red.dtype == np.float32
    nulls = read_table(tmp_path / "out.parquet")  # null, not NaN: nothing was answered
    assert [nulls.column(name).null_count for name in found.columns] == [0, 1, 1, 1, 1]
    assert found.blue[2] > found.red[2]


def test_a_table_of_texts_is_read_with_its_longest_and_its_empty_row(tmp_path):
    texts = ["good good film", "", "bad film " * 30_000, 'a "good, bad"\nfilm']
    frame = pd.DataFrame({"label": list("abcd"), "text": texts})
    frame.to_csv(tmp_path / "reviews.csv", index=False)
    model = made_text(tmp_path)
    done = run(model, tmp_path / "reviews.csv", "--csv", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    before = csv.field_size_limit(1 << 30)
    assert before == 131_072  # the command has put Python's own limit back
    try:
        rows = rows_of(tmp_path / "out.csv")
    finally:
        csv.field_size_limit(before)
    assert [row["text"] for row in rows] == texts
    assert [row["answer"] for row in rows] == ["pos", "neg", "neg", "neg"]
    assert [round(float(row["pos"]), 4) for row in rows] == [0.75, 0.5, 0.0, 0.5]


def test_what_cannot_be_asked_is_one_clear_message(folder, tmp_path):
    model = made("numbers", tmp_path)
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    (tmp_path / "none").mkdir()
    for arguments, reported in (
        ((tmp_path / "odd.csv",), "--column"),
        ((tmp_path / "odd.csv", "--column", "c"), "--column"),
        ((tmp_path / "odd.csv", folder), "alone"),
        ((tmp_path / "none",), "nothing to look at"),
        ((tmp_path / "gone.csv",), "cannot be read"),
        ((folder, "--thresh", "0.5"), "no threshold"),
    ):
        done = run(model, *arguments, "--out", tmp_path / "out.csv")
        assert done.exit_code == 2, arguments
        assert reported in done.output
    assert not (tmp_path / "out.csv").exists()


def test_a_class_that_is_named_as_a_column_keeps_apart(tmp_path, folder):
    from test_page import NETS

    from onecycle.runtime.targets.category import CategorySpec

    NETS["clash"] = (CategorySpec(("answer", "file", "c")), NETS["category"][1])
    try:
        model = made("clash", tmp_path)
    finally:
        del NETS["clash"]
    run(model, folder, "--out", tmp_path / "out.parquet")
    columns = list(pd.read_parquet(tmp_path / "out.parquet").columns)
    assert columns == ["file", "answer", "answer (class)", "file (class)", "c"]


def test_the_likeliest_classes_stand_in_their_order(folder, tmp_path):
    model = made("category", tmp_path)
    out = tmp_path / "out.parquet"
    assert run(model, folder, "--top", "2", "--out", out).exit_code == 1
    found = pd.read_parquet(out).set_index("file")
    assert list(found) == ["answer", "class 1", "probability 1", "class 2", "probability 2"]
    assert found["probability 1"].dtype == np.float32
    for file, row in found.iterrows():
        if "broken" in file:
            assert row.isna().all()
            continue
        best = Predictor(model).predict(file).top(2)
        assert [row["class 1"], row["class 2"]] == [name for name, _ in best]
        assert row["class 1"] == row["answer"]
        assert [row["probability 1"], row["probability 2"]] == pytest.approx([p for _, p in best])
    run(model, folder, "--top", "2", "--out", tmp_path / "out.csv")
    rows = {row["file"]: row for row in rows_of(tmp_path / "out.csv")}
    for file, row in found.dropna().iterrows():
        assert rows[file]["class 2"] == row["class 2"]
        assert float(rows[file]["probability 2"]) == pytest.approx(row["probability 2"], abs=1e-5)
    for kind, top, reported in (
        ("category", 4, "1 to 3"),
        ("category", 0, "1 to 3"),
        ("mask", 1, "mask"),
    ):
        done = run(made(kind, tmp_path), folder, "--top", top)
        assert done.exit_code == 2
        assert reported in done.output


def test_points_and_masks_have_columns_of_their_own(tmp_path, folder):
    for kind, last in (("points", ["y0", "x0", "y1", "x1"]), ("mask", list(COLOURS))):
        out = tmp_path / f"{kind}.csv"
        run(made(kind, tmp_path), folder, "--out", out)
        found = pd.read_csv(out)
        assert list(found.columns) == ["file", "answer", *last]
    seen = Predictor(tmp_path / "points.onnx").predict(folder / "0_red.png").answer.data
    found = pd.read_csv(tmp_path / "points.csv", index_col="file")
    row = found.loc[str(folder / "0_red.png")][1:]
    assert row.tolist() == pytest.approx(seen.ravel(), abs=1e-3)


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """300 images of 3 MB each, 900 MB decoded: the command stays far below that."""
    root = tmp_path / "many"
    root.mkdir()
    Pillow.new("RGB", (1000, 1000), (9, 200, 30)).save(root / "0.jpg")
    for i in range(1, 300):
        os.link(root / "0.jpg", root / f"{i}.jpg")
    model = made("category", tmp_path)
    command = [sys.executable, "-m", "onecycle", "predict", str(model), str(root)]
    process = psutil.Popen([*command, "--out", str(tmp_path / "o.csv")], stdout=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        most = max(most, process.memory_info().rss)
    assert process.returncode == 0
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 301
    assert most < 600e6


# --- load_learner --------------------------------------------------------------------------


def test_a_loaded_learner_predicts_items_rows_and_its_test_set(folder, tmp_path):
    model = made("multicategory", tmp_path)
    files = sorted(folder.glob("*.png"))
    frame = pd.DataFrame({"file": files, "tags": ["r", "g", "b"]})
    learn = load_learner(tmp_path, "multicategory.onnx", test=frame)
    assert learn.data.classes == ["red", "green", "blue"]
    wanted = np.stack([Predictor(model).predict(file).probabilities for file in files])
    found, targets = learn.get_preds()
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert targets.tolist() == [0, 0, 0]
    answer, _, shares = learn.predict(frame.iloc[2])
    np.testing.assert_allclose(shares, wanted[2], atol=1e-6)
    assert answer.obj == [c for c, p in zip(COLOURS, wanted[2], strict=True) if p > 0.4]
    assert learn.predict_batch(frame, thresh=0.0)[0].answer.obj == list(COLOURS)
    assert learn.predict(files[2]).top(1)[0][0] == "blue"
    for given in (folder / "deeper", iter(sorted((folder / "deeper").iterdir()))):
        assert load_learner(model, test=given).get_preds()[0].shape == (3, 3)
    with pytest.raises(DataError, match="row has the columns 'a', 'b'"):
        learn.predict(pd.Series({"a": 1, "b": 2}))
    with pytest.raises(UsageError, match="no test set"):
        load_learner(model).get_preds()


def test_a_row_with_a_text_is_read(tmp_path):
    learn = load_learner(made_text(tmp_path))
    frame = pd.DataFrame({"label": ["pos"], "text": ["good film"], "is_valid": [True]})
    assert str(learn.predict(frame.iloc[0])) == str(learn.predict("good film")) == "pos"
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("bad")
    test = load_learner(made_text(tmp_path), test=tmp_path / "texts")
    assert test.get_preds()[0].argmax() == 0


def test_a_stream_reads_no_further_than_it_must(tmp_path, folder):
    taken = []

    def sources():
        for file in sorted(folder.glob("*.png")) * 20:
            taken.append(file)
            yield file

    stream = Predictor(made("category", tmp_path)).stream(sources(), batch=4)
    next(stream)
    assert len(taken) == 4
    with pytest.raises(DataError, match="not an image"):
        list(Predictor(tmp_path / "category.onnx").stream([folder / "5_broken.jpg"]))


def test_no_digit_of_a_number_is_lost_in_a_table(tmp_path, folder):
    """32 bits are nine digits at most; the answers of numbers and points are not chances."""
    from test_page import NETS

    from onecycle.runtime.targets.numbers import NumbersSpec

    last = "big = Constant <value = float {123456.7}> ()\n probabilities = Mul (means, big)"
    NETS["large"] = (NumbersSpec(("r", "g", "b")), last)
    try:
        model = made("large", tmp_path)
    finally:
        del NETS["large"]
    run(model, folder, "--out", tmp_path / "out.csv")
    for row in rows_of(tmp_path / "out.csv"):
        if "broken" in row["file"]:
            continue
        wanted = Predictor(model).predict(row["file"]).probabilities
        assert np.array([row[name] for name in "rgb"], np.float32).tolist() == wanted.tolist()


def test_points_of_a_checkpoint_are_in_pixels_as_those_of_an_exported_file(images, tmp_path):
    from trained_models import half_stats, trained

    from onecycle.vision.learner import cnn_learner

    data = trained("points", images, "pad").data
    assert data.task.input.mean == tuple(half_stats[0])
    learn = cnn_learner(data, "small", pretrained=False, silent=True, path=tmp_path)
    learn.save(tmp_path / "m")
    learn.export(tmp_path / "m.onnx")
    files = sorted(images[0].iterdir())[:3]
    tables = []
    for name in ("m.safetensors", "m.onnx"):
        assert run(tmp_path / name, *files, "--out", tmp_path / "out.csv").exit_code == 0
        tables.append(pd.read_csv(tmp_path / "out.csv").iloc[:, 2:].to_numpy())
    assert np.ptp(tables[1]) > 5
    np.testing.assert_allclose(tables[0], tables[1], atol=1e-3)
