"""An option that is accepted has an effect, or is refused: each with a value of its own."""

import inspect

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from pixel_helpers import smooth_noise

from onecycle.core.errors import ModelError, UsageError, WeightsError
from onecycle.data.targets import NoLabel
from onecycle.learn.cnn import create_cnn_model
from onecycle.models.body import create_body
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.vision import augment
from onecycle.vision.augment import get_transforms
from onecycle.vision.image import FlowField, Image, ImagePoints, ImageSegment, open_image
from onecycle.vision.input import ImageInput
from onecycle.vision.learner import create_unet_model
from onecycle.vision.lists import (
    ImageDataBunch,
    ImageList,
    ObjectItemList,
    PointsItemList,
    SegmentationItemList,
)
from onecycle.vision.transform import flatten
from onecycle.vision.warp import draw_plan, warp

IMAGE = smooth_noise(np.random.default_rng(0), (30, 44))
NOTHING = np.zeros((), np.float32)

# --- every parameter of every transform

CHANGED = {
    "rotate": ({"degrees": 20.0}, {"degrees": 35.0, "p": 0.0}),
    "flip_lr": ({}, {"p": 0.0}),
    "flip_ud": ({}, {"p": 0.0}),
    "dihedral": ({"k": 3}, {"k": 4, "p": 0.0}),
    "zoom": ({"scale": 1.4}, {"scale": 1.8, "row_pct": 0.1, "col_pct": 0.9, "p": 0.0}),
    "rand_zoom": ({"scale": (1.2, 1.4)}, {"scale": (2.0, 2.1), "p": 0.0}),
    "squish": ({"scale": 0.7}, {"scale": 1.4, "row_pct": (0.9, 1), "col_pct": 0.9, "p": 0.0}),
    "symmetric_warp": ({"magnitude": 0.2}, {"magnitude": 0.3, "p": 0.0}),
    "perspective_warp": ({"magnitude": 0.2}, {"magnitude": 0.3, "p": 0.0}),
    "tilt": ({"direction": 1, "magnitude": 0.2}, {"direction": 2, "magnitude": 0.4, "p": 0.0}),
    "skew": ({"direction": 1, "magnitude": 0.2}, {"direction": 6, "magnitude": 0.4, "p": 0.0}),
    "brightness": ({"change": 0.7}, {"change": 0.3, "p": 0.0}),
    "contrast": ({"scale": 2.0}, {"scale": 0.5, "p": 0.0}),
    "crop": ({"size": 20}, {"size": (18, 22), "row_pct": 0.1, "col_pct": 0.8}),
    "crop_pad": (
        {"size": (40, 30)},
        {"size": 50, "padding_mode": "zeros", "row_pct": 0.1, "col_pct": 0.8},
    ),
    "rand_crop": ({"size": 20}, {"size": 22}),
    "rand_pad": ({"padding": 4, "size": (30, 44)}, {"padding": 9, "size": 28, "mode": "zeros"}),
    "zoom_crop": ({"scale": 1.4}, {"scale": 1.9, "do_rand": True, "p": 0.0}),
    "rand_resize_crop": (
        {"size": 20},
        {"size": 24, "max_scale": 1.2, "ratios": (0.4, 0.5)},
    ),
    "cutout": ({"n_holes": 1, "length": 6}, {"n_holes": 4, "length": 12, "p": 0.0}),
    "jitter": ({"magnitude": 0.05}, {"magnitude": 0.2, "p": 0.0}),
    "rgb_randomize": ({"channel": 1}, {"channel": 2, "thresh": 0.9, "p": 0.0}),
}


def made(name, options):
    tfms = flatten([getattr(augment, name)(**options)])
    plan = draw_plan(tfms, ImageSpec(), IMAGE.shape[:2], np.random.default_rng(1))
    return warp(IMAGE, plan)


@pytest.mark.parametrize("name", CHANGED)
def test_each_parameter_of_a_transform_changes_the_image(name):
    plain, changes = CHANGED[name]
    known = set(inspect.signature(getattr(augment, name)).parameters)
    if name == "squish":  # a focus counts on the axis that is stretched
        assert not np.array_equal(
            made(name, {"scale": 1.4}), made(name, {"scale": 1.4, "row_pct": 0.9})
        )
        changes = {k: v for k, v in changes.items() if k != "row_pct"}
        known -= {"row_pct"}
    assert known == set(changes)
    first = made(name, plain)
    for option, value in changes.items():
        other = made(name, plain | {option: value})
        assert other.shape != first.shape or not np.array_equal(other, first), option


