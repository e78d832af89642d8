"""What `data.check()` finds, in every kind of data, and what is left without it."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from onecycle.core.errors import DataError, EmptyDataError, UsageError
from onecycle.data import looks as looks_module
from onecycle.data.arrays import TensorList
from onecycle.data.checks import Side
from onecycle.data.looks import Look, near_pairs, print_of_text
from onecycle.data.report import check_data
from onecycle.data.targets import Category
from onecycle.data.task import Input, Task
from onecycle.runtime.inputs import pixels
from onecycle.series.lists import SeriesList
from onecycle.text.lists import TextList
from onecycle.vision import checks
from onecycle.vision.lists import (
    ImageList,
    ObjectItemList,
    PointsItemList,
    SegmentationItemList,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:there is only one class", "ignore:.*classes are there in several spellings"
)


def found(report):
    """{problem: [file's name or detail]} of all rows."""
    rows = {}
    for row in report.rows:
        rows.setdefault(row.problem, []).append(os.path.basename(row.file) or row.detail)  # noqa: PTH119
    return {problem: sorted(names) for problem, names in rows.items()}


def picture(seed, size=(60, 80)):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    for i in range(8):
        picture(i).save(tmp_path / f"{'abcdefgh'[i]}.png")
    return tmp_path


def labelled(folder, names, labels, valid, **options):
    frame = pd.DataFrame({"name": names, "label": labels})
    split = ImageList.from_df(frame, folder).split_by_idx(valid)
    return split.label_from_df(**options)


# --- images


def test_what_cannot_be_read_is_named_by_its_reason(folder):
    picture(9).save(folder / "cut.jpg", quality=95)
    data = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2] + data[-40:])  # both ends are sound
    (folder / "empty.png").write_bytes(b"")
    (folder / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(90))
    names = ["a.png", "cut.jpg", "b.png", "gone.png", "c.png", "phone.jpg", "empty.png", "d.png"]
    report = labelled(folder, names, list("xyxyxyxy"), [2, 5, 4, 7]).check()
    assert found(report) == {
        "damaged": ["cut.jpg", "empty.png"],
        "missing": ["gone.png"],
        "unreadable": ["phone.jpg"],
    }
    assert (
        report.paths("missing", "unreadable") == [folder / "phone.jpg", folder / "gone.png"][::-1]
    )
    frame = report.to_frame()
    assert frame.columns.tolist() == ["file", "side", "label", "problem", "detail"]
    row = frame[frame.problem == "unreadable"].iloc[0]
    assert row.tolist()[:3] == [str(folder / "phone.jpg"), "validation", "y"]
    assert row.detail.startswith("damaged, or a kind of HEIC that is not known here")


def test_the_same_pixels_are_found_whatever_file_holds_them(folder):
    picture(0).save(folder / "a.bmp")  # other bytes
    picture(1).save(folder / "b2.png")
    names = ["a.png", "b.png", "c.png", "a.bmp", "b2.png", "d.png", "e.png"]
    report = labelled(folder, names, list("xyxxxyx"), [3, 5]).check()
    assert found(report) == {"leak": ["a.png"], "copy": ["b2.png"], "conflict": ["b.png", "b2.png"]}
    details = {(row.problem, row.file[-6:]): row.detail for row in report.rows}
    assert details["leak", "/a.png"] == f"= {folder / 'a.bmp'} of validation"
    assert details["conflict", "b2.png"] == f"'y' at {folder / 'b.png'}"


def test_an_image_saved_smaller_and_coarser_is_nearly_the_same(folder):
    picture(0).resize((64, 48)).save(folder / "a.jpg", quality=70)
    names = ["a.jpg", *(f"{x}.png" for x in "abcdefgh")]
    report = labelled(folder, names, list("xyyyyyyyy"), [1, 2]).check()
    assert found(report) == {
        "near leak": ["a.jpg"],
        "near conflict": ["a.jpg", "a.png"],
        "no validation item": ["1 training items"],
    }


