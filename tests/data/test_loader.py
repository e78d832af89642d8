"""Batches depend on the seed and the epoch, on nothing else; threads end when nobody listens."""

import multiprocessing
import os
import shutil
import sys
import threading
import time
import warnings
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from onecycle.core.errors import DataError, ImageError, UsageError
from onecycle.data.arrays import from_arrays
from onecycle.data.loader import AHEAD, Loader, can_fork, fork_batches
from onecycle.series.lists import SeriesList
from onecycle.text.lists import TextDataBunch
from onecycle.vision.augment import get_transforms
from onecycle.vision.lists import ImageList

CPU = torch.device("cpu")


@pytest.fixture
def labelled(images):
    items = ImageList.from_folder(images).split_by_folder().label_from_folder()
    return items.transform(get_transforms(flip_vert=True), size=24)


def loader(side, bs=5, workers=0, seed=0, train=True, processes=False):
    return Loader(side, bs, workers, CPU, seed, train, processes)


def order(loader):
    """The places in the data set in the order of one pass."""
    places = {path: i for i, path in enumerate(loader.dataset.items)}
    return [[places[sample.source] for sample in batch] for batch in loader.samples()]


def same(a, b):
    return all(torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in zip(a, b, strict=True))


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("onecycle-loader")]


def children():
    return multiprocessing.active_children()


@pytest.mark.parametrize("processes", [False, True])
def test_batches_are_the_same_for_every_number_of_workers(labelled, processes):
    wanted = loader(labelled.train, bs=2)
    first, second = list(wanted), list(wanted)
    assert len(first) > AHEAD + 1  # some are handed out while others are asked for
    assert not same(first, second)
    for workers in (1, 3):
        other = loader(labelled.train, bs=2, workers=workers, processes=processes)
        assert same(list(other), first)
        assert same(list(other), second)


def test_the_same_seed_gives_the_same_order_and_epochs_differ(labelled):
    one, again, other = (loader(labelled.train, seed=s) for s in (7, 7, 8))
    first = order(one)
    assert order(again) == first
    assert order(one) == order(again) != first
    assert order(other) != first


@pytest.mark.parametrize("workers", [0, 2])
def test_global_generators_neither_move_nor_matter(labelled, workers):
    np.random.seed(0)
    torch.manual_seed(0)
    first = list(loader(labelled.train, workers=workers, processes=True))
    assert np.random.rand() == np.random.RandomState(0).rand()
    assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(0)))
    assert same(first, list(loader(labelled.train)))


def test_in_training_the_last_part_of_a_batch_is_dropped_and_no_item_comes_twice(labelled):
    train = loader(labelled.train, bs=5)
    assert len(train) == 3  # 16 items
    seen = order(train)
    assert [len(batch) for batch in seen] == [5, 5, 5]
    assert len({place for batch in seen for place in batch}) == 15


def test_what_is_dropped_differs_from_epoch_to_epoch(labelled):
    train = loader(labelled.train, bs=5)
    epochs = [{place for batch in order(train) for place in batch} for _ in range(8)]
    assert len({(set(range(16)) - seen).pop() for seen in epochs}) > 2


def test_in_validation_every_item_comes_once_in_its_order(labelled):
    valid = loader(labelled.valid, bs=3, train=False)
    assert len(valid) == 3
    assert order(valid) == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [y.tolist() for _, y in valid] == [[0, 0, 0], [0, 1, 1], [1, 1]]
    assert same(list(valid), list(valid))


def test_a_batch_may_be_larger_than_the_validation_set(labelled):
    assert [len(x) for x, _ in loader(labelled.valid, bs=100, train=False)] == [8]


def test_a_batch_larger_than_the_training_set_is_an_error(labelled):
    with pytest.raises(UsageError, match=r"bs=17 is larger than the training set of 16 items"):
        loader(labelled.train, bs=17)
    assert len(loader(labelled.train, bs=16)) == 1
    with pytest.raises(UsageError, match="at least one item, not 0"):
        loader(labelled.train, bs=0)


