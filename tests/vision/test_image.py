"""Images, masks and points as values."""

import io

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from PIL import Image as PillowImage

from onecycle.core.errors import UsageError
from onecycle.vision.image import FlowField, Image, ImagePoints, ImageSegment, open_image, open_mask


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)


def test_an_opened_image_is_floats_between_0_and_1(pixels, tmp_path):
    PillowImage.fromarray(pixels).save(tmp_path / "a.png")
    buffer = io.BytesIO((tmp_path / "a.png").read_bytes())
    for source in (tmp_path / "a.png", buffer, pixels):
        image = open_image(source)
        assert (image.shape, image.size) == ((3, 6, 9), (6, 9))  # (h, w), not Pillow's (w, h)
        assert torch.equal(image.data, torch.from_numpy(pixels).permute(2, 0, 1) / 255)
        assert np.array_equal(image.pixels, pixels)
    assert open_image(pixels, div=False).data.max() == pixels.max()


def test_grey_is_weighted_as_television_does():
    image = open_image(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8), convert_mode="L")
    torch.testing.assert_close(image.data[:, 0], torch.tensor([[0.299, 0.587]] * 3))
    with pytest.raises(UsageError, match='"RGB" or "L"'):
        open_image(np.zeros((2, 2), np.uint8), convert_mode="CMYK")


def test_a_image_shows_itself_in_a_notebook(pixels):
    png = Image.of_pixels(pixels)._repr_png_()
    assert np.array_equal(np.array(PillowImage.open(io.BytesIO(png))), pixels)
    assert repr(Image.of_pixels(pixels)) == "Image (3, 6, 9)"


def test_a_image_is_drawn_with_what_lies_over_it(pixels):
    image = Image.of_pixels(pixels)
    assert image.show(title="here", y="cat").get_title() == "cat\nhere"
    over = image.show(y=ImageSegment(torch.zeros(1, 6, 9, dtype=torch.int64)))
    assert len(over.images) == 2
    dots = image.show(y=ImagePoints(FlowField((6, 9), torch.tensor([[1.0, 7.0]]))))
    assert dots.collections[0].get_offsets().tolist() == [pytest.approx([7, 1])]  # (x, y)
    assert not image.show().axison
    assert image.show(hide_axis=False).axison
    ax = plt.subplots()[1]
    assert image.show(ax) is ax


def test_a_mask_is_whole_numbers(tmp_path):
    stored = np.array([[0, 1, 5], [255, 0, 2]], np.uint8)
    PillowImage.fromarray(stored).save(tmp_path / "m.png")
    mask = open_mask(tmp_path / "m.png")
    assert (mask.data.dtype, mask.shape, mask.size) == (torch.int64, (1, 2, 3), (2, 3))
    assert mask.data[0].tolist() == stored.tolist()
    assert mask.shape[1:] == (2, 3)
    PillowImage.fromarray((stored > 1).astype(np.uint8) * 255).save(tmp_path / "b.png")
    assert open_mask(tmp_path / "b.png", div=True).data.tolist() == [[[0, 0, 1], [1, 0, 1]]]
    assert mask.show(figsize=(5, 5), alpha=1, title="m").get_title() == "m"


def test_points_run_from_minus_one_to_one_from_edge_to_edge():
    points = ImagePoints(FlowField((10, 20), torch.tensor([[0.0, 0.0], [9.0, 19.0], [4.5, 9.5]])))
    wanted = [[-0.9, -0.95], [0.9, 0.95], [0.0, 0.0]]
    torch.testing.assert_close(points.data, torch.tensor(wanted))
    torch.testing.assert_close(points.pixels, torch.tensor([[0.0, 0.0], [9.0, 19.0], [4.5, 9.5]]))


def test_points_may_come_x_first_or_scaled_already():
    by_x = ImagePoints(FlowField((10, 20), torch.tensor([[19.0, 0.0]])), y_first=False)
    torch.testing.assert_close(by_x.data, torch.tensor([[-0.9, 0.95]]))
    scaled = ImagePoints(FlowField((10, 20), torch.tensor([[0.25, -0.5]])), scale=False)
    assert scaled.data.tolist() == [[0.25, -0.5]]
    assert repr(scaled) == "ImagePoints (1, 2)"
