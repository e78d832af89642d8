"""Two tiny sets of generated 32-px images: one tag each, and several."""

import numpy as np
import pandas as pd
import pytest
from learn_helpers import HALF
from PIL import Image

from onecycle.vision.lists import ImageList

TAGS = ("dots", "lines", "warm")
N_TRAIN, N_VALID = 28, 12  # neither is a multiple of the batch size


@pytest.fixture(scope="session")
def tiles(tmp_path_factory):
    """(folder, frame): 40 images with `tags` apart by blanks, one `kind`, and `is_valid`."""
    root = tmp_path_factory.mktemp("tiles")
    rng = np.random.default_rng(3)
    rows = []
    for i in range(N_TRAIN + N_VALID):
        present = [tag for tag in TAGS if rng.random() < 0.45] or [TAGS[i % 3]]
        Image.fromarray(tile(rng, present)).save(root / f"{i:02}.png")
        rows.append((f"{i:02}.png", " ".join(present), TAGS[i % 3], float(i), i >= N_TRAIN))
    return root, pd.DataFrame(rows, columns=["name", "tags", "kind", "value", "is_valid"])


def tile(rng, present):
    """A grey 32-px tile with the tags drawn on it."""
    pixels = rng.integers(90, 150, (32, 32, 3))
    if "dots" in present:
        pixels[4::8, 4::8] = 255
    if "lines" in present:
        pixels[::6] = 0
    if "warm" in present:
        pixels[..., 0] += 60
    return pixels.clip(0, 255).astype(np.uint8)


def bunch(labelled, **options):
    how = {"bs": 8, "num_workers": 0, "device": "cpu", "no_check": True} | options
    return labelled.databunch(**how).normalize(HALF)


@pytest.fixture(scope="session")
def items(tiles):
    """The list of images, split by the frame's last column."""
    root, frame = tiles
    return ImageList.from_df(frame, root).split_from_df("is_valid")


@pytest.fixture(scope="session")
def multi_src(items):
    return items.label_from_df("tags", label_delim=" ").transform(None, size=32)


@pytest.fixture(scope="session")
def single_src(items):
    return items.label_from_df("kind").transform(None, size=32)


@pytest.fixture
def multi(multi_src):
    """A fresh DataBunch with several tags per item: 3 training batches, 2 of validation."""
    return bunch(multi_src)


@pytest.fixture
def single(single_src):
    """A fresh DataBunch with one class per item."""
    return bunch(single_src)


@pytest.fixture
def make_bunch():
    """Labelled items to a DataBunch, with the options of the tests."""
    return bunch