def test_a_pass_begun_and_left_counts_and_can_be_taken_back(labelled):
    train = loader(labelled.train)
    state = train.state()
    first = order(train)
    train.restore(state)
    assert order(train) == first


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_loader_left_midway_ends_its_threads_at_once(labelled, workers):
    train = loader(labelled.train, bs=1, workers=workers)
    begun = time.perf_counter()
    batches = iter(train)
    next(batches)
    batches.close()
    assert threads() == []
    for _ in train:
        break
    assert threads() == []
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize("processes", [False, True])
def test_an_error_in_a_worker_reaches_the_caller_as_it_is_and_ends_them(
    labelled, monkeypatch, processes
):
    """Also of a class that cannot be sent from one process to another."""

    class LocalError(ImageError):
        def __init__(self, index, reason):
            super().__init__(f"item {index} is {reason}")

    def fail(self, index, rng):
        if index < 6:
            return real(self, index, rng)
        error = LocalError(index, "broken")
        error.add_note("as always")
        raise error

    real = type(labelled.train).sample
    valid = loader(labelled.valid, bs=2, workers=2, train=False, processes=processes)
    monkeypatch.setattr(type(labelled.train), "sample", fail)
    seen = []
    with pytest.raises(LocalError, match=r"^item [67] is broken") as messages:
        seen.extend(len(x) for x, _ in valid)
    assert messages.value.__notes__ == ["as always"]
    assert seen == [2, 2, 2]
    assert threads() == []
    assert children() == []


def test_warnings_of_processes_are_heard():
    def make(positions):
        with warnings.catch_warnings(record=True) as heard:
            warnings.warn("seen", stacklevel=1)
        return len(heard)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert list(fork_batches(make, [np.arange(3)] * 2, 1, False)) == [1, 1]


def test_processes_have_room_for_their_batches_or_threads_load(labelled, monkeypatch):
    def workers(free):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
        train = loader(labelled.train, bs=2, workers=3, processes=True)
        batches = iter(train)
        first, second = next(batches), next(batches)
        found = len(children()), len({t.name for t in threads()})
        batches.close()
        assert len(first[0]) == len(second[0]) == 2
        return found

    size = 2 * (3 * 24 * 24 + 8)  # bytes of a batch with its labels
    assert workers(100 * size) == (3, 0)
    assert workers(7 * size) == (2, 0)
    forks, loading = workers(2 * size)
    assert forks == 0
    assert loading > 0


def test_a_process_that_is_killed_is_told_with_what_to_do(labelled, monkeypatch):
    def sample(self, index, rng):
        if os.getpid() != first:
            os.kill(os.getpid(), 9)
        return real(self, index, rng)

    first, real = os.getpid(), type(labelled.train).sample
    monkeypatch.setattr(type(labelled.train), "sample", sample)
    with pytest.raises(DataError, match=r"process that .* ended .*num_workers=0"):
        list(loader(labelled.train, workers=2, processes=True))
    assert children() == []


def test_processes_left_midway_end(labelled):
    batches = iter(loader(labelled.train, bs=1, workers=3, processes=True))
    next(batches)
    assert children() == []  # the first batch of all is made here
    next(batches)
    assert len(children()) == 3
    batches.close()
    assert children() == []


def test_processes_have_no_threads_of_opencv():
    """Those of the first process do not survive a fork."""
    cv2.setNumThreads(4)
    large = np.zeros((2000, 2000, 3), np.uint8)
    cv2.warpPerspective(large, np.eye(3), (1900, 1900))
    assert list(fork_batches(lambda _: cv2.getNumThreads(), [np.arange(1)] * 3, 2, False)) == [
        1,
        1,
        1,
    ]
    cv2.setNumThreads(-1)


def test_only_linux_beside_cuda_forks(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert can_fork(torch.device("cuda"))
    assert not can_fork(CPU)
    monkeypatch.setattr(sys, "platform", "win32")
    assert not can_fork(torch.device("cuda"))


def test_without_shared_memory_threads_load(labelled, monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    wanted = list(loader(labelled.train))
    monkeypatch.setattr(shutil, "disk_usage", missing)
    assert same(list(loader(labelled.train, workers=2, processes=True)), wanted)


def test_texts_series_and_arrays_are_loaded_without_threads():
    """Their work is Python's alone, so that threads would wait for one another."""
    texts = pd.DataFrame({"label": list("ab") * 8, "text": ["good film", "bad film"] * 8})
    curves = np.random.default_rng(0).normal(size=(16, 12))
    split = {"device": "cpu", "num_workers": 3, "bs": 4}
    series = SeriesList.from_array(curves, texts.label).split_by_rand_pct(0.25, seed=0)
    for data in (
        TextDataBunch.from_df(".", texts, seed=0, min_freq=1, **split),
        series.label_from_df().transform(None, size=8).databunch(**split),
        from_arrays(curves, texts.label, **split),
    ):
        batches = iter(data.train_dl)
        next(batches)
        assert threads() == []
        batches.close()
