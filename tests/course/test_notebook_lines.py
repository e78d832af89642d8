"""What only a notebook understands: commands and magics in their usual forms."""

import json
from pathlib import Path

import pytest
from test_notebooks import runner


@pytest.fixture
def run(tmp_path):
    """The names after these cells, run as a notebook and as one program."""

    def both(*cells):
        notebook = tmp_path / "n.ipynb"
        made = [{"cell_type": "code", "source": cell} for cell in cells]
        notebook.write_text(json.dumps({"cells": made}))
        names, again = runner.run(notebook), {}
        exec(runner.program_of(notebook), again)
        return names, again

    return both


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        (r"printf 'a b\nc d\n' | awk '{print $1}'", ["a", "c"]),
        ("ls $path/csvs", ["one.csv"]),
        ("ls $path/{sub}", ["one.csv"]),
        ("echo {len(sub)} { sub } {no_such}", ["4 csvs {no_such}"]),
        ("echo '{sub}' '$sub' \"$sub\"", ["csvs $sub csvs"]),
        ("word=x; echo $word $$word {{sub}}", ["x x {sub}"]),
        ("echo a \\\n   b", ["a b"]),
    ],
)
def test_a_command_gets_the_values_that_are_there_and_the_shell_the_rest(
    run, tmp_path, command, lines
):
    (tmp_path / "csvs").mkdir()
    (tmp_path / "csvs/one.csv").write_text("")
    first = f"from pathlib import Path\npath, sub = Path({str(tmp_path)!r}), 'csvs'"
    for names in run(first, f"n = !{command}"):
        assert names["n"] == lines


def test_lines_that_go_on_behind_a_backslash_are_one_line(run, capsys):
    cells = ["!pip install a \\\n    b\nx = 1", "%time y = \\\n    2", "z = 10 % \\\n    4"]
    for names in run(*cells):
        assert (names["x"], names["y"], names["z"]) == (1, 2, 2)
    assert "left out: !pip install a b\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "magic",
    [
        "%prun -s cumulative",
        "%prun -l 5 -q -T out.txt",
        "%time --no-raise-error",
    ],
)
def test_the_options_of_a_magic_may_have_words(run, magic):
    for names in run(f"kept = []\n{magic} kept.append(1)"):
        assert names["kept"] == [1]


def test_what_a_magic_gives_is_taken_where_it_is_known(run):
    for names in run("import os\nwhere = %pwd\nx = %time 3 + 4\nd = {}\nd['a'] = !echo b"):
        assert (names["where"], names["x"], names["d"]) == (str(Path.cwd()), 7, {"a": ["b"]})


def test_a_name_that_a_left_out_line_should_have_set_is_not_an_older_value_and_says_why(run):
    with pytest.raises(NameError) as messages:
        run("x = 1\nwords, x = %some_magic", "print(x)")
    notes = "".join(messages.value.__notes__)
    assert "x has no value, as its line was left out: cell 1: left out: words, x = %some" in notes


def test_a_remark_that_ends_in_a_question_is_no_call_for_help(run):
    for names in run("x = max(1,  # why?\n    2)"):
        assert names["x"] == 2


def test_a_module_of_the_course_that_is_not_here_names_the_one_that_is(run):
    with pytest.raises(ModuleNotFoundError) as messages:
        run("from fastai.vision.cyclegan import CycleGAN")
    assert "all of its names are in onecycle.course: from onecycle.course import" in str(
        messages.value.__notes__
    )
