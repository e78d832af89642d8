"""Images that are decoded once: the same batches, whoever stopped, changed or filled what."""

import copy
import errno
import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from onecycle import PixelCache
from onecycle.core.errors import OnecycleWarning, UsageError
from onecycle.runtime.inputs import pixels as reading
from onecycle.text import TextList
from onecycle.vision import ImageList, SegmentationItemList, get_transforms, pixel_cache
from onecycle.vision.input import ImageInput


def draw(file, seed, size=(90, 70)):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size).save(file)
    os.utime(file, (1e9 + seed, 1e9 + seed))  # what is written just now is not kept


@pytest.fixture
def folder(tmp_path):
    for i in range(12):
        file = tmp_path / "photos" / "ab"[i % 2] / f"{i:02}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        draw(file, i, (90 + i, 70))
    return tmp_path / "photos"


@pytest.fixture
def decoded(monkeypatch):
    """The files that were decoded, as they are."""
    names, opened = [], reading.open_pixels

    def noted(source, *how, **options):
        names.append(os.path.basename(source))  # noqa: PTH119 - of a str or a Path
        return opened(source, *how, **options)

    monkeypatch.setattr(reading, "open_pixels", noted)
    return names


def bunch(folder, cache, size=32, tfms=True, workers=2):
    items = ImageList.from_folder(folder).split_by_idx([0, 5, 9]).label_from_folder()
    items = items.transform(get_transforms() if tfms else None, size=size)
    return items.databunch(
        bs=4, device="cpu", num_workers=workers, check=False, find_copies=False, cache=cache
    )


def batches(data, epochs=2):
    return [
        tensor
        for _ in range(epochs)
        for loader in (data.train_dl, data.valid_dl)
        for batch in loader
        for tensor in batch
    ]


def same(ours, theirs):
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


def held(cache):
    return sum(file.stat().st_size for file in cache.folder.glob("*.pixels"))


@pytest.mark.parametrize("workers", [0, 3])
def test_batches_are_those_without_it_and_each_file_is_decoded_once(
    folder, tmp_path, decoded, workers
):
    plain = batches(bunch(folder, None, workers=workers))
    decoded.clear()
    cache = PixelCache(tmp_path / "cache")
    assert same(batches(bunch(folder, cache, workers=workers)), plain)
    assert sorted(decoded) == [f"{i:02}.jpg" for i in range(12)]
    decoded.clear()
    again = bunch(folder, tmp_path / "cache", workers=workers)  # as the next program does
    assert same(batches(again), plain)
    assert decoded == []


def test_true_is_the_folder_of_this_machine(folder, tmp_path, monkeypatch, decoded):
    monkeypatch.setenv("ONECYCLE_CACHE", str(tmp_path / "own"))
    batches(bunch(folder, True), 1)
    assert list((tmp_path / "own" / "pixels").glob("*.pixels"))
    decoded.clear()
    batches(bunch(folder, True), 1)
    assert decoded == []
    batches(bunch(folder, False), 1)
    assert len(decoded) == 3 + 8  # the last item of nine makes no batch


def test_another_size_is_decoded_as_without_a_cache(folder, tmp_path):
    for file in folder.rglob("*.jpg"):
        draw(file, 1, (800, 600))  # large enough to be shrunk while it is decoded
    cache = PixelCache(tmp_path / "cache")
    for size in (32, 160, 32):
        assert same(batches(bunch(folder, cache, size)), batches(bunch(folder, None, size)))
    assert same(batches(bunch(folder, cache, 64, False)), batches(bunch(folder, None, 64, False)))


def test_a_changed_file_is_read_anew(folder, tmp_path, decoded):
    cache = PixelCache(tmp_path / "cache")
    batches(bunch(folder, cache))
    draw(folder / "a" / "04.jpg", 77)
    decoded.clear()
    assert same(batches(bunch(folder, cache)), batches(bunch(folder, None)))
    assert decoded[:2] != ["04.jpg"] * 2
    assert decoded.count("04.jpg") == 1 + 2  # by the cache once, without it in each epoch


def test_what_was_written_just_now_is_not_kept(folder, tmp_path):
    os.utime(folder / "a" / "04.jpg")
    cache = PixelCache(tmp_path / "cache")
    batches(bunch(folder, cache))
    assert len(cache._index) == 11


