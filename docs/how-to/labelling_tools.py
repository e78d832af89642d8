# %% [markdown]
# # Labels from a labelling tool
#
# `from_annotations` reads what COCO, Pascal VOC, YOLO, LabelMe, Label Studio and CVAT write, from a file
# or a folder, and says which it was. The kind of list decides what is taken:
#
# | list | label |
# |---|---|
# | `SegmentationItemList` | masks, drawn of polygons, rectangles, ellipses and brushes; files of masks from VOC |
# | `ObjectItemList` | boxes, also those around polygons and masks |
# | `PointsItemList` | key points, or single points in the order of their names |
# | `ImageList` | choices, tags and flags of the image; where there are none, the names of its objects as tags |
#
# Here a folder is labelled by code, as LabelMe would: an image, and a JSON file of the same name.

# %%
import json

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from onecycle.vision import *

n = 60  # tiny: 24
path = Path("leaves")
path.mkdir(exist_ok=True)
rng = np.random.default_rng(0)
for i in range(n):
    image = Pillow.fromarray(rng.integers(60, 120, (64, 64, 3), dtype=np.uint8))
    angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
    y, x = rng.uniform(24, 40, 2)
    corners = [(x + 20 * np.cos(a), y + 14 * np.sin(a)) for a in angles]
    ImageDraw.Draw(image).polygon(corners, fill=(90, 200, 80))
    image.save(path / f"{i:03d}.png")
    shapes = [{"label": "leaf", "shape_type": "polygon", "points": corners}]
    if i % 6 == 0:
        edge = [[0, 0], [64, 6]]
        shapes.append({"label": "ignore", "shape_type": "rectangle", "points": edge})
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"{i:03d}.png"}
    content |= {"imageHeight": 64, "imageWidth": 64}
    (path / f"{i:03d}.json").write_text(json.dumps(content))

# %% [markdown]
# From there on it is a list as any other; `label_from_annotations` gives each image its label.

# %%
listed = SegmentationItemList.from_annotations(path)
data = (
    listed.split_by_rand_pct(0.2, seed=1)
    .label_from_annotations()
    .transform(get_transforms(), size=(64, 64))
    .databunch(bs=8)
    .normalize(half_stats)
)
data.show_batch(rows=2, figsize=(5, 5))

# %% [markdown]
# What was marked "ignore" is void, which no loss and no metric counts.

# %%
listed.label_cls

# %%
learn = unet_learner(data, "small", metrics=[dice])
learn.fit_one_cycle(1, 3e-3)
learn.unfreeze()
learn.fit_one_cycle(4, 3e-3)

# %% [markdown]
# ## Written back
#
# `to_coco` writes what is predicted, over the whole images, as a COCO file that pycocotools and labelling
# tools read, and `from_annotations` again; with `data.valid_ds` in place of the predictions it writes the
# labels. A mask becomes one object for each class of an image, boxes one each, points one of the category
# "points", classes and tags objects without a place. Names of images are relative to the data's folder.

# %%
file = to_coco(learn.predictions(), "predicted.json")
rows = json.loads(file.read_text())["annotations"]
[{key: row[key] for key in ("image_id", "bbox", "area", "score")} for row in rows[:2]]

# %%
SegmentationItemList.from_annotations(file, unlabelled="drop").label_cls

# %% [markdown]
# ## What is taken how
#
# - **Coordinates** go from edge to edge: the pixel in the corner lies between 0 and 1, and belongs to a
#   polygon where its centre does. VOC counts pixels from 1, and its last ones belong to the box; whole
#   numbers of COCO's key points are centres of pixels.
# - **Of things that overlap the smaller one is on top**, since beneath it would be lost; of equal ones the
#   later. CVAT's `z_order` goes before. A polygon that crosses itself has a hole (even-odd rule); several
#   polygons of one object are joined, as pycocotools does. Lines and points have no area.
# - **Not to count**: crowds in COCO, difficult objects in VOC, and the names in `ignore=` ("ignore",
#   "void", "dontcare" and their like) are void in masks. For boxes they are left out, with a count.
# - **Classes** are numbered as the tool does, after the background; `classes=` chooses and orders them.
# - **Images without labels** are left out with a warning, `unlabelled="drop"` without one;
#   `unlabelled="keep"` takes them as images with nothing in them. An image that is listed, or has a file
#   of its own, and has nothing in it, is always kept.
# - **Two answers for one image** (two annotators in Label Studio, two fish with key points) are an error
#   that asks for `several="first"` or `"last"`.
# - **EXIF**: all six tools show images upright, so labels lie on the upright image. Where a file says the
#   size of the image as it is stored, and the mark turns it on its side, labels are turned, too, with a
#   warning. A mark for half a turn cannot be seen in sizes.
# - **Which format** is guessed by content, and said; `format="coco"` (`"voc"`, `"yolo"`, `"labelme"`,
#   `"labelstudio"`, `"cvat"`) decides where a folder holds several.
# - **Images elsewhere**: `images=` names their folder. Only files below it are opened, whatever a file of
#   labels says.
#
# | tool | export | what is read |
# |---|---|---|
# | COCO | `instances_*.json`, `person_keypoints_*.json` | polygons, run lengths (both), crowds, key points; objects without a place as tags |
# | Pascal VOC | folder with `Annotations` | boxes, difficult; `SegmentationClass` as masks (255 is void) |
# | YOLO | folder with `data.yaml`, or `classes.txt`, `images`, `labels` | boxes, polygons, pose (`kpt_shape`, `flip_idx`) |
# | LabelMe | folder of JSON | polygon, rectangle, circle, mask, point, line; flags |
# | Label Studio | JSON (not JSON-MIN) | choices; rectangle, ellipse, polygon, brush, key point labels |
# | CVAT | "CVAT for images 1.1" | box, ellipse, polygon, polyline, points, skeleton, mask, tag |
