"""What depth, bands and transparency become: exactly right, or said, or refused."""

import io
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image
from tiffs import tiff

from onecycle.core.errors import ImageError, OnecycleWarning
from onecycle.runtime.inputs.pixels import is_plain, open_pixels
from onecycle.runtime.sources import Remark, Remarks


def encoded(values, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind, **options)
    return buffer.getvalue()


def by_opencv(values):
    """PNG of 16 bits with colours, which Pillow does not write."""
    return cv2.imencode(".png", values)[1].tobytes()


def reported(source):
    """The kinds of remarks on one image, and its pixels."""
    remarks = Remarks()
    pixels = open_pixels(source, remarks=remarks)
    return set(remarks.names), pixels


def ramp(top, shape=(8, 8), dtype=np.uint16):
    return np.linspace(0, top, np.prod(shape)).round().astype(dtype).reshape(shape)


# --- depth


NARROW = {
    "grey PNG": lambda top: encoded(ramp(top)),
    "grey TIFF": lambda top: encoded(ramp(top), "TIFF"),
    "RGB PNG": lambda top: by_opencv(np.dstack([ramp(top)] * 3)),
    "RGB TIFF": lambda top: tiff(np.dstack([ramp(top)] * 3), 2),
    "array": ramp,
    "RGB array": lambda top: np.dstack([ramp(top)] * 3),
}


@pytest.mark.parametrize("kind", NARROW)
@pytest.mark.parametrize("top", [1023, 4095, 16383])
def test_values_of_10_12_and_14_bits_in_16_are_said(kind, top):
    remarks, pixels = reported(NARROW[kind](top))
    assert remarks == {Remark.NARROW}
    assert pixels.max() <= 64
    with pytest.warns(OnecycleWarning, match="less than a quarter of the range.*with_bands"):
        open_pixels(NARROW[kind](top))


@pytest.mark.parametrize("kind", NARROW)
def test_of_values_that_use_their_16_bits_8_are_said_to_be_taken(kind):
    remarks, pixels = reported(NARROW[kind](65535))
    assert remarks == {Remark.DEPTH}
    wanted = np.rint(ramp(65535) / 257)
    assert np.abs(pixels[:, :, 0] - wanted).max() <= (1 if "RGB" in kind else 0)


def test_dark_images_beside_bright_ones_are_merely_dark():
    remarks = Remarks()
    for top in (4000, 60_000, 3000):
        open_pixels(ramp(top), remarks=remarks)
    remarks.warn(3)  # warnings are errors here
    del remarks.names[Remark.DEPTH]
    with pytest.warns(OnecycleWarning, match=r"^2 of 3 images \('the given array'"):
        remarks.warn(3)


def test_a_black_image_says_nothing_about_its_range():
    assert reported(np.zeros((4, 4), np.uint16))[0] == set()


def test_a_file_that_says_it_has_12_bits_has_4095_for_white():
    values = np.array([[0, 4095, 2048]], np.uint16)
    packed = np.frombuffer(bytes([0x00, 0x0F, 0xFF, 0x80, 0x00]), np.uint8)  # 3 x 12 bits, padded
    data = tiff(packed[None], bits=12).replace(
        (5).to_bytes(4, "little"), (3).to_bytes(4, "little"), 1
    )
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.array(image), values)
    remarks, pixels = reported(data)
    assert (remarks, pixels[0, :, 1].tolist()) == ({Remark.DEPTH}, [0, 255, 128])


def test_where_a_tiff_says_that_0_is_white_it_is():
    for values in (np.array([[0, 65535, 60_000]], np.uint16), np.array([[0, 255, 233]], np.uint8)):
        assert reported(tiff(values, photometric=0))[1][0, :, 0].tolist() == [255, 0, 22]


@pytest.mark.parametrize(
    ("values", "sample_format", "reason"),
    [
        (np.array([[-5, 200]], np.int16), 2, "from -5 to 200"),
        (np.array([[0, 3000]], np.int16), 2, "from 0 to 3000"),
        (np.array([[0, 70_000]], np.int32), 2, "from 0 to 70000"),
        (np.array([[-0.5, 0.5]], np.float32), 3, r"floats from -0\.5 to 0\.5"),
        (np.array([[0, 3000.0]], np.float32), 3, "floats from 0 to 3000"),
        (np.array([[0, 1.5]], np.float32), 3, r"from 0 to 1\.5; known are 0-1 and 0-255"),
        (np.array([[0, np.inf]], np.float32), 3, "to inf"),
    ],
)
def test_a_range_that_is_not_known_is_refused(values, sample_format, reason, tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(values, sample_format=sample_format))
    for source in (tmp_path / "a.tif", values):
        with pytest.raises(ImageError, match=reason):
            open_pixels(source)
    with pytest.raises(ImageError, match=r"a\.tif: "):
        open_pixels(tmp_path / "a.tif")


