"""The preprocessing inside an exported file is that of validation, for every size and way."""

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecycle.core.errors import ExportError
from onecycle.export.image import image_prelude
from onecycle.runtime.inputs.image import ImageSpec, View
from onecycle.vision.warp import exact, exact_plan

WAYS = [
    ("crop", "reflection"),
    ("pad", "reflection"),
    ("pad", "border"),
    ("pad", "zeros"),
    ("squish", "reflection"),
    ("none", "reflection"),
]
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.5)


def prelude(spec):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(image_prelude(spec).SerializeToString(), options)


RUNS, RUNS_OF_VIEWS = {}, {}


def run_of(way):
    if way not in RUNS:
        size = None if way[0] == "none" else (24, 40)
        spec = ImageSpec(size, *way, MEAN, STD)
        RUNS[way] = spec, prelude(spec)
    return RUNS[way]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(WAYS), st.integers(1, 130), st.integers(1, 130), st.integers(0, 2**31))
def test_every_image_comes_out_as_in_validation(way, h, w, seed):
    spec, run = run_of(way)
    img = np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)
    x, box, inner = run.run(["x", "box", "inner"], {"image": img[None]})
    pixels = (x[0].transpose(1, 2, 0) * STD + MEAN) * 255
    wanted = exact(img, spec)
    assert pixels.shape == wanted.shape
    assert np.abs(pixels - wanted).max() < 1e-3  # the same bytes, but for the normalisation
    plan = exact_plan((h, w), spec)
    corner = plan.matrix @ [inner[1] - 0.5, inner[0] - 0.5, 1]
    assert corner[:2] == pytest.approx([box[1] - 0.5, box[0] - 0.5], abs=1e-6)


VIEWS = {  # a zoom beside the middle, outwards, a crop at the side, at the image's own scale
    ("crop", "reflection"): ((24, 40), None, View(0.2, 0.9, 0.6, 0.7, 0.1, -0.15)),
    ("crop", "border"): ((24, 40), None, View(1.0, 0.0, 1.7, 1.2, -0.3, 0.2)),
    ("pad", "zeros"): ((24, 40), None, View(0.0, 1.0)),
    ("squish", "zeros"): ((24, 40), None, View(high=1.5, wide=0.5, right=0.1)),
    ("none", "reflection"): (None, (30, 22), View(0.0, 0.75)),
    ("none", "border"): (None, None, View(high=0.5, wide=1.25)),
    ("none", "zeros"): ((20, 30), None, View(0.5, 0.25, 0.8, 0.9)),
}


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(sorted(VIEWS)), st.integers(1, 130), st.integers(1, 130), st.integers(0, 99))
def test_every_view_comes_out_as_in_validation_to_the_last_bit(way, h, w, seed):
    if way not in RUNS_OF_VIEWS:
        size, window, view = VIEWS[way]
        spec = ImageSpec(size, *way, view=tuple(view), window=window)
        RUNS_OF_VIEWS[way] = spec, prelude(spec)
    spec, run = RUNS_OF_VIEWS[way]
    img = np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)
    x, box, inner = run.run(["x", "box", "inner"], {"image": img[None]})
    assert np.array_equal((x[0].transpose(1, 2, 0) * 255).round(), exact(img, spec))
    assert tuple(box) == spec.rectangle((h, w))
    matrix = exact_plan((h, w), spec).matrix
    for row, col, there in ((0, 0, box[:2]), (*inner[2:], box[:2] + box[2:])):
        corner = matrix @ [inner[1] + col - 0.5, inner[0] + row - 0.5, 1]
        assert corner[:2] == pytest.approx(there[::-1] - 0.5, abs=1e-6)


def test_what_only_python_knows_has_no_prelude():
    with pytest.raises(ExportError, match=r"hold .* wobble \(a Python function\): it knows crops"):
        image_prelude(ImageSpec((8, 8), in_python=("wobble (a Python function)",)))


def test_several_images_of_one_size_run_together():
    spec, run = run_of(("crop", "reflection"))
    images = np.random.default_rng(0).integers(0, 256, (3, 50, 70, 3), dtype=np.uint8)
    together = run.run(["x"], {"image": images})[0]
    apart = [run.run(["x"], {"image": img[None]})[0][0] for img in images]
    assert np.array_equal(together, np.stack(apart))
    assert together.shape == (3, 3, *spec.size)
