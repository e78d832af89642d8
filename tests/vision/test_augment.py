"""What is drawn: which transforms, how often, and from which distribution."""

import numpy as np
import pytest

from onecycle.core.errors import UsageError
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.vision import augment
from onecycle.vision.augment import get_transforms
from onecycle.vision.transform import as_draw, as_transform, flatten
from onecycle.vision.warp import draw_plan, warp

N = 10_000


def names(tfms):
    return [tfm.name for tfm in tfms]


@pytest.fixture(scope="module")
def draws():
    """What 10,000 plans of the default transforms recorded, by name."""
    tfms = flatten([*get_transforms()[0], augment.dihedral()])
    rng = np.random.default_rng(0)
    found = {tfm.name: [] for tfm in tfms}
    for _ in range(N):
        for name, params in draw_plan(tfms, ImageSpec((32, 32)), (40, 60), rng).record:
            found[name].append(params)
    return found


def values(draws, name, parameter):
    return np.array([params[parameter] for params in draws[name]])


def looks_uniform(values, low, high):
    """Kolmogorov and Smirnov's distance, at the one per thousand level."""
    values = np.sort(np.ravel(values))
    assert low <= values[0] < values[-1] <= high
    wanted = (values - low) / (high - low)
    return (
        np.abs(wanted - (np.arange(len(values)) + 0.5) / len(values)).max()
        < 1.95 / len(values) ** 0.5
    )


def test_the_default_transforms_are_the_courses_in_its_order():
    train, valid = get_transforms()
    assert names(train) == [
        "crop", "flip_lr", "symmetric_warp", "rotate", "zoom", "brightness", "contrast"
    ]  # fmt: skip
    assert names(valid) == ["crop_pad"]


def test_each_transform_acts_as_often_as_it_should(draws):
    shares = {name: len(found) / N for name, found in draws.items()}
    wanted = dict.fromkeys(("symmetric_warp", "rotate", "zoom", "brightness", "contrast"), 0.75)
    wanted |= {"flip_lr": 0.5, "crop": 1, "dihedral": 1}
    assert shares == pytest.approx(wanted, abs=0.015)


@pytest.mark.parametrize(
    ("name", "parameter", "low", "high"),
    [
        ("rotate", "degrees", -10, 10),
        ("brightness", "change", 0.4, 0.6),
        ("zoom", "scale", 1, 1.1),
        ("zoom", "row_pct", 0, 1),
        ("zoom", "col_pct", 0, 1),
        ("crop", "row_pct", 0, 1),
        ("crop", "col_pct", 0, 1),
        ("symmetric_warp", "magnitude", -0.2, 0.2),
    ],
)
def test_parameters_are_uniform(draws, name, parameter, low, high):
    assert looks_uniform(values(draws, name, parameter), low, high)


def test_contrast_is_uniform_on_a_logarithmic_scale(draws):
    scales = values(draws, "contrast", "scale")
    assert looks_uniform(np.log(scales), np.log(0.8), np.log(1.25))
    assert not looks_uniform(scales, 0.8, 1.25 + 1e-9)


def test_a_perspective_warp_draws_four_independent_magnitudes(draws):
    magnitudes = values(draws, "symmetric_warp", "magnitude")
    assert magnitudes.shape[1] == 4
    assert np.abs(np.corrcoef(magnitudes.T) - np.eye(4)).max() < 0.05


def test_the_eight_symmetries_are_equally_frequent(draws):
    counts = np.bincount(values(draws, "dihedral", "k"), minlength=8)
    assert len(counts) == 8
    assert counts / N == pytest.approx([1 / 8] * 8, abs=0.012)


def test_parameters_of_different_transforms_are_independent(draws):
    both = np.stack([values(draws, "crop", "row_pct"), values(draws, "crop", "col_pct")])
    assert abs(np.corrcoef(both)[0, 1]) < 0.04


def test_the_crop_reaches_every_place_in_the_room_and_no_other():
    rng = np.random.default_rng(1)
    tfms = flatten([augment.rand_crop()])
    plans = [draw_plan(tfms, ImageSpec((32, 32)), (32, 64), rng) for _ in range(3000)]
    left = np.array([plan.matrix[0, 2] for plan in plans])
    assert looks_uniform(left, 0, 32)
    assert all(abs(plan.matrix[1, 2]) < 1e-9 for plan in plans)


def test_vertical_flips_are_the_symmetries_of_the_square():
    assert names(get_transforms(flip_vert=True)[0])[:2] == ["crop", "dihedral"]
    assert get_transforms(flip_vert=True)[0][1].p == 1


