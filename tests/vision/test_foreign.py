"""What transforms of other libraries give back is checked, and named where it does not fit."""

import random

import numpy as np
import pytest
import torch
from pixel_helpers import smooth_noise
from torch import nn
from torchvision.transforms import v2

from onecycle.core.errors import SizeError, UsageError
from onecycle.data.targets import NoLabel
from onecycle.vision import augment
from onecycle.vision.input import ImageInput
from onecycle.vision.targets import Mask
from onecycle.vision.transform import as_transform

IMAGE = smooth_noise(np.random.default_rng(0), (20, 24))
FLOAT = v2.ToDtype(torch.float32, scale=True)


def batch(*tfms, size=None, y=None, target=None):
    given = ImageInput().with_transforms((list(tfms), []), size=size)
    y = np.zeros((), np.float32) if y is None else y
    sample = given.load(IMAGE, y, target or NoLabel(), np.random.default_rng(0))
    return given.collate([sample])


def scaled(factor):
    def scale(image):
        return image * factor

    return scale


@pytest.mark.parametrize(
    ("tfms", "messages"),
    [
        ([FLOAT, v2.Normalize([0.5] * 3, [0.5] * 3)], r"Normalize returned values from -1 to 1,"),
        ([FLOAT, v2.Normalize([0.0] * 3, [0.5] * 3)], r"Normalize returned values from .* to 2,"),
        ([v2.ToDtype(torch.float32)], r"ToDtype returned values from .* to 25\d"),
        ([FLOAT, scaled(1.02)], r"scale returned values from .* to 1\.02"),
        ([FLOAT, scaled(float("nan"))], r"scale returned values from nan to nan"),
        ([FLOAT, scaled(3.0), v2.Identity()], r"scale returned values"),  # where it left the range
        ([v2.ToDtype(torch.int32)], r"ToDtype returned torch\.int32"),
        ([v2.ToDtype(torch.uint16, scale=True)], r"ToDtype returned torch\.uint16"),
        ([lambda image: image > 100], r"<lambda> returned torch\.bool"),
        ([v2.Grayscale()], r"Grayscale returned shape \(1, 20, 24\)"),
        ([lambda image: "no image"], r"<lambda> returned str"),
        ([lambda image: None], r"<lambda> returned NoneType"),
        ([lambda image: image[0]], r"<lambda> returned shape \(20, 24\)"),
        ([lambda image: np.zeros((3, 20, 24), np.uint8)], r"<lambda> returned shape \(24, 3, 20\)"),
        ([nn.Linear(5, 5)], r"Linear failed on an image \(RuntimeError"),
    ],
)
def test_what_is_no_image_of_bytes_or_of_0_to_1_is_refused_by_name(tfms, messages):
    with pytest.raises(UsageError, match=f"the transform {messages}"):
        batch(*tfms)


@pytest.mark.parametrize(
    "tfms",
    [
        [FLOAT],
        [v2.ToDtype(torch.float64, scale=True)],
        [FLOAT, scaled(255.0), scaled(1 / 255)],  # out of the range and back
        [v2.ToPILImage()],
        [lambda image: image.permute(1, 2, 0).numpy()],
        [FLOAT, v2.Normalize([0.5] * 3, [0.5] * 3), v2.Normalize([-1.0] * 3, [2.0] * 3)],
    ],
)
def test_what_ends_as_such_an_image_is_taken(tfms):
    x, _ = batch(*tfms)
    assert x.dtype == torch.uint8
    assert np.abs(x[0].permute(1, 2, 0).numpy().astype(int) - IMAGE).max() <= 1


def test_floats_are_rounded_to_the_nearest_byte():
    x, _ = batch(FLOAT, lambda image: image * 0 + 100.4 / 255)
    assert x.unique().tolist() == [100]


def test_another_size_than_the_one_that_was_asked_for_is_refused():
    resize = v2.Resize((10, 12))
    assert batch(resize)[0].shape == (1, 3, 10, 12)  # where none was
    with pytest.raises(SizeError, match="Resize made an image of 10 x 12, wanted is 16 x 16"):
        batch(resize, size=16)
    assert batch(v2.RandomCrop(16), size=16)[0].shape == (1, 3, 16, 16)


MASK = (IMAGE[:, :, 0] > 120).astype(np.int64)[None]
KINDS = Mask(classes=("a", "b"))


@pytest.mark.parametrize(
    ("tfm", "messages"),
    [
        (lambda image: image.flip(-1), r"<lambda> failed on a pair of an image and its label"),
        (lambda pair: pair[0], "<lambda> gave back no pair"),
        (lambda pair: (pair[0], pair[0]), "<lambda> gave back no pair"),
    ],
)
def test_transforms_that_would_leave_the_mask_behind_are_refused(tfm, messages):
    with pytest.raises(UsageError, match=f"the transform {messages}"):
        batch(tfm, y=MASK, target=KINDS)


def test_a_mask_of_another_size_than_its_image_is_refused():
    def cut(pair):
        return pair[0], type(pair[1])(pair[1][:, :10])

    with pytest.raises(SizeError, match=r"mask of \(10, 24\), the image has \(20, 24\)"):
        batch(cut, y=MASK, target=KINDS)


def test_a_mask_goes_with_floats_as_well():
    x, y = batch(v2.RandomVerticalFlip(1.0), FLOAT, y=MASK, target=KINDS)
    assert np.array_equal(x[0].permute(1, 2, 0).numpy(), IMAGE[::-1])
    assert np.array_equal(y[0].numpy(), MASK[:, ::-1])


def test_pythons_own_luck_is_repeatable_too_and_comes_out_as_it_was():
    def lucky(image):
        return (image * random.random()).to(torch.uint8)

    random.seed(0)
    first = batch(lucky)[0]
    after = random.random()
    random.seed(0)
    assert random.random() == after
    assert torch.equal(batch(lucky)[0], first)


def test_a_class_or_a_function_of_ours_in_place_of_a_transform_is_refused():
    with pytest.raises(UsageError, match=r"not its class: RandomErasing\(\.\.\.\)"):
        as_transform(v2.RandomErasing)
    with pytest.raises(UsageError, match="made by a function such as rotate"):
        as_transform(augment.rotate)
