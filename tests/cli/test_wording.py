"""What the library says of its arguments is said in the shell's options; the commands' rules."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image as Pillow
from typer.testing import CliRunner

import onecycle
from onecycle.cli.main import app
from onecycle.cli.wording import WORDS, in_shell

PYTHON = re.compile(r"\b[a-z_]+=(?!=)|\b[a-z_]+\(\)|databunch\(|learn\.|label_cls|split_by")


def text_of(node):
    """A string of the source as it is said, with 7 in the place of values."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(p.value if isinstance(p, ast.Constant) else "7" for p in parts)


def messages():
    for file in Path(onecycle.__file__).parent.rglob("*.py"):
        if file.parent.name != "cli":
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                whole = isinstance(node, ast.Constant) and isinstance(node.value, str)
                if whole or isinstance(node, ast.JoinedStr):
                    yield text_of(node)


def test_every_row_of_the_words_is_of_something_that_the_library_says():
    said = "\n".join(messages())
    assert [old for old, _ in WORDS if not re.search(old, said)] == []
    for old, new in WORDS:
        assert not PYTHON.search(re.sub(r"\\\d", "", new)), old


@pytest.fixture
def table(tmp_path):
    """Twenty images whose labels are other words where they validate, and a column of prices."""
    rows = []
    for i in range(20):
        Pillow.fromarray(np.full((9, 9, 3), 12 * i, np.uint8)).save(tmp_path / f"{i}.png")
        side = "valid" if i > 16 else "train"
        rows.append((f"{i}.png", ["oak", "elm"][i % 2] if i < 17 else f"ash {i}", i + 0.5, side, 1))
    columns = ["file", "kind", "price", "side", "one"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("--label-col kind --valid-col side", "take --stratify, another --seed, or say with"),
        ("--label-col price --stratify", "--stratify finds no two classes"),
        ("--label-col kind --group-col one", "--group-col has"),
        ("--label-col kind --valid-pct .7 --test-pct .5", "--valid-pct 0.7 and --test-pct 0.5"),
        ("--label-col kind --time-col file", "write them so into the table"),
    ],
)
def test_errors_of_the_library_name_the_shells_options(table, tmp_path, options, wanted):
    done = CliRunner().invoke(
        app, ["train", "images", str(table), *options.split(), "--out", str(tmp_path), "--json"]
    )
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert wanted in found["message"]
    assert not PYTHON.search(found["message"]), found["message"]


def test_what_is_not_of_the_shell_stays():
    text = "3 of 7 images are left out: those in 'a=b'"
    assert in_shell(text) == text


def commands(group=None, path=()):
    """(words, command) of everything that can be called."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(
    ("words", "command"), [*commands()], ids=lambda of: getattr(of, "name", "")
)
def test_every_command_has_examples_that_name_its_options_and_answers_in_json(words, command):
    options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    lines = [line for line in (command.epilog or "").splitlines() if line.startswith("onecycle ")]
    assert lines, "no example"
    for line in lines:
        assert line.split()[1:][: len(words)] == list(words)
        assert {word for word in line.split() if word.startswith("--")} <= options, line
    assert "--json" in options or words == ("serve",)  # its standard output is lines of JSON


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("onecycle tr", "train"),
        ("onecycle train images --group", "--group-col"),
        ("onecycle train images --weights b", "balanced"),
    ],
)
def test_the_shell_completes_commands_options_and_values(words, wanted):
    known = {"_ONECYCLE_COMPLETE": "complete_bash", "COMP_WORDS": words}
    code = "import sys; sys.argv[0] = 'onecycle'; from onecycle.cli.main import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, **known, "COMP_CWORD": str(len(words.split()) - 1)},
    )  # fmt: skip
    assert done.stdout.split() == [wanted]