def test_images_of_one_colour_small_and_long_ones(folder):
    for name in ("flat", "flat2"):
        Image.new("RGB", (80, 60), (9, 200, 30)).save(folder / f"{name}.jpg")
    picture(20, (50, 80)).save(folder / "low.png")
    picture(21, (64, 256)).save(folder / "long.png")
    names = ["flat.jpg", "a.png", "low.png", "long.png", "flat2.jpg"]
    made = labelled(folder, names, list("xxxxx"), [1])
    assert found(made.transform(None, size=(56, 60)).check()) == {
        "blank": ["flat.jpg", "flat2.jpg"],
        "small": ["low.png"],
        "shape": ["long.png"],
    }
    assert "small" not in found(made.check())


def test_files_are_decoded_once_while_they_stay_as_they_are(folder, monkeypatch):
    names = [f"{x}.png" for x in "abcdef"]
    for name in names:
        os.utime(folder / name, (time.time() - 60,) * 2)
    made = labelled(folder, names, list("xyxyxy"), [4, 5])
    first = made.check()
    opened = []
    real = checks.look_of_pixels
    monkeypatch.setattr(
        "onecycle.vision.input.look_of_pixels", lambda x: opened.append(1) or real(x)
    )
    assert found(made.check()) == found(first) == {}
    assert opened == []
    picture(0).save(folder / "c.png")
    assert found(made.databunch(bs=2, device="cpu", no_check=True).check()) == {
        "copy": ["c.png"],
    }
    assert opened == [1]


def test_what_could_not_be_read_is_looked_at_again(folder, monkeypatch):
    """It may have been the rights, or the memory: the file is as it was."""
    for name in ("a.png", "b.png"):
        os.utime(folder / name, (time.time() - 60,) * 2)
    made = labelled(folder, ["a.png", "b.png"], list("xx"), [1])
    monkeypatch.setattr(pixels, "MAX_PIXELS", 4)
    assert found(made.check()) == {"unreadable": ["a.png", "b.png"]}
    monkeypatch.undo()
    assert found(made.check()) == {}


# --- leaving out


def test_what_is_left_out_is_the_item_and_not_its_path(folder):
    names = ["a.png", "b.png", "a.png", "c.png", "a.png"]
    made = labelled(folder, names, list("xyxyx"), [3, 4])
    report = made.check()
    assert found(report) == {"leak": ["a.png", "a.png"], "copy": ["a.png"]}
    for data in (made, made.databunch(bs=1, device="cpu", no_check=True)):
        left = data.without(report, "copy")
        src = getattr(left, "src", left)
        assert [item.name for item in src.train.items] == ["a.png", "b.png"]
        assert (src.train.labels, src.valid.labels) == (("x", "y"), ("y", "x"))
        src = getattr(data.without(report, "copy", "leak"), "src", None) or made.without(
            report, "leak"
        )
        assert [item.name for item in src.train.items] == ["b.png"]
        assert [item.name for item in src.valid.items] == ["c.png", "a.png"]


def test_a_report_is_of_its_own_data_and_names_its_own_problems(folder):
    made = labelled(folder, ["a.png", "a.png", "b.png", "c.png"], ["one", "One", "y", "one"], [3])
    report = made.check()
    assert set(report.problems) == {"copy", "conflict", "spelling", "no validation item"}
    with pytest.raises(UsageError, match="report is of other data"):
        made.without(report, "copy").without(report, "copy")
    with pytest.raises(UsageError, match=r"'copy'.*not 'dirty'"):
        made.without(report, "dirty")
    with pytest.raises(UsageError, match="not none"):
        made.without(report)
    with pytest.raises(UsageError, match="'spelling' is about no single item"):
        made.without(report, "spelling", "copy")
    one = labelled(folder, ["a.png", "a.png"], list("xx"), [1])
    with pytest.raises(EmptyDataError, match="'leak' leaves no training item"):
        one.without(one.check(), "leak")


