"""Images as model input: masks, points and the transforms of other libraries included."""

import numpy as np
import pytest
import torch
from pixel_helpers import blob, brightest, encoded, on_pixels, smooth_noise
from torchvision.transforms import v2

from onecycle.core.errors import ImageError, SizeError, UsageError
from onecycle.core.paths import Path
from onecycle.data.label_list import LabelList
from onecycle.data.loader import can_fork
from onecycle.data.targets import Category, NoLabel
from onecycle.data.task import Task
from onecycle.runtime.inputs.image import ImageSpec
from onecycle.vision import augment
from onecycle.vision.augment import get_transforms
from onecycle.vision.image import Image
from onecycle.vision.input import ImageInput
from onecycle.vision.lists import ImageList
from onecycle.vision.targets import Mask, Points
from onecycle.vision.warp import exact

NOTHING = np.zeros((), np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


def train(tfms=None, size=None, **options):
    return ImageInput().with_transforms((tfms or [], []), size=size, **options)


def batch(given, images, seed=0):
    samples = [given.load(p, NOTHING, NoLabel(), rng(seed + i)) for i, p in enumerate(images)]
    return given.prepare(given.collate(samples)[0])


@pytest.mark.parametrize("size", [24, (24, 24), np.array([24, 24])])
@pytest.mark.parametrize("method", ["crop", "pad", "squish", None])
def test_every_form_of_size_and_way_of_resizing_gives_that_size(size, method):
    images = [smooth_noise(rng(), s) for s in ((40, 50), (20, 60), (33, 12))]
    given = train(get_transforms()[0], size, resize_method=method)
    assert batch(given, images).shape == (3, 3, 24, 24)
    assert given.resize_method == method or (
        method is None and given.resize_method in {"crop", "squish"}
    )


def test_the_two_numbers_of_a_size_are_height_and_width():
    assert batch(train(size=(20, 30)), [smooth_noise(rng(), (40, 50))]).shape == (1, 3, 20, 30)


def test_without_transforms_training_and_validation_show_the_same():
    img = smooth_noise(rng(), (50, 70))
    given = train([], 32)
    lucky, held = (given.load(img, NOTHING, NoLabel(), r).x for r in (rng(), None))
    assert np.array_equal(lucky, held)


def test_validation_draws_nothing():
    given = ImageInput().with_transforms(get_transforms(), size=32)
    img = smooth_noise(rng(), (50, 70))
    once, again = (given.load(img, NOTHING, NoLabel(), None).x for _ in range(2))
    assert np.array_equal(once, again)
    assert np.array_equal(once, exact(img, ImageSpec((32, 32))))


def test_validation_has_the_transforms_of_its_own_side_and_training_those_of_its():
    img = smooth_noise(rng(), (24, 24))
    given = ImageInput().with_transforms(([augment.flip_lr()], [augment.flip_ud()]))
    held, trained = (given.load(img, NOTHING, NoLabel(), r).x for r in (None, rng()))
    assert np.array_equal(held, img[::-1])
    assert np.array_equal(trained, img[:, ::-1])


def test_the_labels_of_a_batch_are_stacked_in_order():
    target = Category(classes=("a", "b"))
    img = smooth_noise(rng(), (8, 8))
    samples = [ImageInput().load(img, target.encode(c), target, None) for c in "bab"]
    x, y = ImageInput().collate(samples)
    assert x.dtype == torch.uint8
    assert y.tolist() == [1, 0, 1]


def test_different_sizes_in_a_batch_are_an_error_that_names_them():
    given = train([augment.flip_lr()])
    with pytest.raises(SizeError, match=r"20 x 30.*40 x 30|40 x 30.*20 x 30"):
        batch(given, [smooth_noise(rng(), (20, 30)), smooth_noise(rng(), (40, 30))])


def test_beside_a_cuda_device_images_come_from_processes_and_else_from_threads():
    def ways(device):
        given = ImageInput().with_transforms(None, size=8)
        side = LabelList(ImageList._make(["a", "b"], Path(".")), ("x", "y"), Task(given, None))
        options = {"batch_size": 1, "num_workers": 0, "device": torch.device(device)}
        return given.loader(side, train=True, **options).processes

    assert ways("cuda") is can_fork(torch.device("cuda"))
    assert not ways("cpu")
    assert not ways("mps")


def test_a_batch_is_minus_the_mean_over_the_deviation_however_it_lies_in_memory():
    """Of 0-1, per channel, written out in numpy; each channel has statistics of its own."""
    mean, std = (0.2, 0.5, 0.9), (0.3, 0.11, 0.7)
    pixels = np.stack([smooth_noise(rng(i), (6, 9)) for i in range(2)])
    wanted = ((pixels / 255 - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)
    given = ImageInput(mean=mean, std=std)
    last = torch.from_numpy(pixels).permute(0, 3, 1, 2)  # as collate stores it
    layouts = [last, last.contiguous(), last.transpose(2, 3).contiguous().transpose(2, 3)]
    assert [x.permute(0, 2, 3, 1).is_contiguous() for x in layouts] == [True, False, False]
    for x in layouts:
        before = x.clone()
        np.testing.assert_allclose(given.prepare(x).numpy(), wanted, rtol=1e-4, atol=1e-5)
        assert torch.equal(x, before)
        plain = ImageInput().prepare(x).numpy()
        np.testing.assert_allclose(plain, pixels.transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    shown = given.as_item(given.prepare(last)[1])
    assert np.array_equal(shown.pixels, pixels[1])


def test_statistics_are_measured_per_channel_on_a_batch():
    pixels = smooth_noise(rng(), (12, 15))
    src = ImageList._make([pixels] * 3, ".").split_by_idx([0]).label_const(1.5).transform(None)
    task = src.databunch(bs=1, num_workers=0).normalize().task.input
    values = pixels.reshape(-1, 3) / 255
    assert task.mean == pytest.approx(values.mean(0), rel=1e-4)
    assert task.std == pytest.approx(values.std(0, ddof=1), rel=1e-4)
    with pytest.raises(UsageError, match="normalised already"):
        task.with_stats((task.mean, task.std), None)
    for wrong in (([123.7, 116.3, 103.5], [58.4, 57.1, 57.4]), ([-0.1] * 3, [0.2] * 3)):
        with pytest.raises(ImageError, match="of values in 0-1"):
            ImageInput().with_stats(wrong, None)
    with pytest.raises(ImageError, match="std above 0"):
        ImageInput().with_stats(([0.5] * 3, [0.2, float("nan"), 0.2]), None)


# --- masks and points


def test_masks_and_points_move_with_their_image_through_the_default_transforms():
    given = train(get_transforms(flip_vert=True)[0], (32, 40), padding_mode="zeros")
    img = blob((60, 80), 22, 51, 2.5)
    points, mask = Points(count=1), Mask(classes=("sky", "sun"))
    marks = (img[:, :, 0] > 100).astype(np.int64)[None]
    for seed in range(20):
        moved = given.load(img, encoded(22, 51, (60, 80)), points, rng(seed))
        there = on_pixels(moved.y, (32, 40))
        if not all(3 <= v <= n - 4 for v, n in zip(there, (32, 40), strict=True)):
            continue
        assert np.abs(brightest(moved.x) - there).max() <= 1
        seen = given.load(img, marks, mask, rng(seed)).y[0] == 1
        assert np.abs(np.argwhere(seen).mean(0) - there).max() <= 1


def test_a_mask_of_another_size_than_its_image_is_an_error():
    img, mask = smooth_noise(rng(), (20, 30)), np.zeros((1, 30, 20), np.int64)
    given = ImageInput().with_transforms(get_transforms(), size=16)
    for generator in (None, rng()):
        with pytest.raises(SizeError, match=r"\(30, 20\).*\(20, 30\)"):
            given.load(img, mask, Mask(classes=("a", "b")), generator)


# --- transforms of other libraries


def test_a_foreign_transform_is_reproducible_and_moves_nobodys_luck():
    given = train(
        [augment.rotate((-20, 20)), v2.ColorJitter(0.5, 0.5, 0.5), v2.RandomErasing(1)], 32
    )
    images = [smooth_noise(rng(i), (40, 50)) for i in range(3)]
    torch.manual_seed(0)
    np.random.seed(0)
    first = batch(given, images)
    after = torch.rand(3), np.random.rand()
    torch.manual_seed(0)
    np.random.seed(0)
    assert torch.equal(torch.rand(3), after[0])
    assert np.random.rand() == after[1]
    torch.manual_seed(99)
    assert torch.equal(batch(given, images), first)
    assert not torch.equal(batch(given, images, seed=50), first)
    still = train([augment.rotate((-20, 20))], 32)
    assert not torch.equal(batch(still, images), first)


def test_the_same_image_drawn_twice_has_different_foreign_luck():
    img = smooth_noise(rng(), (32, 32))
    out = batch(train([v2.ColorJitter(0.5)]), [img, img])
    assert not torch.equal(out[0], out[1])


def test_a_foreign_flip_moves_masks_and_points_too():
    given = train([v2.RandomHorizontalFlip(1.0)])
    img = blob((20, 30), 12, 5, 1.5)
    samples = [given.load(img, encoded(12, 5, (20, 30)), Points(count=1), rng())]
    x, y = given.collate(samples)
    there = on_pixels(y[0].numpy(), (20, 30))
    assert np.abs(brightest(x[0].permute(1, 2, 0).numpy()) - [12, 24]).max() < 0.1
    assert np.abs(there - [12, 24]).max() < 1.01  # torchvision's own conventions differ by one
    marks = (img[:, :, 0] > 100).astype(np.int64)[None]
    _, mask = given.collate([given.load(img, marks, Mask(classes=("a", "b")), rng())])
    assert np.array_equal(mask[0].numpy(), marks[:, :, ::-1])


def test_an_item_of_a_data_set_and_its_label_go_through_foreign_transforms_together():
    given = train([v2.RandomHorizontalFlip(1.0)])
    img = blob((20, 30), 12, 5, 1.5)
    items = ImageList._make([img], ".")
    point = torch.tensor(encoded(12, 5, (20, 30)))
    side = LabelList(items, (point,), Task(given, Points(count=1)), augment=True)
    seen, answer = side[0]
    assert np.abs(brightest(seen.pixels) - on_pixels(answer.data, (20, 30))).max() < 1.01


def test_a_foreign_transform_may_give_floats_or_pil():
    to_float = v2.ToDtype(torch.float32, scale=True)
    img = smooth_noise(rng(), (20, 24))
    x = train([to_float])
    assert torch.equal(batch(x, [img]), batch(train(), [img]))
    assert torch.equal(batch(train([v2.ToPILImage()]), [img]), batch(train(), [img]))
    with pytest.raises(UsageError, match=r"returned shape \(1, 20, 24\)"):
        batch(train([v2.Grayscale()]), [img])


# --- images for people


def test_apply_tfms_repeats_with_a_seed():
    image = Image.of_pixels(smooth_noise(rng(), (40, 50)))
    tfms = get_transforms()[0]
    one, again, other = (image.apply_tfms(tfms, size=24, seed=s) for s in (1, 1, 2))
    assert one.size == (24, 24)
    assert torch.equal(one.data, again.data)
    assert not torch.equal(one.data, other.data)
    assert image.apply_tfms(None, size=(10, 20), resize_method="pad").size == (10, 20)


def test_a_large_jpeg_is_decoded_small_for_training_and_whole_for_validation(tmp_path):
    from PIL import Image as PillowImage

    PillowImage.fromarray(smooth_noise(rng(), (400, 600))).save(tmp_path / "a.jpg", quality=95)
    given = ImageInput().with_transforms(get_transforms(max_lighting=0), size=64)
    sample = given.load(tmp_path / "a.jpg", NOTHING, NoLabel(), rng())
    assert sample.plan.source == (100, 150)
    assert given.load(tmp_path / "a.jpg", NOTHING, NoLabel(), None).x.shape == (64, 64, 3)
