"""Which files are looked at before training, and what happens to one that cannot be read in it."""

import os
import re
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn

from onecycle.core.errors import DataError, ImageError, LabelError, OnecycleWarning, UsageError
from onecycle.data import checks
from onecycle.data.arrays import from_arrays
from onecycle.data.loader import Loader
from onecycle.learn.learner import Learner
from onecycle.runtime.inputs import pixels
from onecycle.series.lists import SeriesList
from onecycle.vision.augment import get_transforms
from onecycle.vision.lists import ImageList

COUNT = 24


@pytest.fixture
def folder(tmp_path):
    """24 files of noise whose mean says which is which: i.jpg has about 10 i."""
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        noise = rng.integers(0, 12, (40, 40, 3)) + 10 * i
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{i}.jpg", quality=95)
        os.utime(tmp_path / f"{i}.jpg", (time.time() - 60,) * 2)
    return tmp_path


def spoil(folder, *numbers):
    """Cut the middle out: begin and end are sound."""
    for i in numbers:
        data = (folder / f"{i}.jpg").read_bytes()
        (folder / f"{i}.jpg").write_bytes(data[: len(data) // 2] + data[-20:])


def items(folder, tfms=None):
    """Of 24 files the last 4 validate."""
    names = [f"{i}.jpg" for i in range(COUNT)]
    split = ImageList.from_paths(names, folder).split_by_idx(range(20, 24))
    labelled = split.label_from_func(lambda path: str(int(path.stem) % 2))
    return labelled.transform(tfms, size=32)


def bunch(folder, tfms=None, workers=0, **options):
    how = {"bs": 5, "num_workers": workers, "device": "cpu"} | options
    return items(folder, tfms).databunch(**how)


def messages(step):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        step()
    return [str(w.message) for w in seen if issubclass(w.category, OnecycleWarning)]


# --- before training


def test_of_many_files_a_sample_is_looked_at_and_that_is_said(folder, monkeypatch):
    monkeypatch.setattr(checks, "_ALL", 20)
    monkeypatch.setattr(checks, "_SAMPLE", 6)
    seen = []
    monkeypatch.setattr(pixels, "sniff", lambda path: seen.append(path))
    (message,) = messages(lambda: bunch(folder))
    assert message.startswith("6 of 24 files were looked at before training")
    assert 'check="all"' in message
    assert len(set(seen)) == 6
    drawn = list(seen)
    assert messages(lambda: bunch(folder, check="sample")) == []
    assert set(seen) == set(drawn)  # the same files, so that they are found in the cache
    assert messages(lambda: bunch(folder, check="all")) == []
    assert len(set(seen)) == 24


def test_all_of_a_few_files_are_looked_at(folder, monkeypatch):
    (folder / "17.jpg").write_bytes(b"")
    monkeypatch.setattr(checks, "_SAMPLE", 24)
    for check in (None, "sample", "all"):
        with pytest.raises(ImageError, match=r"17\.jpg"):
            bunch(folder, check=check)
    assert messages(lambda: bunch(folder, check=False)) == []
    assert messages(lambda: bunch(folder, no_check=True)) == []


def test_what_is_in_memory_is_all_looked_at(monkeypatch):
    monkeypatch.setattr(checks, "_ALL", 1)
    monkeypatch.setattr(checks, "_SAMPLE", 1)
    x = np.random.default_rng(0).normal(size=(40, 50))
    x[33, 4] = np.nan
    for check in (None, "sample"):
        with pytest.raises(DataError, match="array 27 holds NaN"):
            from_arrays(x, list("ab") * 20, bs=2, check=check)


def test_labels_are_looked_at_beside_their_own_items_of_both_sides(folder, monkeypatch):
    monkeypatch.setattr(checks, "_SAMPLE", 12)
    pairs, made = [], items(folder)
    monkeypatch.setattr(
        type(made.task.target), "inspect", lambda _, x, y: pairs.extend(zip(x, y, strict=True))
    )
    made.databunch(bs=2, device="cpu", check="sample")
    numbers = [int(x.stem) for x, _ in pairs]
    assert [str(n % 2) for n in numbers] == [y for _, y in pairs]
    assert len(numbers) == 12
    assert min(numbers) < 20 <= max(numbers)


def test_copies_are_compared_by_path_alone_in_a_sample(folder, monkeypatch):
    monkeypatch.setattr(checks, "_SAMPLE", 6)
    (folder / "22.jpg").write_bytes((folder / "2.jpg").read_bytes())
    assert messages(lambda: bunch(folder, check="sample")) == []
    (message,) = messages(lambda: bunch(folder, check="all"))
    assert message.startswith("1 items are in training and validation")


def test_only_changed_files_are_read_again(folder, monkeypatch):
    bunch(folder)
    read = []
    sniff = pixels.sniff
    monkeypatch.setattr(pixels, "sniff", lambda path: read.append(Path(path).name) or sniff(path))
    bunch(folder)
    assert read == []
    (folder / "3.jpg").write_bytes((folder / "3.jpg").read_bytes()[:-30])
    with pytest.raises(ImageError, match=r"1 of 24 files are no images[^,]*3\.jpg"):
        bunch(folder)
    assert read == ["3.jpg"]


def test_other_words_are_refused(folder):
    for wrong in ("some", True, 0.5):
        with pytest.raises(UsageError, match='check is "all", "sample" or False'):
            bunch(folder, check=wrong)
    with pytest.raises(UsageError, match="no_check=True and check='all'"):
        bunch(folder, check="all", no_check=True)
    with pytest.raises(UsageError, match='on_unreadable is "raise" or "skip", not \'ignore\''):
        bunch(folder, on_unreadable="ignore")
    with pytest.raises(UsageError, match="ArrayInput has read them before"):
        from_arrays(np.eye(40), list("ab") * 20, bs=2, on_unreadable="skip")


def test_warnings_before_training_point_to_the_line_of_the_user(folder, monkeypatch):
    monkeypatch.setattr(checks, "_ALL", 20)
    monkeypatch.setattr(checks, "_SAMPLE", 23)
    for i in range(20):
        Image.new("RGBA", (40, 40), (i, 2, 3, 99)).save(folder / f"{i}.jpg", "PNG")
    with pytest.warns(OnecycleWarning, match=".") as seen:
        items(folder).databunch(bs=2, device="cpu")
    assert [str(w.message).split()[-1] for w in seen] == ["warning", "bands"]
    series = [np.random.default_rng(i).normal(size=40 + i % 2) for i in range(6)]
    split = SeriesList.from_array(series, list("ababab")).split_by_idx([4, 5])
    with pytest.warns(OnecycleWarning, match="are stretched") as more:
        split.label_from_df().databunch(bs=2, device="cpu")
    seen = [*seen, *more]
    assert {w.filename for w in seen} == {__file__}


# --- while training


def test_a_damaged_file_ends_training_with_its_name(folder):
    spoil(folder, 7)
    with pytest.raises(ImageError, match=r"7\.jpg: damaged"):
        list(bunch(folder).train_dl)


def passes(data, count=1):
    """Each pass as a list of rows: the mean that says which file it is, and all its pixels."""
    found = []
    for _ in range(count):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OnecycleWarning)
            found.append([x for batch, _ in data.train_dl for x in batch])
    return found


@pytest.mark.parametrize("workers", [0, 3])
def test_another_item_takes_the_place_of_one_that_cannot_be_read(folder, workers):
    tfms = get_transforms(max_lighting=0.0)
    (whole,) = passes(bunch(folder, tfms))
    spoil(folder, 4, 15)
    data = bunch(folder, tfms, workers, on_unreadable="skip")
    (found,) = passes(data)
    changed = [i for i, (a, b) in enumerate(zip(whole, found, strict=True)) if not a.equal(b)]
    lost = [
        i
        for i, x in enumerate(whole)
        if min(abs(x.mean() * 255 - 45), abs(x.mean() * 255 - 155)) < 3
    ]
    assert len(found) == 20
    assert changed == lost
    assert len(lost) == 2
    (again,) = passes(bunch(folder, tfms, 3 - workers, on_unreadable="skip"))
    assert all(a.equal(b) for a, b in zip(found, again, strict=True))


def test_what_takes_the_place_depends_on_epoch_and_seed(folder):
    spoil(folder, 4)
    instead = set()
    for seed in (1, 2):
        for rows in passes(bunch(folder, seed=seed, on_unreadable="skip"), 4):
            means = [round((float(x.mean()) * 255 - 5.5) / 10) for x in rows]
            (twice,) = {m for m in means if means.count(m) == 2}
            instead.add(twice)
    assert len(instead) > 3


@pytest.mark.parametrize("processes", [False, True])
def test_each_epoch_ends_with_a_count(folder, processes):
    sound = (folder / "4.jpg").read_bytes()
    spoil(folder, 4, 15)
    data = bunch(folder, on_unreadable="skip")
    loader = Loader(data.train_ds, 5, 2, data.device, train=True, processes=processes)
    for epoch, names in enumerate((["4", "15"], ["4", "15"], ["15"])):
        if len(names) == 1:
            (folder / "4.jpg").write_bytes(sound)
        (message,) = messages(lambda: list(loader))
        assert message.startswith(
            f"epoch {epoch}: {len(names)} of 20 training items could not be read, and others were"
        )
        assert re.findall(r"(\d+)\.jpg", message) == names
    assert messages(lambda: list(Loader(data.valid_ds, 5, 2, data.device))) == []


def test_a_learner_goes_on_and_says_so(folder):
    spoil(folder, 4)
    data = bunch(folder, on_unreadable="skip")
    learn = Learner(data, nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, data.c)))
    found = messages(lambda: learn.fit(2, 1e-3))
    assert [message[:14] for message in found if "could not be read" in message] == [
        "epoch 0: 1 of ",
        "epoch 1: 1 of ",
    ]


