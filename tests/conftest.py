"""What many tests share: small images with a texture, in folders as users have them."""

import sys

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

# The same examples on every machine and every day, so that a red test is about the change in hand;
# `make slow` draws new ones each time (--hypothesis-profile=default).
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

if sys.platform == "darwin":  # Apple's GPU has a test of its own; all else compares exact numbers
    from onecycle import defaults

    defaults.device = "cpu"

COLOURS = {"blue": (40, 70, 200), "red": (200, 60, 50)}


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """24 files: train/ and valid/, red/ and blue/ in each, 8 and 4 images of 40 x 48 pixels."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for side, count in (("train", 8), ("valid", 4)):
        for colour in COLOURS:
            (root / side / colour).mkdir(parents=True)
            for i in range(count):
                name = f"{i}.{'png' if i % 2 else 'jpg'}"
                texture(rng, colour).save(root / side / colour / name, quality=95)
    return root


def texture(rng, colour, size=(40, 48)):
    """Smooth noise around a colour, as a PIL image."""
    coarse = rng.integers(-50, 50, (6, 6, 3)) + np.array(COLOURS[colour])
    image = Image.fromarray(coarse.clip(0, 255).astype(np.uint8))
    return image.resize(size[::-1], Image.Resampling.BICUBIC)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONECYCLE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
