"""Laws of lists, splits and answers, on whatever hypothesis draws."""

import csv
import io
import json
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecycle.cli import answers as table
from onecycle.cli import predict
from onecycle.core.display import as_text
from onecycle.core.paths import Path
from onecycle.data.arrays import TensorList
from onecycle.data.tables import column, read_table
from onecycle.data.targets import Category, MultiCategory, Numbers
from onecycle.runtime.targets.category import CategorySpec
from onecycle.runtime.targets.multi_category import MultiCategorySpec
from onecycle.runtime.targets.numbers import NumbersSpec
from onecycle.runtime.targets.points import PointsSpec
from onecycle.series.lists import SeriesList
from onecycle.text.lists import TextList
from onecycle.vision.lists import ImageList
from onecycle.vision.targets import Mask, Points

quick = settings(max_examples=60, deadline=None)
pytestmark = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")

# --- a split is a partition


def listed(n, folders=("train", "valid")):
    """Items folder/i.png with a frame that knows i; every third lies in the second folder."""
    names = [f"{folders[i % 3 == 2]}/{i}.png" for i in range(n)]
    frame = pd.DataFrame(
        {"name": names, "number": range(n), "held": [i % 3 == 2 for i in range(n)]}
    )
    return ImageList.from_df(frame, "/data")


def numbers(items):
    """The numbers of the items by their names, which are those of their rows."""
    found = [int(Path(item).stem) for item in items.items]
    assert items.frame["number"].tolist() == found
    return found


def require_partition(split, n):
    train, valid = numbers(split.train), numbers(split.valid)
    assert sorted(train + valid) == list(range(n))
    assert (train, valid) == (sorted(train), sorted(valid))
    return train, valid


@quick
@given(n=st.integers(5, 60), share=st.floats(0.2, 0.9), seed=st.integers(0, 2**32 - 1))
def test_a_random_split_is_a_partition_by_its_seed_of_the_size_that_was_asked_for(n, share, seed):
    split = listed(n).split_by_rand_pct(share, seed)
    train, valid = require_partition(split, n)
    assert len(valid) == int(share * n)
    assert sorted(np.random.RandomState(seed).permutation(n)[: len(valid)]) == valid
    assert numbers(listed(n).split_by_rand_pct(share, seed).train) == train


@quick
@given(data=st.data(), n=st.integers(3, 40))
def test_every_other_split_is_a_partition_too(data, n):
    valid = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n - 1, unique=True))
    wanted = [i for i in range(n) if i not in valid], sorted(valid)
    if not wanted[0]:
        return
    items = listed(n)
    frame = items.frame.assign(chosen=[str(i in valid) for i in range(n)])
    names = [items.relative(items.items[i]) for i in valid]
    for split in (
        items.split_by_idx(valid),
        items.split_by_idx(np.array(valid)),
        items.split_by_valid_func(lambda path: int(path.stem) in valid),
        items.split_by_files(names),
        items.split_by_files([name.split("/")[1] for name in names]),
        ImageList.from_df(frame, "/data").split_from_df("chosen"),
        items.split(lambda _: (np.array(wanted[0]), np.array(wanted[1]))),
    ):
        assert require_partition(split, n) == wanted
    for split in (items.split_by_folder(), items.split_from_df("held")):
        assert require_partition(split, n)[1] == list(range(2, n, 3))


@quick
@given(n=st.integers(10, 60), a=st.floats(0.1, 0.6), b=st.floats(0.1, 0.4), seed=st.integers(0, 99))
def test_subsets_are_two_disjoint_parts_of_the_sizes_that_were_asked_for(n, a, b, seed):
    split = listed(n).split_subsets(a, b, seed)
    train, valid = numbers(split.train), numbers(split.valid)
    assert (len(train), len(valid)) == (int(a * n), int(b * n))
    assert not {*train} & {*valid}


# --- rows, paths and labels stay in step


def images(n):
    return listed(n)


def texts(n):
    frame = pd.DataFrame({"text": [f"text {i}" for i in range(n)], "number": range(n)})
    return TextList.from_df(frame, cols="text")


def arrays(n):
    return TensorList.from_arrays(np.arange(n)[:, None] * np.ones(3), list(range(n)))


