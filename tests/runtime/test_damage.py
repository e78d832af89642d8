"""What was read and is broken, apart from what is only not readable here; JPEG damage anywhere."""

import io

import numpy as np
import pytest
from PIL import Image

from onecycle.core.errors import DamagedImageError, ImageError
from onecycle.runtime.inputs import pixels as spec_pixels
from onecycle.runtime.inputs.pixels import open_indexes, open_pixels, verify

PHOTO = np.random.default_rng(0).integers(0, 255, (96, 80, 3)).astype(np.uint8)


def saved(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


JPEGS = {
    "colours": saved(PHOTO, quality=90),
    "grey": saved(PHOTO[:, :, 0], quality=90),
    "progressive": saved(PHOTO, quality=90, progressive=True),
    "CMYK": saved(Image.fromarray(PHOTO).convert("CMYK"), quality=90),
}
FILLS = {
    "zeros": bytes(200),
    "ones": b"\xff\x00" * 100,
    "early end": b"\xff\xd9" + bytes(198),
    "noise": bytes(np.random.default_rng(3).integers(0, 255, 200, dtype=np.uint8)),
}


def hurt(data, fill, where=0.6):
    at = int(len(data) * where)
    return data[:at] + fill + data[at + len(fill) :]


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("kind", JPEGS)
def test_damage_in_the_middle_of_a_jpeg_is_an_error_by_name(kind, fill, tmp_path):
    (tmp_path / "good.jpg").write_bytes(JPEGS[kind])
    (tmp_path / "hurt.jpg").write_bytes(hurt(JPEGS[kind], FILLS[fill]))
    assert verify(tmp_path / "good.jpg") is None
    for at_least in (None, (12, 10)):
        with pytest.raises(DamagedImageError, match=r"hurt\.jpg: damaged"):
            open_pixels(tmp_path / "hurt.jpg", at_least)


def test_a_damaged_mask_is_an_error_too():
    mask = saved(np.kron(np.eye(8, dtype=np.uint8), np.ones((16, 16), np.uint8)) * 255, quality=95)
    assert open_indexes(mask).shape == (128, 128)
    with pytest.raises(DamagedImageError, match="damaged"):
        open_indexes(hurt(mask, bytes(60)))
    png = saved(PHOTO[:, :, 0], "PNG")
    with pytest.raises(DamagedImageError, match="damaged"):
        open_indexes(hurt(png, bytes(60)))


def test_padding_between_the_segments_of_the_header_is_no_damage():
    data = JPEGS["colours"]
    at = data.index(b"\xff\xdb")
    padded = data[:at] + b"\0" * 7 + data[at:]
    assert np.array_equal(open_pixels(padded), open_pixels(data))
    assert np.array_equal(open_pixels(data + b"and more"), open_pixels(data))


@pytest.mark.parametrize("count", [1, 2, 7, 600])
@pytest.mark.parametrize("kind", ["colours", "grey", "progressive"])
def test_zeros_before_the_mark_of_the_end_are_no_damage(kind, count):
    data = JPEGS[kind]
    padded = data[:-2] + bytes(count) + data[-2:]
    for at_least in (None, (12, 10)):
        assert np.array_equal(open_pixels(padded, at_least), open_pixels(data, at_least))


def test_nor_are_they_where_the_image_ends_with_ff_00():
    ending = (saved(np.roll(PHOTO, (i, i)), quality=q) for i in range(40) for q in (80, 90, 95))
    data = next(data for data in ending if data.endswith(b"\xff\x00\xff\xd9"))
    padded = data[:-2] + bytes(5) + data[-2:]
    assert np.array_equal(open_pixels(padded), open_pixels(data))


@pytest.mark.parametrize("kind", ["colours", "grey", "progressive"])
@pytest.mark.parametrize("count", [40, 200, 900])
def test_but_zeros_in_place_of_the_last_rows_are_damage(kind, count):
    data = JPEGS[kind]
    with pytest.raises(DamagedImageError, match="damaged"):
        open_pixels(data[: -2 - count] + bytes(count) + data[-2:])


# --- which faults mean that a file is broken

TIFF16 = b"II*\0\x08\0\0\0\x01\0\x15\x01\x03\0\x01\0\0\0\x05\0\0\0\0\0\0\0"  # a tag of 5 bands
BROKEN = {
    "empty": b"",
    "cut.jpg": JPEGS["colours"][:900],
    "cut.png": saved(PHOTO, "PNG")[:900],
    "cut.tif": saved(PHOTO, "TIFF")[:900],
    "page.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
    "words.png": b"hello, this is text\n" * 9,
    "zeros.gif": bytes(4096),
    "no_header.png": b"\x89PNG\r\n\x1a\n" + bytes(40),
}
ONLY_UNKNOWN = {
    "phone.jpg": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(90),
    "next.jpg": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(90),
    "film.jpg": b"\0\0\0\x18ftypisom\0\0\0\0" + bytes(90),
    "new.jpg": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(90),
    "old.jpg": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(90),
    "layers.jpg": b"8BPS\0\x01" + bytes(90),
    "xray.png": bytes(128) + b"DICM" + bytes(90),
    "drawing.png": b"<?xml version='1.0'?><svg xmlns='a'></svg>",
    "paper.png": b"%PDF-1.7 ...",
    "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "bands.tif": TIFF16,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_was_read_and_is_no_image_is_damaged(name, tmp_path):
    (tmp_path / name).write_bytes(BROKEN[name])
    assert type(verify(tmp_path / name)) is DamagedImageError


@pytest.mark.parametrize("name", ONLY_UNKNOWN)
def test_a_sound_file_of_another_kind_is_not(name, tmp_path):
    (tmp_path / name).write_bytes(ONLY_UNKNOWN[name])
    fault = verify(tmp_path / name)
    assert type(fault) is ImageError
    assert str(fault).startswith(f"{tmp_path / name}: ")


def test_what_may_not_be_read_or_is_too_large_is_not_damaged(tmp_path, monkeypatch):
    (tmp_path / "large.png").write_bytes(saved(PHOTO, "PNG"))
    (tmp_path / "large.jpg").write_bytes(JPEGS["colours"])
    monkeypatch.setattr(spec_pixels, "MAX_PIXELS", 5000)
    for name in ("large.png", "large.jpg"):
        assert type(verify(tmp_path / name)) is ImageError
        assert "too many pixels" in str(verify(tmp_path / name))

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(spec_pixels, "open_binary", refused)
    assert type(verify(tmp_path / "large.png")) is ImageError
    assert "Permission denied" in str(verify(tmp_path / "large.png"))


def test_an_image_beyond_the_memory_is_not_damaged(tmp_path, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    (tmp_path / "a.png").write_bytes(saved(PHOTO, "PNG"))
    monkeypatch.setattr(spec_pixels, "from_pil", full)
    assert type(verify(tmp_path / "a.png")) is ImageError
    assert "too large for the memory" in str(verify(tmp_path / "a.png"))
