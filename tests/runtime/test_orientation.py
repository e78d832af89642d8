"""One rule for images and every kind of mask: each file is turned by its own EXIF mark."""

import io

import numpy as np
import pytest
from exif_turns import STORED
from PIL import Image

from onecycle.core.errors import ImageError
from onecycle.runtime.inputs.pixels import open_indexes, open_pixels, open_size, open_turn

UPRIGHT = np.arange(12, dtype=np.uint8).reshape(3, 4)
PALETTE = [*range(0, 256)] * 3


def with_mark(image, turn, kind, **options):
    exif = Image.Exif()
    exif[274] = turn
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


MASKS = {
    "grey PNG": (Image.fromarray, "PNG"),
    "index PNG": (lambda p: Image.frombytes("P", p.shape[::-1], p.tobytes()), "PNG"),
    "16-bit PNG": (lambda p: Image.fromarray(p.astype(np.uint16)), "PNG"),
    "grey TIFF": (Image.fromarray, "TIFF"),
    "16-bit TIFF": (lambda p: Image.fromarray(p.astype(np.uint16)), "TIFF"),
    "32-bit TIFF": (lambda p: Image.fromarray(p.astype(np.int32)), "TIFF"),
}


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_is_turned_by_its_mark_as_an_image_is(kind, turn):
    make, file = MASKS[kind]
    image = make(np.ascontiguousarray(STORED[turn](UPRIGHT)))
    if image.mode == "P":
        image.putpalette(PALETTE)
    data = with_mark(image, turn, file)
    assert open_indexes(data).tolist() == UPRIGHT.tolist()
    assert open_size(data) == (3, 4)
    assert open_turn(data) == turn


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("file", ["PNG", "TIFF", "WEBP"])
def test_a_mask_of_colours_is_turned_by_its_mark(turn, file):
    table = np.array([(20 * i, 255 - 9 * i, i) for i in range(12)], np.uint8)
    stored = np.ascontiguousarray(STORED[turn](table[UPRIGHT]))
    options = {"lossless": True} if file == "WEBP" else {}
    data = with_mark(Image.fromarray(stored), turn, file, **options)
    assert open_indexes(data, table).tolist() == UPRIGHT.tolist()


@pytest.mark.parametrize("turn", range(1, 9))
def test_an_opened_pil_image_is_turned_as_its_file_is(turn):
    stored = np.ascontiguousarray(STORED[turn](UPRIGHT))
    with Image.open(io.BytesIO(with_mark(Image.fromarray(stored), turn, "PNG"))) as image:
        assert open_indexes(image).tolist() == UPRIGHT.tolist()
        assert open_pixels(image)[:, :, 1].tolist() == UPRIGHT.tolist()
        assert open_size(image) == (3, 4)


@pytest.mark.parametrize("turn", [3, 6])
def test_a_mark_in_xmp_turns_the_pixels_of_a_jpeg_as_it_turns_its_size(turn):
    packet = f'<x:xmpmeta><d tiff:Orientation="{turn}"/></x:xmpmeta>'.encode()
    grey = np.repeat(np.repeat(UPRIGHT * 20, 8, 0), 8, 1)
    stored = np.ascontiguousarray(STORED[turn](grey))
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, "JPEG", quality=100, xmp=packet)
    data = buffer.getvalue()
    assert open_size(data) == grey.shape
    assert np.abs(open_pixels(data)[:, :, 0].astype(int) - grey).max() <= 3


def test_words_in_the_pixels_or_far_behind_the_header_turn_nothing():
    grey = np.full((8, 12), 99, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", comment=b"Exif\0\0 tiff:Orientation=6")
    data = buffer.getvalue() + b'Exif\0\0 tiff:Orientation="6"'
    assert open_pixels(data).shape == (8, 12, 3)
    assert open_turn(data) == 1


def test_arrays_and_what_is_no_file_have_no_mark_and_a_size():
    assert open_size(UPRIGHT) == (3, 4)
    assert open_size(Image.fromarray(UPRIGHT)) == (3, 4)
    assert [open_turn(source) for source in (UPRIGHT, "gone.png", b"no image", None)] == [1] * 4


# --- masks in memory


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64])
def test_an_array_of_whole_numbers_is_a_mask_whatever_its_type(dtype):
    for given in (UPRIGHT.astype(dtype), UPRIGHT.astype(dtype)[:, :, None]):
        found = open_indexes(given)
        assert found.dtype.kind in "iu"
        assert found.tolist() == UPRIGHT.tolist()
    assert open_indexes(UPRIGHT > 4).tolist() == (UPRIGHT > 4).astype(int).tolist()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (np.array([[0.0, 0.5]]), "whole numbers"),
        (np.array([[0.0, np.nan]]), "whole numbers"),
        (np.zeros((2, 3, 4, 1), np.uint8), r"not \(2, 3, 4, 1\)"),
        (np.zeros((1, 3, 4), np.uint8), r"not \(1, 3, 4\)"),
        (np.array([["a"]]), "whole numbers"),
    ],
)
def test_other_arrays_are_no_masks(given, reason):
    with pytest.raises(ImageError, match=reason):
        open_indexes(given)


def test_a_mask_of_several_pages_is_refused():
    buffer = io.BytesIO()
    page = Image.fromarray(UPRIGHT)
    page.save(buffer, "TIFF", save_all=True, append_images=[page])
    with pytest.raises(ImageError, match="a mask is one image, this file holds several"):
        open_indexes(buffer.getvalue())
