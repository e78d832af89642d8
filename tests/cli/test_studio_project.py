"""What the studio keeps: labels, sides, what is left out; nothing below the source is changed."""

import csv
import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.hostile import NAMES
from onecycle.cli import layouts
from onecycle.cli.studio.layout import LAYOUTS
from onecycle.cli.studio.project import open_project
from onecycle.core.errors import DataError, TableError, UsageError
from onecycle.data.targets import Category


def draw(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((6, 7, 3), shade % 256, np.uint8)
    pixels[0, 0] = shade // 256, 1, 2
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path):
    """11 cats, 2 dogs, 1 bird: classes of very different sizes."""
    counts = {"cat": 11, "dog": 2, "bird": 1}
    shade = 0
    for name, count in counts.items():
        for i in range(count):
            draw(tmp_path / "photos" / name / f"{i}.png", shade := shade + 1)
    return tmp_path / "photos"


def digest(folder):
    whole = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        whole.update(str(file).encode() + (file.read_bytes() if file.is_file() else b""))
    return whole.hexdigest()


def rows(file):
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.reader(text))


def sides(project):
    return {name: (s.get("train", 0), s.get("valid", 0)) for name, s in project.counts().items()}


def test_a_fifth_of_each_class_validates_and_of_two_one(photos, tmp_path):
    project = open_project(photos, tmp_path / "home")
    assert sides(project) == {"bird": (1, 0), "cat": (9, 2), "dog": (1, 1)}


def test_what_is_trained_on_is_what_the_page_shows(photos, tmp_path):
    """The command line reads the studio's tables: the same images, labels and sides."""
    project = open_project(photos, tmp_path / "home")
    project.change([{"i": 0, "label": "dog"}, {"i": 3, "out": True}])
    where, _ = LAYOUTS["images"].options({"where": project.where(project.home), "how": {}})
    found = layouts.images(where).labelled()
    seen = {}
    for side in (found.train, found.valid):
        name = "train" if side is found.train else "valid"
        for item, label in zip(side.items, side.labels, strict=True):
            seen[str(item.resolve())] = (name, label)
    wanted = {
        str((photos / item.name).resolve()): (item.side, item.label)
        for item in project.items
        if not item.out
    }
    assert seen == wanted
    assert len(seen) == 13


def test_folders_that_are_called_like_numbers_are_classes(tmp_path):
    for name in ("1.5", "2.5"):
        for i in range(4):
            draw(tmp_path / "photos" / name / f"{i}.png", i)
    project = open_project(tmp_path / "photos", tmp_path / "home")
    project.save()
    options = {"where": project.where(project.home), "how": {}}
    labelled = layouts.images(LAYOUTS["images"].options(options)[0]).labelled()
    assert labelled.task.target == Category(("1.5", "2.5"))


def test_everything_is_there_again_and_nothing_of_the_source_is_changed(photos, tmp_path):
    before, home = digest(photos), tmp_path / "home"
    project = open_project(photos, home)
    names = {item.name: i for i, item in enumerate(project.items)}
    project.change(
        [{"i": names["bird/0.png"], "label": "cat"}, {"i": names["cat/1.png"], "out": True}]
    )
    project.change(
        [{"i": names["cat/2.png"], "label": None}, {"i": names["dog/0.png"], "side": "test"}]
    )
    project.add_class("horse")
    again = open_project(photos, home)
    assert [vars(a) for a in again.items] == [vars(b) for b in project.items]
    assert again.classes == project.classes
    assert rows(home / "test.csv") == [["name", "label"], ["dog/0.png", "dog"]]
    assert digest(photos) == before


def test_what_was_taken_back_is_as_it_was(photos, tmp_path):
    project = open_project(photos, tmp_path / "home")
    before = project.labels.read_bytes(), (project.home / "project.json").read_bytes()
    changes = [{"i": i, "label": "bird", "out": i % 2 == 0} for i in range(8)]
    changes += [{"i": 2, "label": None}, {"i": 2, "label": "dog"}]
    undo = project.change(changes)
    assert project.labels.read_bytes() != before[0]
    project.change(undo)
    assert (project.labels.read_bytes(), (project.home / "project.json").read_bytes()) == before


def test_a_validation_image_that_is_relabelled_still_validates(photos, tmp_path):
    """Else what was measured on would be trained on."""
    project = open_project(photos, tmp_path / "home")
    held = [i for i, item in enumerate(project.items) if item.side == "valid"]
    project.change([{"i": i, "label": "bird"} for i in held])
    assert {project.items[i].side for i in held} == {"valid"}


def test_images_that_come_later_leave_the_others_on_their_sides(photos, tmp_path):
    project = open_project(photos, tmp_path / "home")
    before = {item.name: item.side for item in project.items}
    for i in range(20, 30):
        draw(photos / "dog" / f"{i}.png", 600 + i)
    again = open_project(photos, tmp_path / "home")
    after = {item.name: item.side for item in again.items}
    assert {name: after[name] for name in before} == before
    assert sides(again)["dog"] == (10, 2)