@pytest.mark.parametrize("top", [1, 255])
def test_floats_may_pass_the_ends_by_rounding(top):
    values = np.array([[-0.001, 0.2, 1.001]]) * top
    assert reported(values)[1][0, :, 0].tolist() == [0, 51, 255]


def test_whole_numbers_of_any_type_are_0_to_255():
    for dtype in (np.int16, np.int32, np.int64, np.uint32):
        assert reported(np.array([[0, 7, 255]], dtype))[1][0, :, 2].tolist() == [0, 7, 255]
    with pytest.raises(ImageError, match="holds numbers, not <U1"):
        open_pixels(np.array([["a"]]))


def test_what_is_no_number_is_black_and_said():
    for source in (
        np.array([[0.5, np.nan]]),
        tiff(np.array([[0.5, np.nan]], np.float32), 1, None, None, 3),
    ):
        remarks, pixels = reported(source)
        assert (remarks, pixels[0, :, 0].tolist()) == ({Remark.NAN}, [128, 0])


# --- bands


def tile(near_infrared):
    """Three bands of 100, and a fourth."""
    return np.dstack([np.full((8, 8, 3), 100, np.uint8), near_infrared]).astype(np.uint8)


INFRARED = {
    "one value": np.full((8, 8), 50),
    "up to white": np.arange(64).reshape(8, 8) * 4 + 3,
    "many": np.arange(64).reshape(8, 8) * 3 + 20,
    "half of it 0": np.where(np.arange(64).reshape(8, 8) % 2, 90, 0) + 1,
    "nothing": np.zeros((8, 8)),
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "array", "bare TIFF"])
@pytest.mark.parametrize("name", INFRARED)
def test_a_fourth_band_that_is_no_transparency_is_said(kind, name):
    values = tile(INFRARED[name])
    source = {"array": values, "bare TIFF": tiff(values, 2)}.get(kind)
    if source is None:
        source = encoded(
            values, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {})
        )
    remarks, _ = reported(source)
    assert remarks == {Remark.ALPHA}
    with pytest.warns(OnecycleWarning, match="taken for transparency .*save the files with three"):
        open_pixels(source)


def test_grey_with_a_second_band_is_said():
    pair = np.dstack([np.full((8, 8), 100), np.full((8, 8), 50)]).astype(np.uint8)
    assert reported(encoded(pair))[0] == {Remark.ALPHA}


def test_real_transparency_is_not():
    cut_out = np.full((8, 8), 255)
    cut_out[:, :3], cut_out[:, 3] = 0, 120  # nothing, a soft edge, the object
    remarks, pixels = reported(encoded(tile(cut_out)))
    assert remarks == set()
    assert pixels[0, [0, 7], 0].tolist() == [255, 100]
    assert reported(encoded(tile(np.full((8, 8), 255))))[0] == set()


@pytest.mark.parametrize(("bands", "extra"), [(4, [0]), (5, [0, 0]), (6, [0, 0, 0]), (2, [0])])
def test_bands_that_are_left_out_are_said(bands, extra):
    values = np.full((4, 4, bands), 9, np.uint8) * np.arange(1, bands + 1, dtype=np.uint8)
    remarks, pixels = reported(tiff(values, 2 if bands > 2 else 1, extra))
    assert remarks == {Remark.BANDS}
    assert pixels[0, 0].tolist() == ([9, 18, 27] if bands > 2 else [9, 9, 9])


@pytest.mark.parametrize(
    ("values", "messages"),
    [
        (np.zeros((4, 4, 5), np.uint16), "5 bands of 16 bits"),
        (np.zeros((4, 4, 13), np.uint16), "13 bands of 16 bits"),
        (np.zeros((4, 4, 3), np.float32), "3 bands of 32 bits"),
    ],
)
def test_a_tiff_that_is_not_read_is_described_and_nobody_is_told_to_delete_it(values, messages):
    extra = [0] * (values.shape[2] - 3) or None
    data = tiff(values, 2, extra, None, 3 if values.dtype.kind == "f" else 1)
    with pytest.raises(ImageError, match=f"a TIFF with {messages}.*need not be damaged") as found:
        open_pixels(data)
    assert "verify_images" not in str(found.value)
    assert type(found.value) is ImageError  # not among the damaged, which may be deleted


