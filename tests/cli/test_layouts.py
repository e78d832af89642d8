"""Where `onecycle train` finds items and labels: layouts by hand, lopsided."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from onecycle.cli import layouts
from onecycle.cli.options import Where, WhereMasks, WherePoints, WhereSeries, WhereTexts
from onecycle.core.errors import OnecycleWarning, TableError, UsageError
from onecycle.data.targets import Category, Numbers


def image(path, shade=90, size=(10, 14)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), shade, np.uint8))


def mask(path, numbers, size=(10, 14)):
    """A mask whose first row holds these numbers; elsewhere it is the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.full(size, numbers[0], np.uint8)
    cells[0, : len(numbers)] = numbers
    cv2.imwrite(str(path), cells)


def masks_of(labelled):
    """{image's name: mask's path below its root} of both sides."""
    sides = (labelled.train, labelled.valid)
    pairs = [pair for side in sides for pair in zip(side.items, side.labels, strict=True)]
    return {item.name: label for item, label in pairs}


@pytest.mark.parametrize(
    "place",
    [
        "masks/{stem}.png",
        "labels/{stem}_P.png",
        "annotations/{stem}_mask.tif",
        "images/{stem}_L.png",
    ],
)
def test_masks_are_found_beside_their_images_by_name(tmp_path, place, capsys):
    for i in range(5):
        image(tmp_path / "images" / f"s{i}.jpg", 40 * i)
        mask(tmp_path / place.format(stem=f"s{i}"), [0, 1, 2 + (i == 3)])
    (tmp_path / "codes.txt").write_text("sky\nroad\ntree\nVoid\n")
    found = masks_of(layouts.masks(WhereMasks(tmp_path, seed=1)).labelled())
    assert found == {f"s{i}.jpg": tmp_path / place.format(stem=f"s{i}") for i in range(5)}
    assert "void, which counts nowhere: Void" in capsys.readouterr().out


def test_masks_lie_in_the_folders_of_their_images_and_those_are_the_sides(tmp_path):
    for folder, count in (("train", 3), ("val", 2)):
        for i in range(count):
            image(tmp_path / "images" / folder / f"{i}.jpg", 20 + 30 * i)
            mask(tmp_path / "masks" / folder / f"{i}.png", [0, 255])
    labelled = layouts.masks(WhereMasks(tmp_path)).labelled()
    assert (len(labelled.train), len(labelled.valid)) == (3, 2)
    assert {label.parent.name for label in labelled.valid.labels} == {"val"}
    assert labelled.classes == ["background", "object"]
    assert labelled.valid[0][1].data.max() == 1  # 255 in the file


def test_images_without_a_mask_are_counted_and_left_out(tmp_path):
    for i in range(6):
        image(tmp_path / "images" / f"{i}.jpg", 30 * i)
        if i != 4:
            mask(tmp_path / "masks" / f"{i}.png", [0, 1, 255])
    with pytest.warns(OnecycleWarning) as seen:
        labelled = layouts.masks(WhereMasks(tmp_path)).labelled()
    messages = [str(w.message) for w in seen]
    assert any(
        "1 of 6 images have no mask and are left out" in m and "4.jpg" in m for m in messages
    )
    assert any("the classes have no names" in m and "[0, 1, 255]" in m for m in messages)
    assert len(labelled.train) + len(labelled.valid) == 5
    assert labelled.task.target.void == 255
    assert labelled.classes == ["background", "class 1"]


def test_masks_that_are_nowhere_are_asked_for(tmp_path):
    image(tmp_path / "images" / "a.jpg")
    with pytest.raises(UsageError, match=r"no masks were found for .*--mask"):
        layouts.masks(WhereMasks(tmp_path))
    with pytest.raises(UsageError, match="other parts than"):
        layouts.masks(WhereMasks(tmp_path, mask="{name}.png"))


@pytest.mark.parametrize(
    ("header", "pairs"),
    [
        ("file,x,y", [("x", "y")]),
        ("file,y1,x1,y2,x2", [("x1", "y1"), ("x2", "y2")]),
        ("file,nose_x,age,nose_y", [("nose_x", "nose_y")]),
        ("file,axis_x,axis_y", [("axis_x", "axis_y")]),
        ("file,X,Y,name", [("X", "Y")]),
    ],
)
def test_points_are_columns_whose_names_differ_in_x_and_y(tmp_path, header, pairs):
    names = header.split(",")[1:]
    assert layouts._point_columns(WherePoints(tmp_path), names) == pairs


