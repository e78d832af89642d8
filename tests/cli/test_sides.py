"""Who trains, validates and tests by the options of `onecycle train`, and what folds leave."""

import json
from collections import Counter

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from onecycle.cli import layouts, train
from onecycle.cli.main import app
from onecycle.cli.options import How, Where, WhereMasks, WhereSeries, WhereTexts
from onecycle.core.errors import UsageError
from onecycle.learn.losses import balanced_loss
from onecycle.runtime.predictor import Predictor

pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")
SHORT = ("--size", 16, "--bs", 8, "--lr", 0.003, "--epochs", 1, "--unfrozen-epochs", 1)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """40 images of two kinds, 28 and 12, of 13 trees; the later ones are of later days."""
    root = tmp_path_factory.mktemp("leaves")
    rng, rows = np.random.default_rng(0), []
    for i in range(40):
        kind = "oak" if i % 10 < 7 else "elm"
        pixels = np.full((16, 20, 3), 60 if kind == "oak" else 180)
        cv2.imwrite(
            str(root / f"{i}.png"), np.clip(pixels + rng.normal(0, 9, pixels.shape), 0, 255)
        )
        rows.append((f"{i}.png", kind, f"tree {i // 3}", f"2024-01-{1 + i // 2:02}"))
    frame = pd.DataFrame(rows, columns=["file", "label", "tree", "day"])
    frame.to_csv(root / "leaves.csv", index=False)
    return root / "leaves.csv"


def sides_of(where):
    """The frames of train, valid and test."""
    split = layouts.images(where).splits[0]
    return [side.frame for side in (split.train, split.valid, split.test) if side is not None]


def test_classes_of_a_table_are_in_proportion_where_that_is_asked_for(table):
    sides = sides_of(Where(table, stratify=True, test_pct=0.25, valid_pct=0.25, seed=3))
    assert [dict(Counter(side["label"])) for side in sides] == [
        {"oak": 14, "elm": 6},
        {"oak": 7, "elm": 3},
        {"oak": 7, "elm": 3},
    ]
    drawn = [Counter(side["label"])["elm"] for side in sides_of(Where(table, seed=3))]
    assert drawn != [10, 2]


def test_no_group_is_on_two_sides_and_of_a_split_by_time_the_latest_test(table):
    trees = [{*side["tree"]} for side in sides_of(Where(table, group_col="tree", test_pct=0.2))]
    assert not trees[0] & trees[1] | trees[0] & trees[2] | trees[1] & trees[2]
    days = [[*side["day"]] for side in sides_of(Where(table, time_col="day", test_pct=0.1))]
    assert max(days[0]) < min(days[1])
    assert max(days[1]) < min(days[2])
    assert list(map(len, days)) == [28, 8, 4]


def test_each_item_validates_in_one_fold_and_the_test_side_in_none(table):
    splits = layouts.images(Where(table, folds=3, test_pct=0.25, group_col="tree")).splits
    tests = [sorted(split.test.items) for split in splits]
    assert tests[0] == tests[1] == tests[2]
    valid = [item for split in splits for item in split.valid.items]
    assert len(valid) == len({*valid}) == 40 - len(tests[0])
    assert not {*valid} & {*tests[0]}


def test_classes_that_a_pattern_reads_are_in_proportion(table):
    where = Where(table.parent, pattern=r"([0-4])\.png$", stratify=True, valid_pct=0.5)
    names = {f"{i}.png" for i in range(40) if i % 10 < 5}
    for file in table.parent.glob("*.png"):
        if file.name not in names:
            file.rename(file.with_suffix(".off"))
    try:
        valid = layouts.images(where).splits[0].valid
    finally:
        for file in table.parent.glob("*.off"):
            file.rename(file.with_suffix(".png"))
    assert Counter(item.stem[-1] for item in valid) == dict.fromkeys("01234", 2)


def test_columns_that_divide_series_are_no_steps(tmp_path):
    frame = pd.DataFrame(np.arange(60.0).reshape(10, 6), columns=[*"abcd", "patient", "day"])
    frame["patient"] //= 12
    frame["label"] = ["x", "y"] * 5
    frame.to_csv(tmp_path / "s.csv", index=False)
    where = WhereSeries(tmp_path / "s.csv", group_col="patient")
    split = layouts.series(where).splits[0]
    assert {len(np.ravel(item)) for item in split.train.items} == {4 + 1}  # day is none, untold
    found = layouts.series(WhereSeries(tmp_path / "s.csv", time_col="day", valid_pct=0.2))
    assert sorted(map(float, found.splits[0].valid.frame["day"])) == [53, 59]


@pytest.mark.parametrize(
    ("more", "message"),
    [({"folds": 3, "valid_pct": 0.3}, "--valid-pct has no effect on --folds"),
     ({"time_col": "day", "folds": 3}, "--folds has no effect on a split by time"),
     ({"time_col": "day", "stratify": True}, "--stratify has no effect on a split by time"),
     ({"valid_col": "label", "group_col": "tree"}, "--group-col has no effect on a table whose")],
)  # fmt: skip
def test_options_of_two_splits_are_refused(table, more, message):
    with pytest.raises(UsageError, match=message):
        layouts.images(Where(table, **more))


