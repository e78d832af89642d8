"""In place of the course's module vision.models: architectures by their names, too."""

from __future__ import annotations

from typing import Any

from onecycle import models
from onecycle.course.table import course_names

_course, __dir__, _names = course_names(__name__)
_NAMED = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "vgg16_bn", "vgg19_bn"]
_NAMED += ["densenet121", "densenet161", "densenet169", "densenet201"]
__all__ = _names + _NAMED


def __getattr__(name: str) -> Any:
    return _course(name) if name in _names or name.startswith("_") else getattr(models, name)