def test_a_report_reads_well_and_shows_nothing_of_a_name_as_html(folder):
    (folder / "<b>.png").write_bytes(b"GIF8 no")
    report = labelled(folder, ["a.png", "<b>.png", "c.png"], list("xxx"), [2]).check()
    lines = repr(report).splitlines()
    assert lines[0] == "3 items looked at (2 training, 1 validation): 1 kinds of problems"
    assert lines[1].split() == ["damaged", "1", "<b>.png"]
    assert lines[2].strip().startswith("-> copy or download it again")
    page = report._repr_html_()
    assert "&lt;b&gt;.png" in page
    assert "<b>" not in page
    sound = labelled(folder, ["a.png", "c.png"], list("xx"), [1]).check()
    assert repr(sound).endswith("(1 training, 1 validation): no problem found")
    assert (len(sound), sound.to_frame().shape, sound.paths()) == (0, (0, 5), [])


# --- classes


def test_classes_are_counted_on_each_side(folder):
    labels = ["big"] * 20 + ["rare"] * 2 + ["alone"] * 3 + ["Big"] * 3
    names = [f"{i}.png" for i in range(28)]
    report = labelled(folder, names, labels, [0, 20, 27]).check()
    rows = {(r.problem, r.label): r.detail for r in report.rows if r.problem != "missing"}
    assert rows == {
        ("rare class", "rare"): "1 training items, big has 19",
        ("no validation item", "alone"): "3 training items",
        ("spelling", ""): "'Big' and 'big'",
    }
    table = report.classes()
    assert table.loc["big"].tolist() == [19, 1]
    assert table.loc["alone"].tolist() == [3, 0]
    named = labelled(
        folder, names, labels, [0, 20], classes=["big", "Big", "rare", "alone", "none"]
    )
    assert ("no training item", "none") in {(r.problem, r.label) for r in named.check().rows}


# --- masks, points, boxes


def test_masks_are_compared_with_their_images(folder):
    for name, shape, value in (("a", (60, 80), 1), ("b", (60, 80), 7), ("c", (30, 80), 0)):
        mask = np.zeros(shape, np.uint8)
        mask[0, :3] = value
        Image.fromarray(mask).save(folder / f"{name}_mask.png")
    (folder / "d_mask.png").write_bytes(b"GIF8")
    items = SegmentationItemList.from_paths([f"{x}.png" for x in "abcde"], folder).split_by_idx([4])
    made = items.label_from_func(lambda p: folder / f"{p.stem}_mask.png", classes=["no", "yes"])
    for report in (made.check(), made.check()):
        assert found(report) == {"mask": ["b.png", "d.png", "e.png"], "mask size": ["c.png"]}
        details = {row.file[-5:]: row.detail for row in report.rows}
        assert details["b.png"].endswith("b_mask.png: holds 7 (3 pixels), but the classes are 0-1")
        assert details["c.png"].endswith("c_mask.png: (30, 80) (h, w), its image (60, 80)")
        assert details["e.png"].endswith("e_mask.png: no such file")


def test_two_images_that_look_alike_may_have_a_mask_each(folder):
    for name in "abx":
        Image.fromarray(np.zeros((60, 80), np.uint8)).save(folder / f"{name}_mask.png")
    picture(0).save(folder / "x.png")
    items = SegmentationItemList.from_paths(["a.png", "x.png", "b.png"], folder).split_by_idx([2])
    made = items.label_from_func(lambda p: folder / f"{p.stem}_mask.png", classes=["no", "yes"])
    assert found(made.check()) == {"copy": ["x.png"]}


@pytest.mark.filterwarnings("ignore:.*lie outside", "ignore:.*reach beyond", "ignore:the points go")
def test_points_and_boxes_outside_their_image_are_named(folder):
    points = {"a": [[1.0, 2], [59, 79]], "b": [[3.0, 4], [61, 5]], "c": [[3.0, 4], [10, 10]]}
    items = PointsItemList.from_paths([f"{x}.png" for x in "abc"], folder).split_by_idx([2])
    made = items.label_from_func(lambda p: np.array(points[p.stem]))
    report = made.check()
    assert found(report) == {"outside": ["b.png"]}
    assert report.rows[0].detail == "1 of 2 points"
    boxes = {"a": [[0, 0, 60, 80]], "b": [[1, 2, 9, 90]], "c": [[3, 4, 9, 9]]}
    items = ObjectItemList.from_paths([f"{x}.png" for x in "abc"], folder).split_by_idx([2])
    made = items.label_from_func(lambda p: [boxes[p.stem], ["x"]])
    assert found(made.check()) == {"outside": ["b.png"]}


