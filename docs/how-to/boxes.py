# %% [markdown]
# # Boxes of things in images
#
# A detector says what is where: any number of boxes in an image, each with a class and a score. Here are
# discs and bars on a rough ground, drawn by code and labelled as COCO, the form that most tools write.
# [Labels from a tool](labelling_tools.md) has the others.

# %%
import json

import cv2
import numpy as np
import torch

from onecycle.vision import *

n = 240  # tiny: 40
root = Path("shapes")
root.mkdir(exist_ok=True)
rng = np.random.default_rng(0)
images, boxes = [], []
for i in range(n):
    pixels = rng.integers(40, 110, (96, 128, 3), dtype=np.uint8)
    for _ in range(rng.integers(0, 4)):  # some images have none
        colour, side = rng.integers(150, 256, 3).tolist(), int(rng.integers(16, 40))
        x, y = int(rng.integers(0, 128 - side)), int(rng.integers(0, 96 - side))
        kind = int(rng.integers(2))
        height = side if kind else side // 2
        if kind:
            cv2.circle(pixels, (x + side // 2, y + side // 2), side // 2, colour, -1)
        else:
            cv2.rectangle(pixels, (x, y), (x + side - 1, y + height - 1), colour, -1)
        box = [x, y, side, height]
        boxes.append({"id": len(boxes) + 1, "image_id": i, "category_id": kind + 1, "bbox": box})
    cv2.imwrite(str(root / f"{i}.png"), pixels)
    images.append({"id": i, "file_name": f"{i}.png", "height": 96, "width": 128})
names = [{"id": 1, "name": "bar"}, {"id": 2, "name": "disc"}]
content = {"images": images, "annotations": boxes, "categories": names}
_ = (root / "labels.json").write_text(json.dumps(content))

# %% [markdown]
# `ObjectItemList` takes boxes. Images of several shapes need one size: `resize_method="squish"` and `"pad"`
# keep the whole image, and a crop may cut boxes away. Boxes move along when an image is flipped, turned and
# zoomed; those that leave it are dropped, with a warning that counts them.

# %%
src = ObjectItemList.from_annotations(root / "labels.json", unlabelled="keep")
labelled = src.split_by_rand_pct(0.2, seed=0).label_from_annotations()
tfms = get_transforms(max_rotate=0, max_zoom=1.0, max_warp=0)
data = labelled.transform(tfms, size=(96, 128), resize_method="squish").databunch(bs=8)
data = data.normalize(half_stats)  # as the weights of models.small expect
data.show_batch(3)

# %% [markdown]
# `detection_learner` puts a pyramid of features and the head of
# [FCOS](https://arxiv.org/abs/1904.01355), as torchvision has it, on any network with feature maps of falling
# sizes: `"resnet34"`, `models.resnet50`, `"mobilenetv3_large_100"`, and here the small one that comes along.
# From there on it is a learner like others: the body is frozen at first, `lr_find` and `fit_one_cycle` do what
# they always do, rates go by depth. `mean_ap` is COCO's figure (the mean over overlaps from .50 to .95),
# `mean_ap50` that of boxes that overlap by half; both come from pycocotools (`pip install
# 'onecycle[boxes]'`).

# %%
torch.manual_seed(0)
learn = detection_learner(data, models.small, metrics=[mean_ap, mean_ap50])
learn.fit_one_cycle(2, 5e-3)
learn.unfreeze()
epochs = 8  # tiny: 1
learn.fit_one_cycle(epochs, slice(1e-3, 5e-3))

# %%
learn.show_results(rows=3)

# %% [markdown]
# ## Answers
#
# `predict` gives the names, and for each box its edges (top, left, bottom, right; -1 to 1 from edge to edge of
# the image), the number of its class and its score. What is above the threshold is an answer:
# `learn.with_threshold(0.3)` for good, `predict(item, thresh=0.3)` for once. Of two boxes of one class that
# overlap by more than .6 the better one is kept, and of all the 100 best:
# `label_cls=Boxes(thresh=..., overlap=..., most=...)` says otherwise. The worst items, as for every kind:

# %%
learn.with_threshold(0.4)
answer, rows, _ = learn.predict(root / "1.png")
print(answer)
print(rows.numpy().round(2))
Interpretation.from_learner(learn).plot_top_losses(2)

# %% [markdown]
# Predictions are written for other tools as they read labels, in pixels and with scores:
# `to_coco(learn.predictions(), "found.json")`.
#
# ## Shipping
#
# One file holds the network, its preprocessing, the threshold and the rest of what decides. Without torch
# `Predictor` finds the same boxes as the learner, in pixels of the whole image; the server's reply has them
# as `"boxes": [{"class", "score", "box"}]`, and the page in the browser draws them.

# %%
from onecycle import Predictor

learn.export(Path("shapes.onnx").absolute())
found = Predictor("shapes.onnx").predict(root / "1.png")
print(found, found.answer.data.round(1), sep="\n")

# %% [markdown]
# From the shell: `onecycle train boxes labels.json --images photos/`, then `onecycle predict`, `serve` and
# `site` as for every kind ([From the shell](command_line.md)).
#
# ## What it is not
#
# - Places lie 8 pixels apart in the image that the network sees, so that things of less than about 8
#   pixels are hard to find: train at a larger `size`.
# - `TTA` does not merge boxes of several looks and says so; MixUp and CutMix are for other kinds.
# - A file in 8 bits (`precision="int8"`) is refused where it loses more than a point of the boxes, and says
#   what share of them it changes. `"fp16"` halves the file and changes next to nothing.
