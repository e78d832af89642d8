"""Images in rows of Parquet files: the same as by their paths, wherever the files lie."""

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from learn_helpers import resumes_bit_for_bit, tiny_learner
from pyarrow import parquet

from onecycle.core.errors import ArchiveError, ImageError, TableError, UsageError
from onecycle.data.parquet import ParquetFile
from onecycle.vision import ImageList, SegmentationItemList, get_transforms, half_stats

datasets = pytest.importorskip("datasets")
FILES = ("part-00000.parquet", "part-00001.parquet", "part-00002.parquet")


@pytest.fixture
def lake(images, tmp_path):
    """The 24 images in three files of 3, 9 and 12 rows, four rows a group, as the Hub writes."""
    files = sorted(images.rglob("*.*g"))
    kinds = {
        "picture": datasets.Image(),
        "label": datasets.ClassLabel(names=["red", "blue"]),
        "side": datasets.Value("string"),
    }
    folder = tmp_path / "lake"
    folder.mkdir()
    for name, part in zip(FILES, (files[:3], files[3:12], files[12:]), strict=True):
        content = {
            "picture": [{"bytes": file.read_bytes(), "path": None} for file in part],
            "label": [["red", "blue"].index(file.parent.name) for file in part],
            "side": [file.parts[-3] for file in part],
        }
        made = datasets.Dataset.from_dict(content, features=datasets.Features(kinds))
        made.to_parquet(folder / name, batch_size=4)
    return folder


def bunch(split, **options):
    changed = split.transform(get_transforms(), size=24)
    return changed.databunch(bs=4, device="cpu", **options).normalize(half_stats)


def by_side(items, **options):
    return bunch(items.split_from_df("side").label_from_df("label"), seed=5, **options)


def test_by_path_and_by_row_here_and_elsewhere_all_is_the_same_but_the_order(images, lake):
    near = bunch(ImageList.from_folder(images).split_by_folder().label_from_folder(), seed=5)
    memory = fsspec.filesystem("memory")
    for file in lake.iterdir():
        memory.pipe_file(f"/rows/{file.name}", file.read_bytes())
    for place in (lake, f"{lake}/part-{{00000..00002}}.parquet", "memory://rows"):
        far = by_side(ImageList.from_parquet(place), num_workers=3)
        assert far.classes == near.classes == ["blue", "red"]
        pairs = list(zip(near.valid_dl, far.valid_dl, strict=True))
        assert len(pairs) == 2
        for (x, y), (u, v) in pairs:
            assert torch.equal(x, u)
            assert torch.equal(y, v)
        assert len(near.train_ds) == len(far.train_ds) == 16
        for i in range(16):
            assert np.array_equal(near.train_ds.x[i].pixels, far.train_ds.x[i].pixels)
            assert str(near.train_ds.y[i]) == str(far.train_ds.y[i])


def test_the_table_has_the_names_of_classes_and_the_file(lake):
    items = ImageList.from_parquet(lake)
    assert items.frame.columns.tolist() == ["label", "side", "shard"]
    assert items.frame.iloc[3].tolist() == ["blue", "train", FILES[1]]
    assert items.relative(items.items[4]) == f"{FILES[1]}/picture/1"
    assert items.frame["shard"].value_counts().to_dict() == {
        FILES[0]: 3,
        FILES[1]: 9,
        FILES[2]: 12,
    }


def test_a_pass_takes_files_in_random_order_and_reads_each_group_about_once(lake, monkeypatch):
    read = list[tuple[str, int]]()
    plain = ParquetFile.read

    def spy(self, group):
        read.append((self.place.name, group))
        return plain(self, group)

    monkeypatch.setattr(ParquetFile, "read", spy)
    items = ImageList.from_parquet(lake, buffer=4)
    data = bunch(items.split_none().label_from_df("label"), seed=1, check=False, num_workers=0)
    held = next(iter({member.shard.held for member in items.items}))
    orders, of_shard = [], [member.shard.place.name for member in items.items]
    for epoch in range(8):
        order = np.concatenate(data.train_dl._positions(epoch)).tolist()
        assert sorted(order) == list(range(24))
        assert len({of_shard[i] for i in order[:4]}) <= 2
        orders.append(order)
    assert len({tuple(order) for order in orders}) == 8
    assert {of_shard[order[0]] for order in orders} == set(FILES)
    held.most = 30_000  # bytes: of some of the seven groups
    held._kept.clear()
    held._bytes = 0
    read.clear()
    for _ in data.train_dl:
        pass
    assert len(read) == 7
    assert len(set(read)) == 7
    assert held._bytes <= held.most
    assert held._bytes == sum(len(c) for cells in held._kept.values() for c in cells)
    held.most = 1  # less than any group
    assert items.input.read(items.items[20]).x.shape == (40, 48, 3)


def test_a_training_that_was_cut_off_goes_on_with_the_very_next_batch(lake, tmp_path, monkeypatch):
    def learner():
        torch.manual_seed(1)
        return tiny_learner(by_side(ImageList.from_parquet(lake, buffer=6)), path=tmp_path)

    assert resumes_bit_for_bit(learner, monkeypatch)


