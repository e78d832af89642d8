"""Names that are markup, formulas or commands are shown and written as text."""

import csv
import io
import os
import sys

import pandas as pd
import pytest
import torch
from hostile import FORMULAS, NAMES, Tags
from PIL import Image as Pillow
from pyarrow.parquet import read_table
from test_page import NETS, made
from test_predict_command import run

from onecycle.core.display import Table, as_text, is_formula
from onecycle.core.errors import DataError, OnecycleWarning, warn
from onecycle.interpret.cleaner import earlier_answers, review, write_cleaned
from onecycle.interpret.words import WordScores
from onecycle.runtime.targets.category import CategorySpec


def test_formulas_are_told_from_numbers_and_names():
    computed = [name for name in NAMES if is_formula(name)]
    assert len(computed) == FORMULAS
    for cell in ("-1", "+2.5e3", "-inf", "-1e-05;2;-3.5", "a=b", "", "3", "é", "x@y"):
        assert as_text(cell) == cell
    for cell in ("=1", "-1+1", "-1;=2", "@x", "\t=1", "\r=1", "\uff1d1", "+cmd"):
        assert as_text(cell) == "'" + cell


@pytest.fixture
def hostile_model(tmp_path):
    NETS["hostile"] = (
        CategorySpec((NAMES[1], NAMES[0], NAMES[3])),
        NETS["category"][1],
    )
    try:
        yield made("hostile", tmp_path)
    finally:
        del NETS["hostile"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_table_of_predictions_holds_nothing_that_is_computed(hostile_model, tmp_path):
    folder = tmp_path / "seen"
    folder.mkdir()
    names = [name.replace("/", "_") for name in NAMES]
    for name in names:
        Pillow.new("RGB", (20, 20), "red").save(folder / name, "PNG")
    table = tmp_path / "names.csv"
    pd.DataFrame({"file": names}).to_csv(table, index=False)
    out = tmp_path / "out.csv"
    with pytest.warns(OnecycleWarning, match=r"14 cells \('=HYPERLINK.* apostrophe.*parquet"):
        done = run(hostile_model, table, "--folder", folder, "--out", out)
    assert done.exit_code == 0
    header, *rows = csv.reader(io.StringIO(out.read_text(), newline=""))
    assert [row[0] for row in rows] == [as_text(name) for name in names]
    assert {row[1] for row in rows} == {"'" + NAMES[1]}
    assert header == ["file", "answer", "'" + NAMES[1], NAMES[0], NAMES[3]]
    assert not any(map(is_formula, [*header, *(cell for row in rows for cell in row)]))
    run(hostile_model, table, "--folder", folder, "--out", tmp_path / "out.parquet")
    exact = read_table(tmp_path / "out.parquet").to_pydict()
    assert exact["file"] == names
    assert set(exact["answer"]) == {NAMES[1]}


@pytest.mark.filterwarnings("ignore:1 cells")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_unicode_is_written_as_escapes_and_refused_by_the_cleaner(
    hostile_model, tmp_path
):
    folder = tmp_path / "seen/cat"
    folder.mkdir(parents=True)
    Pillow.new("RGB", (20, 20), "lime").save(folder / os.fsdecode(b"\xff.png"))
    done = run(hostile_model, folder, "--out", tmp_path / "out.csv")
    assert done.exit_code == 0
    assert f"{folder}/\\xff.png" in (tmp_path / "out.csv").read_text()
    with pytest.raises(DataError, match=r"udcff\.png.*no UTF-8"):
        review(tmp_path / "seen")


def test_tables_and_coloured_texts_hold_no_element_of_a_name():
    table = Table({name: [NAMES[i - 1]] for i, name in enumerate(NAMES)})
    scores = WordScores(NAMES, tuple(0.1 * i for i in range(len(NAMES))), NAMES[0], 0.5)
    cells = {("table", "style"), ("tr", ""), ("th", ""), ("td", "")}
    words = {("p", ""), ("b", ""), ("span", "style title")}
    for shown, allowed in ((table, cells), (scores, words)):
        tags = Tags(shown._repr_html_())
        assert {(tag, " ".join(sorted(keys))) for tag, keys in tags.found} == allowed
        assert all(name in tags.text for name in NAMES)


def test_messages_show_what_a_terminal_would_obey_and_end_somewhere():
    assert str(DataError(NAMES[5])) == r"\x1b[2Jcleared"
    assert str(DataError(NAMES[4])) == r"turned \u202e gnp.tac"
    assert str(DataError("two\nlines\té שלום 猫")) == "two\nlines\té שלום 猫"
    long = str(DataError("begin" + "x" * 10**6 + "end"))
    assert len(long) < 2100
    assert long.startswith("begin")
    assert long.endswith("end")
    with pytest.warns(OnecycleWarning) as given:
        warn(NAMES[5])
    assert str(given[0].message) == r"\x1b[2Jcleared"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_the_cleaners_table_comes_back_exactly_and_its_formulas_are_told(tmp_path):
    names = [name.replace("/", "_") for name in NAMES]
    for i, name in enumerate(names):
        (tmp_path / "root" / name).mkdir(parents=True)
        Pillow.new("RGB", (8 + i, 8), (25 * i, 90, 7)).save(tmp_path / "root" / name / "a.png")
    with pytest.warns(OnecycleWarning, match=r"7 names .*begin as formulas do.*spreadsheet"):
        found = review(tmp_path / "root", least=1)
    to = tmp_path / "cleaned.csv"
    answers = {"0": found.classes[4], "3": None}
    write_cleaned(found, answers, to)
    assert earlier_answers(found, to) == answers
    frame = pd.read_csv(to, dtype=str, keep_default_na=False)
    kept = [name for i, name in enumerate(found.names) if i != 3]
    assert frame["name"].tolist() == kept


@pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")
def test_figures_per_label_hold_nothing_that_is_computed(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from onecycle.cli import plots
    from onecycle.data.targets import MultiCategory
    from onecycle.interpret.classification import MultiLabelInterpretation
    from onecycle.learn.predictions import Predictions

    task = SimpleNamespace(target=MultiCategory((NAMES[1], NAMES[7])))
    p, y = torch.tensor([[0.9, 0.2], [0.1, 0.8]]), torch.eye(2)
    found = Predictions(p, y, torch.zeros(2), None, task)
    plots.write_per_label(MultiLabelInterpretation(None, found), tmp_path / "per_label.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "per_label.csv").read_text(), newline="")))
    assert [row[0] for row in rows[1:]] == ["'" + NAMES[1], "'" + NAMES[7]]