def test_points_are_read_as_y_and_x_in_pixels(tmp_path):
    rows = ["file,tip_x,tip_y,size"]
    for i in range(5):
        image(tmp_path / "jpg" / f"{i}.png", 50 * i, (10, 20))
        rows.append(f"{i},{5 + i},{2 * i},9")
    (tmp_path / "tips.csv").write_text("\n".join(rows))
    where = WherePoints(tmp_path / "tips.csv", folder="jpg", suffix=".png", seed=1)
    labelled = layouts.points(where).labelled()
    for side in (labelled.train, labelled.valid):
        for item, label in zip(side.items, side.labels, strict=True):
            i = int(item.stem)
            y, x = np.asarray(label.data).reshape(
                2
            )  # shares of (h, w) = (10, 20), whose centres are whole
            assert [(y + 1) * 5 - 0.5, (x + 1) * 10 - 0.5] == pytest.approx(
                [2 * i, 5 + i], abs=1e-4
            )


def test_columns_of_points_that_are_not_told_are_asked_for(tmp_path):
    with pytest.raises(UsageError, match="--points"):
        layouts._point_columns(WherePoints(tmp_path), ["width", "height"])
    with pytest.raises(UsageError, match="x before y"):
        layouts._point_columns(WherePoints(tmp_path, points="a,b,c"), ["a", "b", "c"])


TEXTS = [("a good film", "good"), ("dull", "bad"), ("fine, really", "good"), ("no 007", "bad")] * 3


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_tables_of_every_ending_hold_the_same(tmp_path, ending):
    frame = pd.DataFrame(TEXTS, columns=["text", "label"]).assign(
        is_valid=[i % 4 == 1 or i == 0 for i in range(12)]
    )[["label", "is_valid", "text"]]
    table = tmp_path / f"t.{ending}"
    if ending == "jsonl":
        table.write_text("\n".join(map(json.dumps, frame.to_dict("records"))))
    elif ending == "parquet":
        frame.to_parquet(table)
    else:
        frame.to_csv(table, index=False, sep="\t" if ending == "tsv" else ",")
    labelled = layouts.texts(WhereTexts(table)).labelled()
    assert list(labelled.valid.labels) == ["good", "bad", "bad", "bad"]
    assert list(labelled.train.labels) == [TEXTS[i][1] for i in (2, 3, 4, 6, 7, 8, 10, 11)]
    assert str(labelled.train[1][0]) == "no 007"


