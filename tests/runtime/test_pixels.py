"""Every common image file opens upright as 8-bit RGB; everything else is a clear error."""

import io
import struct
import tracemalloc
import warnings
import zlib
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from threading import Event

import numpy as np
import pytest
from exif_turns import STORED
from PIL import Image

from onecycle.core.errors import ImageError, OnecycleWarning
from onecycle.runtime.inputs import pixels as spec_pixels
from onecycle.runtime.inputs.pixels import open_indexes, open_pixels, open_size, sniff, verify

RED, GREEN, BLUE = (220, 30, 40), (20, 180, 60), (30, 50, 210)


def lopsided(h=32, w=48):
    """Red above left, green above right, blue below: no symmetry gives it back."""
    image = np.empty((h, w, 3), np.uint8)
    image[: h // 2, : w // 4], image[: h // 2, w // 4 :], image[h // 2 :] = RED, GREEN, BLUE
    return image


def as_bytes(image, kind, **options):
    buffer = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(a, b):
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b.astype(int)).mean()


def png_chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(width, height):
    """A PNG of 70 bytes whose header promises width x height pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


# --- what opens


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_files_give_the_pixels_that_were_saved(kind):
    opened = open_pixels(as_bytes(lopsided(), kind))
    assert opened.dtype == np.uint8
    assert opened.flags.c_contiguous
    assert opened.tolist() == lopsided().tolist()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_files_give_nearly_the_pixels_that_were_saved(kind):
    assert difference(open_pixels(as_bytes(lopsided(), kind, quality=95)), lopsided()) < 4


def test_a_path_text_bytes_a_file_pil_and_an_array_are_the_same_image(tmp_path):
    data = as_bytes(lopsided(), "PNG")
    path = tmp_path / "image.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        sources = [path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file]
        sources += [Image.open(io.BytesIO(data)), lopsided()]
        for source in sources:
            assert np.array_equal(open_pixels(source), lopsided()), type(source)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_all_eight_exif_orientations_give_the_same_upright_image(turn, kind):
    stored = STORED[turn](lopsided())
    exif = Image.Exif()
    exif[274] = turn
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    data = as_bytes(np.ascontiguousarray(stored), kind, exif=exif.tobytes(), **options)
    assert difference(open_pixels(data), lopsided()) < 4
    assert open_size(io.BytesIO(data)) == (32, 48)


def test_a_nonsense_orientation_is_none():
    exif = Image.Exif()
    exif[274] = 77
    data = as_bytes(lopsided(), "JPEG", quality=95, exif=exif.tobytes())
    assert difference(open_pixels(data), lopsided()) < 4


def test_cmyk_jpeg():
    data = as_bytes(Image.fromarray(lopsided()).convert("CMYK"), "JPEG", quality=95)
    assert difference(open_pixels(data), lopsided()) < 8


def test_grey_jpeg_has_three_equal_channels():
    opened = open_pixels(as_bytes(Image.fromarray(lopsided()).convert("L"), "JPEG", quality=95))
    assert opened.shape == (32, 48, 3)
    assert np.array_equal(opened[..., 0], opened[..., 2])


def test_progressive_jpeg():
    data = as_bytes(lopsided(), "JPEG", quality=95, progressive=True)
    assert difference(open_pixels(data), lopsided()) < 4


def test_palette():
    data = as_bytes(Image.fromarray(lopsided()).quantize(8), "PNG")
    assert difference(open_pixels(data), lopsided()) < 4


def test_what_a_palette_makes_transparent_is_white():
    indexes = Image.fromarray(np.array([[0, 1], [1, 2]], np.uint8), "P")
    indexes.putpalette([*RED, *GREEN, *BLUE])
    opened = open_pixels(as_bytes(indexes, "PNG", transparency=1))
    assert opened.tolist() == [[list(RED), [255] * 3], [[255] * 3, list(BLUE)]]


def test_rgba_is_laid_on_white():
    rgba = np.array([[(*RED, 255), (*RED, 0), (100, 0, 200, 102)]], np.uint8)
    opened = open_pixels(as_bytes(rgba, "PNG"))
    assert opened[0, :2].tolist() == [list(RED), [255] * 3]
    assert np.abs(opened[0, 2].astype(int) - [193, 153, 233]).max() <= 1  # 0.4 colour + 0.6 white
    assert np.abs(open_pixels(rgba).astype(int) - opened).max() <= 1


def test_grey_with_alpha_is_laid_on_white():
    grey = np.array([[(10, 255), (10, 0), (0, 51)]], np.uint8)
    opened = open_pixels(as_bytes(Image.fromarray(grey, "LA"), "PNG"))
    assert np.abs(opened[0, :, 1].astype(int) - [10, 255, 204]).max() <= 1


def test_sixteen_bit_grey_is_scaled_not_clipped():
    grey = np.array([[0, 257, 25700, 65535]], np.uint16)
    opened = open_pixels(as_bytes(Image.fromarray(grey), "PNG"))
    assert opened[0, :, 0].tolist() == [0, 1, 100, 255]
    assert open_pixels(grey)[0, :, 2].tolist() == [0, 1, 100, 255]


def test_a_dark_sixteen_bit_image_stays_dark():
    grey = np.array([[0, 100, 250]], np.uint16)
    with pytest.warns(OnecycleWarning, match="less than a quarter of the range"):
        assert open_pixels(as_bytes(Image.fromarray(grey), "TIFF")).max() <= 1


def test_one_bit():
    bits = Image.fromarray(np.array([[0, 255], [255, 255]], np.uint8)).convert("1")
    opened = open_pixels(as_bytes(bits, "PNG"))
    assert opened.tolist() == [[[0] * 3, [255] * 3], [[255] * 3, [255] * 3]]


def test_float_tiff_between_0_and_1_and_up_to_255():
    values = np.array([[0.0, 0.2, 1.0]], np.float32)
    for stored in (values, values * 255):
        opened = open_pixels(as_bytes(Image.fromarray(stored), "TIFF"))
        assert opened[0, :, 0].tolist() == [0, 51, 255]


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.fromarray(p) for p in (lopsided(), lopsided()[::-1], lopsided()[:, ::-1])]
    data = as_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    with pytest.warns(OnecycleWarning, match="several images .*the first"):
        assert np.array_equal(open_pixels(data), lopsided())


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (np.array([[0, 128]], np.uint8), [0, 128]),
        (np.array([[[0], [128]]], np.uint8), [0, 128]),
        (np.array([[0.0, 0.5]]), [0, 128]),
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0, 128]]), [0, 128]),
        (np.array([[2.0, 128.4]]), [2, 128]),
        (np.array([[0.0, 1.0000001]]), [0, 255]),
        (np.array([[-1e-7, 0.2]], np.float32), [0, 51]),
    ],
)
def test_arrays_of_every_kind(array, wanted):
    opened = open_pixels(array)
    assert opened.shape == (1, 2, 3)
    assert opened[0, :, 1].tolist() == wanted


# --- decoding at a reduced scale


@pytest.mark.parametrize(
    ("at_least", "shape"),
    [
        (None, (480, 640)),
        ((480, 640), (480, 640)),
        ((241, 100), (480, 640)),
        ((240, 320), (240, 320)),
        ((100, 100), (120, 160)),
        ((10, 10), (60, 80)),
        ((1000, 1000), (480, 640)),
    ],
)
def test_a_jpeg_shrinks_while_it_stays_large_enough(at_least, shape):
    data = as_bytes(lopsided(480, 640), "JPEG", quality=90)
    opened = open_pixels(data, at_least)
    assert opened.shape[:2] == shape
    wanted = np.array(Image.fromarray(lopsided(480, 640)).resize(shape[::-1]))
    assert difference(opened, wanted) < 3


def test_a_turned_jpeg_shrinks_by_its_upright_size():
    exif = Image.Exif()
    exif[274] = 6
    stored = np.ascontiguousarray(np.rot90(lopsided(160, 480), 1))
    data = as_bytes(stored, "JPEG", quality=90, exif=exif.tobytes())
    assert open_pixels(data, (80, 240)).shape == (80, 240, 3)
    assert open_pixels(data, (81, 100)).shape == (160, 480, 3)


def test_odd_sizes_never_come_out_too_small():
    for h, w in ((101, 203), (79, 65), (33, 129)):
        data = as_bytes(lopsided(h, w), "JPEG")
        for wanted in ((h // 2, w // 2), (h // 3, w // 4), (h // 8, w // 8), (h - 1, w - 1)):
            opened = open_pixels(data, wanted)
            assert opened.shape[0] >= wanted[0], (h, w, wanted)
            assert opened.shape[1] >= wanted[1], (h, w, wanted)


# --- what does not open

JPEG = as_bytes(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8), "JPEG")
PNG = as_bytes(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8), "PNG")
BROKEN = {
    "zero.jpg": (b"", "empty"),
    "half.jpg": (JPEG[: len(JPEG) // 2], "cut off"),
    "head.jpg": (JPEG[:20], "cut off|not an image"),
    "half.png": (PNG[: len(PNG) // 2], "cut off"),
    "text.jpg": (b"hello, this is text\n" * 9, "not an image: it begins with b'hello"),
    "page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "blank_page.png": (b"\n\n <html><head></head></html>", "web page"),
    "phone.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 90, "HEIC"),
    "next.jpg": (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + b"\0" * 90, "AVIF"),
    "drawing.png": (b"<?xml version='1.0'?><svg xmlns='a'></svg>", "SVG"),
    "paper.png": (b"%PDF-1.7 ...", "PDF"),
    "script.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    "zeros.jpg": (b"\0" * 4096, "not an image"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_an_error_that_names_it_and_the_reason(name, tmp_path):
    data, reason = BROKEN[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImageError, match=rf"(?s){name}: .*({reason})"):
        open_pixels(tmp_path / name)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_seen_before_training(name, tmp_path):
    (tmp_path / name).write_bytes(BROKEN[name][0])
    assert sniff(tmp_path / name) is not None
    assert name in str(verify(tmp_path / name))


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        open_pixels(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="cannot be read"):
        open_pixels(tmp_path)
    assert str(sniff(tmp_path / "gone.jpg")).endswith("gone.jpg: no such file")
    assert "cannot be read" in str(sniff(tmp_path))


def test_whole_files_pass_the_check_by_their_first_and_last_bytes(tmp_path, monkeypatch):
    def never(path):
        raise AssertionError("decoded")

    monkeypatch.setattr(spec_pixels, "verify", never)
    for name, data in (("a.jpg", JPEG), ("b.png", PNG)):
        (tmp_path / name).write_bytes(data)
        assert sniff(tmp_path / name) is None


def test_a_jpeg_with_something_behind_its_end_is_still_a_image(tmp_path):
    (tmp_path / "a.jpg").write_bytes(JPEG + b"\0" * 500)
    assert sniff(tmp_path / "a.jpg") is None
    assert open_pixels(tmp_path / "a.jpg").shape == (64, 64, 3)


def test_a_bomb_is_refused_without_the_memory_it_asks_for(tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb(60_000, 60_000))
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=r"bomb.png: too many pixels"):
            open_pixels(tmp_path / "bomb.png")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_bomb_is_seen_before_training(tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb(60_000, 60_000))
    assert "too many pixels" in str(sniff(tmp_path / "bomb.png"))
    with pytest.raises(ImageError, match=r"bomb.png"):
        open_size(tmp_path / "bomb.png")


@pytest.mark.parametrize(("width", "height"), [(12_500, 12_001), (60_000, 60_000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_limit_of_pixels_is_ours_below_pillows_own_and_pillows_above(width, height):
    with pytest.raises(ImageError, match=r"too many pixels .*limit of"):
        open_pixels(bomb(width, height))


def test_threads_that_open_images_leave_the_filters_of_warnings_alone(monkeypatch):
    """`warnings.catch_warnings` in threads puts back the wrong filters."""
    original, calls, second_entered, first_left = Image.open, [], Event(), Event()

    def first_in_first_out(*args, **options):
        calls.append(args)
        if len(calls) > 1:
            second_entered.set()
        (second_entered if len(calls) == 1 else first_left).wait(10)
        return original(*args, **options)

    monkeypatch.setattr(Image, "open", first_in_first_out)
    before = list(warnings.filters)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(open_pixels, PNG) for _ in range(2)]
        wait(both, timeout=10, return_when=FIRST_COMPLETED)
        first_left.set()
    assert warnings.filters == before


def test_the_size_of_a_damaged_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / "odd.jpg").write_bytes(b"\xff\xd8\xff" + b"junk" * 30 + b"\xff\xd9")
    with pytest.raises(ImageError, match=r"odd.jpg"):
        open_size(tmp_path / "odd.jpg")


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2), (2, 2, 5), (1, 2, 2, 3)])
def test_arrays_that_are_no_images(shape):
    with pytest.raises(ImageError, match=r"shape \(h, w\)"):
        open_pixels(np.zeros(shape, np.uint8))


def test_other_objects_are_no_images():
    with pytest.raises(ImageError, match="not <class 'int'>"):
        open_pixels(7)


# --- masks


def test_a_mask_keeps_its_numbers_whatever_its_palette(tmp_path):
    numbers = np.array([[0, 1, 2], [2, 7, 200]], np.uint8)
    plain, coloured = Image.fromarray(numbers), Image.fromarray(numbers, "P")
    coloured.putpalette([*RED, *GREEN, *BLUE] * 80)
    for image in (plain, coloured):
        assert open_indexes(as_bytes(image, "PNG")).tolist() == numbers.tolist()


def test_a_sixteen_bit_mask_keeps_its_numbers():
    numbers = np.array([[0, 300, 60_000]], np.uint16)
    opened = open_indexes(as_bytes(Image.fromarray(numbers), "PNG"))
    assert opened.dtype == np.int32
    assert opened.tolist() == numbers.tolist()


def test_a_coloured_mask_is_refused():
    with pytest.raises(ImageError, match="RGB colours"):
        open_indexes(as_bytes(lopsided(), "PNG"))
