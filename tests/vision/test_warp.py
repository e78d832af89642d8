"""Pixels through a plan: on the CPU, on a device, in validation, and again."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from pixel_helpers import sampled, smooth_noise
from torch.nn import functional as F
from torchvision.transforms.v2 import functional

from onecycle.runtime.inputs.image import ImageSpec
from onecycle.vision import augment
from onecycle.vision.augment import get_transforms
from onecycle.vision.transform import flatten
from onecycle.vision.warp import draw_plan, exact, warp, warp_mask

STRONG = get_transforms(flip_vert=True, max_rotate=45, max_zoom=1.4, max_lighting=0.4, max_warp=0.3,
                        p_affine=1.0, p_lighting=1.0)  # fmt: skip
NOTHING = np.zeros((), np.float32)


@pytest.mark.parametrize("mode", ["reflection", "border", "zeros"])
@pytest.mark.parametrize("method", ["crop", "pad", "squish"])
@pytest.mark.parametrize("source", [(96, 130), (300, 220), (500, 640)])
def test_the_fast_warp_does_what_exact_sampling_does(source, method, mode):
    apart = []
    spec = ImageSpec((64, 80), method, mode)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        img = smooth_noise(rng, source, 12)
        plan = draw_plan(flatten(STRONG[0]), spec, source, rng)
        fast = warp(img, plan)
        assert fast.shape == (64, 80, 3)
        apart.append(np.abs(fast - sampled(img, plan)))
    apart = np.stack(apart)
    assert apart.mean() <= 1
    assert (apart <= 4).mean() >= 0.999


def test_masks_are_warped_as_exact_sampling_does():
    rng = np.random.default_rng(0)
    equal = []
    for seed in range(20):
        mask = smooth_noise(rng, (96, 130), 6).argmax(2).astype(np.int16)
        spec = ImageSpec((64, 80), "crop", "border")
        plan = draw_plan(flatten(STRONG[0]), spec, (96, 130), np.random.default_rng(seed))
        y, x = np.mgrid[:64, :80].astype(np.float64)
        u, v, d = np.einsum("ij,jhw->ihw", plan.matrix, np.stack([x, y, np.ones_like(x)]))
        places = np.stack([(2 * u / d + 1) / 130 - 1, (2 * v / d + 1) / 96 - 1], -1)[None]
        sampled = F.grid_sample(
            torch.from_numpy(mask.astype(np.float64))[None, None],
            torch.from_numpy(places),
            "nearest",
            "border",
            align_corners=False,
        )
        equal.append((sampled[0, 0].numpy() == warp_mask(mask, plan, None)).mean())
    assert np.mean(equal) >= 0.995


def test_a_plan_replayed_gives_the_same_pixels():
    img = smooth_noise(np.random.default_rng(0), (50, 60))
    extras = [augment.cutout((1, 3), 8), augment.jitter(0.05), augment.rgb_randomize()]
    tfms = flatten([*STRONG[0], *extras])
    plan = draw_plan(tfms, ImageSpec((40, 40)), (50, 60), np.random.default_rng(1))
    first = warp(img, plan)
    np.random.seed(3)
    assert np.array_equal(warp(img, plan), first)
    again = draw_plan(tfms, ImageSpec((40, 40)), (50, 60), np.random.default_rng(1))
    assert np.array_equal(warp(img, again), first)
    other = draw_plan(tfms, ImageSpec((40, 40)), (50, 60), np.random.default_rng(2))
    assert not np.array_equal(warp(img, other), first)


def test_flips_and_quarter_turns_lose_nothing():
    img = np.random.default_rng(0).integers(0, 256, (33, 33, 3)).astype(np.uint8)
    for tfm in (augment.flip_lr(), augment.dihedral(6), augment.rotate(90)):
        plan = draw_plan((tfm,), ImageSpec((33, 33)), (33, 33), np.random.default_rng(0))
        assert sorted(map(tuple, warp(img, plan).reshape(-1, 3).tolist())) == sorted(
            map(tuple, img.reshape(-1, 3).tolist())
        )


def test_a_much_larger_image_is_averaged_not_sampled():
    chequered = np.zeros((256, 256, 3), np.uint8)
    chequered[::2, 1::2] = chequered[1::2, ::2] = 255
    tfms = flatten(get_transforms(max_lighting=0)[0])
    plan = draw_plan(tfms, ImageSpec((32, 32)), (256, 256), np.random.default_rng(0))
    assert np.abs(warp(chequered, plan).astype(int) - 127).max() < 12


def test_a_image_decoded_smaller_shows_the_same():
    img = smooth_noise(np.random.default_rng(0), (400, 600), 10)
    small = np.array(PillowImage.fromarray(img).resize((300, 200), PillowImage.Resampling.BOX))
    tfms = flatten(get_transforms(max_lighting=0)[0])
    plan = draw_plan(tfms, ImageSpec((80, 80)), (400, 600), np.random.default_rng(5))
    apart = np.abs(warp(img, plan).astype(int) - warp(small, plan))
    assert apart.mean() < 1.5


@pytest.mark.parametrize("mode", ["reflection", "border", "zeros"])
def test_what_lies_outside_is_filled_as_the_mode_says(mode):
    row = np.repeat(np.array([[10, 20, 30, 40]], np.uint8)[:, :, None], 3, 2)
    img = np.repeat(row, 4, 0)
    wanted = {
        "reflection": [20, 10, 10, 20, 30, 40, 40, 30],
        "border": [10, 10, 10, 20, 30, 40, 40, 40],
        "zeros": [0, 0, 10, 20, 30, 40, 0, 0],
    }[mode]
    tfms = flatten([augment.crop_pad(size=(4, 8))])
    plan = draw_plan(tfms, ImageSpec(padding_mode=mode), (4, 4), np.random.default_rng(0))
    assert warp(img, plan)[1, :, 2].tolist() == wanted
    assert exact(img, ImageSpec((4, 8), "pad", mode))[1, :, 2].tolist() == wanted


def test_a_mask_is_void_outside_where_the_image_is_black():
    tfms = flatten([augment.crop_pad(size=(3, 5))])
    plan = draw_plan(tfms, ImageSpec(padding_mode="zeros"), (3, 3), np.random.default_rng(0))
    moved = warp_mask(np.array([[1, 2, 3]] * 3, np.int16), plan, 255)
    assert moved.tolist() == [[255, 1, 2, 3, 255]] * 3


# --- validation


@pytest.mark.parametrize("source", [(300, 200), (97, 131), (40, 30), (64, 64)])
@pytest.mark.parametrize("size", [(64, 64), (50, 80)])
def test_validation_is_pillows_antialiased_resize_within_a_grey_level(source, size):
    rng = np.random.default_rng(0)
    img = rng.integers(0, 256, (*source, 3)).astype(np.uint8)
    wanted = PillowImage.fromarray(img).resize(size[::-1], PillowImage.Resampling.BILINEAR)
    apart = np.abs(exact(img, ImageSpec(size, "squish")).astype(int) - np.array(wanted))
    assert apart.max() <= 1


@settings(deadline=None, derandomize=True, max_examples=60, database=None)
@given(
    source=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    size=st.tuples(st.integers(8, 48), st.integers(8, 48)),
    method=st.sampled_from(["crop", "squish", "pad"]),
    mode=st.sampled_from(["reflection", "border", "zeros"]),
)
def test_validation_equals_torchvisions_own_steps(source, size, method, mode):
    """Crop to the shape, resize with antialiasing, pad: by torchvision, within a grey level."""
    img = smooth_noise(np.random.default_rng(0), source, 7)
    x = torch.from_numpy(img).permute(2, 0, 1)
    (h, w), (rows, cols) = source, size
    if method == "crop":
        cut = (h, round(h * cols / rows)) if h * cols <= w * rows else (round(w * rows / cols), w)
        cut = tuple(max(1, min(n, m)) for n, m in zip(cut, source, strict=True))
        top, left = (h - cut[0]) // 2, (w - cut[1]) // 2
        wanted = functional.resize(functional.crop(x, top, left, *cut), size, antialias=True)
    elif method == "squish":
        wanted = functional.resize(x, size, antialias=True)
    else:
        inner = (rows, round(rows * w / h)) if rows * w <= cols * h else (round(cols * h / w), cols)
        inner = tuple(max(1, min(n, m)) for n, m in zip(inner, size, strict=True))
        assume(2 * inner[0] >= rows and 2 * inner[1] >= cols)  # what is mirrored once
        top, left = (rows - inner[0]) // 2, (cols - inner[1]) // 2
        widths = [left, top, cols - inner[1] - left, rows - inner[0] - top]
        names = {"reflection": "symmetric", "border": "edge", "zeros": "constant"}
        small = functional.resize(x, inner, antialias=True)
        wanted = functional.pad(small, widths, padding_mode=names[mode])
    found = exact(img, ImageSpec(size, method, mode))
    halves = [s * o / n % 1 == 0.5 for s in source for o in size for n in (*source, *size)]
    assume(not any(halves))  # a half is rounded to even there, upwards here
    assert np.abs(found.astype(int) - wanted.permute(1, 2, 0).numpy()).max() <= 1


def test_validation_crops_the_largest_centred_part_of_the_wanted_shape():
    img = np.zeros((30, 60, 3), np.uint8)
    img[:, 15:45] = 200  # the middle square
    out = exact(img, ImageSpec((10, 10), "crop"))
    assert out.shape == (10, 10, 3)
    assert (out == 200).all()
    assert (exact(img, ImageSpec((10, 10), "squish")) == 0).any()


def test_validation_pads_around_the_whole_image():
    out = exact(np.full((20, 40, 3), 100, np.uint8), ImageSpec((10, 10), "pad", "zeros"))
    assert out[:, 5, 0].tolist() == [0, 0, 100, 100, 100, 100, 100, 0, 0, 0] or out[
        :, 5, 0
    ].tolist() == [0, 0, 0, 100, 100, 100, 100, 100, 0, 0]


def test_validation_without_a_size_changes_nothing():
    img = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    for spec in (ImageSpec(), ImageSpec((5, 5), "none")):
        assert np.array_equal(exact(img, spec), img)


def test_extreme_shapes_are_still_resized():
    for source in ((1, 200), (300, 2), (1, 1)):
        for method in ("crop", "pad", "squish"):
            spec = ImageSpec((16, 24), method)
            assert exact(np.full((*source, 3), 77, np.uint8), spec).shape == (16, 24, 3)
            plan = draw_plan(flatten(STRONG[0]), spec, source, np.random.default_rng(0))
            assert warp(np.full((*source, 3), 77, np.uint8), plan).shape == (16, 24, 3)
