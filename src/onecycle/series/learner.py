"""A network for images, or for series, on series: `series_learner`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Unpack

import torch
from torch import nn

from onecycle.core.errors import UsageError, warn
from onecycle.data.databunch import DataBunch, DatasetType
from onecycle.data.task import Task
from onecycle.learn.cnn import SplitOn, build_cnn
from onecycle.learn.learner import Learner
from onecycle.learn.options import LearnerOptions
from onecycle.models.groups import layer_groups
from onecycle.models.inception_time import inception_time
from onecycle.models.mini_rocket import mini_rocket
from onecycle.runtime.inputs.series import SeriesSpec, series_of
from onecycle.runtime.sources import content_of
from onecycle.series.input import Series

NETWORKS = ("inception_time", "mini_rocket")
_LONG, _MANY = 8, 4  # steps to a pixel, and channels, from which on images are likely to lose
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
    base_arch: Any = None,
    cut: int | Callable[[nn.Module], nn.Module] | None = None,
    pretrained: bool | str = True,
    lin_ftrs: Sequence[int] | None = None,
    ps: float | Sequence[float] = 0.5,
    custom_head: nn.Module | None = None,
    split_on: SplitOn | None = None,
    bn_final: bool = False,
    concat_pool: bool = True,
    arch: str | None = None,
    **learner_options: Unpack[LearnerOptions],
) -> SeriesLearner:
    """A learner on series as images, or with `arch` on the series itself.

    `base_arch` is a network for images, which gets a new head; see `cnn_learner`. `arch` (or
    `base_arch` by that name) is "inception_time" (Fawaz et al. 2020), which begins with random
    weights, or "mini_rocket" (Dempster et al. 2021): fixed features, and a linear layer that
    `fit_ridge()` finds in seconds, as its authors do. Of the options above `split_on` alone is
    theirs. The learner's data is the same without encodings: `scale`,
    `by` and `length` of the list count, and the pixels of an image do not. A warning names `arch`
    where images are likely to lose: they show no more than `pixels` means of a long series, and
    many channels small beside one another.
    """
    how = cut, pretrained, lin_ftrs, ps, custom_head, split_on, bn_final, concat_pool
    if isinstance(base_arch, str) and base_arch in NETWORKS:
        base_arch, arch = None, base_arch
    if arch is None and base_arch is not None:
        _warn_of_images(data.task.input)
        return build_cnn(SeriesLearner, data, base_arch, *how, **learner_options)
    if base_arch is not None or arch not in NETWORKS:
        raise UsageError(
            f"give base_arch, a network for images, or arch={' or '.join(map(repr, NETWORKS))}: "
            f"{base_arch!r}, {arch!r}"
        )
    if (*how[:5], *how[6:]) != (None, True, None, 0.5, None, False, True):
        raise UsageError(
            "cut, pretrained, lin_ftrs, ps, custom_head, bn_final and concat_pool are for networks "
            f"for images: leave them out with arch={arch!r}"
        )
    given: Any = data.task.input
    if given.encodings not in ((), SeriesSpec.encodings):
        raise UsageError(
            f"encodings={given.encodings} make images, and {arch} takes the series itself: leave "
            "them out, or give the list encodings=()"
        )
    given = replace(given, encodings=())
    data = data.with_task(Task(given, data.task.target))
    if arch == "inception_time":
        model = inception_time(given.channels, data.c)
    else:
        whole = torch.cat([x.cpu() for x, _ in data.in_order(DatasetType.Train)])
        model = mini_rocket(whole, data.c, data.options["seed"])
    groups = layer_groups(model, split_on)
    return SeriesLearner(data, model, groups=groups, **learner_options)


def _warn_of_images(given: Any) -> None:
    """Where the default lost: twelve channels, and 1,460 steps (benchmarks/results/series.md)."""
    found = []
    if (given.length or 0) > _LONG * given.pixels:
        found.append(f"{given.length} steps on {given.pixels} pixels")
    if given.channels >= _MANY:
        found.append(f"{given.channels} channels")
    if given.encodings and found:
        message = (
            f"series of {' and '.join(found)} make images that show little of each: networks for "
            'series tell such curves apart better, arch="mini_rocket" in seconds, or '
            'arch="inception_time"'
        )
        warn(message, 3)
