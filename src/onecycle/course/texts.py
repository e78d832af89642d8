"""The course's learners of texts, which begin with the published language model."""

from __future__ import annotations

from typing import Any

from onecycle.data.databunch import DataBunch
from onecycle.models.awd_lstm import AWD_LSTM
from onecycle.text import learner


def language_model_learner(
    data: DataBunch, arch: Any = AWD_LSTM, *, pretrained: bool | str = True, **options: Any
) -> learner.LanguageLearner:
    """As `onecycle.language_model_learner`, pretrained unless told otherwise, as in the course."""
    return learner.language_model_learner(data, arch, pretrained=pretrained, **options)


def text_classifier_learner(
    data: DataBunch, arch: Any = AWD_LSTM, *, pretrained: bool | str = True, **options: Any
) -> learner.TextLearner:
    """As `onecycle.text_classifier_learner`, pretrained unless told otherwise, as in the course."""
    return learner.text_classifier_learner(data, arch, pretrained=pretrained, **options)
