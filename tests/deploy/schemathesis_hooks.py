"""What schemathesis sends where the description asks for pictures: real ones, of every kind."""

import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image as Pillow


def picture(kind):
    """The bytes of small pictures of one kind."""

    def saved(shape):
        buffer = io.BytesIO()
        Pillow.new("RGB", shape, (200, 30, 90)).save(buffer, kind)
        return buffer.getvalue()

    return st.tuples(st.integers(1, 40), st.integers(1, 40)).map(saved)


for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff"):
    schemathesis.openapi.media_type(f"image/{kind}", picture(kind))
