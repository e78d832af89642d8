"""Texts and series in the studio: what it keeps of them, what its doors say, what is trained on."""

import csv
import json

import numpy as np
import pytest
from starlette.testclient import TestClient

from helpers.hostile import NAMES
from onecycle.cli import layouts
from onecycle.cli.options import WhereSeries
from onecycle.cli.studio import work
from onecycle.cli.studio.contents import SeriesProject, TextProject, drawn
from onecycle.cli.studio.kinds import labelled_series
from onecycle.cli.studio.layout import LAYOUTS
from onecycle.cli.studio.project import open_project
from onecycle.cli.studio.rows import read_rows
from onecycle.cli.studio.server import application
from onecycle.cli.studio.start import make_studio
from onecycle.core.errors import TableError, UsageError
from onecycle.runtime.predictor import Predictor

GOOD, BAD = "a lovely film", "a dreadful film"


class Silent:
    def say(self, kind, **more):
        pass


def write_table(path, rows, head=("text", "label")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return path


@pytest.fixture
def reviews(tmp_path):
    """12 good ones, 5 bad ones, all of them different."""
    rows = [(f"{GOOD}, take {i}", "good") for i in range(12)]
    return write_table(tmp_path / "a.csv", rows + [(f"{BAD}, take {i}", "bad") for i in range(5)])


@pytest.fixture
def waves(tmp_path):
    """6 sines and 9 ramps of 20 steps, each of its own phase; a column says who validates."""
    x, rows = np.arange(20), []
    for i in range(6):
        rows.append(["sine", i % 3 == 0, *np.sin(x / 3 + i).round(4)])
    for i in range(9):
        rows.append(["ramp", i % 3 == 0, *((x + 2 * i) % 11).tolist()])
    head = ("label", "is_valid", *(f"t{i}" for i in range(20)))
    return write_table(tmp_path / "waves.csv", rows, head)


def client(source, kind, home):
    asking = TestClient(
        application(make_studio(source, kind, home, None), "secret"), base_url="http://127.0.0.1:80"
    )
    asking.get("/?token=secret")
    return asking


def found_of(kind, project, folder):
    """(text or bytes of a series, label) of both sides, as a training of a folder has them."""
    project.keep_tables(folder)
    where, _ = LAYOUTS[kind].options({"where": project.where(folder), "how": {}})
    found = labelled_series(where, folder) if kind == "series" else layouts.texts(where)
    labelled = found.labelled()
    content = (lambda x: np.asarray(x).tobytes()) if kind == "series" else str
    return [
        {(content(item), str(label)) for item, label in zip(side.x.items, side.labels, strict=True)}
        for side in (labelled.train, labelled.valid)
    ]


def wanted_of(project, content):
    return [
        {
            (content(i), one.label)
            for i, one in enumerate(project.items)
            if one.side == side and not one.out and one.label
        }
        for side in ("train", "valid")
    ]


def test_texts_that_are_trained_on_are_those_that_the_page_shows(reviews, tmp_path):
    """The command line reads a run's table: the same texts, labels and sides."""
    project = open_project(reviews, tmp_path / "home", make=TextProject)
    project.change([{"i": 0, "label": "bad"}, {"i": 3, "out": True}, {"i": 14, "label": None}])
    found = found_of("text", project, tmp_path)
    assert found == wanted_of(project, project.text)
    assert sum(map(len, found)) == 15
    assert (f"{GOOD}, take 0", "bad") in found[0] | found[1]


def test_series_that_are_trained_on_are_those_that_the_page_shows(waves, tmp_path):
    project = open_project(waves, tmp_path / "home", make=SeriesProject)
    assert [one.side for one in project.items[:4]] == ["valid", "train", "train", "valid"]
    project.change([{"i": 1, "label": "ramp"}, {"i": 8, "out": True}])
    found = found_of("series", project, tmp_path)
    assert found == wanted_of(project, lambda i: project.series[i].tobytes())
    assert [len(side) for side in found] == [9, 5]


@pytest.mark.parametrize(("kind", "make"), [("text", TextProject), ("series", SeriesProject)])
def test_labels_come_back_and_none_goes_to_another_item(reviews, waves, tmp_path, kind, make):
    """A row that was put in, or changed, since then moves no label."""
    source = {"text": reviews, "series": waves}[kind]
    project = open_project(source, tmp_path / "home", make=make)
    old = project.items[2].label
    new = next(name for name in project.classes if name != old)
    before = source.read_bytes()
    project.change([{"i": 2, "label": new}])
    assert source.read_bytes() == before
    assert open_project(source, tmp_path / "home", make=make).items[2].label == new
    lines = before.decode().splitlines(keepends=True)
    lines[3] = lines[4]  # another stands in the row that was relabelled
    source.write_text("".join(lines))
    again = open_project(source, tmp_path / "home", make=make)
    assert again.items[2].label == old
    assert any(note.startswith("1 items") for note in again.notes)


def test_texts_in_folders_are_read_where_they_lie(tmp_path):
    for n, (side, name) in enumerate([("train", "good"), ("train", "bad"), ("test", "bad")] * 3):
        (tmp_path / "mails" / side / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "mails" / side / name / f"{n}.txt").write_text(f"text {n}")
    project = open_project(tmp_path / "mails", tmp_path / "home", make=TextProject)
    assert project.counts()["bad"] == {"train": 2, "valid": 1, "test": 3}
    assert [project.items[i].name for i in project.select(text="TEXT 4")] == ["train/bad/4.txt"]
    project.keep_tables(tmp_path)
    tested = list(csv.DictReader((tmp_path / "test.csv").read_text().splitlines()))
    assert {row["text"] for row in tested} == {"text 2", "text 5", "text 8"}


def test_a_file_that_is_gone_hides_no_others(tmp_path):
    for n in range(6):
        (tmp_path / "mails" / "ab"[n % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "mails" / "ab"[n % 2] / f"{n}.txt").write_text(f"text {n}")
    asking = client(tmp_path / "mails", "text", tmp_path / "home")
    (tmp_path / "mails/a/2.txt").unlink()
    rows = asking.get("/api/items").json()["rows"]
    assert [row["text"] for row in rows[::2]] == ["text 0", "text 4", "text 3"]
    assert "no longer there" in rows[1]["text"]
    assert asking.get("/api/items?text=text 4").json()["total"] == 1
    found = asking.get(f"/api/items/{rows[1]['i']}")
    assert (found.status_code, "2.txt" in found.json()["error"]) == (400, True)


def test_a_column_of_texts_is_found_by_what_it_is_not(tmp_path):
    """Beside the labels and the sides there is one column: it is that of the texts."""
    rows = [("nice", "good", "True"), ("not nice", "bad", ""), ("dull", "bad", "False")]
    table = write_table(tmp_path / "a.csv", rows, ("review", "sentiment", "is_valid"))
    project = open_project(table, tmp_path / "home", make=TextProject)
    assert [(project.text(i), one.label) for i, one in enumerate(project.items)] == [
        row[:2] for row in rows
    ]
    assert [one.side for one in project.items][::2] == ["valid", "train"]


def test_the_studios_own_table_holds_no_texts(reviews, tmp_path):
    """It is written at every key: of a hundred thousand long texts it would take seconds."""
    project = open_project(reviews, tmp_path / "home", make=TextProject)
    assert "film" not in (tmp_path / "home/labels.csv").read_text()
    assert len(read_rows(project.labels)) == 17


@pytest.mark.parametrize(("kind", "part"), [("text", "text"), ("series", "series")])
def test_windows_have_contents_and_an_item_is_whole(reviews, waves, tmp_path, kind, part):
    asking = client({"text": reviews, "series": waves}[kind], kind, tmp_path / "home")
    rows = asking.get("/api/items?from=2&count=3").json()["rows"]
    assert [row["i"] for row in rows] == [2, 3, 4]
    assert all(row[part] == asking.get(f"/api/items/{row['i']}").json()[part] for row in rows)
    assert asking.get("/api/items/99").status_code == 400
    assert asking.post("/api/look", json={}).status_code == 200
    undo = asking.post("/api/change", json={"changes": [{"i": 4, "out": True}]}).json()["undo"]
    assert [r["i"] for r in asking.get("/api/items?state=out").json()["rows"]] == [4]
    asking.post("/api/change", json={"changes": undo})
    assert asking.get("/api/items?state=out").json()["total"] == 0


def test_long_texts_come_shortened_in_windows_and_whole_alone(tmp_path):
    long = "word " * 5000 + "end"
    table = write_table(tmp_path / "a.csv", [(long, "a"), ("short", "b"), ("", "b")])
    asking = client(table, "text", tmp_path / "home")
    rows = asking.get("/api/items").json()["rows"]
    assert [len(row["text"]) for row in rows] == [400, 5, 0]
    assert asking.get("/api/items/0").json()["text"] == long
    assert asking.get("/api/items?text=END").json()["total"] == 1  # searched whole
    assert [row["out"] for row in rows] == [False, False, True]  # a blank one teaches nothing


def test_hostile_texts_and_classes_come_as_they_are(tmp_path):
    names = [name for name in NAMES if name.isprintable() and name.strip() == name and name]
    table = write_table(tmp_path / "a.csv", [(f"{name} text", name) for name in names])
    rows = client(table, "text", tmp_path / "home").get("/api/items").json()["rows"]
    assert [(row["text"], row["label"]) for row in rows] == [(f"{n} text", n) for n in names]


def test_series_with_numbers_for_labels_are_refused(tmp_path):
    rows = [[0.5 + i, *range(i, i + 6)] for i in range(8)]
    table = write_table(tmp_path / "a.csv", rows, ("label", *(f"t{i}" for i in range(6))))
    with pytest.raises(UsageError, match="numbers, not classes"):
        open_project(table, tmp_path / "home", make=SeriesProject)


def test_a_series_that_is_gone_is_named(waves, tmp_path):
    project = open_project(waves, tmp_path / "home", make=SeriesProject)
    project.keep_tables(tmp_path)
    waves.write_text("\n".join(waves.read_text().splitlines()[:-2]) + "\n")
    with pytest.raises(TableError, match="no longer holds 2 series"):
        labelled_series(WhereSeries(waves), tmp_path)


def test_a_drawn_curve_keeps_its_peaks_and_its_gaps():
    x = np.zeros(10_000)
    x[7321], x[40:60] = 9, np.nan
    (points,) = drawn(x)
    assert len(points) == 400
    assert max(p for p in points if p is not None) == 9
    assert drawn(np.array([[1, np.nan, 3], [4, 5, 6]])) == [[1, None, 3], [4, 5, 6]]


def test_archives_keep_channels_sides_and_lengths(tmp_path):
    head = "@problemName x\n@classLabel true up down\n@data\n"
    (tmp_path / "x_TRAIN.ts").write_text(f"{head}1,2,3:9,8,8:up\n3,2,4:7,7,7:down\n5,6:1,1:up\n")
    (tmp_path / "x_TEST.ts").write_text(f"{head}4,2:8,8:down\n1,9:2,2:up\n")
    project = open_project(tmp_path, tmp_path / "home", make=SeriesProject)
    assert [one.side for one in project.items] == ["train"] * 3 + ["valid"] * 2
    assert [one.label for one in project.items] == ["up", "down", "up", "down", "up"]
    assert [len(channel) for channel in project.content(1)["series"]] == [3, 3]


def test_copies_and_leaks_of_texts_are_told_by_the_names_of_the_studio(reviews, tmp_path):
    rows = [*csv.reader(reviews.read_text().splitlines())][1:]
    table = write_table(tmp_path / "b.csv", [*rows, rows[0], (rows[1][0], "bad")])
    asking = client(table, "text", tmp_path / "home")
    studio_args = {"kind": "text", "how": {}, "folder": str(tmp_path)}
    project = open_project(table, tmp_path / "home", make=TextProject)
    found = work.run_check(
        tmp_path / "home", {**studio_args, "where": project.where(tmp_path / "home")}, Silent()
    )
    (tmp_path / "home/check.json").write_text(json.dumps(found))
    named = {row["name"] for row in found["rows"] if row["problem"] == "conflict"}
    assert [project.example(name) for name in named] == [rows[1][0]] * 2
    shown = asking.get("/api/items?problem=conflict").json()["rows"]
    assert {row["name"] for row in shown} == named


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of texts of seconds: its folder as the studio has it."""
    home = tmp_path_factory.mktemp("trained")
    rows = [(f"{GOOD} and word{i // 2}", "good") for i in range(12)]
    rows += [(f"{BAD} and word{i // 2}", "bad") for i in range(12)]
    table = write_table(home / "a.csv", rows)
    project = open_project(table, home / "studio", make=TextProject)
    run(home / "studio/runs/1", project, {"epochs": 1, "unfrozen_epochs": 1})
    return home, project


def run(folder, project, fit):
    folder.mkdir(parents=True)
    project.keep_tables(folder)
    args = {"kind": "text", "where": project.where(folder), "fit": fit, "asked": {}, "counts": {}}
    args["how"] = {"lm_epochs": 0}  # the small encoder that comes with the package
    (folder / "train.args.json").write_text(json.dumps(args))
    (folder / "train.json").write_text(json.dumps(work.run_training(folder, args, Silent())))
    return args


def test_mistakes_of_texts_bear_the_names_of_the_studio(trained):
    """Each row's name, label and side are those of one and the same text."""
    home, project = trained
    rows = json.loads((home / "studio/runs/1/mistakes.json").read_text())["rows"]
    by_name = {one.name: one for one in project.items}
    assert {row["name"] for row in rows} == {*by_name}
    assert all(by_name[r["name"]].label == r["actual"] for r in rows)
    assert all(by_name[r["name"]].side == r["side"] for r in rows)
    stored = work.load_file(home / "studio/runs/1" / work.OUTPUTS)
    predictor = Predictor(home / "studio/runs/1/model.onnx")
    for row in [one for one in rows if one["side"] == "valid"]:
        answer = predictor.predict(project.example(row["name"]))
        assert np.allclose(answer.probabilities, stored["valid_p"][row["index"]], atol=1e-4)


def test_what_is_decided_of_texts_is_in_the_file(trained):
    home, _ = trained
    folder = home / "studio/runs/1"
    plain = Predictor(folder / "model.onnx").predict(GOOD)
    work.run_decide(folder, {"temperature": 2.0, "thresh": 0.97}, Silent())
    decided = Predictor(folder / "model.onnx")
    assert (decided.target.temperature, decided.target.thresh) == (2.0, 0.97)
    found = decided.predict(GOOD)
    odds = [np.diff(np.log(one.probabilities))[0] for one in (plain, found)]
    assert odds[1] == pytest.approx(odds[0] / 2, abs=1e-3)
    assert str(found) == "not sure"


def test_a_relabelled_text_changes_the_next_run_and_its_words_stay(trained):
    """From these weights: a text that is left out takes no word from the vocabulary."""
    home, project = trained
    first = home / "studio/runs/1"
    i, *rest = [n for n, one in enumerate(project.items) if one.side == "train"]
    same = rest[2:8]
    other = next(name for name in project.classes if name != project.items[i].label)
    project.change([{"i": i, "label": other}, *({"i": n, "out": True} for n in same)])
    fit = {"unfrozen_epochs": 1, "epochs": 0, "start": str(first / "model.safetensors")}
    run(home / "studio/runs/2", project, fit)
    rows = json.loads((home / "studio/runs/2/mistakes.json").read_text())["rows"]
    named = {row["name"]: row for row in rows}
    assert named[project.items[i].name]["actual"] == other
    assert not {project.items[n].name for n in same} & {*named}
    vocab = [Predictor(home / f"studio/runs/{n}/model.onnx").input.vocab for n in (1, 2)]
    assert vocab[0] == vocab[1]
