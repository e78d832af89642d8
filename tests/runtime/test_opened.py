"""Open files give their bytes, or say how they have to be opened."""

import io

import numpy as np
import pytest
from PIL import Image

from onecycle.core.errors import DataError, ImageError
from onecycle.runtime.inputs.pixels import open_pixels
from onecycle.runtime.inputs.series import series_of
from onecycle.runtime.sources import content_of


def png():
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), 77, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class Upload:
    """As web frameworks hand them over: the content has to be waited for."""

    filename = "photo.png"

    async def read(self):
        return b""


def test_a_binary_file_gives_its_bytes(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    with (tmp_path / "a.png").open("rb") as file:
        assert open_pixels(file).shape == (4, 6, 3)
    assert content_of(io.BytesIO(b"ab")) == b"ab"
    assert series_of(io.BytesIO(b"1,2\n3,4\n5,7\n"), 2).tolist() == [[1, 3, 5], [2, 4, 7]]


@pytest.mark.parametrize(("reads", "kind"), [(open_pixels, ImageError), (content_of, DataError)])
def test_what_gives_no_bytes_says_what_to_give(tmp_path, reads, kind):
    (tmp_path / "a.png").write_bytes(png())
    with pytest.raises(kind, match=r"photo\.png: its read\(\) has to be awaited.*file\.file"):
        reads(Upload())
    with (
        (tmp_path / "a.png").open(encoding="utf-8") as file,
        pytest.raises(kind, match=r'a\.png: it was opened as text: open\(path, "rb"\)'),
    ):
        reads(file)
    with pytest.raises(kind, match=r'it gives str, not bytes: open\(path, "rb"\)'):
        reads(io.StringIO("x"))
    file.close()
    with pytest.raises(kind, match="closed file"):
        reads(file)


def test_a_series_from_an_upload_says_what_to_give():
    with pytest.raises(DataError, match="awaited"):
        series_of(Upload(), 1)
