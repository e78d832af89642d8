"""What validation does to an image is told in plain numbers, or by the name of what cannot be."""

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torchvision.transforms import v2

from onecycle.core.errors import CheckpointError, ExportError
from onecycle.data.targets import NoLabel
from onecycle.learn.learner import Learner
from onecycle.runtime.inputs.image import ImageSpec, View
from onecycle.vision import augment
from onecycle.vision.augment import get_transforms
from onecycle.vision.image import FlowField, ImagePoints
from onecycle.vision.input import ImageInput, half_stats, validation_spec
from onecycle.vision.learner import cnn_learner, load_cnn
from onecycle.vision.lists import ImageList
from onecycle.vision.targets import Mask, Points
from onecycle.vision.transform import flatten


def messages(*tfms, size=(16, 16), method="crop"):
    return validation_spec(ImageSpec(size, method), flatten(tfms))


@pytest.mark.parametrize(
    "tfms",
    [
        [],
        [augment.crop_pad()],
        get_transforms()[1],
        [augment.crop(16)],  # transform()'s own size wins
        [augment.rotate(30, p=0)],  # never acts
        [augment.zoom(1.0), augment.rotate(0.0)],
    ],
)
def test_what_looks_at_the_middle_needs_no_words(tfms):
    assert messages(*tfms) == ImageSpec((16, 16))


def test_crops_zooms_and_squishes_without_chance_become_a_view():
    assert messages(augment.crop(None, 0.5, 0.0)).view == View(col=0.0)
    assert messages(augment.zoom(2.0)).view == View(high=0.5, wide=0.5)
    even = messages(augment.symmetric_warp(0.25)).view  # all four corners alike: that bends nothing
    assert even == pytest.approx(View(high=1.25, wide=1.25))
    left = View(high=0.5, wide=0.5, right=-0.25)
    assert messages(augment.zoom(2.0, 0.5, 0.0)).view == pytest.approx(left)
    assert messages(augment.squish(0.8)).view == pytest.approx(View(wide=0.8))
    assert messages(augment.squish(1.25)).view == pytest.approx(View(high=0.8))
    twice = messages(augment.zoom(2.0), augment.zoom_crop(1.5))
    assert twice.view == pytest.approx(View(high=1 / 3, wide=1 / 3))
    last = messages(augment.crop(None, 0.1, 0.2), augment.crop(None, 0.7, 0.9))
    assert last.view == View(row=0.7, col=0.9)
    assert messages(augment.crop_pad(padding_mode="zeros")).padding_mode == "zeros"


def test_a_crop_with_a_size_of_its_own_is_the_window_where_there_is_no_other():
    spec = messages(augment.crop((12, 20), 0.0, 1.0), size=None)
    assert (spec.window, spec.view, spec.fixed_size) == ((12, 20), View(row=0.0, col=1.0), (12, 20))
    middle = messages(augment.crop_pad(12), size=None)
    assert (middle.window, middle.view) == ((12, 12), View())
    pixels = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    given = ImageInput().with_transforms(([], [augment.crop((12, 20), 0.0, 1.0)]))
    assert np.array_equal(given.load(pixels, np.zeros(()), NoLabel(), None).x, pixels[:12, 10:])


@pytest.mark.parametrize(
    ("tfm", "name", "why"),
    [
        (augment.rotate(10.0), "rotate", "turns"),
        (augment.flip_lr(), "flip_lr", "turns, mirrors"),
        (augment.dihedral(5), "dihedral", "turns, mirrors"),
        (augment.tilt(1, 0.2), "tilt", "bends"),
        (augment.skew(3, 0.2), "skew", "bends"),
        (augment.rand_crop(), "crop", "at random"),
        (augment.crop(None, (0.0, 0.2), 0.5), "crop", "at random"),
        (augment.zoom(1.5, p=0.5), "zoom", "at random"),
        (augment.rand_pad(4)[0], "rand_pad", "at random"),
        (augment.brightness(0.7), "brightness", "colours"),
        (augment.contrast(1.4), "contrast", "colours"),
        (augment.cutout(1, 4), "cutout", "single pixels"),
        (v2.Grayscale(3), "Grayscale", "Python function"),
        (np.negative, "negative", "Python function"),
    ],
)
def test_what_no_file_can_hold_is_named_with_its_reason(tfm, name, why):
    spec = messages(augment.crop(None, 0.5, 0.0), tfm)
    assert spec.view == ()
    (line,) = spec.in_python
    assert line.startswith(name + " (")
    assert why in line


def test_a_function_of_ones_own_is_named_by_its_name():
    def sharpened(img):
        return img

    assert messages(sharpened).in_python == ("sharpened (a Python function)",)


def loaded(pixels, tfms, y=None, target=None, **options):
    given = ImageInput().with_transforms(([], tfms), **options)
    label = np.zeros((), np.float32) if y is None else y
    return given.load(pixels, label, target or NoLabel(), None)


