"""The preprocessing inside an exported file is that of validation, for every size and way."""

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecycle.deploy.prelude import image_prelude
from onecycle.spec.inputs import ImageSpec
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


RUNS = {}


def run_of(way):
    if way not in RUNS:
        size = None if way[0] == "none" else (24, 40)
        spec = ImageSpec(size, *way, MEAN, STD)
        RUNS[way] = spec, prelude(spec)
    return RUNS[way]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(WAYS), st.integers(1, 130), st.integers(1, 130), st.integers(0, 2**31))
def test_every_picture_comes_out_as_in_validation(way, h, w, seed):
    spec, run = run_of(way)
    picture = np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)
    x, box, inner = run.run(["x", "box", "inner"], {"image": picture[None]})
    pixels = (x[0].transpose(1, 2, 0) * STD + MEAN) * 255
    wanted = exact(picture, spec)
    assert pixels.shape == wanted.shape
    apart = np.abs(pixels - wanted)
    assert apart.max() < 2.01  # on noise, one value in a million differs by two
    assert (apart > 1.01).mean() < 0.002
    assert apart.mean() < 0.15
    plan = exact_plan((h, w), spec)
    corner = plan.matrix @ [inner[1] - 0.5, inner[0] - 0.5, 1]
    assert corner[:2] == pytest.approx([box[1] - 0.5, box[0] - 0.5], abs=1e-6)


def test_several_pictures_of_one_size_run_together():
    spec, run = run_of(("crop", "reflection"))
    pictures = np.random.default_rng(0).integers(0, 256, (3, 50, 70, 3), dtype=np.uint8)
    together = run.run(["x"], {"image": pictures})[0]
    apart = [run.run(["x"], {"image": picture[None]})[0][0] for picture in pictures]
    assert np.array_equal(together, np.stack(apart))
    assert together.shape == (3, 3, *spec.size)
