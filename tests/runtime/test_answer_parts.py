"""`onecycle predict` into a folder of parts, by several threads, and by what computes."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from handmade import made_text
from PIL import Image as Pillow
from test_page import made
from typer.testing import CliRunner

from onecycle.cli import parts
from onecycle.cli.main import app
from onecycle.core.errors import UsageError
from onecycle.core.machine import onnx_runtime
from onecycle.runtime.predictor import Predictor


def run(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def images(tmp_path):
    """Forty images, of which later ones are often read before earlier ones; one is none."""
    root = tmp_path / "images"
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(40):
        side = 900 if i % 5 == 0 else 12
        Pillow.fromarray(rng.integers(0, 255, (side, side + i, 3), np.uint8)).save(
            root / f"{i:02}.png"
        )
    (root / "13.png").write_bytes(b"\x89PNG nothing")
    return root


@pytest.fixture
def texts(tmp_path):
    """(model, table of 7,000 texts with 0 to 9 good words)."""
    rows = [{"text": "good " * (i % 10) + "film", "id": i} for i in range(7000)]
    pd.DataFrame(rows).to_csv(tmp_path / "texts.csv", index=False)
    return made_text(tmp_path), tmp_path / "texts.csv"


def test_several_threads_give_the_same_answers_in_the_same_order(images, tmp_path):
    model, tables = made("category", tmp_path), []
    for workers in (1, 4):
        out = tmp_path / f"{workers}.csv"
        assert run(model, images, "--workers", workers, "--out", out).exit_code == 1
        tables.append(out.read_bytes())
    assert tables[0] == tables[1]
    assert tables[0].count(b"\n") == 41


def test_threads_read_ahead_a_little_and_end_with_the_stream(images, tmp_path):
    taken = []
    sources = (taken.append(file) or file for file in sorted(images.iterdir()))
    stream = Predictor(made("category", tmp_path)).stream_with_faults(sources, None, 4, workers=3)
    next(stream)
    assert len(taken) == 4 + 2 * 3
    stream.close()


def killed_when(command, found):
    """The command, killed for good once `found()`; whether it was."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "onecycle", "predict", *map(str, command)],
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None:
        if found():
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.002)
    return False


@pytest.mark.slow
def test_killed_for_good_every_part_is_whole_and_none_is_answered_again(texts, tmp_path):
    out, whole = tmp_path / "answers", tmp_path / "whole.parquet"
    command = (*texts, "--out", out)
    kills, before = 0, 0
    while kills < 3:
        wanted = before + 1
        if not killed_when(command, lambda n=wanted: len([*out.glob("part-*.parquet")]) >= n):
            break
        kills += 1
        files = sorted(out.glob("part-*.parquet"))
        assert [pq.read_table(file).num_rows for file in files] == [1024] * len(files)
        assert len(files) > before
        before = len(files)
    assert kills > 0
    stamps = {file: file.stat().st_mtime_ns for file in out.glob("part-*.parquet")}
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert f"going on behind {1024 * before} answers" in done.output
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())
    run(*texts, "--out", whole)
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(whole))
    assert not [file for file in out.iterdir() if file.suffix == ".tmp"]


def test_shards_share_a_folder_and_answer_each_row_once(texts, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "GROUP", 500)
    for shard in ("1/3", "2/3", "3/3"):
        assert run(*texts, "--shard", shard, "--out", tmp_path / "all").exit_code == 0
    run(*texts, "--out", tmp_path / "whole")
    found, wanted = (pd.read_parquet(tmp_path / name) for name in ("all", "whole"))
    assert len(found) == len(wanted) == 7000
    assert found["answer"].value_counts().equals(wanted["answer"].value_counts())
    assert len([*(tmp_path / "all").glob("shard-2-of-3-part-*.parquet")]) == 5


def test_a_folder_of_other_answers_is_refused_and_begun_anew_where_that_is_said(texts, tmp_path):
    out = tmp_path / "out"
    assert run(*texts, "--out", out).exit_code == 0
    done = run(*texts, "--out", out)
    assert "going on behind 7000 answers" in done.output
    done = run(*texts, "--top", 1, "--out", out)
    assert done.exit_code == 2
    assert "top was None, here it is 1" in done.output
    assert run(*texts, "--top", 1, "--no-resume", "--out", out).exit_code == 0
    assert list(pd.read_parquet(out)) == ["text", "answer", "class 1", "probability 1"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    done = run(*texts, "--out", tmp_path / "mine")
    assert (done.exit_code, "files of somebody else" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (["--shard", "1/2"], ["--shard", "1/3"], "shard was 1/2, here it is 1/3"),
        ([], ["--shard", "1/2"], "shard was None, here it is 1/2"),
        (["--shard", "1/2"], [], "shard was 1/2, here it is None"),
        (["--shard", "1/2"], ["--shard", "2/2", "--top", 1], "top was None, here it is 1"),
    ],
)
def test_a_folder_is_shared_by_shards_of_one_whole_alone(texts, tmp_path, first, second, said):
    out = tmp_path / "all"
    out.mkdir()
    (out / "_shard-9-of-9-answers.json").touch()  # of one that is just beginning
    assert run(*texts, *first, "--out", out).exit_code == 0
    before = len(pd.read_parquet(out))
    for more in ([], ["--no-resume"]):
        done = run(*texts, *second, *more, "--out", out)
        assert (done.exit_code, said in " ".join(done.output.split())) == (2, True), done.output
    assert len(pd.read_parquet(out)) == before


