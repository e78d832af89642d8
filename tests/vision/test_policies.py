"""TrivialAugment, RandAugment, AugMix: operations against torchvision's, labels that move along."""

from collections import Counter

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from onecycle import aug_mix, get_transforms, rand_augment, trivial_augment
from onecycle.core.errors import UsageError
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.vision import geometry as geo
from onecycle.vision.targets import Mask, Points
from onecycle.vision.transform import Always, Choice, Geometric, Pixels, flatten
from onecycle.vision.warp import draw_plan, make_sample, run_foreign

SPEC = ImageSpec(size=(48, 64))


@pytest.fixture
def pixels():
    rng = np.random.default_rng(5)
    smooth = np.linspace(40, 190, 64)[None, :, None] + np.linspace(0, 30, 48)[:, None, None]
    return (smooth + rng.integers(0, 30, (48, 64, 3)) * [1.0, 0.5, 0.8]).astype(np.uint8)


def operation(name):
    return next(tfm for tfm in trivial_augment().among if tfm.name == name)


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "value"),
    [("brightness", "change", "adjust_brightness", -0.4),
     ("color", "change", "adjust_saturation", 0.7),
     ("contrast", "change", "adjust_contrast", 0.5),
     ("sharpness", "change", "adjust_sharpness", 0.8),
     ("posterize", "bits", "posterize", 3),
     ("solarize", "threshold", "solarize", 120.0),
     ("autocontrast", None, "autocontrast", None),
     ("equalize", None, "equalize", None)],
)  # fmt: skip
def test_colours_change_as_in_torchvision(pixels, name, ours, theirs, value):
    found = operation(name).change(pixels, None, **({ours: value} if ours else {}))
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    given = () if value is None else (1 + value if ours == "change" else value,)
    wanted = getattr(reference, theirs)(image, *given).permute(1, 2, 0).numpy()
    assert found.dtype == np.uint8
    assert found.shape == pixels.shape
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 3
    assert np.abs(found.astype(int) - pixels.astype(int)).max() > 3


@pytest.mark.parametrize(
    ("name", "params", "theirs"),
    [("shear_x", {"x": 0.5, "y": 0.0}, {"shear": [26.565, 0.0]}),
     ("shear_y", {"x": 0.0, "y": 0.5}, {"shear": [0.0, 26.565]}),
     ("translate_x", {"x": -0.25, "y": 0.0}, {"translate": [16, 0]}),
     ("translate_y", {"x": 0.0, "y": -0.25}, {"translate": [0, 12]}),
     ("rotate", {"degrees": 30.0}, {"angle": -30.0})],
)  # fmt: skip
def test_images_move_as_in_torchvision(pixels, name, params, theirs):
    tfm = Geometric(name, {k: Always(v) for k, v in params.items()}, matrix=operation(name).matrix)
    spec = ImageSpec(size=(48, 64), padding_mode="zeros")
    found = make_sample(pixels, (tfm,), spec, np.random.default_rng(0)).x
    how = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], **theirs}
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    bilinear = {"interpolation": reference.InterpolationMode.BILINEAR}
    wanted = reference.affine(image, **how, **bilinear).permute(1, 2, 0).numpy()
    inner = np.abs(found.astype(int) - wanted.astype(int))[12:-12, 16:-16]
    assert np.median(inner) <= 2
    assert np.abs(pixels.astype(int) - wanted.astype(int))[12:-12, 16:-16].mean() > 4


def drawn(tfm, times=4000):
    rng = np.random.default_rng(1)
    return [tfm.draw_all(rng) for _ in range(times)]


def test_trivial_augment_draws_one_of_14_as_often_from_the_whole_range():
    rows = drawn(trivial_augment())
    assert {len(row) for row in rows} == {1}
    counts = Counter(tfm.name for ((tfm, _),) in rows)
    assert len(counts) == 14
    assert min(counts.values()) > 4000 / 14 * 0.75
    turns = [params["degrees"] for ((tfm, params),) in rows if tfm.name == "rotate"]
    assert min(turns) < -120
    assert max(turns) > 120
    bits = {params["bits"] for ((tfm, params),) in rows if tfm.name == "posterize"}
    assert bits == {2, 3, 4, 5, 6, 7, 8}


