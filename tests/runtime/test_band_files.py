"""Files of any number of bands are read as they are stored, or refused by name with what to do."""

import io
import sys
from functools import partial

import cv2
import numpy as np
import pytest
import tifffile
from band_helpers import as_dicom, as_tiff, ramps
from PIL import Image

from onecycle.core.errors import DamagedImageError, ImageError, OnecycleWarning, UsageError
from onecycle.runtime.inputs import pixels
from onecycle.runtime.inputs.bands import BandsSpec, shape_of
from onecycle.runtime.sources import Remark, Remarks


def stored(source, **fields):
    """The values, and the kinds of remarks on them."""
    remarks = Remarks()
    values, _ = BandsSpec(**fields).stored(source, remarks)
    return values, set(remarks.names)


# --- TIFF

LAYOUTS = {
    "plain": {},
    "lzw": {"compression": "lzw"},
    "deflate, by difference": {"compression": "deflate", "predictor": True},
    "zstd": {"compression": "zstd"},
    "tiles": {"tile": (16, 16)},
    "strips": {"rowsperstrip": 7, "compression": "packbits"},
    "big": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_type_gives_the_values_that_were_written(layout, dtype):
    options = dict(LAYOUTS[layout])
    values = (ramps() - (9000.0 if np.dtype(dtype).kind in "if" else 0)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        options.pop("predictor", None)
    data = as_tiff(values, **({} if "byteorder" in options else options))
    if "byteorder" in options:
        data = as_tiff(values.astype(values.dtype.newbyteorder(">")))
    found, remarks = stored(data)
    assert np.array_equal(found, values.astype(np.float32))
    assert (remarks, shape_of(data, "x")) == (set(), (30, 41, 5))


def test_bands_in_planes_of_their_own_are_those_of_pixels():
    data = as_tiff(np.moveaxis(ramps(), 2, 0), planarconfig="separate")
    assert np.array_equal(stored(data)[0], ramps())


@pytest.mark.parametrize(
    ("turn", "upright"),
    [
        (2, lambda v: v[:, ::-1]),
        (3, lambda v: v[::-1, ::-1]),
        (6, lambda v: np.rot90(v, -1)),
        (8, np.rot90),
    ],
)
def test_a_mark_of_orientation_turns_values_and_size(turn, upright):
    data = as_tiff(ramps(), extratags=[(274, "H", 1, turn, True)])
    wanted = upright(ramps())
    assert np.array_equal(stored(data)[0], wanted)
    assert shape_of(data, "x") == wanted.shape
    assert pixels.open_size(data) == wanted.shape[:2]


def test_bands_are_counted_from_one_and_come_in_the_order_given():
    assert np.array_equal(stored(as_tiff(ramps()), bands=(5, 2))[0], ramps()[:, :, [4, 1]])


def test_a_band_that_is_not_there_is_named_with_the_file_and_its_count(tmp_path):
    (tmp_path / "tile.tif").write_bytes(as_tiff(ramps(bands=4)))
    with pytest.raises(ImageError, match=r"tile\.tif: it has 4 bands \(1 to 4\).* also 6, 5"):
        stored(tmp_path / "tile.tif", bands=(6, 1, 5))
    with pytest.raises(UsageError, match="counted from 1"):
        BandsSpec(bands=(0, 1))


def test_what_the_file_names_as_no_data_has_no_value():
    values = np.where(ramps() < 6000, 7, ramps())
    data = as_tiff(values, extratags=[(42113, "s", 0, "7", True)])
    found, _ = stored(data)
    assert np.array_equal(np.isnan(found), values == 7)
    remarks = Remarks()
    array = BandsSpec(value_range=((5, 60_000),) * 5).array(data, remarks)
    assert (array[values == 7] == 5).all()
    assert np.array_equal(array[values != 7], values[values != 7])
    assert Remark.ABSENT in remarks.names


def test_values_outside_the_range_are_said_where_they_are_many():
    values = np.arange(100, dtype=np.uint16).reshape(10, 10, 1)
    for low, said in ((50, False), (51, True)):
        remarks = Remarks()
        BandsSpec(value_range=((low, 99),)).array(values, remarks)
        assert (Remark.CLIPPED in remarks.names) == said
    with pytest.warns(OnecycleWarning, match="1 of 1 images .*sets a wider"):
        BandsSpec(value_range=((51, 99),)).array(values)


def test_of_several_pages_the_first_is_read_and_said_and_small_copies_are_none(tmp_path):
    found, remarks = stored(as_tiff(ramps(), ramps(seed=1)))
    assert np.array_equal(found, ramps())
    assert remarks == {Remark.FRAMES}
    with tifffile.TiffWriter(tmp_path / "cog.tif") as file:
        options = {"photometric": "minisblack", "planarconfig": "contig"}
        file.write(ramps(), **options)
        file.write(ramps()[::2, ::2], subfiletype=1, **options)
    assert stored(tmp_path / "cog.tif")[1] == set()


@pytest.mark.parametrize("kind", ["tiff", "dicom"])
def test_another_page_or_frame_is_read_where_it_is_asked_for(kind):
    """Its shape by the header, too; one that is not there is named, also of a plain photo."""
    bands = 2 if kind == "tiff" else 1
    pages = [ramps(bands=bands, seed=i) for i in range(3)]
    data = as_tiff(*pages) if kind == "tiff" else as_dicom(np.stack([p[:, :, 0] for p in pages]))
    for number in (1, 2, 3):
        found, remarks = stored(data, frame=number)
        assert np.array_equal(found, pages[number - 1])
        assert remarks == set()
        assert shape_of(data, "x", number) == pages[0].shape
    for wrong in (partial(stored, data, frame=4), partial(shape_of, data, "x", 4)):
        with pytest.raises(ImageError, match="it has 3 pages, and page=4 is wanted"):
            wrong()
    photo = io.BytesIO()
    Image.new("RGB", (4, 5)).save(photo, "JPEG")
    for wrong in (partial(stored, frame=2), partial(shape_of, name="x", page=2)):
        with pytest.raises(ImageError, match="it has one page, and page=2 is wanted"):
            wrong(photo.getvalue())


def test_pages_of_different_shapes_have_their_own():
    data = as_tiff(ramps(20, 30, 2), ramps(11, 13, 4))
    assert [shape_of(data, "x", page) for page in (1, 2)] == [(20, 30, 2), (11, 13, 4)]
    assert stored(data, frame=2)[0].shape == (11, 13, 4)


@pytest.mark.parametrize("layout", ["plain", "deflate, by difference", "tiles", "strips"])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.6, 0.99])
def test_a_file_that_is_cut_off_is_damaged(layout, share):
    data = as_tiff(ramps(), **LAYOUTS[layout])
    with pytest.raises(DamagedImageError, match=r"damaged|not an image"):
        stored(data[: max(9, int(len(data) * share))])