def test_an_image_that_is_gone_is_counted(photos, tmp_path):
    open_project(photos, tmp_path / "home")
    (photos / "cat/3.png").unlink()
    assert any("1 items" in note for note in open_project(photos, tmp_path / "home").notes)


def test_folders_that_divide_are_the_sides(tmp_path):
    for n, name in enumerate(["train/a", "train/b", "valid/a", "valid/b", "test/a", "rest/b"]):
        draw(tmp_path / "photos" / name / "x.png", n)
    project = open_project(tmp_path / "photos", tmp_path / "home")
    found = {item.name: (item.side, item.label, item.out) for item in project.items}
    assert found["train/a/x.png"] == ("train", "a", False)
    assert found["valid/b/x.png"] == ("valid", "b", False)
    assert found["test/a/x.png"] == ("test", "a", False)
    assert found["rest/b/x.png"][2]
    assert any(note.startswith("1 images are left out") for note in project.notes)
    assert project.where(project.home)["test"] == str(tmp_path / "home/test.csv")
    tests = [i for i, item in enumerate(project.items) if item.side == "test"]
    project.change([{"i": i, "out": True} for i in tests])
    assert project.where(project.home)["test"] is None


def test_another_programs_change_is_not_lost(photos, tmp_path):
    project = open_project(photos, tmp_path / "home")
    project.labels.write_text("name,label,is_valid\nmine,cat,True\n")
    with pytest.raises(UsageError, match="another program"):
        project.change([{"i": 0, "label": "dog"}])
    with pytest.raises(UsageError, match="another program"):  # nor trained without
        project.keep_tables(tmp_path)
    assert "mine" in project.labels.read_text()


def test_what_cannot_be_kept_is_not_shown_either(photos, tmp_path):
    """As on a full disk: the page and the table say the same."""
    project = open_project(photos, tmp_path / "home")
    before = [vars(item).copy() for item in project.items], [*project.classes]
    project.labels.write_text("full")
    for change in (
        lambda: project.change([{"i": 3, "label": "dog"}, {"i": 3, "label": "bird", "out": True}]),
        lambda: project.add_class("horse"),
    ):
        with pytest.raises(UsageError):
            change()
        assert ([vars(item) for item in project.items], project.classes) == before


def test_images_that_cannot_be_kept_leave_no_file(tmp_path):
    project = open_project(None, tmp_path / "home")
    project.add_class("cat")
    draw(tmp_path / "a.png", 1)
    (tmp_path / "home/project.json").write_text("full")
    with pytest.raises(UsageError):
        project.add_images([("a.png", (tmp_path / "a.png").read_bytes())], "cat")
    assert project.items == []
    assert [*(tmp_path / "home/images").iterdir()] == []


@pytest.mark.parametrize("words", ["TRUE FALSE", "true false", "1 0", "yes no"])
def test_sides_stay_when_a_spreadsheet_has_written_the_table(photos, tmp_path, words):
    project = open_project(photos, tmp_path / "home")
    one = next(i for i, item in enumerate(project.items) if item.side == "valid")
    project.change([{"i": one, "side": "train"}, {"i": 4, "side": "valid"}])  # not the usual ones
    before = [vars(item).copy() for item in project.items]
    text, (yes, no) = project.labels.read_text(), words.split()
    text = text.replace(",True", f",{yes}").replace(",False", f",{no}")
    project.labels.write_text(text + "\n\n")  # and blank lines at the end
    again = open_project(photos, tmp_path / "home")
    assert [vars(item) for item in again.items] == before


def test_a_side_that_is_none_is_an_error_with_its_row(photos, tmp_path):
    project = open_project(photos, tmp_path / "home")
    project.labels.write_text("name,label,is_valid\ncat/0.png,cat,False\ncat/1.png,cat,WAHR\n")
    with pytest.raises(TableError, match="row 3: is_valid is True or False, not 'WAHR'"):
        open_project(photos, tmp_path / "home")
    table = photos / "t.csv"
    table.write_text("name,label,is_valid\ncat/0.png,cat,maybe\n")
    with pytest.raises(TableError, match="row 2: is_valid is True or False, not 'maybe'"):
        open_project(table, tmp_path / "other")


def test_a_page_of_before_changes_no_other_image(photos, tmp_path):
    """Numbers move when images are added on the disk and the studio is started anew."""
    old = open_project(photos, tmp_path / "home").items[5]
    draw(photos / "bear" / "0.png", 700)
    again = open_project(photos, tmp_path / "home")
    assert again.items[5].name != old.name
    with pytest.raises(UsageError, match="load it again"):
        again.change([{"i": 5, "name": old.name, "label": "dog"}])
    assert "name" in again.change([{"i": 5, "name": again.items[5].name, "label": "dog"}])[0]