def test_masks_move_with_images_from_the_cache(folder, tmp_path):
    for file in folder.rglob("*.jpg"):
        mask = np.arange(90 * 70, dtype=np.uint8).reshape(70, 90) % 3
        Image.fromarray(mask).save(file.with_suffix(".png"))
        draw(file, 3)

    def data(cache):
        items = SegmentationItemList.from_folder(folder, extensions=[".jpg"]).split_by_idx([1, 2])
        labelled = items.label_from_func(lambda f: f.with_suffix(".png"), classes=["a", "b", "c"])
        return labelled.transform(get_transforms(), size=32).databunch(
            bs=2, device="cpu", check=False, cache=cache
        )

    assert same(batches(data(tmp_path / "cache")), batches(data(None)))


def test_items_to_be_predicted_are_not_kept(folder, tmp_path):
    cache = PixelCache(tmp_path / "cache")
    data = bunch(folder, cache)
    for _ in data.single([folder / "a" / "04.jpg"]):
        pass
    assert held(cache) == 0


def test_many_writers_at_once_leave_whole_images(folder, tmp_path, decoded):
    plain = batches(bunch(folder, None))
    with ThreadPoolExecutor(4) as pool:
        done = list(
            pool.map(lambda _: batches(bunch(folder, PixelCache(tmp_path / "c"))), range(4))
        )
    assert all(same(found, plain) for found in done)
    decoded.clear()
    assert same(batches(bunch(folder, tmp_path / "c")), plain)
    assert decoded == []


def test_what_another_program_stores_meanwhile_is_found(folder, tmp_path, decoded, monkeypatch):
    ours, theirs = PixelCache(tmp_path / "c"), PixelCache(tmp_path / "c")
    batches(bunch(folder, ours))
    decoded.clear()
    monkeypatch.setattr(pixel_cache, "_AGAIN", 0)
    batches(bunch(folder, theirs))
    assert decoded == []


def cut(file):
    os.truncate(file, file.stat().st_size - 7)


def damage(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x55
    file.write_bytes(data)


def fill_with_zeros(file):
    file.write_bytes(bytes(file.stat().st_size))


@pytest.mark.parametrize("kind", ["pixels", "rows"])
@pytest.mark.parametrize("fault", [cut, damage, fill_with_zeros])
def test_what_is_cut_or_damaged_is_decoded_anew(folder, tmp_path, fault, kind):
    batches(bunch(folder, tmp_path / "c"))
    (file,) = (tmp_path / "c").glob(f"*.{kind}")
    fault(file)
    assert same(batches(bunch(folder, tmp_path / "c")), batches(bunch(folder, None)))


def test_a_file_that_is_cut_while_it_is_in_use_is_no_image(folder, tmp_path):
    cache, plain = PixelCache(tmp_path / "c"), batches(bunch(folder, None))
    batches(bunch(folder, cache))
    for file in (tmp_path / "c").glob("*.pixels"):
        os.truncate(file, 100)
    assert same(batches(bunch(folder, cache)), plain)


def test_a_file_of_it_that_goes_away_is_missed_by_nobody(folder, tmp_path):
    batches(bunch(folder, tmp_path / "c"))
    cache = PixelCache(tmp_path / "c")
    cache._refresh()
    for file in (tmp_path / "c").iterdir():
        file.unlink()
    assert same(batches(bunch(folder, cache)), batches(bunch(folder, None)))


def test_a_full_disk_is_said_once_and_changes_no_batch(folder, tmp_path, monkeypatch):
    plain, room, write = batches(bunch(folder, None)), [60_000], os.write

    def full(file, data):
        room[0] -= len(data)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data)

    data = bunch(folder, tmp_path / "c")
    monkeypatch.setattr(pixel_cache.os, "write", full)
    with pytest.warns(OnecycleWarning, match="takes no more .No space left") as seen:
        found = batches(data)
    monkeypatch.undo()
    assert len(seen) == 1
    assert same(found, plain)
    assert same(batches(bunch(folder, tmp_path / "c")), plain)


def test_half_a_row_is_none(folder, tmp_path, monkeypatch):
    data, write = bunch(folder, tmp_path / "c", workers=0), os.write
    monkeypatch.setattr(pixel_cache.os, "write", lambda file, data: write(file, data[:-5]))
    with pytest.warns(OnecycleWarning, match="No space left"):
        batches(data)
    monkeypatch.undo()
    assert same(batches(bunch(folder, tmp_path / "c")), batches(bunch(folder, None)))


def test_it_holds_no_more_than_its_most(folder, tmp_path):
    most = 5 * 90 * 70 * 3
    cache = PixelCache(tmp_path / "c", most=most)
    with pytest.warns(OnecycleWarning, match=r"it holds .* of .* GB\): the others") as seen:
        found = batches(bunch(folder, cache))
    assert len(seen) == 1
    assert same(found, batches(bunch(folder, None)))
    assert 3 * 90 * 70 * 3 <= held(cache) <= most


