"""One truth, written by six tools: the same masks and boxes, whichever it was."""

import json

import numpy as np
import pytest
from annotated import (
    BOXES,
    CLASSES,
    MASK,
    SIZE,
    WRITERS,
    brush,
    labelme,
    labelstudio,
    png_base64,
    region,
    save_image,
    voc,
)
from PIL import Image

from onecycle import MultiCategory
from onecycle.core.errors import LabelError, OnecycleWarning, UsageError
from onecycle.vision import ImageList, ObjectItemList, PointsItemList, SegmentationItemList

DRAWN = ("coco", "yolo", "labelme", "labelstudio", "cvat")  # the tools that draw outlines


def labels(found):
    """By the name of the file."""
    return {file.name: label for file, label in zip(found, found.frame["annotation"], strict=True)}


def mask_of(found, name="lamp.png"):
    return found.label_cls.encode(labels(found)[name])[0]


@pytest.mark.parametrize("name", DRAWN)
def test_outlines_are_drawn_to_the_pixel_whoever_wrote_them(name, tmp_path):
    found = SegmentationItemList.from_annotations(WRITERS[name](tmp_path))
    assert sorted(file.name for file in found) == ["lamp.png", "none.png"]
    assert set(found.label_cls.classes) == set(CLASSES)
    order = [found.label_cls.classes.index(c) for c in CLASSES]
    assert mask_of(found).tolist() == np.array(order)[MASK].tolist()
    assert mask_of(found, "none.png").tolist() == np.zeros((4, 6)).tolist()
    assert found.label_cls.void is None


@pytest.mark.parametrize("name", WRITERS)
def test_boxes_are_edges_in_pixels_whoever_wrote_them(name, tmp_path):
    found = ObjectItemList.from_annotations(WRITERS[name](tmp_path))
    boxes, names = labels(found)["lamp.png"]
    assert sorted(names) == ["cat", "lamp"]
    for box, thing in zip(boxes, names, strict=True):
        assert np.allclose(box, BOXES[thing], atol=1e-9), thing
    assert labels(found)["none.png"] == [[], []]
    data = found.split_by_idx([0]).label_from_annotations().transform(size=SIZE).databunch(bs=1)
    assert set(data.classes) == {"cat", "lamp"}


@pytest.mark.parametrize("name", WRITERS)
def test_the_guess_is_said_and_the_format_may_be_named(name, tmp_path, capsys):
    path = WRITERS[name](tmp_path)
    ObjectItemList.from_annotations(path)
    said = capsys.readouterr().out
    assert f"format='{name}'" in said
    assert "2 images (1 with nothing in them), 2 objects" in said
    ObjectItemList.from_annotations(path, format=name)
    assert capsys.readouterr().out == ""
    other = "cvat" if name == "coco" else "coco"
    with pytest.raises(LabelError, match=f"nothing of the format '{other}'.*there are '{name}'"):
        ObjectItemList.from_annotations(path, format=other)


def test_two_formats_in_one_folder_are_an_error_that_names_the_option(tmp_path):
    labelme(tmp_path)
    text = "<annotation><filename>lamp.png</filename></annotation>"
    (tmp_path / "lamp.xml").write_text(text)
    with pytest.raises(LabelError, match=r"several formats .*labelme.*say format="):
        ObjectItemList.from_annotations(tmp_path)
    assert len(SegmentationItemList.from_annotations(tmp_path, format="labelme")) == 2


def test_of_many_files_all_of_the_tool_are_read_and_others_passed_by(tmp_path):
    for i in range(25):
        save_image(tmp_path / f"{i:02d}.png")
        content = {"version": "5", "imagePath": f"{i:02d}.png", "shapes": []}
        shape = {"label": "x", "shape_type": "rectangle", "points": [[0, 0], [1, i / 10 + 1]]}
        (tmp_path / f"{i:02d}.json").write_text(json.dumps(content | {"shapes": [shape]}))
    assert len(ObjectItemList.from_annotations(tmp_path)) == 25
    (tmp_path / "00_settings.json").write_text('{"theme": "dark"}')
    assert len(ObjectItemList.from_annotations(tmp_path)) == 25


