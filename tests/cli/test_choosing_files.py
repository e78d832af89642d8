"""Which files the commands take: what is kept for later is not trained on, and all is counted."""

import re
import warnings

import numpy as np
import pytest
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from onecycle.cli import layouts
from onecycle.cli import train as work
from onecycle.cli.main import app
from onecycle.cli.options import Where
from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.learn.learner import Learner
from onecycle.series.lists import SeriesList
from onecycle.vision.lists import ImageList


def tree(root, counts):
    """Images, no two the same: {folder: how many}."""
    number = 0
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            number += 1
            Image.new("RGB", (6, 6), (number, 2 * number % 256, 0)).save(root / folder / f"{i}.png")
    return root


def sides(where):
    """(messages, classes, first folders of the training side, of the validation side)."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        labelled = layouts.images(where).labelled()
    messages = [str(w.message) for w in seen if issubclass(w.category, OnecycleWarning)]
    folders = [
        {item.relative_to(where.source).parts[0] for item in side.items}
        for side in (labelled.train, labelled.valid)
    ]
    return [m for m in messages if "classes have no" not in m], labelled.classes, *folders


FLAT = {"cat": 6, "dog": 6}
NESTED = {"train/cat": 6, "train/dog": 6}


@pytest.mark.parametrize("kept", ["test", "Testing", "valid", "holdout", "test/cat"])
def test_a_folder_that_is_kept_for_later_is_no_class(tmp_path, kept):
    lines, classes, train, valid = sides(Where(tree(tmp_path, {**FLAT, kept: 4}), seed=1))
    assert classes == ["cat", "dog"]
    assert train | valid == {"cat", "dog"}
    assert len(lines) == 1
    assert lines[0].startswith(f"4 of 16 images are left out: those in '{kept.split('/')[0]}'")
    assert "--all-folders" in lines[0]


@pytest.mark.parametrize("name", ["val", "Valid", "validation", "dev"])
@pytest.mark.parametrize("train", ["train", "Train", "training"])
def test_folders_named_like_the_sides_of_a_split_are_the_sides(tmp_path, train, name):
    counts = {f"{train}/cat": 4, f"{train}/dog": 4, f"{name}/cat": 2, f"{name}/dog": 2}
    lines, classes, *found = sides(Where(tree(tmp_path, counts)))
    assert (classes, found) == (["cat", "dog"], [{train}, {name}])
    assert lines == []


def test_what_lies_beside_the_two_sides_is_counted(tmp_path):
    counts = {**NESTED, "valid/cat": 2, "valid/dog": 2, "test": 3}
    lines, _, *found = sides(Where(tree(tmp_path, counts)))
    assert found == [{"train"}, {"valid"}]
    assert len(lines) == 1
    assert lines[0].startswith("3 of 19 images are left out: those in 'test'")
    assert "--test " in lines[0]


def test_without_a_validation_folder_a_share_of_the_training_folder_validates(tmp_path):
    lines, classes, *found = sides(Where(tree(tmp_path, {**NESTED, "test": 3}), seed=1))
    assert (classes, found) == (["cat", "dog"], [{"train"}, {"train"}])
    assert lines[0].startswith("3 of 15 images are left out: those in 'test'")


def test_all_folders_are_taken_where_that_is_said(tmp_path):
    where = Where(tree(tmp_path, {**FLAT, "test": 6}), seed=3, all_folders=True)
    lines, classes, *_ = sides(where)
    assert classes == ["cat", "dog", "test"]
    assert len(lines) == 1
    assert "seem to be kept for later: 'test" in lines[0]


def test_a_class_of_trains_is_a_class(tmp_path):
    _, classes, *_ = sides(Where(tree(tmp_path, {"bus": 6, "car": 6, "train": 6}), seed=1))
    assert classes == ["bus", "car", "train"]


def test_with_a_pattern_a_flat_training_folder_is_one(tmp_path):
    for folder, count in (("train", 8), ("test", 3)):
        tree(tmp_path, {folder: count})
        for i, path in enumerate(sorted((tmp_path / folder).iterdir())):
            path.rename(path.with_name(f"{'ab'[i % 2]}_{i}.png"))
    lines, classes, *found = sides(Where(tmp_path, pattern=r"/(\w)_\d+\.png", seed=0))
    assert (classes, found) == (["a", "b"], [{"train"}, {"train"}])
    assert lines[0].startswith("3 of 11 images are left out")


def test_two_folders_that_could_validate_are_an_error(tmp_path):
    counts = {**NESTED, "valid/cat": 2, "val/cat": 2}
    with pytest.raises(UsageError, match=r"'train', 'val', 'valid': only one can train and one"):
        layouts.images(Where(tree(tmp_path, counts)))


@pytest.mark.parametrize("command", [("train", "images"), ("lr-find",)])
@pytest.mark.parametrize("everything", [False, True])
def test_both_commands_choose_so(tmp_path, monkeypatch, command, everything):
    asked = []
    for name in ("train", "find"):
        monkeypatch.setattr(
            work, name, lambda *given: asked.append(next(g for g in given if isinstance(g, Where)))
        )
    root = tree(tmp_path / "set", {**FLAT, "test": 4})
    options = ["--seed", "3", "--valid-pct", "0.3", *["--all-folders"] * everything]
    done = CliRunner().invoke(app, [*command, str(root), *options], catch_exceptions=False)
    assert done.exit_code == 0
    assert asked == [Where(root, valid_pct=0.3, seed=3, all_folders=everything)]


@pytest.mark.parametrize(
    ("table", "option"),
    [(False, "suffix"), (False, "folder"), (False, "label_col"), (False, "label_delim"),
     (False, "valid_col"), (True, "pattern"), (True, "all_folders")],
)  # fmt: skip
def test_options_without_an_effect_are_refused(tmp_path, table, option):
    tree(tmp_path, FLAT)
    (tmp_path / "labels.csv").write_text("name,label\n" + "\n".join(f"cat/{i},a" for i in range(6)))
    source = tmp_path / "labels.csv" if table else tmp_path
    changed = {option: True if option == "all_folders" else "x"}
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} has no effect on a"):
        layouts.images(Where(source, **changed))


def test_a_share_that_nobody_takes_is_refused(tmp_path):
    tree(tmp_path, {**NESTED, "valid/cat": 2, "valid/dog": 2})
    with pytest.raises(UsageError, match="--valid-pct has no effect on a folder with train and"):
        layouts.images(Where(tmp_path, valid_pct=0.3))


# --- predict


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    root = tmp_path_factory.mktemp("model")
    tree(root / "set", {"a": 4, "b": 4})
    items = ImageList.from_folder(root / "set").split_by_idx([0, 4]).label_from_folder()
    data = items.transform(None, size=6).databunch(bs=2, num_workers=0, device="cpu")
    learn = Learner(data, nn.Sequential(nn.Flatten(), nn.Linear(108, 2)), silent=True, path=root)
    return learn.export(root / "model.onnx")


def predicted(model, source, tmp_path, *options):
    out = tmp_path / "answers.csv"
    done = CliRunner().invoke(
        app,
        ["predict", str(model), str(source), "--out", str(out), *options],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    return [row.split(",")[0] for row in out.read_text().splitlines()[1:]]


@pytest.mark.parametrize(
    "hidden", [".ipynb_checkpoints/0-checkpoint.png", "._0.png", "__MACOSX/0.png"]
)
def test_predict_answers_what_training_sees(model, tmp_path, hidden):
    root = tree(tmp_path / "set", {"a": 2, "b": 1})
    (root / "a" / hidden).parent.mkdir(exist_ok=True)
    (root / "a" / hidden).write_bytes((root / "a" / "0.png").read_bytes())
    with pytest.warns(OnecycleWarning, match="1 hidden image files"):
        wanted = [str(path) for path in ImageList.from_folder(root)]
    with pytest.warns(OnecycleWarning, match="1 hidden image files"):
        assert predicted(model, root, tmp_path) == wanted
    assert len(wanted) == 3
    named = root / "a" / "0.png"
    (root / ".mine.png").write_bytes(named.read_bytes())
    assert predicted(model, root / ".mine.png", tmp_path) == [str(root / ".mine.png")]


def test_predict_counts_the_images_that_it_does_not_take(model, tmp_path):
    root = tree(tmp_path / "set", {"a": 2})
    for name in ("x.jxl", "y.jxl"):
        (root / name).write_bytes(b"\0\0\0\x0cJXL ")
    (root / "table.csv").write_bytes(b"name,answer")
    with pytest.warns(OnecycleWarning, match=r"2 image files .* 2 that .*: 2 \.jxl\. Name such"):
        assert len(predicted(model, root, tmp_path)) == 2


def test_predict_takes_every_kind_of_series_file_in_a_folder(tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 12))
    items = SeriesList.from_array(x, list("ab") * 4).split_by_idx([0, 1]).label_from_df()
    data = items.transform(None, size=6).databunch(bs=2, device="cpu")
    net = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2))
    file = Learner(data, net, silent=True, path=tmp_path).export(tmp_path / "model.onnx")
    root = tmp_path / "series"
    root.mkdir()
    values = [f"{v:.3f}" for v in x[0]]
    (root / "one.csv").write_text("\n".join(values))
    (root / "two.tsv").write_text("\n".join("\t".join(["a", *values]) for _ in range(2)))
    (root / "notes.txt").write_text("hello")
    with pytest.warns(OnecycleWarning, match=r"2 series files .* 1 that .*: 1 \.txt"):
        assert len(predicted(file, root, tmp_path)) == 3


def test_shards_answer_every_file_once(model, tmp_path):
    root = tree(tmp_path / "set", {"a": 5, "b": 2})
    whole = predicted(model, root, tmp_path)
    parts = []
    for i in (1, 2, 3):
        (tmp_path / f"{i}").mkdir()
        parts.append(predicted(model, root, tmp_path / f"{i}", "--shard", f"{i}/3"))
    assert [len(part) for part in parts] == [3, 2, 2]
    assert parts == [whole[i::3] for i in range(3)]


@pytest.mark.parametrize("wrong", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3"])
def test_shards_that_are_none_are_refused(model, tmp_path, wrong):
    root = tree(tmp_path / "set", {"a": 2})
    done = CliRunner().invoke(app, ["predict", str(model), str(root), "--shard", wrong])
    assert done.exit_code == 2
    assert "--shard is i/n" in done.output


@pytest.mark.parametrize("option", ["--column", "--folder", "--suffix"])
def test_predict_refuses_options_of_tables_for_files(model, tmp_path, option):
    root = tree(tmp_path / "set", {"a": 1})
    done = CliRunner().invoke(app, ["predict", str(model), str(root), option, "x"])
    assert done.exit_code == 2
    assert f"{option} has no effect on files" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("ending", "text", "reason"),
    [
        ("csv", "name;label\n0.png;a\n", "';' stands between the names"),
        ("tsv", "name,label\n0.png,a\n", "',' stands between the names"),
        ("csv", "name,name\n0.png,a\n", "names 'name' twice"),
        ("csv", "name\n0.png,a\n", "1 of 1 rows have more cells than the header"),
        ("csv", 'name,a\n0,b\n"1\n",b\n2,b,c\n\n3\n4,', "2 of 5 rows .* names (2).* line 5, 7."),
    ],
)
def test_predict_refuses_tables_that_it_would_misread(model, tmp_path, ending, text, reason):
    table = tmp_path / f"table.{ending}"
    table.write_text(text)
    done = CliRunner().invoke(app, ["predict", str(model), str(table)])
    assert done.exit_code == 2
    pattern = ".*".join(map(re.escape, reason.split(".*")))
    assert re.search(pattern, " ".join(done.output.split()))


def test_predict_reads_names_in_other_encodings_with_a_word(model, tmp_path):
    tree(tmp_path, {"a": 1})
    (tmp_path / "a" / "0.png").rename(tmp_path / "café.png")
    (tmp_path / "table.csv").write_bytes("name\ncafé.png\n".encode("latin-1"))
    with pytest.warns(OnecycleWarning, match="not UTF-8; read as Latin-1"):
        assert predicted(model, tmp_path / "table.csv", tmp_path) == ["café.png"]
    (tmp_path / "table.csv").write_bytes("name\ncafé.png\n".encode("utf-16"))
    assert predicted(model, tmp_path / "table.csv", tmp_path) == ["café.png"]
