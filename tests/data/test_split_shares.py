"""Shares of classes, groups and times: laws on whatever hypothesis draws, and lopsided examples."""

import sys
from collections import Counter
from contextlib import suppress
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import model_selection

from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.core.paths import Path
from onecycle.data.arrays import TensorList
from onecycle.series.lists import SeriesList
from onecycle.vision.lists import ImageDataBunch, ImageList

quick = settings(max_examples=60, deadline=None)
lenient = pytest.mark.filterwarnings("ignore::onecycle.core.errors.OnecycleWarning")


def table(**columns):
    """Items 0.jpg, 1.jpg, ... with these columns behind their names."""
    count = len(next(iter(columns.values())))
    return ImageList.from_df(pd.DataFrame({"name": [f"{i}.jpg" for i in range(count)], **columns}))


def sides(split):
    """The numbers in the names of the items of each side."""
    known = (split.train, split.valid, split.test)
    return tuple([int(Path(item).stem) for item in side.items] for side in known if side)


def of(values, positions):
    return Counter(values[i] for i in positions)


# --- each class has its share

letters = st.lists(st.sampled_from("abbbccccccdddddddddd"), min_size=5, max_size=80)


@quick
@lenient
@given(labels=letters, share=st.floats(0.2, 0.8), seed=st.integers(0, 2**32 - 1))
def test_every_class_of_two_items_is_on_both_sides_and_each_in_proportion(labels, share, seed):
    counts = Counter(labels)
    if len(counts) < 2 or max(counts.values()) < 2:
        return
    train, valid = sides(table(y=labels).split_by_rand_pct(share, seed, stratify="y"))
    assert sorted(train + valid) == list(range(len(labels)))
    held, wanted = of(labels, valid), int(share * len(labels))
    for name, count in counts.items():
        assert held[name] <= max(count - 1, 0)
        assert held[name] >= min(count - 1, 1)
    possible = sum(count > 1 for count in counts.values()), sum(n - 1 for n in counts.values())
    assert len(valid) == min(max(wanted, possible[0]), possible[1])
    if possible[0] <= wanted <= possible[1] and min(counts.values()) > 1:
        exact = {name: wanted * count / len(labels) for name, count in counts.items()}
        inside = [name for name in counts if 1 <= exact[name] <= counts[name] - 1]
        if len(inside) == len(counts):
            assert all(abs(held[name] - exact[name]) < 1 for name in counts)


@pytest.mark.parametrize("seed", range(3))
def test_shares_of_classes_are_those_of_scikit_learn(seed):
    labels = list("a" * 60 + "b" * 30 + "c" * 10)
    _, valid = sides(table(y=labels).split_by_rand_pct(0.3, seed, stratify="y"))
    theirs = model_selection.StratifiedShuffleSplit(1, test_size=0.3, random_state=0)
    _, held = next(theirs.split(labels, labels))
    assert of(labels, valid) == of(labels, held) == {"a": 18, "b": 9, "c": 3}


