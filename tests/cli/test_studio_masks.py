"""Masks in the studio: what is trained on, counted and drawn, and what is left of mistakes."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from onecycle.cli.studio import work
from onecycle.cli.studio.kinds import labelled_masks
from onecycle.cli.studio.layout import LAYOUTS
from onecycle.cli.studio.masks import MaskProject, colours_of, overlaid
from onecycle.cli.studio.project import open_project
from onecycle.cli.studio.server import application
from onecycle.cli.studio.start import make_studio
from onecycle.core.errors import TableError, UsageError

EVIL = "<b>left</b>"


class Silent:
    def say(self, kind, **more):
        pass


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """10 images, 30 wide and 20 high: left of a column of their own one class, right another."""
    root = tmp_path_factory.mktemp("fields")
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    (root / "codes.txt").write_text(f"{EVIL}\nright\nnowhere\n")
    for i in range(10):
        mask = np.zeros((20, 30), np.uint8)
        mask[:, 5 + 2 * i :] = 1
        shade = rng.integers(0, 40, (20, 30, 3)) + 200 * mask[..., None]
        Image.fromarray(shade.clip(0, 255).astype(np.uint8)).save(root / f"images/{i}.png")
        Image.fromarray(mask).save(root / f"masks/{i}.png")
    (root / "valid.txt").write_text("0.png\n1.png\n2.png\n")
    return root


def opened(source, home):
    home.mkdir(exist_ok=True)
    return open_project(source, home, make=MaskProject)


def client(source, home):
    asking = TestClient(
        application(make_studio(source, "masks", home, None), "secret"),
        base_url="http://127.0.0.1:80",
    )
    asking.get("/?token=secret")
    return asking


def pairs_of(side):
    return {(str(x)[-5:], str(y)[-5:]) for x, y in zip(side.x.items, side.labels, strict=True)}


def test_images_that_are_trained_on_are_those_that_the_page_shows(fields, tmp_path):
    """Each beside its own mask, on the side that its layout says, without what is left out."""
    project = opened(fields, tmp_path / "home")
    assert [one.side for one in project.items] == ["valid"] * 3 + ["train"] * 7
    project.change([{"i": 1, "out": True}, {"i": 7, "out": True}])
    project.keep_tables(tmp_path)
    where, _ = LAYOUTS["masks"].options({"where": project.where(tmp_path), "how": {}})
    found = labelled_masks(where, tmp_path).labelled()
    assert pairs_of(found.valid) == {(name, name) for name in ("0.png", "2.png")}
    kept = {(f"{i}.png", f"{i}.png") for i in (3, 4, 5, 6, 8, 9)}
    assert pairs_of(found.train) == kept
    again = opened(fields, tmp_path / "home")
    assert [one.name for one in again.items if one.out] == ["images/1.png", "images/7.png"]


def test_an_image_that_is_gone_is_named(fields, tmp_path):
    (tmp_path / "labels.csv").write_text("name,label,is_valid\nimages/77.png,masks/77.png,False\n")
    where, _ = LAYOUTS["masks"].options({"where": {"source": str(fields)}, "how": {}})
    with pytest.raises(TableError, match=r"images/77\.png"):
        labelled_masks(where, tmp_path)


@pytest.mark.parametrize(
    "change", [{"label": "right"}, {"label": "masks/2.png"}, {"side": "train"}, {"i": 99}]
)
def test_masks_and_sides_are_not_changed_here(fields, tmp_path, change):
    project = opened(fields, tmp_path / "home")
    with pytest.raises(UsageError):
        project.change([{"i": 0, "out": True}, {"i": 1, **change}])
    assert not any(one.out for one in project.items)
    with pytest.raises(UsageError):
        project.change(["x"])
    with pytest.raises(UsageError):
        project.add_class("another")


def test_pixels_are_counted_by_class_and_side(fields, tmp_path):
    project = opened(fields, tmp_path / "home")
    assert project.more()["pixels"] is None
    args = {"where": {"source": str(fields)}, "how": {}}
    found = work.run_count(tmp_path, args, Silent())
    (tmp_path / "home/count.json").write_text(json.dumps(found))
    left = {i: 20 * (5 + 2 * i) for i in range(10)}
    project.change([{"i": 9, "out": True}])
    sums = project.more()["pixels"]
    of_train = sum(left[i] for i in range(3, 9))
    assert sums[EVIL] == {"valid": left[0] + left[1] + left[2], "train": of_train}
    assert sums["right"]["valid"] == 3 * 600 - sums[EVIL]["valid"]
    assert sums["nowhere"] == {}
    assert project.counts()[EVIL] == {"valid": 3, "train": 6}
    assert project.select(label="nowhere") == []


def test_classes_lie_over_the_image_where_the_mask_has_them():
    pixels = np.full((4, 6, 3), 100, np.uint8)
    mask = np.array([[0, 0, 1, 1, 2, -100]] * 4)
    classes = ["background", "a", "b"]
    found = overlaid(pixels, mask, classes)
    assert (found[:, :2] == 100).all()  # the ground has no colour
    assert (found[:, 5] == 100).all()  # nor has what counts nowhere
    colours = colours_of(classes)
    wanted = np.round(0.45 * 100 + 0.55 * colours[1].astype(float))
    assert np.abs(found[0, 2] - wanted).max() <= 1
    assert len({tuple(c) for c in colours_of([str(i) for i in range(40)])}) == 40
    assert (overlaid(pixels, mask[:, :, None].repeat(2, 2).reshape(4, 12), classes) == found).all()
    assert not (overlaid(pixels, mask, ["sky", "a", "b"])[:, 0] == 100).all()


def test_the_grid_shows_the_mask_and_the_room_look_moves_both(fields, tmp_path):
    """Where light and dark are left and right, each draw has its colours over their own sides."""
    asking = client(fields, tmp_path / "home")
    small = np.asarray(Image.open(io.BytesIO(asking.get("/thumbnail/9").content))).astype(int)
    assert small.shape == (20, 30, 3)
    first, second = colours_of([EVIL, "right", "nowhere"])[:2].astype(int)
    hue = first - second
    toward = ((small - small.mean((0, 1))) * hue).sum(2)
    assert toward[:, :20].mean() > toward[:, 26:].mean()
    assert asking.get("/api/project").json()["colours"][EVIL].startswith("#")
    given = {"max_rotate": 0.0, "max_lighting": 0.0, "do_flip": True}
    rows = asking.post("/api/look", json=given).json()["rows"]
    assert [len(row) for row in rows] == [6] * 4
    assert len({*rows[0]}) > 1
    shades = {"dark": 20, "light": 220}
    together = [0.45 * shades[s] + 0.55 * c for s, c in (("dark", first), ("light", second))]
    apart = [0.45 * shades[s] + 0.55 * c for s, c in (("dark", second), ("light", first))]
    for address in (one for row in rows for one in row):
        data = base64.b64decode(address.split(",")[1])
        pixels = np.asarray(Image.open(io.BytesIO(data))).astype(float)[:, :, None]
        near, far = (np.abs(pixels - np.array(c)).sum(-1).min(-1) for c in (together, apart))
        assert (near < far).mean() > 0.9
    assert asking.post("/api/look", json={"max_zoom": 0.2}).status_code == 400


@pytest.mark.slow
def test_the_worst_masks_are_kept_with_both_masks(fields, tmp_path):
    """Losses, IoU and images are those of the same item; a left out one is in none."""
    project = opened(fields, tmp_path / "home")
    project.change([{"i": 1, "out": True}])
    folder = tmp_path / "home/runs/1"
    folder.mkdir(parents=True)
    project.keep_tables(folder)
    args = {
        "kind": "masks",
        "where": project.where(folder),
        "how": {"size": 32, "pretrained": "no"},
    }
    args |= {"fit": {"epochs": 0, "unfrozen_epochs": 2}, "asked": {}, "counts": {}}
    (folder / "train.args.json").write_text(json.dumps(args))
    (folder / "train.json").write_text(json.dumps(work.run_training(folder, args, Silent())))
    found = client(fields, tmp_path / "home").get("/api/runs/1/masks").json()
    assert [row["name"] for row in found["classes"]] == [EVIL, "right", "nowhere"]
    assert {row["name"] for row in found["rows"]} == {"images/0.png", "images/2.png"}
    assert [row["loss"] for row in found["rows"]] == sorted(
        (row["loss"] for row in found["rows"]), reverse=True
    )
    for row in found["rows"]:
        seen, actual = (
            np.asarray(Image.open(folder / f"heat/{row['index']}{end}.jpg")).astype(int)
            for end in ("", ".actual")
        )
        edge = {"images/0.png": 5, "images/2.png": 9}[row["name"]] * seen.shape[1] / 30
        light = seen.mean((0, 2)) > 130
        assert abs(np.flatnonzero(light)[0] - edge) <= 3
        assert actual.shape == seen.shape