def test_masks_in_a_second_column_are_labels_and_plain_binary_columns_are_images(lake, tmp_path):
    picture = ImageList.from_parquet(lake).items[0].open().read()
    mask = _png(np.array([[0, 1], [1, 0]], np.uint8))
    table = pa.table({"image": [picture] * 3, "mask": [mask] * 3, "shard": ["a", "b", "c"]})
    parquet.write_table(table, tmp_path / "streets.parquet")
    items = SegmentationItemList.from_parquet(tmp_path / "streets.parquet", "image")
    assert items.frame["shard"].tolist() == ["a", "b", "c"]  # its own
    data = items.split_by_idx([1]).label_from_df("mask", classes=["road", "car"])
    assert data.train.y[0].data.tolist() == [[[0, 1], [1, 0]]]
    assert data.train.x[0].pixels.shape == (40, 48, 3)
    with pytest.raises(TableError, match="there are 'image', 'mask'"):
        ImageList.from_parquet(tmp_path / "streets.parquet")


def _png(pixels):
    import cv2

    return cv2.imencode(".png", pixels)[1].tobytes()


def test_cut_unlike_and_empty_files_and_cells_are_named(lake, tmp_path):
    cut = tmp_path / "cut.parquet"
    cut.write_bytes((lake / FILES[2]).read_bytes()[:-20])
    with pytest.raises(ArchiveError, match=r"cut\.parquet: is no whole Parquet file"):
        ImageList.from_parquet(cut)
    with pytest.raises(UsageError, match="buffer"):
        ImageList.from_parquet(lake, buffer=0)
    other = tmp_path / "other.parquet"
    pd.DataFrame({"picture": [b"x"], "name": ["a"]}).to_parquet(other)
    with pytest.raises(TableError, match=r"other\.parquet has the columns 'picture', 'name'"):
        ImageList.from_parquet([lake / FILES[0], other])
    blank = tmp_path / "blank.parquet"
    parquet.write_table(pa.table({"image": pa.array([b"", None], pa.binary())}), blank)
    items = ImageList.from_parquet(blank)
    with pytest.raises(ImageError, match=r"blank\.parquet/image/1.*the cell is empty"):
        items.input.read(items.items[1])


def test_a_group_that_is_damaged_later_is_an_error_with_file_and_row(lake):
    items = ImageList.from_parquet(lake)
    path = lake / FILES[2]
    data = bytearray(path.read_bytes())
    data[8:4000] = b"\0" * 3992
    path.write_bytes(data)
    with pytest.raises(ImageError, match=rf"{FILES[2]}/picture/0.*row group 0 cannot be read"):
        items.input.read(items.items[12])


def test_files_of_one_name_in_several_folders_are_told_apart(lake, tmp_path):
    for side in ("train", "valid"):
        (tmp_path / "both" / side).mkdir(parents=True)
        (tmp_path / "both" / side / "0.parquet").write_bytes((lake / FILES[1]).read_bytes())
    parts = [tmp_path / "both" / side / "0.parquet" for side in ("train", "valid")]
    for given in (tmp_path / "both", parts):
        items = ImageList.from_parquet(given)
        assert items.path == tmp_path / "both"
        assert items.frame["shard"].unique().tolist() == ["train/0.parquet", "valid/0.parquet"]
        split = items.split_by_folder()
        assert (len(split.train), len(split.valid)) == (9, 9)
    with pytest.raises(UsageError, match=r"1 Parquet files are given twice: .*train/0\.parquet"):
        ImageList.from_parquet([parts[0], tmp_path / "both"])


def test_a_row_keeps_its_side_by_hash_when_a_file_comes(lake):
    before = ImageList.from_parquet(lake).split_by_hash(0.4)
    (lake / "0").mkdir()
    (lake / "0" / FILES[0]).write_bytes((lake / FILES[0]).read_bytes())
    after = ImageList.from_parquet(lake).split_by_hash(0.4)
    assert {*map(str, before.valid.items)} < {*map(str, after.valid.items)}
    assert {*map(str, before.train.items)} < {*map(str, after.train.items)}


def test_a_folder_named_as_a_file_is_the_files_in_it(lake):
    whole = lake.rename(lake.with_name("spark.parquet"))
    assert len(ImageList.from_parquet(whole)) == 24


def test_lists_of_text_in_a_column_are_tags(tmp_path):
    rows = {
        "image": [_png(np.full((8, 8, 3), i, np.uint8)) for i in range(3)],
        "tags": [["sea", "sand"], [], ["sea"]],
    }
    parquet.write_table(pa.table(rows), tmp_path / "tags.parquet")
    items = ImageList.from_parquet(tmp_path / "tags.parquet").split_by_idx([2])
    labelled = items.label_from_df("tags", classes=["sand", "sea"])
    assert [str(y) for y in (*labelled.train.y, *labelled.valid.y)] == ["sand;sea", "", "sea"]
