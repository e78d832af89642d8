"""The same two small images as each labelling tool writes them down, and what is true of them.

`lamp.png` is 5 x 7 (h, w) with an L ("lamp") and a rectangle ("cat") that touches the right edge;
`none.png`, 4 x 6, has nothing in it.
"""

import base64
import io
import json

import numpy as np
from PIL import Image

SIZE = (5, 7)
L = [(1, 1), (3, 1), (3, 3), (6, 3), (6, 4), (1, 4)]  # corners (x, y)
CAT = [(4, 0), (7, 0), (7, 2), (4, 2)]
MASK = np.array(
    [
        [0, 0, 0, 0, 1, 1, 1],
        [0, 2, 2, 0, 1, 1, 1],
        [0, 2, 2, 0, 0, 0, 0],
        [0, 2, 2, 2, 2, 2, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]
)
CLASSES = ("background", "cat", "lamp")
BOXES = {"lamp": (1.0, 1.0, 4.0, 6.0), "cat": (0.0, 4.0, 2.0, 7.0)}  # (top, left, bottom, right)


def save_image(file, size=SIZE, **options):
    """Noise of its own in each file, so that no two are copies."""
    file.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, file.name)) + size[0]
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, **options)


def images(folder):
    save_image(folder / "lamp.png")
    save_image(folder / "none.png", (4, 6))


def flat(corners):
    return [float(value) for corner in corners for value in corner]


def coco(folder):
    images(folder)
    rows = [{"id": 1, "file_name": "lamp.png", "height": 5, "width": 7}]
    rows += [{"id": 2, "file_name": "none.png", "height": 4, "width": 6}]
    things = [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 9,
            "bbox": [1, 1, 5, 3],
            "segmentation": [flat(L)],
            "iscrowd": 0,
        },
        {
            "id": 2,
            "image_id": 1,
            "category_id": 4,
            "bbox": [4, 0, 3, 2],
            "segmentation": {"size": [5, 7], "counts": [20, 2, 3, 2, 3, 2, 3]},
        },
    ]
    names = [{"id": 9, "name": "lamp"}, {"id": 4, "name": "cat"}]
    content = {"images": rows, "annotations": things, "categories": names}
    (folder / "labels.json").write_text(json.dumps(content))
    return folder


def voc(folder):
    images(folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    row = (
        "<object><name>{}</name><difficult>0</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
        "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
    )
    rows = {
        "lamp": ((5, 7), row.format("lamp", 2, 2, 6, 4) + row.format("cat", 5, 1, 7, 2)),
        "none": ((4, 6), ""),
    }
    for name, ((h, w), things) in rows.items():
        size = f"<size><width>{w}</width><height>{h}</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}.png</filename>{size}{things}</annotation>"
        (folder / "Annotations" / f"{name}.xml").write_text(text)
    return folder


def yolo(folder):
    images(folder / "images")
    (folder / "labels").mkdir()
    lines = [
        " ".join([number, *(f"{x / 7} {y / 5}" for x, y in corners)])
        for number, corners in (("1", L), ("0", CAT))
    ]
    (folder / "labels/lamp.txt").write_text("\n".join(lines) + "\n")
    (folder / "labels/none.txt").write_text("")
    (folder / "data.yaml").write_text("train: images\nnames:\n  0: cat\n  1: lamp\n")
    return folder


def labelme(folder):
    images(folder)
    shapes = [
        {"label": "lamp", "shape_type": "polygon", "points": L},
        {"label": "cat", "shape_type": "rectangle", "points": [(7, 2), (4, 0)]},
    ]
    for name, (h, w), rows in (("lamp", SIZE, shapes), ("none", (4, 6), [])):
        content = {"version": "5.4.1", "flags": {}, "shapes": rows, "imagePath": f"{name}.png"}
        content |= {"imageHeight": h, "imageWidth": w, "imageData": None}
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def region(kind, size=SIZE, **value):
    more = {"original_height": size[0], "original_width": size[1], "image_rotation": 0}
    return {"type": kind, "value": value, "to_name": "image", "from_name": "label"} | more


def labelstudio(folder):
    images(folder)
    results = [
        region(
            "polygonlabels",
            points=[(100 * x / 7, 100 * y / 5) for x, y in L],
            polygonlabels=["lamp"],
        ),
        region(
            "rectanglelabels",
            x=400 / 7,
            y=0,
            width=300 / 7,
            height=40,
            rotation=0,
            rectanglelabels=["cat"],
        ),
    ]
    tasks = [
        {
            "id": 1,
            "annotations": [{"id": 1, "result": results}],
            "data": {"image": "/data/upload/1/0a1b2c3d-lamp.png"},
        },
        {
            "id": 2,
            "annotations": [{"id": 2, "result": []}],
            "data": {"image": "/data/local-files/?d=photos/none.png"},
        },
    ]
    (folder / "export.json").write_text(json.dumps(tasks))
    return folder


def cvat(folder):
    images(folder / "images")
    corners = ";".join(f"{x:.2f},{y:.2f}" for x, y in L)
    (folder / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
        "<meta><task><labels><label><name>cat</name></label><label><name>lamp</name></label>"
        '</labels></task></meta><image id="0" name="lamp.png" width="7" height="5">'
        f'<polygon label="lamp" points="{corners}" z_order="0"><attribute name="on">no</attribute>'
        '</polygon><box label="cat" xtl="4.0" ytl="0.0" xbr="7.0" ybr="2.0" z_order="0"/></image>'
        '<image id="1" name="none.png" width="6" height="4"/></annotations>'
    )
    return folder


WRITERS = {f.__name__: f for f in (coco, voc, yolo, labelme, labelstudio, cvat)}


def png_base64(mask):
    held = io.BytesIO()
    Image.fromarray((mask * 255).astype(np.uint8)).save(held, "PNG")
    return base64.b64encode(held.getvalue()).decode()


def brush(mask):
    """A bool mask (h, w) as Label Studio packs it: the bits of runs, of values of 8 bits."""
    values = np.repeat(np.where(mask.ravel(), 255, 0), 4).tolist()
    widths = (3, 4, 8, 16)
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in widths)
    at = 0
    while at < len(values):
        length = 1
        while at + length < len(values) and values[at + length] == values[at] and length < 200:
            length += 1
        if length > 1:
            which = next(i for i, width in enumerate(widths) if length <= 1 << width)
            bits += f"1{which:02b}{length - 1:0{widths[which]}b}{values[at]:08b}"
        else:
            bits += f"0{0:02b}{0:03b}{values[at]:08b}"
        at += length
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
