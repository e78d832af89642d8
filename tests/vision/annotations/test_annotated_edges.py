"""What is odd in the files of labelling tools is said with its place, or counted."""

import json
import warnings

import numpy as np
import pytest
from annotated import MASK, SIZE, WRITERS, coco, cvat, labelme, labelstudio, save_image, voc, yolo
from exif_turns import STORED
from PIL import Image

from onecycle.core.errors import EmptyDataError, LabelError, OnecycleWarning, UsageError
from onecycle.vision import ImageList, ObjectItemList, PointsItemList, SegmentationItemList, to_coco


def edit(file, change):
    """Change the JSON of a file in place."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def labels(found):
    return {file.name: label for file, label in zip(found, found.frame["annotation"], strict=True)}


def mask_of(found, name="lamp.png"):
    return found.label_cls.encode(labels(found)[name])[0]


# What is not to count.


def test_crowds_and_ignored_names_are_void_in_masks_and_left_out_of_boxes(tmp_path):
    coco(tmp_path)

    def change(content):
        content["categories"].append({"id": 5, "name": "Ignore"})
        row = {"image_id": 1, "id": 7, "segmentation": [[0, 4, 7, 4, 7, 5, 0, 5]]}
        content["annotations"].append(row | {"category_id": 5, "bbox": [0, 4, 7, 1]})
        content["annotations"][1]["iscrowd"] = 1

    edit(tmp_path / "labels.json", change)
    found = SegmentationItemList.from_annotations(tmp_path)
    assert found.label_cls.classes == ("background", "cat", "lamp")
    assert found.label_cls.void == 255
    void = found.label_cls.ignore_index
    wanted = np.where(MASK == 1, void, MASK)
    wanted[4] = void
    assert mask_of(found).tolist() == wanted.tolist()
    with pytest.warns(OnecycleWarning, match="2 objects are marked as not to count"):
        boxes = ObjectItemList.from_annotations(tmp_path)
    assert labels(boxes)["lamp.png"][1] == ["lamp"]
    all_count = SegmentationItemList.from_annotations(tmp_path, ignore=())
    assert "Ignore" in all_count.label_cls.classes
    # ... and void is written as it was read.
    side = found.split_none().label_from_annotations().train
    again = SegmentationItemList.from_annotations(to_coco(side, "again.json"))
    assert again.label_cls.classes == found.label_cls.classes
    assert mask_of(again).tolist() == wanted.tolist()


def test_difficult_objects_of_voc_are_left_out_of_boxes(tmp_path):
    file = voc(tmp_path) / "Annotations/lamp.xml"
    file.write_text(file.read_text().replace("<difficult>0", "<difficult>1", 1))
    with pytest.warns(OnecycleWarning, match="1 objects are marked as not to count"):
        found = ObjectItemList.from_annotations(tmp_path)
    assert labels(found)["lamp.png"][1] == ["cat"]


def test_several_polygons_of_one_object_are_joined_and_one_that_crosses_itself_has_a_hole(tmp_path):
    coco(tmp_path)
    ring = [0, 0, 5, 0, 5, 5, 0, 5, 0, 0, 1, 1, 1, 4, 4, 4, 4, 1, 1, 1]  # out, and in by one cut

    def change(content):
        content["annotations"] = content["annotations"][:1]
        content["annotations"][0]["segmentation"] = [ring, [2, 2, 3, 2, 3, 3, 2, 3]]

    edit(tmp_path / "labels.json", change)
    wanted = np.zeros(SIZE, int)
    wanted[:, :5] = 1
    wanted[1:4, 1:4] = 0
    wanted[2, 2] = 1
    found = SegmentationItemList.from_annotations(tmp_path, classes=["lamp"])
    assert mask_of(found).tolist() == wanted.tolist()


def test_what_reaches_beyond_its_image_is_cut_and_counted(tmp_path):
    labelme(tmp_path)
    far = [(-3, -2), (2, -2), (2, 9), (-3, 9)]
    edit(tmp_path / "lamp.json", lambda c: c["shapes"][0].update(points=far))
    with pytest.warns(OnecycleWarning, match="1 boxes reach beyond their image"):
        found = ObjectItemList.from_annotations(tmp_path)
    assert labels(found)["lamp.png"][0][0] == (0, 0, 5, 2)
    with pytest.warns(OnecycleWarning, match="1 outlines reach beyond their image"):
        found = SegmentationItemList.from_annotations(tmp_path)
    wanted = np.where(MASK == 1, 1, 0)
    wanted[:, :2] = 2
    assert mask_of(found).tolist() == wanted.tolist()
    away = [(20, 1), (22, 1), (22, 2), (20, 2)]
    edit(tmp_path / "lamp.json", lambda c: c["shapes"][0].update(points=away))
    with pytest.warns(OnecycleWarning) as said:
        found = ObjectItemList.from_annotations(tmp_path)
    assert any("1 boxes are empty or lie outside" in str(row.message) for row in said)
    assert labels(found)["lamp.png"][1] == ["cat"]


def test_lines_and_points_have_no_area_and_are_counted(tmp_path):
    labelme(tmp_path)
    row = {"label": "path", "shape_type": "linestrip", "points": [[1, 1], [2, 4], [6, 4]]}
    edit(tmp_path / "lamp.json", lambda c: c["shapes"].append(row))
    with pytest.warns(OnecycleWarning, match="1 objects without an area"):
        assert mask_of(SegmentationItemList.from_annotations(tmp_path)).max() == 2
    with pytest.warns(OnecycleWarning, match="1 objects are points or lines alone"):
        ObjectItemList.from_annotations(tmp_path)


def test_boxes_alone_are_no_masks(tmp_path):
    with pytest.raises(LabelError, match=r"2 objects have no outline.*ObjectItemList"):
        SegmentationItemList.from_annotations(voc(tmp_path))
    with pytest.warns(OnecycleWarning), pytest.raises(EmptyDataError, match="no labels for a list"):
        PointsItemList.from_annotations(tmp_path)


def test_chosen_classes_are_in_the_order_that_is_asked_for(tmp_path):
    cvat(tmp_path)
    found = SegmentationItemList.from_annotations(tmp_path, classes=["lamp"])
    assert found.label_cls.classes == ("background", "lamp")
    assert mask_of(found).tolist() == (MASK == 2).astype(int).tolist()
    both = SegmentationItemList.from_annotations(tmp_path, classes=["lamp", "cat"])
    assert mask_of(both).tolist() == np.array([0, 2, 1])[MASK].tolist()
    with pytest.raises(UsageError, match="'dog', and the labels have 'cat', 'lamp'"):
        ObjectItemList.from_annotations(tmp_path, classes=["dog"])


# Which images.


@pytest.mark.parametrize("name", WRITERS)
def test_an_image_that_is_named_and_not_there_is_an_error_with_its_name(name, tmp_path):
    WRITERS[name](tmp_path)
    (next(tmp_path.rglob("lamp.png"))).unlink()
    with pytest.raises(LabelError, match=r"1 images that .*lamp.*images="):
        ObjectItemList.from_annotations(tmp_path)


@pytest.mark.parametrize("name", WRITERS)
def test_images_without_labels_are_counted_and_kept_where_they_are_asked_for(name, tmp_path):
    WRITERS[name](tmp_path)
    place = next(tmp_path.rglob("lamp.png")).parent
    save_image(place / "new.png", (6, 5))
    with pytest.warns(OnecycleWarning, match=r"1 images of 3 are not labelled.*new\.png"):
        found = ObjectItemList.from_annotations(tmp_path)
    assert len(found) == 2
    assert len(ObjectItemList.from_annotations(tmp_path, unlabelled="drop")) == 2
    kept = ObjectItemList.from_annotations(tmp_path, unlabelled="keep")
    assert labels(kept)["new.png"] == [[], []]


def test_a_task_of_label_studio_that_nobody_did_is_not_labelled(tmp_path):
    labelstudio(tmp_path)
    edit(tmp_path / "export.json", lambda tasks: tasks[1].update(annotations=[]))
    with pytest.warns(OnecycleWarning, match="1 images of 2 are not labelled"):
        assert len(ObjectItemList.from_annotations(tmp_path)) == 1


def test_of_two_annotations_of_a_task_the_option_says_which_one_counts(tmp_path):
    labelstudio(tmp_path)

    def change(tasks):
        done = tasks[0]["annotations"]
        done.append({"result": done[0]["result"][:1]})
        done.append({"result": [], "was_cancelled": True})

    edit(tmp_path / "export.json", change)
    with pytest.raises(UsageError, match=r"has 2 annotations: several="):
        ObjectItemList.from_annotations(tmp_path)
    for several, names in (("first", ["lamp", "cat"]), ("last", ["lamp"])):
        found = ObjectItemList.from_annotations(tmp_path, several=several)
        assert labels(found)["lamp.png"][1] == names


def test_images_elsewhere_are_named_by_the_option(tmp_path):
    coco(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "a/labels.json").rename(tmp_path / "b/labels.json")
    with pytest.raises(EmptyDataError, match="images= names their folder"):
        ObjectItemList.from_annotations(tmp_path / "b/labels.json")
    found = ObjectItemList.from_annotations(tmp_path / "b/labels.json", images=tmp_path / "a")
    assert len(found) == 2


def test_a_name_that_may_be_two_images_is_an_error(tmp_path):
    coco(tmp_path)
    save_image(tmp_path / "x/lamp.png")
    save_image(tmp_path / "y/lamp.png")
    (tmp_path / "lamp.png").unlink()
    with pytest.raises(LabelError, match=r"labels\.json, image 1: .*may be .*images="):
        ObjectItemList.from_annotations(tmp_path)
    edit(tmp_path / "labels.json", lambda c: c["images"][0].update(file_name="y/lamp.png"))
    found = ObjectItemList.from_annotations(tmp_path, unlabelled="drop")
    assert {file.parent.name for file in found} == {"y", tmp_path.name}


def test_an_image_in_another_folder_than_is_said_is_counted(tmp_path):
    coco(tmp_path)
    edit(tmp_path / "labels.json", lambda c: c["images"][0].update(file_name="C:\\old\\lamp.png"))
    with pytest.warns(OnecycleWarning, match="1 images lie in another folder"):
        assert len(ObjectItemList.from_annotations(tmp_path)) == 2


@pytest.mark.parametrize(
    "name", ["../../secret.png", "..\\..\\secret.png", "a/../../../secret.png"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(name, tmp_path):
    save_image(tmp_path / "secret.png")
    labelme(tmp_path / "in/set")
    edit(tmp_path / "in/set/lamp.json", lambda c: c.update(imagePath=name))
    with pytest.raises(LabelError, match=r"lamp\.json: .*secret.* leads out of"):
        ObjectItemList.from_annotations(tmp_path / "in/set")


def test_an_absolute_name_opens_nothing_outside_the_folder(tmp_path):
    save_image(tmp_path / "secret.png")
    labelme(tmp_path / "set")
    edit(tmp_path / "set/lamp.json", lambda c: c.update(imagePath=str(tmp_path / "secret.png")))
    with pytest.raises(LabelError, match=r"1 images that .* are not below"):
        ObjectItemList.from_annotations(tmp_path / "set")


def test_an_image_of_another_size_than_was_labelled_is_an_error(tmp_path):
    cvat(tmp_path)
    save_image(tmp_path / "images/lamp.png", (10, 14))
    with pytest.raises(LabelError, match=r"another size.*lamp\.png \(\(10, 14\), labelled at"):
        ObjectItemList.from_annotations(tmp_path)


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
@pytest.mark.parametrize("upright", [True, False])
def test_labels_lie_on_the_upright_image_whichever_the_tool_showed(turn, upright, tmp_path):
    """An image with an EXIF mark, labelled as stored (the sizes say so) or upright."""
    exif = Image.Exif()
    exif[274] = turn
    wanted = MASK == 2
    stored = np.ascontiguousarray(STORED[turn](wanted))
    Image.fromarray(stored.astype(np.uint8) * 255).save(tmp_path / "a.png", exif=exif)
    shown = wanted if upright else stored
    h, w = shown.shape
    rle = ",".join(map(str, runs(shown)))
    rows = f'<mask label="x" rle="{rle}" left="0" top="0" width="{w}" height="{h}"/>'
    place = np.argwhere(shown)[0] + 0.5
    rows += f'<points label="x" points="{place[1]},{place[0]}"/>'
    image = f'<image name="a.png" width="{w}" height="{h}">{rows}</image>'
    (tmp_path / "a.xml").write_text(f"<annotations>{image}</annotations>")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        mask = mask_of(SegmentationItemList.from_annotations(tmp_path), "a.png")
        boxes = labels(ObjectItemList.from_annotations(tmp_path))["a.png"][0]
        points = labels(PointsItemList.from_annotations(tmp_path))["a.png"].pixels
    assert mask.tolist() == wanted.astype(int).tolist()
    ys, xs = np.nonzero(wanted)
    assert boxes == [(ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)]
    y, x = points[0].round().int().tolist()
    assert wanted[y, x]
    assert any("labelled as they are stored" in str(row.message) for row in said) is not upright


def runs(mask):
    """Lengths along the rows, the first without the thing, counted one by one."""
    lengths, state = [0], False
    for value in mask.ravel():
        if bool(value) != state:
            lengths.append(0)
            state = not state
        lengths[-1] += 1
    return lengths


# Files that are not what they should be.

WRONG = (  # (in which list, which entry, what is changed, what is said)
    ("annotations", 0, {"category_id": 77}, "its category_id 77 is none of the 2"),
    ("annotations", 1, {"image_id": "x"}, "its image_id 'x' is none of the 2"),
    ("annotations", 0, {"segmentation": [[1, 2, 3, 4]]}, "a polygon has 2 corners"),
    (
        "annotations",
        1,
        {"segmentation": {"size": [5, 7], "counts": [3]}},
        "do not add up to the 35",
    ),
    ("annotations", 1, {"segmentation": {"size": [5, 7], "counts": [[35]]}}, "no list of whole"),
    (
        "annotations",
        1,
        {"segmentation": {"size": [5, 7], "counts": [9.5, 25.5]}},
        "no list of whole",
    ),
    ("annotations", 1, {"segmentation": {"size": [5, 7], "counts": "\1z"}}, "no compressed run"),
    ("annotations", 1, {"segmentation": {"size": [5, 7], "counts": "0P"}}, "cut off"),
    ("annotations", 1, {"segmentation": {"size": [9**9, 9**9], "counts": [1]}}, "no number from"),
    ("annotations", 1, {"segmentation": {"size": [7, 5], "counts": [35]}}, "are of (7, 5) (h, w)"),
    ("annotations", 0, {"bbox": [1, 1, -5, 3]}, "the width of its bbox is -5"),
    ("images", 1, {"id": 1}, "two have the id 1"),
    ("images", 0, {"file_name": 5.5}, "file_name is 5.5, no name"),
    ("categories", 1, {"id": None}, "its id is None"),
)


@pytest.mark.parametrize(("name", "entry", "change", "message"), WRONG)
def test_what_is_wrong_in_a_coco_file_is_said_with_its_entry(
    name, entry, change, message, tmp_path
):
    coco(tmp_path)
    edit(tmp_path / "labels.json", lambda content: content[name][entry].update(change))
    with pytest.raises(LabelError, match=rf"labels\.json, {name}\[{entry}\]: ") as error:
        ObjectItemList.from_annotations(tmp_path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": [], "annotations": [{"caption": "a dog"}]}, "captions are texts"),
        ({"images": [], "annotations": [{"segments_info": []}]}, "panoptic is not read"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}], "list of COCO results"),
        ([{"image": "a.png", "annotator": 1, "annotation_id": 3}], "JSON-MIN"),
        ({"what": 1}, "no labels of a format that is known"),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(content, message, tmp_path):
    save_image(tmp_path / "a.png")
    (tmp_path / "x.json").write_text(json.dumps(content))
    for path in (tmp_path, tmp_path / "x.json"):
        with pytest.raises(LabelError, match=message):
            ImageList.from_annotations(path)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    "<annotations><image name='&b;'/></annotations>"
)
OUTSIDE = (
    '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    "<annotations><image name='a.png'><tag label='x'>&a;</tag></image></annotations>"
)


@pytest.mark.parametrize("text", [BOMB, OUTSIDE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_no_entity_of_xml_is_expanded(text, encoding, tmp_path):
    save_image(tmp_path / "a.png")
    text = text.replace('version="1.0"', f'version="1.0" encoding="{encoding}"')
    (tmp_path / "a.xml").write_text(text, encoding=encoding)
    with pytest.raises(LabelError, match=r"a\.xml: .*document type"):
        ImageList.from_annotations(tmp_path)


@pytest.mark.parametrize(
    "text", ["<annotations>" + "<a>" * 300_000, "<annotations", "", "\0", "<a>" * 50 + "</b>"]
)
def test_xml_that_is_none_is_said_with_its_file(text, tmp_path):
    save_image(tmp_path / "a.png")
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(LabelError, match=r"a\.xml: is no XML"):
        ImageList.from_annotations(tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    coco(tmp_path)
    monkeypatch.setattr("onecycle.vision.annotations.sources._LARGEST", 100)
    with pytest.raises(LabelError, match=r"labels\.json: .* bytes of labels are more than 100"):
        ObjectItemList.from_annotations(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 .5 .5 .2 .2 .9", "6 numbers: a prediction with its confidence"),
        ("2 .5 .5 .2 .2", "its class is 2, and there are names for 0-1"),
        ("0 .5 .5 .2", "it has 4 numbers; a box has 5"),
        ("0 .5 .5 -.2 .2", "below 0"),
        ("0 320 240 64 64", "a share is '320'"),
        ("0.5 .5 .5 .2 .2", "its class is '0.5', no whole number"),
        ("cat .5 .5 .2 .2", "its class is 'cat'"),
    ],
)
def test_what_is_wrong_in_a_line_of_yolo_is_said_with_its_line(line, message, tmp_path):
    yolo(tmp_path)
    (tmp_path / "labels/none.txt").write_text("1 .5 .5 .1 .1\n" + line + "\n")
    with pytest.raises(LabelError, match=r"none\.txt, line 2: ") as error:
        ObjectItemList.from_annotations(tmp_path)
    assert message in str(error.value)


def test_numbers_without_names_ask_for_the_option(tmp_path):
    yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(UsageError, match="classes= gives the names of 0, 1"):
        ObjectItemList.from_annotations(tmp_path)
    found = ObjectItemList.from_annotations(tmp_path, classes=["dog", "cow"])
    assert sorted(labels(found)["lamp.png"][1]) == ["cow", "dog"]
    (tmp_path / "labels/classes.txt").write_text("pig\nhen\n")
    found = ObjectItemList.from_annotations(tmp_path)
    assert sorted(labels(found)["lamp.png"][1]) == ["hen", "pig"]


def test_a_video_of_cvat_is_refused(tmp_path):
    cvat(tmp_path)
    file = tmp_path / "annotations.xml"
    file.write_text(file.read_text().replace("</annotations>", "<track id='0'/></annotations>"))
    with pytest.raises(LabelError, match=r"of a video: export it as 'CVAT for images 1\.1'"):
        ObjectItemList.from_annotations(tmp_path)


@pytest.mark.parametrize(
    "options", [{"unlabelled": "x"}, {"several": "both"}, {"format": "zip"}, {"classes": "cat"}]
)
def test_options_that_mean_nothing_are_refused(options, tmp_path):
    with pytest.raises(UsageError, match=f"{next(iter(options))}= is"):
        ObjectItemList.from_annotations(coco(tmp_path), **options)