def test_several_who_write_at_once_hold_no_more_than_its_most_together(tmp_path):
    most, pixels = 10 * 30_000 + 5, np.zeros((100, 100, 3), np.uint8)
    caches = [PixelCache(tmp_path / "c", most=most) for _ in range(8)]
    for i in range(40):
        file = tmp_path / f"{i}"
        file.touch()
        os.utime(file, (1e9, 1e9))
        caches[i % 8].pixels(file, "", lambda: pixels)
    assert held(caches[0]) == 10 * 30_000


def test_what_was_used_last_is_the_last_to_go(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    files = list[set[Path]]()
    for photos in (folder, other):
        batches(bunch(photos, tmp_path / "c"))
        files.append(set((tmp_path / "c").glob("*.pixels")) - set().union(*files))
    (old,), (new,) = files
    for file in (old, new):
        os.utime(file, (1e9, 1e9))
    batches(bunch(folder, tmp_path / "c"))  # uses the old one
    PixelCache(tmp_path / "c", most=old.stat().st_size)
    assert {file.name for file in (tmp_path / "c").iterdir()} == {old.name, f"{old.stem}.rows"}


def test_a_copy_of_the_data_reads_the_same_cache(folder, tmp_path, decoded):
    data = bunch(folder, tmp_path / "c")
    plain = batches(data)
    decoded.clear()
    again = copy.deepcopy(data.task.input)
    assert again.cache is not data.task.input.cache
    assert same(batches(bunch(folder, again.cache)), plain)
    assert decoded == []


@dataclass(frozen=True, eq=False)
class Thinned(ImageInput):
    """A kind of one's own, with a field that says how it reads."""

    step: int = 1
    look_version: ClassVar[int] = 1

    def array(self, source, remarks=None, at_least=None):
        return np.ascontiguousarray(super().array(source, remarks)[:: self.step])


class Mirrored(Thinned):
    def array(self, source, remarks=None, at_least=None):
        return super().array(source, remarks)[:, ::-1]


class Later(Thinned):
    look_version: ClassVar[int] = 2


def test_a_kind_of_ones_own_is_kept_by_its_class_its_fields_and_its_version(folder, tmp_path):
    def data(given, cache):
        src = ImageList.from_folder(folder).split_by_idx([0, 5]).label_from_folder()
        src = src.with_task(replace(src.task, input=given)).transform(None, size=32)
        return src.databunch(bs=4, device="cpu", num_workers=0, check=False, cache=cache)

    later = Later(step=2)
    for given in (Thinned(), Thinned(step=3), Mirrored(), Thinned(), later):
        plain = batches(data(given, None))
        assert same(batches(data(given, tmp_path / "c")), plain)
        assert same(batches(data(given, tmp_path / "c")), plain)
    assert later.reading != Thinned(step=2).reading


def test_a_kind_of_ones_own_says_its_version_before_it_is_kept(folder, tmp_path):
    class Negative(ImageInput):
        def array(self, source, remarks=None, at_least=None):
            return 255 - super().array(source, remarks)

    with pytest.raises(UsageError, match=r"Negative.array\(\) .* look_version: ClassVar"):
        Negative().with_cache(tmp_path / "c")
    assert Negative().with_cache(None).cache is None


def test_what_is_no_picture_of_bytes_is_not_kept(tmp_path):
    file, cache = tmp_path / "f", PixelCache(tmp_path / "c")
    file.touch()
    os.utime(file, (1e9, 1e9))
    for odd in (np.ones((4, 5, 3), np.float32), np.ones((4, 5), np.uint8)):
        for _ in range(2):
            assert cache.pixels(file, "", lambda odd=odd: odd) is odd
    assert held(cache) == 0


def test_what_fits_is_not_spoken_of(folder, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches(bunch(folder, tmp_path / "c"))


def test_what_is_no_cache_is_refused(folder, tmp_path):
    (tmp_path / "file").touch()
    for wrong, message in [
        (5, "cache is True, a folder or a PixelCache, not 5"),
        (tmp_path / "file", "is no folder that can be written"),
    ]:
        with pytest.raises(UsageError, match=message):
            bunch(folder, wrong)
    with pytest.raises(UsageError, match="most"):
        PixelCache(tmp_path / "c", most=0)
    frame = pd.DataFrame({"text": ["good film", "bad film"] * 5, "label": ["a", "b"] * 5})
    texts = TextList.from_df(frame).split_by_idx([0, 1]).label_from_df()
    with pytest.raises(UsageError, match="decoded images"):
        texts.databunch(bs=2, cache=True)