def test_a_shard_is_one_however_its_number_is_written(texts, tmp_path):
    for shard in ("1/2", "01/2", "2/02"):
        assert run(*texts, "--shard", shard, "--out", tmp_path / "all").exit_code == 0
    assert len(pd.read_parquet(tmp_path / "all")) == 7000


def test_answers_are_not_gone_on_with_for_files_of_another_folder(images, tmp_path):
    """The table names files alone; which they are, its folder says."""
    for folder in ("monday", "tuesday"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes((images / "01.png").read_bytes())
    (tmp_path / "names.csv").write_text("file\n1.png\n")
    command = (made("category", tmp_path), tmp_path / "names.csv", "--out", tmp_path / "answers")
    assert run(*command, "--folder", "monday").exit_code == 0
    done = run(*command, "--folder", "tuesday")
    assert done.exit_code == 2
    assert "'folder': 'tuesday'" in " ".join(done.output.split())


def test_what_cannot_be_fetched_is_said_without_its_password(tmp_path):
    (tmp_path / "a.csv").write_text("file\nmemory://me:secret@h/1.png?sig=secret\n")
    done = run(made("category", tmp_path), tmp_path / "a.csv", "--out", tmp_path / "a.parquet")
    assert done.exit_code == 1
    assert "memory://...@h/1.png?...: no such file" in " ".join(done.output.split())
    assert "secret" not in done.output


def test_answers_are_lines_of_json_and_nothing_else_is_on_standard_output(images, tmp_path):
    model = made("category", tmp_path)
    done = run(model, images, "--json", "--providers", "cpu")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 1
    assert [row["file"] for row in rows] == sorted(map(str, images.iterdir()))
    assert [row["answer"] for row in rows].count(None) == 1
    assert rows[0]["red"] == pytest.approx(
        Predictor(model).predict(rows[0]["file"]).probabilities[0]
    )
    assert "computed by: cpu" in done.stderr
    done = run(model, images, "--json", "--out", tmp_path / "a.csv")
    assert json.loads(done.stdout) == {"out": str(tmp_path / "a.csv"), "items": 40, "failed": 1}


@pytest.mark.skipif(
    "AzureExecutionProvider" not in onnx_runtime().get_available_providers(), reason="not built in"
)
def test_what_computes_is_what_was_asked_for(tmp_path):
    model = made("category", tmp_path)
    assert Predictor(model).providers == ("cpu",)
    both = Predictor(model, providers=["azure", "cpu"])
    assert both._run.get_providers() == ["AzureExecutionProvider", "CPUExecutionProvider"]
    assert both.providers == ("azure", "cpu")


def test_what_the_runtime_has_not_is_an_error_that_says_what_it_has(images, tmp_path, monkeypatch):
    model = made("category", tmp_path)
    done = run(model, images, "--providers", "tpu,cpu")
    assert done.exit_code == 2
    assert "has here" in done.output
    assert "not 'tpu'" in " ".join(done.output.split())
    ort = onnx_runtime()
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        with pytest.raises(UsageError, match=r"not 'cuda'.*onnxruntime-gpu in place"):
            Predictor(model, providers=["cuda", "cpu"])
    have = [*ort.get_available_providers(), "LostExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: have)
    real = ort.InferenceSession
    monkeypatch.setattr(ort, "InferenceSession", lambda data, how, providers: real(data, how))
    with pytest.raises(UsageError, match="has 'lost' and cannot start it here"):
        Predictor(model, providers=["lost", "cpu"])


def test_names_and_sources_are_several(tmp_path):
    model = made("category", tmp_path)
    assert Predictor(model, providers=iter(["cpu"])).providers == ("cpu",)
    for one in ("a.png", b"png", tmp_path):
        with pytest.raises(UsageError, match="takes several sources, in a list, not"):
            Predictor(model).predict_batch(one)


def test_threads_and_providers_of_weights_are_refused(images, tmp_path):
    (tmp_path / "m.safetensors").touch()
    for option, value in (("--workers", 2), ("--providers", "cpu")):
        done = run(tmp_path / "m.safetensors", images, option, value)
        assert f"{option} is for exported files" in done.output
