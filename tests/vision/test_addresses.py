"""Images by their addresses: the same as by their paths, in bounds, and named where they fail."""

import os
import tarfile
import warnings
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
import torch
from folder_server import Host, served
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image as Pillow

from onecycle.core import addresses
from onecycle.core.addresses import Address
from onecycle.core.errors import (
    EmptyDataError,
    ImageError,
    LabelError,
    OnecycleWarning,
    TableError,
    UsageError,
)
from onecycle.core.machine import defaults
from onecycle.vision import ImageList, SegmentationItemList, get_transforms, open_image


class Counted(MemoryFileSystem):
    """Files in memory that fail a few times, and count what is asked of them."""

    protocol = "counted"
    store, pseudo_dirs = {}, [""]
    fetched, asked, failures, fault = [], [], 0, OSError("lost")

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("counted://", "memory://"))

    def get_file(self, rpath, lpath, **options):
        if Counted.failures:
            Counted.failures -= 1
            raise Counted.fault
        Counted.fetched.append(rpath)
        super().get_file(rpath, lpath, **options)

    def info(self, path, **options):
        Counted.asked.append(path)
        return super().info(path, **options)


fsspec.register_implementation("counted", Counted, clobber=True)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own; nothing waits."""
    monkeypatch.setenv("ONECYCLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(addresses, "_WAIT", 0)
    Counted.store.clear()
    Counted.fetched.clear()
    Counted.failures, Counted.fault = 0, OSError("lost")
    return tmp_path / "cache" / "fetched"


@pytest.fixture
def stored(images, cache):
    """The address of a copy of the 24 images."""
    upload(Counted(), images, "/bucket/photos")
    return "counted://bucket/photos"


def upload(files, folder, place):
    for file in folder.rglob("*.*g"):
        files.pipe_file(f"{place}/{file.relative_to(folder).as_posix()}", file.read_bytes())


def bunch(items, **options):
    split = items.split_by_folder().label_from_folder()
    changed = split.transform(get_transforms(), size=24)
    return changed.databunch(bs=4, device="cpu", **options).normalize()


def same_batches(one, other):
    pairs = [(side, batch) for side in ("train_dl", "valid_dl") for batch in getattr(one, side)]
    others = [batch for side in ("train_dl", "valid_dl") for batch in getattr(other, side)]
    assert len(pairs) == len(others) == 6
    return all(
        torch.equal(x, u) and torch.equal(y, v)
        for (_, (x, y)), (u, v) in zip(pairs, others, strict=True)
    )


def test_by_address_and_by_path_items_batches_and_statistics_are_the_same(images, stored):
    near, far = ImageList.from_folder(images), ImageList.from_folder(stored)
    names = [far.relative(item) for item in far.items]
    assert names == [near.relative(item) for item in near.items]
    assert "valid/red/3.png" in names
    one, other = bunch(near, seed=3), bunch(far, seed=3, num_workers=3)
    assert one.task.input.mean == other.task.input.mean
    assert one.classes == other.classes == ["blue", "red"]
    assert same_batches(one, other)


def test_columns_of_addresses_and_names_below_one_are_the_same_items(stored):
    names = ["train/red/1.png", "train/blue/2.jpg", "valid/red/0.jpg"]
    whole = pd.DataFrame({"file": [f"{stored}/{name}" for name in names], "label": list("aba")})
    below = pd.DataFrame({"file": [name.rpartition(".")[0] for name in names[1:]]})
    found = ImageList.from_df(whole, "elsewhere").items
    assert list(found) == [Address(f"{stored}/{name}") for name in names]
    assert list(ImageList.from_paths(names, stored).items) == list(found)
    assert ImageList.from_df(below, stored, suffix=".jpg").items == found[1:]
    mixed = ImageList.from_paths([f"{stored}/a.jpg", "b.jpg"], "here").items
    assert [str(item) for item in mixed] == [f"{stored}/a.jpg", str(Path("here", "b.jpg"))]


def test_a_table_at_an_address_is_read_and_named(stored):
    Counted().pipe_file(
        "/bucket/photos/labels.csv", b"file,label\ntrain/red/1.png,r\nvalid/red/0.jpg,b"
    )
    found = ImageList.from_csv(stored, "labels.csv")
    assert found.inner_df.label.tolist() == ["r", "b"]
    assert found.items[0].name == "1.png"
    with pytest.raises(TableError, match=r"counted://bucket/photos/other.csv"):
        ImageList.from_csv(stored, "other.csv")


def test_what_is_written_for_items_elsewhere_lies_here(stored):
    assert str(bunch(ImageList.from_folder(stored)).path) == "."


def test_each_file_is_fetched_once_and_only_asked_about_in_later_runs(stored, monkeypatch):
    data = bunch(ImageList.from_folder(stored))
    for _ in range(2):
        list(data.train_dl)
    assert len(Counted.fetched) == len(set(Counted.fetched)) == 24
    monkeypatch.setattr(addresses, "_SINCE", addresses.time.time() + 60)  # another process, later
    changed = "/bucket/photos/train/red/1.png"
    Counted().pipe_file(changed, Counted().cat("/bucket/photos/train/blue/1.png"))
    after = bunch(ImageList.from_folder(stored), check=False)
    list(after.train_dl)
    assert Counted.fetched[24:] == [changed]
    blue, red = (f"{stored}/train/{name}/1.png" for name in ("blue", "red"))
    assert torch.equal(open_image(blue).data, open_image(red).data)


def test_copies_take_no_more_than_they_may(stored, cache, monkeypatch):
    most = 20_000
    monkeypatch.setattr(defaults, "fetched_bytes", most)
    data = bunch(ImageList.from_folder(stored), num_workers=0)
    for _ in data.train_dl:
        assert sum(file.stat().st_size for file in cache.rglob("*") if file.is_file()) <= most
    assert len(Counted.fetched) > 24
    monkeypatch.setattr(defaults, "fetched_bytes", 100)
    with pytest.raises(ImageError, match=r"train/red/1.png: cannot be read.*fetched_bytes"):
        open_image(f"{stored}/train/red/1.png")


def test_a_network_that_fails_now_and_then_is_asked_again(stored):
    Counted.failures = 3
    assert open_image(f"{stored}/train/red/1.png").size == (40, 48)
    Counted.failures = 4
    with pytest.raises(ImageError, match=r"counted://.*red/2.jpg.*asked 4 times.*lost"):
        open_image(f"{stored}/train/red/2.jpg")


def test_a_web_server_that_fails_now_and_then_is_asked_again(images, cache):
    pytest.importorskip("aiohttp")
    host = Host(failing=6)  # fsspec asks in two ways each time
    with served(images / "train" / "red", host) as address:
        assert open_image(f"{address}1.png").size == (40, 48)
        host.failing = 99
        with pytest.raises(ImageError, match=r"0\.jpg: cannot be read.*asked 4 times.*503"):
            open_image(f"{address}0.jpg")
        host.failing, host.error = 2, 403
        with pytest.raises(ImageError, match=r"0\.jpg: cannot be read.*not allowed.*403"):
            open_image(f"{address}0.jpg")
        host.failing, host.error = 2, 410
        with pytest.raises(ImageError, match=r"0\.jpg: no such file"):
            open_image(f"{address}0.jpg")
    with pytest.raises(ImageError, match=r"2\.jpg: cannot be read.*asked 4 times.*Connect"):
        open_image(f"{address}2.jpg")  # nobody listens any more


def test_a_web_file_of_the_same_size_and_another_time_is_fetched_again(
    tmp_path, cache, monkeypatch
):
    pytest.importorskip("aiohttp")
    file = tmp_path / "a.bmp"
    with served(tmp_path) as address:
        for i, colour in enumerate([(250, 0, 0), (0, 0, 250)]):
            Pillow.new("RGB", (4, 4), colour).save(file)
            os.utime(file, (1e9 + i, 1e9 + i))
            assert open_image(f"{address}a.bmp").pixels[0, 0].tolist() == list(colour)
            monkeypatch.setattr(addresses, "_SINCE", addresses.time.time() + 60)


@pytest.mark.parametrize("word", ["blob_id", "ETag", "sha", "last_modified"])
def test_a_store_tells_in_its_own_word_that_a_content_changed(cache, monkeypatch, word):
    info = {"name": "/b/a.bmp", "size": 3, "type": "file"}
    seen = []
    for value in ("old", "new"):
        monkeypatch.setattr(Counted, "info", lambda *_, told=value: {**info, word: told})
        seen.append(addresses._kept().version(Address("counted://b/a.bmp")))
    assert seen[0] != seen[1]


def test_a_question_mark_is_a_part_of_a_name_where_no_query_follows(cache):
    for who in ("who?1", "who?2"):
        Counted().pipe_file(f"/bucket/{who}/a?.png", b"x")
    items = ImageList.from_folder("counted://bucket").split_none().label_from_folder()
    assert items.classes == ["who?1", "who?2"]
    found = items.train.items[0]
    assert (str(found), found.name) == ("counted://bucket/who?1/a?.png", "a?.png")
    assert (found.stem, found.suffix, found.parent.name) == ("a?", ".png", "who?1")
    for signed in ("https://me:pw@h/b/a.jpg?pw/x.png", "s3://me:pw@h/b/a.jpg?X-Amz-Key=pw"):
        address = Address(signed)
        assert (address.name, address.parent.name) == ("a.jpg", "b")
        assert "pw" not in str(address)


def test_an_item_keeps_side_and_name_when_its_signature_is_renewed(stored, cache):
    png, names = Counted().cat("/bucket/photos/train/red/1.png"), [f"{i}.png" for i in range(40)]
    sides, below = [], []
    for key in ("old", "new"):
        signed = [f"counted://me:{key}@h/b/{name}?sig={key}" for name in names]
        shard = BytesIO()
        with tarfile.open(fileobj=shard, mode="w") as tar:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(png)
                tar.addfile(info, BytesIO(png))
        Counted().pipe_file(f"/h/s.tar?sig={key}", shard.getvalue())
        lists = (
            ImageList.from_paths(signed),
            ImageList.from_paths(signed, f"counted://me:{key}@h"),
            ImageList.from_shards(f"counted://h/s.tar?sig={key}"),
        )
        halves = [items.split_by_hash(0.5).valid.items for items in lists]
        sides.append([[item.name for item in half] for half in halves])
        below.append([items.relative(items.items[3]) for items in lists])
    assert sides[0] == sides[1]
    assert all(3 < len(half) < 37 for half in sides[0])
    assert below == [["counted:/h/b/3.png", "b/3.png", "s.tar/3.png"]] * 2


def test_what_is_cut_off_on_the_way_is_no_copy(stored, monkeypatch):
    def cut(self, rpath, lpath, **options):
        Path(lpath).write_bytes(self.cat(rpath)[:-5])

    monkeypatch.setattr(Counted, "get_file", cut)
    with pytest.raises(ImageError, match=r"red/1.png.*of \d+ bytes came"):
        open_image(f"{stored}/train/red/1.png")


def test_missing_and_broken_addresses_are_named_before_training(stored):
    Counted().pipe_file("/bucket/photos/train/red/1.png", b"no image")
    with pytest.raises(ImageError, match=r"1 of 24 files.*\n.*counted://.*/train/red/1.png"):
        bunch(ImageList.from_folder(stored))
    items = ImageList.from_paths(["train/red/2.jpg", "train/red/nothing.jpg"], stored)
    with pytest.raises(ImageError, match=r"1 of 2 images are missing: .*photos/train/red/nothing"):
        items.split_by_idx([1]).label_const("a").databunch(bs=1)


def test_no_message_shows_a_password_or_a_signature(cache):
    signed = "counted://me:secret@host/bucket/a.jpg?sig=secret&x=1"
    Counted.failures, Counted.fault = 4, OSError(f"403 for {signed} and url='{signed}'")
    Counted().pipe_file("/me:secret@host/bucket/a.jpg?sig=secret&x=1", b"abc")
    with pytest.raises(ImageError) as found:
        open_image(signed)
    assert "secret" not in str(found.value) + repr(Address(signed)) + f"{Address(signed)}"
    assert "counted://...@host/bucket/a.jpg" in str(found.value)
    with pytest.raises(ImageError) as found:
        ImageList.from_paths([signed + "0"] * 2).split_by_idx([1]).label_const("a").databunch(bs=1)
    assert "secret" not in str(found.value)


def test_hidden_names_and_other_endings_are_counted(stored):
    Counted().pipe_file("/bucket/photos/train/.trash/1.png", b"x")
    Counted().pipe_file("/bucket/photos/train/red/7.psd", b"x")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", OnecycleWarning)
        assert len(ImageList.from_folder(stored)) == 24
    text = "\n".join(str(w.message) for w in found)
    assert "1 hidden image files" in text
    assert "train/.trash/1.png" in text
    assert "1 .psd" in text
    assert len(ImageList.from_folder(stored, include=["valid"])) == 8


def test_two_programs_fetch_one_address_at_once(stored, monkeypatch):
    """The other one begins, and ends, while the first is at it."""
    address, plain, others = f"{stored}/train/red/1.png", Counted.get_file, []

    def slow(self, rpath, lpath, **options):
        plain(self, rpath, lpath, **options)
        if not others:
            others.append(addresses._Kept(addresses._kept().folder, 10**9))
            others.append(others[0].copy_of(Address(address)))

    monkeypatch.setattr(Counted, "get_file", slow)
    assert open_image(address).size == (40, 48)
    assert [file.name for file in others[1].parent.iterdir()] == [others[1].name]


def test_a_folder_that_cannot_be_listed_is_named(stored, monkeypatch):
    def find(self, path, **options):
        raise OSError("403 for counted://bucket/?sig=secret")

    monkeypatch.setattr(Counted, "find", find)
    with pytest.raises(EmptyDataError, match=r"counted://bucket/photos: .*listed.*403") as found:
        ImageList.from_folder(stored)
    assert "secret" not in str(found.value)


def test_a_path_made_of_an_address_is_refused():
    with pytest.raises(UsageError, match="give it as text"):
        ImageList.from_folder(Path("s3://bucket/photos"))
    with pytest.raises(ImageError, match="nonsense://a/b"):
        open_image("nonsense://a/b.jpg")


def test_decoded_pixels_of_an_address_are_kept_by_its_content(stored, tmp_path):
    data = bunch(ImageList.from_folder(stored), cache=tmp_path / "pixels")
    first = list(data.train_dl)
    fetched = len(Counted.fetched)
    again = bunch(ImageList.from_folder(stored), cache=tmp_path / "pixels")
    assert len(Counted.fetched) == fetched
    assert all(torch.equal(a, c) for (a, _), (c, _) in zip(first, again.train_dl, strict=True))


def test_masks_by_address_are_read_and_missing_ones_named(stored, monkeypatch):
    image = np.zeros((40, 48), np.uint8)
    image[3:9, 5:30] = 1
    file = BytesIO()
    Pillow.fromarray(image).save(file, "png")
    for name in "01":
        Counted().pipe_file(f"/bucket/masks/{name}.png", file.getvalue())
    names = [f"{stored}/train/red/{name}" for name in ("0.jpg", "1.png", "2.jpg")]

    def databunch(count):
        items = SegmentationItemList.from_paths(names[:count]).split_by_idx([1])
        labelled = items.label_from_func(
            lambda item: Address("counted://bucket/masks") / f"{item.stem}.png",
            classes=["ground", "thing"],
        )
        return labelled.databunch(bs=1)

    assert databunch(2).valid_dl.dataset[0][1].data.sum() == 6 * 25
    with pytest.raises(ImageError, match=r"1 of 3 masks are missing"):
        databunch(3)
    monkeypatch.setattr(addresses, "_SINCE", addresses.time.time() + 60)  # another process, later
    file = BytesIO()
    Pillow.fromarray(image * 7).save(file, "png")
    Counted().pipe_file("/bucket/masks/1.png", file.getvalue())
    with pytest.raises(LabelError, match=r"masks/1.png holds 7"):
        databunch(2)


@contextmanager
def s3_server(monkeypatch):
    """A local object store that speaks S3, and its client."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    s3fs = pytest.importorskip("s3fs")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    try:
        yield s3fs.S3FileSystem()
    finally:
        server.stop()


def test_an_object_store_is_as_good_as_a_folder(images, cache, monkeypatch):
    with s3_server(monkeypatch) as s3:
        s3.mkdir("bucket")
        upload(s3, images, "bucket/photos")
        far = bunch(ImageList.from_folder("s3://bucket/photos"), seed=3)
        assert same_batches(bunch(ImageList.from_folder(images), seed=3), far)
        with pytest.raises(ImageError, match=r"s3://bucket/photos/no.jpg"):
            open_image("s3://bucket/photos/no.jpg")


def test_a_web_server_is_as_good_as_a_folder(images, cache):
    pytest.importorskip("aiohttp")
    names = [file.relative_to(images).as_posix() for file in sorted(images.rglob("*.*g"))]
    host = Host()
    with served(images, host) as address:
        far = ImageList.from_paths(names, address)
        assert same_batches(bunch(ImageList.from_paths(names, images)), bunch(far))
        counts = {path: n for path, n in host.replies.items() if n > 1}
        assert counts == {}
        host.hides.add("/train/red/none.jpg")
        with pytest.raises(ImageError, match=r"http://.*none.jpg: no such file"):
            open_image(f"{address}/train/red/none.jpg")