def test_the_training_set_in_its_order_is_never_patched(folder):
    spoil(folder, 4)
    data = bunch(folder, on_unreadable="skip")
    with pytest.raises(ImageError, match=r"4\.jpg"):
        list(data.in_order("train"))


def test_validation_files_are_read_whole_before_and_stay_errors(folder):
    spoil(folder, 21)
    with pytest.raises(
        DataError, match=r"1 of 4 validation and test items cannot be read.*21\.jpg"
    ):
        bunch(folder, on_unreadable="skip")
    made = items(folder)
    data = made.without(made.check(), "damaged").databunch(bs=2, on_unreadable="skip")
    assert len(data.valid_ds) == 3
    spoil(folder, 22)
    with pytest.raises(ImageError, match=r"22\.jpg"):
        list(data.valid_dl)


def test_what_is_damaged_before_is_skipped_as_well(folder):
    (folder / "6.jpg").write_bytes(b"")
    (message,) = messages(lambda: bunch(folder, on_unreadable="skip"))
    assert message.startswith("1 of 20 files are no images that can be read")
    assert message.endswith("others are taken in their place while training")
    data = bunch_quietly(folder)
    assert len(passes(data)[0]) == 20
    assert "6.jpg" in messages(lambda: list(data.train_dl))[0]