def test_within_a_class_the_items_are_drawn_by_the_seed():
    items = table(y=list("ab" * 20))
    drawn = [sides(items.split_by_rand_pct(0.25, seed, stratify="y"))[1] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    every = [i for s in range(60) for i in sides(items.split_by_rand_pct(0.25, s, "y"))[1]]
    assert set(every) == set(range(40))  # and no item is left to one side
    np.random.seed(5)
    assert sides(items.split_by_rand_pct(0.25, stratify="y")) == sides(
        items.split_by_rand_pct(0.25, 5, stratify="y")
    )


def test_what_is_left_over_goes_to_another_class_with_another_seed():
    labels = list("abcdefgh") * 3  # 24 items, a share of 10: two classes give one more
    held = [
        of(labels, sides(table(y=labels).split_by_rand_pct(0.42, seed, "y"))[1])
        for seed in range(30)
    ]
    assert {count for each in held for count in each.values()} == {1, 2}
    assert all(any(each[name] == 2 for each in held) for name in "abcdefgh")


def test_a_class_of_one_item_trains_and_is_counted():
    items = table(y=list("aaaabbbbxy"))
    with pytest.warns(OnecycleWarning, match=r"2 of 4 classes have no validation item.*'x \(1x\)'"):
        train, valid = sides(items.split_by_rand_pct(0.2, 1, stratify="y"))
    assert {8, 9} <= set(train)
    assert len(valid) == 2


def test_many_small_classes_make_a_larger_share_and_that_is_told():
    items = table(y=[i // 2 for i in range(20)])
    with pytest.warns(OnecycleWarning, match=r"10 of 20 items are on the validation side.*2 were"):
        split = items.split_by_rand_pct(0.1, 0, stratify="y")
    assert of([i // 2 for i in range(20)], sides(split)[1]) == dict.fromkeys(range(10), 1)


FORMS = {
    "column": "y",
    "place": 1,
    "function": lambda path: "ab"[int(path.stem) % 3 == 0],
    "list": list("baa" * 10),
    "array": np.array(list("baa" * 10)),
    "frame": pd.Series(list("baa" * 10)),
}


@pytest.mark.parametrize("form", FORMS)
def test_classes_come_from_a_column_a_function_or_a_list(form):
    items = table(y=list("baa" * 10))
    split = items.split_by_rand_pct(0.2, 7, stratify=FORMS[form])
    assert sides(split) == sides(items.split_by_rand_pct(0.2, 7, stratify="y"))
    assert of("baa" * 10, sides(split)[1]) == {"a": 4, "b": 2}


# --- what happens without a word


def folders(counts):
    names = [f"{name}/{i}.jpg" for name, count in counts.items() for i in range(count)]
    return ImageList.from_paths(names, "/data")


def test_folders_of_files_are_classes_unless_it_is_said_otherwise():
    items = folders({"a": 30, "b": 10})
    held = Counter(path.parent.name for path in items.split_by_rand_pct(0.1, 0).valid)
    assert held == {"a": 3, "b": 1}
    plain = items.split_by_rand_pct(0.1, 0, stratify=False)
    wanted = sorted(np.random.RandomState(0).permutation(40)[:4])
    assert list(plain.valid.items) == [items.items[i] for i in wanted]


@pytest.mark.parametrize("stratify", [None, False])
def test_a_table_is_split_as_in_the_course_until_a_column_is_named(stratify):
    items = table(y=list("ab" * 10))
    wanted = sorted(np.random.RandomState(42).permutation(20)[:4])
    assert sides(items.split_by_rand_pct(0.2, seed=42, stratify=stratify))[1] == wanted


def test_one_class_is_split_as_in_the_course():
    wanted = sorted(np.random.RandomState(42).permutation(20)[:4])
    assert sides(folders({"a": 20}).split_by_rand_pct(0.2, seed=42))[1] == wanted


@pytest.mark.parametrize("make", [TensorList.from_arrays, SeriesList.from_array])
def test_labels_that_come_with_arrays_and_series_are_classes_and_floats_are_none(make):
    x, names = np.random.default_rng(0).normal(size=(40, 6)), list("a" * 30 + "b" * 10)
    held = make(x, names).split_by_rand_pct(0.1, seed=0).valid.frame["label"]
    assert Counter(held) == {"a": 3, "b": 1}
    numbers = [1.5, 2.5] * 20
    wanted = sorted(np.random.RandomState(0).permutation(40)[:4])
    assert make(x, numbers).split_by_rand_pct(0.1, 0).valid.frame.index.tolist() == wanted


@pytest.fixture
def flat(tmp_path):
    from PIL import Image

    for i in range(20):
        image = Image.fromarray(np.random.default_rng(i).integers(0, 255, (8, 8, 3), np.uint8))
        image.save(tmp_path / f"{'ab'[i < 5]}_{i}.png")
    return tmp_path


def test_factories_draw_as_the_course_does_or_give_each_class_its_share(flat):
    files = sorted(flat.glob("*.png"))
    frame = pd.DataFrame({"name": [f.name for f in files], "y": [f.name[0] for f in files]})
    tags = frame.assign(y=[f"{name} z" for name in frame["y"]])
    how = {"valid_pct": 0.2, "size": 8, "bs": 4, "stratify": True}
    wanted = sorted(np.random.RandomState(3).permutation(20)[:4])
    plain = ImageDataBunch.from_df(flat, frame, seed=3, **{**how, "stratify": False})
    assert plain.valid_ds.items == tuple(files[i] for i in wanted)
    for seed in range(4):
        for data in (
            ImageDataBunch.from_df(flat, frame, seed=seed, **how),
            ImageDataBunch.from_df(flat, tags, seed=seed, label_delim=" ", **how),
            ImageDataBunch.from_lists(flat, files, list(frame["y"]), seed=seed, **how),
            ImageDataBunch.from_name_func(flat, files, lambda f: f.name[0], seed=seed, **how),
            ImageDataBunch.from_name_re(flat, files, r"/(.)_\d+", seed=seed, **how),
        ):
            assert Counter(path.name[0] for path in data.valid_ds.items) == {"a": 3, "b": 1}


# --- tags


def tag_rows(count, seed=0, names="abcdefghijkl"):
    """Tags by lot, each half as frequent as the one before it."""
    rng = np.random.default_rng(seed)
    rows = [[n for k, n in enumerate(names) if rng.random() < 0.6**k] for _ in range(count)]
    return [row or ["a"] for row in rows]


def test_each_tag_is_nearer_to_its_share_than_in_a_random_split():
    rows = tag_rows(400)
    counts = Counter(tag for row in rows for tag in row)

    def gaps(split):
        held = Counter(tag for i in sides(split)[1] for tag in rows[i])
        return [abs(held[tag] - 0.2 * count) for tag, count in counts.items()]

    items = table(tags=[" ".join(row) for row in rows])
    ours = [
        gaps(items.split_by_rand_pct(0.2, seed, stratify="tags", label_delim=" "))
        for seed in range(10)
    ]
    plain = [gaps(items.split_by_rand_pct(0.2, seed)) for seed in range(10)]
    assert np.mean(ours) < np.mean(plain) / 2
    assert np.max(ours) <= 1  # item


@quick
@lenient
@given(data=st.data(), n=st.integers(6, 40), seed=st.integers(0, 99))
def test_a_tag_of_one_item_trains_and_a_free_one_of_two_is_on_both_sides(data, n, seed):
    rows = [data.draw(st.lists(st.sampled_from("abc"), unique=True)) for _ in range(n)]
    rows += [["alone"], ["pair"], ["pair"]]
    split = table(y=[0] * len(rows)).split_by_rand_pct(0.3, seed, stratify=rows)
    train, valid = sides(split)
    assert sorted(train + valid) == list(range(n + 3))
    assert n in train
    assert {n + 1, n + 2} & set(train)
    assert {n + 1, n + 2} & set(valid)
    assert {tag for i in valid for tag in rows[i]} <= {tag for i in train for tag in rows[i]}


@lenient
def test_a_tag_whose_items_all_went_to_one_side_with_rarer_ones_is_put_on_both():
    rows = [list(tags) for tags in ("ecd", "dbf", "ed", "f", "a", "eda", "ec")]
    for seed in range(60):
        split = table(y=[0] * 7).split_by_rand_pct(0.3, seed, stratify=rows)
        train, valid = ({tag for i in side for tag in rows[i]} for side in sides(split))
        assert (train, valid) == (set("abcdef"), set("acdef"))


@lenient
def test_what_is_held_out_has_no_tag_that_is_unknown_to_training():
    rows = [list(tags) for tags in ("fa", "eb", "", "dae", "c", "edf", "b")]
    for seed in range(60):
        train, valid = sides(table(y=[0] * 7).split_by_rand_pct(0.3, seed, stratify=rows))
        assert {t for i in valid for t in rows[i]} <= {t for i in train for t in rows[i]}


# --- groups


@quick
@lenient
@given(
    groups=st.lists(st.integers(0, 9), min_size=8, max_size=80),
    share=st.floats(0.15, 0.6),
    seed=st.integers(0, 999),
    classes=st.booleans(),
)
def test_no_group_is_on_two_sides(groups, share, seed, classes):
    if len(set(groups)) < 3:
        return
    stratify = ["ab"[i % 2] for i in range(len(groups))] if classes else False
    with suppress(UsageError):  # where every group has a class that no other has
        split = table(g=groups).split_by_rand_pct(share, seed, stratify, group_by="g", test_pct=0.2)
        parts = [{groups[i] for i in side} for side in sides(split)]
        assert sum(map(len, parts)) == len(set(groups))


def test_groups_make_the_share_that_was_asked_for():
    groups = [i // 4 for i in range(200)]
    for seed in range(5):
        split = table(g=groups).split_by_rand_pct(0.2, seed, group_by="g")
        assert len(split.valid) == 40
    one, other = (table(g=groups).split_by_rand_pct(0.2, s, group_by="g") for s in (1, 2))
    assert sides(one) != sides(other)


def test_groups_are_divided_so_that_classes_have_their_share():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(40), rng.integers(2, 9, 40))
    labels = ["rare" if group % 8 == 0 else "common" for group in groups]
    total = Counter(labels)
    for seed in range(8):
        items = table(y=labels, g=groups)
        train, valid = sides(items.split_by_rand_pct(0.2, seed, stratify="y", group_by="g"))
        assert not {*groups[train]} & {*groups[valid]}
        held = of(labels, valid)
        assert all(abs(held[name] / total[name] - 0.2) < 0.14 for name in total)


def test_few_groups_of_many_tags_are_drawn_to_fit():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(10), rng.integers(10, 80, 10))
    shares = rng.uniform(0, 1, (10, 6))  # of each tag in each group
    rows = [[tag for k, tag in enumerate("abcdef") if rng.random() < shares[g, k]] for g in groups]
    has = np.array([[tag in row for tag in "abcdef"] for row in rows])

    def gap(seed, **how):
        valid = sides(table(g=groups).split_by_rand_pct(0.2, seed, group_by="g", **how))[1]
        return np.abs(has[valid].sum(0) / has.sum(0) - 0.2).mean()

    ours = np.mean([gap(seed, stratify=rows) for seed in range(10)])
    assert ours < 0.05
    assert ours < np.mean([gap(seed) for seed in range(10)]) / 1.5


def test_a_class_in_one_group_alone_trains_and_is_counted():
    labels, groups = list("aaaabbbb") + ["c"] * 2, [0, 1, 2, 3, 0, 1, 2, 3, 4, 4]
    for seed in range(5):
        with pytest.warns(OnecycleWarning, match=r"1 of 3 classes have no validation.*'c \(2x\)'"):
            split = table(y=labels, g=groups).split_by_rand_pct(0.2, seed, "y", "g")
        assert {8, 9} <= set(sides(split)[0])


def test_groups_that_each_have_a_class_of_their_own_are_an_error():
    items = table(y=list("aabbcc"), g=[0, 0, 1, 1, 2, 2])
    with pytest.raises(UsageError, match="no group can be held out for the validation side: each"):
        items.split_by_rand_pct(0.4, 0, stratify="y", group_by="g")
    with pytest.raises(UsageError, match="no group can be held out for the validation side: there"):
        table(g=[0, 0, 1, 1]).split_by_rand_pct(0.5, 0, group_by="g", test_pct=0.25)


def test_each_side_has_a_group_where_there_are_as_many_as_sides():
    items = table(g=[0] * 4 + [1] * 4 + [2] * 4)
    for seed in range(5):
        split = items.split_by_rand_pct(0.7, seed, group_by="g", test_pct=0.25)
        assert list(map(len, sides(split))) == [4, 4, 4]


def test_few_large_groups_make_another_share_and_that_is_told():
    with pytest.warns(OnecycleWarning, match=r"5 of 15 .*validation.* where 1 .*group is whole"):
        table(g=[i // 5 for i in range(15)]).split_by_rand_pct(0.1, 0, group_by="g")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_by": ["p"] * 6}, "two groups or more"),
        ({"group_by": ["p", "q", "", "p", None, "q"]}, r"2 of 6 items have no group, at 2, 4"),
        ({"group_by": ["p", "q"]}, r"a value for each of the 6 items, not 2 values"),
        ({"stratify": list("abcdef")}, r"no two classes of which one has two items.*'a', 'b'"),
        ({"stratify": True}, "no two classes"),
        ({"label_delim": " "}, "the column that stratify= names"),
        ({"stratify": [[[1, 2, 3, 4]], ["cat"]] * 3}, "goes by classes, and these are none"),
        ({"test_pct": 0.9}, "leave nothing to train on"),
        ({"test_pct": 5}, "test_pct is a share"),
    ],
)
def test_what_cannot_be_split_by_is_an_error(options, message):
    with pytest.raises(UsageError, match=message):
        table(y=range(6)).split_by_rand_pct(0.2, 0, **options)


# --- a test share, and time


def test_a_test_share_leaves_those_who_validate_as_they_were():
    items = table(y=list("ab" * 15))
    train, valid, test = sides(items.split_by_rand_pct(0.2, seed=3, test_pct=0.3))
    order = np.random.RandomState(3).permutation(30)
    assert (valid, test) == (sorted(order[:6]), sorted(order[6:15]))
    assert train == sorted(order[15:])
    _, valid, test = sides(items.split_by_rand_pct(0.2, 3, stratify="y", test_pct=0.4))
    assert of("ab" * 15, valid) == {"a": 3, "b": 3}
    assert of("ab" * 15, test) == {"a": 6, "b": 6}


DAYS = [3, 1, 9, 4, 2, 8, 6, 5, 10, 7]
TIMES = {
    "dates": [date(2024, 2, day) for day in DAYS],
    "text": [f"2024-02-{day:02}" for day in DAYS],
    "hours": [f"2024-02-01 {day:02}:30:00" for day in DAYS],
    "numbers": DAYS,
    "numbers as text": [str(day) for day in DAYS],
    "frame": pd.Series(pd.to_datetime([f"2024-02-{day:02}" for day in DAYS])),
}


@pytest.mark.parametrize("form", TIMES)
def test_the_latest_validate_and_the_very_latest_test(form):
    items = table(t=TIMES[form])
    assert sides(items.split_by_time("t", 0.3)) == ([0, 1, 3, 4, 6, 7, 9], [2, 5, 8])
    _, valid, test = sides(items.split_by_time("t", 0.3, test_pct=0.2))
    assert (valid, test) == ([5, 6, 9], [2, 8])
    assert sides(items.split_by_time(lambda path: DAYS[int(path.stem)], 0.3))[1] == [2, 5, 8]


def test_items_of_one_time_are_on_one_side():
    assert sides(table(t=[1, 1, 2, 2, 2, 3]).split_by_time("t", 0.5)) == ([0, 1], [2, 3, 4, 5])


@pytest.mark.parametrize("times", [["31.12.2024"] * 4, ["2024-01-01", "soon"] * 2, [1, "x", 2, 3]])
def test_times_that_can_be_read_in_two_ways_or_none_are_an_error(times):
    with pytest.raises(UsageError, match=r"times are numbers, dates or text such as 2024-05-31"):
        table(t=times).split_by_time("t")
    with pytest.raises(UsageError, match="1 of 4 items have no time, at 2"):
        table(t=[1, 2, None, 4]).split_by_time("t")


# --- folds

CASES = {
    "KFold": {},
    "StratifiedKFold": {"stratify": "y"},
    "GroupKFold": {"group_by": "g"},
    "StratifiedGroupKFold": {"stratify": "y", "group_by": "g"},
}


@pytest.mark.parametrize("kind", CASES)
def test_folds_are_those_of_scikit_learn(kind):
    labels, groups = ["aab"[i % 3] for i in range(60)], [i // 4 for i in range(60)]
    ours = [sides(s) for s in table(y=labels, g=groups).kfold(4, seed=8, **CASES[kind])]
    numbered = [int(name == "b") for name in labels]
    groups_of = groups if "group_by" in CASES[kind] else None
    theirs = getattr(model_selection, kind)(4, shuffle=True, random_state=8)
    wanted = [(t.tolist(), v.tolist()) for t, v in theirs.split(labels, numbered, groups_of)]
    assert ours == wanted
    assert sorted(i for _, valid in ours for i in valid) == list(range(60))


def test_folds_of_tags_give_each_tag_its_share():
    rows = tag_rows(300, names="abcdef")
    counts = Counter(tag for row in rows for tag in row)
    folds = [sides(s) for s in table(y=[0] * 300).kfold(5, 0, stratify=rows)]
    assert sorted(i for _, valid in folds for i in valid) == list(range(300))
    for train, valid in folds:
        assert sorted(train + valid) == list(range(300))
        held = Counter(tag for i in valid for tag in rows[i])
        assert all(abs(held[tag] - count / 5) < 4 for tag, count in counts.items())


def test_the_only_item_of_a_class_trains_in_every_fold_and_is_counted():
    items = table(y=list("aaaabbbbx"))
    with pytest.warns(OnecycleWarning, match="1 of 9 items train in every fold"):
        folds = list(items.kfold(3, 0, stratify="y"))
    assert all(8 in sides(fold)[0] for fold in folds)
    assert sorted(i for fold in folds for i in sides(fold)[1]) == list(range(8))
    for fold in folds:
        fold.label_from_df("y")  # so that no fold has a label that is unknown to its training


def test_more_folds_than_items_or_groups_are_an_error():
    with pytest.raises(UsageError, match="7 folds need as many items: there are 6"):
        table(y=range(6)).kfold(7)
    with pytest.raises(UsageError, match="4 folds need as many groups: there are 3"):
        table(y=range(6), g=list("aabbcc")).kfold(4, group_by="g")
    with pytest.raises(UsageError, match="n is a whole number from 2 on"):
        table(y=range(6)).kfold(1)


def test_without_scikit_learn_folds_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UsageError, match=r"onecycle\[splits\]"):
        table(y=range(6)).kfold(2)


# --- a labelled test side


def test_a_folder_is_a_labelled_test_side():
    names = ["train/a/0.jpg", "train/b/1.jpg", "valid/a/2.jpg", "test/b/3.jpg", "test/a/4.jpg"]
    items = ImageList.from_paths(names, "/data")
    labelled = items.split_by_folder(test="test").label_from_folder()
    assert labelled.test.labels == ("b", "a")
    assert labelled.test.y.items.tolist() == [1, 0]
    with pytest.warns(OnecycleWarning, match=r"2 of 5 .*neither 'train' nor 'valid', and left out"):
        assert items.split_by_folder().label_from_folder().test is None


def test_a_column_that_names_the_sides_makes_them():
    items = table(y=list("ababab"), side=["Train", "train", "val", "test", "test", "train"])
    split = items.split_from_df("side")
    assert sides(split) == ([0, 1, 5], [2], [3, 4])
    assert split.label_from_df("y").test.labels == ("b", "a")
    two = table(y=list("abab"), side=["train", "valid", "train", "valid"]).split_from_df("side")
    assert (sides(two), two.test) == (([0, 2], [1, 3]), None)


def test_a_list_made_elsewhere_is_labelled_as_the_others_are():
    test = table(y=list("ba"))
    labelled = table(y=list("abab")).split_by_idx([1, 2]).with_test(test).label_from_df("y")
    assert labelled.test.labels == ("b", "a")
    assert "2 train, 2 valid, 2 test" in repr(labelled)
    with pytest.raises(UsageError, match="a test side is a ImageList of items"):
        table(y=list("abab")).split_by_idx([1]).with_test([])
    split = table(y=list("abababab")).split_by_rand_pct(0.25, 0, test_pct=0.25)
    with pytest.raises(UsageError, match="a test side of 2 items already"):
        split.with_test(table(y=list("bx")))


def test_a_label_of_the_test_side_that_training_lacks_is_an_error_or_left_out():
    split = table(y=list("abab")).split_by_idx([1, 2]).with_test(table(y=list("bx")))
    with pytest.raises(ValueError, match=r"1 of 2 labels cannot be used .*'x \(1x\)'"):
        split.label_from_df("y")
    with pytest.warns(OnecycleWarning, match="left out"):
        assert split.label_from_df("y", unknown="drop").test.labels == ("b",)


def test_a_test_side_without_labels_stays_one():
    labelled = table(y=list("abab")).split_by_idx([1, 2]).label_from_df("y")
    assert labelled.add_test(["8.jpg"]).test.labels is None
