"""What schemathesis sends where the description asks for files: real images and tables."""

import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image as Pillow


def image(kind):
    """The bytes of small images of one kind."""

    def saved(shape):
        buffer = io.BytesIO()
        Pillow.new("RGB", shape, (200, 30, 90)).save(buffer, kind)
        return buffer.getvalue()

    return st.tuples(st.integers(1, 40), st.integers(1, 40)).map(saved)


for kind in ("jpeg", "png", "webp", "gif", "bmp", "tiff"):
    schemathesis.openapi.media_type(f"image/{kind}", image(kind))

rows = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)
table = rows.map(lambda values: "\n".join(map(str, values)).encode())
schemathesis.openapi.media_type("text/csv", table)