def series(n):
    return SeriesList.from_array(np.arange(n)[:, None] + np.linspace(0, 0.3, 5), list(range(n)))


KINDS = {
    "images": (images, "number", lambda item: int(Path(item).stem)),
    "texts": (texts, "number", lambda item: int(item.split()[1])),
    "arrays": (arrays, "label", lambda item: int(item[0])),
    "series": (series, "label", lambda item: int(np.ravel(item)[0])),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(data=st.data(), n=st.integers(2, 12))
def test_rows_and_labels_go_with_their_items_whatever_is_taken(kind, data, n):
    make, col, number = KINDS[kind]
    items, wanted = make(n), list(range(n))
    for _ in range(data.draw(st.integers(1, 3))):
        step = data.draw(st.sampled_from(["take", "filter", "add"]))
        if step == "take":
            places = st.lists(st.integers(0, len(wanted) - 1), min_size=1, max_size=2 * n)
            places = data.draw(places)
            items, wanted = items.take(places), [wanted[i] for i in places]
        elif step == "filter":
            kept = data.draw(st.sampled_from(wanted))
            items = items.filter_by_func(lambda item, kept=kept: number(item) >= kept)
            wanted = [i for i in wanted if i >= kept]
        else:
            items, wanted = items.add(make(n)), wanted + list(range(n))
    assert [number(item) for item in items.items] == wanted
    assert items.frame[col].tolist() == wanted
    labelled = items.split_none().label_from_df(col, label_cls=Category)
    assert list(labelled.train.labels) == wanted
    answers = zip(labelled.train.items, labelled.train.y, wanted, strict=True)
    assert all(number(item) == label.obj == messages for item, label, messages in answers)


def test_items_taken_out_of_their_order_keep_their_rows_and_labels():
    taken = listed(4).take([2, 0])
    assert [int(path.stem) for path in taken.items] == [2, 0]
    assert taken.frame["number"].tolist() == [2, 0]
    labelled = taken.split_none().label_from_df("number", label_cls=Category)
    assert list(labelled.train.labels) == [2, 0]
    lists = taken.split_by_list(listed(4).take([3, 1]), listed(4).take([2, 0, 1]))
    assert (numbers(lists.train), numbers(lists.valid)) == ([3, 1], [2, 0, 1])
    labels = lists.label_from_df("number", label_cls=Numbers)
    assert (labels.train.labels, labels.valid.labels) == ((3, 1), (2, 0, 1))


# --- an answer survives its way


word = st.text(min_size=1, max_size=30).filter(str.strip)
odd = st.sampled_from(
    [
        'say "no"',
        "a;b",
        'a";"b',
        "  edge  ",
        "line\nbreak",
        "car\rriage",
        "nul\0",
        "x" * 3000,
        "007",
        "NA",
        "1e5",
        "猫",
        "é́",
    ]
)
names = st.lists(word | odd, min_size=2, max_size=6, unique=True)


def written(target, answers):
    """Answers as rows of the table that `onecycle predict` writes, read back."""
    columns = predict._Columns(target, None)
    rows = [(str(i), str(a), columns.of(a.data, shown)) for i, (a, shown) in enumerate(answers)]
    file = io.StringIO(newline="")
    table.write_csv(file, ["file", "answer", *columns.names], rows)
    return list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))


def through_json(target, spec):
    """The target as a file holds it."""
    back = spec.from_json(json.loads(json.dumps(target.to_json(), ensure_ascii=False)))
    for field in fields(spec):
        assert getattr(back, field.name) == getattr(target, field.name)
    return back


@quick
@given(names=names)
def test_a_class_survives_encoding_the_file_and_the_table(names):
    target = Category().fit(names)
    back = through_json(target, CategorySpec)
    assert back.classes == target.classes
    eye = np.eye(len(names), dtype=np.float32)
    answers = [(back.decode(eye[target.encode(name)]), eye[target.encode(name)]) for name in names]
    assert [answer.obj for answer, _ in answers] == names
    for row, name in zip(written(target, answers), names, strict=True):
        assert row["answer"] == as_text(name)  # the name, or with an apostrophe before a formula
        column = name if name not in {"file", "answer"} else f"{name} (class)"
        assert float(row[as_text(column)]) == 1