def test_a_view_is_pillows_crop_and_resize():
    rng = np.random.default_rng(3)
    coarse = Pillow.fromarray(rng.integers(0, 256, (6, 12, 3), dtype=np.uint8))
    img = coarse.resize((96, 40), Pillow.Resampling.BICUBIC)
    pixels = np.asarray(img)
    for tfms, size, box in (  # boxes are (left, top, right, bottom)
        ([augment.crop(None, 0.5, 0.0)], 20, (0, 0, 40, 40)),
        ([augment.crop(None, 0.5, 1.0)], 20, (56, 0, 96, 40)),
        ([augment.zoom(2.0)], 20, (38, 10, 58, 30)),
        ([augment.zoom(2.0, 1.0, 0.0)], 20, (28, 20, 48, 40)),
        ([augment.squish(0.5)], (20, 20), (24, 0, 72, 40)),
    ):
        part = img.crop(box).resize((20, 20), Pillow.Resampling.BILINEAR)
        found = loaded(pixels, tfms, size=size).x
        assert np.abs(found.astype(int) - np.asarray(part)).max() <= 1, box


def test_masks_and_points_go_where_their_image_goes():
    rng = np.random.default_rng(5)
    for tfms in (
        [augment.crop(None, 0.5, 0.1)],
        [augment.zoom(1.7, 0.2, 0.9)],
        [augment.zoom(0.6, 0.2, 0.9)],
        [augment.squish(1.6, 0.9, 0.5), augment.crop(None, 1.0, 0.0)],
    ):
        h, w = 90, 150
        pixels, mask = np.zeros((h, w, 3), np.uint8), np.zeros((1, h, w), np.int64)
        y, x = int(rng.integers(35, 55)), int(rng.integers(50, 100))
        pixels[y - 4 : y + 5, x - 4 : x + 5] = 255
        mask[0, y - 4 : y + 5, x - 4 : x + 5] = 1
        point = ImagePoints(FlowField((h, w), torch.tensor([[float(y), float(x)]])))
        options = {"size": 60, "padding_mode": "zeros"}
        spread = loaded(pixels, tfms, **options).x[:, :, 0].astype(float)
        middle = [(np.indices(spread.shape)[i] * spread).sum() / spread.sum() for i in (0, 1)]
        moved = loaded(pixels, tfms, mask, Mask(classes=("no", "yes")), **options).y[0]
        assert np.argwhere(moved == 1).mean(0) == pytest.approx(middle, abs=0.6)
        points = loaded(pixels, tfms, Points().encode(point), Points(count=1), **options).y
        assert (points[0] + 1) / 2 * 60 - 0.5 == pytest.approx(middle, abs=0.6)


# --- files ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Images three times as wide as high; what tells them apart lies at the left edge."""
    root, rng = tmp_path_factory.mktemp("wide"), np.random.default_rng(0)
    for name, value in (("dark", 40), ("light", 210)):
        (root / name).mkdir()
        for i in range(4):
            pixels = rng.integers(100, 150, (32, 96, 3), dtype=np.uint8)
            pixels[:, :24] = value
            Pillow.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def learner_of(root, tfms, size):
    src = ImageList.from_folder(root).split_by_rand_pct(0.25, seed=0).label_from_folder()
    data = src.transform((tfms, tfms), size=size).databunch(bs=4, num_workers=0)
    return cnn_learner(
        data.normalize(half_stats), "small", pretrained=False, silent=True, path=root
    )


@pytest.mark.parametrize(
    ("tfms", "size"),
    [
        ([augment.crop(None, 0.5, 0.0)], 32),
        ([augment.crop(32, 0.5, 0.0)], None),
        ([augment.zoom(1.5, 0.5, 0.0)], 24),
        ([augment.zoom(0.7, 0.1, 0.0), augment.crop_pad(padding_mode="zeros")], 24),
    ],
)
def test_a_restored_learner_sees_what_the_saved_one_saw(tfms, size, wide, tmp_path):
    learn = learner_of(wide, tfms, size)
    learn.save(tmp_path / "m")
    again = load_cnn(tmp_path / "m.safetensors")
    for file in learn.data.valid_ds.items:
        ours, theirs = (one.data.single([file]).__iter__() for one in (learn, again))
        assert torch.equal(next(ours)[0], next(theirs)[0])
        assert torch.allclose(learn.predict(file)[2], again.predict(file)[2], atol=1e-6)


def test_what_no_file_holds_is_refused_by_name_when_a_file_is_made_or_read(wide, tmp_path):
    learn = learner_of(wide, [augment.rotate(5.0), v2.Grayscale(3)], 16)
    learn.save(tmp_path / "m")
    named = r"rotate \(turns.*; Grayscale \(a Python function"
    with pytest.raises(CheckpointError, match=f"{named}.*learn.load"):
        load_cnn(tmp_path / "m.safetensors")
    with pytest.raises(ExportError, match=named):
        learn.export(tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
    before = learn.predict(learn.data.valid_ds.items[0])[2]
    fresh = Learner(learn.data, learn.model, silent=True).load(tmp_path / "m", with_opt=False)
    assert torch.equal(fresh.predict(learn.data.valid_ds.items[0])[2], before)