def test_vertical_flips_without_flips_are_refused():
    assert names(get_transforms(do_flip=False)[0])[1] == "symmetric_warp"
    with pytest.raises(UsageError, match="flip_vert=True goes with do_flip=True"):
        get_transforms(do_flip=False, flip_vert=True)


def test_magnitudes_of_zero_leave_the_transform_out():
    still = get_transforms(do_flip=False, max_rotate=0, max_zoom=1, max_lighting=0, max_warp=0)
    assert names(still[0]) == ["crop"]
    planet = get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.0)
    assert names(planet[0]) == ["crop", "dihedral", "rotate", "zoom", "brightness", "contrast"]


def test_magnitudes_are_handed_on():
    tfms = get_transforms(max_rotate=20, max_zoom=1.5, max_lighting=0.5, max_warp=0.4, p_affine=1.0,
                          p_lighting=0.9)[0]  # fmt: skip
    by_name = {tfm.name: tfm for tfm in tfms}
    bounds = {(n, p): (d.low, d.high) for n, t in by_name.items() for p, d in t.draws.items()
              if hasattr(d, "low")}  # fmt: skip
    assert bounds["rotate", "degrees"] == (-20, 20)
    assert bounds["zoom", "scale"] == (1, 1.5)
    assert bounds["symmetric_warp", "magnitude"] == (-0.4, 0.4)
    assert bounds["brightness", "change"] == (0.25, 0.75)
    assert bounds["contrast", "scale"] == (0.5, 2)
    assert [by_name[n].p for n in ("rotate", "symmetric_warp", "zoom")] == [1, 1, 1]
    assert [by_name[n].p for n in ("brightness", "contrast")] == [0.9, 0.9]


@pytest.mark.parametrize("lighting", [1, 1.5, -0.1])
def test_lighting_lies_between_0_and_1(lighting):
    with pytest.raises(UsageError, match="max_lighting lies between 0 and 1"):
        get_transforms(max_lighting=lighting)


def test_extras_come_last():
    extra = augment.cutout()
    assert get_transforms(xtra_tfms=[extra])[0][-1] is extra


def test_a_transform_without_a_chance_rests_and_a_certain_one_does_not():
    rng = np.random.default_rng(0)
    assert all(augment.flip_lr(p=0).draw(rng) is None for _ in range(50))
    assert all(augment.flip_lr(p=1).draw(rng) is not None for _ in range(50))
    with pytest.raises(UsageError, match=r"rotate: p is a probability, not 1\.5"):
        augment.rotate(5.0, p=1.5)


def test_a_range_is_low_and_high():
    for bad in ((3, 1), (1, 2, 3), [1]):
        with pytest.raises(UsageError, match="a range is"):
            as_draw(bad)
    with pytest.raises(UsageError, match=r"made by a function such as rotate"):
        as_transform("flip")


# --- lighting, by hand


def lit(value, *tfms):
    plan = draw_plan(flatten(tfms), ImageSpec(), (1, 1), np.random.default_rng(0))
    return int(warp(np.full((1, 1, 3), value, np.uint8), plan)[0, 0, 0])


def test_brightness_turns_the_middle_grey_into_the_change():
    assert lit(128, augment.brightness(0.6)) == pytest.approx(0.6 * 255, abs=1)
    assert lit(128, augment.brightness(0.25)) == pytest.approx(0.25 * 255, abs=1)
    # logit(.2) + logit(.6) = logit(.2727): .2 has odds 1:4, times 3:2 is 3:8, which is 3/11
    assert lit(51, augment.brightness(0.6)) == pytest.approx(255 * 3 / 11, abs=1)


def test_contrast_multiplies_the_logits():
    assert lit(128, augment.contrast(2.0)) == pytest.approx(128, abs=1)
    assert lit(204, augment.contrast(2.0)) == pytest.approx(255 * 16 / 17, abs=1)  # odds 4 -> 16
    assert lit(204, augment.contrast(0.5)) == pytest.approx(255 * 2 / 3, abs=1)  # odds 4 -> 2


def test_lighting_acts_in_the_order_of_the_list():
    brighter, flatter = augment.brightness(0.8), augment.contrast(0.5)  # odds times 4; their root
    assert lit(128, brighter, flatter) == pytest.approx(255 * 2 / 3, abs=1)
    assert lit(128, flatter, brighter) == pytest.approx(255 * 4 / 5, abs=1)


