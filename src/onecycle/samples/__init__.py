"""Sample sets that are drawn by code, the same for the same seed; nothing is downloaded."""

from onecycle.samples.butterflies import butterflies_sample
from onecycle.samples.faces import faces_sample
from onecycle.samples.guitars import guitars_sample
from onecycle.samples.hands import hands_sample
from onecycle.samples.planet import planet_sample
from onecycle.samples.reviews import reviews_sample
from onecycle.samples.streets import streets_sample

__all__ = [
    "butterflies_sample",
    "faces_sample",
    "guitars_sample",
    "hands_sample",
    "planet_sample",
    "reviews_sample",
    "streets_sample",
]
