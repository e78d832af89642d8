"""A point on a bright pixel stays on it: through every transform, size and way of resizing."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pixel_helpers import blob, brightest, encoded, on_pixels, smooth_noise

from onecycle.runtime.inputs.image import ImageSpec
from onecycle.vision import augment
from onecycle.vision import geometry as geo
from onecycle.vision.boxes import Boxes
from onecycle.vision.checks import IGNORED
from onecycle.vision.input import ImageInput
from onecycle.vision.targets import Mask, Points
from onecycle.vision.transform import flatten
from onecycle.vision.warp import draw_plan, exact, exact_plan, warp

FAMILY = {
    "rotate": lambda: augment.rotate((-180, 180)),
    "flip_lr": augment.flip_lr,
    "flip_ud": augment.flip_ud,
    "dihedral": augment.dihedral,
    "zoom": lambda: augment.rand_zoom((0.7, 1.6)),
    "squish": lambda: augment.squish((0.7, 1.4), (0, 1), (0, 1)),
    "symmetric_warp": lambda: augment.symmetric_warp((-0.3, 0.3)),
    "perspective_warp": lambda: augment.perspective_warp((-0.2, 0.2)),
    "tilt": lambda: augment.tilt(magnitude=(-0.3, 0.3)),
    "skew": lambda: augment.skew(magnitude=(-0.3, 0.3)),
    "rand_crop": augment.rand_crop,
    "crop_pad": lambda: augment.crop_pad(row_pct=(0, 1), col_pct=(0, 1)),
    "rand_pad": lambda: augment.rand_pad(5, mode="zeros"),
    "rand_resize_crop": lambda: augment.rand_resize_crop(max_scale=1.5),
    "zoom_crop": lambda: augment.zoom_crop((0.8, 1.3), do_rand=True),
}
lengths = st.integers(24, 90)
sizes = st.tuples(lengths, lengths)
methods = st.sampled_from(["crop", "pad", "squish"])
seeds = st.integers(0, 2**31)
law = settings(deadline=None, derandomize=True, max_examples=60, database=None)


def drawn(names, source, out, method, seed):
    spec = ImageSpec(out, method, "zeros")
    tfms = flatten([FAMILY[name]() for name in names])
    return draw_plan(tfms, spec, source, np.random.default_rng(seed))


def spot(source, plan, seed):
    """A place in the image, and how wide its spot must be not to vanish when it shrinks."""
    y, x = (int(np.random.default_rng(seed).integers(4, n - 4)) for n in source)
    step = np.abs(np.linalg.svd(plan.matrix[:2, :2])[1]).max()
    return y, x, max(1.0, 0.8 * step)


def stays_under_its_point(pixels, moved, plan, tolerance=1.0):
    """Only asked where the spot is seen whole."""
    there = on_pixels(moved, plan.out)
    assume(all(4 <= v <= n - 5 for v, n in zip(there, plan.out, strict=True)))
    assert np.abs(brightest(pixels) - there).max() <= tolerance


@pytest.mark.parametrize("name", FAMILY)
@law
@given(source=sizes, out=sizes, method=methods, seed=seeds)
def test_a_point_stays_on_its_pixel_through_every_transform(name, source, out, method, seed):
    plan = drawn([name], source, out, method, seed)
    y, x, sigma = spot(source, plan, seed)
    pixels = warp(blob(source, y, x, sigma), plan)
    assert pixels.shape == (*out, 3)
    stays_under_its_point(pixels, Points(count=1).move(encoded(y, x, source), plan), plan)


@law
@given(
    names=st.lists(st.sampled_from(sorted(FAMILY)), min_size=2, max_size=5),
    source=sizes,
    out=sizes,
    method=methods,
    seed=seeds,
)
def test_a_point_stays_on_its_pixel_through_any_composition(names, source, out, method, seed):
    plan = drawn(names, source, out, method, seed)
    y, x, sigma = spot(source, plan, seed)
    moved = Points(count=1).move(encoded(y, x, source), plan)
    (a, b, _), (c, d, _), (e, f, _) = plan.matrix
    assume(0.2 < abs(a * d - b * c) < 25)  # neither a microscope nor a speck
    assume(abs(e) + abs(f) < 0.01)
    stays_under_its_point(warp(blob(source, y, x, sigma), plan), moved, plan, 1.5)


@law
@given(source=sizes, out=sizes, method=methods, seed=seeds)
def test_a_point_stays_on_its_pixel_in_validation(source, out, method, seed):
    spec = ImageSpec(out, method, "zeros")
    plan = exact_plan(source, spec)
    y, x, sigma = spot(source, plan, seed)
    pixels = exact(blob(source, y, x, sigma), spec)
    assert pixels.shape == (*out, 3)
    stays_under_its_point(pixels, Points(count=1).move(encoded(y, x, source), plan), plan)


@law
@given(source=sizes, out=sizes, method=methods, seed=seeds)
def test_training_without_luck_shows_what_validation_shows(source, out, method, seed):
    spec = ImageSpec(out, method)
    img = smooth_noise(np.random.default_rng(seed), source, 3)
    plan = draw_plan(flatten([augment.crop_pad()]), spec, source, np.random.default_rng(0))
    apart = np.abs(warp(img, plan).astype(int) - exact(img, spec))
    assert apart.mean() < 10  # cut on whole source pixels there, between them here


@law
@given(name=st.sampled_from(sorted(FAMILY)), source=sizes, out=sizes, method=methods, seed=seeds)
def test_a_mask_moves_like_the_image_of_its_classes(name, source, out, method, seed):
    plan = drawn([name], source, out, method, seed)
    assume(np.abs(np.linalg.svd(plan.matrix[:2, :2])[1]).max() < 1.5)  # no area average between
    classes = smooth_noise(np.random.default_rng(seed), source, 4).argmax(2)
    one_hot = (np.eye(3)[classes] * 255).astype(np.uint8)
    moved = Mask(classes=("a", "b", "c"), void=9).move(classes[None].astype(np.int64), plan)[0]
    img = warp(one_hot, plan)
    inside = moved != IGNORED
    assume(inside.mean() > 0.2)
    assert (img.argmax(2)[inside] == moved[inside]).mean() > 0.95


@pytest.mark.parametrize("name", FAMILY)
@law
@given(source=sizes, out=sizes, method=methods, seed=seeds)
def test_a_spot_its_point_its_mask_and_its_box_stay_together(name, source, out, method, seed):
    """As they are loaded: by one input, with one draw, an image and each kind of label."""
    given_tfms = flatten([FAMILY[name]()])
    size = None if any(getattr(tfm, "size", None) for tfm in given_tfms) else out
    load = ImageInput(size, method if size else "none", "zeros", train_tfms=given_tfms).load
    y, x, sigma = spot(source, drawn([name], source, out, method, seed), seed)
    image = blob(source, y, x, sigma)
    rows, cols = np.nonzero(image[:, :, 0] > 100)
    edges = np.array([[rows.min(), cols.min(), rows.max() + 1, cols.max() + 1]])
    boxes = Boxes(classes=("spot",), count=1)
    labels = [
        (encoded(y, x, source), Points(count=1)),
        ((image[:, :, 0] > 100).astype(np.int64)[None], Mask(classes=("sky", "spot"))),
        (boxes.encode((edges / np.tile(source, 2) * 2 - 1, ["spot"])), boxes),
    ]
    loaded = [load(image, label, kind, np.random.default_rng(seed)) for label, kind in labels]
    assert all(np.array_equal(sample.x, loaded[0].x) for sample in loaded)
    point, mask, box = (sample.y for sample in loaded)
    stays_under_its_point(loaded[0].x, point, loaded[0].plan, 1.5)
    there = on_pixels(point, loaded[0].plan.out)
    seen = np.argwhere(mask[0] == 1)
    assume(len(seen) > 4)
    assert np.abs(seen.mean(0) - there).max() <= 1.5
    low, high = np.split((box[0, :4] + 1) / 2 * np.tile(loaded[0].plan.out, 2) - 0.5, 2)
    assert (low - 1 <= seen.min(0)).all()
    assert (seen.max(0) <= high + 1).all()
    assert np.abs((low + high) / 2 - there).max() <= 3


def test_the_eight_symmetries_are_exactly_turns_and_mirrors():
    for n in (5, 6):
        img = np.arange(n * n * 3, dtype=np.uint8).reshape(n, n, 3)
        turned = [np.rot90(p, i) for p in (img, img[:, ::-1]) for i in range(4)]
        wanted = sorted(t.tobytes() for t in map(np.ascontiguousarray, turned))
        rng = np.random.default_rng(0)
        found = []
        for k in range(8):
            plan = draw_plan((augment.dihedral(k),), ImageSpec(), (n, n), rng)
            found.append(warp(img, plan).tobytes())
        assert sorted(found) == wanted


@pytest.mark.parametrize(
    ("k", "wanted"),
    [
        (0, lambda p: p),
        (1, np.fliplr),
        (2, np.flipud),
        (3, lambda p: np.rot90(p, 2)),
        (4, lambda p: p.swapaxes(0, 1)),
    ],
)
def test_the_bits_of_a_symmetry_mirror_x_mirror_y_and_swap(k, wanted):
    img = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    plan = draw_plan((augment.dihedral(k),), ImageSpec(), (4, 4), np.random.default_rng(0))
    assert warp(img, plan).tolist() == wanted(img).tolist()


def test_a_positive_angle_turns_counter_clockwise():
    img = np.arange(75, dtype=np.uint8).reshape(5, 5, 3)
    plan = draw_plan((augment.rotate(90.0),), ImageSpec(), (5, 5), np.random.default_rng(0))
    assert warp(img, plan).tolist() == np.rot90(img, 1).tolist()


def test_transforms_act_in_the_order_of_the_list():
    img = np.arange(75, dtype=np.uint8).reshape(5, 5, 3)
    tfms = (augment.rotate(90.0), augment.flip_lr())
    plan = draw_plan(tfms, ImageSpec(), (5, 5), np.random.default_rng(0))
    assert warp(img, plan).tolist() == np.fliplr(np.rot90(img, 1)).tolist()
    plan = draw_plan(tfms[::-1], ImageSpec(), (5, 5), np.random.default_rng(0))
    assert warp(img, plan).tolist() == np.rot90(np.fliplr(img), 1).tolist()


def test_zoom_towards_a_corner_keeps_that_corner():
    img = smooth_noise(np.random.default_rng(0), (40, 40))
    tfms = (augment.zoom(2.0, row_pct=0.0, col_pct=1.0),)
    plan = draw_plan(tfms, ImageSpec(), (40, 40), np.random.default_rng(0))
    upper_right = np.repeat(np.repeat(img[:20, 20:], 2, 0), 2, 1)
    assert np.abs(warp(img, plan)[2:-2, 2:-2].astype(int) - upper_right[2:-2, 2:-2]).mean() < 9


def test_flip_pairs_change_places_in_a_mirror_and_only_there():
    eyes = np.array([[0.0, -0.5], [0.1, 0.7], [0.8, 0.0]], np.float32)  # left, right, chin
    target = Points(count=3, flip_pairs=((0, 1),))

    def moved(*tfms):
        plan = draw_plan(flatten(tfms), ImageSpec(), (20, 30), np.random.default_rng(0))
        return target.move(eyes, plan)

    mirrored = [[0.1, -0.7], [0.0, 0.5], [0.8, 0.0]]
    np.testing.assert_allclose(moved(augment.flip_lr()), mirrored, atol=1e-6)
    np.testing.assert_allclose(moved(augment.flip_lr(), augment.flip_ud()), -eyes, atol=1e-6)
    np.testing.assert_allclose(moved(augment.flip_lr(), augment.flip_lr()), eyes, atol=1e-6)


def test_a_homography_carries_the_corners_where_it_should():
    moved = np.array([[-0.9, -1.1], [1.2, -1], [-1, 0.8], [1, 1]])
    matrix = geo.corners(40, 60, moved)
    for corner, wanted in zip([(-1, -1), (1, -1), (-1, 1), (1, 1)], moved, strict=True):
        x, y, scale = matrix @ [corner[1] * 30, corner[0] * 20, 1]
        np.testing.assert_allclose([y / scale / 20, x / scale / 30], wanted, atol=1e-9)


def test_points_go_there_and_back():
    matrix = geo.source_matrix(geo.rotation(0, 0, 33), (50, 70), (32, 32), "crop", 0.2, 0.9)
    points = np.array([[3.0, 4], [60, 40], [33.3, 7]])
    back = geo.move_points(geo.move_points(points, matrix), np.linalg.inv(matrix))
    np.testing.assert_allclose(back, points, atol=1e-9)


@pytest.mark.parametrize(
    ("degrees", "exactly"), [(0, True), (90, True), (-180, True), (270, True), (45, False)]
)
def test_turns_by_quarters_need_no_interpolation(degrees, exactly):
    plan = draw_plan((augment.rotate(degrees),), ImageSpec(), (8, 8), np.random.default_rng(0))
    assert geo.is_pixel_exact(plan.matrix) is exactly
