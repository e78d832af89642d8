"""A pretrained body with a new head, ready to be trained: `cnn_learner`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from onecycle.data.databunch import DataBunch, DatasetType
from onecycle.learn.cnn import build_cnn, compare_statistics, create_cnn_model, recipe_of
from onecycle.learn.learner import Learner
from onecycle.vision.tta import TTA

__all__ = [
    "ImageLearner",
    "cnn_learner",
    "compare_statistics",
    "create_cnn",
    "create_cnn_model",
    "recipe_of",
]


class ImageLearner(Learner):
    """A learner on pictures."""

    def TTA(  # noqa: N802 - the course's name
        self,
        beta: float | None = 0.4,
        scale: float = 1.35,
        ds_type: DatasetType = DatasetType.Valid,
        with_loss: bool = False,
    ) -> list[Tensor]:
        """Probabilities from several looks at each picture; see `vision.tta.TTA`."""
        return TTA(self, beta, scale, ds_type, with_loss)


def cnn_learner(data: DataBunch, base_arch: Any, **options: Any) -> ImageLearner:
    """A learner on `base_arch` with a new head; the options are those of `learn.cnn.build_cnn`."""
    return build_cnn(ImageLearner, data, base_arch, **options)


create_cnn = cnn_learner
