"""A network for pictures, on series: `series_learner`."""

from __future__ import annotations

from typing import Any

from onecycle.data.databunch import DataBunch
from onecycle.learn.cnn import build_cnn
from onecycle.learn.learner import Learner


def series_learner(data: DataBunch, base_arch: Any, **options: Any) -> Learner:
    """A learner on `base_arch` with a new head; the options are those of `learn.cnn.build_cnn`."""
    return build_cnn(Learner, data, base_arch, **options)