# --- texts, series, arrays

PROSE = "It was a long and quiet film about two people who never meet in a town by the sea {}."


@pytest.mark.filterwarnings("ignore:.*texts hold no word", "ignore:.*not in the vocabulary")
def test_texts_that_say_nothing_and_texts_that_come_twice():
    texts = [
        *("A fine film.", " ... !", PROSE.format("once"), "A fine film.", "word " * 3000),
        *(PROSE.format("once").upper().replace(",", ";"), "a", "b", "A fine film."),
    ]
    frame = pd.DataFrame({"text": texts, "label": [*"ppnnp", *"npnn"]})
    split = TextList.from_df(frame, cols="text").split_by_idx([5, 6, 7, 8])
    report = split.label_from_df("label").check()
    assert {
        problem: [re.match("item . of [a-z]+", row.detail)[0] for row in report.of(problem)]
        for problem in report.problems
    } == {
        "empty": ["item 1 of training"],
        "long": ["item 4 of training"],
        "leak": ["item 0 of training", "item 3 of training"],
        "copy": ["item 3 of training"],
        "conflict": ["item 0 of training", "item 3 of training", "item 3 of validation"],
        "near leak": ["item 2 of training"],
    }
    assert report.paths("leak") == []
    assert report.rows[0].detail == "item 1 of training ' ... !': no letter, no digit"


@pytest.mark.filterwarnings("ignore:.*files are not UTF-8", "ignore:.*not in the vocabulary")
def test_files_of_texts_that_are_no_utf8(tmp_path):
    for i, content in enumerate((b"caf\xe9 and cr\xe8me", "caf\u00e9".encode(), b"plain")):
        (tmp_path / f"{i}.txt").write_bytes(content)
    made = TextList.from_folder(tmp_path).split_by_idx([2]).label_const("x")
    report = made.check()
    assert found(report) == {"encoding": ["0.txt"]}
    assert report.rows[0].detail == "2 characters could not be read"


def test_prints_of_texts_forgive_one_word_and_tell_others_apart():
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(400)]
    texts = [" ".join(rng.choice(words, 200)) for _ in range(60)]
    changed = [text.replace(text.split()[100], "other", 1) for text in texts]
    marks = [Look(digest=str(i), print=print_of_text(t)) for i, t in enumerate(texts + changed)]
    pairs = near_pairs(marks)
    assert all(b - a == 60 for a, b in pairs)
    assert len(pairs) > 25
    assert print_of_text("too short to tell") == ""


def test_the_finer_bits_of_prints_decide_where_the_coarser_are_the_same():
    coarse, fine = "0123456789abcdef", 0xFFFF
    marks = [coarse + f"{bits:08x}" for bits in (fine, fine ^ 0b11, fine ^ 0b111)]
    looks = [Look(digest=str(i), print=mark) for i, mark in enumerate(marks)]
    assert near_pairs(looks) == [(0, 1), (1, 2)]  # of 16 bits that are set 2 may differ


def test_three_bits_may_differ_wherever_they_are():
    base = 0x0123456789ABCDEF
    for at in ((0, 1, 17), (20, 37, 38), (50, 61, 2), (63, 40, 20)):
        other = base
        for bit in at:
            other ^= 1 << bit
        looks = [Look(digest=str(i), print=f"{bits:016x}") for i, bits in enumerate((base, other))]
        assert near_pairs(looks) == [(0, 1)]
        looks.append(Look(digest="2", print=f"{other ^ 1 << 30:016x}"))
        assert near_pairs(looks) == [(0, 1), (1, 2)]


