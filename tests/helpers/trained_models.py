"""Learners of every kind of image task, trained for a moment on a few drawn images."""

from functools import partial

import numpy as np
import torch
from PIL import Image as Pillow
from torch import nn

from onecycle.data.targets import Numbers
from onecycle.vision.image import FlowField, ImagePoints
from onecycle.vision.input import half_stats
from onecycle.vision.learner import cnn_learner, unet_learner
from onecycle.vision.lists import ImageList, PointsItemList, SegmentationItemList

SIZES = [(40, 52), (52, 40), (64, 64), (33, 90)]
KINDS = ("red", "green", "blue")


def drawn(root):
    """24 images with a bright square in one of three colours: its colour, place and side."""
    rng = np.random.default_rng(0)
    about = {}
    for i in range(24):
        h, w = SIZES[i % 4]
        pixels = rng.integers(0, 60, (h, w, 3))
        kind, side = i % 3, int(rng.integers(8, 16))
        y, x = int(rng.integers(0, h - side)), int(rng.integers(0, w - side))
        pixels[y : y + side, x : x + side, kind] = 230
        name = f"{KINDS[kind]}_{i}.png"
        Pillow.fromarray(pixels.astype(np.uint8)).save(root / name)
        mask = np.zeros((h, w), np.uint8)
        mask[y : y + side, x : x + side] = 1
        about[name] = (kind, y, x, side, mask)
    return root, about


def body():
    """Two halvings; quick to export."""
    layers = [nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU())


def trained(kind, images, method="crop"):
    """A learner of one kind of answer, trained for a moment."""
    root, about = images
    torch.manual_seed(0)
    lists = {"mask": SegmentationItemList, "points": PointsItemList}
    split = lists.get(kind, ImageList).from_folder(root).split_by_rand_pct(0.25, seed=0)

    def points(file):
        _, y, x, side, mask = about[file.name]
        corners = torch.tensor([[y, x], [y + side, x + side]], dtype=torch.float32)
        return ImagePoints(FlowField(mask.shape, corners))

    src = {
        "category": lambda: split.label_from_re(r"([a-z]+)_\d+"),
        "multi": lambda: split.label_from_func(lambda f: [f.name.split("_")[0], "square"]),
        "numbers": lambda: split.label_from_func(lambda f: float(about[f.name][3]), Numbers),
        "points": lambda: split.label_from_func(points),
        "mask": lambda: split.label_from_func(lambda f: about[f.name][4], classes=["no", "yes"]),
    }[kind]()
    data = src.transform(None, size=(32, 48), resize_method=method).databunch(bs=6, num_workers=0)
    make = partial(unet_learner, bottle=True) if kind == "mask" else cnn_learner
    arch = "small" if kind == "category" else body()
    learn = make(data.normalize(half_stats), arch, pretrained=False, silent=True)
    learn.fit_one_cycle(1, 1e-2)
    if kind == "multi":
        learn.with_threshold(0.3)
    return learn