def bunch_quietly(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OnecycleWarning)
        return bunch(folder, on_unreadable="skip")


def test_the_policy_stays_with_what_is_made_of_the_data(folder):
    spoil(folder, 4, 9)
    data = bunch(folder, on_unreadable="skip")
    (folder / "11.jpg").unlink()
    report = data.check()
    for made, names in (
        (data.normalize(([0.5] * 3, [0.5] * 3)), ["4.jpg", "9.jpg", "11.jpg"]),
        (data.without(report, "missing"), ["4.jpg", "9.jpg"]),
    ):
        (message,) = messages(lambda made=made: list(made.train_dl))
        assert re.findall(r"\d+\.jpg", message) == names


def test_a_disk_that_is_gone_is_an_error(folder):
    data = bunch(folder, on_unreadable="skip")
    for i in range(20):
        (folder / f"{i}.jpg").unlink()
    with pytest.raises(DataError, match=r"10 items in a row cannot be read, the last: .*\.jpg"):
        list(data.train_dl)


def test_a_label_that_does_not_fit_is_no_unreadable_item(folder):
    data = bunch(folder, on_unreadable="skip")

    def wrong(label):
        raise LabelError("no such class")

    object.__setattr__(data.task.target, "encode", wrong)
    with pytest.raises(LabelError, match="no such class"):
        list(data.train_dl)
