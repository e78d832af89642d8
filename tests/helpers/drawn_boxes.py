"""Images with discs and bars on a rough ground, with the box of each: from none to three."""

import cv2
import numpy as np

from onecycle.vision.boxes import Boxes
from onecycle.vision.input import half_stats
from onecycle.vision.lists import ObjectItemList

CLASSES = ("bar", "disc")


def _touch(one, other):
    return all(one[i] < other[i + 2] and other[i] < one[i + 2] for i in (0, 1))


def drawn(root, count, seed=0, size=(64, 80)):
    """`count` images (h, w) in the folder `root`; {name: [boxes, names]}."""
    rng, labels = np.random.default_rng(seed), {}
    for i in range(count):
        pixels = rng.integers(40, 110, (*size, 3), dtype=np.uint8)
        boxes, names = [], []
        for _ in range(i % 4):
            h, w = rng.integers(14, 34, 2).tolist()
            name = CLASSES[rng.integers(2)]
            w = h if name == "disc" else w
            top, left = int(rng.integers(0, size[0] - h)), int(rng.integers(0, size[1] - w))
            place = (top, left, top + h, left + w)
            if any(_touch(place, other) for other in boxes):
                continue
            colour = rng.integers(160, 256, 3).tolist()
            if name == "disc":
                cv2.circle(pixels, (left + w // 2, top + h // 2), h // 2, colour, -1)
            else:
                cv2.rectangle(pixels, (left, top), (left + w - 1, top + h - 1), colour, -1)
            boxes.append(list(place))
            names.append(name)
        file = f"{i:03}.png"
        cv2.imwrite(str(root / file), pixels)
        labels[file] = [boxes, names]
    return labels


def boxes_data(root, labels, tfms=None, bs=8, **how):
    """The drawn images as data, the last quarter of them to validate."""
    last = sorted(labels)[-(len(labels) // 4) :]
    split = ObjectItemList.from_folder(root).split_by_valid_func(lambda file: file.name in last)
    labelled = split.label_from_func(lambda file: labels[file.name], Boxes(count=3))
    how = {"size": (64, 80), "resize_method": "squish"} | how
    data = labelled.transform(tfms, **how).databunch(bs=bs, num_workers=0)
    return data.normalize(half_stats)