def test_black_and_white_stay_within_a_grey_level_without_lighting_of_their_own():
    assert lit(0, augment.contrast(1.0), augment.brightness(0.5)) <= 1
    assert lit(255, augment.contrast(1.0), augment.brightness(0.5)) >= 254


# --- extras


def changed(tfms, pixels, seed=0, **spec):
    spec = ImageSpec(**spec)
    plan = draw_plan(flatten(tfms), spec, pixels.shape[:2], np.random.default_rng(seed))
    return warp(pixels, plan), plan


def test_cutout_blackens_squares_of_that_side():
    white = np.full((40, 50, 3), 255, np.uint8)
    out, _ = changed([augment.cutout(1, 6)], white, seed=3)
    rows, cols = np.nonzero(out[:, :, 0] == 0)
    assert 0 < len(rows) <= 36
    assert (np.ptp(rows) + 1) * (np.ptp(cols) + 1) == len(rows)
    sums = [
        int((changed([augment.cutout((1, 3), 6)], white, s)[0][:, :, 0] == 0).sum())
        for s in range(60)
    ]
    assert max(sums) > 72
    assert min(sums) <= 36
    assert white.min() == 255


def test_jitter_moves_pixels_a_little_and_none_leaves_the_image():
    img = np.zeros((40, 40, 3), np.uint8)
    img[:, 20:] = 200
    out, _ = changed([augment.jitter(0.1)], img)
    assert out[:, :17].max() == 0
    assert out[:, 23:].min() == 200
    assert len(np.unique(out[:, 18:22])) > 5


def test_rgb_randomize_replaces_one_channel():
    grey = np.full((20, 20, 3), 90, np.uint8)
    out, _ = changed([augment.rgb_randomize(channel=2, thresh=0.3)], grey)
    assert (out[:, :, :2] == 90).all()
    assert out[:, :, 2].max() <= 0.3 * 255
    assert out[:, :, 2].std() > 15


def test_rand_pad_moves_the_window_by_up_to_the_padding():
    offsets = [
        changed([augment.rand_pad(4)], np.zeros((32, 32, 3), np.uint8), s, size=(32, 32))[1].matrix
        for s in range(800)
    ]
    assert looks_uniform([m[0, 2] for m in offsets], -4, 4)
    assert looks_uniform([m[1, 2] for m in offsets], -4, 4)


def test_rand_pad_fills_with_its_own_mode():
    white = np.full((16, 16, 3), 255, np.uint8)
    outs = [
        changed([augment.rand_pad(6, mode="zeros")], white, s, size=(16, 16))[0] for s in range(9)
    ]
    assert min(out.min() for out in outs) == 0
    outs = [changed([augment.rand_pad(6)], white, s, size=(16, 16))[0] for s in range(9)]
    assert min(out.min() for out in outs) == 255


def test_crop_pad_may_name_the_size_and_the_padding_itself():
    out, _ = changed([augment.crop_pad(size=(20, 30), padding_mode="zeros")],
                     np.full((10, 10, 3), 255, np.uint8))  # fmt: skip
    assert out.shape == (20, 30, 3)
    assert (out[5:15, 10:20] == 255).all()
    assert int((out > 0).sum()) == 300


def test_zoom_crop_in_the_middle_and_anywhere():
    assert names(flatten(augment.zoom_crop(1.2))) == ["zoom", "crop_pad"]
    assert names(flatten(augment.zoom_crop((1.0, 1.2), do_rand=True))) == ["zoom", "crop"]
    middle = changed(augment.zoom_crop(2.0), np.zeros((32, 32, 3), np.uint8), size=(32, 32))[1]
    np.testing.assert_allclose(middle.matrix @ [15.5, 15.5, 1], [15.5, 15.5, 1])
    np.testing.assert_allclose(middle.matrix[:2, :2], np.eye(2) / 2)


@pytest.mark.parametrize(
    ("make", "magnitudes"),
    [
        (lambda m: augment.tilt((0, 3), m), (-0.3, 0.3)),
        (lambda m: augment.skew((0, 7), m), (-0.3, 0.3)),
        (lambda m: augment.perspective_warp(m), (-0.3, 0.3)),
        (lambda m: augment.symmetric_warp(m), (-0.3, 0.3)),
    ],
)
def test_perspectives_of_no_magnitude_change_nothing(make, magnitudes):
    img = np.random.default_rng(0).integers(0, 255, (20, 24, 3)).astype(np.uint8)
    assert np.array_equal(changed([make(0.0)], img)[0], img)
    assert not np.array_equal(changed([make(magnitudes)], img)[0], img)