def test_a_column_is_valid_of_a_table_of_images_is_the_split(tmp_path):
    rows = ["name,label,is_valid"]
    for i in range(9):
        image(tmp_path / f"{i}.png", 20 * i)
        rows.append(f"{i}.png,{'ab'[i % 2]},{i in (1, 2, 5, 8)}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    labelled = layouts.images(Where(tmp_path / "t.csv")).labelled()
    assert sorted(path.stem for path in labelled.valid.items) == ["1", "2", "5", "8"]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_another_separator_is_said(tmp_path, mark):
    (tmp_path / "t.csv").write_text(f"name{mark}label\nx{mark}y\n")
    with pytest.raises(TableError, match=r"is .* what stands between its cells"):
        layouts.images(Where(tmp_path / "t.csv"))


def test_columns_that_are_not_told_are_asked_for(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\nx,y,z\n")
    with pytest.raises(TableError, match="--text-col"):
        layouts.texts(WhereTexts(tmp_path / "t.csv"))
    (tmp_path / "u.csv").write_text("text,label,tags\nx,y,z\n")
    with pytest.raises(TableError, match=r"'label', 'tags'.*--label-col"):
        layouts.texts(WhereTexts(tmp_path / "u.csv"))


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("valid", [False, True])
def test_texts_in_folders_are_labelled_by_them(tmp_path, valid, named, capsys):
    """A folder test of the same classes is the test set, whether --test names it or nothing."""
    for side, count in (("train", 5), ("test", 2), *[("val", 3)] * valid):
        for label in ("good", "bad"):
            folder = tmp_path / side / label
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"{i}.txt").write_text(f"a {label} film {i} {side}")
    found = layouts.texts(WhereTexts(tmp_path, test=tmp_path / "test" if named else None, seed=1))
    assert ("4 texts in test are the test set" in capsys.readouterr().out) is not named
    assert found.labelled().classes == ["bad", "good"]
    measured = found.measured()
    assert len(measured.valid) == 4
    assert {path.parent.parent.name for path in measured.valid.x.items} == {"test"}
    assert {path.parent.parent.name for path in measured.train.x.items} == {"train"}


@pytest.mark.parametrize("valid", [False, True])
def test_a_folder_test_without_the_classes_is_left_out_and_how_it_is_measured_said(tmp_path, valid):
    for side in ("train", *["val"] * valid):
        for i in range(6):
            for name in ("cat", "dog"):
                image(tmp_path / side / name / f"{i}.png", 10 + i)
    image(tmp_path / "test" / "z.png", 200)
    with pytest.warns(OnecycleWarning, match=r"1 of \d+ images are left out: .*'test'") as seen:
        found = layouts.images(Where(tmp_path))
    assert f"--test {tmp_path / 'test'}" in str(seen[0].message)
    assert "filter_by" not in str(seen[0].message)
    assert found.measured() is None


def test_a_test_set_of_images_is_labelled_as_the_rest_is(tmp_path):
    for i in range(6):
        for name in ("cat", "dog"):
            image(tmp_path / "set" / name / f"{i}.png", 10 + i)
    image(tmp_path / "held" / "dog" / "z.png", 200)
    found = layouts.images(Where(tmp_path / "set", test=tmp_path / "held"))
    measured = found.measured()
    assert (measured.classes, list(measured.valid.labels)) == (["cat", "dog"], ["dog"])
    assert list(measured.train.items) == list(found.labelled().train.items)


@pytest.mark.filterwarnings("ignore:.*another share may fit better")
def test_series_are_the_rows_of_a_table_without_its_labels(tmp_path):
    rows = [f"{'ab'[i % 2]},{i},{i + 1},{i * i}" for i in range(20)]
    (tmp_path / "w.csv").write_text("\n".join(["kind,t0,t1,t2", *rows]))
    with pytest.raises(TableError, match="--label-col"):
        layouts.series(WhereSeries(tmp_path / "w.csv"))
    labelled = layouts.series(WhereSeries(tmp_path / "w.csv", label_col="kind", seed=3)).labelled()
    assert sorted(labelled.classes) == ["a", "b"]
    for side in (labelled.train, labelled.valid):
        for item, label in zip(side.x.items, side.labels, strict=True):
            i = int(item[0])
            assert (label, list(item)) == ("ab"[i % 2], [i, i + 1, i * i])


def test_the_archives_test_file_validates(tmp_path, capsys):
    for side, count in (("TRAIN", 4), ("TEST", 6)):
        lines = [f"{i % 2 + 1}\t{i}\t{i + 2}\t{i}" for i in range(count)]
        (tmp_path / f"Wave_{side}.tsv").write_text("\n".join(lines))
    labelled = layouts.series(WhereSeries(tmp_path)).labelled()
    assert (len(labelled.train), len(labelled.valid)) == (4, 6)
    assert "Wave_TEST.tsv validates" in capsys.readouterr().out
    (tmp_path / "Other_TRAIN.tsv").write_text("1\t2\t3")
    with pytest.raises(UsageError, match="has 2 files named NAME_TRAIN"):
        layouts.series(WhereSeries(tmp_path))


def test_labels_that_look_like_numbers_are_classes_where_that_is_said(tmp_path):
    for i in range(6):
        image(tmp_path / f"{i}.png", 40 * i)
    rows = ["name,label", *(f"{i}.png,{i % 2 + 0.5}" for i in range(6))]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    (tmp_path / "w.csv").write_text("text,label\n" + "good,1.5\nbad,0.5\n" * 4)
    for read, where in ((layouts.images, Where), (layouts.texts, WhereTexts)):
        table = tmp_path / ("t.csv" if where is Where else "w.csv")
        assert isinstance(read(where(table)).labelled().task.target, Numbers)
        target = read(where(table, as_classes=True)).labelled().task.target
        assert target == Category(("0.5", "1.5"))
        with pytest.raises(UsageError, match="--as-classes has no effect"):
            read(where(table, as_classes=True, label_delim=" "))