def test_a_table_with_an_image_twice_is_an_error(tmp_path):
    """Else only one of its labels could be changed."""
    for i in range(2):
        draw(tmp_path / f"{i}.png", i)
    (tmp_path / "tags.csv").write_text("image,label\n0.png,a\n1.png,b\n0.png,b\n")
    with pytest.raises(TableError, match="rows 2 and 4"):
        open_project(tmp_path / "tags.csv", tmp_path / "home")


@pytest.mark.parametrize(
    "change",
    [
        {"i": 99},
        {"i": -1, "out": True},
        {"i": 0, "label": "cow"},
        {"i": 0, "side": "left"},
        {"i": 0, "out": "yes"},
        {"i": True, "label": "x"},
        {"label": "cat"},
        {"i": 0, "path": "/etc"},
        [],
        None,
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(photos, tmp_path, change):
    project = open_project(photos, tmp_path / "home")
    before = project.labels.read_bytes(), [vars(item).copy() for item in project.items]
    with pytest.raises(UsageError):
        project.change([{"i": 1, "label": "dog"}, change])
    assert (project.labels.read_bytes(), [vars(item).copy() for item in project.items]) == before


@pytest.mark.parametrize("name", ["", "  ", "CAT", "a\nb", "x" * 201, "\ud800", "turned \u202e"])
def test_names_that_no_class_can_have(photos, tmp_path, name):
    project = open_project(photos, tmp_path / "home")
    with pytest.raises(UsageError):
        project.add_class(name)
    assert project.classes == ["bird", "cat", "dog"]


def test_names_of_files_that_try_to_be_something_else(tmp_path):
    names = [*(name for name in NAMES if "/" not in name), "a\rb", "NA", "1", "01", "null"]
    for n, name in enumerate(names):
        for i in range(3):
            draw(tmp_path / "photos" / name / f"{name}{i}.png", 3 * n + i)
    project = open_project(tmp_path / "photos", tmp_path / "home")
    assert sorted({row[1] for row in rows(project.labels)[1:]}) == sorted(names)
    again = open_project(tmp_path / "photos", tmp_path / "home")
    assert sides(again) == sides(project) == dict.fromkeys(sorted(names), (2, 1))
    where, _ = LAYOUTS["images"].options({"where": project.where(project.home), "how": {}})
    trained = layouts.images(where).labelled().train
    assert sorted(map(str, trained.target.classes)) == sorted(names)


def test_a_home_belongs_to_one_source(photos, tmp_path):
    open_project(photos, tmp_path / "home")
    shutil.copytree(photos, tmp_path / "others")
    with pytest.raises(UsageError, match="belongs to"):
        open_project(tmp_path / "others", tmp_path / "home")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 2}'])
def test_a_damaged_project_is_an_error_and_is_kept(photos, tmp_path, text):
    open_project(photos, tmp_path / "home")
    file = tmp_path / "home/project.json"
    file.write_text(text)
    with pytest.raises((DataError, UsageError)):
        open_project(photos, tmp_path / "home")
    assert file.read_text() == text


def test_a_table_of_several_labels(tmp_path):
    for i in range(10):
        draw(tmp_path / f"{i}.png", i)
    text = "".join(f"{i}.png,{'clear primary' if i % 2 else 'haze'}\n" for i in range(10))
    (tmp_path / "tags.csv").write_text("image,tags\n" + text)
    project = open_project(tmp_path / "tags.csv", tmp_path / "home", " ")
    assert project.classes == ["clear", "haze", "primary"]
    assert project.counts()["clear"] == project.counts()["primary"]
    project.change([{"i": 0, "label": "haze primary"}])
    again = open_project(tmp_path / "tags.csv", tmp_path / "home")
    assert again.items[0].label == "haze primary"
    with pytest.raises(UsageError, match="no class"):
        project.change([{"i": 0, "label": "haze fog"}])


def test_a_table_that_names_what_is_not_there(tmp_path):
    draw(tmp_path / "0.png")
    (tmp_path / "tags.csv").write_text("image,label\n0.png,a\n1.png,b\n")
    with pytest.raises(TableError, match="row 3"):
        open_project(tmp_path / "tags.csv", tmp_path / "home")


def test_images_that_are_brought_are_kept_once(tmp_path):
    project = open_project(None, tmp_path / "home")
    assert project.fault() == "few_classes"
    draw(tmp_path / "a.png", 1)
    data = (tmp_path / "a.png").read_bytes()
    with pytest.raises(UsageError, match="make it first"):
        project.add_images([("a.png", data)], "cat")
    project.add_class("cat")
    assert project.add_images([("a.html", data), ("../../b.png", data)], "cat") == [0]
    assert [p.read_bytes() for p in (tmp_path / "home/images").iterdir()] == [data]
    assert open_project(None, tmp_path / "home").items[0].label == "cat"
