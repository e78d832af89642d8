"""Rows of a Hugging Face dataset: the images and texts that they are made of, and nothing else."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from onecycle.core.errors import ImageError, TableError, UsageError
from onecycle.text import TextList
from onecycle.vision import ImageList, SegmentationItemList, get_transforms

datasets = pytest.importorskip("datasets")


@pytest.fixture(scope="module")
def rows(images):
    """The 24 images as a dataset, in the order of their paths."""
    files = sorted(images.rglob("*.*g"))
    kinds = datasets.Features(
        {
            "picture": datasets.Image(),
            "label": datasets.ClassLabel(names=["red", "blue"]),
            "side": datasets.Value("string"),
        }
    )
    content = {
        "picture": [{"bytes": file.read_bytes(), "path": None} for file in files],
        "label": [["red", "blue"].index(file.parent.name) for file in files],
        "side": [file.parts[-3] for file in files],
    }
    return datasets.Dataset.from_dict(content, features=kinds)


def batches(split, **options):
    changed = split.transform(get_transforms(), size=24)
    data = changed.databunch(bs=4, device="cpu", seed=5, **options).normalize()
    return data, [batch for side in (data.train_dl, data.valid_dl) for batch in side]


def test_by_row_and_by_path_classes_statistics_and_batches_are_the_same(images, rows):
    near = ImageList.from_folder(images).split_by_folder().label_from_folder()
    far = ImageList.from_dataset(rows).split_from_df("side").label_from_df("label")
    (one, expected), (other, found) = batches(near), batches(far, num_workers=3)
    assert one.classes == other.classes == ["blue", "red"]
    assert one.task.input.mean == other.task.input.mean
    assert len(found) == 6
    for (x, y), (u, v) in zip(expected, found, strict=True):
        assert torch.equal(x, u)
        assert torch.equal(y, v)


def test_a_row_without_an_image_is_named(rows):
    whole = [*rows.cast_column("picture", datasets.Image(decode=False))["picture"]]
    whole[7] = None
    features = datasets.Features({"picture": datasets.Image()})
    lacking = datasets.Dataset.from_dict({"picture": whole}, features=features)
    items = ImageList.from_dataset(lacking)
    with pytest.raises(ImageError, match=r"picture/7: cannot be read \(the cell is empty"):
        items.split_by_idx([1]).label_const(1.5).transform(None, size=8).databunch(bs=2)


def test_masks_in_a_column_are_labels():
    def png(pixels):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        return {"bytes": file.getvalue(), "path": None}

    mask = np.zeros((9, 7), np.uint8)
    mask[2:4, 1:6] = 1
    colours = np.random.default_rng(0).integers(0, 256, (3, 9, 7, 3), dtype=np.uint8)
    content = {"image": [png(c) for c in colours], "mask": [png(mask)] * 3}
    kinds = datasets.Features({"image": datasets.Image(), "mask": datasets.Image()})
    data = datasets.Dataset.from_dict(content, features=kinds)
    with pytest.raises(TableError, match=r"col= names the column of images: .*'image', 'mask'"):
        SegmentationItemList.from_dataset(data)
    items = SegmentationItemList.from_dataset(data, "image").split_by_idx([1])
    found = items.label_from_df("mask", classes=["ground", "thing"]).databunch(bs=1)
    assert found.valid_ds[0][1].data.sum() == 2 * 5


def test_texts_of_rows_are_those_of_a_frame(tmp_path):
    frame = pd.DataFrame({"text": ["good", "bad", "so good", "so bad"], "label": list("gbgb")})
    made = datasets.Dataset.from_pandas(frame)
    one, other = (
        items.split_by_idx([2, 3]).label_from_df("label")
        for items in (TextList.from_dataset(made), TextList.from_df(frame, tmp_path))
    )
    assert one.task.input.vocab == other.task.input.vocab
    assert list(one.train.x.items) == list(other.train.x.items)
    assert list(one.valid.labels) == ["g", "b"]


def test_what_is_no_dataset_of_rows_is_refused_with_what_to_do(rows):
    for given, match in (
        (datasets.DatasetDict({"train": rows}), "the parts 'train': give one"),
        (rows.to_iterable_dataset(), "from_shards"),
        ([1, 2], "not list"),
    ):
        with pytest.raises(UsageError, match=match):
            ImageList.from_dataset(given)
    with pytest.raises(TableError, match="'side' is no column of images"):
        ImageList.from_dataset(rows, "side")
