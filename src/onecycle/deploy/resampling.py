"""The one way in which whole images are resized: by the operator that exported files hold.

Other antialiased resizes on bytes (torch's, Pillow's) differ from it by single grey levels, at some
ratios in three pixels of a hundred and always downwards, which moves a network's points.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from onecycle.deploy.prelude import HEADER, RESIZE


@lru_cache(maxsize=1)
def _session() -> Any:
    """The operator alone. One thread: it is run in many at once, and in forked processes."""
    import onnx
    import onnxruntime as ort

    model = onnx.parser.parse_model(f"""{HEADER}
        resize (uint8[1, 3, h, w] planes, int64[4] sizes) => (uint8[1, 3, y, x] whole) {{
        whole = {RESIZE} (planes, , , sizes)
    }}""")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    data = model.SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (h, w, 3) to `size`, antialiased, equal to an exported file's to the last bit."""
    if pixels.shape[:2] == size:
        return pixels
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))[None]
    given = {"planes": planes, "sizes": np.array([1, 3, *size], np.int64)}
    (whole,) = _session().run(None, given)
    return np.ascontiguousarray(whole[0].transpose(1, 2, 0))