def test_two_test_sets_are_refused_and_columns_of_a_folder_too(table, tmp_path):
    with pytest.raises(UsageError, match="there are two test sets"):
        layouts.images(Where(table, test_pct=0.2, test=table))
    (tmp_path / "a").mkdir()
    for where, find in ((Where, layouts.images), (WhereTexts, layouts.texts)):
        with pytest.raises(UsageError, match="--time-col has no effect on a folder"):
            find(where(tmp_path, time_col="day"))
    (tmp_path / "valid.txt").write_text("a.png\n")
    names = {"images": ".", "mask": "m/{stem}.png", "folds": 2}
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3)))
    (tmp_path / "m").mkdir()
    cv2.imwrite(str(tmp_path / "m" / "a.png"), np.zeros((4, 4)))
    with pytest.raises(UsageError, match=r"--folds has no effect on images that .*valid\.txt"):
        layouts.masks(WhereMasks(tmp_path, **names))


def test_a_column_that_names_a_test_side_is_measured(table, tmp_path):
    frame = pd.read_csv(table)
    frame["side"] = ["train"] * 30 + ["valid"] * 7 + ["test"] * 3
    frame.to_csv(table.parent / "sides.csv", index=False)
    found = layouts.images(Where(table.parent / "sides.csv", valid_col="side"))
    assert [item.name for item in found.measured().valid.items] == ["37.png", "38.png", "39.png"]
    assert found.labelled().test is None


def test_weights_are_those_of_the_balanced_loss(table):
    labelled = layouts.images(Where(table, stratify=True)).labelled()
    learn = train.image_learner(How(size=16, weights="balanced"), labelled)
    assert learn.loss_func.weight.tolist() == balanced_loss(learn.data).weight.tolist()
    rare, often = (
        learn.loss_func.weight[learn.data.classes.index(name)] for name in ("elm", "oak")
    )
    assert rare > 2 * often


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


@pytest.mark.parametrize("kind", ["masks", "points"])
def test_weights_of_answers_without_classes_are_refused(kind, tmp_path):
    for i in range(6):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((12, 12, 3), i))
        cv2.imwrite(str(tmp_path / f"{i}_mask.png"), np.full((12, 12), i % 2))
    rows = [f"{i}.png,{i},{i}" for i in range(6)]
    (tmp_path / "p.csv").write_text("\n".join(["name,x,y", *rows]))
    source = tmp_path / "p.csv" if kind == "points" else tmp_path
    done = run("train", kind, source, *SHORT, "--weights", "balanced", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert f"--weights has no effect on {kind}" in done.output


@pytest.mark.slow
def test_folds_leave_their_figures_and_the_last_model(table, tmp_path, monkeypatch):
    """With --resume a fold that has ended is not trained again, and what is left is the same."""
    how = (*SHORT, "--stratify", "--folds", 3, "--test-pct", 0.2, "--weights", "balanced")
    command = ("train", "images", table, *how, "--resume", "--json", "--out")
    done = run(*command, tmp_path / "whole")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["folds"]["each"][2]["accuracy"] == found["metrics"]["accuracy"][0]
    accuracies = [row["accuracy"] for row in found["folds"]["each"]]
    assert found["folds"]["mean"]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert found["folds"]["spread"]["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))
    assert [f"fold {i} of 3" in done.stderr for i in (1, 2, 3)] == [True] * 3
    assert set(found["test"]) == {"loss", "accuracy"}
    assert Predictor(tmp_path / "whole" / "model.onnx").classes == ("elm", "oak")
    page = (tmp_path / "whole" / "report.html").read_text()
    for text in ("3 folds, of which the last", "every class in proportion", "0.2 of all are the",
                 "rare classes count as much", "<td>standard deviation</td>"):  # fmt: skip
        assert text in page, text

    def stop(*_):
        raise OSError("cut off")

    monkeypatch.setattr(train, "write_report", stop)
    assert run(*command, tmp_path / "cut").exit_code == 2
    monkeypatch.undo()
    fits = []
    monkeypatch.setattr(train.Job, "stage", _counted(train.Job.stage, fits))
    again = run(*command, tmp_path / "cut")
    assert {fold for fold, _ in fits} == {"fold-3-"}
    assert json.loads(again.stdout)["folds"] == found["folds"]


def _counted(stage, fits):
    def counted(job, name, *given, **more):
        fits.append((job.fold, name))
        return stage(job, name, *given, **more)

    return counted


def test_a_budget_is_divided_among_the_folds(table, monkeypatch):
    budgets = []
    monkeypatch.setattr(train, "_figures", lambda *_: {"loss": 1.0})
    job = train.Job(train.Fit(minutes=6))
    found = layouts.images(Where(table, folds=3))
    train._train_all(job, How(), found, lambda job, *_: budgets.append(job.fit.minutes))
    assert budgets == [2, 2, 2]