@quick
@given(names=names, data=st.data())
def test_tags_survive_encoding_the_file_and_the_table(names, data):
    target = MultiCategory().fit([names])
    back = through_json(target, MultiCategorySpec)
    rows = data.draw(st.lists(st.lists(st.sampled_from(names)), min_size=1, max_size=4))
    answers = [(back.decode(target.encode(tags)), target.encode(tags)) for tags in rows]
    for tags, (answer, _) in zip(rows, answers, strict=True):
        assert answer.obj == [name for name in target.classes if name in tags]
    for tags, (answer, _), row in zip(rows, answers, written(target, answers), strict=True):
        assert row["answer"] == as_text(str(answer))
        parts = next(csv.reader(io.StringIO(str(answer), newline=""), delimiter=";"), [])
        assert set(parts) == set(tags)


@quick
@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_survive_encoding_the_file_and_the_table(values):
    target = Numbers().fit([tuple(values)])
    back = through_json(target, NumbersSpec)
    answer = back.decode(target.encode(tuple(values)))
    obj = answer.obj if len(values) > 1 else [answer.obj]
    assert obj == values
    (row,) = written(target, [(answer, answer.data)])
    assert [np.float32(row[name]) for name in target.names] == values


@quick
@given(st.lists(st.tuples(st.floats(-1, 1, width=32), st.floats(-1, 1, width=32)), min_size=1))
def test_points_survive_encoding_the_file_and_the_table(points):
    target = Points(count=len(points))
    back = through_json(target, PointsSpec)
    answer = back.decode(target.encode(np.array(points)))
    assert answer.obj.tolist() == [list(point) for point in points]
    (row,) = written(target, [(answer, answer.data)])
    flat = [np.float32(row[f"{axis}{i}"]) for i in range(len(points)) for axis in "yx"]
    assert flat == [value for point in points for value in point]


@quick
@given(st.integers(1, 5), st.integers(1, 5), st.integers(2, 300), st.data())
def test_a_mask_survives_encoding_and_its_shares_the_table(h, w, n, data):
    stored = data.draw(st.lists(st.integers(0, n - 1), min_size=h * w, max_size=h * w))
    mask = np.array(stored).reshape(h, w)
    target = Mask(classes=tuple(f"c{i}" for i in range(n)))
    y = target.encode(mask.astype(np.int32))
    shown = np.eye(n, dtype=np.float32)[y[0]].transpose(2, 0, 1)
    answer = target.decode(shown)
    assert answer.obj.tolist() == mask.tolist()
    (row,) = written(target, [(answer, shown)])
    shares = [float(row[f"c{i}"]) for i in range(n)]
    assert shares == pytest.approx((np.bincount(stored, minlength=n) / (h * w)).tolist(), abs=1e-6)


# --- from the file to the answer


@quick
@given(names=names, delimiter=st.sampled_from([",", ";", "\t"]))
def test_labels_come_out_of_a_table_as_they_were_written(names, delimiter, tmp_path_factory):
    path = tmp_path_factory.mktemp("t") / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerows([["name", "label"], *([f"{i}.png", name] for i, name in enumerate(names))])
    assert column(read_table(path, delimiter), "label") == names


tag = st.text(st.characters(exclude_characters=";\r\n", exclude_categories=["Cs"]), max_size=9)


@quick
@given(
    rows=st.lists(
        st.lists(tag.map(str.strip).filter(bool), min_size=1, max_size=4), min_size=1, max_size=5
    ),
    blanks=st.lists(st.sampled_from(["", " ", "  ", "\t"]), min_size=40, max_size=40),
)
def test_tags_come_out_of_a_cell_without_the_blanks_around_their_delimiter(rows, blanks):
    edges = iter(blanks)
    cells = [";".join(f"{next(edges)}{tag}{next(edges)}" for tag in row) for row in rows]
    frame = pd.DataFrame({"name": [f"{i}.png" for i in range(len(rows))], "tags": cells})
    labelled = ImageList.from_df(frame).split_none().label_from_df("tags", label_delim=";")
    assert list(labelled.train.labels) == rows
    assert labelled.classes == sorted({tag for row in rows for tag in row})