def test_a_crowd_of_equal_prints_is_still_found(monkeypatch):
    monkeypatch.setattr(looks_module, "_CROWD", 3)
    same = [Look(digest=str(i), print="0123456789abcdef") for i in range(9)]
    assert near_pairs(same) == [(0, i) for i in range(1, 9)]


@pytest.mark.filterwarnings("ignore:.*gaps in", "ignore:.*are stretched")
def test_series_with_gaps_without_change_and_of_other_lengths():
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(2, 40)) for _ in range(8)]
    x[1][0, 3:6] = np.nan
    x[2][1] = 5.0
    x[3] = x[3][:, :31]
    x[6] = x[4].copy()
    made = SeriesList.from_array(x, list("ababaaba")).split_by_idx([6, 7]).label_from_df()
    report = made.check()
    assert [(r.problem, r.side, r.index, r.detail.partition(": ")[2]) for r in report.rows] == [
        ("gaps", "training", 1, "3 of 80 values"),
        ("constant", "training", 2, "channel 1"),
        ("length", "training", 3, "31 steps, most have 40"),
        ("leak", "training", 4, "= item 0 of validation"),
        ("conflict", "training", 4, "'b' at item 0 of validation"),
        ("conflict", "validation", 0, "'a' at item 4 of training"),
    ]
    assert len(made.without(report, "gaps", "constant").train) == 4


def test_columns_that_never_change_and_rows_with_gaps():
    x = np.random.default_rng(0).normal(size=(10, 4))
    x[:, 2] = 7.0
    x[3, 1] = np.nan
    made = TensorList.from_arrays(x, list("ab") * 5).split_by_idx([8, 9]).label_from_df()
    report = made.check()
    assert [(r.problem, r.index) for r in report.rows] == [("unreadable", 3), ("constant", None)]
    assert "NaN" in report.rows[0].detail
    assert report.rows[1].detail == "column 2 is 7 in all items"
    assert len(made.without(report, "unreadable").train) == 7


def test_a_kind_of_ones_own_is_looked_at_by_its_array():
    class Ramp(Input):
        kind = "ramp"

        def array(self, source, remarks=None):
            if source < 0:
                raise DataError(f"{source} is below 0")
            return np.arange(40) * source

    sides = [Side("training", [1, -2, 3, 1], list("abab")), Side("validation", [3], ["a"])]
    report = check_data(Task(Ramp(), Category(("a", "b"))), sides, Path())
    assert [(row.problem, row.side, row.index) for row in report.rows] == [
        ("unreadable", "training", 1),
        ("copy", "training", 3),
        ("conflict", "training", 0),
        ("conflict", "training", 3),
        ("leak", "training", 2),
        ("no validation item", "", None),
    ]
    assert report.rows[0].detail == "item 1 of training: -2 is below 0"


def test_groups_on_several_sides_are_named_and_can_be_left_out(tmp_path):
    frame = pd.DataFrame(
        {
            "name": [f"{i}.png" for i in range(9)],
            "y": list("abababaab"),
            "patient": list("ppqqrrsst"),
        }
    )
    for i in range(9):
        noise = np.random.default_rng(i).integers(0, 255, (24, 24, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    labelled = (
        ImageList.from_df(frame, tmp_path)
        .split(lambda _: ([0, 2, 4, 8, 1], [3, 6], [5, 7]))
        .label_from_df("y")
    )
    report = labelled.check(group_by="patient")
    found = [(row.file[-5:], row.side, row.detail) for row in report.of("group leak")]
    assert found == [
        ("2.png", "training", "group q is in validation, too"),
        ("4.png", "training", "group r is in test, too"),
        ("6.png", "validation", "group s is in test, too"),
    ]
    assert "group leak" not in labelled.check().problems
    kept = labelled.databunch(bs=2, num_workers=0, check=False)
    assert "group leak" in kept.check(lambda path: frame["patient"][int(path.stem)]).problems
    split = ImageList.from_df(frame, tmp_path).split_by_rand_pct(0.3, 0, False, group_by="patient")
    assert "group leak" not in split.label_from_df("y").check("patient").problems