def test_rand_augment_draws_n_at_one_strength_to_both_sides():
    rows = drawn(rand_augment(3, magnitude=15))
    assert {len(row) for row in rows} == {3}
    turns = {params["degrees"] for row in rows for tfm, params in row if tfm.name == "rotate"}
    assert turns == {-15.0, 15.0}
    for name, key, value in (("posterize", "bits", 6), ("solarize", "threshold", 128.0)):
        assert {p[key] for row in rows for tfm, p in row if tfm.name == name} == {value}
    shifts = {p["x"] for row in rows for tfm, p in row if tfm.name == "translate_x"}
    assert sorted(shifts) == pytest.approx([-75 / 331, 75 / 331])


@pytest.mark.parametrize("policy", [trivial_augment(), rand_augment(2, 30)])
def test_masks_and_points_stay_on_what_they_mark(policy):
    image = np.full((48, 64, 3), 60, np.uint8)
    image[20:24, 38:42] = (255, 0, 0)
    mask = np.zeros((48, 64), np.int64)
    mask[20:24, 38:42] = 1
    only = Choice(
        "moves", {"which": policy.draws["which"]}, count=policy.count,
        among=tuple(t if isinstance(t, Geometric) else policy.among[0] for t in policy.among),
    )  # fmt: skip
    moved = 0
    for seed in range(100):
        plan = draw_plan((only,), SPEC, (48, 64), np.random.default_rng(seed))
        marked = Mask(("back", "dot")).move(mask[None], plan).squeeze() == 1
        x = make_sample(image, (only,), SPEC, np.random.default_rng(seed)).x.astype(int)
        red = x[..., 0] - x[..., 1] > 100
        assert (marked ^ red).sum() <= max(10, 0.6 * red.sum())
        point = geo.move_points(np.array([[39.5, 21.5]]), plan.matrix)[0]
        if 4 < point[0] < 59 and 4 < point[1] < 43:
            assert red[round(point[1]) - 1 : round(point[1]) + 2].any()
            moved += bool(np.abs(point - [39.5, 21.5]).max() > 2)
    assert moved > 10


def test_the_word_takes_the_place_of_what_has_to_be_tuned():
    plain = [tfm.name for tfm in flatten(get_transforms(do_flip=False)[0])]
    assert plain[0] == "crop"
    for word, name in (("trivialaugment", "trivial_augment"), ("randaugment", "rand_augment"),
                       ("augmix", "aug_mix")):  # fmt: skip
        train, valid = get_transforms(policy=word)
        assert [tfm.name for tfm in flatten(train)] == ["crop", "flip_lr", name]
        assert [tfm.name for tfm in flatten(valid)] == ["crop_pad"]
    with pytest.raises(UsageError, match="trivialaugment, randaugment, augmix, not 'autoaugment'"):
        get_transforms(policy="autoaugment")
    with pytest.raises(UsageError, match="takes the place of rotation"):
        get_transforms(policy="randaugment", max_rotate=20)
    for bad in ({"n": 0}, {"magnitude": 31}):
        with pytest.raises(UsageError):
            rand_augment(**bad)
    with pytest.raises(UsageError, match="severity"):
        aug_mix(11)


def test_augmix_blends_images_and_leaves_no_label_behind(pixels):
    tfms = (aug_mix(),)
    one, two, again = (
        run_foreign(make_sample(pixels, tfms, SPEC, np.random.default_rng(seed))).x
        for seed in (1, 2, 1)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, two)
    assert np.corrcoef(one.ravel(), pixels.ravel())[0, 1] > 0.5
    mask = (np.zeros((1, 48, 64), np.uint8), Mask(("a", "b")))
    points = (np.zeros((2, 2), np.float32), Points())
    for label in (mask, points):
        with pytest.raises(UsageError, match="aug_mix would leave masks, points and boxes behind"):
            run_foreign(make_sample(pixels, tfms, SPEC, np.random.default_rng(0), label))


def test_a_choice_is_no_transform_of_an_exported_validation():
    from onecycle.vision.input import validation_spec

    spec = validation_spec(ImageSpec(size=(8, 8)), [trivial_augment()])
    assert spec.in_python == ("trivial_augment (draws at random)",)
    assert all(isinstance(t, Pixels | Geometric) for t in trivial_augment().among[1:])