def test_names_of_objects_are_the_tags_of_images_without_any(tmp_path):
    found = ImageList.from_annotations(labelme(tmp_path))
    assert labels(found) == {"lamp.png": ["lamp", "cat"], "none.png": []}
    assert isinstance(found.label_cls, MultiCategory)


def test_the_steps_of_the_data_block_keep_each_label_with_its_image(tmp_path):
    for i in range(6):
        folder = tmp_path / f"{i}"
        labelme(folder)
        content = json.loads((folder / "lamp.json").read_text())
        content["shapes"][1]["label"] = f"cat{i}"
        (folder / "lamp.json").write_text(json.dumps(content))
        (folder / "none.png").unlink()
        (folder / "none.json").unlink()
    found = ObjectItemList.from_annotations(tmp_path)
    split = found.filter_by_func(lambda file: file.parent.name != "2").split_by_rand_pct(0.4, 3)
    made = split.label_from_annotations()
    for side in (made.train, made.valid):
        for file, label in zip(side.x.items, side.labels, strict=True):
            assert label[1] == ["lamp", f"cat{file.parent.name}"]
    assert len(made.train) == 3


def test_labels_of_other_lists_are_not_from_annotations(tmp_path):
    labelme(tmp_path)
    with pytest.raises(UsageError, match="from_annotations"):
        ImageList.from_folder(tmp_path).split_none().label_from_annotations()


# What a tool draws beside polygons.


