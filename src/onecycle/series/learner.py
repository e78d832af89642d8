"""A network for images, on series: `series_learner`."""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from torch import nn

from onecycle.core.errors import warn
from onecycle.data.databunch import DataBunch
from onecycle.learn.cnn import SplitOn, build_cnn
from onecycle.learn.learner import Learner
from onecycle.learn.options import LearnerOptions
from onecycle.runtime.inputs.series import series_of
from onecycle.runtime.sources import content_of
from onecycle.series.input import Series

_FAR = 2  # times as long, or as short, as what was learned from


class SeriesLearner(Learner):
    """A learner on series.

    `predict` warns where a series of quite another length than the training's is stretched.
    """

    def _predict(self, item: Any, thresh: float | None, return_x: bool) -> Any:
        given: Any = self.task.input
        source: Any = item.data if isinstance(item, Series) else item
        if hasattr(source, "read"):  # a file that is open can be read once
            source = content_of(source)
        steps, usual = series_of(source, given.channels).shape[1], given.length
        if not usual / _FAR <= steps <= usual * _FAR:
            message = (
                f"the series has {steps} steps, and is stretched to the {usual} that the model "
                "has learned from, so that its pace changes: give it parts of about that length"
            )
            warn(message, 3)
        return super()._predict(source, thresh, return_x)


def series_learner(
    data: DataBunch,
    base_arch: Any,
    cut: int | Callable[[nn.Module], nn.Module] | None = None,
    pretrained: bool | str = True,
    lin_ftrs: Sequence[int] | None = None,
    ps: float | Sequence[float] = 0.5,
    custom_head: nn.Module | None = None,
    split_on: SplitOn | None = None,
    bn_final: bool = False,
    concat_pool: bool = True,
    **learner_options: Unpack[LearnerOptions],
) -> SeriesLearner:
    """A learner on `base_arch`, a network for images, with a new head; see `cnn_learner`."""
    how = cut, pretrained, lin_ftrs, ps, custom_head, split_on, bn_final, concat_pool
    return build_cnn(SeriesLearner, data, base_arch, *how, **learner_options)