def test_each_parameter_of_the_common_transforms_changes_them():
    changes = {
        "do_flip": False,
        "flip_vert": True,
        "max_rotate": 20.0,
        "max_zoom": 1.5,
        "max_lighting": 0.5,
        "max_warp": 0.4,
        "p_affine": 1.0,
        "p_lighting": 1.0,
        "xtra_tfms": [augment.cutout()],
        "policy": "trivialaugment",
    }
    assert set(changes) == set(inspect.signature(get_transforms).parameters)

    def messages(tfms):
        return [(t.name, str(dict(t.draws)), t.p) for t in tfms]

    plain = messages(get_transforms()[0])
    assert all(messages(get_transforms(**{k: v})[0]) != plain for k, v in changes.items())


@pytest.mark.parametrize(
    ("make", "messages"),
    [
        (lambda: get_transforms(max_zoom=0.8), "max_zoom enlarges"),
        (lambda: get_transforms(do_flip=False, flip_vert=True), "goes with do_flip"),
        (lambda: augment.brightness(1.0), "brightness lies from 0 to 1, both excluded"),
        (lambda: augment.brightness((0.0, 0.5)), r"brightness lies .*not \(0\.0, 0\.5\)"),
        (lambda: augment.contrast(0), "contrast lies from 0 to inf"),
        (lambda: augment.zoom(0.0), "zoom lies"),
        (lambda: augment.squish(-1.0), "squish lies"),
        (lambda: augment.rand_resize_crop(20, max_scale=0.5), "max_scale lies from 1"),
        (lambda: augment.rand_resize_crop(20, ratios=(0, 1)), "ratios lies"),
        (lambda: augment.cutout(n_holes=-1), "number of holes"),
        (lambda: augment.cutout(length=0), "length of a hole"),
        (lambda: augment.rgb_randomize(channel=3), "channel lies from 0 to 2"),
        (lambda: augment.rgb_randomize(thresh=1.5), "thresh lies"),
        (lambda: augment.crop_pad(padding_mode="mirror"), "one of reflection, border, zeros"),
        (lambda: augment.rand_pad(-2), "padding is 0 or more"),
    ],
)
def test_values_that_mean_nothing_are_refused_where_they_are_given(make, messages):
    with pytest.raises(UsageError, match=messages):
        make()


def test_no_enlargement_may_be_said_as_1_or_0():
    for value in (0, 1, 1.0):
        assert "zoom" not in [t.name for t in get_transforms(max_zoom=value)[0]]


# --- transform()


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        (SegmentationItemList, lambda image: np.zeros((30, 44), np.uint8)),
        (PointsItemList, lambda image: torch.tensor([[5.0, 9.0]])),
        (ObjectItemList, lambda image: [[[2, 3, 20, 40]], ["x"]]),
    ],
)
@pytest.mark.filterwarnings("ignore:there is only one class")
def test_what_lies_on_the_image_moves_with_it_and_cannot_be_left_behind(kind, label):
    options = {"classes": ["a", "b"]} if kind is SegmentationItemList else {}
    split = kind._make([IMAGE, IMAGE.copy()], ".").split_by_idx([0])
    src = split.label_from_func(label, **options)
    for tfm_y in (None, True):
        x, y = src.transform(None, size=(15, 22), tfm_y=tfm_y).databunch(bs=1).one_batch()
        assert x.shape[2:] == (15, 22)
        if kind is SegmentationItemList:
            assert y.shape[2:] == (15, 22)
    with pytest.raises(UsageError, match=r"tfm_y=False would leave the (mask|points|boxes)"):
        src.transform(None, size=(15, 22), tfm_y=False)


def test_a_label_without_a_place_is_left_where_it_is_in_any_case():
    src = ImageList._make([IMAGE] * 3, ".").split_by_idx([0]).label_const(1.5)
    for tfm_y in (True, False, None):
        assert src.transform(None, tfm_y=tfm_y).valid.task.input.size is None


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        ({"resize_method": "pad"}, "a way of resizing goes with a size"),
        ({"resize_method": "crop"}, "a way of resizing goes with a size"),
        ({"size": 20, "resize_method": "none"}, '"none" with none'),
        ({"size": 20, "tfms": ([augment.crop(16)], [])}, r"'\(20, 20\)', '\(16, 16\)'"),
        ({"tfms": ([], [augment.crop(16), augment.crop_pad(18)])}, r"'\(16, 16\)', '\(18, 18\)'"),
        ({"padding_mode": "mirror", "size": 20}, "padding_mode is one of"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, messages):
    tfms = options.pop("tfms", None)
    with pytest.raises(UsageError, match=messages):
        ImageInput().with_transforms(tfms, **options)


