"""A U-Net that has seen polygons of LabelMe alone finds what they are around."""

import json

import numpy as np
from PIL import Image, ImageDraw

from onecycle.core.errors import OnecycleWarning
from onecycle.learn.metrics import dice
from onecycle.learn.seed import set_seed
from onecycle.vision import SegmentationItemList, half_stats, to_coco, unet_learner


def draw(folder, count=32):
    """Bright leaves on grey noise, 48 x 32, outlined by hand: within a pixel."""
    rng = np.random.default_rng(3)
    for i in range(count):
        image = Image.fromarray(rng.integers(60, 120, (48, 32, 3), dtype=np.uint8))
        y, x = rng.uniform(14, 34), rng.uniform(10, 22)
        angles = np.sort(rng.uniform(0, 2 * np.pi, 8))
        corners = [(x + 10 * np.cos(a), y + 13 * np.sin(a)) for a in angles]
        ImageDraw.Draw(image).polygon(corners, fill=(90, 200, 80))
        image.save(folder / f"{i:02d}.png")
        traced = (np.array(corners) + 0.5 + rng.uniform(-0.5, 0.5, (8, 2))).tolist()
        shapes = [{"label": "leaf", "shape_type": "polygon", "points": traced}]
        content = {"version": "5.4.1", "shapes": shapes, "imagePath": f"{i:02d}.png"}
        content |= {"imageHeight": 48, "imageWidth": 32}
        (folder / f"{i:02d}.json").write_text(json.dumps(content))


def test_a_unet_learns_from_drawn_polygons_and_its_masks_are_written_back(tmp_path, recwarn):
    draw(tmp_path)
    set_seed(1)
    listed = SegmentationItemList.from_annotations(tmp_path, format="labelme")
    split = listed.split_by_idx(range(0, 32, 4)).label_from_annotations()
    data = split.transform(size=(48, 32)).databunch(bs=4, num_workers=0).normalize(half_stats)
    learn = unet_learner(data, "small", metrics=[dice], bottle=True, silent=True)
    learn.fit_one_cycle(1, 1e-2)
    learn.unfreeze()
    learn.fit_one_cycle(2, 5e-3)
    _, score = learn.validate()
    assert score > 0.85  # one class everywhere: 0 or .45
    content = json.loads(to_coco(learn.predictions(), "found.json").read_text())
    assert len(content["images"]) == 8
    found = [row["category_id"] for row in content["annotations"]]
    assert found == [2] * 8  # one leaf in each
    assert not [row for row in recwarn if row.category is OnecycleWarning]