@pytest.mark.parametrize(
    ("values", "reason"),
    [(ramps(bands=1)[:, :, 0].astype(np.complex64), "complex64"), (ramps()[:, :, 0] > 9, "bool")],
)
def test_numbers_that_are_no_values_are_refused(values, reason):
    with pytest.raises(ImageError, match=reason):
        stored(as_tiff(values))


def test_rows_of_a_palette_are_no_bands():
    values = ramps()[:, :, 0].astype(np.uint8)
    data = as_tiff(values, photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    with pytest.raises(ImageError, match="palette"):
        stored(data)


@pytest.mark.parametrize(
    ("package", "source", "extra"),
    [
        ("tifffile", lambda: as_tiff(ramps()), "tiff"),
        ("pydicom", lambda: as_dicom(ramps()[:, :, 0]), "dicom"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(package, source, extra, monkeypatch):
    data = source()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImageError, match=rf"{package}: pip install 'onecycle\[{extra}\]'"):
        stored(data)


# --- PNG, photos and arrays


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_a_png_of_16_bits_keeps_them_in_the_order_red_green_blue(bands):
    values = ramps(bands=bands)
    order = [2, 1, 0, 3][:bands] if bands > 1 else [0]
    data = cv2.imencode(".png", values[:, :, order])[1].tobytes()
    assert np.array_equal(stored(data)[0], values)
    assert shape_of(data, "x") == values.shape


def test_photos_have_three_bands_of_bytes():
    values = ramps(bands=3).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "BMP")
    assert np.array_equal(stored(buffer.getvalue(), bands=(3, 1))[0], values[:, :, [2, 0]])


@pytest.mark.parametrize("values", [np.zeros((3, 4, 5, 6)), np.array([["a"]]), np.zeros((0, 3, 4))])
def test_arrays_that_are_no_bands_are_refused(values):
    with pytest.raises(ImageError, match=r"\(h, w, bands\)"):
        stored(values)


# --- DICOM


def test_dicom_is_rescaled_as_it_says():
    values = ramps()[:, :, 0].astype(np.int16)
    data = as_dicom(values, RescaleSlope=2, RescaleIntercept=-1024)
    assert np.array_equal(stored(data)[0][:, :, 0], values * 2.0 - 1024)
    assert shape_of(data, "x") == (30, 41, 1)
    assert pixels.open_size(data) == (30, 41)


@pytest.mark.parametrize(
    ("values", "bits", "wanted"),
    [
        (np.array([[0, 4095, 100]], np.uint16), 12, [4095, 0, 3995]),
        (np.array([[-32768, 32767, 5]], np.int16), 16, [32767, -32768, -6]),
    ],
)
def test_where_a_dicom_file_says_that_large_is_dark_it_is_turned_round(values, bits, wanted):
    tags = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": bits, "HighBit": bits - 1}
    assert stored(as_dicom(values, **tags))[0].ravel().tolist() == wanted


def test_of_several_frames_the_first_is_read_and_said():
    values = np.moveaxis(ramps(), 2, 0)
    found, remarks = stored(as_dicom(values))
    assert np.array_equal(found[:, :, 0], values[0])
    assert remarks == {Remark.FRAMES}


def test_dicom_with_colours_has_three_bands():
    values = ramps(bands=3).astype(np.uint8)
    assert np.array_equal(stored(as_dicom(values))[0], values)


def test_dicom_in_a_list_of_photos_says_how_it_is_read():
    with pytest.raises(ImageError, match=r"with_bands\(value_range=\(low, high\)\).*onecycle\[dic"):
        pixels.open_pixels(as_dicom(ramps()[:, :, 0]))


# --- HEIC and AVIF, in any list


def as_heic(image, **options):
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95, **options)
    return buffer.getvalue()


def lopsided():
    image = np.zeros((32, 48, 3), np.uint8)
    image[:10], image[10:, :20] = (220, 30, 40), (30, 50, 210)
    return Image.fromarray(image)


def test_heic_is_read_upright():
    exif = Image.Exif()
    exif[274] = 6
    data = as_heic(lopsided(), exif=exif.tobytes())
    wanted = np.rot90(np.asarray(lopsided()), -1)
    assert np.abs(pixels.open_pixels(data).astype(int) - wanted).mean() < 4
    assert pixels.open_size(data) == (48, 32)


def test_avif_is_read():
    buffer = io.BytesIO()
    lopsided().save(buffer, "AVIF", quality=95)
    found = pixels.open_pixels(buffer.getvalue())
    assert np.abs(found.astype(int) - np.asarray(lopsided())).mean() < 4


def test_heic_that_is_cut_off_is_damaged_and_without_its_package_says_the_extra(monkeypatch):
    data = as_heic(lopsided())
    with pytest.raises(ImageError, match="damaged, or a kind of HEIC"):
        pixels.open_pixels(data[: len(data) // 2])
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"^the given bytes: HEIC .*'onecycle\[heic\]'"):
        pixels.open_pixels(data)


# --- files that are no photos, in a list of photos


def test_photos_that_lose_bits_or_bands_say_how_they_are_kept():
    remarks = Remarks()
    pixels.open_pixels(as_tiff(ramps()[:, :, 0]), remarks=remarks)
    remarks.warn(1)  # of one answer: warnings are errors here
    with pytest.warns(OnecycleWarning, match=r"upper 8 bits were taken.*with_bands\("):
        remarks.warn(1, of_set=True)
    for data, kind in (
        (as_tiff(ramps()[:, :, 0] // np.uint16(20)), Remark.NARROW),
        (as_tiff(ramps(bands=4).astype(np.uint8), photometric="rgb"), Remark.ALPHA),
        (as_tiff(ramps(bands=5).astype(np.uint8), photometric="rgb"), Remark.BANDS),
    ):
        with pytest.warns(OnecycleWarning, match=r"with_bands\(") as caught:
            pixels.open_pixels(data)
        assert kind.value in str(caught[0].message)
    with pytest.raises(ImageError, match=r"4 bands of 16 bits.*with_bands"):
        pixels.open_pixels(as_tiff(ramps(bands=4)))
