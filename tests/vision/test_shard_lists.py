"""Images in shards: the same as by their paths, whoever reads them, cut or killed or resumed."""

import io
import json
import os
import tarfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
import torch
from learn_helpers import resumes_bit_for_bit, tiny_learner
from PIL import Image

from onecycle.core.errors import (
    ArchiveError,
    EmptyDataError,
    OnecycleWarning,
    TableError,
    UsageError,
)
from onecycle.core.machine import defaults
from onecycle.data.shards import Member, shards_of
from onecycle.text import TextList
from onecycle.vision import ImageList, SegmentationItemList, get_transforms


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def pack(images, folder, count=3, plan=None):
    """The images in their order in `count` shards of unlike lengths, with .cls and .json."""
    files = sorted(images.rglob("*.*g"))
    ends = [0, *(len(files) * (i + 1) ** 2 // count**2 for i in range(count))]
    folder.mkdir()
    for i, (start, end) in enumerate(pairwise(ends)):
        with tarfile.open(folder / f"part-{i:03}.tar", "w") as tar:
            for file in files[start:end]:
                key = file.relative_to(images).with_suffix("").as_posix()
                add(tar, key + file.suffix, file.read_bytes())
                add(tar, f"{key}.cls", file.parent.name.encode())
                about = {"side": file.parts[-3], "number": int(file.stem)}
                add(tar, f"{key}.json", json.dumps(about).encode())
    return folder


@pytest.fixture
def shards(images, tmp_path):
    return pack(images, tmp_path / "shards")


def bunch(split, **options):
    changed = split.transform(get_transforms(), size=24)
    return changed.databunch(bs=4, device="cpu", **options).normalize()


def by_side(items, **options):
    return bunch(items.split_from_df("side").label_from_df("cls"), seed=3, **options)


def batches(data):
    return [b for side in (data.train_dl, data.valid_dl) for b in side]


def same(one, other):
    pairs = list(zip(one, other, strict=True))
    return len(pairs) > 3 and all(
        torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in pairs
    )


def test_by_path_by_shard_and_by_address_of_shards_all_is_the_same(images, shards):
    near = ImageList.from_folder(images).split_by_folder().label_from_folder()
    near = bunch(near, seed=3)
    memory = fsspec.filesystem("memory")
    for file in shards.iterdir():
        memory.pipe_file(f"/lake/{file.name}", file.read_bytes())
    expected = batches(near)
    for place in (shards, "memory://lake"):
        far = by_side(ImageList.from_shards(place), num_workers=3)
        assert far.task.input.mean == near.task.input.mean
        assert far.classes == near.classes == ["blue", "red"]
        assert same(expected, batches(far))


def test_a_shard_that_is_read_again_next_time_is_not_looked_through_again(shards, monkeypatch):
    for file in shards.iterdir():
        os.utime(file, (1e9, 1e9))
    first = ImageList.from_shards(shards)
    monkeypatch.setattr("onecycle.data.shards._members", None)
    assert ImageList.from_shards(shards).items == first.items


def test_the_table_holds_what_is_beside_the_images(shards):
    items = ImageList.from_shards(shards)
    assert items.frame.columns.tolist() == ["key", "shard", "cls", "side", "number"]
    row = items.frame.iloc[9]
    assert row.key == "train/red/1"
    assert (row.cls, row.side, row.number) == ("red", "train", 1)
    assert items.relative(items.items[9]) == "part-001.tar/train/red/1.png"
    folders = items.split_by_idx([1, 2, 20]).label_from_folder()
    assert folders.classes == ["blue", "red"]


def test_shards_are_named_by_a_folder_a_pattern_or_a_list(shards):
    whole = ImageList.from_shards(shards).items
    assert len(whole) == 24
    assert ImageList.from_shards(str(shards / "part-{000..002}.tar")).items == whole
    assert ImageList.from_shards(sorted(shards.iterdir())).items == whole
    names = [str(shard) for shard in shards_of("s3://lake/a-{08..11}.tar")]
    assert names == [f"s3://lake/a-{n}.tar" for n in ("08", "09", "10", "11")]
    with pytest.raises(EmptyDataError, match="no shard in"):
        ImageList.from_shards(shards.parent / "part-{5..4}.tar")


def test_a_buffer_keeps_few_shards_at_hand_and_gives_each_item_once(shards, images):
    items = ImageList.from_shards(shards, buffer=5)
    data = bunch(items.split_none().label_from_df("cls"), seed=7)
    of_shard = [Path(item.shard).name for item in items.items]
    passes = []
    for epoch in range(6):
        order = np.concatenate(data.train_dl._positions(epoch)).tolist()
        assert sorted(order) == list(range(24))
        passes.append(order)
        for start in range(0, 24, 5):  # no more shards than follow one another in so many items
            begun = list(dict.fromkeys(of_shard[i] for i in order[start : start + 5]))
            assert len(begun) <= 3
        firsts = list(dict.fromkeys(of_shard[i] for i in order))
        changes = sum(a != b for a, b in pairwise(order))
        assert changes
        assert len(firsts) == 3
    assert len({tuple(order) for order in passes}) == 6
    first = {of_shard[order[0]] for order in passes}
    assert "part-002.tar" in first  # by name it would come after the first buffer
    inner = [[i for i in order if of_shard[i] == "part-002.tar"] for order in passes]
    assert len({tuple(order) for order in inner}) == 6
    again = bunch(ImageList.from_shards(shards, buffer=5).split_none().label_from_df("cls"), seed=7)
    assert np.concatenate(again.train_dl._positions(2)).tolist() == passes[2]


def test_lists_that_are_added_keep_their_buffer(shards):
    one, *others = sorted(shards.glob("*.tar"))
    whole = ImageList.from_shards(shards, buffer=3)
    both = ImageList.from_shards(one, buffer=3).add(ImageList.from_shards(others, buffer=3))
    assert (type(both.items), both.items.buffer) == (type(whole.items), 3)
    assert list(both.items) == list(whole.items)
    again, first = ([*items.items.draw(np.random.default_rng(1))] for items in (both, whole))
    assert again == first
    with pytest.raises(UsageError, match="buffer=3 and buffer=None, and one pass has one"):
        whole.add(ImageList.from_shards(one))


def test_with_a_buffer_a_shard_elsewhere_is_fetched_about_once_a_pass(
    shards, tmp_path, monkeypatch
):
    monkeypatch.setenv("ONECYCLE_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    fetched = Counter()
    whole = type(memory).get_file

    def get_file(self, rpath, lpath, **options):
        fetched[rpath] += 1
        whole(self, rpath, lpath, **options)

    monkeypatch.setattr(type(memory), "get_file", get_file)
    names = []
    for file in shards.iterdir():
        memory.pipe_file(f"/narrow/{file.name}", file.read_bytes())
        names.append(file.stat().st_size)
    monkeypatch.setattr(defaults, "fetched_bytes", max(names) + sorted(names)[-2])
    items = ImageList.from_shards("memory://narrow", buffer=1)
    data = bunch(items.split_none().label_from_df("cls"), seed=7, num_workers=0, check=False)
    fetched.clear()
    for _ in range(3):
        assert len(list(data.train_dl)) == 6
    assert max(fetched.values()) <= 3


def test_workers_and_their_number_change_nothing(shards):
    items = ImageList.from_shards(shards, buffer=6)
    assert same(batches(by_side(items, num_workers=0)), batches(by_side(items, num_workers=4)))


def test_a_training_that_was_cut_off_goes_on_with_the_next_batch(shards, tmp_path, monkeypatch):
    def learner():
        items = ImageList.from_shards(shards, buffer=6)
        torch.manual_seed(1)
        return tiny_learner(by_side(items), path=tmp_path)

    assert resumes_bit_for_bit(learner, monkeypatch)


def shard_of(folder, **members):
    file = folder / "odd.tar"
    with tarfile.open(file, "w") as tar:
        for name, data in members.items():
            add(tar, name.replace("__", "."), data)
    return file


def png(seed=0):
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize(
    ("kept", "match"),
    [
        (700, r"odd.tar/a.png: cut off \(188 of \d+ bytes\)"),
        (-10240 - 500, "odd.tar/b.png: cut off"),
        (-10240, "cut off behind the member 'b.png': its end mark is missing"),
        (100, "odd.tar: cut off, damaged or compressed at its beginning"),
    ],
)
def test_a_shard_that_is_cut_is_named_with_its_member(tmp_path, kept, match):
    file = shard_of(tmp_path, a__png=png(1), b__png=png(2))
    data = file.read_bytes().rstrip(b"\0")
    data += bytes(-len(data) % 512)
    file.write_bytes((data + bytes(10240))[:kept])
    with pytest.raises(ArchiveError, match=match):
        ImageList.from_shards(file)


def test_joined_and_compressed_shards_are_refused(tmp_path):
    file = shard_of(tmp_path, a__png=png(1))
    whole = file.read_bytes()
    file.write_bytes(whole + whole)
    with pytest.raises(
        ArchiveError, match=r"more follows behind its end, after the member 'a.png'"
    ):
        ImageList.from_shards(file)
    with tarfile.open(tmp_path / "z.tar", "w:gz") as tar:
        add(tar, "a.png", png())
    with pytest.raises(ArchiveError, match=r"z.tar: cut off, damaged or compressed"):
        ImageList.from_shards(tmp_path / "z.tar")


def test_a_shard_that_is_cut_while_training_is_named_with_its_member(shards):
    items = ImageList.from_shards(shards)
    last = items.items[23]
    with (shards / "part-002.tar").open("r+b") as file:
        file.truncate(last.offset + 20)
    with pytest.raises(Exception, match=rf"{last.member}: cannot be read .*cut off: 20 of"):
        items[23]


@pytest.mark.parametrize("ending", ["pyd", "pickle", "pkl", "PTH", "seg.pt"])
def test_pickles_are_refused_by_their_names(tmp_path, ending):
    file = shard_of(tmp_path, **{"a__png": png(), f"a__{ending}": b"cos\nsystem\n"})
    with pytest.raises(ArchiveError, match=rf"odd.tar/a.{ending}: pickles run code"):
        ImageList.from_shards(file)


def test_links_doubles_and_samples_without_an_image_are_named(tmp_path):
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        info = tarfile.TarInfo("a.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(ArchiveError, match=r"link.tar/a.png: is no plain file"):
        ImageList.from_shards(tmp_path / "link.tar")
    with tarfile.open(tmp_path / "twice.tar", "w") as tar:
        add(tar, "a.png", png())
        add(tar, "a.png", png())
    with pytest.raises(ArchiveError, match=r"twice.tar/a.png: is there twice"):
        ImageList.from_shards(tmp_path / "twice.tar")
    with pytest.raises(ArchiveError, match=r"odd.tar/b: one .* is wanted, there are 'cls'"):
        ImageList.from_shards(shard_of(tmp_path, a__png=png(), b__cls=b"1"))
    with pytest.raises(ArchiveError, match=r"odd.tar/a: one .*there are 'png', 'jpg'; col="):
        ImageList.from_shards(shard_of(tmp_path, a__png=png(), a__jpg=png()))
    assert len(ImageList.from_shards(tmp_path / "odd.tar", col="jpg")) == 1


def test_members_that_nothing_reads_are_counted(tmp_path):
    file = shard_of(tmp_path, a__png=png(), a__npy=b"x", b__png=png(), b__npy=b"y", b__mp3=b"z")
    with pytest.warns(OnecycleWarning, match=r"3 members .* 'npy \(2\)', 'mp3 \(1\)'"):
        ImageList.from_shards(file)


def test_masks_beside_their_images_are_labels(tmp_path):
    mask = io.BytesIO()
    numbers = np.zeros((30, 20), np.uint8)
    numbers[4:9, 2:19] = 1
    Image.fromarray(numbers).save(mask, "png")
    members = {}
    for i in range(3):
        members |= {f"{i}__png": png(i), f"{i}__seg.png": mask.getvalue()}
    items = SegmentationItemList.from_shards(shard_of(tmp_path, **members), col="png")
    assert isinstance(items.frame["seg.png"][0], Member)
    data = items.split_by_idx([1]).label_from_df("seg.png", classes=["ground", "thing"])
    assert data.databunch(bs=1).valid_ds[0][1].data.sum() == 5 * 17


def test_texts_in_shards_are_the_texts_of_a_table(tmp_path):
    texts = ["a good film", "a bad one", "good again", "bad, very bad", "good", "bad"]
    members = {}
    for i, text in enumerate(texts):
        members |= {f"{i}__txt": text.encode(), f"{i}__cls": b"ab"[i % 2 :][:1]}
    file = shard_of(tmp_path, **members)
    frame = pd.DataFrame({"txt": texts, "cls": list("ababab")})
    found = [
        items.split_by_idx([2, 5]).label_from_df("cls")
        for items in (TextList.from_shards(file), TextList.from_df(frame, tmp_path))
    ]
    assert found[0].task.input.vocab == found[1].task.input.vocab
    for one, other in zip(found[0].train.x.items, found[1].train.x.items, strict=True):
        assert one == other


def test_an_item_keeps_its_side_by_hash_whatever_comes_or_goes(images, shards):
    whole = ImageList.from_folder(images)
    split = whole.split_by_hash(0.3, test_pct=0.25)
    sides = {
        whole.relative(item): name
        for name in ("train", "valid", "test")
        for item in getattr(split, name).items
    }
    assert sorted(Counter(sides.values())) == ["test", "train", "valid"]
    part = whole.filter_by_rand(0.6, seed=1).split_by_hash(0.3, test_pct=0.25)
    for name in ("train", "valid", "test"):
        assert all(sides[whole.relative(item)] == name for item in getattr(part, name).items)
    wider = {whole.relative(i) for i in whole.split_by_hash(0.5).valid.items}
    assert {item for item, name in sides.items() if name == "valid"} < wider
    key = lambda item: item.relative_to(images).with_suffix("").as_posix()  # noqa: E731
    near = whole.split_by_hash(0.3, by=key).valid
    far = ImageList.from_shards(shards).split_by_hash(0.3, by="key").valid
    assert far.frame.key.tolist() == [key(item) for item in near.items]
    groups = ImageList.from_shards(shards).split_by_hash(0.4, by="shard")
    assert not {*groups.train.frame.shard} & {*groups.valid.frame.shard}


def test_a_buffer_and_a_balanced_sampler_are_not_both(shards):
    items = ImageList.from_shards(shards, buffer=4)
    with pytest.raises(UsageError, match="draws from all shards at once"):
        by_side(items, sampler="balanced")
    with pytest.raises(UsageError, match="buffer is a whole number"):
        ImageList.from_shards(shards, buffer=0)


@pytest.mark.parametrize("order", [("json", "txt"), ("txt", "json")])
def test_two_values_for_one_column_are_an_error_and_equal_ones_are_none(images, tmp_path, order):
    """As img2dataset writes them: the JSON has the key and the text once more."""
    for name, text in (("same", "a cat"), ("other", "a dog")):
        members = {"json": json.dumps({"key": "01", "txt": "a cat"}), "txt": text}
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            add(tar, "01.png", (images / "train/red/1.png").read_bytes())
            for ending in order:
                add(tar, f"01.{ending}", members[ending].encode())
    items = ImageList.from_shards(tmp_path / "same.tar")
    assert items.frame.iloc[0].to_dict() == {"key": "01", "shard": "same.tar", "txt": "a cat"}
    with pytest.raises(TableError, match=rf"other\.tar/01\.{order[1]}: gives 'txt' a value"):
        ImageList.from_shards(tmp_path / "other.tar")


def test_shards_of_several_folders_lie_below_the_one_that_holds_them(shards, tmp_path):
    more = tmp_path / "shards2"
    more.mkdir()
    (more / "part-000.tar").write_bytes((shards / "part-001.tar").read_bytes())
    items = ImageList.from_shards([shards / "part-000.tar", more / "part-000.tar"])
    assert items.path == tmp_path
    assert [*items.frame["shard"].unique()] == ["shards/part-000.tar", "shards2/part-000.tar"]
    again = shards / ".." / shards.name / "part-001.tar"
    for twice in ([shards, shards / "part-001.tar"], [shards, again]):
        with pytest.raises(UsageError, match=r"1 shards are given twice: .*part-001\.tar"):
            ImageList.from_shards(twice)
