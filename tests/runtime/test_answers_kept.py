"""`onecycle predict --out` loses no answer that it had, whatever ends it."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image as Pillow
from test_page import SPEC, made
from typer.testing import CliRunner

from onecycle.cli import predict as command
from onecycle.cli.answers import Answers
from onecycle.cli.main import app
from onecycle.core.errors import UsageError

NAMES = [f"{i:02}.png" for i in range(20)]
KILLED = """
import os, signal, sys
from onecycle.cli import predict
rows = predict._rows
def some(*given):
    for number, row in enumerate(rows(*given)):
        if number == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row
predict._rows = some
from onecycle.cli.main import app
app(["predict", *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """(model, folder of 20 images, one of which is broken)."""
    root = tmp_path_factory.mktemp("kept")
    model = made("category", root)
    folder = root / "images"
    folder.mkdir()
    for i, name in enumerate(NAMES):
        Pillow.new("RGB", (20 + i, 30), (12 * i, 250 - 12 * i, 9)).save(folder / name)
    (folder / "03.png").write_bytes(b"\x89PNG nothing")
    return model, folder


def run(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


class EndedError(BaseException):
    """As if the machine had been switched off."""


def cut_off(monkeypatch, number, *arguments):
    """The command, which ends after so many answers."""
    real = command._rows

    def some(*given):
        for i, row in enumerate(real(*given)):
            if i == number:
                raise EndedError
            yield row

    with monkeypatch.context() as patch:
        patch.setattr(command, "_rows", some)
        with pytest.raises(EndedError):
            run(*arguments)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_command_that_was_cut_off_goes_on_and_writes_the_same_table(
    seen, tmp_path, ending, monkeypatch
):
    model, folder = seen
    whole, out = tmp_path / f"whole{ending}", tmp_path / f"out{ending}"
    assert run(model, folder, "--out", whole).exit_code == 1
    for number in (7, 5):
        cut_off(monkeypatch, number, model, folder, "--out", out)
        assert not out.exists()
    asked = []
    real = command._rows
    monkeypatch.setattr(
        command, "_rows", lambda *given: (asked.append(row) or row for row in real(*given))
    )
    done = run(model, folder, "--out", out)
    assert "going on behind 12 answers" in done.output
    assert "19 of 20 answers" in done.output
    assert len(asked) == 8
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, whole.name])


def test_killed_for_good_all_answers_before_it_are_there(seen, tmp_path):
    model, folder = seen
    out = tmp_path / "out.csv"
    command = [sys.executable, "-c", KILLED, str(model), str(folder), "--out", str(out)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(command, env=env, capture_output=True, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv.part"]
    with (tmp_path / "out.csv.part").open("ab") as file:
        file.write(b'["07.png", "re')  # a row of which the disk has only half
    done = run(model, folder, "--out", out)
    assert "going on behind 7 answers" in done.output
    assert len(out.read_text().splitlines()) == 21


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--thresh", "0.3"], "thresh was None, here it is 0.3"),
        (["--top", "2"], "top was None, here it is 2"),
        (["model"], "model was"),
        (["renamed"], "row 2 is .*01.png"),
    ],
)
def test_answers_to_something_else_are_not_gone_on_with(seen, tmp_path, change, said, monkeypatch):
    model, folder = seen
    own = tmp_path / "images"
    own.mkdir()
    for name in NAMES[:6]:
        (own / name).write_bytes((folder / "00.png").read_bytes())
    out = tmp_path / "out.csv"
    cut_off(monkeypatch, 4, model, own, "--out", out)
    kept = (tmp_path / "out.csv.part").read_bytes()
    if change == ["model"]:
        model = Path(made("category", tmp_path, replace(SPEC, mean=(0.4, 0.5, 0.5))))
    if change == ["renamed"]:
        (own / "01.png").rename(own / "015.png")
    options = change if change[0].startswith("--") else []
    done = run(model, own, "--out", out, *options)
    assert done.exit_code == 2
    text = " ".join(done.output.split())
    assert "out.csv.part" in text.replace(" ", "")
    assert re.search(said, text), text
    assert (tmp_path / "out.csv.part").read_bytes() == kept


def test_two_commands_do_not_write_the_same_table(tmp_path):
    with (
        Answers(tmp_path / "out.csv", ["a"], {}),
        pytest.raises(UsageError, match=r"another process writes .*out\.csv"),
        Answers(tmp_path / "out.csv", ["a"], {}),
    ):
        pass
