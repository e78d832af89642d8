"""A predictor says what is hidden in the images it is given, once for a whole call."""

from pathlib import Path

import numpy as np
import pytest

from onecycle.core.errors import OnecycleWarning
from onecycle.interpret.cleaner import similar_pairs
from onecycle.runtime.predictor import Predictor

GOLDEN = Path(__file__).parent / "golden" / "format1_images.onnx"
PLAIN = np.random.default_rng(0).integers(0, 255, (24, 30, 3)).astype(np.uint8)
TILE = np.dstack([PLAIN, np.full((24, 30), 50, np.uint8)])


@pytest.fixture(scope="module")
def predictor():
    return Predictor(GOLDEN)


def test_one_item_and_a_batch_are_said_once_with_their_number(predictor):
    predictor.predict(PLAIN)  # warnings are errors
    with pytest.warns(OnecycleWarning, match="^1 of 1 images .*taken for transparency") as reported:
        predictor.predict(TILE)
    assert len(reported) == 1
    with pytest.warns(OnecycleWarning, match="^2 of 3 images") as reported:
        predictor.predict_batch([TILE, PLAIN, TILE])
    assert len(reported) == 1


def test_a_stream_is_said_once_at_its_end(predictor):
    with pytest.warns(OnecycleWarning, match="^3 of 5 images") as reported:
        found = list(predictor.stream([TILE, PLAIN, TILE, PLAIN, TILE], batch=2))
    assert (len(reported), len(found)) == (1, 5)


def test_so_is_a_search_for_images_that_look_alike():
    with pytest.warns(OnecycleWarning, match="^2 of 3 images") as reported:
        assert similar_pairs([TILE, PLAIN[::-1], TILE])[0][:2] == (0, 2)
    assert len(reported) == 1
