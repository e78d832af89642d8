"""Passes in which every class comes as often: what they hold, and that they repeat and go on."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from test_loader_laws import CPU, Drawing

from onecycle.core.errors import UsageError
from onecycle.core.rng import generator
from onecycle.data.arrays import TensorList, from_arrays
from onecycle.data.loader import Loader
from onecycle.data.sampling import draw_balanced, groups_of
from onecycle.data.targets import Category, MultiCategory, Numbers
from onecycle.text.lists import TextList

LABELS = ["a"] * 20 + ["b"] * 3 + ["c"] * 7


def side_of(labels, sampler="balanced"):
    """The training side of rows (i, 0), to which training adds one random number each."""
    rows = np.c_[np.arange(len(labels)), np.zeros(len(labels))].astype(np.float32) * 10
    items = replace(TensorList.from_arrays(rows, labels), input=Drawing())
    side = items.split_none().label_from_df().train
    return replace(side, sampler=sampler)


def passes(side, epochs, bs=5, start=0, batch=0):
    """[(item, what was added)] of each epoch, in order."""
    loader = Loader(side, bs, 0, CPU, 4, True)
    loader.restore(start, batch)
    found = []
    for _ in range(epochs):
        rows = torch.cat([x for x, _ in loader]).double().tolist()
        found.append([(round(first - moved) // 10, moved) for first, moved in rows])
    return found


def test_every_class_comes_as_often_and_every_item_of_it_in_turn():
    for epoch in passes(side_of(LABELS), 3):
        counts = Counter(LABELS[item] for item, _ in epoch)
        assert counts == {"a": 10, "b": 10, "c": 10}
        items = Counter(item for item, _ in epoch)
        assert {items[i] for i in range(20)} == {0, 1}
        assert sorted(items[i] for i in range(20, 23)) == [3, 3, 4]
        assert sorted(items[i] for i in range(23, 30)) == [1, 1, 1, 1, 2, 2, 2]


def test_what_does_not_divide_goes_to_some_classes_of_each_pass():
    rng = generator(0, 0, -1)
    groups = [np.arange(20), np.arange(20, 25), np.arange(25, 32)]
    found = [
        np.bincount(np.digitize(draw_balanced(groups, 32, rng) % 32, [20, 25]), minlength=3)
        for _ in range(30)
    ]
    assert all(sorted(counts) == [10, 11, 11] for counts in found)
    assert len({tuple(counts) for counts in found}) == 3


def test_an_item_that_comes_again_is_augmented_otherwise():
    (epoch,) = passes(side_of(LABELS), 1)
    moved = {}
    for item, number in epoch:
        moved.setdefault(item, []).append(number)
    assert max(map(len, moved.values())) == 4
    assert all(len(set(numbers)) == len(numbers) for numbers in moved.values())


def test_passes_repeat_with_the_seed_differ_by_epoch_and_go_on_in_the_middle():
    first = passes(side_of(LABELS), 3)
    assert passes(side_of(LABELS), 3) == first
    assert first[0] != first[1] != first[2]
    assert passes(side_of(LABELS), 2, start=1) == first[1:]
    assert passes(side_of(LABELS), 1, start=2, batch=4)[0] == first[2][20:]


def test_without_a_sampler_passes_are_what_they_were():
    (epoch,) = passes(side_of(LABELS, None), 1, bs=30)
    order = generator(4, 0, -1).permutation(30)
    assert [item for item, _ in epoch] == order.tolist()
    wanted = [np.float32(generator(4, 0, int(i)).random()) for i in order]
    assert [moved for _, moved in epoch] == pytest.approx(wanted, abs=1e-4)


def test_of_several_labels_each_comes_as_often_and_so_do_items_without():
    labels = [["x"], ["x", "y"], ["x"], [], ["x"], ["x"]]
    target = MultiCategory(("x", "y"))
    groups = groups_of(target, labels)
    assert [group.tolist() for group in groups] == [[0, 1, 2, 4, 5], [1], [3]]
    drawn = draw_balanced(groups, 6, generator(1, 0, -1))
    items = Counter((drawn % 6).tolist())
    assert items[3] == 2
    assert items[1] >= 2
    assert sorted(drawn // 6)[-1] >= 1
    assert len(set(drawn.tolist())) == 6


def test_a_class_without_an_item_is_no_class_to_draw_of():
    groups = groups_of(Category(("a", "b", "c")), ["c", "a", "c"])
    assert [group.tolist() for group in groups] == [[1], [0, 2]]


def test_a_databunch_draws_so_in_training_alone_and_keeps_to_it(tmp_path):
    x = np.arange(30, dtype=np.float32)[:, None]
    data = from_arrays(x, LABELS, x[[0, 21]], ["a", "b"], bs=10, num_workers=0, sampler="balanced")
    again = data.with_threshold(0.6)
    for bunch in (data, again):
        seen = torch.cat([y for _, y in bunch.train_dl])
        assert seen.bincount().tolist() == [10, 10, 10]
        assert len(torch.cat([y for _, y in bunch.valid_dl])) == 2
    assert data.src.train.take([0, 20, 23]).sampler == "balanced"
    in_order = torch.cat([y for _, y in data.in_order("train")])
    assert in_order.tolist() == [0] * 20 + [1] * 3 + [2] * 7


def test_texts_are_drawn_so_too(tmp_path):
    frame = pd.DataFrame({"text": [f"word{i % 5} " * (1 + i % 4) for i in range(30)]})
    split = TextList.from_df(frame.assign(label=LABELS), tmp_path, "text").split_none()
    data = split.label_from_df("label").databunch(bs=5, num_workers=0, sampler="balanced")
    seen = torch.cat([y for _, y in data.train_dl])
    assert seen.bincount().tolist() == [10, 10, 10]


def test_what_cannot_be_balanced_says_so():
    x = np.arange(12, dtype=np.float32)[:, None]
    with pytest.raises(UsageError, match=r'sampler is "balanced"'):
        from_arrays(x, ["a", "b"] * 6, bs=2, sampler="even")
    with pytest.raises(UsageError, match="labels of a numbers name no classes"):
        from_arrays(x, x, bs=2, label_cls=Numbers, sampler="balanced")
