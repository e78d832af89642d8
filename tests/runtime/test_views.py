"""Which pixels validation looks at: by hand, and against numpy's own padding."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecycle.core.errors import CheckpointError
from onecycle.runtime.inputs.image import ImageSpec, View, cover, fit, places, seen_part


def rectangle(source, size, method="crop", **view):
    return ImageSpec(size, method, view=tuple(View(**view))).rectangle(source)


def test_a_crop_lies_where_it_is_asked_for():
    # of 30 rows and 100 columns a square window has 30: 70 columns of room
    assert rectangle((30, 100), (8, 8)) == (0, 35, 30, 30)
    assert rectangle((30, 100), (8, 8), col=0.0) == (0, 0, 30, 30)
    assert rectangle((30, 100), (8, 8), col=1.0) == (0, 70, 30, 30)
    assert rectangle((30, 100), (8, 8), col=0.2, row=1.0) == (0, 14, 30, 30)
    assert rectangle((100, 30), (8, 8), row=0.2, col=1.0) == (14, 0, 30, 30)
    assert rectangle((40, 100), (8, 16), row=0.0, col=1.0) == (0, 20, 40, 80)


def test_a_zoom_looks_at_less_and_its_focus_keeps_its_edge():
    # twice: half of the window; the focus at the upper left corner stays in that corner
    assert rectangle((40, 40), (8, 8), high=0.5, wide=0.5) == (10, 10, 20, 20)
    assert rectangle((40, 40), (8, 8), high=0.5, wide=0.5, down=-0.25, right=0.25) == (
        *(0, 20),
        *(20, 20),
    )
    assert rectangle((40, 40), (8, 8), high=2.0, wide=1.0) == (-20, 0, 80, 40)


def test_methods_begin_with_other_windows():
    assert rectangle((20, 60), (8, 8), "squish", high=0.5) == (5, 0, 10, 60)
    assert rectangle((20, 60), (8, 8), "pad", row=0.0) == (0, 0, 60, 60)
    assert rectangle((20, 60), (8, 8), "pad", row=1.0) == (-40, 0, 60, 60)
    whole = ImageSpec(view=tuple(View(wide=0.5)))
    assert whole.rectangle((20, 60)) == (0, 15, 20, 30)
    assert whole.fixed_size is None
    at_its_scale = ImageSpec(view=tuple(View(col=0.0)), window=(16, 12))
    assert at_its_scale.rectangle((20, 60)) == (2, 0, 16, 12)
    assert at_its_scale.fixed_size == (16, 12)


def test_the_window_around_an_image_and_the_one_inside_it_have_its_proportions():
    assert fit((8, 16), (40, 40)) == (20, 40)
    assert cover((8, 16), (40, 40)) == (40, 80)
    assert cover((16, 8), (40, 40)) == (80, 40)
    assert cover((10, 10), (7, 3)) == (7, 7)


@given(*[st.integers(1, 60)] * 4)
def test_what_covers_an_image_is_the_smallest_window_of_its_proportions(h, w, rows, cols):
    high, wide = cover((h, w), (rows, cols))
    assert high >= rows
    assert wide >= cols
    assert high == rows or wide == cols
    assert abs(wide / high - w / h) <= (0.5 + 1e-9) * max(1, w / h) / min(high, wide)


@given(st.integers(-40, 40), st.integers(1, 40), st.integers(1, 9))
def test_beyond_the_ends_lie_the_pixels_that_numpy_pads_with(first, count, length):
    row = np.arange(10, 10 + length)
    before, after = max(0, -first), max(0, first + count - length)
    for mode, theirs in {"reflection": "symmetric", "border": "edge"}.items():
        wide = np.pad(row, (before, after), mode=theirs)[first + before :][:count]
        assert row[places(first, count, length, mode)].tolist() == wide.tolist(), mode
    pixels = np.repeat(row[None], 2, 0)
    dark = np.pad(row, (before, after))[first + before :][:count]
    assert seen_part(pixels, (0, first, 2, count), "zeros").tolist() == [dark.tolist()] * 2


def test_what_is_not_the_whole_story_is_in_no_file_that_needs_none():
    plain = ImageSpec((8, 8)).to_json()
    assert not {"view", "window", "in_python"} & set(plain)
    spec = ImageSpec((8, 8), view=tuple(View(col=0.25)), window=(3, 4), in_python=("rotate",))
    assert ImageSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    with pytest.raises(CheckpointError, match="newer onecycle"):
        ImageSpec.from_json(plain | {"tilt": 3})


def test_the_size_of_an_input_is_fixed_only_where_images_are_resized():
    assert ImageSpec((8, 9)).fixed_size == (8, 9)
    assert ImageSpec((8, 9), "none").fixed_size is None
    assert ImageSpec().fixed_size is None
