"""The lines of the README do what they say, in the order in which they stand."""

import re
import shlex
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from typer.testing import CliRunner

from onecycle.cli.main import app
from onecycle.core.errors import UsageError
from onecycle.runtime.predictor import Predictor
from onecycle.runtime.site import runtime_folder

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
SMALLER = {  # so that it takes seconds; nothing else is changed
    'planet_sample("data/planet")': 'planet_sample("data/planet", n=100, n_test=4)',
    "fit_one_cycle(5,": "fit_one_cycle(1,",
    "lr_find()": "lr_find(num_it=20)",
    "size=128": "size=32",
    "size=256": "size=64",
}


@pytest.mark.filterwarnings("ignore::UserWarning", "error:answers are decided")
def test_the_program_ends_with_a_file_that_the_commands_take(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = "".join(text for language, text in BLOCKS if language == "python")
    for long, short in SMALLER.items():
        assert long in program
        program = program.replace(long, short)
    names = {}
    exec(compile(program, "README.md", "exec", dont_inherit=True), names)
    plt.close("all")
    shell = [line for language, text in BLOCKS if not language for line in text.splitlines()]
    lines = [line.split("#")[0] for line in shell if line.startswith("onecycle ")]
    verbs = [shlex.split(line)[1] for line in lines]
    assert verbs == ["site", "predict", "serve", "deploy"]
    try:
        has_page = bool(runtime_folder())
    except UsageError:
        has_page = False
    for verb, line in zip(verbs, lines, strict=True):
        words = shlex.split(line)[1:]
        if verb == "serve":  # does not end; it takes the same file
            assert list(Predictor(words[1]).classes) == list(names["data"].classes)
        elif verb != "site" or has_page:
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, (line, done.output, done.exception)
    assert len(Path("answers.parquet").read_bytes()) > 100
    assert (tmp_path / "app" / "Dockerfile").is_file()
    assert (tmp_path / "site" / "index.html").is_file() == has_page