def test_options_that_agree_are_not():
    for options in ({"resize_method": "none"}, {"size": 16, "resize_method": "pad"}, {}):
        ImageInput().with_transforms(([augment.crop(16), *augment.rand_pad(2, 16)], []), **options)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 24},
        {"size": (20, 24)},
        {"resize_method": "squish"},
        {"resize_method": "pad"},
        {"resize_method": "pad", "padding_mode": "zeros"},
        {"resize_method": "pad", "padding_mode": "border"},
    ],
)
def test_each_option_of_transform_changes_training_and_validation(changes):
    def loaded(options, rng):
        given = ImageInput().with_transforms(([augment.rand_crop()], []), **options)
        return given.load(IMAGE, NOTHING, NoLabel(), rng).x

    plain = {"size": 20}
    if "padding_mode" in changes:
        plain |= {"resize_method": "pad"}
    for rng in (None, 0):
        first, other = (
            loaded(o, None if rng is None else np.random.default_rng(rng))
            for o in (plain, plain | changes)
        )
        assert first.shape != other.shape or not np.array_equal(first, other)


# --- lists


def test_a_seed_without_a_random_share_and_two_ways_of_splitting_are_refused(images):
    with pytest.raises(UsageError, match="seed is for a random share"):
        ImageDataBunch.from_folder(images, seed=3)
    with pytest.raises(UsageError, match="give one of the two"):
        ImageDataBunch.from_folder(images, train=".", valid="train", valid_pct=0.2)


# --- drawing


def image():
    return Image.of_pixels(IMAGE)


def test_each_way_of_drawing_an_image_has_an_effect():
    grey = image().show(cmap="gray").images[0]
    assert grey.get_array().shape == (30, 44)
    np.testing.assert_allclose(grey.get_array(), IMAGE.mean(2))
    assert grey.get_cmap().name == "gray"
    assert image().show().images[0].get_array().shape == (30, 44, 3)
    over = ImageSegment(torch.ones(1, 30, 44, dtype=torch.int64))
    assert image().show(y=over, alpha=0.125).images[1].get_alpha() == 0.125
    with pytest.raises(UsageError, match="knows no 'alpha' without a y"):
        image().show(alpha=0.1)
    with pytest.raises(UsageError, match="knows no 'alpha'"):
        image().show(y="cat", alpha=0.1)


def test_each_way_of_drawing_a_mask_or_points_has_an_effect():
    mask = ImageSegment(torch.arange(6).reshape(1, 2, 3))
    shown = mask.show(cmap="viridis", alpha=0.25, n_classes=9, title="t").images[0]
    assert (shown.get_cmap().name, shown.get_alpha(), shown.norm.vmax) == ("viridis", 0.25, 8)
    points = ImagePoints(FlowField((20, 30), torch.tensor([[3.0, 4.0]])))
    dots = points.show(s=77, title="p")
    assert dots.collections[0].get_sizes().tolist() == [77]
    assert dots.get_title() == "p"
    assert plt.gcf().get_size_inches().tolist() == [3, 3]
    points.show(figsize=(5, 2))
    assert plt.gcf().get_size_inches().tolist() == [5, 2]


def test_an_image_that_is_not_in_0_to_1_is_not_cut_off_in_silence():
    opened = open_image(IMAGE, div=False)
    assert float(opened.data.max()) == IMAGE.max()
    for use in (lambda: opened.pixels, opened.show, lambda: ImageInput().read(opened)):
        with pytest.raises(UsageError, match=r"an Image is in 0-1, this data goes from .* to 25"):
            use()
    with pytest.raises(UsageError, match="undo its normalisation"):
        _ = Image(torch.full((3, 2, 2), -1.0)).pixels
    assert Image(torch.full((3, 2, 2), 1.001)).pixels.max() == 255


# --- models


@pytest.mark.parametrize(
    "options", [{"lin_ftrs": [4]}, {"ps": 0.1}, {"bn_final": True}, {"concat_pool": False}]
)
def test_options_of_the_head_do_not_go_with_a_head_of_ones_own(options):
    own = torch.nn.Linear(1, 1)
    with pytest.raises(UsageError, match="with a custom_head leave them out"):
        create_cnn_model("resnet18", 2, pretrained=False, custom_head=own, **options)


def test_a_file_of_weights_is_read_into_a_module_too(tmp_path):
    from safetensors.torch import save_file

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    wanted = {k: torch.full_like(v, 2) for k, v in net.state_dict().items()}
    save_file(wanted, tmp_path / "w.safetensors")
    body = create_body(net, str(tmp_path / "w.safetensors"))
    assert all(bool((p == 2).all()) for p in body.net.parameters())
    with pytest.raises(WeightsError):
        create_body(torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3)), str(tmp_path / "w.safetensors"))
    with pytest.raises(ModelError, match="not of a module"):
        create_body(net, "small")


def test_options_of_a_unet_without_a_place_are_refused():
    with pytest.raises(UsageError, match="last_cross=False leaves out"):
        create_unet_model("small", 2, False, bottle=True, last_cross=False)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.Conv2d(4, 6, 3, 2, 1), torch.nn.MaxPool2d(2)
    )
    with pytest.raises(UsageError, match="third-last of 2 blocks"):
        create_unet_model(layers, 2, False, self_attention=True)
