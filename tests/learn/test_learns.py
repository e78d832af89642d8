"""The proof of the pudding: a small net learns what colours alone do not tell."""

import numpy as np
import pandas as pd
import pytest
import torch
from learn_helpers import HALF
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from onecycle.learn.learner import Learner
from onecycle.learn.metrics import accuracy
from onecycle.vision.augment import get_transforms
from onecycle.vision.lists import ImageList

KINDS = ("across", "checked", "down")
N = 480


@pytest.fixture(scope="module")
def textures(tmp_path_factory):
    """(folder, frame): stripes across, stripes down, squares, in random colours and phases."""
    root = tmp_path_factory.mktemp("textures")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(N):
        kind = KINDS[int(rng.integers(3))]
        name = f"{i:03}.png"
        Image.fromarray(texture(rng, kind)).save(root / name)
        rows.append((name, kind, KINDS[int(rng.integers(3))], i >= 3 * N // 4))
    return root, pd.DataFrame(rows, columns=["name", "kind", "shuffled", "is_valid"])


def texture(rng, kind):
    """32 pixels of one of the patterns: two colours, period 4 to 8, noise."""
    period, phase = rng.integers(4, 9), rng.integers(8, size=2)
    rows, columns = (np.arange(32)[:, None] + phase[0]), (np.arange(32)[None] + phase[1])
    across, down = rows % period < period / 2, columns % period < period / 2
    mask = {"across": across & (columns >= 0), "down": down & (rows >= 0)}.get(kind, across ^ down)
    colours = rng.integers(30, 226, (2, 3))
    pixels = np.where(mask[..., None], *colours) + rng.normal(0, 20, (32, 32, 3))
    return pixels.clip(0, 255).astype(np.uint8)


def net():
    torch.manual_seed(0)
    layers = []
    for before, after in ((3, 12), (12, 24), (24, 32)):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3))


def trained_accuracy(textures, column):
    root, frame = textures
    src = ImageList.from_df(frame, root).split_from_df("is_valid").label_from_df(column)
    data = src.transform(get_transforms(max_warp=0, max_rotate=0), size=32).databunch(
        bs=32, num_workers=0, device="cpu"
    )
    learn = Learner(data.normalize(HALF), net(), metrics=accuracy, silent=True)
    learn.fit_one_cycle(7, 1e-2)
    return learn.history[-1]["accuracy"]


def colour_accuracy(textures):
    """The best that means, spreads and extremes of the colours can do by a straight line."""
    root, frame = textures
    x = []
    for name in frame["name"]:
        pixels = np.asarray(Image.open(root / name)).reshape(-1, 3).astype(float)
        x.append([*pixels.mean(0), *pixels.std(0), *pixels.min(0), *pixels.max(0)])
    x, y, held = np.array(x), frame["kind"].to_numpy(), frame["is_valid"].to_numpy()
    line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    return line.fit(x[~held], y[~held]).score(x[held], y[held])


def test_texture_is_learnt_from_scratch_and_neither_colours_nor_chance_explain_it(textures):
    learnt = trained_accuracy(textures, "kind")
    assert learnt >= 0.9
    assert colour_accuracy(textures) <= learnt - 0.3
    assert trained_accuracy(textures, "shuffled") <= learnt - 0.4