def test_of_a_stack_the_first_page_is_read_and_that_is_said():
    pages = [Image.fromarray(np.full((4, 4), 60 * i, np.uint8)) for i in (1, 2, 3)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    remarks, pixels = reported(buffer.getvalue())
    assert (remarks, int(pixels.max())) == ({Remark.FRAMES}, 60)


@pytest.mark.parametrize(
    ("mode", "colour", "wanted"),
    [
        ("LAB", (255, 128, 128), (255, 255, 255)),
        ("LAB", (136, 208, 195), (255, 0, 0)),  # L 53.2, a 80.1, b 67.2
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("CMYK", (255, 0, 0, 102), (0, 153, 153)),
        ("YCbCr", (76, 85, 255), (254, 0, 0)),
    ],
)
def test_other_colours_become_red_green_and_blue(mode, colour, wanted):
    found = open_pixels(encoded_pil(Image.new(mode, (2, 2), colour), "TIFF"))[0, 0]
    assert np.abs(found.astype(int) - wanted).max() <= 12


def encoded_pil(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_the_value_that_16_bits_of_grey_make_transparent_is_white():
    data = encoded(np.array([[0, 500, 65535]], np.uint16), transparency=500)
    assert reported(data)[1][0, :, 0].tolist() == [0, 255, 255]


def test_big_endian_values_are_the_same():
    image = Image.frombytes("I;16B", (3, 1), np.array([0, 25_700, 65535], ">u2").tobytes())
    assert reported(encoded_pil(image, "TIFF"))[1][0, :, 0].tolist() == [0, 100, 255]


# --- how it is said


def test_one_warning_of_each_kind_with_the_count_and_the_first_names():
    remarks = Remarks()
    for name in "abcde":
        remarks.add(Remark.ALPHA, name)
    remarks.add(Remark.BANDS, "x")
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        remarks.warn(9)
    messages = [str(w.message) for w in given]
    assert len(messages) == 2
    assert messages[0].startswith("5 of 9 images ('a', 'b', 'c' and 2 more) have a last band")
    assert messages[1].startswith("1 of 9 images ('x') have bands")
    assert {w.filename for w in given} == {__file__}


@pytest.mark.parametrize(
    ("values", "plain"),
    [
        (np.zeros((4, 4, 3), np.uint8), True),
        (np.zeros((4, 4), np.uint8), True),
        (np.zeros((4, 4, 4), np.uint8), False),
        (np.zeros((4, 4), np.uint16), False),
    ],
)
def test_which_files_need_no_second_look_is_seen_in_their_first_bytes(values, plain, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(values))
    assert is_plain(tmp_path / "a.png") is plain


def test_a_jpeg_needs_no_second_look_and_a_tiff_does(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(np.zeros((4, 4, 3), np.uint8), "JPEG"))
    assert is_plain(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(encoded(np.zeros((4, 4, 3), np.uint8), "TIFF"))
    assert not is_plain(tmp_path / "b.jpg")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L", "CMYK"])
@pytest.mark.parametrize("at_once", [1, 100, 53 * 36, 53 * 37])
def test_bands_of_an_image_are_laid_on_white_as_the_whole_is(mode, at_once, monkeypatch):
    from onecycle.runtime.inputs import pixel_values

    values = np.random.default_rng(0).integers(0, 256, (37, 53, 4), dtype=np.uint8)
    image = Image.fromarray(values, "RGBA")
    if mode == "P":
        image = image.convert("RGB").quantize(9)
        image.info["transparency"] = 4
    else:
        image = image.convert(mode)
    whole = image.convert("RGBA") if mode != "CMYK" else image.convert("RGB").convert("RGBA")
    ground = Image.new("RGBA", image.size, (255,) * 4)
    wanted = np.asarray(Image.alpha_composite(ground, whole).convert("RGB"))
    monkeypatch.setattr(pixel_values, "_ROWS", at_once)
    found = open_pixels(image, remarks=(remarks := Remarks()))
    assert np.array_equal(found, wanted)
    assert (Remark.ALPHA in remarks.names) == (mode in {"RGBA", "LA"})