def shape_mask(tmp_path, size=(9, 8), **shape):
    save_image(tmp_path / "a.png", size)
    content = {"version": "5", "imagePath": "a.png", "shapes": [{"label": "x", **shape}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return mask_of(SegmentationItemList.from_annotations(tmp_path, "labelme"), "a.png")


def test_a_labelme_circle_is_where_its_centre_is_near(tmp_path):
    found = shape_mask(tmp_path, shape_type="circle", points=[[3, 4], [3, 6.5]])
    y, x = np.mgrid[:9, :8] + 0.5
    assert found.tolist() == (np.hypot(y - 4, x - 3) < 2.5).astype(int).tolist()


def test_a_labelme_mask_lies_at_its_corner(tmp_path):
    part = np.array([[1, 0, 1, 1], [0, 1, 0, 0]])
    points = [[2, 5], [5, 6]]
    found = shape_mask(tmp_path, shape_type="mask", points=points, mask=png_base64(part))
    wanted = np.zeros((9, 8))
    wanted[5:7, 2:6] = part
    assert found.tolist() == wanted.tolist()


def studio_mask(tmp_path, *results, size=SIZE):
    save_image(tmp_path / "a.png", size)
    task = {"id": 1, "annotations": [{"result": list(results)}], "data": {"image": "a.png"}}
    (tmp_path / "e.json").write_text(json.dumps([task]))
    return mask_of(SegmentationItemList.from_annotations(tmp_path, "labelstudio"), "a.png")


def test_a_brush_of_label_studio_is_the_pixels_that_were_painted(tmp_path):
    painted = np.random.default_rng(3).random((40, 53)) < 0.4
    painted[10:20] = True
    row = region("brushlabels", (40, 53), format="rle", rle=brush(painted), brushlabels=["x"])
    assert studio_mask(tmp_path, row, size=(40, 53)).tolist() == painted.astype(int).tolist()


def test_a_rectangle_of_label_studio_turns_about_its_upper_left_corner(tmp_path):
    where = {"x": 50, "y": 40, "width": 20, "height": 40, "rotation": 90}
    row = region("rectanglelabels", (10, 10), **where, rectanglelabels=["x"])
    wanted = np.zeros((10, 10))
    wanted[4:6, 1:5] = 1  # 2 wide and 4 high at (y 4, x 5), by a quarter to the right
    assert studio_mask(tmp_path, row, size=(10, 10)).tolist() == wanted.tolist()


def cvat_mask(tmp_path, row, size=(9, 8)):
    save_image(tmp_path / "a.png", size)
    image = f'<image name="a.png" width="{size[1]}" height="{size[0]}">{row}</image>'
    (tmp_path / "a.xml").write_text(f"<annotations>{image}</annotations>")
    return mask_of(SegmentationItemList.from_annotations(tmp_path, "cvat"), "a.png")


def test_a_mask_of_cvat_runs_along_the_rows_of_its_window(tmp_path):
    row = '<mask label="x" rle="1, 3, 2, 1, 1" left="2" top="5" width="4" height="2"/>'
    found = cvat_mask(tmp_path, row)
    assert found[5].tolist() == [0, 0, 0, 1, 1, 1, 0, 0]
    assert found[6].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]
    assert found.sum() == 4


def test_a_box_of_cvat_turns_about_its_middle(tmp_path):
    row = '<box label="x" xtl="1" ytl="4" xbr="7" ybr="6" rotation="90"/>'
    wanted = np.zeros((9, 8))
    wanted[2:8, 3:5] = 1
    assert cvat_mask(tmp_path, row).tolist() == wanted.tolist()


def test_of_things_that_overlap_the_smaller_is_on_top_and_z_order_above_all(tmp_path):
    box = '<box label="{}" xtl="{}" ytl="0" xbr="{}" ybr="9" z_order="{}"/>'
    small, large = box.format("s", 2, 4, 0), box.format("l", 1, 7, 0)
    assert cvat_mask(tmp_path, small + large)[0].tolist() == [0, 2, 1, 1, 2, 2, 2, 0]
    assert cvat_mask(tmp_path, large + small)[0].tolist() == [0, 1, 2, 2, 1, 1, 1, 0]
    raised = small + box.format("l", 1, 7, 3)
    assert cvat_mask(tmp_path, raised)[0].tolist() == [0, 2, 2, 2, 2, 2, 2, 0]


def test_masks_of_voc_are_files_whose_numbers_are_vocs_own_and_255_is_void(tmp_path):
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"
    (tmp_path / "Annotations").mkdir()
    for name in "ab":
        save_image(tmp_path / f"JPEGImages/{name}.jpg")
        row = f"<filename>{name}.jpg</filename><object><name>dog</name>{box}</object>"
        (tmp_path / f"Annotations/{name}.xml").write_text(f"<annotation>{row}</annotation>")
    (tmp_path / "SegmentationClass").mkdir()
    mask = np.zeros(SIZE, np.uint8)
    mask[1, 2:5], mask[2, 2] = 12, 255
    Image.fromarray(mask).save(tmp_path / "SegmentationClass/a.png")
    with pytest.warns(OnecycleWarning, match=r"1 images have no mask.*b\.jpg"):
        found = SegmentationItemList.from_annotations(tmp_path)
    assert found.label_cls.classes[12] == "dog"
    y = mask_of(found, "a.jpg")
    assert (y == 12).sum() == 3
    assert y[2, 2] == found.label_cls.ignore_index
    assert len(found.label_cls.classes) == 21


def test_flags_choices_and_tags_are_classes_of_images(tmp_path):
    labelme(tmp_path / "me")
    for name, flags in (("lamp", {"night": True, "day": False}), ("none", {"day": True})):
        file = tmp_path / f"me/{name}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"flags": flags}))
    assert labels(ImageList.from_annotations(tmp_path / "me")) == {
        "lamp.png": "night",
        "none.png": "day",
    }
    labelstudio(tmp_path / "ls")
    tasks = json.loads((tmp_path / "ls/export.json").read_text())
    for task, chosen in zip(tasks, (["day", "wet"], ["night"]), strict=True):
        task["annotations"][0]["result"].append(
            {"type": "choices", "value": {"choices": chosen}, "from_name": "c", "to_name": "image"}
        )
    (tmp_path / "ls/export.json").write_text(json.dumps(tasks))
    found = ImageList.from_annotations(tmp_path / "ls")
    assert labels(found) == {"lamp.png": ["day", "wet"], "none.png": ["night"]}
    save_image(tmp_path / "cvat/a.png")
    save_image(tmp_path / "cvat/b.png")
    rows = '<image name="a.png"><tag label="x"/></image><image name="b.png"/>'
    (tmp_path / "cvat/a.xml").write_text(f"<annotations>{rows}</annotations>")
    with pytest.warns(OnecycleWarning, match="1 images have no class"):
        assert labels(ImageList.from_annotations(tmp_path / "cvat")) == {"a.png": "x"}


# Points.


def points_of(found, name):
    return labels(found)[name].pixels.tolist()


def test_points_come_in_the_order_of_their_names_and_know_their_mirror_partners(tmp_path):
    for name, shift in (("a", 0), ("b", 1)):
        save_image(tmp_path / f"{name}.png", (20, 30))
        rows = [("right eye", 8.5 + shift, 4.5), ("nose", 6.5, 7.5), ("left eye", 3.5, 4.5)]
        shapes = [{"label": n, "shape_type": "point", "points": [[x, y]]} for n, x, y in rows]
        content = {"version": "5", "imagePath": f"{name}.png", "shapes": shapes}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    found = PointsItemList.from_annotations(tmp_path)
    # left eye, nose, right eye; the pixel at (y 4, x 3) has its centre at 3.5, 4.5
    assert np.allclose(points_of(found, "b.png"), [[4, 3], [7, 6], [4, 9]], atol=1e-5)
    assert found.label_cls.count == 3
    assert found.label_cls.flip_pairs == ((0, 2),)


def test_key_points_of_coco_are_pixels_and_images_without_all_are_left_out(tmp_path):
    rows, things = [], []
    for i, marks in enumerate(([5, 2, 2, 9, 3, 1], [5, 2, 2, 0, 0, 0])):
        save_image(tmp_path / f"{i}.png", (12, 16))
        rows.append({"id": i, "file_name": f"{i}.png"})
        things.append({"id": i, "image_id": i, "category_id": 1, "keypoints": marks})
    kinds = [{"id": 1, "name": "fish", "keypoints": ["left_fin", "right_fin"]}]
    content = {"images": rows, "annotations": things, "categories": kinds}
    (tmp_path / "k.json").write_text(json.dumps(content))
    with pytest.warns(OnecycleWarning, match=r"1 images have not all of 2 points.*1\.png"):
        found = PointsItemList.from_annotations(tmp_path)
    assert np.allclose(points_of(found, "0.png"), [[2, 5], [3, 9]], atol=1e-5)
    assert found.label_cls.flip_pairs == ((0, 1),)


def test_of_two_with_points_the_option_says_which_one_counts(tmp_path):
    save_image(tmp_path / "images/a.png", (10, 20))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text(
        "0 .5 .5 .2 .2 .125 .35 .425 .55\n0 .5 .5 .2 .2 .5 .5 .5 .5\n"
    )
    (tmp_path / "data.yaml").write_text("names: [fish]\nkpt_shape: [2, 2]\nflip_idx: [1, 0]\n")
    with pytest.raises(UsageError, match="several='first' or 'last'"):
        PointsItemList.from_annotations(tmp_path)
    found = PointsItemList.from_annotations(tmp_path, several="first")
    assert np.allclose(points_of(found, "a.png"), [[3, 2], [5, 8]], atol=1e-5)
    assert found.label_cls.flip_pairs == ((0, 1),)
    last = PointsItemList.from_annotations(tmp_path, several="last")
    assert np.allclose(points_of(last, "a.png"), [[4.5, 9.5]] * 2, atol=1e-5)


def test_voc_counts_pixels_from_one_and_its_last_ones_belong_to_the_box(tmp_path):
    found = ObjectItemList.from_annotations(voc(tmp_path))
    boxes, names = labels(found)["lamp.png"]
    assert boxes[names.index("cat")] == (0, 4, 2, 7)
